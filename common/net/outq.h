/* SPDX-License-Identifier: ISC */
/*
 * outq.h - bytes on their way out, in a chain of blocks that are filled in
 * place and written with one writev. An empty queue has no memory.
 */
#ifndef NET_OUTQ_H
#define NET_OUTQ_H

#include <sys/uio.h>

#include "base/str.h"

struct outq_block;

struct outq {
	struct outq_block *first, *last;
	size_t n; /* bytes in all blocks */
};

/* Empty; outq_done() drops what was not sent. */
void outq_init(struct outq *q);
void outq_done(struct outq *q);
/* Contiguous space for `n` bytes; then outq_filled() says how many. */
char *outq_room(struct outq *q, size_t n);
void outq_filled(struct outq *q, size_t n);
/* Copies; fills the last block before it begins another one. */
void outq_add(struct outq *q, const void *p, size_t n);
/* The bytes of the first block. */
struct str outq_head(const struct outq *q);
/* Up to `max` slices for writev; returns how many. */
int outq_iov(const struct outq *q, struct iovec *iov, int max);
/* Forgets the first `n` bytes. */
void outq_drop(struct outq *q, size_t n);
/* Gives back the blocks that are kept for the next busy connection. */
void outq_trim(void);

#endif
