/* SPDX-License-Identifier: ISC */
/*
 * buf.c - owned, growing bytes with a hard maximum.
 *
 * Owns:    the bytes of struct buf.
 * Runs in: every process.
 * Trusts:  nothing; sizes beyond the maximum are refused before allocating.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"

void
buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){.max_bytes = max_bytes};
}

void
buf_done(struct buf *b)
{
	free(b->p);
	buf_init(b, b->max_bytes);
}

void
buf_clear(struct buf *b)
{
	b->n = 0;
	b->over = false;
}

void
buf_wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->size);
	buf_clear(b);
}

char *
buf_room(struct buf *b, size_t n)
{
	size_t size;

	if (n > b->max_bytes || b->n > b->max_bytes - n) {
		b->over = true;
		return NULL;
	}
	if (b->p == NULL || b->size - b->n < n) {
		size = b->size < 64 ? 64 : b->size;
		while (size < b->n + n)
			size =
			    size > b->max_bytes / 2 ? b->max_bytes : size * 2;
		if (size > b->max_bytes)
			size = b->max_bytes;
		b->p = mem_resize(b->p, size, 1);
		b->size = size;
	}
	return b->p + b->n;
}

bool
buf_add_grown(struct buf *b, const void *p, size_t n)
{
	char *at = buf_room(b, n);

	if (at == NULL)
		return false;
	if (n > 0)
		memcpy(at, p, n);
	b->n += n;
	return true;
}

bool
buf_add_u64(struct buf *b, uint64_t v)
{
	char digits[NUM_DIGITS_MAX];

	return buf_add(b, digits, num_write_u64(digits, v));
}

bool
buf_addf(struct buf *b, const char *fmt, ...)
{
	char small[256], *at;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	if ((size_t)n < sizeof(small))
		return buf_add(b, small, (size_t)n);
	/* One more byte for the NUL that vsnprintf insists on. */
	at = mem_resize(NULL, (size_t)n + 1, 1);
	va_start(ap, fmt);
	(void)vsnprintf(at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	bool fits = buf_add(b, at, (size_t)n);
	free(at);
	return fits;
}

void
buf_drop(struct buf *b, size_t n)
{
	ASSERT(n <= b->n);
	if (n > 0 && n < b->n)
		memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void
buf_shrink(struct buf *b)
{
	if (b->n == 0) {
		free(b->p);
		b->p = NULL;
		b->size = 0;
	} else if (b->size > b->n) {
		b->p = mem_resize(b->p, b->n, 1);
		b->size = b->n;
	}
}
