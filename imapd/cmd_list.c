/* SPDX-License-Identifier: ISC */
/*
 * cmd_list.c - LIST, in its old and its extended form.
 *
 * Owns:    nothing; names come from the store at each call.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 6.3.8; RFC 5258 (LIST-EXTENDED), RFC 5819
 *          (LIST-STATUS), RFC 6154 (SPECIAL-USE), RFC 9590 (LIST-METADATA).
 *
 * Patterns are matched against names in the client's form, so that what it may
 * write in a pattern and in a name is the same.
 */
#include "base/bounds.h"
#include "imapd/acl_write.h"
#include "imapd/commands.h"
#include "imapd/list_arg.h"
#include "imapd/list_below.h"
#include "imapd/list_write.h"
#include "imapd/modseq.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "store/share.h"
#include "text/glob.h"

struct listing {
	struct list_arg arg;
	struct list_job *job; /* until all names are there */
	bool is_read;
	struct mbox_entry *at; /* the next one to be looked at */
	struct session *s;
	struct list_below below; /* for RECURSIVEMATCH */
	bool has_below;
	size_t number; /* of `at` */
	struct status_job *status; /* of `at`, whose LIST was told */
	bool in_status;
	struct buf wire; /* the name being looked at */
};

static void
listing_done(struct cmd *c)
{
	struct listing *l = c->state;

	list_job_free(&l->job);
	status_job_free(&l->status);
	buf_done(&l->wire);
}

static bool
matches(const struct listing *l, const struct mbox_entry *m, struct str wire)
{
	for (size_t i = 0; i < l->arg.n_patterns; i++)
		if (name_matches(
			l->arg.patterns[i], m->name, wire, m->delimiter))
			return true;
	return false;
}

/* The name in the client's form; lives until the next call. */
static struct str
wire_of(struct session *s, struct listing *l, const struct mbox_entry *m)
{
	buf_clear(&l->wire);
	name_wire(s, &l->wire, m->name);
	return buf_str(&l->wire);
}

/* ---- selection (RFC 5258 section 3.3) -------------------------------------- */

/* Without criteria whatever exists, and the levels above it. */
static bool
is_selected(const struct listing *l, const struct mbox_entry *m)
{
	unsigned select = l->arg.select;

	if ((select & SELECT_SUBSCRIBED) != 0 &&
	    (m->attrs & MBOX_SUBSCRIBED) == 0)
		return false;
	if ((select & SELECT_SPECIAL_USE) != 0 && m->uses == 0)
		return false;
	return (select & SELECT_SUBSCRIBED) != 0 ||
	    (m->attrs & MBOX_NONEXISTENT) == 0 ||
	    (m->attrs & MBOX_HAS_CHILDREN) != 0;
}

/* Those that no pattern matches are not told themselves. */
static unsigned
judge(void *arg, const struct mbox_entry *m)
{
	struct listing *l = arg;

	if (!is_selected(l, m))
		return 0;
	return matches(l, m, wire_of(l->s, l, m))
	    ? BELOW_SELECTED
	    : BELOW_SELECTED | BELOW_UNMATCHED;
}

/* What RECURSIVEMATCH has to know of all names, before the first is told. */
static enum step
look_below(struct cmd *c, struct listing *l)
{
	if ((l->arg.select & SELECT_RECURSIVEMATCH) == 0)
		return STEP_DONE;
	if (!l->has_below) {
		l->has_below = true;
		l->s = c->s;
		l->below.judge = judge;
		l->below.arg = l;
		list_below_begin(&l->below, c->arena, l->at);
	}
	return list_below_step(c, &l->below);
}

/* A mailbox below the present one meets the criteria. */
static bool
has_selected_child(const struct listing *l, bool unmatched)
{
	unsigned bit = unmatched ? BELOW_UNMATCHED : BELOW_SELECTED;

	return (l->below.v[l->number].bits & bit) != 0;
}

/* ---- one name -------------------------------------------------------------- */

static void
add_child_info(
    const struct listing *l, struct list_line *line, const char *words[2])
{
	if ((l->arg.select & SELECT_SUBSCRIBED) != 0)
		words[line->n_child_info++] = "SUBSCRIBED";
	if ((l->arg.select & SELECT_SPECIAL_USE) != 0)
		words[line->n_child_info++] = "SPECIAL-USE";
	line->child_info = words;
}

static void
tell(struct cmd *c, struct listing *l, const struct mbox_entry *m,
    struct str wire, bool child_info)
{
	struct list_line line = {
	    .word = "LIST",
	    .entry = m,
	    .delimiter = m->delimiter,
	    .wire = wire,
	    .tells_nonexistent = l->arg.is_extended || c->s->imap4rev2,
	    .tells_subscribed = (l->arg.ret & RETURN_SUBSCRIBED) != 0,
	};
	const char *words[2];

	if (child_info)
		add_child_info(l, &line, words);
	list_write(c->s, &line);
}

/* A name that is the same as another one is told where it is asked for. */
static bool
list_alias(struct cmd *c, struct listing *l, const struct mbox_entry *m)
{
	struct str alias = store_alias(c->s->store), wire;

	if (alias.n == 0 || m->delimiter != '.' || str_starts(m->name, alias) ||
	    str_eq(m->name, STR("INBOX")))
		return false;
	wire = arena_printf(
	    c->arena, "%.*s%.*s", STR_ARG(alias), STR_ARG(wire_of(c->s, l, m)));
	for (size_t i = 0; i < l->arg.n_patterns; i++) {
		if (!str_starts_nocase(l->arg.patterns[i], alias) ||
		    !glob_match(l->arg.patterns[i], wire, m->delimiter))
			continue;
		tell(c, l, m, wire, false);
		return true;
	}
	return false;
}

/* True: it was told. */
static bool
list_one(struct cmd *c, struct listing *l, const struct mbox_entry *m)
{
	bool recursive = (l->arg.select & SELECT_RECURSIVEMATCH) != 0;
	bool selected = is_selected(l, m);
	bool child_info;

	if (!selected && !recursive)
		return false;
	if (!matches(l, m, wire_of(c->s, l, m)))
		return selected && list_alias(c, l, m);
	child_info = recursive && has_selected_child(l, !selected);
	if (!selected && !child_info)
		return false;
	tell(c, l, m, wire_of(c->s, l, m), child_info);
	return true;
}

/*
 * RFC 5819: behind its LIST; nothing for what can not be looked into. STEP_MORE
 * as everywhere.
 */
static enum step
tell_status(struct cmd *c, struct listing *l)
{
	struct mailbox_status st = {0};
	enum step step;
	struct err e;

	do
		step = store_status(c->s->store, l->at->name,
		    l->arg.status.with_size, &l->status, &st, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	status_job_free(&l->status);
	if (step == STEP_DONE)
		status_items_write(c->s, l->at->name, &l->arg.status, &st);
	return STEP_DONE;
}

/*
 * RFC 8440: not for one that is told because of its children alone, nor where
 * there is no mailbox.
 */
static void
tell_rights(struct cmd *c, struct listing *l)
{
	unsigned rights;
	struct err e;

	if ((l->arg.ret & RETURN_MYRIGHTS) != 0 && is_selected(l, l->at) &&
	    (l->at->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT)) == 0 &&
	    store_my_rights(c->s->store, l->at->name, &rights, &e) == 0)
		acl_write_my_rights(c->s, l->at->name, rights);
}

/* RFC 9590; what can not be looked up is left out. */
static void
tell_metadata(struct cmd *c, struct listing *l)
{
	struct meta_entry *all;
	struct arena a;
	struct err e;

	if ((l->arg.ret & RETURN_METADATA) == 0 ||
	    (l->at->attrs & MBOX_NONEXISTENT) != 0 || !is_selected(l, l->at))
		return;
	arena_init(&a);
	all = NULL;
	if ((l->at->attrs & MBOX_ON_FIRST_USE) != 0 ||
	    meta_load(c->s->store, l->at->name, &a, &all, &e) == 0)
		metadata_write(
		    c->s, l->at->name, &l->arg.metadata, all, l->at->uses);
	arena_done(&a);
}

static bool
wants_status(const struct listing *l)
{
	return (l->arg.ret & RETURN_STATUS) != 0 &&
	    (l->at->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT)) == 0;
}

/* ---- the command ----------------------------------------------------------- */

/* An empty pattern asks for delimiter and root name of the reference. */
static enum step
tell_root(struct cmd *c, struct str reference)
{
	struct list_line line = {
	    .word = "LIST",
	    .delimiter = store_delimiter_of(c->s->store, reference),
	    .wire = STR(""),
	};
	struct space sp;

	for (size_t i = 0; store_space(c->s->store, i, &sp); i++)
		if (sp.prefix.n > 0 && str_starts(reference, sp.prefix))
			line.wire = sp.prefix;
	list_write(c->s, &line);
	return reply_ok(c, NULL, "Done");
}

/* False: answered. */
static bool
listing_begin(struct cmd *c)
{
	struct listing *l = arena_new(c->arena, 1, sizeof(*l));
	const char *why;

	why = list_arg_parse(c, &l->arg);
	if (why != NULL) {
		(void)reply_bad(c, why);
		return false;
	}
	if (l->arg.asks_root) {
		(void)tell_root(c, l->arg.reference);
		return false;
	}
	buf_init(&l->wire, MAILBOX_NAME_MAX_BYTES * 16);
	c->state = l;
	c->cleanup = listing_done;
	if (status_items_has(&l->arg.status, STATUS_HIGHESTMODSEQ))
		modseq_enable(c->s);
	return true;
}

static enum step
read_names(struct cmd *c, struct listing *l, struct err *e)
{
	bool both = (l->arg.select & SELECT_SUBSCRIBED) != 0;
	enum step step;

	if (l->is_read)
		return STEP_DONE;
	do
		step = store_list(c->s->store, both ? LIST_BOTH : LIST_EXISTING,
		    c->arena, &l->job, &l->at, e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	l->is_read = step == STEP_DONE;
	return step;
}

/* All names from l->at on. */
static enum step
tell_all(struct cmd *c, struct listing *l)
{
	/* However short a turn is, it gets one further. */
	for (bool any = false; l->at != NULL; any = true) {
		if (conn_is_full(c->s->conn) || (any && cmd_time_is_up(c)))
			return STEP_MORE;
		if (!l->in_status && list_one(c, l, l->at)) {
			tell_rights(c, l);
			tell_metadata(c, l);
			l->in_status = wants_status(l);
		}
		if (l->in_status && tell_status(c, l) == STEP_MORE)
			return STEP_MORE;
		l->in_status = false;
		l->at = l->at->next;
		l->number++;
	}
	return STEP_DONE;
}

enum step
cmd_list(struct cmd *c)
{
	struct listing *l;
	enum step step;
	struct err e;

	if (c->state == NULL && !listing_begin(c))
		return STEP_DONE;
	l = c->state;
	store_hear(c->s->store, conn_reads());
	step = read_names(c, l, &e);
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	if (step == STEP_DONE)
		step = look_below(c, l);
	if (step == STEP_DONE)
		step = tell_all(c, l);
	return step == STEP_MORE ? STEP_MORE : reply_ok(c, NULL, "Done");
}
