/* SPDX-License-Identifier: ISC */
/*
 * queue.c - attempts that wait for their turn.
 *
 * Owns:    struct queue and a struct queue_block per block that waits.
 * Runs in: authd.
 * Trusts:  nothing; the number of items is bounded by `max`.
 */
#include "auth/queue.h"
#include "base/mem.h"

struct queue_block {
	struct list link, items;
	uint64_t key;
	size_t n;
};

void
queue_init(struct queue *q, size_t max)
{
	list_init(&q->blocks);
	q->n = 0;
	q->max = max;
}

static struct queue_block *
block_of(struct queue *q, uint64_t key)
{
	struct queue_block *b;

	LIST_EACH(&q->blocks, l) {
		b = LIST_OF(l, struct queue_block, link);
		if (b->key == key)
			return b;
	}
	b = mem_new(1, sizeof(*b));
	b->key = key;
	list_init(&b->items);
	list_append(&q->blocks, &b->link);
	return b;
}

static struct queue_block *
greediest(struct queue *q)
{
	struct queue_block *b, *most = NULL;

	LIST_EACH(&q->blocks, l) {
		b = LIST_OF(l, struct queue_block, link);
		if (most == NULL || b->n > most->n)
			most = b;
	}
	return most;
}

void
queue_remove(struct queue *q, struct queue_item *it)
{
	struct queue_block *b = it->block;

	if (b == NULL)
		return;
	list_remove(&it->link);
	it->block = NULL;
	q->n--;
	if (--b->n == 0) {
		list_remove(&b->link);
		MEM_FREE(b);
	}
}

struct queue_item *
queue_add(struct queue *q, struct queue_item *it, uint64_t key)
{
	struct queue_block *b = block_of(q, key);
	struct queue_item *out = NULL;

	it->block = b;
	list_append(&b->items, &it->link);
	b->n++;
	q->n++;
	if (q->n > q->max) {
		b = greediest(q);
		out = LIST_OF(b->items.prev, struct queue_item, link);
		queue_remove(q, out);
	}
	return out;
}

struct queue_item *
queue_take(struct queue *q)
{
	struct queue_block *b;
	struct queue_item *it;

	if (list_is_empty(&q->blocks))
		return NULL;
	b = LIST_OF(q->blocks.next, struct queue_block, link);
	it = LIST_OF(b->items.next, struct queue_item, link);
	/* This block's next turn comes after everybody else's. */
	list_remove(&b->link);
	list_append(&q->blocks, &b->link);
	queue_remove(q, it);
	return it;
}
