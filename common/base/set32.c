/* SPDX-License-Identifier: ISC */
/*
 * set32.c - sets of numbers as sorted ranges.
 *
 * Owns:    the ranges of struct set32.
 * Runs in: processes that serve mail.
 * Trusts:  nothing; callers limit how many ranges a client may send.
 *
 * Invariant: r[i].first <= r[i].last, r[i].last + 1 < r[i + 1].first.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/set32.h"

void
set32_init(struct set32 *s)
{
	*s = (struct set32){0};
}

void
set32_done(struct set32 *s)
{
	if (s->r != NULL)
		free(s->r - s->skip);
	free(s->before);
	set32_init(s);
}

/* No free ones before the first; `n` of them count. */
static void
move_to_base(struct set32 *s, size_t n)
{
	struct set32_range *base;

	if (s->skip == 0)
		return;
	base = s->r - s->skip;
	memmove(base, s->r, n * sizeof(*base));
	s->r = base;
	s->skip = 0;
}

void
set32_clear(struct set32 *s)
{
	s->n = 0;
	s->total = 0;
	s->counted = false;
}

void
set32_copy(struct set32 *to, const struct set32 *from)
{
	to->counted = false;
	to->total = from->total;
	move_to_base(to, 0);
	if (to->size < from->n) {
		to->r = mem_resize(to->r, from->n, sizeof(*to->r));
		to->size = from->n;
	}
	if (from->n > 0)
		memcpy(to->r, from->r, from->n * sizeof(*to->r));
	to->n = from->n;
}

size_t
set32_range_of(const struct set32 *s, uint32_t v)
{
	size_t lo = 0, hi = s->n;

	/* All of a mailbox that nothing was ever removed from. */
	if (hi == 1)
		return s->r[0].last < v;
	if (hi > 0 && s->r[hi - 1].last < v)
		return hi;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->r[mid].last < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

#define SIZE_MIN 4

/* Room for `count` in all, the free ones behind the last. */
static void
grow_behind(struct set32 *s, size_t count)
{
	move_to_base(s, s->n);
	/* Not so close that the next one has to be moved again. */
	if (count <= s->size - s->size / 4)
		return;
	s->size = count < SIZE_MIN ? SIZE_MIN : count * 2;
	s->r = mem_resize(s->r, s->size, sizeof(*s->r));
}

/* The same with half of the free ones before the first. */
static void
grow_before(struct set32 *s, size_t count)
{
	size_t size = count * 2 + SIZE_MIN, skip = (size - s->n) / 2;
	struct set32_range *base = mem_resize(NULL, size, sizeof(*base));

	if (s->n > 0)
		memcpy(base + skip, s->r, s->n * sizeof(*base));
	if (s->r != NULL)
		free(s->r - s->skip);
	s->r = base + skip;
	s->skip = skip;
	s->size = size;
}

static uint32_t
sum_of(const struct set32_range *r, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += r[i].last - r[i].first + 1;
	return sum;
}

/*
 * Replaces ranges [from, to) by `n` (0..2) new ones. The shorter side moves:
 * sets are eaten up from both ends, one number at a time.
 */
static void
splice(struct set32 *s, size_t from, size_t to, const struct set32_range *add,
    size_t n)
{
	size_t old = to - from, behind = s->n - to, count = s->n - old + n;

	s->total += sum_of(add, n);
	if (old > 0)
		s->total -= sum_of(&s->r[from], old);
	if (from < behind && n != old) {
		struct set32_range *was;

		if (n > old && s->skip < n - old)
			grow_before(s, count);
		was = s->r;
		s->r = was + old - n;
		s->skip = s->skip + old - n;
		memmove(s->r, was, from * sizeof(*s->r));
	} else if (n != old) {
		if (s->skip + count > s->size)
			grow_behind(s, count);
		if (behind > 0)
			memmove(
			    &s->r[from + n], &s->r[to], behind * sizeof(*s->r));
	}
	if (n > 0)
		memcpy(&s->r[from], add, n * sizeof(*s->r));
	s->n = count;
	s->counted = false;
}

void
set32_add_range(struct set32 *s, uint32_t first, uint32_t last)
{
	struct set32_range add = {first, last};
	size_t from, to;

	if (first > last)
		return;
	from = set32_range_of(s, first > 0 ? first - 1 : 0);
	for (to = from;
	     to < s->n && (last == UINT32_MAX || s->r[to].first <= last + 1);
	     to++) {
		if (s->r[to].first < add.first)
			add.first = s->r[to].first;
		if (s->r[to].last > add.last)
			add.last = s->r[to].last;
	}
	splice(s, from, to, &add, 1);
}

void
set32_add(struct set32 *s, uint32_t v)
{
	/* Behind the last one, as most sets grow. */
	if (s->n > 0 && v > 0 && s->r[s->n - 1].last == v - 1) {
		s->r[s->n - 1].last = v;
		s->total++;
		s->counted = false;
		return;
	}
	set32_add_range(s, v, v);
}

void
set32_remove_range(struct set32 *s, uint32_t first, uint32_t last)
{
	struct set32_range keep[2];
	size_t from, to, n = 0;

	if (first > last)
		return;
	from = set32_range_of(s, first);
	for (to = from; to < s->n && s->r[to].first <= last; to++)
		continue;
	if (from == to)
		return;
	if (s->r[from].first < first)
		keep[n++] = (struct set32_range){s->r[from].first, first - 1};
	if (s->r[to - 1].last > last)
		keep[n++] = (struct set32_range){last + 1, s->r[to - 1].last};
	splice(s, from, to, keep, n);
}

void
set32_remove(struct set32 *s, uint32_t v)
{
	set32_remove_range(s, v, v);
}

bool
set32_has(const struct set32 *s, uint32_t v)
{
	size_t i;

	if (s->n == 1)
		return s->r[0].first <= v && v <= s->r[0].last;
	i = set32_range_of(s, v);
	return i < s->n && s->r[i].first <= v;
}

static void
build_counts(struct set32 *s)
{
	uint32_t sum = 0;
	size_t i;

	if (s->counted)
		return;
	s->before = mem_resize(s->before, s->n + 1, sizeof(*s->before));
	for (i = 0; i < s->n; i++) {
		s->before[i] = sum;
		sum += s->r[i].last - s->r[i].first + 1;
	}
	s->before[s->n] = sum;
	s->counted = true;
}

uint32_t
set32_count(const struct set32 *s)
{
	return s->total;
}

uint32_t
set32_at(struct set32 *s, uint32_t pos)
{
	size_t lo = 0, hi;

	if (pos == 0 || pos > set32_count(s))
		return 0;
	build_counts(s);
	hi = s->n;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->before[mid] < pos)
			lo = mid;
		else
			hi = mid;
	}
	return s->r[lo].first + (pos - s->before[lo] - 1);
}

uint32_t
set32_pos(struct set32 *s, uint32_t v)
{
	if (!set32_has(s, v))
		return 0;
	return s->n == 1 ? v - s->r[0].first + 1 : set32_count_le(s, v);
}

uint32_t
set32_count_le(struct set32 *s, uint32_t v)
{
	size_t i = set32_range_of(s, v);

	build_counts(s);
	if (i == s->n || s->r[i].first > v)
		return s->before[i];
	return s->before[i] + (v - s->r[i].first) + 1;
}

bool
set32_next(const struct set32 *s, uint32_t v, uint32_t *out)
{
	size_t i = set32_range_of(s, v);

	if (i == s->n)
		return false;
	*out = v < s->r[i].first ? s->r[i].first : v;
	return true;
}

void
set32_intersect(const struct set32 *x, const struct set32 *y, struct set32 *out)
{
	const struct set32_range *a, *b;
	size_t i = 0, k = 0;

	set32_clear(out);
	while (i < x->n && k < y->n) {
		a = &x->r[i];
		b = &y->r[k];
		if (a->last >= b->first && b->last >= a->first)
			set32_add_range(out,
			    a->first > b->first ? a->first : b->first,
			    a->last < b->last ? a->last : b->last);
		if (a->last < b->last)
			i++;
		else
			k++;
	}
}
