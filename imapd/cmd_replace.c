/* SPDX-License-Identifier: ISC */
/*
 * cmd_replace.c - REPLACE and UID REPLACE: a new message for an old one.
 *
 * Owns:    struct replace_state; the new message is append_job's.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 8508; RFC 7162 section 3.2.7 for the HIGHESTMODSEQ that follows
 *          from its section 4.5.
 *
 * MESSAGE --append_job_step--> COMMIT --durable--> REMOVE --> TELL --> reply
 *
 * The old message is removed when the new one is durable, never before, so that
 * whatever ends the process leaves one of them, or both. The client hears of
 * the new one first, and of the old one's end when all is done.
 */
#include "imapd/append_job.h"
#include "imapd/commands.h"
#include "imapd/modseq.h"
#include "imapd/name.h"
#include "imapd/notify.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "imapd/sync.h"
#include "store/view_modseq.h"

enum { UIDS_MAX_BYTES = 256 };

struct replace_state {
	struct append_job job;
	struct set32 uids; /* of the new message */
	uint32_t uidvalidity;
	uint32_t old; /* UID of the one that goes */
	uint32_t remove_at;
	uint64_t before; /* the selected mailbox's mod-sequence */
	enum replace_phase {
		REPLACE_MESSAGE,
		REPLACE_COMMIT,
		REPLACE_REMOVE,
		REPLACE_TELL,
	} phase;
};

static void
replace_cleanup(struct cmd *c)
{
	struct replace_state *st = c->state;

	append_job_done(&st->job);
	set32_done(&st->uids);
}

static void
on_opened(struct cmd *c, struct append *a)
{
	const struct replace_state *st = c->state;

	view_replaces(c->s->view, st->old, a);
}

/* ---- the arguments ------------------------------------------------------------- */

/* seq-number or uniqueid: one, and no "$". 0: an UID that is not there. */
static bool
number_arg(struct cmd *c, const struct imap_arg **a, uint32_t *uid)
{
	struct set32 one;
	struct str text;
	bool ok;

	if (!imap_arg_atom(a, &text) || text.n == 0 || text.p[0] == '$' ||
	    str_find(text, ',') < text.n || str_find(text, ':') < text.n)
		return false;
	set32_init(&one);
	ok = session_parse_set(c, text, &one);
	*uid = ok && !set32_is_empty(&one) ? set32_at(&one, 1) : 0;
	set32_done(&one);
	return ok;
}

static enum step
refuse_gone(struct cmd *c)
{
	return reply_no(c, "NONEXISTENT", "No such message");
}

/* False: answered. */
static bool
may_begin(struct cmd *c, const struct replace_state *st)
{
	struct err e;

	if (c->s->read_only) {
		(void)reply_no(c, "READ-ONLY", "Mailbox is read-only");
		return false;
	}
	if (st->old == 0) {
		(void)refuse_gone(c);
		return false;
	}
	if (view_can_remove(c->s->view, st->old, &e) == 0)
		return true;
	(void)reply_err(c, &e);
	return false;
}

/* False: answered. */
static bool
begin(struct cmd *c)
{
	const struct imap_arg *a = c->args;
	struct replace_state *st = arena_new(c->arena, 1, sizeof(*st));
	struct str wire;
	const char *why;
	struct err e;

	c->state = st;
	c->cleanup = replace_cleanup;
	append_job_init(&st->job, a);
	if (!number_arg(c, &a, &st->old) || !imap_arg_astring(&a, &wire)) {
		(void)reply_bad(c, "Message number and mailbox name expected");
		return false;
	}
	st->job.at = a;
	st->job.is_single = true;
	st->job.opened = on_opened;
	why = append_job_fault(c, a);
	if (why != NULL) {
		(void)reply_bad(c, why);
		return false;
	}
	if (name_decode(c->s, c->arena, wire, &st->job.name, &e) == -1) {
		(void)reply_err(c, &e);
		return false;
	}
	st->before = view_highest_modseq(c->s->view);
	return may_begin(c, st);
}

/* ---- what it does -------------------------------------------------------------- */

/* STEP_FAIL: answered. */
static enum step
take_message(struct cmd *c, struct replace_state *st)
{
	bool complete;
	enum step step = append_job_step(c, &st->job, &complete);
	struct err e;

	if (!complete)
		return step == STEP_DONE ? STEP_FAIL : step;
	/* Others may have removed it while the new one came. */
	if (view_can_remove(c->s->view, st->old, &e) == -1) {
		(void)reply_err(c, &e);
		return STEP_FAIL;
	}
	return STEP_DONE;
}

/* Untagged, before what it brings with it (RFC 8508 section 4.3). */
static void
tell_uid(struct cmd *c, const struct replace_state *st)
{
	struct buf b;

	buf_init(&b, UIDS_MAX_BYTES);
	append_job_write_uids(&b, st->uidvalidity, &st->uids);
	if (b.n > 0)
		reply_untagged(c->s, "OK [%s] The new message is there", b.p);
	buf_done(&b);
}

static enum step
commit(struct cmd *c, struct replace_state *st)
{
	struct err e;
	enum step step =
	    append_job_commit(c, &st->job, &st->uidvalidity, &st->uids, &e);

	if (step == STEP_DONE) {
		notify_own_messages(c->s, st->job.name, &st->uids);
		tell_uid(c, st);
	}
	if (step == STEP_FAIL)
		(void)append_job_refuse(c, &e);
	return step;
}

/* What is gone by now is gone as it should. */
static enum step
remove_old(struct cmd *c, struct replace_state *st)
{
	struct set32 old;
	enum step step;
	struct err e;

	set32_init(&old);
	set32_add(&old, st->old);
	do
		step = view_remove(c->s->view, &old, &st->remove_at, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	set32_done(&old);
	if (step == STEP_FAIL)
		(void)reply_err(c, &e);
	return step;
}

static enum step
advance(struct cmd *c, struct replace_state *st)
{
	switch (st->phase) {
	case REPLACE_MESSAGE:
		return take_message(c, st);
	case REPLACE_COMMIT:
		return commit(c, st);
	case REPLACE_REMOVE:
		return remove_old(c, st);
	case REPLACE_TELL:
		break;
	}
	return sync_tell_arrivals(c);
}

enum step
cmd_replace(struct cmd *c)
{
	struct replace_state *st;
	enum step step;

	if (c->state == NULL && !begin(c))
		return STEP_DONE;
	st = c->state;
	for (;;) {
		step = advance(c, st);
		if (step == STEP_FAIL)
			return STEP_DONE;
		if (step == STEP_MORE)
			return STEP_MORE;
		if (st->phase == REPLACE_TELL)
			return reply_ok(
			    c, modseq_code(c, st->before), "Replaced");
		st->phase++;
	}
}
