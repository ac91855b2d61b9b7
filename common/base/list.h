/* SPDX-License-Identifier: ISC */
/*
 * list.h - intrusive doubly linked list with a head that is its own sentinel.
 *
 *	struct list head; list_init(&head);
 *	list_append(&head, &thing->link);
 *	LIST_EACH(&head, l) { struct thing *t = LIST_OF(l, struct thing, link); }
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/base.h"

/* A link, or the head of a ring of them; it stands in what is listed. */
struct list {
	struct list *next, *prev;
};

#define LIST_OF(l, type, member) CONTAINER_OF(l, type, member)
/* The current element may be removed inside the loop, no other one. */
#define LIST_EACH(head, it)                                                    \
	for (struct list *it = (head)->next, *it##_next = it->next;            \
	     it != (head); it = it##_next, it##_next = it->next)

static inline void
list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool
list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline void
list_append(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void
list_prepend(struct list *head, struct list *l)
{
	list_append(head->next, l);
}

/* Leaves `l` pointing to itself, so removing twice does no harm. */
static inline void
list_remove(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* Moves all of `from` to the front of `to`, keeping their order. */
static inline void
list_prepend_all(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to;
	from->prev->next = to->next;
	to->next->prev = from->prev;
	to->next = from->next;
	list_init(from);
}

#endif
