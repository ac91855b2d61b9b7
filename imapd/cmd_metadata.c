/* SPDX-License-Identifier: ISC */
/*
 * cmd_metadata.c - GETMETADATA, SETMETADATA.
 *
 * Owns:    nothing that lasts.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; the store judges names of mailboxes and rights.
 * Spec:    RFC 5464 sections 4.2, 4.3; RFC 6154 section 4.
 */
#include "imapd/commands.h"
#include "imapd/metadata.h"
#include "imapd/name.h"
#include "imapd/name_told.h"
#include "imapd/notify.h"
#include "imapd/reply.h"
#include "imapd/session.h"

/* A mailbox, or "" for the server. False: answered. */
static bool
mailbox_arg(struct cmd *c, const struct imap_arg **a, struct str *name)
{
	const struct imap_arg *first = *a;
	struct str text;

	if (imap_arg_astring(&first, &text) && text.n == 0) {
		*a = first;
		*name = STR("");
		return true;
	}
	return name_arg(c, a, name);
}

/* NO [METADATA MAXSIZE n] and the like. */
static enum step
refuse(struct cmd *c, const struct err *e, const struct meta_job *job)
{
	if (e->code == ERR_LIMIT && job != NULL && job->too_large > 0)
		return reply_no(c,
		    arena_printf(
			c->arena, "METADATA MAXSIZE %u", job->too_large)
			.p,
		    "The value is too large");
	if (e->code == ERR_LIMIT && job != NULL)
		return reply_no(c, "METADATA TOOMANY", "Too many annotations");
	if (e->code == ERR_UNSUPPORTED)
		return reply_no(c, "USEATTR", "No such special use here");
	if (e->code == ERR_PERM)
		return reply_no(c, "NOPERM", "This can not be changed");
	return reply_err(c, e);
}

/* ---- GETMETADATA ----------------------------------------------------------- */

struct getting {
	struct str mailbox;
	struct meta_query q;
	struct name_told told; /* its special uses stand in the list of all */
	bool is_asked; /* for them, or for whether it will be there */
	bool is_loaded;
	struct meta_entry *all;
};

static void
getting_done(struct cmd *c)
{
	struct getting *g = c->state;

	name_told_done(&g->told);
}

static bool
options_parse(const struct imap_arg *a, struct meta_query *q)
{
	while (!imap_arg_end(a)) {
		if (imap_arg_word(&a, "MAXSIZE")) {
			if (!imap_arg_u32(&a, 0, &q->max_bytes))
				return false;
		} else if (!imap_arg_word(&a, "DEPTH")) {
			return false;
		} else if (imap_arg_word(&a, "0")) {
			q->depth = 0;
		} else if (imap_arg_word(&a, "1")) {
			q->depth = 1;
		} else if (imap_arg_word(&a, "infinity")) {
			q->depth = META_DEPTH_ALL;
		} else {
			return false;
		}
	}
	return true;
}

/*
 * Options stand before the mailbox in the grammar and behind it in the RFC's
 * examples, entries in parentheses or not: all of it is taken. False: answered.
 */
static bool
getting_parse(struct cmd *c, struct getting *g)
{
	const struct imap_arg *a = c->args, *list;
	bool has_options = imap_arg_list(&a, &list);

	g->q.max_bytes = UINT32_MAX;
	if (has_options && !options_parse(list, &g->q)) {
		(void)reply_bad(c, "Unknown option");
		return false;
	}
	if (!mailbox_arg(c, &a, &g->mailbox))
		return false;
	if (!has_options && a->type == IMAP_ARG_LIST && !imap_arg_end(a + 1)) {
		(void)imap_arg_list(&a, &list);
		if (!options_parse(list, &g->q)) {
			(void)reply_bad(c, "Unknown option");
			return false;
		}
	}
	list = a;
	if (imap_arg_list(&a, &list) && !imap_arg_end(a)) {
		(void)reply_bad(c, "No more arguments expected");
		return false;
	}
	if (metadata_entries_parse(c, list, &g->q))
		return true;
	(void)reply_bad(c, "Entry names expected");
	return false;
}

static enum step
getting_answer(struct cmd *c, struct getting *g, unsigned uses)
{
	if (g->mailbox.n == 0)
		g->all = metadata_server(c, g->all);
	metadata_write(c->s, g->mailbox, &g->q, g->all, uses);
	if (g->q.longest == 0)
		return reply_ok(c, NULL, "Done");
	return reply_ok(c,
	    arena_printf(c->arena, "METADATA LONGENTRIES %u", g->q.longest).p,
	    "Done");
}

enum step
cmd_getmetadata(struct cmd *c)
{
	const struct mbox_entry *m = NULL;
	struct getting *g = c->state;
	struct err e;

	if (g == NULL) {
		g = arena_new(c->arena, 1, sizeof(*g));
		if (!getting_parse(c, g))
			return STEP_DONE;
		c->state = g;
		c->cleanup = getting_done;
		g->is_loaded = meta_load(c->s->store, g->mailbox, c->arena,
				   &g->all, &e) == 0;
		if (!g->is_loaded && e.code != ERR_NOT_FOUND)
			return refuse(c, &e, NULL);
		g->is_asked = g->mailbox.n > 0 &&
		    (!g->is_loaded ||
			metadata_asks_for(&g->q, STR("/private/specialuse")));
	}
	if (g->is_asked &&
	    name_told_find(c, &g->told, g->mailbox, &m) == STEP_MORE)
		return STEP_MORE;
	/* One that is made on first use is listed, and has nothing yet. */
	if (!g->is_loaded && (m == NULL || (m->attrs & MBOX_ON_FIRST_USE) == 0))
		return reply_no(c, "NONEXISTENT", "No such mailbox");
	return getting_answer(c, g, m == NULL ? 0 : m->uses);
}

/* ---- SETMETADATA ----------------------------------------------------------- */

struct setting {
	struct str mailbox;
	struct status_job *making, *noting;
	bool is_made; /* if it is to be made on first use, it is */
	bool is_set; /* what is left is its mod-sequence */
	struct meta_entry *first;
	struct meta_job job;
};

/* value = nstring / literal8 */
static bool
value_arg(const struct imap_arg **a, struct str *value)
{
	if ((*a)->type == IMAP_ARG_LITERAL && (*a)->binary) {
		*value = (*a)->s;
		if (value->p == NULL)
			value->p = "";
		(*a)++;
		return true;
	}
	return imap_arg_nstring(a, value);
}

/* NULL, or why it is BAD. */
static const char *
entries_parse(struct cmd *c, const struct imap_arg *a, struct setting *g)
{
	struct meta_entry **tail = &g->first;
	struct str name, value;

	while (!imap_arg_end(a)) {
		if (!imap_arg_astring(&a, &name) || !value_arg(&a, &value))
			return "Entry names with values expected";
		if (!meta_name_is_valid(name) || !meta_name_is_complete(name))
			return "Not the name of an entry";
		*tail = arena_new(c->arena, 1, sizeof(**tail));
		(*tail)->name = name;
		(*tail)->value = value;
		tail = &(*tail)->next;
	}
	return g->first == NULL ? "Entry names with values expected" : NULL;
}

/* False: answered. */
static bool
setting_parse(struct cmd *c, struct setting *g)
{
	const struct imap_arg *a = c->args, *list;
	const char *why;

	if (!mailbox_arg(c, &a, &g->mailbox))
		return false;
	if (!imap_arg_list(&a, &list) || !imap_arg_end(a))
		why = "A list of entries and values expected";
	else
		why = entries_parse(c, list, g);
	if (why != NULL)
		(void)reply_bad(c, why);
	return why == NULL;
}

static void
setting_done(struct cmd *c)
{
	struct setting *g = c->state;

	status_job_free(&g->making);
	status_job_free(&g->noting);
}

/* What LIST shows and is made on first use is made now. */
static enum step
make_mailbox(struct cmd *c, struct setting *g)
{
	struct mailbox_status st;
	enum step step;
	struct err e;

	do
		step = store_status(
		    c->s->store, g->mailbox, false, &g->making, &st, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	g->is_made = step != STEP_MORE;
	return step;
}

static enum step
set_entries(struct cmd *c, struct setting *g, struct err *e)
{
	enum step step =
	    meta_change(c->s->store, &g->job, g->mailbox, g->first, c->s, e);

	if (step != STEP_FAIL || e->code != ERR_NOT_FOUND || g->is_made ||
	    g->mailbox.n == 0)
		return step;
	if (make_mailbox(c, g) == STEP_MORE)
		return STEP_MORE;
	return meta_change(c->s->store, &g->job, g->mailbox, g->first, c->s, e);
}

/*
 * RFC 7162 section 3.2: the mailbox is newer. Not one that can not be
 * selected, nor one that we may not read.
 */
static enum step
note_change(struct cmd *c, struct setting *g)
{
	enum step step;
	struct err e;

	if (g->mailbox.n == 0)
		return STEP_DONE;
	do
		step = store_note_annotation(
		    c->s->store, g->mailbox, &g->noting, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	return step;
}

enum step
cmd_setmetadata(struct cmd *c)
{
	struct setting *g = c->state;
	enum step step;
	struct err e;

	if (g == NULL) {
		g = arena_new(c->arena, 1, sizeof(*g));
		if (!setting_parse(c, g))
			return STEP_DONE;
		c->state = g;
		c->cleanup = setting_done;
	}
	if (g->making != NULL && !g->is_made && make_mailbox(c, g) == STEP_MORE)
		return STEP_MORE;
	if (!g->is_set) {
		step = set_entries(c, g, &e);
		if (step == STEP_FAIL)
			return refuse(c, &e, &g->job);
		if (step == STEP_MORE)
			return STEP_MORE;
		g->is_set = true;
		metadata_own(c->s, g->mailbox, g->first);
		notify_metadata(c->s, g->mailbox, g->first);
	}
	if (note_change(c, g) == STEP_MORE)
		return STEP_MORE;
	return reply_ok(c, NULL, "Done");
}
