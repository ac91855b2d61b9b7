/* SPDX-License-Identifier: ISC */
/*
 * cmd_copy.c - COPY, MOVE and their UID forms.
 *
 * Owns:    struct copy_state; the work itself is the store's copy_job.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 sections 6.4.7, 6.4.8; RFC 4315 (COPYUID), RFC 6851 (MOVE:
 *          COPYUID comes untagged, before the EXPUNGEs), RFC 2180 section 4.4;
 *          RFC 7162 section 3.2.8; RFC 9738.
 */
#include "imap/imap_set.h"
#include "imapd/commands.h"
#include "imapd/limit.h"
#include "imapd/modseq.h"
#include "imapd/name.h"
#include "imapd/notify.h"
#include "imapd/progress.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "store/view_modseq.h"

enum { SETS_MAX_BYTES = 1 << 22 };

struct copy_state {
	struct set32 uids;
	struct str dest;
	struct copy_job *job;
	struct copy_result result;
	uint64_t before; /* the source's mod-sequence */
	uint32_t limited; /* of MOVE: lowest UID of those moved; 0: all */
};

static void
copy_cleanup(struct cmd *c)
{
	struct copy_state *st = c->state;

	copy_job_free(&st->job);
	set32_done(&st->uids);
	set32_done(&st->result.from);
	set32_done(&st->result.to);
}

/* All or none: too many are refused. False: answered. */
static bool
may_copy(struct cmd *c, struct set32 *uids)
{
	uint32_t n = set32_count(uids);
	uint32_t limit = limit_save_exceeded(c->s, n);

	if (limit == 0)
		return true;
	(void)limit_refuse(c, limit, set32_at(uids, n - limit + 1));
	return false;
}

/* False: answered. */
static bool
copy_begin(struct cmd *c, bool move)
{
	const struct imap_arg *a = c->args;
	struct copy_state *st = arena_new(c->arena, 1, sizeof(*st));
	struct str set, wire;
	struct err e;

	c->state = st;
	c->cleanup = copy_cleanup;
	if (!imap_arg_atom(&a, &set) || !imap_arg_astring(&a, &wire) ||
	    !imap_arg_end(a)) {
		(void)reply_bad(c, "Message set and mailbox name expected");
		return false;
	}
	if (!session_parse_set(c, set, &st->uids)) {
		(void)reply_bad(c, session_set_fault(c, set));
		return false;
	}
	if (name_decode(c->s, c->arena, wire, &st->dest, &e) == -1) {
		(void)reply_err(c, &e);
		return false;
	}
	if (move && c->s->read_only) {
		(void)reply_no(c, "READ-ONLY", "Mailbox is read-only");
		return false;
	}
	st->before = view_highest_modseq(c->s->view);
	if (move) {
		st->limited = limit_cut(c->s, &st->uids);
		return true;
	}
	return may_copy(c, &st->uids);
}

/* "COPYUID 38505 304,319:320 3956:3958"; nothing was copied: nothing. */
static void
write_copyuid(struct buf *b, const struct copy_result *r)
{
	if (r->uidvalidity == 0 || set32_is_empty(&r->from))
		return;
	buf_addf(b, "COPYUID %u ", r->uidvalidity);
	imap_set_write(b, &r->from);
	buf_add_byte(b, ' ');
	imap_set_write(b, &r->to);
}

static enum step
copied(struct cmd *c, bool move)
{
	struct copy_state *st = c->state;
	struct buf b;
	enum step step;
	bool has_code;

	notify_own_messages(c->s, st->dest, &st->result.to);
	buf_init(&b, SETS_MAX_BYTES);
	write_copyuid(&b, &st->result);
	has_code = b.n > 0 && !buf_is_over(&b);
	if (has_code && move) {
		reply_begin(c->s);
		buf_addf(&c->s->out, "OK [%.*s] Moved", STR_ARG(buf_str(&b)));
		reply_end(c->s);
		has_code = false;
	}
	buf_add_byte(&b, '\0');
	if (move)
		step = limit_reply_ok(
		    c, st->limited, modseq_code(c, st->before), "Moved");
	else
		step = reply_ok(c, has_code ? b.p : NULL, "Copied");
	buf_done(&b);
	return step;
}

static enum step
copy(struct cmd *c, bool move)
{
	struct copy_state *st;
	enum step step;
	struct err e;

	if (c->state == NULL && !copy_begin(c, move))
		return STEP_DONE;
	st = c->state;
	do {
		step = view_copy(c->s->view, &st->uids, st->dest, move,
		    &st->job, &st->result, &e);
	} while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		progress_set(
		    c, copy_job_count(st->job), set32_count(&st->uids));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_DONE)
		return copied(c, move);
	if (e.code == ERR_NOT_FOUND)
		return reply_no(c, "TRYCREATE", "No such mailbox");
	return reply_err(c, &e);
}

enum step
cmd_copy(struct cmd *c)
{
	return copy(c, false);
}

enum step
cmd_move(struct cmd *c)
{
	return copy(c, true);
}
