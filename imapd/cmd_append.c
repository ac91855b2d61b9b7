/* SPDX-License-Identifier: ISC */
/*
 * cmd_append.c - APPEND, of one message or several.
 *
 * Owns:    struct append_state; the spooled messages belong to the store.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; sizes meet the limit before the first byte is wanted, and
 *          messages go to disk as they come, never to memory.
 * Spec:    RFC 3501 section 6.3.11, RFC 3502 (MULTIAPPEND), RFC 4315
 *          (APPENDUID), RFC 7888 (LITERAL+), RFC 4469 (TOOBIG), RFC 9738.
 *
 * ARGS --literal announced--> DATA --its last byte--> ARGS
 * ARGS --end of the line--> committed
 */
#include "imap/imap_date.h"
#include "imap/imap_set.h"
#include "imapd/client.h"
#include "imapd/commands.h"
#include "imapd/limit.h"
#include "imapd/flags.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "imapd/session.h"

struct append_state {
	struct append *append;
	bool is_open;
	struct str name; /* mailbox */
	const struct imap_arg *first; /* arguments behind the name */
	struct set32 uids;
	bool in_data;
	size_t messages;
};

struct message_args {
	struct flag_wish flags;
	int64_t date_s;
	uint64_t size;
};

static void
append_cleanup(struct cmd *c)
{
	struct append_state *st = c->state;

	append_free(&st->append);
	set32_done(&st->uids);
}

/* [SP flag-list] [SP date-time] SP literal. NULL: good. */
static const char *
message_args_parse(
    struct cmd *c, const struct imap_arg *a, struct message_args *out)
{
	const struct imap_arg *list;
	struct str date;
	int zone;

	*out = (struct message_args){.date_s = -1};
	if (imap_arg_list(&a, &list) &&
	    !flags_parse(list, c->arena, &out->flags))
		return "Flag list expected";
	if (a->type == IMAP_ARG_QUOTED) {
		date = a->s;
		if (!imap_date_time_parse(date, &out->date_s, &zone))
			return "Date expected: \"dd-Mon-yyyy hh:mm:ss +zzzz\"";
		a++;
	}
	if (a->type != IMAP_ARG_STREAM)
		return "Message literal expected";
	if (a->binary)
		return "No binary literals here";
	out->size = a->size;
	return NULL;
}

static enum step
refuse(struct cmd *c, const struct err *e)
{
	/* The client may create it and try again (RFC 3501 section 7.1). */
	if (e->code == ERR_NOT_FOUND)
		return reply_no(c, "TRYCREATE", "No such mailbox");
	return reply_err(c, e);
}

/* Everything is there: makes it durable and says where it is. */
static enum step
commit(struct cmd *c, struct append_state *st)
{
	uint32_t uidvalidity;
	enum step step;
	struct buf b;
	struct err e;

	do
		step = append_commit(st->append, &uidvalidity, &st->uids, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return refuse(c, &e);
	buf_init(&b, 1 << 20);
	buf_addf(&b, "APPENDUID %u ", uidvalidity);
	imap_set_write(&b, &st->uids);
	buf_add_byte(&b, '\0');
	step = reply_ok(
	    c, uidvalidity == 0 || buf_is_over(&b) ? NULL : b.p, "Appended");
	buf_done(&b);
	return step;
}

static enum step
open_mailbox(struct cmd *c, struct append_state *st, struct err *e)
{
	enum step step = STEP_DONE;

	if (st->is_open)
		return STEP_DONE;
	do
		step = append_begin(c->s->store, st->name, &st->append, e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	st->is_open = step == STEP_DONE;
	return step;
}

/* The arguments of the next message, or the end. */
static enum step
next_message(struct cmd *c, struct append_state *st, const struct imap_arg *a)
{
	struct message_args m;
	const char *why;
	enum step step;
	struct err e;

	if (imap_arg_end(a) && st->messages > 0)
		return commit(c, st);
	why = message_args_parse(c, a, &m);
	if (why != NULL)
		return reply_bad(c, why);
	if (m.size > c->s->append_max_bytes)
		return reply_no(c, "TOOBIG", "Message too large");
	if (m.size == 0)
		return reply_no(c, "CANNOT", "Message is empty");
	if (limit_save_exceeded(c->s, (uint32_t)st->messages + 1) != 0)
		return limit_refuse(c, (uint32_t)st->messages, 0);
	step = open_mailbox(c, st, &e);
	if (step == STEP_DONE)
		step = append_may_add(st->append, m.size, &e);
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL ||
	    append_message(st->append, &m.flags, m.date_s, m.size, &e) == -1)
		return refuse(c, &e);
	st->messages++;
	st->in_data = true;
	client_literal_accept(c);
	return STEP_MORE;
}

/* Bytes of the message, as far as they have come. */
static enum step
take_data(struct cmd *c, struct append_state *st)
{
	struct str piece;
	struct err e;

	while (client_literal_left(c) > 0) {
		piece = client_literal_peek(c);
		if (piece.n == 0)
			return client_wait(c);
		/* RFC 3501: CHAR8 is any octet but NUL. */
		if (str_find(piece, '\0') < piece.n)
			return reply_bad(c, "NUL in a message");
		if (append_data(st->append, piece, &e) == -1)
			return refuse(c, &e);
		client_literal_consume(c, piece.n);
		if (cmd_time_is_up(c))
			return STEP_MORE;
	}
	st->in_data = false;
	return client_more_args(c);
}

enum step
cmd_append(struct cmd *c)
{
	const struct imap_arg *a = c->args;
	struct append_state *st = c->state;
	struct str wire;
	struct err e;

	if (st != NULL && st->in_data)
		return take_data(c, st);
	if (st != NULL)
		return next_message(c, st, st->messages == 0 ? st->first : a);
	if (!imap_arg_astring(&a, &wire))
		return reply_bad(c, "Mailbox name expected");
	st = c->state = arena_new(c->arena, 1, sizeof(*st));
	c->cleanup = append_cleanup;
	if (name_decode(c->s, c->arena, wire, &st->name, &e) == -1) {
		struct message_args m;
		const char *why = message_args_parse(c, a, &m);

		return why != NULL ? reply_bad(c, why) : reply_err(c, &e);
	}
	st->first = a;
	return next_message(c, st, a);
}
