/* SPDX-License-Identifier: ISC */
/*
 * send.c - RETR and TOP: a message in pieces, never held whole.
 *
 * Owns:    struct sending.
 * Runs in: pop3d, as the mail user.
 * Trusts:  nothing in a message: any bytes, any line ends.
 * Spec:    RFC 1939 sections 3, 5 (RETR), 7 (TOP); surrogate.c for clients that
 *          know only ASCII.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "pop3d/session.h"

static void
finish(struct session *s)
{
	msg_close(&s->out.msg);
	free(s->out.piece);
	arena_done(&s->out.arena);
	s->out = (struct sending){0};
}

void
send_abandon(struct session *s)
{
	if (s->out.msg != NULL)
		finish(s);
}

int
send_bytes_at(struct sending *o, uint64_t off, size_t want, struct str *out,
    struct err *e)
{
	if (msg_at_hand(o->msg, off, want, out))
		return 0;
	if (o->piece_n == 0 || o->piece_off != off) {
		o->piece_off = off;
		if (msg_read(o->msg, off, o->piece, want, &o->piece_n, e) == -1)
			return -1;
	}
	*out = str_head(str_make(o->piece, o->piece_n), want);
	return 0;
}

/*
 * TOP: how much of this piece belongs to the header, the blank line and the
 * first lines of the body. Less than all of it: that was the end.
 */
static size_t
part_of_top(struct sending *o, struct str in)
{
	size_t i;

	for (i = 0; i < in.n; i++) {
		if (o->in_body && o->lines_left == 0)
			return i;
		if (in.p[i] != '\n') {
			o->line_has_text = o->line_has_text || in.p[i] != '\r';
			continue;
		}
		if (o->in_body)
			o->lines_left--;
		else if (!o->line_has_text)
			o->in_body = true;
		o->line_has_text = false;
	}
	return in.n;
}

/* The dot; before it the blank line that some clients can not do without. */
static void
write_end(struct session *s)
{
	struct sending *o = &s->out;
	char *room = conn_write_room(s->conn, 2 + 2 + LINE_STUFF_END_MAX);
	size_t n = 0;

	/* o->in_body is known only where lines were looked at. */
	if (!o->in_body && (o->is_top || s->add_eoh)) {
		if (o->stuff.in_line)
			n = line_stuff(&o->stuff, STR("\n"), room);
		n += line_stuff(&o->stuff, STR("\n"), room + n);
	}
	n += line_stuff_end(&o->stuff, room + n);
	conn_written(s->conn, n);
}

/* Sends what belongs to the answer; true: that was all of it. */
static bool
send_bytes(struct session *s, struct str in)
{
	struct sending *o = &s->out;
	size_t part = in.n;
	char *room;

	/* RETR looks for the blank line only where it may have to add it. */
	if (o->is_top || (s->add_eoh && !o->in_body))
		part = part_of_top(o, in);
	if (part > 0) {
		room = conn_write_room(s->conn, LINE_STUFFED_MAX(part));
		conn_written(
		    s->conn, line_stuff(&o->stuff, str_head(in, part), room));
	}
	*(o->is_top ? &s->top_bytes : &s->retr_bytes) += part;
	return part < in.n || (o->is_top && o->in_body && o->lines_left == 0);
}

static enum step
send_piece(struct session *s, bool *at_end, struct err *e)
{
	struct sending *o = &s->out;
	size_t want = PIECE_BYTES, stored;
	struct str bytes;
	uint64_t until;

	if (surrogate_is_here(o, &until)) {
		if (surrogate_next(o, &bytes, &stored, e) == -1)
			return STEP_FAIL;
		o->off += stored;
		*at_end = send_bytes(s, bytes) || stored == 0;
		return STEP_DONE;
	}
	if (until - o->off < want)
		want = (size_t)(until - o->off);
	if (send_bytes_at(o, o->off, want, &bytes, e) == -1)
		return STEP_FAIL;
	o->off += bytes.n;
	*at_end = send_bytes(s, bytes) || bytes.n == 0;
	return STEP_DONE;
}

static enum step
send_more(struct session *s, struct err *e)
{
	bool at_end = false;
	enum step step;

	step = msg_ready(s->out.msg, e);
	if (step != STEP_DONE)
		return step;
	while (!at_end) {
		if (send_piece(s, &at_end, e) == STEP_FAIL)
			return STEP_FAIL;
		if (!at_end && session_must_yield(s))
			return STEP_MORE;
	}
	write_end(s);
	finish(s);
	return STEP_DONE;
}

/* Behind +OK there is no way to say that the message is gone. */
static enum step
refuse(struct session *s, const struct err *e)
{
	if (e->code == ERR_GONE || e->code == ERR_NOT_FOUND)
		(void)session_err(s, "Message is gone");
	else if (e->code == ERR_IN_USE)
		(void)session_err(s, "[IN-USE] The mailbox is in use");
	else
		(void)session_err(s, "[SYS/TEMP] Can not open the message");
	if (e->code != ERR_GONE && e->code != ERR_NOT_FOUND)
		log_error(
		    "can not open message uid=%u: %s", s->out.uid, e->text);
	finish(s);
	return STEP_DONE;
}

static enum step
send_first(struct session *s, UNUSED struct err *e)
{
	struct sending *o = &s->out;
	struct str bytes;
	struct err why;
	enum step step = msg_ready(o->msg, &why);

	if (step == STEP_DONE)
		step = msg_load_step(
		    o->msg, o->is_top ? MSG_FIRST_HEADER : MSG_FIRST_ALL, &why);
	if (step == STEP_DONE && !s->is_utf8)
		step = surrogate_look(s, &why);
	if (step == STEP_MORE)
		return step;
	/* Behind +OK it would be too late to see that it can not be read. */
	if (step == STEP_FAIL ||
	    send_bytes_at(o, 0, PIECE_BYTES, &bytes, &why) == -1)
		return refuse(s, &why);
	if (o->is_top) {
		s->top_count++;
		(void)session_ok(s, "Top of message follows");
	} else {
		s->retr_count++;
		(void)session_ok_number(s, "%llu octets", o->size);
	}
	return session_go_on(s, send_more);
}

enum step
send_begin(struct session *s, struct maildrop_msg *m, int64_t lines)
{
	struct sending *o = &s->out;
	struct err e;

	*o = (struct sending){.uid = m->uid, .size = m->size};
	arena_init(&o->arena);
	o->piece = mem_resize(NULL, 1, PIECE_BYTES);
	if (msg_open(s->drop.view, m->uid, &o->msg, &e) == -1)
		return refuse(s, &e);
	o->stuff.no_nuls = s->no_nuls;
	o->is_top = lines >= 0;
	/* RETR's job looks for the blank line, with no end in lines. */
	o->lines_left = o->is_top ? (uint32_t)lines : UINT32_MAX;
	return session_go_on(s, send_first);
}
