/* SPDX-License-Identifier: ISC */
/*
 * cmd_status.c - STATUS.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 sections 6.3.10, 7.2.4; RFC 8438 (SIZE);
 *          RFC 7162 section 3.1.7 (HIGHESTMODSEQ);
 *          RFC 9208 section 4.1.4 (DELETED, DELETED-STORAGE).
 */
#include "imap/imap_write.h"
#include "imapd/commands.h"
#include "imapd/modseq.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "imapd/session.h"

enum item {
	ITEM_MESSAGES,
	ITEM_RECENT,
	ITEM_UIDNEXT,
	ITEM_UIDVALIDITY,
	ITEM_UNSEEN,
	ITEM_SIZE,
	ITEM_DELETED,
	ITEM_DELETED_STORAGE,
	ITEM_HIGHESTMODSEQ,
	ITEM_COUNT,
};

static const char *const item_names[ITEM_COUNT] = {
    [ITEM_MESSAGES] = "MESSAGES",
    [ITEM_RECENT] = "RECENT",
    [ITEM_UIDNEXT] = "UIDNEXT",
    [ITEM_UIDVALIDITY] = "UIDVALIDITY",
    [ITEM_UNSEEN] = "UNSEEN",
    [ITEM_SIZE] = "SIZE",
    [ITEM_DELETED] = "DELETED",
    [ITEM_DELETED_STORAGE] = "DELETED-STORAGE",
    [ITEM_HIGHESTMODSEQ] = "HIGHESTMODSEQ",
};

static uint64_t
value_of(enum item item, const struct mailbox_status *st)
{
	switch (item) {
	case ITEM_MESSAGES:
		return st->messages;
	case ITEM_RECENT:
		return st->recent;
	case ITEM_UIDNEXT:
		return st->uidnext;
	case ITEM_UIDVALIDITY:
		return st->uidvalidity;
	case ITEM_UNSEEN:
		return st->unseen;
	case ITEM_SIZE:
		return st->size;
	case ITEM_DELETED:
		return st->deleted;
	case ITEM_DELETED_STORAGE:
		return st->deleted_size;
	case ITEM_HIGHESTMODSEQ:
		return st->highest_modseq;
	case ITEM_COUNT:
	default:
		return 0;
	}
}

/* One or more items; each is told once, in the order of the request. */
static bool
items_parse(const struct imap_arg *a, enum item *items, size_t *n)
{
	bool seen[ITEM_COUNT] = {false};
	size_t i;

	*n = 0;
	if (imap_arg_end(a))
		return false;
	while (!imap_arg_end(a)) {
		for (i = 0; i < ITEM_COUNT; i++)
			if (imap_arg_word(&a, item_names[i]))
				break;
		if (i == ITEM_COUNT)
			return false;
		if (!seen[i])
			items[(*n)++] = (enum item)i;
		seen[i] = true;
	}
	return true;
}

static void
write_status(struct session *s, struct str name, const enum item *items,
    size_t n, const struct mailbox_status *st)
{
	size_t i;

	reply_begin(s);
	buf_add_c(&s->out, "STATUS ");
	imap_write_mailbox(&s->out, name);
	buf_add_c(&s->out, " (");
	for (i = 0; i < n; i++)
		buf_addf(&s->out, "%s%s %llu", i == 0 ? "" : " ",
		    item_names[items[i]],
		    (unsigned long long)value_of(items[i], st));
	buf_add_c(&s->out, ")");
	reply_end(s);
}

struct asking {
	struct str name;
	enum item items[ITEM_COUNT];
	size_t n;
	bool with_size;
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
	    !imap_arg_end(a) || !items_parse(list, q->items, &q->n)) {
		(void)reply_bad(c, "Mailbox name and status items expected");
		return false;
	}
	for (size_t i = 0; i < q->n; i++)
		if (q->items[i] == ITEM_HIGHESTMODSEQ)
			modseq_enable(c->s);
	for (size_t i = 0; i < q->n; i++)
		q->with_size = q->with_size || q->items[i] == ITEM_SIZE ||
		    q->items[i] == ITEM_DELETED_STORAGE;
	if (name_decode(c->s->store, c->arena, wire, &q->name, &e) == 0)
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
	do
		step = store_status(
		    c->s->store, q->name, q->with_size, &q->job, &st, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	write_status(c->s, q->name, q->items, q->n, &st);
	return reply_ok(c, NULL, "Done");
}
