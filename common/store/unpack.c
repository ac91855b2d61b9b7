/* SPDX-License-Identifier: ISC */
/*
 * unpack.c - reads gzip and zstd.
 *
 * Owns:    decoders.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file: what it makes is bounded before it is kept,
 *          and the whole is decoded once before any byte of it is used.
 * Spec:    RFC 1952 (several members in a row are one file), RFC 8878.
 */
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bounds.h"
#include "base/mem.h"
#include "os/file.h"
#include "store/unpack.h"

#define IN_BYTES (32 * 1024)
#define KEEP_BYTES (512 * 1024) /* a message up to this is kept whole */
#define WINDOW_LOG_MAX 23

struct unpack {
	int fd;
	enum packing kind;
	uint64_t size; /* of the message */
	char *whole; /* its bytes, or NULL */
	/* The decoder. */
	unsigned char in[IN_BYTES];
	size_t in_at, in_n;
	uint64_t in_off; /* in the file, behind `in` */
	uint64_t pos; /* bytes made so far */
	bool is_end; /* of the file, between two members or frames */
	bool in_member;
	z_stream z;
	bool has_z;
	ZSTD_DStream *zstd;
};

enum packing
unpack_kind(struct str first)
{
	if (str_starts(first, str_make("\x28\xb5\x2f\xfd", 4)))
		return PACKED_ZSTD;
	/* Method 8, and no flag that RFC 1952 does not know. */
	if (first.n >= UNPACK_MAGIC && str_starts(first, STR("\x1f\x8b\x08")) &&
	    ((unsigned char)first.p[3] & 0xe0) == 0)
		return PACKED_GZIP;
	return PACKED_NOT;
}

static int
corrupt(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "compressed message: %s", what);
}

/* ---- the decoders -------------------------------------------------------- */

static int
decoder_begin(struct unpack *u, struct err *e)
{
	u->in_at = u->in_n = 0;
	u->in_off = u->pos = 0;
	u->is_end = u->in_member = false;
	if (u->kind == PACKED_GZIP) {
		if (u->has_z ? inflateReset(&u->z) != Z_OK
			     : inflateInit2(&u->z, 15 + 16) != Z_OK)
			return err_set(e, ERR_OTHER, "inflate");
		u->has_z = true;
		return 0;
	}
	if (u->zstd == NULL)
		u->zstd = ZSTD_createDStream();
	if (u->zstd == NULL ||
	    ZSTD_isError(ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only)) ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(
		u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
		return err_set(e, ERR_OTHER, "zstd");
	return 0;
}

static int
refill(struct unpack *u, struct err *e)
{
	size_t got;

	if (u->in_at < u->in_n)
		return 0;
	if (file_read_at(u->fd, u->in_off, u->in, IN_BYTES, &got, e) == -1)
		return -1;
	u->in_off += got;
	u->in_at = 0;
	u->in_n = got;
	return 0;
}

static int
inflate_some(struct unpack *u, char *to, size_t n, size_t *made, struct err *e)
{
	int rc;

	u->z.next_in = u->in + u->in_at;
	u->z.avail_in = (uInt)(u->in_n - u->in_at);
	u->z.next_out = (unsigned char *)to;
	u->z.avail_out = (uInt)n;
	rc = inflate(&u->z, Z_NO_FLUSH);
	u->in_at = u->in_n - u->z.avail_in;
	*made = n - u->z.avail_out;
	u->in_member = rc != Z_STREAM_END;
	if (rc == Z_STREAM_END)
		return inflateReset(&u->z) == Z_OK
		    ? 0
		    : err_set(e, ERR_OTHER, "inflate");
	if (rc != Z_OK && rc != Z_BUF_ERROR)
		return corrupt(e, u->z.msg != NULL ? u->z.msg : "gzip");
	return 0;
}

static int
zstd_some(struct unpack *u, char *to, size_t n, size_t *made, struct err *e)
{
	ZSTD_inBuffer in = {u->in, u->in_n, u->in_at};
	ZSTD_outBuffer out = {to, n, 0};
	size_t rc = ZSTD_decompressStream(u->zstd, &out, &in);

	u->in_at = in.pos;
	*made = out.pos;
	if (ZSTD_isError(rc))
		return corrupt(e, ZSTD_getErrorName(rc));
	u->in_member = rc != 0;
	return 0;
}

/* Makes the next bytes, at least one; *made 0 only at the end. */
static int
make_some(struct unpack *u, char *to, size_t n, size_t *made, struct err *e)
{
	*made = 0;
	while (*made == 0 && !u->is_end) {
		if (refill(u, e) == -1)
			return -1;
		if (u->in_n == 0) {
			if (u->in_member)
				return corrupt(e, "ends too early");
			u->is_end = true;
			break;
		}
		if ((u->kind == PACKED_GZIP ? inflate_some : zstd_some)(
			u, to, n, made, e) == -1)
			return -1;
	}
	u->pos += *made;
	return 0;
}

/* ---- the file ------------------------------------------------------------ */

static int
look_through(struct unpack *u, struct err *e)
{
	char *room = mem_resize(NULL, 1, KEEP_BYTES);
	size_t made, kept = 0;
	int rc = -1;

	do {
		/* Behind what is kept, then over it again and again. */
		if (kept == KEEP_BYTES)
			kept = 0;
		if (make_some(u, room + kept, KEEP_BYTES - kept, &made, e) ==
		    -1)
			goto out;
		kept += made;
		if (u->pos > UNPACKED_MAX) {
			(void)err_set(
			    e, ERR_LIMIT, "compressed message: too large");
			goto out;
		}
	} while (made > 0);
	u->size = u->pos;
	if (u->pos == kept) {
		u->whole = mem_resize(room, 1, kept == 0 ? 1 : kept);
		room = NULL;
	}
	rc = 0;
out:
	free(room);
	return rc;
}

int
unpack_open(int fd, enum packing kind, struct unpack **out, uint64_t *size,
    struct err *e)
{
	struct unpack *u = mem_new(1, sizeof(*u));

	u->fd = fd;
	u->kind = kind;
	if (decoder_begin(u, e) == -1 || look_through(u, e) == -1) {
		unpack_free(&u);
		return -1;
	}
	*size = u->size;
	*out = u;
	return 0;
}

/* Brings the decoder to `off`. */
static int
go_to(struct unpack *u, uint64_t off, struct err *e)
{
	char *room;
	size_t made = 1;
	int rc = 0;

	if (off < u->pos && decoder_begin(u, e) == -1)
		return -1;
	if (u->pos == off)
		return 0;
	room = mem_resize(NULL, 1, IN_BYTES);
	while (rc == 0 && u->pos < off && made > 0) {
		size_t n =
		    off - u->pos < IN_BYTES ? (size_t)(off - u->pos) : IN_BYTES;

		rc = make_some(u, room, n, &made, e);
	}
	free(room);
	return rc;
}

int
unpack_read(struct unpack *u, uint64_t off, void *p, size_t n, size_t *got,
    struct err *e)
{
	size_t made;

	*got = 0;
	if (off >= u->size)
		return 0;
	if (n > u->size - off)
		n = (size_t)(u->size - off);
	if (u->whole != NULL) {
		memcpy(p, u->whole + off, n);
		*got = n;
		return 0;
	}
	if (go_to(u, off, e) == -1)
		return -1;
	do {
		if (make_some(u, (char *)p + *got, n - *got, &made, e) == -1)
			return -1;
		*got += made;
	} while (made > 0 && *got < n);
	return 0;
}

void
unpack_free(struct unpack **up)
{
	struct unpack *u = *up;

	*up = NULL;
	if (u == NULL)
		return;
	if (u->has_z)
		(void)inflateEnd(&u->z);
	(void)ZSTD_freeDStream(u->zstd);
	free(u->whole);
	free(u);
}
