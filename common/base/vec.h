/* SPDX-License-Identifier: ISC */
/*
 * vec.h - typed dynamic arrays.
 *
 *	VEC(struct thing) things = {0};
 *	*VEC_ADD(&things) = (struct thing){...};
 *	VEC_EACH(&things, t) use(t);
 *	VEC_DONE(&things);
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define VEC(type)                                                              \
	struct {                                                               \
		type *v;                                                       \
		size_t n, size;                                                \
	}

/* Pointer to a new, zeroed last element. */
#define VEC_ADD(vec)                                                           \
	((vec)->n == (vec)->size                                               \
		? (void)((vec)->size = (vec)->size ? (vec)->size * 2 : 8,      \
		      (vec)->v = mem_resize(                                   \
			  (vec)->v, (vec)->size, sizeof(*(vec)->v)))           \
		: (void)0,                                                     \
	    memset(&(vec)->v[(vec)->n], 0, sizeof(*(vec)->v)),                 \
	    &(vec)->v[(vec)->n++])
/* Room for `count` elements in all. */
#define VEC_RESERVE(vec, count)                                                \
	((count) > (vec)->size ? (void)((vec)->size = (count),                 \
				     (vec)->v = mem_resize((vec)->v,           \
					 (vec)->size, sizeof(*(vec)->v)))      \
			       : (void)0)
#define VEC_EACH(vec, it)                                                      \
	for (__typeof__((vec)->v + 0) it = (vec)->v;                           \
	     (vec)->n > 0 && it < (vec)->v + (vec)->n; it++)
/* Removes element `i`, keeping the order of the others. */
#define VEC_REMOVE(vec, i)                                                     \
	(memmove(&(vec)->v[i], &(vec)->v[(i) + 1],                             \
	     ((vec)->n - (i)-1) * sizeof(*(vec)->v)),                          \
	    (vec)->n--)
/*
 * Index of the first element whose `field` is not below `key`, or the number of
 * elements; they ascend by `field`. Most that is looked for in order is behind
 * all of them, which is asked first. `key` is evaluated more than once.
 */
#define VEC_FIND(vec, field, key)                                              \
	({                                                                     \
		size_t lo_ = 0, hi_ = (vec)->n;                                \
                                                                               \
		if (hi_ > 0 && (vec)->v[hi_ - 1].field < (key))                \
			lo_ = hi_;                                             \
		while (lo_ < hi_) {                                            \
			size_t mid_ = lo_ + (hi_ - lo_) / 2;                   \
                                                                               \
			if ((vec)->v[mid_].field < (key))                      \
				lo_ = mid_ + 1;                                \
			else                                                   \
				hi_ = mid_;                                    \
		}                                                              \
		lo_;                                                           \
	})
#define VEC_DONE(vec)                                                          \
	(free((vec)->v), (vec)->v = NULL, (vec)->n = (vec)->size = 0)

#endif
