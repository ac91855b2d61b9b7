/* SPDX-License-Identifier: ISC */
/*
 * cmd_fetch.c - FETCH and UID FETCH, one message after the other, a message
 * item by item, a literal piece by piece.
 *
 * Owns:    the message it has open, the stream being sent.
 * Runs in: imapd.
 * Trusts:  nothing in arguments or messages.
 * Spec:    RFC 3501 sections 6.4.5, 6.4.8 and 7.4.2; RFC 2180 section 4.1
 *          (messages that vanish are left out, and the answer says NO);
 *          RFC 5530 (EXPUNGEISSUED).
 *
 * NEXT --next_message--> OPEN --read--> ITEMS
 *                        ITEMS --section--> MEASURE --> LITERAL --sent--> ITEMS
 *                        ITEMS --last-----> NEXT --no more--> tagged reply
 */
#include <time.h>

#include "base/log.h"
#include "imap/imap_date.h"
#include "imap/imap_write.h"
#include "imapd/commands.h"
#include "imapd/fetch_cache.h"
#include "imapd/fetch_facts.h"
#include "imapd/fetch_plan.h"
#include "imapd/fetch_section.h"
#include "imapd/fetch_write.h"
#include "imapd/reply.h"
#include "imapd/session.h"

struct fetch {
	struct fetch_plan plan;
	struct set32 uids;
	uint32_t uid; /* the message being answered */
	struct msg *msg; /* open when the plan needs it */
	struct fetch_item *item; /* the next one; NULL in ITEMS: close */
	struct fetch_item *current; /* the one before it */
	bool in_open; /* msg is being read, before its answer begins */
	bool in_message, in_measure, in_literal;
	bool by_facts; /* the plan needs no message that is known */
	bool first; /* no blank before the next item */
	bool seen_now; /* \Seen was set by this FETCH */
	bool some_gone, some_failed;
	struct fetch_stream stream;
	uint64_t range_off; /* of the literal being sent */
	struct buf scratch;
	struct arena_mark mark; /* what one message used is given back */
};

#define SCRATCH_MAX (128 * 1024)
#define OUT_SEND_BYTES 8192 /* small answers travel together */

static void
release(struct cmd *c)
{
	struct fetch *f = c->state;

	msg_close(&f->msg);
	set32_done(&f->uids);
	buf_done(&f->scratch);
}

/* NULL after the tagged reply is written. */
static struct fetch *
start(struct cmd *c)
{
	struct fetch *f = arena_new(c->arena, 1, sizeof(*f));
	const struct imap_arg *a = c->args;
	struct str set;

	set32_init(&f->uids);
	buf_init(&f->scratch, SCRATCH_MAX);
	c->state = f;
	c->cleanup = release;
	if (!imap_arg_atom(&a, &set) || !session_parse_set(c, set, &f->uids)) {
		reply_bad(c, "Not a valid message set");
		return NULL;
	}
	if (!fetch_plan_parse(c->arena, &a, &f->plan) || !imap_arg_end(a)) {
		reply_bad(c, "Unknown or malformed FETCH item");
		return NULL;
	}
	f->by_facts = fetch_facts_suffice(&f->plan);
	f->mark = arena_mark(c->arena);
	return f;
}

/* ---- small items ----------------------------------------------------------- */

static void
begin_item(struct cmd *c, const char *label)
{
	struct fetch *f = c->state;

	if (!f->first)
		buf_add_byte(&c->s->out, ' ');
	f->first = false;
	buf_add_c(&c->s->out, label);
}

static void
write_uid(struct cmd *c)
{
	struct fetch *f = c->state;

	begin_item(c, "UID ");
	buf_addf(&c->s->out, "%u", f->uid);
}

static void
write_flags(struct cmd *c)
{
	struct fetch *f = c->state;
	struct flags flags;

	if (!view_flags(c->s->view, f->uid, &flags))
		return;
	begin_item(c, "FLAGS ");
	fetch_write_flags(&c->s->out, view_mailbox(c->s->view), &flags);
}

static void
put_date(struct cmd *c, int64_t date)
{
	char text[IMAP_DATE_TIME_SIZE];
	time_t t;
	struct tm tm;
	int zone = 0;

	t = (time_t)date;
	if (localtime_r(&t, &tm) != NULL)
		zone = (int)(tm.tm_gmtoff / 60);
	imap_date_time_write(date, zone, text);
	begin_item(c, "INTERNALDATE ");
	buf_addf(&c->s->out, "\"%s\"", text);
}

static int
write_date(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	int64_t date;

	if (msg_internal_date(f->msg, &date, e) == -1)
		return -1;
	put_date(c, date);
	return 0;
}

static void
put_size(struct cmd *c, uint64_t size)
{
	begin_item(c, "RFC822.SIZE ");
	buf_addf(&c->s->out, "%llu", (unsigned long long)size);
}

static int
write_size(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	uint64_t size;

	if (msg_wire_size(f->msg, &size, e) == -1)
		return -1;
	put_size(c, size);
	return 0;
}

/* What was just written, from `from` on, need not be found out again. */
static void
keep_written(struct cmd *c, enum index_slot slot, size_t from)
{
	const struct fetch *f = c->state;
	const struct buf *out = &c->s->out;

	if (f->by_facts && !buf_is_over(out))
		view_keep_fact(c->s->view, f->uid, slot,
		    str_make(out->p + from, out->n - from));
}

/* From the tree when there is one, else from the header alone. */
static int
write_envelope(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	struct envelope env;
	struct part *root;
	struct str block;
	size_t from;

	if ((f->plan.needs & NEED_PARTS) != 0) {
		if (msg_parts(f->msg, &root, e) == -1)
			return -1;
		env = *root->envelope;
	} else {
		if (msg_header(f->msg, &block, e) == -1)
			return -1;
		envelope_parse(c->arena, block, &mime_limits_default, &env);
	}
	begin_item(c, "ENVELOPE ");
	from = c->s->out.n;
	fetch_write_envelope(&c->s->out, &env);
	keep_written(c, INDEX_ENVELOPE, from);
	return 0;
}

static int
write_body(struct cmd *c, bool extended, struct err *e)
{
	struct fetch *f = c->state;
	struct part *root;
	size_t from;

	if (msg_parts(f->msg, &root, e) == -1)
		return -1;
	begin_item(c, extended ? "BODYSTRUCTURE " : "BODY ");
	from = c->s->out.n;
	fetch_write_body(&c->s->out, root, extended);
	keep_written(c, extended ? INDEX_BODYSTRUCTURE : INDEX_BODY, from);
	return 0;
}

/* ---- sections -------------------------------------------------------------- */

static void
begin_section(struct cmd *c, const struct fetch_section *sec)
{
	begin_item(c, "");
	buf_add_str(&c->s->out, sec->label);
	buf_add_byte(&c->s->out, ' ');
}

/* Where the last partial of the same range ended, if that helps. */
static const struct wire_place *
hint_for(struct cmd *c, const struct section_value *v)
{
	struct fetch *f = c->state;
	struct fetch_cache *fc = &c->s->fetch_cache;

	return fc->uid == f->uid && fc->has_place && fc->range_off == v->off
	    ? &fc->place
	    : NULL;
}

static int
start_literal(struct cmd *c, const struct fetch_section *sec,
    const struct section_value *v, struct err *e)
{
	struct fetch *f = c->state;
	uint64_t start = sec->partial ? sec->start : 0;
	uint64_t count = sec->partial ? sec->count : UINT64_MAX;

	if (fetch_stream_init(&f->stream, f->msg, v->off, v->len, start, count,
		hint_for(c, v), &f->scratch, e) == -1)
		return -1;
	if (fetch_stream_is_small(&f->stream)) {
		begin_section(c, sec);
		session_send(c->s);
		(void)fetch_stream_send_small(&f->stream, c->s->conn);
		return 0;
	}
	f->range_off = v->off;
	f->in_measure = true;
	return 0;
}

/* STEP_DONE: the literal's length has been announced. */
static enum step
measure_literal(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	enum step step = fetch_stream_measure(&f->stream, e);

	if (step == STEP_MORE)
		return step;
	f->in_measure = false;
	if (step == STEP_FAIL)
		return step;
	begin_section(c, &f->current->section);
	buf_addf(&c->s->out, "{%llu}\r\n", (unsigned long long)f->stream.left);
	session_send(c->s);
	f->in_literal = true;
	return STEP_DONE;
}

/* All fields that are listed with, not only those asked for. */
static void
keep_fields(struct cmd *c)
{
	const struct fetch *f = c->state;
	struct str header;
	struct err e;

	if (msg_header(f->msg, &header, &e) == 0 && !msg_header_is_cut(f->msg))
		view_keep_fact(c->s->view, f->uid, INDEX_FIELDS,
		    fetch_facts_listed(header, c->arena));
}

static int
write_section(struct cmd *c, const struct fetch_section *sec, struct err *e)
{
	struct fetch *f = c->state;
	struct section_value v;

	if (fetch_section_find(f->msg, sec, c->arena, &v, e) == -1)
		return -1;
	if (f->by_facts)
		keep_fields(c);
	switch (v.kind) {
	case SECTION_NIL:
		begin_section(c, sec);
		buf_add_c(&c->s->out, "NIL");
		return 0;
	case SECTION_BYTES:
		begin_section(c, sec);
		buf_addf(&c->s->out, "{%zu}\r\n", v.bytes.n);
		buf_add_str(&c->s->out, v.bytes);
		return 0;
	case SECTION_RANGE:
		break;
	}
	return start_literal(c, sec, &v, e);
}

/* STEP_DONE: the literal is out. */
static enum step
send_literal(struct cmd *c)
{
	struct fetch *f = c->state;
	struct fetch_cache *fc = &c->s->fetch_cache;
	bool is_short = false;
	struct err e;
	enum step step =
	    fetch_stream_send(&f->stream, c->s->conn, &is_short, &e);

	if (is_short && !f->some_failed) {
		log_warn(
		    "message changed while it was being sent mailbox=<%.*s>"
		    " uid=%u: the rest is blanks",
		    STR_ARG(mailbox_name(view_mailbox(c->s->view))), f->uid);
		f->some_failed = true;
	}
	if (step != STEP_DONE)
		return STEP_MORE;
	f->in_literal = false;
	fc->place = f->stream.at;
	fc->range_off = f->range_off;
	fc->has_place = true;
	return STEP_DONE;
}

/* ---- a message ------------------------------------------------------------- */

static bool
uses_partial(const struct fetch_plan *p)
{
	const struct fetch_item *i;

	for (i = p->items; i != NULL; i = i->next)
		if (i->kind == FETCH_SECTION && i->section.partial)
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

static int
open_message(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	const unsigned from_file =
	    NEED_BYTES | NEED_HEADER | NEED_ENVELOPE | NEED_PARTS;

	f->msg = fetch_cache_take(&c->s->fetch_cache, f->uid);
	if (f->msg == NULL) {
		c->s->fetch_cache.has_place = false;
		if (msg_open(c->s->view, f->uid, &f->msg, e) == -1)
			return -1;
	}
	if ((f->plan.needs & from_file) != 0)
		return msg_load(f->msg, e);
	return 0;
}

/* All that can fail, before the first byte of the answer is written. */
static enum step
read_message(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	unsigned needs = f->plan.needs;
	struct str block;
	enum step step;
	int64_t date;

	if ((needs & NEED_FACTS) != 0) {
		step = msg_wire_size_step(f->msg, e);
		if (step != STEP_DONE)
			return step;
		if (msg_internal_date(f->msg, &date, e) == -1)
			return STEP_FAIL;
	}
	if (needs_header(&f->plan)) {
		if (msg_header(f->msg, &block, e) == -1)
			return STEP_FAIL;
		/* Then only the tree knows where the text begins. */
		if (msg_header_is_cut(f->msg))
			needs |= NEED_PARTS;
	}
	return (needs & NEED_PARTS) != 0 ? msg_parts_step(f->msg, e)
					 : STEP_DONE;
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
	while (step == STEP_MORE);
	if (step == STEP_DONE)
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
	buf_addf(&c->s->out, "* %u FETCH (", view_seq(c->s->view, f->uid));
	if (c->uid && !f->plan.has_uid)
		write_uid(c);
	if (f->seen_now && !f->plan.has_flags)
		write_flags(c);
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
	arena_rewind(c->arena, f->mark);
	f->in_message = false;
	f->uid++;
}

/* The message has no answer. */
static void
leave_out(struct cmd *c, const struct err *e)
{
	struct fetch *f = c->state;

	if (e->code == ERR_GONE || e->code == ERR_NOT_FOUND) {
		f->some_gone = true;
	} else {
		f->some_failed = true;
		log_error("can not read message mailbox=<%.*s> uid=%u: %s",
		    STR_ARG(mailbox_name(view_mailbox(c->s->view))), f->uid,
		    e->text);
	}
	leave_message(c, false);
}

static void
write_fact(struct cmd *c, const struct fetch_item *item,
    const struct fetch_facts *facts)
{
	struct str value = fetch_facts_value(facts, item);

	switch (item->kind) {
	case FETCH_UID:
		write_uid(c);
		return;
	case FETCH_FLAGS:
		write_flags(c);
		return;
	case FETCH_INTERNALDATE:
		put_date(c, facts->known.date_s);
		return;
	case FETCH_SIZE:
		put_size(c, facts->known.wire_size);
		return;
	case FETCH_ENVELOPE:
		begin_item(c, "ENVELOPE ");
		break;
	case FETCH_BODY:
		begin_item(c, "BODY ");
		break;
	case FETCH_BODYSTRUCTURE:
		begin_item(c, "BODYSTRUCTURE ");
		break;
	case FETCH_SECTION:
		value = fetch_facts_fields(&item->section, value, c->arena);
		begin_section(c, &item->section);
		buf_addf(&c->s->out, "{%zu}\r\n", value.n);
		break;
	}
	buf_add_str(&c->s->out, value);
}

/* The whole answer at once, when all is known. */
static bool
answer_by_facts(struct cmd *c)
{
	struct fetch *f = c->state;
	struct fetch_facts facts;

	if (!f->by_facts ||
	    !fetch_facts_find(c->s->view, f->uid, &f->plan, &facts))
		return false;
	begin_message(c);
	for (; f->item != NULL; f->item = f->item->next)
		write_fact(c, f->item, &facts);
	return true;
}

/* The next message that can be answered; STEP_DONE without one: no more. */
static enum step
next_message(struct cmd *c)
{
	struct fetch *f = c->state;
	enum step step;
	struct err e;

	while (set32_next(&f->uids, f->uid, &f->uid)) {
		if (view_seq(c->s->view, f->uid) == 0) {
			f->uid++;
			continue;
		}
		if (!f->in_open && answer_by_facts(c))
			return STEP_DONE;
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

static int
write_item(struct cmd *c, const struct fetch_item *item, struct err *e)
{
	switch (item->kind) {
	case FETCH_UID:
		write_uid(c);
		return 0;
	case FETCH_FLAGS:
		write_flags(c);
		return 0;
	case FETCH_INTERNALDATE:
		return write_date(c, e);
	case FETCH_SIZE:
		return write_size(c, e);
	case FETCH_ENVELOPE:
		return write_envelope(c, e);
	case FETCH_BODY:
		return write_body(c, false, e);
	case FETCH_BODYSTRUCTURE:
		return write_body(c, true, e);
	case FETCH_SECTION:
		return write_section(c, &item->section, e);
	}
	return 0;
}

/* The other items of the message stand; this one is left out. */
static void
leave_item_out(struct cmd *c, const struct err *e)
{
	struct fetch *f = c->state;

	log_error("can not read message mailbox=<%.*s> uid=%u: %s",
	    STR_ARG(mailbox_name(view_mailbox(c->s->view))), f->uid, e->text);
	f->some_failed = true;
}

/* One bit of the present literal, or the next item. */
static enum step
work_on_item(struct cmd *c)
{
	struct fetch *f = c->state;
	enum step step;
	struct err e;

	if (f->in_measure) {
		step = measure_literal(c, &e);
		if (step == STEP_FAIL)
			leave_item_out(c, &e);
		return STEP_MORE;
	}
	if (f->in_literal && send_literal(c) == STEP_MORE)
		return STEP_MORE;
	if (f->item == NULL)
		return STEP_DONE;
	f->current = f->item;
	f->item = f->item->next;
	if (write_item(c, f->current, &e) == -1)
		leave_item_out(c, &e);
	return STEP_MORE;
}

/* All items. STEP_MORE: the connection is full, or the time is up. */
static enum step
write_items(struct cmd *c)
{
	while (work_on_item(c) == STEP_MORE) {
		if (c->s->out.n > OUT_SEND_BYTES)
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
		return reply_no(
		    c, "EXPUNGEISSUED", "Some of the messages no longer exist");
	if (f->some_failed)
		return reply_no(
		    c, "SERVERBUG", "Some of the messages could not be read");
	return reply_ok(c, NULL, "FETCH completed");
}

enum step
cmd_fetch(struct cmd *c)
{
	struct fetch *f = c->state;

	if (f == NULL && (f = start(c)) == NULL)
		return STEP_DONE;
	for (;;) {
		if (!f->in_message && next_message(c) == STEP_MORE)
			return STEP_MORE;
		if (!f->in_message)
			return finish(c);
		if (write_items(c) == STEP_MORE)
			return STEP_MORE;
		leave_message(c, true);
		if (c->s->out.n > OUT_SEND_BYTES)
			session_send(c->s);
		if (conn_is_full(c->s->conn) || cmd_time_is_up(c))
			return STEP_MORE;
	}
}
