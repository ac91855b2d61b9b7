/* SPDX-License-Identifier: ISC */
/*
 * unpack.h - messages that are stored compressed, as Dovecot's zlib plugin and
 * people's scripts leave them: gzip and zstd, told by their first bytes.
 */
#ifndef STORE_UNPACK_H
#define STORE_UNPACK_H

#include "base/err.h"
#include "base/str.h"

/* How a file is compressed, as delivery agents and Dovecot's zlib leave it. */
enum packing { PACKED_NOT, PACKED_GZIP, PACKED_ZSTD };

/* Bytes that unpack_kind() wants to see. */
#define UNPACK_MAGIC 4

/* By the first bytes; fewer than UNPACK_MAGIC are never packed. */
enum packing unpack_kind(struct str first);

struct unpack;

/*
 * Looks through the whole file: checks it, and finds its true size. `fd` is
 * borrowed and must stay open. Memory: a small message's bytes, else the
 * decoder's window. ERR_CORRUPT: not whole, or damaged; ERR_LIMIT: larger than
 * UNPACKED_MAX, or a window of more than 8 MiB.
 */
int unpack_open(int fd, enum packing kind, struct unpack **out, uint64_t *size,
    struct err *e);
/*
 * The same in steps of a megabyte or so: unpack_look() until it is STEP_DONE,
 * which gives *size; nothing may be read before.
 */
int unpack_new(int fd, enum packing kind, struct unpack **out, struct err *e);
enum step unpack_look(struct unpack *u, uint64_t *size, struct err *e);
/*
 * Brings the decoder to `off`, or to the end if that comes first, in such steps:
 * then unpack_read() from there on decodes no more than it gives.
 */
enum step unpack_seek(struct unpack *u, uint64_t off, struct err *e);
/* Up to `n` bytes at `off`; *got 0 at the end. Going backwards is slow. */
int unpack_read(struct unpack *u, uint64_t off, void *p, size_t n, size_t *got,
    struct err *e);
void unpack_free(struct unpack **u);

#endif
