/* SPDX-License-Identifier: ISC */
/*
 * cmd_esearch.c - ESEARCH: one search in many mailboxes.
 *
 * Owns:    nothing but the command's state: one other mailbox at a time.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 7377. What can not be opened is passed over, as the RFC wants
 *          it for those without the right to.
 *
 * LIST --names--> NEXT --a mailbox meant--> OPEN --> RUN --answer--> NEXT
 *                 NEXT --no more--> tagged reply
 *
 * Keys are read anew for each mailbox, because keywords and sequence numbers
 * mean something else in each: as by a session that has it selected.
 */
#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/mbox_filter.h"
#include "imapd/modseq.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "imapd/search_arg.h"
#include "imapd/search_run.h"

struct esearch {
	struct mbox_filter *filters;
	size_t n_filters;
	bool selected, others; /* what they speak of */
	struct search_return ret;
	const struct imap_arg *keys;
	struct list_job *list;
	bool is_listed, selected_done;
	const char *unreadable; /* code: why something was left out */
	struct mbox_entry *at; /* the next one to be looked at */
	struct str here; /* name of the selected one */
	struct str name; /* of the one being searched */
	struct view *view; /* it is opened, unless it is the selected one */
	bool is_here, in_open, in_run, in_answer, has_context;
	struct session session; /* as if it were selected */
	struct cmd cmd;
	struct search_run run;
	struct arena_mark mark;
};

static void
leave_mailbox(struct cmd *c)
{
	struct esearch *q = c->state;

	search_run_done(&q->run);
	q->run = (struct search_run){0};
	view_close(&q->view);
	q->in_open = q->in_run = q->in_answer = false;
}

static void
esearch_cleanup(struct cmd *c)
{
	struct esearch *q = c->state;

	leave_mailbox(c);
	list_job_free(&q->list);
}

/* ---- arguments ------------------------------------------------------------- */

/* esearch-source-opts; there are no scope-options yet. */
static bool
sources_parse(struct cmd *c, const struct imap_arg **a, struct esearch *q)
{
	const struct imap_arg *list;
	size_t n = 0;

	if (!imap_arg_word(a, "IN")) {
		q->selected = true;
		return true;
	}
	if (!imap_arg_list(a, &list) || imap_arg_end(list))
		return false;
	for (const struct imap_arg *i = list; !imap_arg_end(i); i++)
		n++;
	q->filters = arena_new(c->arena, n, sizeof(*q->filters));
	while (!imap_arg_end(list)) {
		struct mbox_filter *f = &q->filters[q->n_filters++];

		if (!mbox_filter_parse(c->s, c->arena, &list,
			FILTER_SELECTED | FILTER_OTHERS, f))
			return false;
		if (f->kind == FILTER_SELECTED)
			q->selected = true;
		else
			q->others = true;
	}
	return true;
}

/* Reads the keys for one mailbox, or for none (view NULL) to judge them. */
static enum search_arg_result
keys_parse(struct cmd *c, struct esearch *q, struct view *v)
{
	const struct imap_arg *a = q->keys;
	enum search_arg_result result;
	struct query *query = NULL;
	struct err e;

	q->session = *c->s;
	q->session.view = v;
	q->session.condstore = true; /* nothing is told of another mailbox */
	if (v != c->s->view)
		q->session.saved = (struct set32){0};
	q->cmd = *c;
	q->cmd.s = &q->session;
	q->cmd.uid = true;
	result = search_arg_parse(&q->cmd, &a, &query);
	if (result != SEARCH_ARG_OK)
		return result;
	if (query_plan(query, &e) == -1)
		result = SEARCH_ARG_SYNTAX;
	else if (query_has(query, QUERY_MODSEQ))
		modseq_enable(c->s);
	query_done(query);
	return result;
}

/* NULL, or why it is BAD. */
static const char *
args_parse(struct cmd *c, struct esearch *q)
{
	const struct imap_arg *a = c->args;

	if (!sources_parse(c, &a, q))
		return "Mailboxes to be searched expected";
	if (!search_return_parse(&a, &q->ret))
		return "Unknown or misplaced search result option";
	if (q->selected && c->s->view == NULL)
		return "No mailbox selected";
	if ((q->ret.options & SEARCH_SAVE) != 0 && q->others)
		return "SAVE needs the selected mailbox alone";
	if (!q->ret.is_given)
		q->ret.options = SEARCH_ALL;
	q->keys = a;
	return NULL;
}

/* False: answered. */
static bool
esearch_begin(struct cmd *c)
{
	struct esearch *q = arena_new(c->arena, 1, sizeof(*q));
	const char *why = args_parse(c, q);

	c->state = q;
	c->cleanup = esearch_cleanup;
	if (c->s->view != NULL)
		q->here = mailbox_full_name(view_mailbox(c->s->view), c->arena);
	if (why != NULL) {
		(void)reply_bad(c, why);
		return false;
	}
	if (!context_check(c, &q->ret))
		return false;
	switch (keys_parse(c, q, q->others ? NULL : c->s->view)) {
	case SEARCH_ARG_SYNTAX:
		(void)reply_bad(c, "Error in the search keys");
		return false;
	case SEARCH_ARG_NUMBERS:
		(void)reply_uid_required(c);
		return false;
	case SEARCH_ARG_CHARSET:
		if ((q->ret.options & SEARCH_SAVE) != 0)
			set32_clear(&c->s->saved);
		(void)reply_no(c, "BADCHARSET (US-ASCII UTF-8)",
		    "That charset is not known here");
		return false;
	case SEARCH_ARG_OK:
	default:
		q->mark = arena_mark(c->arena);
		return true;
	}
}

/* ---- mailboxes ------------------------------------------------------------- */

static bool
is_meant(struct cmd *c, struct esearch *q, const struct mbox_entry *m)
{
	if (!mbox_filter_selectable(m))
		return false;
	for (size_t i = 0; i < q->n_filters; i++)
		if (mbox_filter_matches(c->s, &q->filters[i], m, &q->name))
			return true;
	return false;
}

static enum step
read_names(struct cmd *c, struct esearch *q, struct err *e)
{
	enum step step;

	if (q->is_listed || !q->others)
		return STEP_DONE;
	do
		step = store_list(
		    c->s->store, LIST_BOTH, c->arena, &q->list, &q->at, e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_DONE) {
		q->is_listed = true;
		q->mark = arena_mark(c->arena);
	}
	return step;
}

/* q->name is the next mailbox; false: there is none. */
static bool
next_mailbox(struct cmd *c, struct esearch *q)
{
	if (q->selected && !q->selected_done) {
		q->selected_done = true;
		q->is_here = true;
		q->name = q->here;
		return true;
	}
	for (; q->at != NULL; q->at = q->at->next) {
		q->is_here = c->s->view != NULL && str_eq(q->at->name, q->here);
		if (!is_meant(c, q, q->at) || (q->selected_done && q->is_here))
			continue;
		q->at = q->at->next;
		return true;
	}
	return false;
}

/* The selected one is looked at as its session sees it. */
static enum step
open_mailbox(struct cmd *c, struct esearch *q, struct view **out)
{
	enum step step;
	struct err e;

	*out = c->s->view;
	if (q->is_here)
		return STEP_DONE;
	do
		step = view_open(c->s->store, q->name, true, &q->view, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	*out = q->view;
	if (step == STEP_FAIL && e.code != ERR_NOT_FOUND &&
	    e.code != ERR_PERM && e.code != ERR_GONE)
		q->unreadable = reply_code(&e);
	return step;
}

static void
begin_answer(struct cmd *c, struct esearch *q, const struct search_found *f)
{
	const struct mailbox *m = view_mailbox(q->session.view);
	struct buf *b = &q->run.answer.line;

	if (q->is_here && (q->selected || q->others)) {
		context_add(c,
		    &(struct context_wish){.ret = &q->ret,
			.keys = q->keys,
			.is_esearch = true,
			.found = &q->run.found});
		q->has_context = true;
	}
	search_run_save(c, &q->run, f);
	q->in_answer = true;
	if (set32_is_empty(&q->run.found) ||
	    (q->ret.options & ~(unsigned)SEARCH_NO_RESULT) == 0)
		return;
	buf_addf(b, "* ESEARCH (TAG \"%.*s\" MAILBOX ", STR_ARG(c->tag));
	name_write(c->s, b, q->name);
	buf_addf(b, " UIDVALIDITY %u)", mailbox_uidvalidity(m));
}

static enum step
tell_found(struct cmd *c, struct esearch *q)
{
	struct search_found f = {.uids = &q->run.found};
	struct search_answer *a = &q->run.answer;

	if (!q->in_answer)
		begin_answer(c, q, &f);
	if (a->line.n == 0)
		return STEP_DONE;
	if (search_answer_step(a, c, true, &q->ret, &f, q->run.modseq) ==
	    STEP_MORE)
		return STEP_MORE;
	session_send(c->s);
	conn_write_str(c->s->conn, buf_str(&a->line));
	return STEP_DONE;
}

/* One mailbox, from its opening to its answer. */
static enum step
search_mailbox(struct cmd *c, struct esearch *q)
{
	enum step step = STEP_DONE;
	struct view *v;

	if (!q->in_run) {
		q->in_open = true;
		step = open_mailbox(c, q, &v);
		if (step == STEP_MORE)
			return STEP_MORE;
		q->in_open = false;
	}
	if (step == STEP_DONE && !q->in_run) {
		if (keys_parse(c, q, v) != SEARCH_ARG_OK ||
		    !search_run_begin(&q->cmd, &q->run, q->keys, false)) {
			leave_mailbox(c);
			return STEP_DONE;
		}
		q->in_run = true;
	}
	if (step == STEP_DONE) {
		struct search_found f = {.uids = &q->run.found};

		if (!q->in_answer && search_run_step(c, &q->run) == STEP_MORE)
			return STEP_MORE;
		q->run.ret = q->ret;
		if (search_run_modseq(c, &q->run, &f) == STEP_MORE)
			return STEP_MORE;
		if (q->run.unreadable != NULL)
			q->unreadable = q->run.unreadable;
		if (tell_found(c, q) == STEP_MORE)
			return STEP_MORE;
	}
	leave_mailbox(c);
	arena_rewind(c->arena, q->mark);
	return STEP_DONE;
}

enum step
cmd_esearch(struct cmd *c)
{
	struct esearch *q;
	struct err e;

	if (c->state == NULL && !esearch_begin(c))
		return STEP_DONE;
	q = c->state;
	switch (read_names(c, q, &e)) {
	case STEP_MORE:
		return STEP_MORE;
	case STEP_FAIL:
		return reply_err(c, &e);
	case STEP_DONE:
		break;
	}
	while (q->in_open || q->in_run || next_mailbox(c, q)) {
		if (search_mailbox(c, q) == STEP_MORE)
			return STEP_MORE;
		if (conn_is_full(c->s->conn) || cmd_time_is_up(c))
			return STEP_MORE;
	}
	/* UPDATE is of the selected mailbox alone (RFC 7377 section 2.2). */
	if (!q->has_context)
		context_add(c,
		    &(struct context_wish){.ret = &q->ret, .is_partial = true});
	if (q->unreadable == NULL)
		return reply_ok(c, NULL, "ESEARCH completed");
	if ((q->ret.options & SEARCH_SAVE) != 0)
		set32_clear(&c->s->saved);
	return reply_no(c, q->unreadable,
	    "Some messages could not be read and were left out");
}
