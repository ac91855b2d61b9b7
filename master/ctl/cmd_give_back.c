/* SPDX-License-Identifier: ISC */
/*
 * cmd_give_back.c - give-back USER: another server is to have the mail.
 *
 * Owns:    nothing.
 * Runs in: restantectl; what touches mail in a process of the user.
 * Trusts:  nothing of what that process says, but that the mailboxes it names
 *          are his.
 *
 * That process says lines of fields with tabs between them:
 *
 *	location  DRIVER:PATH...
 *	box       UIDVALIDITY  UIDNEXT  MESSAGES  MODSEQ  NAME
 *	fault     KIND  NAME  TEXT  CURE        also "note"
 */
#include <stdio.h>
#include <stdlib.h>
#include <ev.h>

#include "base/num.h"
#include "base/vec.h"
#include "doveadm.h"
#include "store/give_back.h"
#include "store/location.h"

#define OUTPUT_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct box {
	uint32_t uidvalidity, uidnext, messages;
	uint64_t modseq;
	struct str name;
	bool is_lifted;
};

struct finding {
	bool is_fault;
	struct str kind, mailbox, text, cure;
};

struct give {
	const struct ctl_options *o;
	struct ctl_user *user;
	bool to_courier, only_print;
	const char *dovecot_config;
	struct arena arena;
	const char *location;
	VEC(struct box) boxes;
	VEC(struct finding) findings;
	size_t n_faults;
	size_t n_sessions;
};

/* ---- in the process of the user ------------------------------------------------ */

static void
on_box(void *arg, const struct give_back_box *b)
{
	struct buf *out = arg;

	(void)buf_addf(out, "box\t%u\t%u\t%u\t%llu\t", b->uidvalidity,
	    b->uidnext, b->messages, (unsigned long long)b->highest_modseq);
	ctl_add_field(out, b->name, '\n');
}

static void
on_found(void *arg, const struct check_finding *f)
{
	struct buf *out = arg;

	(void)buf_addf(out, "%s\t%s\t",
	    f->weight == CHECK_FAULT ? "fault" : "note", f->kind);
	ctl_add_field(out, f->mailbox, '\t');
	ctl_add_field(out, f->text, '\t');
	ctl_add_field(out, f->cure, '\n');
}

static void
add_place(struct buf *out, const char *option, struct str path)
{
	if (path.p == NULL)
		return;
	(void)buf_add_c(out, option);
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '%')
			(void)buf_add_byte(out, '%');
		(void)buf_add_byte(out, path.p[i]);
	}
}

/* Where the mail is, for Dovecot; its own words where they were given. */
static void
tell_location(const struct store_settings *set, struct buf *out)
{
	struct str given = str_of(set->mail_location);
	struct location loc;
	struct arena a;
	struct err e;

	if (given.n > 0 && !str_eq_nocase(given, STR("auto"))) {
		(void)buf_add_c(out, "location\t");
		ctl_add_field(out, given, '\n');
		return;
	}
	arena_init(&a);
	if (location_get(&a, set, &loc, &e) == 0) {
		(void)buf_addf(out, "location\t%s", loc.driver);
		add_place(out, ":", loc.root);
		if (loc.is_fs_layout)
			(void)buf_add_c(out, ":LAYOUT=fs");
		add_place(out, ":INBOX=", loc.inbox);
		add_place(out, ":CONTROL=", loc.control);
		(void)buf_add_byte(out, '\n');
	}
	arena_done(&a);
}

static int
run_give_back(const struct store_settings *set, struct buf *out, void *arg)
{
	const struct give *g = arg;
	struct store_settings own = *set;
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
	const struct give_back_sink sink = {on_box, on_found, out};
	char uidl[300];
	struct err e;
	int rc;

	if (g->to_courier)
		own.courier_compat = "yes";
	(void)snprintf(uidl, sizeof(uidl), "%s%s",
	    g->user->reuse_xuidl ? "xuidl:" : "", g->user->pop3_uidl);
	tell_location(&own, out);
	if (loop == NULL)
		rc = err_set(&e, ERR_OTHER, "no event loop");
	else
		rc = store_give_back(&own, uidl, loop, &sink, &e);
	if (rc == -1) {
		(void)buf_add_c(out, "fault\topen\t\t");
		ctl_add_field(out, str_of(e.text), '\t');
		(void)buf_add_byte(out, '\n');
	}
	if (loop != NULL)
		ev_loop_destroy(loop);
	return 0;
}

/* ---- what it says ---------------------------------------------------------------- */

static void
add_finding(struct give *g, bool is_fault, const char *kind, struct str mailbox,
    const char *text, const char *cure)
{
	*VEC_ADD(&g->findings) = (struct finding){
	    .is_fault = is_fault,
	    .kind = str_of(kind),
	    .mailbox = mailbox,
	    .text = arena_str(&g->arena, str_of(text)),
	    .cure = str_of(cure),
	};
	g->n_faults += is_fault;
}

static bool
take_box(struct give *g, struct str line)
{
	struct str v, next, n, modseq;
	struct box b = {0};

	if (!str_cut(&line, '\t', &v) || !str_cut(&line, '\t', &next) ||
	    !str_cut(&line, '\t', &n) || !str_cut(&line, '\t', &modseq) ||
	    !num_parse_u32(v, 1, UINT32_MAX, &b.uidvalidity) ||
	    !num_parse_u32(next, 1, UINT32_MAX, &b.uidnext) ||
	    !num_parse_u32(n, 0, UINT32_MAX, &b.messages) ||
	    !num_parse_u64(modseq, 1, INT64_MAX, &b.modseq) || line.n == 0)
		return false;
	b.name = line;
	*VEC_ADD(&g->boxes) = b;
	return true;
}

static bool
take_finding(struct give *g, bool is_fault, struct str line)
{
	struct finding f = {.is_fault = is_fault};

	if (!str_cut(&line, '\t', &f.kind) ||
	    !str_cut(&line, '\t', &f.mailbox) || !str_cut(&line, '\t', &f.text))
		return false;
	f.cure = line;
	*VEC_ADD(&g->findings) = f;
	g->n_faults += is_fault;
	return true;
}

static int
take_lines(struct give *g, struct str text, struct err *e)
{
	struct str line, word;
	bool ok = true;

	while (ok && str_next(&text, '\n', &line)) {
		if (line.n == 0)
			continue;
		ok = str_cut(&line, '\t', &word);
		if (str_eq(word, STR("box")))
			ok = ok && take_box(g, line);
		else if (str_eq(word, STR("location")))
			g->location = arena_c(&g->arena, line);
		else
			ok = ok &&
			    take_finding(g, str_eq(word, STR("fault")), line);
	}
	return ok ? 0 : err_set(e, ERR_VIOLATION, "an answer without sense");
}

/* ---- Dovecot's index ------------------------------------------------------------- */

static void
lift_all(struct give *g)
{
	struct doveadm d = {
	    .user = g->user,
	    .config = g->dovecot_config,
	    .location = g->location,
	};
	struct err e;

	if (g->only_print || g->boxes.n == 0 || g->location == NULL)
		return;
	if (!doveadm_is_there()) {
		add_finding(g, false, "modseq", STR(""),
		    "doveadm is not installed here.",
		    "Before the first login at Dovecot, run what --print "
		    "shows.");
		return;
	}
	VEC_EACH(&g->boxes, b) {
		if (doveadm_lift(&d, b->name, b->modseq, &e) == 0)
			b->is_lifted = true;
		else
			add_finding(g, true, "modseq", b->name, e.text,
			    "Before the first login at Dovecot, run what "
			    "--print shows.");
	}
}

/* ---- output ------------------------------------------------------------------------ */

static void
add_json(struct buf *out, const struct give *g)
{
	buf_addf(out,
	    "{\"ok\": %s, \"user\": ", g->n_faults == 0 ? "true" : "false");
	ctl_json_string(out, str_of(g->user->name));
	buf_add_c(out, ", \"mailboxes\": [");
	for (size_t i = 0; i < g->boxes.n; i++) {
		const struct box *b = &g->boxes.v[i];

		buf_add_c(out, i == 0 ? "\n  {\"name\": " : ",\n  {\"name\": ");
		ctl_json_string(out, b->name);
		buf_addf(out,
		    ", \"uidvalidity\": %u, \"uidnext\": %u, "
		    "\"messages\": %u, \"highest_modseq\": %llu, "
		    "\"lifted\": %s}",
		    b->uidvalidity, b->uidnext, b->messages,
		    (unsigned long long)b->modseq,
		    b->is_lifted ? "true" : "false");
	}
	buf_add_c(out, "], \"findings\": [");
	for (size_t i = 0; i < g->findings.n; i++) {
		const struct finding *f = &g->findings.v[i];

		buf_addf(out,
		    "%s\n  {\"state\": \"%s\", \"kind\": ", i == 0 ? "" : ",",
		    f->is_fault ? "fault" : "note");
		ctl_json_string(out, f->kind);
		buf_add_c(out, ", \"mailbox\": ");
		ctl_json_string(out, f->mailbox);
		buf_add_c(out, ", \"text\": ");
		ctl_json_string(out, f->text);
		buf_add_c(out, ", \"cure\": ");
		ctl_json_string(out, f->cure);
		buf_add_c(out, "}");
	}
	buf_add_c(out, "]}\n");
}

static void
add_text(struct buf *out, const struct give *g)
{
	uint64_t messages = 0;
	size_t lifted = 0;

	VEC_EACH(&g->findings, f) {
		buf_addf(out, "%s: ", f->is_fault ? "fault" : "note");
		if (f->mailbox.n > 0)
			buf_addf(out, "%.*s: ", STR_ARG(f->mailbox));
		buf_addf(out, "%.*s\n", STR_ARG(f->text));
		if (f->cure.n > 0)
			buf_addf(out, "    %.*s\n", STR_ARG(f->cure));
	}
	VEC_EACH(&g->boxes, b) {
		messages += b->messages;
		lifted += b->is_lifted;
	}
	buf_addf(out, "%zu mailboxes with %llu messages of %s are on disk%s.\n",
	    g->boxes.n, (unsigned long long)messages, g->user->name,
	    g->n_faults > 0 ? ", but see above" : "");
	if (lifted > 0)
		buf_addf(out,
		    "Dovecot goes on above our mod-sequences in %zu of "
		    "them.\n",
		    lifted);
}

/* The commands alone: for a shell. */
static void
add_commands(struct buf *out, const struct give *g)
{
	const struct doveadm d = {
	    .user = g->user,
	    .config = g->dovecot_config,
	};

	VEC_EACH(&g->boxes, b)
		doveadm_print(&d, b->name, b->modseq, out);
}

static int
put(const struct give *g)
{
	struct buf out;
	int status;

	buf_init(&out, OUTPUT_MAX_BYTES);
	if (g->o->json)
		add_json(&out, g);
	else if (g->only_print && g->n_faults == 0)
		add_commands(&out, g);
	else
		add_text(&out, g);
	status = ctl_print(&out);
	buf_done(&out);
	return status != 0 || g->n_faults > 0 ? 1 : 0;
}

/* ---- the command ------------------------------------------------------------------- */

static int
give_back(struct give *g, struct buf *out, struct err *e)
{
	char state[4200], text[200];

	if (ctl_user_state(g->user, state, sizeof(state), e) == 0)
		g->user->state = state;
	if (ctl_count_sessions(g->o, g->user->name, &g->n_sessions) == 0 &&
	    g->n_sessions > 0) {
		(void)snprintf(text, sizeof(text),
		    "%zu sessions of the user are open: what they change from "
		    "now on is not given back.",
		    g->n_sessions);
		add_finding(g, false, "sessions", STR(""), text,
		    "Stop the server, or end them with kick, and do it again.");
	}
	if (ctl_user_run(g->user, false, run_give_back, g, out, e) == -1 ||
	    take_lines(g, buf_str(out), e) == -1)
		return -1;
	if (!g->to_courier)
		lift_all(g);
	return 0;
}

/* 0, or the exit status. */
static int
take_options(struct give *g, int argc, char **argv, const char **name)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		struct str option = str_of(argv[i]);

		if (str_eq(option, STR("--print"))) {
			g->only_print = true;
		} else if (str_eq(option, STR("--to")) && i + 1 < argc) {
			struct str to = str_of(argv[++i]);

			g->to_courier = str_eq(to, STR("courier"));
			if (!g->to_courier && !str_eq(to, STR("dovecot")))
				return ctl_usage(
				    "--to %s: dovecot and courier are known",
				    argv[i]);
		} else if (str_eq(option, STR("--dovecot-config")) &&
		    i + 1 < argc) {
			g->dovecot_config = argv[++i];
		} else {
			return ctl_usage(
			    "%s: unknown, or without its value", argv[i]);
		}
	}
	if (i + 1 != argc)
		return ctl_usage("name one user, behind the options");
	*name = argv[i];
	return 0;
}

int
ctl_give_back(const struct ctl_options *o, int argc, char **argv)
{
	struct ctl_user u;
	struct give g = {.o = o, .user = &u};
	const char *name = NULL;
	struct buf out;
	struct err e;
	int status;

	status = take_options(&g, argc, argv, &name);
	if (status != 0)
		return status;
	arena_init(&g.arena);
	buf_init(&out, OUTPUT_MAX_BYTES);
	if (ctl_user_find(o, name, &g.arena, &u, &e) == -1 ||
	    give_back(&g, &out, &e) == -1)
		status = ctl_complain("%s", e.text);
	else
		status = put(&g);
	buf_done(&out);
	VEC_DONE(&g.boxes);
	VEC_DONE(&g.findings);
	arena_done(&g.arena);
	return status;
}
