/* SPDX-License-Identifier: ISC */
/*
 * step_sort.c - a sort that can be interrupted.
 *
 * Owns:    nothing; rows and spare room are the caller's.
 * Trusts:  the comparison to be one.
 */
#include "base/step_sort.h"

#include <string.h>

/* Short runs are made by insertion. */
#define RUN 16

static char *
row(char *rows, const struct step_sort *s, size_t i)
{
	return rows + i * s->size;
}

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The run from s->at on. */
static void
insert_run(struct step_sort *s)
{
	size_t end = min_size(s->at + RUN, s->n), i, k;
	char *held = s->spare;

	for (i = s->at + 1; i < end; i++) {
		for (k = i; k > s->at &&
		     s->cmp(row(s->rows, s, k - 1), row(s->rows, s, i),
			 s->arg) > 0;
		     k--)
			;
		if (k == i)
			continue;
		memcpy(held, row(s->rows, s, i), s->size);
		memmove(row(s->rows, s, k + 1), row(s->rows, s, k),
		    (i - k) * s->size);
		memcpy(row(s->rows, s, k), held, s->size);
	}
	s->at = end;
}

/* Two runs begin at s->at. */
static void
begin_merge(struct step_sort *s)
{
	s->left = s->out = s->at;
	s->right = min_size(s->at + s->run, s->n);
}

void
step_sort_begin(struct step_sort *s, void *rows, void *spare, size_t n,
    size_t size, step_sort_cmp *cmp, void *arg)
{
	*s = (struct step_sort){
	    .rows = rows,
	    .spare = spare,
	    .n = n,
	    .size = size,
	    .cmp = cmp,
	    .arg = arg,
	    .run = RUN,
	};
}

/* As far as the steps go; true: these two are one now. */
static bool
merge(struct step_sort *s, size_t *steps)
{
	size_t middle = min_size(s->at + s->run, s->n);
	size_t end = min_size(middle + s->run, s->n);
	bool from_left;

	for (; s->out < end; s->out++, (*steps)--) {
		if (*steps == 0)
			return false;
		if (s->left == middle)
			from_left = false;
		else if (s->right == end)
			from_left = true;
		else
			from_left = s->cmp(row(s->rows, s, s->left),
					row(s->rows, s, s->right), s->arg) <= 0;
		memcpy(row(s->spare, s, s->out),
		    row(s->rows, s, from_left ? s->left : s->right), s->size);
		if (from_left)
			s->left++;
		else
			s->right++;
	}
	return true;
}

/* All runs by twos, into the spare room. */
static bool
pass(struct step_sort *s, size_t *steps)
{
	while (s->at < s->n) {
		if (!merge(s, steps))
			return false;
		s->at = min_size(s->at + 2 * s->run, s->n);
		begin_merge(s);
	}
	return true;
}

bool
step_sort_go(struct step_sort *s, size_t *steps)
{
	char *swap;

	while (!s->has_runs) {
		if (s->at >= s->n) {
			s->has_runs = true;
			s->at = 0;
			begin_merge(s);
			break;
		}
		if (*steps < RUN) {
			*steps = 0;
			return false;
		}
		insert_run(s);
		*steps -= RUN;
	}
	while (s->run < s->n) {
		if (!pass(s, steps))
			return false;
		swap = s->rows;
		s->rows = s->spare;
		s->spare = swap;
		s->run *= 2;
		s->at = 0;
		begin_merge(s);
	}
	return true;
}
