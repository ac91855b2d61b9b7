/* SPDX-License-Identifier: ISC */
/*
 * append_encode.c - what of a literal8 has to be encoded before it is stored.
 *
 * Owns:    nothing; plans lie in the command's arena.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the message; the tree's ranges to lie inside it.
 * Spec:    RFC 3516 sections 4.4 and 6 (only where it is necessary, and no byte
 *          may be lost), RFC 2045 sections 6.2 and 6.8.
 *
 * A mailbox stores lines, so CRLF and LF are the same there, and a NUL can not be
 * fetched with BODY[]. Hence a leaf is encoded that has a NUL, or is "binary"
 * and has line ends that are no CRLF. Where a NUL stands elsewhere (in a header,
 * between parts, in what claims to be base64) nothing can be done.
 */
#include "imapd/append_encode.h"

#include "base/assert.h"
#include "base/bounds.h"
#include "mime/body.h"
#include "mime/header.h"
#include "os/file.h"
#include "text/base64.h"

#define LINE_IN 57 /* bytes that make a line of 76 */
#define LINE_OUT 78 /* with its CRLF */

struct planner {
	struct arena *arena;
	int fd;
	struct encode_plan *plan;
	size_t room;
	uint64_t at; /* what is planned already */
	uint64_t header_left;
};

/* Is it the kind of thing that has an encoding (RFC 2045 section 6.4)? */
static bool
is_leaf(const struct part *p)
{
	return p->child == NULL && !p->is_multipart && !p->is_message;
}

static bool
must_encode(const struct part *p, bool odd_cr)
{
	if (!is_leaf(p) || body_encoding_of(p) != BODY_IDENTITY)
		return false;
	return p->has_nul ||
	    (str_eq_nocase(p->encoding, STR("binary")) &&
		(odd_cr || p->body_wire != p->body_len));
}

/* ---- the plan ---------------------------------------------------------------- */

static uint64_t
encoded_size(uint64_t n)
{
	uint64_t chars = (n + 2) / 3 * 4, lines = (n + LINE_IN - 1) / LINE_IN;

	return chars + (lines > 0 ? 2 * (lines - 1) : 0);
}

static struct encode_piece *
add_piece(struct planner *p, enum encode_kind kind, uint64_t size)
{
	struct encode_piece *piece = &p->plan->pieces[p->plan->n++];

	ASSERT(p->plan->n <= p->room);
	*piece = (struct encode_piece){.kind = kind};
	p->plan->size += size;
	return piece;
}

/* As it is, up to `to`. */
static void
add_copy(struct planner *p, uint64_t to)
{
	struct encode_piece *piece;

	if (to <= p->at)
		return;
	piece = add_piece(p, ENCODE_COPY, to - p->at);
	piece->off = p->at;
	piece->len = to - p->at;
	p->at = to;
}

static int
read_all(int fd, uint64_t off, char *p, size_t n, struct err *e)
{
	size_t got;

	if (file_read_at(fd, off, p, n, &got, e) == -1)
		return -1;
	return got == n ? 0 : err_set(e, ERR_SYS, "message is short");
}

static struct str
new_header(struct arena *a, struct str block)
{
	static const struct str field =
	    STR_LIT("Content-Transfer-Encoding: base64\r\n");
	struct header_iter it;
	struct header_field f;
	bool is_said = false;
	struct buf b;
	struct str out;

	buf_init(&b, SIZE_MAX / 2);
	header_iter_init(&it, block);
	while (header_iter_next_any(&it, &f)) {
		if (!str_eq_nocase(f.name, STR("Content-Transfer-Encoding")))
			buf_add_str(&b, f.raw);
		else if (!is_said)
			buf_add_str(&b, field);
		is_said |=
		    str_eq_nocase(f.name, STR("Content-Transfer-Encoding"));
	}
	if (!is_said)
		buf_add_str(&b, field);
	buf_add_c(&b, "\r\n");
	out = arena_str(a, buf_str(&b));
	buf_done(&b);
	return out;
}

static int
add_header(struct planner *p, const struct part *part, struct err *e)
{
	struct encode_piece *piece;
	struct str header;
	char *block;

	if (part->header_len == 0)
		return err_set(e, ERR_UNSUPPORTED, "part without a header");
	if (part->header_len > p->header_left)
		return err_set(e, ERR_LIMIT, "headers too large");
	p->header_left -= part->header_len;
	block = arena_new(p->arena, (size_t)part->header_len, 1);
	if (read_all(p->fd, part->header_off, block, (size_t)part->header_len,
		e) == -1)
		return -1;
	header =
	    new_header(p->arena, str_make(block, (size_t)part->header_len));
	if (str_find(header, '\0') < header.n)
		return err_set(e, ERR_UNSUPPORTED, "NUL in a header");
	piece = add_piece(p, ENCODE_HEADER, header.n);
	piece->bytes = header;
	p->at = part->header_off + part->header_len;
	return 0;
}

static int
add_part(struct planner *p, const struct part *part, struct err *e)
{
	bool ends_line = part->parent == NULL;
	struct encode_piece *piece;

	add_copy(p, part->header_off);
	if (add_header(p, part, e) == -1)
		return -1;
	add_copy(p, part->body_off);
	piece = add_piece(p, ENCODE_BASE64,
	    encoded_size(part->body_len) + (ends_line ? 2 : 0));
	piece->off = part->body_off;
	piece->len = part->body_len;
	piece->ends_line = ends_line;
	p->at = part->body_off + part->body_len;
	return 0;
}

int
encode_plan_make(struct arena *a, int fd, uint64_t size,
    const struct part *root, bool odd_cr, struct encode_plan *out,
    struct err *e)
{
	struct planner p = {.arena = a,
	    .fd = fd,
	    .plan = out,
	    .header_left = MIME_HEADER_BLOCK_MAX};
	const struct part *part;

	*out = (struct encode_plan){0};
	for (part = root; part != NULL; part = part_next(part, root))
		p.room += must_encode(part, odd_cr) ? 4 : 0;
	p.room++;
	out->pieces = arena_new(a, p.room, sizeof(*out->pieces));
	for (part = root; part != NULL; part = part_next(part, root))
		if (must_encode(part, odd_cr) && add_part(&p, part, e) == -1)
			return -1;
	add_copy(&p, size);
	return 0;
}

/* ---- carrying it out ---------------------------------------------------------- */

static int
copy_some(struct encode_run *r, const struct encode_piece *p, char *room,
    struct str *out, struct err *e)
{
	uint64_t left = p->len - r->at;
	size_t n = left < ENCODE_ROOM ? (size_t)left : ENCODE_ROOM;

	if (read_all(r->fd, p->off + r->at, room, n, e) == -1)
		return -1;
	r->at += n;
	*out = str_make(room, n);
	if (str_find(*out, '\0') < n)
		return err_set(e, ERR_UNSUPPORTED, "NUL outside of a part");
	return 0;
}

/* Whole lines, with the line ends between them. */
static int
encode_some(struct encode_run *r, const struct encode_piece *p, char *room,
    struct str *out, struct err *e)
{
	char *in = room + ENCODE_ROOM;
	uint64_t left = p->len - r->at;
	size_t n = ENCODE_ROOM / LINE_OUT * LINE_IN;
	struct buf b;
	struct str line;

	if (n > left)
		n = (size_t)left;
	if (read_all(r->fd, p->off + r->at, in, n, e) == -1)
		return -1;
	buf_init(&b, ENCODE_ROOM);
	for (size_t i = 0; i < n; i += LINE_IN) {
		line = str_head(str_make(in + i, n - i), LINE_IN);
		if (r->at + i > 0)
			buf_add_c(&b, "\r\n");
		base64_encode(&b, line);
	}
	r->at += n;
	if (r->at == p->len && p->ends_line)
		buf_add_c(&b, "\r\n");
	ASSERT(!buf_is_over(&b));
	if (b.n > 0)
		memcpy(room, b.p, b.n);
	*out = str_make(room, b.n);
	buf_done(&b);
	return 0;
}

static int
piece_next(struct encode_run *r, const struct encode_piece *p, char *room,
    struct str *out, struct err *e)
{
	switch (p->kind) {
	case ENCODE_COPY:
		return copy_some(r, p, room, out, e);
	case ENCODE_HEADER:
		*out = p->bytes;
		return 0;
	case ENCODE_BASE64:
		break;
	}
	return encode_some(r, p, room, out, e);
}

int
encode_next(struct encode_run *r, char room[2 * ENCODE_ROOM], struct str *out,
    struct err *e)
{
	*out = STR("");
	while (r->piece < r->plan->n && out->n == 0) {
		const struct encode_piece *p = &r->plan->pieces[r->piece];

		if (piece_next(r, p, room, out, e) == -1)
			return -1;
		if (r->at == p->len) {
			r->piece++;
			r->at = 0;
		}
	}
	return 0;
}
