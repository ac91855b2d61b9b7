/* SPDX-License-Identifier: ISC */
/*
 * outq.c - bytes on their way out, in a chain of blocks.
 *
 * Owns:    its blocks, and a few spare ones for the whole process, so that a
 *          stream does not go to the allocator for each of them.
 * Runs in: imapd and pop3d, through conn.
 * Trusts:  nothing; it never looks at the bytes.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/outq.h"

/* The first block of a reply is small: most replies are. */
#define BLOCK_SMALL (4096 - sizeof(struct outq_block))
#define BLOCK_LARGE (65536 - sizeof(struct outq_block) - 16)

struct outq_block {
	struct outq_block *next;
	size_t from, to, size; /* data[from..to) is in use */
	char data[];
};

/* So many large blocks are kept: what is written at once, and one more. */
#define SPARE_MAX 4

static struct outq_block *spare;
static unsigned n_spare;

static struct outq_block *
block_new(size_t size)
{
	struct outq_block *b;

	if (size == BLOCK_LARGE && spare != NULL) {
		b = spare;
		spare = b->next;
		n_spare--;
	} else {
		/* Not zeroed: that would touch pages that may not be used. */
		b = mem_resize(NULL, 1, sizeof(*b) + size);
	}
	b->next = NULL;
	b->from = b->to = 0;
	b->size = size;
	return b;
}

static void
block_free(struct outq_block *b)
{
	if (b->size == BLOCK_LARGE && n_spare < SPARE_MAX) {
		b->next = spare;
		spare = b;
		n_spare++;
	} else {
		free(b);
	}
}

void
outq_trim(void)
{
	struct outq_block *b;

	while ((b = spare) != NULL) {
		spare = b->next;
		free(b);
	}
	n_spare = 0;
}

void
outq_init(struct outq *q)
{
	*q = (struct outq){0};
}

void
outq_done(struct outq *q)
{
	struct outq_block *b;

	while ((b = q->first) != NULL) {
		q->first = b->next;
		block_free(b);
	}
	outq_init(q);
}

char *
outq_room(struct outq *q, size_t n)
{
	struct outq_block *b = q->last;
	size_t size;

	if (b != NULL && b->size - b->to >= n)
		return b->data + b->to;
	size = q->first == NULL && n <= BLOCK_SMALL ? BLOCK_SMALL : BLOCK_LARGE;
	if (size < n)
		size = n;
	b = block_new(size);
	if (q->last == NULL)
		q->first = b;
	else
		q->last->next = b;
	q->last = b;
	return b->data;
}

void
outq_filled(struct outq *q, size_t n)
{
	ASSERT(n == 0 || (q->last != NULL && q->last->size - q->last->to >= n));
	if (n == 0)
		return;
	q->last->to += n;
	q->n += n;
}

void
outq_add(struct outq *q, const void *p, size_t n)
{
	const char *from = p;
	size_t room;

	while (n > 0) {
		room = q->last == NULL ? 0 : q->last->size - q->last->to;
		if (room == 0) {
			(void)outq_room(q, n < BLOCK_LARGE ? n : BLOCK_LARGE);
			room = q->last->size - q->last->to;
		}
		if (room > n)
			room = n;
		memcpy(q->last->data + q->last->to, from, room);
		outq_filled(q, room);
		from += room;
		n -= room;
	}
}

struct str
outq_head(const struct outq *q)
{
	const struct outq_block *b = q->first;

	while (b != NULL && b->from == b->to)
		b = b->next;
	if (b == NULL)
		return str_make(NULL, 0);
	return str_make(b->data + b->from, b->to - b->from);
}

int
outq_iov(const struct outq *q, struct iovec *iov, int max)
{
	struct outq_block *b;
	int n = 0;

	for (b = q->first; b != NULL && n < max; b = b->next) {
		if (b->from == b->to)
			continue;
		iov[n].iov_base = b->data + b->from;
		iov[n].iov_len = b->to - b->from;
		n++;
	}
	return n;
}

void
outq_drop(struct outq *q, size_t n)
{
	struct outq_block *b;
	size_t here;

	ASSERT(n <= q->n);
	q->n -= n;
	while ((b = q->first) != NULL) {
		here = b->to - b->from;
		if (here > n) {
			b->from += n;
			return;
		}
		n -= here;
		/* A last block with room that somebody may be filling stays
		 * only as long as there are bytes in it. */
		q->first = b->next;
		if (q->first == NULL)
			q->last = NULL;
		block_free(b);
	}
}
