/* SPDX-License-Identifier: ISC */
/*
 * cmd_mail.c - check USER and repair USER: the mail of one user.
 *
 * Owns:    nothing.
 * Runs in: restantectl; what looks at mail in a process of the user.
 * Trusts:  nothing of what that process says: control bytes do not reach a
 *          terminal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <ev.h>

#include "base/vec.h"
#include "store/check.h"
#include "user.h"

#define OUTPUT_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define FINDINGS_MAX 100000

/* One line of a report; compared as a whole to see what repair has mended. */
struct finding {
	struct check_finding f; /* in the arena */
	bool is_gone; /* after the repair */
};

struct report {
	struct arena arena;
	VEC(struct finding) v;
	struct check_sum sum;
	struct err e;
	bool failed;
};

static void
on_found(void *arg, const struct check_finding *f)
{
	struct report *r = arg;
	struct finding *own;

	if (r->v.n == FINDINGS_MAX)
		return;
	own = VEC_ADD(&r->v);
	own->is_gone = false;
	own->f = *f;
	own->f.mailbox = arena_str(&r->arena, f->mailbox);
	own->f.text = arena_str(&r->arena, f->text);
	own->f.cure = arena_str(&r->arena, f->cure);
}

static void
look(const struct store_settings *set, struct report *r)
{
	*r = (struct report){0};
	arena_init(&r->arena);
	r->failed = store_check(set, on_found, r, &r->sum, &r->e) == -1;
}

static void
report_done(struct report *r)
{
	VEC_DONE(&r->v);
	arena_done(&r->arena);
}

/* ---- output ------------------------------------------------------------------ */

static size_t
count_faults(const struct report *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->v.n; i++)
		n += r->v.v[i].f.weight == CHECK_FAULT && !r->v.v[i].is_gone;
	return n;
}

static const char *
word_of(const struct finding *f)
{
	if (f->is_gone)
		return "mended";
	return f->f.weight == CHECK_FAULT ? "fault" : "note";
}

static void
add_json(struct buf *out, const struct report *r, const char *user)
{
	buf_addf(out, "{\"ok\": %s, \"user\": ",
	    !r->failed && count_faults(r) == 0 ? "true" : "false");
	ctl_json_string(out, str_of(user));
	buf_addf(out, ", \"mailboxes\": %u, \"messages\": %llu",
	    r->sum.mailboxes, (unsigned long long)r->sum.messages);
	if (r->failed) {
		buf_add_c(out, ", \"error\": ");
		ctl_json_string(out, str_of(r->e.text));
	}
	buf_add_c(out, ", \"findings\": [");
	for (size_t i = 0; i < r->v.n; i++) {
		const struct finding *f = &r->v.v[i];

		buf_addf(out,
		    "%s\n  {\"state\": \"%s\", \"kind\": \"%s\", "
		    "\"mailbox\": ",
		    i == 0 ? "" : ",", word_of(f), f->f.kind);
		ctl_json_string(out, f->f.mailbox);
		buf_add_c(out, ", \"text\": ");
		ctl_json_string(out, f->f.text);
		buf_add_c(out, ", \"cure\": ");
		ctl_json_string(out, f->is_gone ? STR("") : f->f.cure);
		buf_addf(out, ", \"repairable\": %s}",
		    f->f.can_repair && !f->is_gone ? "true" : "false");
	}
	buf_add_c(out, "]}\n");
}

static void
add_text(struct buf *out, const struct report *r, const char *user)
{
	size_t faults = count_faults(r);

	for (size_t i = 0; i < r->v.n; i++) {
		const struct finding *f = &r->v.v[i];

		buf_addf(out, "%s: ", word_of(f));
		if (f->f.mailbox.n > 0)
			buf_addf(out, "%.*s: ", STR_ARG(f->f.mailbox));
		buf_addf(out, "%.*s\n", STR_ARG(f->f.text));
		if (f->f.cure.n > 0 && !f->is_gone)
			buf_addf(out, "    %.*s\n", STR_ARG(f->f.cure));
	}
	if (r->failed)
		buf_addf(out, "The mail of %s can not be looked at: %s\n", user,
		    r->e.text);
	else if (faults == 0)
		buf_addf(out,
		    "Nothing is wrong in %u mailboxes with %llu messages.\n",
		    r->sum.mailboxes, (unsigned long long)r->sum.messages);
	else
		buf_addf(out,
		    "%zu faults in %u mailboxes with %llu messages.\n", faults,
		    r->sum.mailboxes, (unsigned long long)r->sum.messages);
}

static int
put_report(struct buf *out, const struct report *r, const char *user, bool json)
{
	if (json)
		add_json(out, r, user);
	else
		add_text(out, r, user);
	return r->failed || count_faults(r) > 0 ? 1 : 0;
}

/* ---- in the process of the user -------------------------------------------------- */

static int
run_check(const struct store_settings *set, struct buf *out, void *arg)
{
	const struct ctl_options *o = arg;
	struct report r;
	int status;

	look(set, &r);
	status = put_report(out, &r, set->user, o->json);
	report_done(&r);
	return status;
}

/* The same sentence, whatever its numbers: an age, a count. */
static bool
is_same(struct str a, struct str b)
{
	size_t i = 0, j = 0;

	for (;;) {
		while (i < a.n && a.p[i] >= '0' && a.p[i] <= '9')
			i++;
		while (j < b.n && b.p[j] >= '0' && b.p[j] <= '9')
			j++;
		if (i == a.n || j == b.n)
			return i == a.n && j == b.n;
		if (a.p[i++] != b.p[j++])
			return false;
	}
}

static bool
has(const struct report *r, const struct finding *f)
{
	for (size_t i = 0; i < r->v.n; i++)
		if (str_eq(r->v.v[i].f.mailbox, f->f.mailbox) &&
		    is_same(r->v.v[i].f.text, f->f.text))
			return true;
	return false;
}

/* What was there before and is not now is mended; what is there now stays. */
static void
compare(struct report *now, const struct report *before)
{
	for (size_t i = 0; i < before->v.n; i++)
		if (before->v.v[i].f.weight == CHECK_FAULT &&
		    !has(now, &before->v.v[i])) {
			on_found(now, &before->v.v[i].f);
			if (now->v.n < FINDINGS_MAX)
				now->v.v[now->v.n - 1].is_gone = true;
		}
}

static int
run_repair(const struct store_settings *set, struct buf *out, void *arg)
{
	const struct ctl_options *o = arg;
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
	struct report before, now, failed = {0};
	int status;

	look(set, &before);
	arena_init(&failed.arena);
	if (loop == NULL ||
	    store_repair(set, loop, on_found, &failed, &failed.e) == -1)
		failed.failed = true;
	look(set, &now);
	compare(&now, &before);
	for (size_t i = 0; i < failed.v.n; i++)
		on_found(&now, &failed.v.v[i].f);
	if (failed.failed && !now.failed) {
		now.failed = true;
		now.e = failed.e;
	}
	status = put_report(out, &now, set->user, o->json);
	report_done(&before);
	report_done(&failed);
	report_done(&now);
	if (loop != NULL)
		ev_loop_destroy(loop);
	return status;
}

/* ---- commands ------------------------------------------------------------------------ */

static void
make_safe(struct buf *out)
{
	for (size_t i = 0; i < out->n; i++) {
		unsigned char c = (unsigned char)out->p[i];

		if ((c < 0x20 && c != '\n') || c == 0x7f)
			out->p[i] = '?';
	}
}

/* The folder of his state, if it is there. */
static bool
find_state(const struct ctl_user *u, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/%s", u->state_dir, u->name);

	return n > 0 && (size_t)n < size && access(out, F_OK) == 0;
}

static int
run_as(const struct ctl_options *o, const char *name, bool read_only,
    ctl_user_fn *fn)
{
	struct ctl_options own = *o;
	char state[4200];
	struct ctl_user u;
	struct arena a;
	struct buf out;
	struct err e;
	int status = -1;

	arena_init(&a);
	buf_init(&out, OUTPUT_MAX_BYTES);
	if (ctl_user_find(o, name, &a, &u, &e) == 0) {
		/* Journals of sessions are there; without, in his home. */
		if (read_only
			? find_state(&u, state, sizeof(state))
			: ctl_user_state(&u, state, sizeof(state), &e) == 0)
			u.state = state;
		status = ctl_user_run(&u, read_only, fn, &own, &out, &e);
	}
	if (status == -1) {
		status = ctl_complain("%s", e.text);
	} else {
		make_safe(&out);
		if (ctl_print(&out) != 0)
			status = 1;
	}
	buf_done(&out);
	arena_done(&a);
	return status;
}

int
ctl_check_mail(const struct ctl_options *o, const char *user)
{
	return run_as(o, user, true, run_check);
}

int
ctl_repair(const struct ctl_options *o, int argc, char **argv)
{
	if (argc != 2 || argv[1][0] == '-')
		return ctl_usage("name one user");
	return run_as(o, argv[1], false, run_repair);
}
