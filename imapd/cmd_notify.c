/* SPDX-License-Identifier: ISC */
/*
 * cmd_notify.c - NOTIFY.
 *
 * Owns:    what is wished for, until it takes its place in the session.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 5465 section 3.1.
 *
 * LIST --names--> STATES --of each mailbox--> tagged reply
 * Until then what was wished for before holds; a refused one changes nothing.
 */
#include "base/bounds.h"
#include "imapd/commands.h"
#include "imapd/notify_impl.h"
#include "imapd/reply.h"

/* Strings of the arguments, which stay as long as the wish. */
#define BYTES_MAX (128 * 1024)

struct notifying {
	struct notify *n;
};

static void
notifying_done(struct cmd *c)
{
	struct notifying *q = c->state;

	notify_wish_free(&q->n);
}

static bool
refuse(struct cmd *c, enum notify_arg_result result)
{
	struct buf b;

	switch (result) {
	case NOTIFY_ARG_BAD:
		(void)reply_bad(c, "Not a valid list of events");
		return true;
	case NOTIFY_ARG_EVENT:
		buf_init(&b, 1024);
		notify_arg_write_events(&b);
		(void)reply_no(c, arena_c(c->arena, buf_str(&b)),
		    "There are no such events here");
		buf_done(&b);
		return true;
	case NOTIFY_ARG_TOO_MUCH:
		(void)reply_no(
		    c, "NOTIFICATIONOVERFLOW", "That is too much to watch");
		return true;
	case NOTIFY_ARG_OK:
	default:
		return false;
	}
}

/* False: answered. */
static bool
notifying_begin(struct cmd *c)
{
	struct notifying *q = arena_new(c->arena, 1, sizeof(*q));
	enum notify_arg_result result = NOTIFY_ARG_TOO_MUCH;
	struct notify_arg *arg;
	struct arena *arena;

	q->n = notify_wish_new(c->s);
	c->state = q;
	c->cleanup = notifying_done;
	arg = notify_arg_of(q->n, &arena);
	if (imap_arg_bytes(c->args) <= BYTES_MAX)
		result = notify_arg_parse(
		    c->s, arena, imap_arg_copy(arena, c->args), arg);
	return !refuse(c, result);
}

static enum step
list(struct notify *n, struct cmd *c, struct err *e)
{
	struct mbox_entry *first;
	enum step step;

	do
		step = store_list(c->s->store, LIST_BOTH, &n->list_arena,
		    &n->list, &first, e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step != STEP_DONE)
		return step;
	list_job_free(&n->list);
	n->is_listed = true;
	step =
	    notify_take_list(n, first, false, e) == -1 ? STEP_FAIL : STEP_DONE;
	arena_reset(&n->list_arena);
	return step;
}

enum step
notify_prepare(struct notify *n, struct cmd *c, struct err *e)
{
	struct err ignored;
	enum step step;

	if (n->arg.n_groups == 0)
		return STEP_DONE;
	/* Names are watched before they are read. */
	n->wants_names = true;
	if (n->root == NULL &&
	    tree_get_names(c->s->store, STR(""), &n->root, &ignored) == 0)
		n->root_seen = tree_count(n->root);
	if (!n->is_listed) {
		step = list(n, c, e);
		if (step != STEP_DONE)
			return step;
	}
	n->cmd.s = c->s;
	for (bool any = false; n->at < n->boxes.n; n->at++, any = true) {
		if (conn_is_full(c->s->conn) || (any && cmd_time_is_up(c)) ||
		    notify_first_look(
			n, &n->boxes.v[n->at], n->arg.status, e) == STEP_MORE)
			return STEP_MORE;
		n->wants_messages = true;
	}
	n->at = 0;
	return STEP_DONE;
}

enum step
cmd_notify(struct cmd *c)
{
	struct notifying *q;
	struct err e;

	if (c->state == NULL && !notifying_begin(c))
		return STEP_DONE;
	q = c->state;
	switch (notify_prepare(q->n, c, &e)) {
	case STEP_MORE:
		return STEP_MORE;
	case STEP_FAIL:
		if (e.code == ERR_LIMIT)
			return reply_no(c, "NOTIFICATIONOVERFLOW",
			    "These are too many mailboxes");
		return reply_err(c, &e);
	case STEP_DONE:
	default:
		notify_begin(&q->n);
		return reply_ok(c, NULL, "Done");
	}
}
