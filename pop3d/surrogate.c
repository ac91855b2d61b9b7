/* SPDX-License-Identifier: ISC */
/*
 * surrogate.c - messages in UTF-8 for clients that have not said UTF8: their
 * headers, and those of their parts, are sent as ASCII.
 *
 * Owns:    the places of headers in struct sending.
 * Runs in: pop3d, as the mail user.
 * Trusts:  nothing in a message.
 * Spec:    RFC 6856 section 2.1, RFC 6858 (sizes are those of the message as it
 *          is).
 *
 * Bodies of 8 bits are no matter of it. Few messages have headers that are not
 * ASCII, so most cost a look at the header; only one with parts, and with bytes
 * beyond ASCII somewhere, is parsed. Where its headers lie is kept; each is
 * written anew when its turn comes, some fields at a time.
 */
#include "base/bounds.h"
#include "mime/downgrade.h"
#include "mime/header.h"
#include "pop3d/session.h"
#include "text/utf8.h"

/* A field that is longer, and not ASCII, is left out. */
#define FIELD_MAX (32 * PIECE_BYTES)

static bool
has_parts(struct str header)
{
	struct header_field f;
	struct str value;

	if (!header_find(header, STR("Content-Type"), &f))
		return false;
	value = str_trim(f.value);
	return str_starts_nocase(value, STR("multipart/")) ||
	    str_starts_nocase(value, STR("message/"));
}

/* ---- where headers lie -------------------------------------------------------- */

/* Is any byte of it beyond ASCII? */
static enum step
look_at_bytes(struct session *s, struct err *e)
{
	struct sending *o = &s->out;
	struct str bytes;

	while (!o->is_native) {
		if (send_bytes_at(o, o->looked, PIECE_BYTES, &bytes, e) == -1)
			return STEP_FAIL;
		if (bytes.n == 0)
			break;
		o->looked += bytes.n;
		o->is_native = utf8_ascii_length(bytes) < bytes.n;
		if (session_must_yield(s))
			return STEP_MORE;
	}
	return STEP_DONE;
}

static void
add_header(struct sending *o, uint64_t off, uint64_t len)
{
	if (len > 0)
		o->headers[o->n_headers++] =
		    (struct header_at){.off = off, .end = off + len};
}

/* The root's, if it has to be, and those of all parts. */
static void
place_headers(struct sending *o, struct str header, const struct part *root)
{
	const struct part *p;
	size_t n = 1;

	for (p = root; p != NULL; p = part_next(p, root))
		n++;
	o->headers = arena_new(&o->arena, n, sizeof(*o->headers));
	if (downgrade_is_needed(header))
		add_header(o, 0, header.n);
	for (p = root; p != NULL; p = part_next(p, root))
		if (p != root)
			add_header(o, p->header_off, p->header_len);
	o->mark = arena_mark(&o->arena);
}

enum step
surrogate_look(struct session *s, struct err *e)
{
	struct sending *o = &s->out;
	struct part *root = NULL;
	struct str header;
	enum step step;

	if (msg_header(o->msg, &header, e) == -1)
		return STEP_FAIL;
	if (!o->looks_for_parts) {
		o->looks_for_parts =
		    has_parts(header) && !(o->is_top && o->lines_left == 0);
		o->looked = header.n;
	}
	if (o->looks_for_parts) {
		step = look_at_bytes(s, e);
		if (step == STEP_DONE && o->is_native)
			step = msg_parts_step(o->msg, e);
		if (step != STEP_DONE)
			return step;
	}
	if (o->is_native && msg_parts(o->msg, &root, e) == -1)
		return STEP_FAIL;
	place_headers(o, header, root);
	return STEP_DONE;
}

/* ---- what is sent for them ---------------------------------------------------- */

bool
surrogate_is_here(struct sending *o, uint64_t *until)
{
	while (o->header < o->n_headers && o->off >= o->headers[o->header].end)
		o->header++;
	*until =
	    o->header < o->n_headers ? o->headers[o->header].off : UINT64_MAX;
	return o->off >= *until;
}

static bool
begins_field(struct str s, size_t at)
{
	return at > 0 && at < s.n && s.p[at - 1] == '\n' && s.p[at] != ' ' &&
	    s.p[at] != '\t';
}

/* Where the last field begins, which may go on; 0: there is but one. */
static size_t
last_field(struct str s)
{
	size_t at = s.n;

	while (at > 0 && !begins_field(s, at))
		at--;
	return at;
}

static size_t
next_field(struct str s)
{
	size_t at = 1;

	while (at < s.n && !begins_field(s, at))
		at++;
	return at;
}

/* So that the byte before the next one tells whether a field begins there. */
static struct str
without_line_end(struct str s)
{
	return str_head(s, s.p[s.n - 1] == '\n' ? s.n - 1 : s.n);
}

/* Whole fields from o->off on, or a piece of one that is too long. */
static int
read_fields(struct sending *o, uint64_t end, struct str *out, struct err *e)
{
	size_t room = PIECE_BYTES, want, got, n;
	char *p = o->piece;

	for (;;) {
		want = end - o->off < room ? (size_t)(end - o->off) : room;
		if (msg_read(o->msg, o->off, p, want, &got, e) == -1)
			return -1;
		*out = str_make(p, got);
		if (o->in_field) {
			n = next_field(*out);
			o->in_field = n == got && got == room;
			*out = str_head(*out, n);
			if (o->in_field)
				*out = without_line_end(*out);
			return 0;
		}
		if (got < room || o->off + got == end)
			return 0;
		n = last_field(*out);
		if (n > 0) {
			*out = str_head(*out, n);
			return 0;
		}
		if (room == FIELD_MAX) {
			o->in_field = true;
			*out = without_line_end(*out);
			return 0;
		}
		room *= 2;
		p = arena_new(&o->arena, room, 1);
	}
}

/* A piece of a field that is too long. */
static struct str
of_long_field(struct sending *o, bool is_first, struct str piece)
{
	bool left_out = !is_first && o->leaves_out;

	o->leaves_out = left_out || utf8_ascii_length(piece) < piece.n;
	if (!o->leaves_out)
		return piece;
	/* What was sent of it is a line. */
	return is_first || left_out ? STR("") : STR("\n");
}

int
surrogate_next(
    struct sending *o, struct str *text, size_t *stored, struct err *e)
{
	bool was_in_field = o->in_field;
	struct buf b;

	arena_rewind(&o->arena, o->mark);
	o->piece_n = 0; /* what send_bytes_at() has left there */
	if (read_fields(o, o->headers[o->header].end, text, e) == -1)
		return -1;
	*stored = text->n;
	if (was_in_field || o->in_field) {
		*text = of_long_field(o, !was_in_field, *text);
		return 0;
	}
	if (!downgrade_is_needed(*text))
		return 0;
	/* A byte becomes three at most, and fields get line ends. */
	buf_init(&b, text->n * 16 + 4096);
	downgrade_header(&o->arena, *text, &b);
	*text = arena_str(&o->arena, buf_str(&b));
	buf_done(&b);
	return 0;
}
