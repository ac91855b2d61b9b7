/* SPDX-License-Identifier: ISC */
/*
 * cmd_expunge.c - EXPUNGE and UID EXPUNGE.
 *
 * Owns:    struct expunge_state.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 6.4.3, RFC 4315 section 2.1; RFC 7162 sections
 *          3.2.7, 3.2.9 (HIGHESTMODSEQ).
 */
#include "imapd/commands.h"
#include "imapd/modseq.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "store/view_modseq.h"

struct expunge_state {
	struct set32 uids;
	uint32_t at;
	uint64_t before; /* the mailbox's mod-sequence */
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
	}
	do {
		step = view_expunge(
		    c->s->view, c->uid ? &st->uids : NULL, &st->at, &e);
	} while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	return reply_ok(c, modseq_code(c, st->before), "Expunged");
}
