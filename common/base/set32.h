/* SPDX-License-Identifier: ISC */
/*
 * set32.h - a set of 32-bit numbers as sorted, disjoint, non-adjacent ranges.
 * Position in the set and value convert into each other by binary search, so
 * a quiet mailbox of a million messages is one range.
 */
#ifndef BASE_SET32_H
#define BASE_SET32_H

#include "base/base.h"

struct set32_range {
	uint32_t first, last; /* inclusive */
};

struct set32 {
	struct set32_range *r;
	size_t n, size;
	size_t skip; /* of `size`: free ones before r[0] */
	uint32_t total; /* values */
	uint32_t *before; /* values before each range; built on demand */
	bool counted; /* `before` is up to date */
};

/* Empty; allocates nothing yet. A zeroed one is the same. set32_done() ends it. */
void set32_init(struct set32 *s);
void set32_done(struct set32 *s);
void set32_clear(struct set32 *s);
void set32_copy(struct set32 *to, const struct set32 *from);
void set32_add(struct set32 *s, uint32_t v);
void set32_add_range(struct set32 *s, uint32_t first, uint32_t last);
void set32_remove_range(struct set32 *s, uint32_t first, uint32_t last);
void set32_remove(struct set32 *s, uint32_t v);
bool set32_has(const struct set32 *s, uint32_t v);
/* Those that are in both; `out` is cleared first. */
void set32_intersect(
    const struct set32 *a, const struct set32 *b, struct set32 *out);
/* How many values; at most 2^32 - 1 because 0 is no UID. */
uint32_t set32_count(const struct set32 *s);
/* The value at position 1..count; 0 when there is none. */
uint32_t set32_at(struct set32 *s, uint32_t pos);
/* Position 1..count of the value; 0 when it is not in the set. */
uint32_t set32_pos(struct set32 *s, uint32_t v);
/* How many values are <= v. */
uint32_t set32_count_le(struct set32 *s, uint32_t v);
/* Index of the first range whose last is >= v; s->n: there is none. */
size_t set32_range_of(const struct set32 *s, uint32_t v);
/* Smallest value >= v; false when there is none. */
bool set32_next(const struct set32 *s, uint32_t v, uint32_t *out);
static inline bool
set32_is_empty(const struct set32 *s)
{
	return s->n == 0;
}

#endif
