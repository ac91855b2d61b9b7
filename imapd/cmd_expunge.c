/* SPDX-License-Identifier: ISC */
/*
 * cmd_expunge.c - EXPUNGE and UID EXPUNGE.
 *
 * Owns:    struct expunge_state.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 6.4.3, RFC 4315 section 2.1; RFC 7162 sections
 *          3.2.7, 3.2.9 (HIGHESTMODSEQ); RFC 9738.
 */
#include "imapd/commands.h"
#include "imapd/limit.h"
#include "imapd/modseq.h"
#include "imapd/progress.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "store/view_modseq.h"

struct expunge_state {
	struct set32 uids;
	uint32_t at;
	uint64_t before; /* the mailbox's mod-sequence */
	bool is_fresh, in_count; /* with a limit: limit.h */
	uint32_t pos; /* of st->uids, going down */
	uint32_t n_deleted;
	uint32_t lowest; /* of those counted */
	uint32_t limited; /* lowest UID of those removed; 0: all */
};

static void
expunge_cleanup(struct cmd *c)
{
	struct expunge_state *st = c->state;

	set32_done(&st->uids);
}

static bool
expunge_parse(struct cmd *c, struct expunge_state *st)
{
	const struct imap_arg *a = c->args;
	struct str set;

	if (c->uid &&
	    (!imap_arg_atom(&a, &set) || !session_parse_set(c, set, &st->uids)))
		return false;
	return imap_arg_end(a);
}

/*
 * Those that are \Deleted count: the highest ones stay in the set, as many as
 * the limit allows. Only UID EXPUNGE has one.
 */
static enum step
cut_deleted(struct cmd *c, struct expunge_state *st, struct err *e)
{
	uint32_t uid;
	struct flags f;
	enum step step;

	if (!st->is_fresh) {
		step = view_refresh(c->s->view, e);
		if (step != STEP_DONE)
			return step;
		st->is_fresh = true;
		st->pos = set32_count(&st->uids);
	}
	/* However short a turn is, it gets one further. */
	for (bool any = false; st->pos > 0; st->pos--, any = true) {
		if (any && cmd_time_is_up(c))
			return STEP_MORE;
		uid = set32_at(&st->uids, st->pos);
		if (!view_flags(c->s->view, uid, &f) ||
		    (f.system & FLAG_DELETED) == 0)
			continue;
		if (limit_exceeded(c->s, ++st->n_deleted) != 0)
			break;
		st->lowest = uid;
	}
	st->in_count = false;
	if (st->pos == 0)
		return STEP_DONE;
	st->limited = st->lowest;
	set32_remove_range(&st->uids, 0, st->lowest - 1);
	return STEP_DONE;
}

enum step
cmd_expunge(struct cmd *c)
{
	struct expunge_state *st = c->state;
	enum step step;
	struct err e;

	if (st == NULL) {
		st = c->state = arena_new(c->arena, 1, sizeof(*st));
		c->cleanup = expunge_cleanup;
		if (!expunge_parse(c, st))
			return reply_bad(c,
			    c->uid ? "UID set expected"
				   : "No arguments expected");
		if (c->s->read_only)
			return reply_no(c, "READ-ONLY", "Mailbox is read-only");
		st->before = view_highest_modseq(c->s->view);
		st->in_count =
		    c->uid && limit_exceeded(c->s, set32_count(&st->uids)) != 0;
	}
	if (st->in_count) {
		step = cut_deleted(c, st, &e);
		if (step == STEP_FAIL)
			return reply_err(c, &e);
		if (step == STEP_MORE)
			return STEP_MORE;
	}
	do {
		step = view_expunge(
		    c->s->view, c->uid ? &st->uids : NULL, &st->at, &e);
	} while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE && c->uid)
		progress_set(c, set32_count_le(&st->uids, st->at),
		    set32_count(&st->uids));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	return limit_reply_ok(
	    c, st->limited, modseq_code(c, st->before), "Expunged");
}
