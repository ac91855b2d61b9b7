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
#define TAIL_BYTES (128 * 1024)
#define STEP_BYTES (1024 * 1024) /* some milliseconds */
#define CALL_BYTES 512 /* what a call of a decoder that makes nothing costs */
#define WINDOW_LOG_MAX 23

struct unpack {
	int fd;
	enum packing kind;
	uint64_t size; /* of the message */
	char *whole; /* its bytes, or NULL */
	char *
	    room; /* while it is looked through, with `kept` bytes at its end */
	size_t kept;
	/* The decoder. */
	unsigned char in[IN_BYTES];
	size_t in_at, in_n;
	uint64_t in_off; /* in the file, behind `in` */
	uint64_t pos; /* bytes made so far */
	/* The last of them: who converts line ends comes back for some. */
	char *tail;
	size_t tail_n;
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
	u->tail_n = 0;
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

/* Makes the next bytes: perhaps none, from members without any. */
static int
make_once(struct unpack *u, char *to, size_t n, size_t *made, struct err *e)
{
	*made = 0;
	if (u->is_end)
		return 0;
	if (refill(u, e) == -1)
		return -1;
	if (u->in_n == 0) {
		if (u->in_member)
			return corrupt(e, "ends too early");
		u->is_end = true;
		return 0;
	}
	if ((u->kind == PACKED_GZIP ? inflate_some : zstd_some)(
		u, to, n, made, e) == -1)
		return -1;
	u->pos += *made;
	return 0;
}

/* False: the step has made enough. */
static bool
take_budget(size_t *budget, size_t made)
{
	size_t cost = made + CALL_BYTES;

	*budget -= cost < *budget ? cost : *budget;
	return *budget > 0;
}

/* ---- the file ------------------------------------------------------------ */

enum step
unpack_look(struct unpack *u, uint64_t *size, struct err *e)
{
	size_t made, budget = STEP_BYTES;

	if (u->room == NULL)
		u->room = mem_resize(NULL, 1, KEEP_BYTES);
	while (!u->is_end) {
		/* Behind what is kept, then over it again and again. */
		if (u->kept == KEEP_BYTES)
			u->kept = 0;
		if (make_once(u, u->room + u->kept, KEEP_BYTES - u->kept, &made,
			e) == -1)
			return STEP_FAIL;
		u->kept += made;
		if (u->pos > UNPACKED_MAX) {
			(void)err_set(
			    e, ERR_LIMIT, "compressed message: too large");
			return STEP_FAIL;
		}
		if (!take_budget(&budget, made) && !u->is_end)
			return STEP_MORE;
	}
	*size = u->size = u->pos;
	if (u->pos == u->kept)
		u->whole = mem_resize(u->room, 1, u->kept == 0 ? 1 : u->kept);
	else
		free(u->room);
	u->room = NULL;
	return STEP_DONE;
}

int
unpack_new(int fd, enum packing kind, struct unpack **out, struct err *e)
{
	struct unpack *u = mem_new(1, sizeof(*u));

	u->fd = fd;
	u->kind = kind;
	if (decoder_begin(u, e) == -1) {
		unpack_free(&u);
		return -1;
	}
	*out = u;
	return 0;
}

int
unpack_open(int fd, enum packing kind, struct unpack **out, uint64_t *size,
    struct err *e)
{
	struct unpack *u;
	enum step step;

	if (unpack_new(fd, kind, &u, e) == -1)
		return -1;
	while ((step = unpack_look(u, size, e)) == STEP_MORE)
		;
	if (step == STEP_FAIL) {
		unpack_free(&u);
		return -1;
	}
	*out = u;
	return 0;
}

enum step
unpack_seek(struct unpack *u, uint64_t off, struct err *e)
{
	size_t made, budget = STEP_BYTES;
	enum step step = STEP_DONE;
	char *room;

	if (u->whole != NULL)
		return STEP_DONE;
	if (off > u->size)
		off = u->size;
	if (off <= u->pos && u->pos - off <= u->tail_n)
		return STEP_DONE;
	u->tail_n = 0;
	if (off < u->pos && decoder_begin(u, e) == -1)
		return STEP_FAIL;
	room = mem_resize(NULL, 1, IN_BYTES);
	while (step == STEP_DONE && u->pos < off && !u->is_end) {
		size_t n =
		    off - u->pos < IN_BYTES ? (size_t)(off - u->pos) : IN_BYTES;

		if (make_once(u, room, n, &made, e) == -1)
			step = STEP_FAIL;
		else if (!take_budget(&budget, made) && u->pos < off)
			step = STEP_MORE;
	}
	free(room);
	return step;
}

static void
keep_tail(struct unpack *u, const char *p, size_t n)
{
	size_t old;

	if (u->tail == NULL)
		u->tail = mem_resize(NULL, 1, TAIL_BYTES);
	if (n > TAIL_BYTES) {
		p += n - TAIL_BYTES;
		n = TAIL_BYTES;
	}
	old = u->tail_n < TAIL_BYTES - n ? u->tail_n : TAIL_BYTES - n;
	memmove(u->tail, u->tail + u->tail_n - old, old);
	memcpy(u->tail + old, p, n);
	u->tail_n = old + n;
}

int
unpack_read(struct unpack *u, uint64_t off, void *p, size_t n, size_t *got,
    struct err *e)
{
	enum step step;
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
	while ((step = unpack_seek(u, off, e)) == STEP_MORE)
		;
	if (step == STEP_FAIL)
		return -1;
	if (off < u->pos) {
		size_t back = (size_t)(u->pos - off);

		*got = back < n ? back : n;
		memcpy(p, u->tail + u->tail_n - back, *got);
	}
	while (*got < n && !u->is_end) {
		if (make_once(u, (char *)p + *got, n - *got, &made, e) == -1)
			return -1;
		keep_tail(u, (char *)p + *got, made);
		*got += made;
	}
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
	free(u->room);
	free(u->tail);
	free(u);
}
