/* SPDX-License-Identifier: ISC */
/*
 * arena.c - memory that is given back all at once.
 *
 * Owns:    struct arena and its blocks.
 * Runs in: every process.
 * Trusts:  callers to have limited sizes that others chose.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"

#define FIRST_BLOCK 480 /* an idle session has three */
#define BLOCK_MAX (256 * 1024)
#define ALIGN _Alignof(max_align_t)

struct arena_block {
	struct arena_block *prev;
	size_t size;
	_Alignas(max_align_t) char data[];
};

void
arena_init(struct arena *a)
{
	*a = (struct arena){0};
}

static void
drop_block(struct arena *a)
{
	struct arena_block *b = a->block;

	a->block = b->prev;
	a->total_bytes -= b->size;
	free(b);
}

void
arena_done(struct arena *a)
{
	while (a->block != NULL)
		drop_block(a);
	arena_init(a);
}

void
arena_reset(struct arena *a)
{
	while (a->block != NULL &&
	    (a->block->prev != NULL || a->block->size > FIRST_BLOCK))
		drop_block(a);
	a->used = 0;
}

static void
add_block(struct arena *a, size_t need)
{
	size_t size = a->block != NULL ? a->block->size * 2 : FIRST_BLOCK;
	struct arena_block *b;

	if (size > BLOCK_MAX)
		size = BLOCK_MAX;
	if (size < need)
		size = need;
	b = mem_resize(NULL, 1, sizeof(*b) + size);
	b->prev = a->block;
	b->size = size;
	a->block = b;
	a->used = 0;
	a->total_bytes += size;
}

static void *
alloc_bytes(struct arena *a, size_t n)
{
	char *p;

	ASSERT(n < SIZE_MAX / 4);
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (a->block == NULL || a->block->size - a->used < n)
		add_block(a, n);
	p = a->block->data + a->used;
	a->used += n;
	return p;
}

void *
arena_new(struct arena *a, size_t n, size_t size)
{
	size_t bytes;
	void *p;

	ASSERT(!__builtin_mul_overflow(n, size, &bytes));
	p = alloc_bytes(a, bytes > 0 ? bytes : 1);
	memset(p, 0, bytes);
	return p;
}

struct str
arena_str(struct arena *a, struct str s)
{
	char *p = alloc_bytes(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return str_make(p, s.n);
}

char *
arena_c(struct arena *a, struct str s)
{
	char *p = alloc_bytes(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

struct str
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	p = alloc_bytes(a, (size_t)n + 1);
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return str_make(p, (size_t)n);
}

struct arena_mark
arena_mark(const struct arena *a)
{
	return (struct arena_mark){.block = a->block, .used = a->used};
}

void
arena_rewind(struct arena *a, struct arena_mark m)
{
	if (m.block == NULL) {
		arena_reset(a);
		return;
	}
	while (a->block != m.block) {
		ASSERT(a->block != NULL);
		drop_block(a);
	}
#ifdef RESTANTE_SANITIZE
	memset(a->block->data + m.used, 0xdb, a->block->size - m.used);
#endif
	a->used = m.used;
}
