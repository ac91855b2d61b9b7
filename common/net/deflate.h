/* SPDX-License-Identifier: ISC */
/*
 * deflate.h - the two DEFLATE streams of COMPRESS (RFC 4978, RFC 1951).
 * Pure: bytes in, bytes out, no I/O.
 */
#ifndef NET_DEFLATE_H
#define NET_DEFLATE_H

#include "base/buf.h"
#include "base/err.h"

struct deflate;

/* Both directions of one connection; ERR_OTHER: zlib refuses to start. */
int deflate_new(struct deflate **out, struct err *e);
void deflate_free(struct deflate **d);
/*
 * Compresses `plain` and appends to `out`. With `flush` the reader can decode
 * all that was packed so far.
 */
int deflate_pack(struct deflate *d, struct str plain, bool flush,
    struct buf *out, struct err *e);
/*
 * Takes bytes from the front of *packed and appends at most `max_bytes` plain
 * ones to `out`; what is left in *packed waits for the next call, and even
 * with nothing left there may be more to come while *more is set.
 * ERR_VIOLATION: not a DEFLATE stream, or it has ended.
 */
int deflate_unpack(struct deflate *d, struct str *packed, size_t max_bytes,
    struct buf *out, bool *more, struct err *e);

#endif
