/* SPDX-License-Identifier: ISC */
/*
 * queue.h - attempts that wait for their turn, fair to address blocks: each
 * block with something waiting is served in turn, however much others bring.
 */
#ifndef AUTH_QUEUE_H
#define AUTH_QUEUE_H

#include "base/list.h"

struct queue_block;

/* Lives in what is queued; starts zeroed. */
struct queue_item {
	struct list link;
	struct queue_block *block; /* NULL: not queued */
};

struct queue {
	struct list blocks; /* the next to serve first */
	size_t n, max;
};

/* Empty; `max`: items in all. */
void queue_init(struct queue *q, size_t max);
/*
 * Appends `it` for the block with this key. When the queue is full, the last
 * item of the greediest block gives way: it is returned, no longer queued (it
 * may be `it` itself); else NULL.
 */
struct queue_item *queue_add(
    struct queue *q, struct queue_item *it, uint64_t key);
/* Takes the next item out; NULL when nothing waits. */
struct queue_item *queue_take(struct queue *q);
/* Takes `it` out of the middle; nothing happens when it is not queued. */
void queue_remove(struct queue *q, struct queue_item *it);

#endif
