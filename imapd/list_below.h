/* SPDX-License-Identifier: ISC */
/*
 * list_below.h - which names of a listing have some below them that meet its
 * criteria (RFC 5258 section 3.5): for all of them in one pass, in steps.
 */
#ifndef IMAPD_LIST_BELOW_H
#define IMAPD_LIST_BELOW_H

#include "base/arena.h"
#include "imapd/command.h"
#include "store/store.h"

enum list_below_bit {
	BELOW_SELECTED = 1, /* one below it meets the criteria */
	BELOW_UNMATCHED = 2, /* ...and matches no pattern */
};

struct list_below_mark {
	const struct mbox_entry *m;
	size_t up; /* the nearest one above it; SIZE_MAX: none */
	unsigned bits; /* enum list_below_bit */
};

struct list_below {
	struct list_below_mark *v; /* in the order of the listing */
	size_t n;
	const struct mbox_entry *next;
	/* What an entry is itself: BELOW_SELECTED, BELOW_UNMATCHED, or 0. */
	unsigned (*judge)(void *arg, const struct mbox_entry *m);
	void *arg;
};

/* `first`: sorted, children behind their parent. Marks live in the arena. */
void list_below_begin(
    struct list_below *b, struct arena *a, const struct mbox_entry *first);
/* STEP_DONE: v[i].bits are there, for the i-th entry. */
enum step list_below_step(struct cmd *c, struct list_below *b);

#endif
