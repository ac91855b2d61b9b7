/* SPDX-License-Identifier: ISC */
/*
 * cmd_fetch.c - FETCH and UID FETCH, one message after the other.
 *
 * Owns:    the message it has open.
 * Runs in: imapd.
 * Trusts:  nothing in arguments or messages.
 * Spec:    RFC 3501 sections 6.4.5, 6.4.8 and 7.4.2; RFC 2180 section 4.1
 *          (messages that vanish are left out, and the answer says NO);
 *          RFC 5530 (EXPUNGEISSUED); RFC 7162 sections 3.1.4, 3.2.6;
 *          RFC 8474 (EMAILID, THREADID), RFC 8970 (PREVIEW), RFC 3516
 *          (BINARY, UNKNOWN-CTE), RFC 9586 section 3.3 (UIDFETCH).
 *
 * CHOOSE --those that CHANGEDSINCE leaves--> KNOWN
 * KNOWN --fetch_known, those that need not be opened--> NEXT
 *	NEXT --next_message--> OPEN --read--> ITEMS
 *	                       ITEMS --fetch_item_step, last--> KNOWN
 *	NEXT --no more--> tagged reply
 */
#include "base/bounds.h"
#include "base/clock.h"
#include "base/log.h"
#include "imap/imap_set.h"
#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/limit.h"
#include "imapd/fetch_cache.h"
#include "imapd/fetch_facts.h"
#include "imapd/fetch_job.h"
#include "imapd/modseq.h"
#include "imapd/progress.h"
#include "imapd/reply.h"
#include "imapd/resync.h"
#include "imapd/session.h"
#include "imapd/sync.h"
#include "store/msg_keys.h"
#include "store/view_modseq.h"

#define SCRATCH_MAX (128 * 1024)
/* Messages that are asked for their mod-sequence between looks at the clock. */
#define LOOKS 256

static void
release(struct cmd *c)
{
	struct fetch *f = c->state;

	msg_close(&f->msg);
	set32_done(&f->uids);
	set32_done(&f->changed);
	buf_done(&f->scratch);
	buf_done(&f->fields);
	buf_done(&f->sizes);
}

/* From the highest on, if some are left out (RFC 9738). */
static void
turn_down(struct fetch *f)
{
	if (f->limited == 0)
		return;
	f->down = set32_count(&f->uids);
	f->at_end = f->down == 0;
}

/* The next message of those that are to be answered, into f->uid. */
static bool
find_next(struct fetch *f)
{
	if (f->at_end)
		return false;
	if (f->limited == 0)
		return set32_next(&f->uids, f->uid, &f->uid);
	f->uid = set32_at(&f->uids, f->down);
	return true;
}

/* VANISHED (EARLIER) for the UIDs as the client gave them. */
static bool
tell_vanished(struct cmd *c, const struct fetch *f, struct str set)
{
	struct view *v = c->s->view;
	struct set32 asked;
	bool ok;

	set32_init(&asked);
	if (str_eq(set, STR("$")))
		return true; /* what has vanished is not in it */
	ok = imap_set_parse(set, mailbox_uidnext(view_mailbox(v)) - 1,
	    IMAP_SET_RANGES_MAX, &asked);
	if (ok)
		resync_write_vanished(c->s, f->plan.changed_since, &asked, 0);
	set32_done(&asked);
	return ok;
}

/* What the plan means for mod-sequences; false: not allowed here. */
static bool
begin_modseq(struct cmd *c, const struct fetch *f, struct str set)
{
	if (f->plan.vanished && (!c->uid || !c->s->qresync))
		return false;
	if (f->plan.has_modseq)
		modseq_enable(c->s);
	return !f->plan.vanished || tell_vanished(c, f, set);
}

/* Only a part of them; CHANGEDSINCE looks at what is left (RFC 9394 3.4). */
static void
cut_partial(struct fetch *f)
{
	uint32_t first, last, n = set32_count(&f->uids);

	if (!partial_range_cut(&f->plan.partial, n, &first, &last)) {
		set32_clear(&f->uids);
		return;
	}
	if (last < n)
		set32_remove_range(
		    &f->uids, set32_at(&f->uids, last + 1), UINT32_MAX);
	if (first > 1)
		set32_remove_range(&f->uids, 0, set32_at(&f->uids, first - 1));
}

/*
 * Only the highest ones, when there are too many; they are answered from the
 * highest down then. False: answered.
 */
static bool
cut_limit(struct cmd *c, struct fetch *f)
{
	const struct partial_range *p = &f->plan.partial;

	if (f->plan.has_partial &&
	    limit_exceeded(c->s, p->last - p->first + 1) != 0) {
		(void)limit_refuse(c, c->s->message_limit, 0);
		return false;
	}
	if (f->plan.has_partial)
		cut_partial(f);
	f->limited = limit_cut(c->s, &f->uids);
	return true;
}

static struct fetch *
new_fetch(struct cmd *c)
{
	struct fetch *f = arena_new(c->arena, 1, sizeof(*f));

	set32_init(&f->uids);
	buf_init(&f->scratch, SCRATCH_MAX);
	buf_init(&f->fields, SIZE_MAX / 2);
	buf_init(&f->sizes, SIZE_MAX / 2);
	c->state = f;
	c->cleanup = release;
	return f;
}

static void
begin_plan(struct cmd *c, struct fetch *f)
{
	fetch_facts_prepare(&f->plan);
	f->is_known = f->limited == 0 && fetch_facts_suffice(&f->plan);
	f->mark = arena_mark(c->arena);
}

/* NULL after the tagged reply is written. */
static struct fetch *
start(struct cmd *c)
{
	struct fetch *f = new_fetch(c);
	const struct imap_arg *a = c->args;
	struct str set = STR("");

	if (!imap_arg_atom(&a, &set) || !session_parse_set(c, set, &f->uids)) {
		reply_bad(c, session_set_fault(c, set));
		return NULL;
	}
	if (!fetch_plan_parse(c->arena, &a, &f->plan)) {
		reply_bad(c, fetch_plan_fault(c->arena, &f->plan));
		return NULL;
	}
	if (!fetch_plan_modifiers(c->arena, &a, &f->plan) || !imap_arg_end(a)) {
		reply_bad(c, "Unknown or malformed FETCH modifier");
		return NULL;
	}
	if (f->plan.has_partial && !c->uid) {
		reply_bad(c, "PARTIAL needs UID FETCH");
		return NULL;
	}
	if (!cut_limit(c, f))
		return NULL;
	if (!begin_modseq(c, f, set)) {
		reply_bad(c, "VANISHED needs UID FETCH and ENABLE QRESYNC");
		return NULL;
	}
	f->in_choose = f->plan.changed_since != 0;
	if (!f->in_choose)
		turn_down(f);
	begin_plan(c, f);
	return f;
}

/* Leaves those that have changed since. */
static enum step
choose(struct cmd *c)
{
	struct fetch *f = c->state;

	for (unsigned n = 1;
	     !f->at_end && set32_next(&f->uids, f->uid, &f->uid); n++) {
		if (n % LOOKS == 0 && cmd_time_is_up(c))
			return STEP_MORE;
		if (view_modseq(c->s->view, f->uid) > f->plan.changed_since)
			set32_add(&f->changed, f->uid);
		fetch_pass(f);
	}
	set32_copy(&f->uids, &f->changed);
	f->uid = 0;
	f->at_end = f->in_choose = false;
	turn_down(f);
	return STEP_DONE;
}

/* ---- a message ------------------------------------------------------------- */

static bool
uses_partial(const struct fetch_plan *p)
{
	const struct fetch_item *i;

	for (i = p->items; i != NULL; i = i->next)
		if (i->section.partial)
			return true;
	return false;
}

/* An envelope comes with the tree, if there is one. */
static bool
needs_header(const struct fetch_plan *p)
{
	return (p->needs & NEED_HEADER) != 0 ||
	    (p->needs & (NEED_ENVELOPE | NEED_PARTS)) == NEED_ENVELOPE;
}

/* All of it is read for a size that nobody knows, too. */
static size_t
first_bytes(struct cmd *c)
{
	const struct fetch *f = c->state;
	struct msg_known known;

	if ((f->plan.needs & (NEED_BYTES | NEED_PARTS)) != 0)
		return MSG_FIRST_ALL;
	if ((f->plan.needs & NEED_SIZE) != 0 &&
	    (!view_known(c->s->view, f->uid, &known) || !known.has_size))
		return MSG_FIRST_ALL;
	return MSG_FIRST_HEADER;
}

static int
open_message(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;

	f->msg = fetch_cache_take(&c->s->fetch_cache, f->uid);
	if (f->msg != NULL)
		return 0;
	c->s->fetch_cache.has_place = c->s->fetch_cache.has_binary = false;
	return msg_open(c->s->view, f->uid, &f->msg, e);
}

static enum step
load_message(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	const unsigned from_file =
	    NEED_BYTES | NEED_HEADER | NEED_ENVELOPE | NEED_PARTS;
	enum step step;

	if ((f->plan.needs & from_file) == 0)
		return STEP_DONE;
	step = msg_ready(f->msg, e);
	if (step == STEP_DONE)
		step = msg_load_step(f->msg, first_bytes(c), e);
	return step;
}

/* What the store finds out by reading, if it does not know it. */
static enum step
read_object(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	unsigned needs = f->plan.needs;
	enum step step = STEP_DONE;

	if ((needs & NEED_EMAIL_ID) != 0)
		step = msg_email_id(f->msg, f->email_id, e);
	if (step == STEP_DONE && (needs & NEED_THREAD_ID) != 0)
		step = msg_thread_id(f->msg, f->thread_id, e);
	if (step != STEP_DONE || (needs & NEED_PREVIEW) == 0 ||
	    msg_preview_known(f->msg, c->arena, &f->preview))
		return step;
	step = msg_ready(f->msg, e);
	if (step == STEP_DONE)
		step = msg_preview(f->msg, c->arena, &f->preview, e);
	return step;
}

/*
 * The request for a message fails as a whole when a part of it can not be
 * decoded, before its \Seen is set (RFC 3516 section 4.3).
 */
static int
can_decode(struct fetch *f, struct err *e)
{
	const struct fetch_item *i;
	bool can = true;

	for (i = f->plan.items; i != NULL && can; i = i->next)
		if ((i->kind == FETCH_BINARY || i->kind == FETCH_BINARY_SIZE) &&
		    fetch_binary_can(f->msg, &i->section, &can, e) == -1)
			return -1;
	f->some_encoded |= !can;
	return can ? 0 : err_set(e, ERR_UNSUPPORTED, "unknown encoding");
}

/* All that can fail, before the first byte of the answer is written. */
static enum step
read_message(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	unsigned needs = f->plan.needs;
	struct str block;
	enum step step = load_message(c, e);
	int64_t date;

	if (step == STEP_DONE)
		step = read_object(c, e);
	if (step != STEP_DONE)
		return step;
	if ((needs & NEED_SIZE) != 0) {
		step = msg_wire_size_step(f->msg, e);
		if (step != STEP_DONE)
			return step;
	}
	if ((needs & NEED_DATE) != 0 &&
	    msg_internal_date(f->msg, &date, e) == -1)
		return STEP_FAIL;
	if (needs_header(&f->plan)) {
		if (msg_header(f->msg, &block, e) == -1)
			return STEP_FAIL;
		/* Then only the tree knows where the text begins. */
		if (msg_header_is_cut(f->msg))
			needs |= NEED_PARTS;
	}
	if ((needs & NEED_PARTS) != 0)
		step = msg_parts_step(f->msg, e);
	if (step == STEP_DONE && f->plan.has_binary && can_decode(f, e) == -1)
		return STEP_FAIL;
	return step;
}

/* BODY[] without PEEK sets \Seen, where it can be set. */
static void
set_seen(struct cmd *c)
{
	struct fetch *f = c->state;
	struct flag_wish wish = {.system = FLAG_SEEN};
	struct set32 one;
	struct flags flags;
	uint32_t at = 0;
	struct err e;
	enum step step;

	f->seen_now = false;
	if (!f->plan.sets_seen || c->s->read_only ||
	    !view_flags(c->s->view, f->uid, &flags) ||
	    (flags.system & FLAG_SEEN) != 0)
		return;
	set32_init(&one);
	set32_add(&one, f->uid);
	do
		step = view_store(
		    c->s->view, &one, STORE_ADD, &wish, true, &at, NULL, &e);
	while (step == STEP_MORE && at <= f->uid);
	/* A lock that has to be waited for is waited for without us. */
	context_touch(c->s, f->uid);
	if (step != STEP_FAIL)
		f->seen_now = true;
	else
		log_warn("can not set \\Seen uid=%u: %s", f->uid, e.text);
	set32_done(&one);
}

static void
begin_message(struct cmd *c)
{
	struct fetch *f = c->state;

	set_seen(c);
	f->in_message = true;
	f->first = true;
	f->item = f->plan.items;
	sync_begin_fetch(c->s, f->uid);
	if ((c->uid || (f->seen_now && c->s->condstore)) && !f->plan.has_uid &&
	    !c->s->uid_only)
		fetch_item_uid(c);
	if (f->seen_now && c->s->condstore && !f->plan.has_modseq)
		fetch_item_modseq(c);
	if (f->seen_now && !f->plan.has_flags)
		fetch_item_flags(c);
}

static void
leave_message(struct cmd *c, bool whole)
{
	struct fetch *f = c->state;

	if (whole && f->msg != NULL && uses_partial(&f->plan)) {
		fetch_cache_keep(&c->s->fetch_cache, f->uid, f->msg);
		f->msg = NULL;
	}
	msg_close(&f->msg);
	buf_clear(&f->fields);
	buf_clear(&f->sizes);
	arena_rewind(c->arena, f->mark);
	f->in_message = false;
	fetch_pass(f);
}

/* The message has no answer. */
static void
leave_out(struct cmd *c, const struct err *e)
{
	struct fetch *f = c->state;

	if (e->code == ERR_GONE || e->code == ERR_NOT_FOUND) {
		f->some_gone = true;
	} else if (e->code == ERR_UNSUPPORTED && f->some_encoded) {
		log_debug("unknown content-transfer-encoding uid=%u", f->uid);
	} else {
		f->some_failed = reply_code(e);
		log_error("can not read message mailbox=<%.*s> uid=%u: %s",
		    STR_ARG(mailbox_name(view_mailbox(c->s->view))), f->uid,
		    e->text);
	}
	leave_message(c, false);
}

/* The next message that can be answered; STEP_DONE without one: no more. */
static enum step
next_message(struct cmd *c)
{
	struct fetch *f = c->state;
	enum step step;
	struct err e;

	while (find_next(f)) {
		if (view_seq(c->s->view, f->uid) == 0) {
			fetch_pass(f);
			continue;
		}
		step = STEP_DONE;
		if (!f->in_open && f->plan.needs != 0 &&
		    open_message(c, &e) == -1)
			step = STEP_FAIL;
		if (step == STEP_DONE && f->plan.needs != 0)
			step = read_message(c, &e);
		f->in_open = step == STEP_MORE;
		if (step == STEP_DONE)
			begin_message(c);
		if (step != STEP_FAIL)
			return step;
		leave_out(c, &e);
	}
	return STEP_DONE;
}

/* All items. STEP_MORE: the connection is full, or the time is up. */
static enum step
write_items(struct cmd *c)
{
	while (fetch_item_step(c) == STEP_MORE) {
		if (c->s->out.n > FETCH_SEND_BYTES)
			session_send(c->s);
		if (conn_is_full(c->s->conn) || cmd_time_is_up(c))
			return STEP_MORE;
	}
	buf_add_c(&c->s->out, ")\r\n");
	return STEP_DONE;
}

static enum step
finish(struct cmd *c)
{
	struct fetch *f = c->state;

	if (f->some_gone)
		return limit_reply_no(c, f->limited, "EXPUNGEISSUED",
		    "Some of the messages no longer exist");
	if (f->some_encoded)
		return limit_reply_no(c, f->limited, "UNKNOWN-CTE",
		    "Some of the messages have an encoding that is not known");
	if (f->some_failed != NULL)
		return limit_reply_no(c, f->limited, f->some_failed,
		    "Some of the messages could not be read");
	return limit_reply_ok(c, f->limited, NULL, "FETCH completed");
}

/* Flags that others may have changed, when any are asked for. */
static enum step
look_at_flags(struct cmd *c)
{
	const struct fetch *f = c->state;

	if (f->at_end ||
	    (!f->plan.has_flags && !f->plan.has_modseq && !f->plan.sets_seen))
		return STEP_DONE;
	return view_freshen(c->s->view, &f->uids, f->down != 0 ? 0 : f->uid);
}

/* STEP_DONE: all messages are answered. */
static enum step
answer_all(struct cmd *c)
{
	struct fetch *f = c->state;

	for (;;) {
		if (!f->in_message && !f->in_open &&
		    look_at_flags(c) == STEP_MORE)
			return STEP_MORE;
		if (!f->in_message && !f->in_open && f->is_known &&
		    fetch_known(c) == STEP_MORE)
			return STEP_MORE;
		if (!f->in_message && next_message(c) == STEP_MORE)
			return STEP_MORE;
		if (!f->in_message)
			return STEP_DONE;
		if (write_items(c) == STEP_MORE)
			return STEP_MORE;
		leave_message(c, true);
		if (c->s->out.n > FETCH_SEND_BYTES)
			session_send(c->s);
		if (conn_is_full(c->s->conn) || cmd_time_is_up(c))
			return STEP_MORE;
	}
}

/*
 * How far it is (RFC 9585): told where no response has been for long, as when a
 * message has to be read first, and never within one.
 */
static enum step
give_way(struct cmd *c, uint32_t before)
{
	struct fetch *f = c->state;
	uint32_t total = set32_count(&f->uids);

	c->is_within = f->in_message;
	if (f->in_choose)
		progress_set(c, 0, 0);
	else if (f->limited != 0)
		progress_set(c, total - f->down, total);
	else
		progress_set(c, set32_count_le(&f->uids, f->uid), total);
	if (f->uid != before && !f->in_choose)
		progress_begin(c, clock_mono_ms());
	return STEP_MORE;
}

enum step
cmd_fetch(struct cmd *c)
{
	struct fetch *f = c->state;
	uint32_t before;

	if (f == NULL && (f = start(c)) == NULL)
		return STEP_DONE;
	before = f->uid;
	if (f->in_choose && choose(c) == STEP_MORE)
		return give_way(c, before);
	if (answer_all(c) == STEP_MORE)
		return give_way(c, before);
	return finish(c);
}

void
fetch_push_begin(
    struct cmd *c, const struct set32 *uids, const struct fetch_plan *plan)
{
	struct fetch *f = new_fetch(c);

	set32_copy(&f->uids, uids);
	f->plan = *plan;
	/* RFC 7162 section 3.2.4, where the client has not named it. */
	if (c->s->condstore && !f->plan.has_modseq) {
		f->pushed = (struct fetch_item){
		    .kind = FETCH_MODSEQ, .next = f->plan.items};
		f->plan.items = &f->pushed;
		f->plan.has_modseq = true;
	}
	begin_plan(c, f);
}

enum step
fetch_push_step(struct cmd *c)
{
	return answer_all(c);
}
