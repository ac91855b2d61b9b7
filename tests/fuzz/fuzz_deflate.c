/* SPDX-License-Identifier: ISC */
/*
 * fuzz_deflate.c - COMPRESS: what was packed in any pieces comes out whole; any
 * other bytes are refused or give bounded output.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "net/deflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECE_MAX 1000

static struct deflate *
make(void)
{
	struct deflate *d;
	struct err e;

	if (deflate_new(&d, &e) == -1)
		abort();
	return d;
}

/* Takes all that comes out, in bounded pieces. */
static int
unpack(struct deflate *d, struct str packed, struct buf *out)
{
	struct err e;
	size_t before, calls = 0;
	bool more;

	do {
		before = out->n;
		if (deflate_unpack(d, &packed, PIECE_MAX, out, &more, &e) == -1)
			return -1;
		if (out->n - before > PIECE_MAX)
			abort();
		/* Each call takes or gives something. */
		if (++calls > 100000)
			abort();
	} while ((more || packed.n > 0) && out->n < (1 << 20));
	return 0;
}

static void
there_and_back(struct str plain, size_t piece)
{
	struct deflate *d = make();
	struct buf packed, out;
	struct err e;
	size_t at;

	buf_init(&packed, 1 << 24);
	buf_init(&out, 1 << 24);
	for (at = 0; at < plain.n; at += piece) {
		buf_clear(&packed);
		if (deflate_pack(d, str_head(str_skip(plain, at), piece), true,
			&packed, &e) == -1 ||
		    unpack(d, buf_str(&packed), &out) == -1)
			abort();
	}
	if (!str_eq(buf_str(&out), plain))
		abort();
	buf_done(&packed);
	buf_done(&out);
	deflate_free(&d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_make(data, size);
	struct deflate *d;
	struct buf out;
	size_t at, piece;

	if (size < 2 || size > 100000)
		return 0;
	piece = (size_t)data[0] * 16 + 1;
	s = str_skip(s, 1);
	there_and_back(s, piece);
	d = make();
	buf_init(&out, (1 << 20) + 10000);
	for (at = 0; at < s.n; at += piece) {
		if (unpack(d, str_head(str_skip(s, at), piece), &out) == -1)
			break;
		buf_clear(&out);
	}
	buf_done(&out);
	deflate_free(&d);
	return 0;
}
