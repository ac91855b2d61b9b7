/* SPDX-License-Identifier: ISC */
/*
 * fetch_binary.c - stored bytes to the bytes that they encode.
 *
 * Owns:    nothing beyond struct fetch_binary, which belongs to the caller.
 * Runs in: imapd.
 * Trusts:  nothing; the file may change while it is read.
 * Spec:    RFC 3516, RFC 9051 sections 6.4.5 and 7.5.2 (BINARY), RFC 2045
 *          section 6. Line ends are made CRLF before decoding: those of a text
 *          are, those that were encoded stay as they are.
 */
#include "imapd/fetch_binary.h"

#include "text/crlf.h"

#define READ_BYTES (16 * 1024)
#define WIRE_BYTES (2 * READ_BYTES)
#define OUT_BYTES QP_DECODED_MAX(WIRE_BYTES)
#define MEASURE_BYTES (1024 * 1024) /* some milliseconds */
#define SEND_BYTES (512 * 1024)

/* ---- which bytes ------------------------------------------------------------ */

static enum body_encoding
encoding_of(const struct part *p)
{
	return p->child != NULL || p->is_multipart ? BODY_IDENTITY
						   : body_encoding_of(p);
}

/* *part: NULL when it is the message, or when there is none. */
static int
find_part(struct msg *m, const struct fetch_section *sec,
    const struct part **part, struct err *e)
{
	struct part *root;

	*part = NULL;
	if (sec->n_numbers == 0)
		return 0;
	if (msg_parts(m, &root, e) == -1)
		return -1;
	*part = fetch_section_part(root, sec->numbers, sec->n_numbers);
	return 0;
}

int
fetch_binary_can(
    struct msg *m, const struct fetch_section *sec, bool *can, struct err *e)
{
	const struct part *p;

	if (find_part(m, sec, &p, e) == -1)
		return -1;
	*can = p == NULL || encoding_of(p) != BODY_UNKNOWN;
	return 0;
}

static bool
is_before(const struct fetch_binary *b, const struct binary_place *hint)
{
	return hint->off >= b->at.off && hint->off <= b->end &&
	    hint->out <= b->start;
}

int
fetch_binary_init(struct fetch_binary *b, struct msg *m,
    const struct fetch_section *sec, const struct binary_place *hint,
    bool *is_nil, struct err *e)
{
	const struct part *p;
	uint64_t size;

	*b = (struct fetch_binary){.msg = m, .stop = UINT64_MAX};
	if (msg_size(m, &size, e) == -1 || find_part(m, sec, &p, e) == -1)
		return -1;
	*is_nil = p == NULL && sec->n_numbers > 0;
	b->encoding = BODY_IDENTITY;
	b->end = size;
	if (p != NULL) {
		b->encoding = encoding_of(p);
		b->at.off = p->body_off;
		b->end = p->body_off + p->body_len;
	}
	if (sec->partial) {
		b->start = sec->start;
		b->stop = b->start + sec->count;
	}
	if (hint != NULL && is_before(b, hint))
		b->at = *hint;
	return 0;
}

/* ---- decoding ---------------------------------------------------------------- */

static size_t
decode(struct fetch_binary *b, struct str wire, char *out)
{
	switch (b->encoding) {
	case BODY_BASE64:
		return base64_feed(&b->at.base64, wire, out);
	case BODY_QUOTED_PRINTABLE:
		return qp_feed(&b->at.qp, wire, out);
	case BODY_IDENTITY:
	case BODY_UNKNOWN:
		break;
	}
	memcpy(out, wire.p, wire.n);
	return wire.n;
}

static size_t
finish(struct fetch_binary *b, char *out)
{
	b->at.at_end = true;
	switch (b->encoding) {
	case BODY_BASE64:
		return base64_finish(&b->at.base64, out);
	case BODY_QUOTED_PRINTABLE:
		return qp_finish(&b->at.qp, out);
	case BODY_IDENTITY:
	case BODY_UNKNOWN:
		break;
	}
	return 0;
}

/* What the next stored bytes mean, which may be nothing. Ends at b->at.at_end. */
static int
next_piece(struct fetch_binary *b, char out[OUT_BYTES], struct str *piece,
    struct err *e)
{
	char room[READ_BYTES] UNINITIALIZED, wire[WIRE_BYTES] UNINITIALIZED;
	uint64_t left = b->end - b->at.off;
	size_t got = 0, used, n;

	if (left > 0 &&
	    msg_read(b->msg, b->at.off, room,
		left < READ_BYTES ? (size_t)left : READ_BYTES, &got, e) == -1)
		return -1;
	if (got == 0) {
		n = finish(b, out);
	} else {
		n = crlf_convert(str_make(room, got), wire, sizeof(wire),
		    &b->at.after_cr, &used);
		n = decode(b, str_make(wire, n), out);
	}
	b->at.off += got;
	b->at.out += n;
	*piece = str_make(out, n);
	return 0;
}

/* The bytes of a piece, which ends at b->at.out, that are wanted. */
static struct str
cut(const struct fetch_binary *b, struct str piece)
{
	uint64_t from = b->at.out - piece.n;

	if (from < b->start)
		piece = str_skip(piece,
		    b->start - from < piece.n ? (size_t)(b->start - from)
					      : piece.n);
	if (from < b->start)
		from = b->start;
	if (from + piece.n > b->stop)
		piece = str_head(
		    piece, b->stop > from ? (size_t)(b->stop - from) : 0);
	return piece;
}

enum step
fetch_binary_measure(struct fetch_binary *b, struct err *e)
{
	char out[OUT_BYTES] UNINITIALIZED;
	struct binary_place before;
	struct str piece;
	size_t budget = MEASURE_BYTES;
	enum step step = msg_seek(b->msg, b->at.off, e);

	if (step != STEP_DONE)
		return step;
	while (!b->at.at_end && b->at.out < b->stop) {
		if (budget < READ_BYTES)
			return STEP_MORE;
		budget -= READ_BYTES;
		before = b->at;
		if (next_piece(b, out, &piece, e) == -1)
			return STEP_FAIL;
		piece = cut(b, piece);
		b->left += piece.n;
		b->has_nul |= str_find(piece, '\0') < piece.n;
		if (piece.n > 0 && !b->has_first) {
			b->has_first = true;
			b->first = before;
		}
	}
	if (b->has_first)
		b->at = b->first;
	b->last = b->at;
	return STEP_DONE;
}

/* A string that was announced as one has none (RFC 3501 section 9: CHAR8). */
static void
replace_nuls(char *p, size_t n)
{
	char *end = p + n;

	while ((p = memchr(p, '\0', (size_t)(end - p))) != NULL)
		*p = '\x80';
}

/* The announced bytes that the file no longer has. */
static void
pad(struct fetch_binary *b, struct conn *c)
{
	size_t n = b->left < READ_BYTES ? (size_t)b->left : READ_BYTES;

	memset(conn_write_room(c, n), ' ', n);
	conn_written(c, n);
	b->left -= n;
}

enum step
fetch_binary_send(struct fetch_binary *b, struct conn *c, bool *is_short)
{
	char out[OUT_BYTES] UNINITIALIZED;
	size_t budget = SEND_BYTES;
	struct str piece;
	struct err e;

	if (b->left > 0 && !b->at.at_end &&
	    msg_seek(b->msg, b->at.off, &e) == STEP_MORE)
		return STEP_MORE;
	while (b->left > 0) {
		if (conn_is_full(c) || budget < READ_BYTES)
			return STEP_MORE;
		budget -= READ_BYTES;
		if (!b->at.at_end)
			b->last = b->at;
		if (b->at.at_end || next_piece(b, out, &piece, &e) == -1) {
			b->at.at_end = true;
			*is_short = true;
			pad(b, c);
			continue;
		}
		piece = cut(b, piece);
		if (piece.n > b->left)
			piece = str_head(piece, (size_t)b->left);
		/* Changed since it was measured. */
		if (!b->has_nul)
			replace_nuls(out + (piece.p - out), piece.n);
		if (piece.n > 0)
			conn_write_str(c, piece);
		b->left -= piece.n;
	}
	return STEP_DONE;
}
