/* SPDX-License-Identifier: ISC */
/*
 * mbox_sum.h - a sum over what clients see of a message, taken while its file
 * is read: the same sum, the same bytes. It finds change, not malice.
 */
#ifndef STORE_MBOX_SUM_H
#define STORE_MBOX_SUM_H

#include "base/str.h"

struct mbox_sum {
	uint64_t lanes[4];
	uint64_t n; /* bytes that went in */
	unsigned n_held; /* the last ones, not mixed yet */
	char held[40];
};

/* The sum of no bytes. */
void mbox_sum_init(struct mbox_sum *s);
/* However the bytes are cut into pieces, the sum is the same. */
void mbox_sum_add(struct mbox_sum *s, struct str bytes);
/* The sum of all but the last `drop` bytes, 0 to 2 of them. */
uint64_t mbox_sum_end(struct mbox_sum *s, unsigned drop);

#endif
