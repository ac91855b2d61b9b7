/* SPDX-License-Identifier: ISC */
/*
 * cmd_status.c - STATUS.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 6.3.10.
 */
#include "imapd/commands.h"
#include "imapd/modseq.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "imapd/status_item.h"

struct asking {
	struct str name;
	struct status_items items;
	struct status_job *job;
};

static void
asking_done(struct cmd *c)
{
	struct asking *q = c->state;

	status_job_free(&q->job);
}

/* False: answered. */
static bool
asking_begin(struct cmd *c)
{
	const struct imap_arg *a = c->args, *list;
	struct asking *q = arena_new(c->arena, 1, sizeof(*q));
	struct str wire;
	struct err e;

	c->state = q;
	c->cleanup = asking_done;
	if (!imap_arg_astring(&a, &wire) || !imap_arg_list(&a, &list) ||
	    !imap_arg_end(a) || !status_items_parse(list, &q->items)) {
		(void)reply_bad(c, "Mailbox name and status items expected");
		return false;
	}
	if (status_items_has(&q->items, STATUS_HIGHESTMODSEQ))
		modseq_enable(c->s);
	if (name_decode(c->s, c->arena, wire, &q->name, &e) == 0)
		return true;
	(void)reply_err(c, &e);
	return false;
}

enum step
cmd_status(struct cmd *c)
{
	struct mailbox_status st = {0};
	struct asking *q;
	enum step step;
	struct err e;

	if (c->state == NULL && !asking_begin(c))
		return STEP_DONE;
	q = c->state;
	store_hear(c->s->store, conn_reads());
	do
		step = store_status(
		    c->s->store, q->name, q->items.with_size, &q->job, &st, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	status_items_write(c->s, q->name, &q->items, &st);
	return reply_ok(c, NULL, "Done");
}
