/* SPDX-License-Identifier: ISC */
/*
 * cmd_append.c - APPEND, of one message or several.
 *
 * Owns:    struct append_state; the messages are append_job's.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 6.3.11, RFC 3502 (MULTIAPPEND), RFC 4315
 *          (APPENDUID).
 *
 * MESSAGES --append_job_step: all are there--> COMMIT --> tagged reply
 */
#include "imapd/append_job.h"
#include "imapd/commands.h"
#include "imapd/name.h"
#include "imapd/name_told.h"
#include "imapd/notify.h"
#include "imapd/reply.h"

enum { UIDS_MAX_BYTES = 1 << 20 };

struct append_state {
	struct append_job job;
	struct str wire; /* the mailbox's name as it came */
	struct set32 uids;
	bool is_complete;
};

static void
append_cleanup(struct cmd *c)
{
	struct append_state *st = c->state;

	append_job_done(&st->job);
	set32_done(&st->uids);
}

/* Makes it durable and says where it is. */
static enum step
commit(struct cmd *c, struct append_state *st)
{
	uint32_t uidvalidity;
	enum step step;
	struct buf b;
	struct err e;

	step = append_job_commit(c, &st->job, &uidvalidity, &st->uids, &e);
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return append_job_refuse(c, &e);
	notify_own_messages(c->s, st->job.name, &st->uids);
	if (name_told_is_other(c, st->job.name, st->wire))
		name_told_write(c->s, NULL, st->job.name, st->wire);
	buf_init(&b, UIDS_MAX_BYTES);
	append_job_write_uids(&b, uidvalidity, &st->uids);
	step = reply_ok(c, b.n > 0 ? b.p : NULL, "Append completed");
	buf_done(&b);
	return step;
}

/* False: answered. */
static bool
begin(struct cmd *c)
{
	const struct imap_arg *a = c->args;
	struct append_state *st;
	const char *why;
	struct str wire;
	struct err e;

	if (!imap_arg_astring(&a, &wire)) {
		(void)reply_bad(c, "Mailbox name expected");
		return false;
	}
	st = c->state = arena_new(c->arena, 1, sizeof(*st));
	st->wire = wire;
	c->cleanup = append_cleanup;
	append_job_init(&st->job, a);
	if (name_decode(c->s, c->arena, wire, &st->job.name, &e) == 0)
		return true;
	why = append_job_fault(c, a);
	if (why != NULL)
		(void)reply_bad(c, why);
	else
		(void)reply_err(c, &e);
	return false;
}

enum step
cmd_append(struct cmd *c)
{
	struct append_state *st;
	enum step step;

	if (c->state == NULL && !begin(c))
		return STEP_DONE;
	st = c->state;
	if (!st->is_complete) {
		step = append_job_step(c, &st->job, &st->is_complete);
		if (!st->is_complete)
			return step;
	}
	return commit(c, st);
}
