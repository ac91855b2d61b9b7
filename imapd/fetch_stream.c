/* SPDX-License-Identifier: ISC */
/*
 * fetch_stream.c - stored bytes to wire bytes.
 *
 * Owns:    nothing beyond struct fetch_stream, which belongs to the caller.
 * Runs in: imapd.
 * Trusts:  nothing; the file may change while it is read.
 * Spec:    RFC 3501 section 4.3 (a literal has exactly the announced length),
 *          section 6.4.5 (partial).
 */
#include "imapd/fetch_stream.h"

#include "base/num.h"
#include "text/crlf.h"

#define READ_BYTES (64 * 1024)
#define MEASURE_BYTES (4 * 1024 * 1024) /* about a millisecond */
#define SEND_BYTES (1024 * 1024)
#define LENGTH_MAX 32 /* of "{n}CRLF" */

/* CHAR8 has no NUL (RFC 3501 section 9); the size must stay as it is. */
static void
replace_nuls(char *p, size_t n)
{
	char *end = p + n;

	while ((p = memchr(p, '\0', (size_t)(end - p))) != NULL)
		*p = '\x80';
}

void
wire_convert(struct buf *b, struct str s, bool *after_cr)
{
	size_t used, made;

	while (s.n > 0) {
		size_t n = s.n < READ_BYTES ? s.n : READ_BYTES;
		char *to = buf_room(b, n * 2);

		if (to == NULL)
			return;
		made = crlf_convert(str_head(s, n), to, n * 2, after_cr, &used);
		replace_nuls(to, made);
		b->n += made;
		s = str_skip(s, used);
	}
}

/* Up to `n` bytes at stored offset `off`: from memory, or read into `room`. */
static int
peek(const struct fetch_stream *s, uint64_t off, char *room, size_t n,
    struct str *out, struct err *e)
{
	size_t got;

	if (s->bytes.p != NULL) {
		*out = str_head(str_skip(s->bytes, (size_t)(off - s->base)), n);
		return 0;
	}
	if (msg_read(s->msg, off, room, n, &got, e) == -1)
		return -1;
	*out = str_make(room, got);
	return 0;
}

static size_t
piece_size(uint64_t left)
{
	return left < READ_BYTES ? (size_t)left : READ_BYTES;
}

/* A range that fits is read once, so that counting and sending agree. */
static int
load_small(struct fetch_stream *s, struct buf *scratch, struct err *e)
{
	size_t len = (size_t)(s->end - s->at.off), got;

	s->base = s->at.off;
	if (len > 0 && msg_at_hand(s->msg, s->at.off, len, &s->bytes)) {
		s->end = s->base + s->bytes.n;
		return 0;
	}
	buf_clear(scratch);
	if (len > 0 && buf_room(scratch, len) == NULL)
		return err_set(e, ERR_LIMIT, "scratch buffer");
	while (scratch->n < len) {
		if (msg_read(s->msg, s->at.off + scratch->n,
			scratch->p + scratch->n, len - scratch->n, &got,
			e) == -1)
			return -1;
		if (got == 0)
			break;
		scratch->n += got;
	}
	s->bytes = buf_str(scratch);
	s->end = s->base + scratch->n;
	return 0;
}

/* Moves s->at forward to wire byte s->start, a few megabytes at most. */
static enum step
skip_to_start(struct fetch_stream *s, struct err *e)
{
	char room[READ_BYTES] UNINITIALIZED, out[READ_BYTES] UNINITIALIZED;
	struct str piece;
	size_t used, budget = MEASURE_BYTES;

	while (s->at.wire < s->start && s->at.off < s->end) {
		if (budget < READ_BYTES)
			return STEP_MORE;
		budget -= READ_BYTES;
		if (peek(s, s->at.off, room, piece_size(s->end - s->at.off),
			&piece, e) == -1)
			return STEP_FAIL;
		if (piece.n == 0)
			s->end = s->at.off;
		s->at.wire += crlf_convert(piece, out,
		    piece_size(s->start - s->at.wire), &s->at.after_cr, &used);
		s->at.off += used;
	}
	if (s->at.wire < s->start)
		s->left = 0;
	s->measured = s->at;
	return STEP_DONE;
}

/* Counts what lies behind s->at, but no more than will be sent. */
static enum step
count_rest(struct fetch_stream *s, struct err *e)
{
	struct wire_place *m = &s->measured;
	char room[READ_BYTES] UNINITIALIZED;
	struct str piece;
	size_t budget = MEASURE_BYTES;

	while (m->off < s->end && m->wire - s->at.wire < s->left) {
		if (budget < READ_BYTES)
			return STEP_MORE;
		budget -= READ_BYTES;
		if (peek(s, m->off, room, piece_size(s->end - m->off), &piece,
			e) == -1)
			return STEP_FAIL;
		if (piece.n == 0)
			s->end = m->off;
		m->wire += piece.n + crlf_count(piece, &m->after_cr);
		m->off += piece.n;
		s->has_nul |= memchr(piece.p, '\0', piece.n) != NULL;
	}
	if (s->left > m->wire - s->at.wire)
		s->left = m->wire - s->at.wire;
	return STEP_DONE;
}

int
fetch_stream_init(struct fetch_stream *s, struct msg *m, uint64_t off,
    uint64_t len, uint64_t start, uint64_t count, const struct wire_place *hint,
    struct buf *scratch, struct err *e)
{
	*s = (struct fetch_stream){.msg = m,
	    .end = off + len,
	    .at.off = off,
	    .start = start,
	    .left = count};
	if (len <= READ_BYTES && !msg_seeks_slowly(m))
		return load_small(s, scratch, e);
	if (hint != NULL && hint->off >= off && hint->off <= s->end &&
	    hint->wire <= start)
		s->at = *hint;
	return 0;
}

bool
fetch_stream_is_small(const struct fetch_stream *s)
{
	return s->bytes.p != NULL && s->start == 0 && s->left == UINT64_MAX;
}

/* "{n}CRLF"; returns its length. */
static size_t
write_length(char out[LENGTH_MAX], size_t n)
{
	size_t digits;

	/* For each message of a listing, twice: not by printf. */
	out[0] = '{';
	digits = num_write_u64(out + 1, n);
	memcpy(out + 1 + digits, "}\r\n", 3);
	return digits + 4;
}

bool
fetch_stream_send_small(struct fetch_stream *s, struct conn *c)
{
	char length[LENGTH_MAX], *to;
	size_t n, guess, written, used;
	bool after_cr = false;

	if (!fetch_stream_is_small(s))
		return false;
	/* Converted behind where its length most likely ends. */
	guess = write_length(length, s->bytes.n + s->bytes.n / 50);
	to = conn_write_room(c, LENGTH_MAX + s->bytes.n * 2);
	written = crlf_convert(
	    s->bytes, to + guess, s->bytes.n * 2, &after_cr, &used);
	n = write_length(length, written);
	if (n != guess)
		memmove(to + n, to + guess, written);
	memcpy(to, length, n);
	replace_nuls(to + n, written);
	conn_written(c, n + written);
	s->left = 0;
	return true;
}

/* Where the next step of measuring or sending reads. */
static enum step
seek_to(const struct fetch_stream *s, uint64_t off, struct err *e)
{
	return s->bytes.p != NULL ? STEP_DONE : msg_seek(s->msg, off, e);
}

enum step
fetch_stream_measure(struct fetch_stream *s, struct err *e)
{
	bool in_skip = s->at.wire < s->start || s->measured.off < s->at.off;
	enum step step = seek_to(s, in_skip ? s->at.off : s->measured.off, e);

	if (step != STEP_DONE)
		return step;
	if (s->at.wire < s->start || s->measured.off < s->at.off) {
		step = skip_to_start(s, e);
		if (step != STEP_DONE)
			return step;
	}
	return count_rest(s, e);
}

/* The announced bytes that the file no longer has. */
static void
pad(struct fetch_stream *s, struct conn *c)
{
	size_t n = piece_size(s->left);

	memset(conn_write_room(c, n), ' ', n);
	conn_written(c, n);
	s->left -= n;
}

enum step
fetch_stream_send(
    struct fetch_stream *s, struct conn *c, bool *is_short, struct err *e)
{
	char room[READ_BYTES] UNINITIALIZED, *to;
	struct str piece;
	size_t used, written, space, budget = SEND_BYTES;

	/* What fails here fails below, too. */
	if (s->left > 0 && s->at.off < s->end &&
	    seek_to(s, s->at.off, e) == STEP_MORE)
		return STEP_MORE;
	while (s->left > 0) {
		if (conn_is_full(c) || budget < READ_BYTES)
			return STEP_MORE;
		budget -= READ_BYTES;
		piece.n = 0;
		if (s->at.off < s->end &&
		    peek(s, s->at.off, room, piece_size(s->end - s->at.off),
			&piece, e) == -1)
			piece.n = 0;
		if (piece.n == 0) {
			*is_short = true;
			pad(s, c);
			continue;
		}
		space = piece.n * 2;
		if (space > s->left)
			space = (size_t)s->left;
		to = conn_write_room(c, space);
		written =
		    crlf_convert(piece, to, space, &s->at.after_cr, &used);
		if (s->has_nul)
			replace_nuls(to, written);
		conn_written(c, written);
		s->at.off += used;
		s->at.wire += written;
		s->left -= written;
	}
	return STEP_DONE;
}
