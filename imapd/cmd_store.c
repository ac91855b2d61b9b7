/* SPDX-License-Identifier: ISC */
/*
 * cmd_store.c - STORE and UID STORE.
 *
 * Owns:    struct store_state.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 sections 6.4.6, 6.4.8, 7.1 (PERMANENTFLAGS); RFC 2180
 *          section 4.2 for messages that another session has expunged;
 *          RFC 7162 section 3.1.3 (UNCHANGEDSINCE);
 *          RFC 9738 (MESSAGELIMIT).
 *
 * FETCH replies are written here for every message of the set, changed or
 * not, so the view is told to be silent about them.
 */
#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/limit.h"
#include "imap/imap_set.h"
#include "imapd/flags.h"
#include "imapd/modseq.h"
#include "imapd/progress.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "imapd/sync.h"
#include "store/view_modseq.h"

struct store_state {
	struct set32 uids, gone;
	struct flag_wish wish;
	enum store_op op;
	bool silent, stored;
	uint32_t at; /* view_store's place */
	uint32_t told; /* of st->uids: how many have their replies */
	uint32_t limited; /* lowest UID of those changed; 0: all (limit.h) */
	/* With UNCHANGEDSINCE, some messages at a time: */
	bool is_conditional, is_fresh;
	uint64_t unchanged_since;
	uint32_t chosen; /* UID up to which they were asked */
	struct set32 some, modified;
};

/* So many are asked for their mod-sequences before they are changed. */
enum { CHOSEN_AT_ONCE = 200 };

static void
store_cleanup(struct cmd *c)
{
	struct store_state *st = c->state;

	set32_done(&st->uids);
	set32_done(&st->gone);
	set32_done(&st->some);
	set32_done(&st->modified);
}

/* RFC 3501: store-att-flags without the flags. */
static bool
item_parse(const struct imap_arg **a, struct store_state *st)
{
	static const struct {
		const char *word;
		enum store_op op;
		bool silent;
	} items[] = {
	    {"FLAGS", STORE_SET, false},
	    {"FLAGS.SILENT", STORE_SET, true},
	    {"+FLAGS", STORE_ADD, false},
	    {"+FLAGS.SILENT", STORE_ADD, true},
	    {"-FLAGS", STORE_REMOVE, false},
	    {"-FLAGS.SILENT", STORE_REMOVE, true},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(items); i++) {
		if (!imap_arg_word(a, items[i].word))
			continue;
		st->op = items[i].op;
		st->silent = items[i].silent;
		return true;
	}
	return false;
}

/* flag-list / (flag *(SP flag)) */
static bool
flags_arg(struct cmd *c, const struct imap_arg *a, struct flag_wish *out)
{
	const struct imap_arg *list;

	if (imap_arg_end(a))
		return false;
	if (imap_arg_list(&a, &list))
		return imap_arg_end(a) && flags_parse(list, c->arena, out);
	return flags_parse(a, c->arena, out);
}

/* (UNCHANGEDSINCE n), or nothing. */
static bool
modifier_parse(const struct imap_arg **a, struct store_state *st)
{
	const struct imap_arg *list;

	if (!imap_arg_list(a, &list))
		return true;
	st->is_conditional = true;
	return imap_arg_word(&list, "UNCHANGEDSINCE") &&
	    modseq_arg(&list, 0, &st->unchanged_since) && imap_arg_end(list);
}

static const char *
store_parse(struct cmd *c, struct store_state *st)
{
	const struct imap_arg *a = c->args;
	struct str set = STR("");

	if (!imap_arg_atom(&a, &set) || !session_parse_set(c, set, &st->uids))
		return session_set_fault(c, set);
	if (!modifier_parse(&a, st))
		return "(UNCHANGEDSINCE n) expected";
	if (!item_parse(&a, st))
		return "FLAGS, +FLAGS or -FLAGS expected";
	return flags_arg(c, a, &st->wish) ? NULL : "Flags expected";
}

/* FETCH replies; false when the connection is full or time is up. */
static bool
tell(struct cmd *c, struct store_state *st)
{
	uint32_t uid, n = set32_count(&st->uids);

	while (st->told < n) {
		if (conn_is_full(c->s->conn))
			return false;
		st->told++;
		/* What is not all goes from the highest down (RFC 9738). */
		uid = set32_at(
		    &st->uids, st->limited != 0 ? n - st->told + 1 : st->told);
		if (set32_has(&st->gone, uid) || set32_has(&st->modified, uid))
			continue;
		if (st->silent)
			sync_write_modseq(c, uid);
		else
			sync_write_flags(c, uid);
		/* However short a turn is, it gets one further. */
		if (cmd_time_is_up(c))
			return false;
	}
	return true;
}

static bool
has_keyword(const struct flags *f, size_t number)
{
	if (number < 26)
		return (f->keywords >> number & 1) != 0;
	for (size_t i = 0; i < f->n_more; i++)
		if (f->more[i] == number)
			return true;
	return false;
}

/* Has the message all flags of the wish (`on`), or none of them? */
static bool
flags_agree(const struct mailbox *m, const struct flags *f,
    const struct flag_wish *w, bool on)
{
	size_t number;

	if ((f->system & w->system) != (on ? w->system : 0))
		return false;
	for (size_t i = 0; i < w->n_keywords; i++)
		if ((mailbox_keyword_find(m, w->keywords[i], &number) &&
			has_keyword(f, number)) != on)
			return false;
	return true;
}

/*
 * Has the message changed since? Not when it is as it is wished to be already
 * (RFC 7162 section 3.1.12): then another client did the same.
 */
static bool
is_modified(struct cmd *c, struct store_state *st, uint32_t uid)
{
	struct view *v = c->s->view;
	struct flags f;

	if (view_modseq(v, uid) <= st->unchanged_since)
		return false;
	return st->unchanged_since == 0 || st->op == STORE_SET ||
	    !view_flags(v, uid, &f) ||
	    !flags_agree(view_mailbox(v), &f, &st->wish, st->op == STORE_ADD);
}

/* The next messages that may be changed into st->some; false: no more. */
static bool
choose(struct cmd *c, struct store_state *st)
{
	uint32_t uid;

	set32_clear(&st->some);
	st->at = 0;
	for (size_t n = 0; n < CHOSEN_AT_ONCE && st->chosen < UINT32_MAX &&
	     set32_next(&st->uids, st->chosen + 1, &uid);
	     n++) {
		st->chosen = uid;
		set32_add(
		    is_modified(c, st, uid) ? &st->modified : &st->some, uid);
	}
	return !set32_is_empty(&st->some) ||
	    (st->chosen < UINT32_MAX &&
		set32_next(&st->uids, st->chosen + 1, &uid));
}

static enum step
store_some(struct cmd *c, struct store_state *st, struct err *e)
{
	enum step step;

	if (!st->is_conditional)
		return view_store(c->s->view, &st->uids, st->op, &st->wish,
		    true, &st->at, &st->gone, e);
	/* What others have changed on the disk counts, too. */
	if (!st->is_fresh) {
		step = view_refresh(c->s->view, e);
		if (step != STEP_DONE)
			return step;
		st->is_fresh = true;
	}
	if (set32_is_empty(&st->some) && !choose(c, st))
		return STEP_DONE;
	if (set32_is_empty(&st->some))
		return STEP_MORE;
	step = view_store(c->s->view, &st->some, st->op, &st->wish, true,
	    &st->at, &st->gone, e);
	if (step != STEP_DONE)
		return step;
	set32_clear(&st->some);
	return STEP_MORE;
}

/* "MODIFIED 7,9", as the client counts; in the command's arena. */
static const char *
modified_code(struct cmd *c, struct store_state *st)
{
	struct set32 numbers;
	struct buf b;
	const char *code;

	set32_init(&numbers);
	buf_init(&b, SIZE_MAX / 2);
	session_numbers(c, &st->modified, &numbers);
	buf_add_c(&b, "MODIFIED ");
	imap_set_write(&b, &numbers);
	code = arena_c(c->arena, buf_str(&b));
	buf_done(&b);
	set32_done(&numbers);
	return code;
}

static enum step
stored(struct cmd *c, struct store_state *st)
{
	bool some_gone = !set32_is_empty(&st->gone) && !c->uid;

	if (!set32_is_empty(&st->modified) && some_gone)
		return limit_reply_no(c, st->limited, modified_code(c, st),
		    "Some messages are gone, others have changed");
	if (!set32_is_empty(&st->modified))
		return limit_reply_ok(c, st->limited, modified_code(c, st),
		    "Messages that have changed stay as they are");
	if (some_gone)
		return limit_reply_no(
		    c, st->limited, "EXPUNGEISSUED", "Some messages are gone");
	return limit_reply_ok(c, st->limited, NULL, "Stored");
}

enum step
cmd_store(struct cmd *c)
{
	struct store_state *st = c->state;
	enum step step = STEP_DONE;
	const char *why;
	struct err e;

	if (st == NULL) {
		st = c->state = arena_new(c->arena, 1, sizeof(*st));
		c->cleanup = store_cleanup;
		why = store_parse(c, st);
		if (why != NULL)
			return reply_bad(c, why);
		if (c->s->read_only)
			return reply_no(c, "READ-ONLY", "Mailbox is read-only");
		st->limited = limit_cut(c->s, &st->uids);
		if (st->is_conditional)
			modseq_enable(c->s);
	}
	while (!st->stored) {
		step = store_some(c, st, &e);
		if (step != STEP_MORE)
			context_touch_all(c->s, &st->uids);
		if (step == STEP_FAIL)
			return reply_err(c, &e);
		st->stored = step == STEP_DONE;
		if (st->stored || !cmd_time_is_up(c))
			continue;
		progress_set(c, set32_count_le(&st->uids, st->at),
		    set32_count(&st->uids));
		return STEP_MORE;
	}
	if ((!st->silent || c->s->condstore) && !tell(c, st))
		return STEP_MORE;
	return stored(c, st);
}
