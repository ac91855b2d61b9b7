/* SPDX-License-Identifier: ISC */
/*
 * cmd_store.c - STORE and UID STORE.
 *
 * Owns:    struct store_state.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 sections 6.4.6, 6.4.8, 7.1 (PERMANENTFLAGS); RFC 2180
 *          section 4.2 for messages that another session has expunged.
 *
 * FETCH replies are written here for every message of the set, changed or
 * not, so the view is told to be silent about them.
 */
#include "imapd/commands.h"
#include "imapd/flags.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "imapd/sync.h"

struct store_state {
	struct set32 uids, gone;
	struct flag_wish wish;
	enum store_op op;
	bool silent, stored;
	uint32_t at; /* view_store's place */
	uint32_t told; /* UID up to which replies are written */
};

static void
store_cleanup(struct cmd *c)
{
	struct store_state *st = c->state;

	set32_done(&st->uids);
	set32_done(&st->gone);
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

static const char *
store_parse(struct cmd *c, struct store_state *st)
{
	const struct imap_arg *a = c->args;
	struct str set;

	if (!imap_arg_atom(&a, &set) || !session_parse_set(c, set, &st->uids))
		return "Invalid message set";
	if (!item_parse(&a, st))
		return "FLAGS, +FLAGS or -FLAGS expected";
	return flags_arg(c, a, &st->wish) ? NULL : "Flags expected";
}

/* FETCH replies; false when the connection is full or time is up. */
static bool
tell(struct cmd *c, struct store_state *st)
{
	uint32_t uid;

	while (st->told < UINT32_MAX &&
	    set32_next(&st->uids, st->told + 1, &uid)) {
		if (conn_is_full(c->s->conn) || cmd_time_is_up(c))
			return false;
		st->told = uid;
		if (!set32_has(&st->gone, uid))
			sync_write_flags(c, view_seq(c->s->view, uid), uid);
	}
	return true;
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
	}
	while (!st->stored) {
		step = view_store(c->s->view, &st->uids, st->op, &st->wish,
		    true, &st->at, &st->gone, &e);
		if (step == STEP_FAIL)
			return reply_err(c, &e);
		st->stored = step == STEP_DONE;
		if (!st->stored && cmd_time_is_up(c))
			return STEP_MORE;
	}
	if (!st->silent && !tell(c, st))
		return STEP_MORE;
	if (!set32_is_empty(&st->gone) && !c->uid)
		return reply_no(c, "EXPUNGEISSUED", "Some messages are gone");
	return reply_ok(c, NULL, "Stored");
}
