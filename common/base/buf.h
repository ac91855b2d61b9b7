/* SPDX-License-Identifier: ISC */
/*
 * buf.h - owned, growing bytes with a hard maximum. Going over it sets `over`
 * and drops what does not fit (whole calls): check buf_is_over() at the end.
 * Truncated output is never used.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

struct buf {
	char *p;
	size_t n; /* bytes in use */
	size_t size; /* bytes allocated */
	size_t max_bytes; /* never more than this */
	bool over; /* something did not fit */
};

/*
 * Empty; allocates nothing yet. What would make it longer than max_bytes is left
 * out and noted, see buf_is_over(). buf_done() ends it.
 */
void buf_init(struct buf *b, size_t max_bytes);
/* Frees the bytes; the buffer keeps its maximum and can be used again. */
void buf_done(struct buf *b);
/* Forgets the content and the overflow mark, keeps the memory. */
void buf_clear(struct buf *b);
/* As buf_clear, wiping the bytes first. */
void buf_wipe(struct buf *b);
/* Room for `n` more bytes at b->p + b->n; NULL when over the maximum. */
char *buf_room(struct buf *b, size_t n);
/* All of these return false, and set `over`, when it does not fit. */
static inline bool buf_add(struct buf *b, const void *p, size_t n);
static inline bool buf_add_str(struct buf *b, struct str s);
static inline bool buf_add_c(struct buf *b, const char *text);
static inline bool buf_add_byte(struct buf *b, char c);
/* In decimal digits. */
bool buf_add_u64(struct buf *b, uint64_t v);
bool buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Removes the first `n` bytes. */
void buf_drop(struct buf *b, size_t n);
/* Gives back memory that is not in use. */
void buf_shrink(struct buf *b);

/* buf_add() where the room has to be looked for. */
bool buf_add_grown(struct buf *b, const void *p, size_t n);

/* Replies are made of many short pieces, hence inline. */
static inline bool
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || n > b->size - b->n)
		return buf_add_grown(b, p, n);
	memcpy(b->p + b->n, p, n);
	b->n += n;
	return true;
}

static inline bool
buf_add_str(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.n);
}

static inline bool
buf_add_c(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

static inline bool
buf_add_byte(struct buf *b, char c)
{
	if (b->n == b->size)
		return buf_add_grown(b, &c, 1);
	b->p[b->n++] = c;
	return true;
}

static inline struct str
buf_str(const struct buf *b)
{
	return str_make(b->p, b->n);
}

static inline bool
buf_is_over(const struct buf *b)
{
	return b->over;
}

#endif
