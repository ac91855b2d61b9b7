/* SPDX-License-Identifier: ISC */
/*
 * imap_set.c - sequence-set and uid-set as text.
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  nothing; the number of ranges is bounded by the caller.
 * Spec:    RFC 3501 section 9: sequence-set, seq-range, seq-number; RFC 4315
 *          uid-set.
 */
#include "imap/imap_set.h"

#include "base/num.h"
#include "base/vec.h"

struct ranges {
	struct set32_range *v;
	size_t n, size;
};

/* seq-number: nz-number or "*", which is `star` (0: nothing to point to). */
static bool
number_cut(struct str *s, uint32_t star, uint32_t *out, bool *is_star)
{
	uint64_t v;

	*is_star = s->n > 0 && s->p[0] == '*';
	if (*is_star) {
		*s = str_skip(*s, 1);
		*out = star;
		return true;
	}
	if (s->n == 0 || s->p[0] == '0' || !num_cut_u64(s, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

/* seq-number / seq-range; the ends may stand in either order. */
static bool
range_parse(struct str part, uint32_t star, struct set32_range *r, bool *none)
{
	bool star1, star2 = false;

	if (!number_cut(&part, star, &r->first, &star1))
		return false;
	r->last = r->first;
	if (part.n > 0) {
		if (part.p[0] != ':')
			return false;
		part = str_skip(part, 1);
		if (!number_cut(&part, star, &r->last, &star2))
			return false;
	}
	if (r->first > r->last)
		*r = (struct set32_range){.first = r->last, .last = r->first};
	*none = star == 0 && (star1 || star2);
	return part.n == 0;
}

static int
range_cmp(const void *pa, const void *pb)
{
	const struct set32_range *a = pa, *b = pb;

	return a->first < b->first ? -1 : a->first > b->first;
}

/*
 * Ranges are sorted before they go into the set, so that a set in the worst
 * order costs n log n and not n * n.
 */
bool
imap_set_parse(
    struct str s, uint32_t star, size_t max_ranges, struct set32 *out)
{
	struct ranges ranges = {0};
	struct set32_range r;
	struct str part;
	bool ok = true, none;

	set32_clear(out);
	while (ok && str_next(&s, ',', &part)) {
		ok = max_ranges-- > 0 && range_parse(part, star, &r, &none);
		if (ok && !none)
			*VEC_ADD(&ranges) = r;
	}
	if (ok && ranges.n > 0) {
		qsort(ranges.v, ranges.n, sizeof(*ranges.v), range_cmp);
		VEC_EACH(&ranges, it)
			set32_add_range(out, it->first, it->last);
	}
	VEC_DONE(&ranges);
	return ok;
}

void
imap_set_write(struct buf *b, const struct set32 *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (i > 0)
			buf_add_byte(b, ',');
		buf_add_u64(b, s->r[i].first);
		if (s->r[i].last == s->r[i].first)
			continue;
		buf_add_byte(b, ':');
		buf_add_u64(b, s->r[i].last);
	}
}
