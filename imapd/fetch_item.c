/* SPDX-License-Identifier: ISC */
/*
 * fetch_item.c - the items of an open message, a literal piece by piece.
 *
 * Owns:    the stream being sent.
 * Runs in: imapd.
 * Trusts:  nothing in a message.
 * Spec:    RFC 3501 section 7.4.2; RFC 3516.
 *
 *	ITEM --section--> MEASURE --length announced--> LITERAL --sent--> ITEM
 */
#include <time.h>

#include "base/log.h"
#include "imap/imap_date.h"
#include "imap/imap_requote.h"
#include "imap/imap_write.h"
#include "imapd/fetch_facts.h"
#include "imapd/fetch_job.h"
#include "imapd/fetch_section.h"
#include "imapd/fetch_write.h"
#include "imapd/flags.h"
#include "imapd/modseq.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "store/msg_keys.h"

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

void
fetch_item_uid(struct cmd *c)
{
	struct fetch *f = c->state;

	begin_item(c, "UID ");
	buf_add_u64(&c->s->out, f->uid);
}

void
fetch_item_flags(struct cmd *c)
{
	struct fetch *f = c->state;
	struct flags flags;

	if (!session_flags(c->s, f->uid, &flags))
		return;
	begin_item(c, "FLAGS (");
	flags_write(&c->s->out, view_mailbox(c->s->view), &flags);
	buf_add_byte(&c->s->out, ')');
}

void
fetch_item_modseq(struct cmd *c)
{
	struct fetch *f = c->state;

	begin_item(c, "");
	modseq_write(&c->s->out, c->s->view, f->uid);
}

static int
write_date(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	char text[IMAP_DATE_TIME_SIZE];
	int64_t date;

	if (msg_internal_date(f->msg, &date, e) == -1)
		return -1;
	imap_date_time_write_local(date, text);
	begin_item(c, "INTERNALDATE \"");
	buf_add_c(&c->s->out, text);
	buf_add_byte(&c->s->out, '"');
	return 0;
}

static int
write_size(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	uint64_t size;

	if (msg_wire_size(f->msg, &size, e) == -1)
		return -1;
	begin_item(c, "RFC822.SIZE ");
	buf_add_u64(&c->s->out, size);
	return 0;
}

/* What was just written, from `from` on, need not be found out again. */
static void
keep_written(struct cmd *c, enum index_slot slot, size_t from)
{
	const struct fetch *f = c->state;
	const struct buf *out = &c->s->out;

	if (f->is_known && !buf_is_over(out))
		view_keep_fact(c->s->view, f->uid, slot,
		    str_make(out->p + from, out->n - from));
}

/* The same with UTF-8 in quoted strings, for those who have enabled it. */
static void
quote_written(struct cmd *c, size_t from)
{
	struct buf *out = &c->s->out;
	struct str raw;

	if (!session_has_utf8(c->s) || buf_is_over(out) ||
	    memchr(out->p + from, '{', out->n - from) == NULL)
		return;
	raw = arena_str(c->arena, str_make(out->p + from, out->n - from));
	out->n = from;
	imap_requote(out, raw);
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
	quote_written(c, from);
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
	fetch_write_body(&c->s->out, root, extended, session_has_utf8(c->s));
	/* What is kept has one form for all. */
	if (!fetch_write_has_global(root))
		keep_written(
		    c, extended ? INDEX_BODYSTRUCTURE : INDEX_BODY, from);
	quote_written(c, from);
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

/* What is known of the present message's parts, in f->sizes. */
static void
load_sizes(struct cmd *c)
{
	struct fetch *f = c->state;
	struct str kept;

	if (f->sizes.n == 0 &&
	    view_fact(c->s->view, f->uid, INDEX_BINARY, &kept))
		buf_add_str(&f->sizes, kept);
}

static void
keep_size(struct cmd *c, uint64_t size)
{
	struct fetch *f = c->state;

	load_sizes(c);
	fetch_facts_add_binary(&f->sizes, &f->current->section, size);
	if (view_keeps_facts(c->s->view))
		view_keep_fact(
		    c->s->view, f->uid, INDEX_BINARY, buf_str(&f->sizes));
}

static bool
is_size_known(struct cmd *c, const struct fetch_section *sec, uint64_t *size)
{
	struct fetch *f = c->state;

	load_sizes(c);
	return fetch_facts_binary(sec, buf_str(&f->sizes), size);
}

/* STEP_DONE: the literal's length has been announced, or is the answer. */
static enum step
measure_literal(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	bool is_stream = f->current->kind == FETCH_SECTION;
	enum step step = msg_ready(f->msg, e);
	uint64_t n;

	if (step == STEP_DONE)
		step = is_stream ? fetch_stream_measure(&f->stream, e)
				 : fetch_binary_measure(&f->binary, e);
	if (step == STEP_MORE)
		return step;
	f->in_measure = false;
	if (step == STEP_FAIL)
		return step;
	begin_section(c, &f->current->section);
	n = is_stream ? f->stream.left : f->binary.left;
	if (f->current->kind == FETCH_BINARY_SIZE) {
		buf_add_u64(&c->s->out, n);
		keep_size(c, n);
		return STEP_DONE;
	}
	buf_addf(&c->s->out, "%s{%llu}\r\n",
	    !is_stream && f->binary.has_nul ? "~" : "", (unsigned long long)n);
	session_send(c->s);
	f->in_literal = true;
	return STEP_DONE;
}

/* BINARY[...] and BINARY.SIZE[...] (RFC 3516 section 4.3). */
static int
start_binary(struct cmd *c, const struct fetch_item *item, struct err *e)
{
	struct fetch *f = c->state;
	const struct fetch_cache *fc = &c->s->fetch_cache;
	const struct binary_place *hint = NULL;
	uint64_t size;
	bool is_nil;

	if (item->kind == FETCH_BINARY_SIZE &&
	    is_size_known(c, &item->section, &size)) {
		begin_section(c, &item->section);
		buf_add_u64(&c->s->out, size);
		return 0;
	}
	if (fetch_binary_init(
		&f->binary, f->msg, &item->section, NULL, &is_nil, e) == -1)
		return -1;
	if (is_nil) {
		begin_section(c, &item->section);
		buf_add_c(&c->s->out, item->kind == FETCH_BINARY ? "NIL" : "0");
		return 0;
	}
	if (fc->uid == f->uid && fc->has_binary &&
	    fc->binary_end == f->binary.end)
		hint = &fc->binary;
	if (hint != NULL &&
	    fetch_binary_init(
		&f->binary, f->msg, &item->section, hint, &is_nil, e) == -1)
		return -1;
	f->in_measure = true;
	return 0;
}

/* All fields that are listed with are kept, not only those asked for. */
static int
pack_fields(struct cmd *c, struct err *e)
{
	struct fetch *f = c->state;
	struct str header;

	if (f->fields.n > 0)
		return 0;
	if (msg_header(f->msg, &header, e) == -1)
		return -1;
	if (msg_header_is_cut(f->msg))
		return 0;
	fetch_facts_pack(&f->fields, header);
	view_keep_fact(c->s->view, f->uid, INDEX_FIELDS, buf_str(&f->fields));
	return 0;
}

static void
put_fields(struct cmd *c, const struct fetch_section *sec, size_t n)
{
	struct fetch *f = c->state;
	struct buf *out = &c->s->out;
	char *to;

	begin_section(c, sec);
	buf_add_byte(out, '{');
	buf_add_u64(out, n);
	buf_add_c(out, "}\r\n");
	to = buf_room(out, n);
	if (to == NULL)
		return;
	fetch_facts_fields(sec, buf_str(&f->fields), to);
	out->n += n;
}

static int
write_section(struct cmd *c, const struct fetch_section *sec, struct err *e)
{
	struct fetch *f = c->state;
	struct section_value v;
	size_t n;

	if (f->is_known && sec->listed != 0) {
		if (pack_fields(c, e) == -1)
			return -1;
		if (fetch_facts_size(sec, buf_str(&f->fields), &n)) {
			put_fields(c, sec, n);
			return 0;
		}
	}
	if (fetch_section_find(f->msg, sec, c->arena, &v, e) == -1)
		return -1;
	switch (v.kind) {
	case SECTION_NIL:
		begin_section(c, sec);
		buf_add_c(&c->s->out, "NIL");
		return 0;
	case SECTION_BYTES:
		begin_section(c, sec);
		buf_add_byte(&c->s->out, '{');
		buf_add_u64(&c->s->out, v.bytes.n);
		buf_add_c(&c->s->out, "}\r\n");
		buf_add_str(&c->s->out, v.bytes);
		return 0;
	case SECTION_RANGE:
		break;
	}
	return start_literal(c, sec, &v, e);
}

/* Where the next partial of the same part may begin. */
static void
keep_place(struct cmd *c)
{
	struct fetch *f = c->state;
	struct fetch_cache *fc = &c->s->fetch_cache;

	if (f->current->kind == FETCH_SECTION) {
		fc->place = f->stream.at;
		fc->range_off = f->range_off;
		fc->has_place = true;
	} else {
		fc->binary = f->binary.last;
		fc->binary_end = f->binary.end;
		fc->has_binary = true;
	}
}

/* STEP_DONE: the literal is out. */
static enum step
send_literal(struct cmd *c)
{
	struct fetch *f = c->state;
	bool is_short = false;
	struct err e;
	enum step step = msg_ready(f->msg, &e);

	/* After a failure what is left is sent as blanks. */
	if (step == STEP_MORE)
		return step;
	if (f->current->kind == FETCH_SECTION)
		step = fetch_stream_send(&f->stream, c->s->conn, &is_short, &e);
	else
		step = fetch_binary_send(&f->binary, c->s->conn, &is_short);
	if (is_short && f->some_failed == NULL) {
		log_warn(
		    "message changed while it was being sent mailbox=<%.*s>"
		    " uid=%u: the rest is blanks",
		    STR_ARG(mailbox_name(view_mailbox(c->s->view))), f->uid);
		f->some_failed = "CORRUPTION";
	}
	if (step != STEP_DONE)
		return STEP_MORE;
	f->in_literal = false;
	keep_place(c);
	return STEP_DONE;
}

/* ---- what the store knows --------------------------------------------------- */

static void
write_id(struct cmd *c, const char *label, const char *id)
{
	begin_item(c, label);
	buf_addf(&c->s->out, "%s)", id);
}

static void
write_save_date(struct cmd *c)
{
	struct fetch *f = c->state;
	char text[IMAP_DATE_TIME_SIZE];
	int64_t date_s;

	begin_item(c, "SAVEDATE ");
	if (!view_save_date(c->s->view, f->uid, &date_s)) {
		buf_add_c(&c->s->out, "NIL");
		return;
	}
	imap_date_time_write_local(date_s, text);
	buf_addf(&c->s->out, "\"%s\"", text);
}

/* NIL is for those that ask (LAZY) alone (RFC 8970 section 3.2). */
static void
write_preview(struct cmd *c, bool lazy)
{
	struct fetch *f = c->state;
	struct str text = f->preview;

	if (lazy && !msg_preview_known(f->msg, c->arena, &text))
		text = (struct str){0};
	begin_item(c, "PREVIEW ");
	if (session_has_utf8(c->s))
		imap_write_nstring_utf8(&c->s->out, text);
	else
		imap_write_nstring(&c->s->out, text);
}

/* ---- one after the other -------------------------------------------------- */

static int
write_item(struct cmd *c, const struct fetch_item *item, struct err *e)
{
	struct fetch *f = c->state;

	switch (item->kind) {
	case FETCH_UID:
		fetch_item_uid(c);
		return 0;
	case FETCH_FLAGS:
		fetch_item_flags(c);
		return 0;
	case FETCH_MODSEQ:
		fetch_item_modseq(c);
		return 0;
	case FETCH_EMAILID:
		write_id(c, "EMAILID (", f->email_id);
		return 0;
	case FETCH_THREADID:
		write_id(c, "THREADID (", f->thread_id);
		return 0;
	case FETCH_SAVEDATE:
		write_save_date(c);
		return 0;
	case FETCH_PREVIEW:
		write_preview(c, item->lazy);
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
	case FETCH_BINARY:
	case FETCH_BINARY_SIZE:
		return start_binary(c, item, e);
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
	f->some_failed = reply_code(e);
}

enum step
fetch_item_step(struct cmd *c)
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
