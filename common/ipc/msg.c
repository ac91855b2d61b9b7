/* SPDX-License-Identifier: ISC */
/*
 * msg.c - typed fields of a message between processes.
 *
 * Owns:    nothing.
 * Runs in: every process.
 * Trusts:  nothing it reads.
 */
#include "ipc/msg.h"

enum kind {
	KIND_U8 = 1,
	KIND_U16,
	KIND_U32,
	KIND_U64,
	KIND_BOOL,
	KIND_STR,
	KIND_BLOB,
};

static void
put_number(struct buf *b, enum kind kind, uint64_t v, size_t bytes)
{
	char out[9];

	out[0] = (char)kind;
	for (size_t i = bytes; i > 0; i--, v >>= 8)
		out[i] = (char)(v & 0xff);
	(void)buf_add(b, out, bytes + 1);
}

static void
put_bytes(struct buf *b, enum kind kind, struct str s)
{
	char head[5] = {(char)kind, (char)((s.n >> 24) & 0xff),
	    (char)((s.n >> 16) & 0xff), (char)((s.n >> 8) & 0xff),
	    (char)(s.n & 0xff)};

	/* Longer than 32 bits does not fit any buffer of ours. */
	if (buf_add(b, head, sizeof(head)) && s.n > 0)
		(void)buf_add_str(b, s);
}

void
msg_begin(struct buf *b, uint16_t type, unsigned n_fds)
{
	char head[MSG_HEADER_BYTES] = {
	    MSG_VERSION, (char)n_fds, (char)(type >> 8), (char)(type & 0xff)};

	buf_clear(b);
	(void)buf_add(b, head, sizeof(head));
}

void
msg_put_u8(struct buf *b, uint8_t v)
{
	put_number(b, KIND_U8, v, 1);
}

void
msg_put_u16(struct buf *b, uint16_t v)
{
	put_number(b, KIND_U16, v, 2);
}

void
msg_put_u32(struct buf *b, uint32_t v)
{
	put_number(b, KIND_U32, v, 4);
}

void
msg_put_u64(struct buf *b, uint64_t v)
{
	put_number(b, KIND_U64, v, 8);
}

void
msg_put_bool(struct buf *b, bool v)
{
	put_number(b, KIND_BOOL, v ? 1 : 0, 1);
}

void
msg_put_str(struct buf *b, struct str s)
{
	put_bytes(b, KIND_STR, s);
}

void
msg_put_blob(struct buf *b, struct str s)
{
	put_bytes(b, KIND_BLOB, s);
}

/* ---- reading ---- */

int
msg_parse(struct str bytes, struct msg_in *in, struct err *e)
{
	const unsigned char *p = (const unsigned char *)bytes.p;

	if (bytes.n < MSG_HEADER_BYTES || p[0] != MSG_VERSION)
		return err_set(
		    e, ERR_VIOLATION, "not a frame of version %d", MSG_VERSION);
	*in = (struct msg_in){.type = (uint16_t)(p[2] << 8 | p[3]),
	    .n_fds = p[1],
	    .rest = str_skip(bytes, MSG_HEADER_BYTES)};
	return 0;
}

void
msg_fields(struct str bytes, struct msg_in *in)
{
	*in = (struct msg_in){.rest = bytes};
}

void
msg_refuse(struct msg_in *in)
{
	in->bad = true;
}

static uint64_t
get_number(struct msg_in *in, enum kind kind, size_t bytes)
{
	const unsigned char *p = (const unsigned char *)in->rest.p;
	uint64_t v = 0;

	if (in->bad || in->rest.n < bytes + 1 || p[0] != (unsigned)kind) {
		in->bad = true;
		return 0;
	}
	for (size_t i = 1; i <= bytes; i++)
		v = v << 8 | p[i];
	in->rest = str_skip(in->rest, bytes + 1);
	return v;
}

uint8_t
msg_get_u8(struct msg_in *in)
{
	return (uint8_t)get_number(in, KIND_U8, 1);
}

uint16_t
msg_get_u16(struct msg_in *in)
{
	return (uint16_t)get_number(in, KIND_U16, 2);
}

uint32_t
msg_get_u32(struct msg_in *in)
{
	return (uint32_t)get_number(in, KIND_U32, 4);
}

uint64_t
msg_get_u64(struct msg_in *in)
{
	return get_number(in, KIND_U64, 8);
}

bool
msg_get_bool(struct msg_in *in)
{
	uint64_t v = get_number(in, KIND_BOOL, 1);

	if (v > 1)
		in->bad = true;
	return v == 1;
}

uint32_t
msg_get_range(struct msg_in *in, uint32_t min, uint32_t max)
{
	uint32_t v = msg_get_u32(in);

	if (in->bad || v < min || v > max) {
		in->bad = true;
		return min;
	}
	return v;
}

static struct str
get_bytes(struct msg_in *in, enum kind kind, size_t max)
{
	uint64_t n = get_number(in, kind, 4);
	struct str s;

	if (in->bad || n > max || n > in->rest.n) {
		in->bad = true;
		return STR("");
	}
	s = str_head(in->rest, (size_t)n);
	in->rest = str_skip(in->rest, (size_t)n);
	return s;
}

struct str
msg_get_str(struct msg_in *in, size_t max)
{
	struct str s = get_bytes(in, KIND_STR, max);

	if (str_find(s, '\0') != s.n) {
		in->bad = true;
		return STR("");
	}
	return s;
}

struct str
msg_get_blob(struct msg_in *in, size_t max)
{
	return get_bytes(in, KIND_BLOB, max);
}

int
msg_end(const struct msg_in *in, struct err *e)
{
	if (in->bad)
		return err_set(e, ERR_VIOLATION,
		    "message type %u: a field is missing or out of range",
		    in->type);
	if (in->rest.n != 0)
		return err_set(e, ERR_VIOLATION,
		    "message type %u: %zu bytes too many", in->type,
		    in->rest.n);
	return 0;
}
