/* SPDX-License-Identifier: ISC */
/*
 * step_sort.h - a sort that can be interrupted: merges runs, so many rows at a
 * time, and never takes more than n log n steps, whatever the rows are.
 */
#ifndef BASE_STEP_SORT_H
#define BASE_STEP_SORT_H

#include "base/base.h"

/* Two rows: below 0, 0 or above, as for qsort(3); `arg` is the caller's. */
typedef int step_sort_cmp(const void *a, const void *b, void *arg);

struct step_sort {
	char *rows, *spare; /* they change places */
	size_t n, size;
	step_sort_cmp *cmp;
	void *arg;
	size_t run; /* rows of a sorted run */
	size_t at; /* first row of the two runs that are being merged */
	size_t left, right, out; /* in these */
	bool has_runs;
};

/*
 * `n` rows of `size` bytes; `spare` is room for as many. Both are borrowed until
 * the end. Equal rows keep their order.
 */
void step_sort_begin(struct step_sort *s, void *rows, void *spare, size_t n,
    size_t size, step_sort_cmp *cmp, void *arg);
/*
 * Does about *steps steps, one for each row that is moved, and takes them off.
 * True: all is sorted and lies at s->rows, which is one of the two.
 */
bool step_sort_go(struct step_sort *s, size_t *steps);

#endif
