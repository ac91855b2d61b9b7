/* SPDX-License-Identifier: ISC */
/*
 * deflate.c - the two DEFLATE streams of COMPRESS.
 *
 * Owns:    two zlib streams.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; output is bounded by the caller, so that a small input
 *          can not become a large allocation.
 * Spec:    RFC 4978 (raw DEFLATE, no zlib header), RFC 1951.
 */
#include <stdlib.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/deflate.h"

/*
 * The peer's window is up to 32 KiB, ours is smaller: 64 KiB for the
 * compressor instead of 256, at the cost of two or three percent of ratio.
 */
#define PEER_WINDOW_BITS (-15)
#define OUR_WINDOW_BITS (-13)
#define OUR_MEM_LEVEL 6
#define OUR_LEVEL 5
#define ROOM_BYTES 4096

struct deflate {
	z_stream pack, unpack;
	bool ended; /* the peer ended its stream */
};

static voidpf
zlib_new(UNUSED voidpf arg, uInt n, uInt size)
{
	return mem_new(n, size);
}

static void
zlib_free(UNUSED voidpf arg, voidpf p)
{
	free(p);
}

int
deflate_new(struct deflate **out, struct err *e)
{
	struct deflate *d = mem_new(1, sizeof(*d));

	d->pack.zalloc = d->unpack.zalloc = zlib_new;
	d->pack.zfree = d->unpack.zfree = zlib_free;
	if (deflateInit2(&d->pack, OUR_LEVEL, Z_DEFLATED, OUR_WINDOW_BITS,
		OUR_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK ||
	    inflateInit2(&d->unpack, PEER_WINDOW_BITS) != Z_OK) {
		deflate_free(&d);
		return err_set(e, ERR_OTHER, "zlib refuses to start");
	}
	*out = d;
	return 0;
}

void
deflate_free(struct deflate **d)
{
	if (*d == NULL)
		return;
	(void)deflateEnd(&(*d)->pack);
	(void)inflateEnd(&(*d)->unpack);
	free(*d);
	*d = NULL;
}

int
deflate_pack(struct deflate *d, struct str plain, bool flush, struct buf *out,
    struct err *e)
{
	z_stream *z = &d->pack;
	int rc;

	ASSERT(plain.n <= UINT32_MAX);
	z->next_in = (Bytef *)(uintptr_t)plain.p;
	z->avail_in = (uInt)plain.n;
	do {
		char *room = buf_room(out, ROOM_BYTES);

		if (room == NULL)
			return err_set(e, ERR_LIMIT, "deflate: output");
		z->next_out = (Bytef *)room;
		z->avail_out = ROOM_BYTES;
		rc = deflate(z, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH);
		/* Z_BUF_ERROR: nothing to do, as when flushed twice. */
		if (rc != Z_OK && rc != Z_BUF_ERROR)
			return err_set(e, ERR_OTHER, "deflate: code %d", rc);
		out->n += ROOM_BYTES - z->avail_out;
	} while (z->avail_out == 0);
	ASSERT(z->avail_in == 0);
	return 0;
}

int
deflate_unpack(struct deflate *d, struct str *packed, size_t max_bytes,
    struct buf *out, bool *more, struct err *e)
{
	z_stream *z = &d->unpack;
	size_t n, room_bytes;
	char *room;
	int rc;

	*more = false;
	ASSERT(packed->n <= UINT32_MAX);
	if (d->ended && packed->n > 0)
		return err_set(e, ERR_VIOLATION, "bytes behind the end");
	while (max_bytes > 0 && !d->ended) {
		room_bytes = max_bytes < ROOM_BYTES ? max_bytes : ROOM_BYTES;
		room = buf_room(out, room_bytes);
		if (room == NULL)
			return err_set(e, ERR_LIMIT, "inflate: output");
		z->next_in = (Bytef *)(uintptr_t)packed->p;
		z->avail_in = (uInt)packed->n;
		z->next_out = (Bytef *)room;
		z->avail_out = (uInt)room_bytes;
		rc = inflate(z, Z_SYNC_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return err_set(e, ERR_VIOLATION, "inflate: %s",
			    z->msg == NULL ? "bad stream" : z->msg);
		*packed = str_skip(*packed, packed->n - z->avail_in);
		n = room_bytes - z->avail_out;
		out->n += n;
		max_bytes -= n;
		d->ended = rc == Z_STREAM_END;
		if (z->avail_out > 0)
			return 0; /* input used up, or the stream's end */
	}
	*more = !d->ended;
	return 0;
}
