/* SPDX-License-Identifier: ISC */
/*
 * search_return.c - RETURN (...) of SEARCH and its kin, and the ESEARCH answer.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 4731 section 3, RFC 5182, RFC 5267 sections 3 and 4.4, RFC 9394
 *          section 3.
 */
#include "imapd/search_return.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "imapd/session.h"

/* Numbers, or ranges of them, between two looks at the clock. */
enum { LOOKS = 1024 };

/* A number of a partial-range, with its minus when `from_end`. */
static bool
cut_number(struct str *s, bool from_end, uint32_t *out)
{
	uint64_t v;

	if (from_end) {
		if (s->n == 0 || s->p[0] != '-')
			return false;
		*s = str_skip(*s, 1);
	}
	if (s->n == 0 || s->p[0] == '0' || !num_cut_u64(s, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

bool
partial_range_arg(const struct imap_arg **a, struct partial_range *out)
{
	const struct imap_arg *at = *a;
	struct partial_range p = {0};
	uint32_t swap;
	struct str s;

	if (!imap_arg_atom(&at, &s) || s.n == 0)
		return false;
	p.from_end = s.p[0] == '-';
	if (!cut_number(&s, p.from_end, &p.first) || s.n == 0 || s.p[0] != ':')
		return false;
	s = str_skip(s, 1);
	if (!cut_number(&s, p.from_end, &p.last) || s.n > 0)
		return false;
	if (p.first > p.last) {
		swap = p.first;
		p.first = p.last;
		p.last = swap;
	}
	*out = p;
	*a = at;
	return true;
}

bool
partial_range_cut(
    const struct partial_range *p, uint32_t n, uint32_t *first, uint32_t *last)
{
	if (p->first > n)
		return false;
	*first = p->first;
	*last = p->last < n ? p->last : n;
	if (p->from_end) {
		*first = n - (p->last < n ? p->last : n) + 1;
		*last = n - p->first + 1;
	}
	return true;
}

static bool
option_parse(const struct imap_arg **a, struct search_return *r)
{
	static const struct {
		const char *word;
		enum search_option option;
	} words[] = {
	    {"MIN", SEARCH_MIN},
	    {"MAX", SEARCH_MAX},
	    {"ALL", SEARCH_ALL},
	    {"COUNT", SEARCH_COUNT},
	    {"SAVE", SEARCH_SAVE},
	    {"PARTIAL", SEARCH_PARTIAL},
	    {"UPDATE", SEARCH_UPDATE},
	    {"CONTEXT", SEARCH_CONTEXT},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!imap_arg_word(a, words[i].word))
			continue;
		if (words[i].option == SEARCH_PARTIAL &&
		    ((r->options & SEARCH_PARTIAL) != 0 ||
			!partial_range_arg(a, &r->partial)))
			return false;
		if (words[i].option == SEARCH_UPDATE &&
		    (*a)->type == IMAP_ARG_LIST)
			r->update = (*a)++;
		r->options |= words[i].option;
		return true;
	}
	return false;
}

bool
search_return_parse(const struct imap_arg **a, struct search_return *out)
{
	const struct imap_arg *list;

	*out = (struct search_return){0};
	if (!imap_arg_word(a, "RETURN"))
		return true;
	out->is_given = true;
	if (!imap_arg_list(a, &list))
		return false;
	while (!imap_arg_end(list))
		if (!option_parse(&list, out))
			return false;
	if (out->options == 0)
		out->options = SEARCH_ALL;
	return (out->options & SEARCH_ALL) == 0 ||
	    (out->options & SEARCH_PARTIAL) == 0;
}

/* ---- what was found -------------------------------------------------------- */

/* Position 1..n. */
static uint32_t
found_at(const struct search_found *f, uint32_t pos)
{
	return f->order != NULL ? f->order[pos - 1] : set32_at(f->uids, pos);
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Ascending they go to the end of the set, where there is room. */
static void
add_ordered(const uint32_t *order, size_t n, struct set32 *out)
{
	uint32_t *v = mem_new(n, sizeof(*v));

	memcpy(v, order, n * sizeof(*v));
	qsort(v, n, sizeof(*v), compare);
	for (size_t i = 0; i < n; i++)
		set32_add(out, v[i]);
	free(v);
}

static void
add_positions(const struct search_found *f, uint32_t first, uint32_t last,
    struct set32 *out)
{
	struct set32 some;

	if (f->order != NULL) {
		add_ordered(f->order + first - 1, last - first + 1, out);
		return;
	}
	set32_init(&some);
	set32_copy(&some, f->uids);
	if (first > 1)
		set32_remove_range(&some, 0, found_at(f, first - 1));
	if (last < set32_count(f->uids))
		set32_remove_range(&some, found_at(f, last + 1), UINT32_MAX);
	for (size_t i = 0; i < some.n; i++)
		set32_add_range(out, some.r[i].first, some.r[i].last);
	set32_done(&some);
}

void
search_return_named(const struct search_return *r, const struct search_found *f,
    struct set32 *out)
{
	const unsigned some = SEARCH_MIN | SEARCH_MAX | SEARCH_PARTIAL;
	uint32_t n = set32_count(f->uids), first, last;

	if ((r->options & (SEARCH_ALL | SEARCH_COUNT)) != 0 ||
	    (r->options & some) == 0) {
		set32_copy(out, f->uids);
		return;
	}
	set32_clear(out);
	if (n == 0)
		return;
	if ((r->options & SEARCH_MIN) != 0)
		set32_add(out, found_at(f, 1));
	if ((r->options & SEARCH_MAX) != 0)
		set32_add(out, found_at(f, n));
	if ((r->options & SEARCH_PARTIAL) != 0 &&
	    partial_range_cut(&r->partial, n, &first, &last))
		add_positions(f, first, last, out);
}

/* ---- the answer ------------------------------------------------------------ */

void
search_answer_init(struct search_answer *a)
{
	*a = (struct search_answer){.phase = ANSWER_BEGIN};
	buf_init(&a->line, SIZE_MAX / 2);
}

void
search_answer_done(struct search_answer *a)
{
	buf_done(&a->line);
}

static uint32_t
number_of(struct cmd *c, bool uids, uint32_t uid)
{
	return uids ? uid : view_seq(c->s->view, uid);
}

static void
add_item(struct buf *b, const char *word, uint32_t n)
{
	buf_add_c(b, word);
	buf_add_u64(b, n);
}

/* The present run of numbers is over. */
static void
end_run(struct search_answer *a)
{
	struct buf *b = &a->line;

	if (a->run.first == 0)
		return;
	if (b->p[b->n - 1] != ' ')
		buf_add_byte(b, ',');
	buf_add_u64(b, a->run.first);
	if (a->run.last != a->run.first) {
		buf_add_byte(b, ':');
		buf_add_u64(b, a->run.last);
	}
	a->run = (struct set32_range){0, 0};
}

/*
 * Neighbouring UIDs of the view are neighbouring numbers. In the order of SORT
 * only what ascends is told as a range.
 */
static bool
next_range(struct search_answer *a, struct cmd *c, bool uids,
    const struct search_found *f, struct set32_range *out)
{
	if (f->order != NULL) {
		if (a->at >= a->last)
			return false;
		out->first = out->last = number_of(c, uids, f->order[a->at++]);
		return true;
	}
	if (a->at == f->uids->n || f->uids->r[a->at].first > a->uids.last)
		return false;
	*out = f->uids->r[a->at++];
	if (out->first < a->uids.first)
		out->first = a->uids.first;
	if (out->last > a->uids.last)
		out->last = a->uids.last;
	out->first = number_of(c, uids, out->first);
	out->last = number_of(c, uids, out->last);
	return true;
}

static void
begin_set(struct search_answer *a, const struct search_found *f, uint32_t first,
    uint32_t last)
{
	a->last = last;
	a->at = first - 1;
	if (f->order != NULL)
		return;
	a->uids = (struct set32_range){found_at(f, first), found_at(f, last)};
	a->at = set32_range_of(f->uids, a->uids.first);
}

static enum step
write_set(struct search_answer *a, struct cmd *c, bool uids,
    const struct search_found *f)
{
	struct set32_range r;

	if (a->last == 0)
		return STEP_DONE;
	for (unsigned n = 1; next_range(a, c, uids, f, &r); n++) {
		if (a->run.first == 0 || r.first != a->run.last + 1) {
			end_run(a);
			a->run.first = r.first;
		}
		a->run.last = r.last;
		if (n % LOOKS == 0 && cmd_time_is_up(c))
			return STEP_MORE;
	}
	end_run(a);
	return STEP_DONE;
}

static void
begin_partial(struct search_answer *a, const struct search_return *r,
    const struct search_found *f, uint32_t n)
{
	const char *sign = r->partial.from_end ? "-" : "";
	uint32_t first, last;

	buf_addf(&a->line, " PARTIAL (%s%u:%s%u ", sign, r->partial.first, sign,
	    r->partial.last);
	if (partial_range_cut(&r->partial, n, &first, &last))
		begin_set(a, f, first, last);
	else
		buf_add_c(&a->line, "NIL");
}

/* MIN, MAX and ALL are left out when nothing was found (RFC 4731). */
static void
begin_items(struct search_answer *a, struct cmd *c, bool uids,
    const struct search_return *r, const struct search_found *f)
{
	uint32_t n = set32_count(f->uids);

	if (uids)
		buf_add_c(&a->line, " UID");
	if (n > 0 && (r->options & SEARCH_MIN) != 0)
		add_item(&a->line, " MIN ", number_of(c, uids, found_at(f, 1)));
	if (n > 0 && (r->options & SEARCH_MAX) != 0)
		add_item(&a->line, " MAX ", number_of(c, uids, found_at(f, n)));
	if ((r->options & SEARCH_PARTIAL) != 0) {
		begin_partial(a, r, f, n);
	} else if (n > 0 && (r->options & SEARCH_ALL) != 0) {
		buf_add_c(&a->line, " ALL ");
		begin_set(a, f, 1, n);
	}
}

static void
end_items(struct search_answer *a, const struct search_return *r,
    const struct search_found *f, uint64_t modseq)
{
	if ((r->options & SEARCH_PARTIAL) != 0)
		buf_add_byte(&a->line, ')');
	if ((r->options & SEARCH_COUNT) != 0)
		add_item(&a->line, " COUNT ", set32_count(f->uids));
	if (modseq != 0)
		buf_addf(&a->line, " MODSEQ %llu", (unsigned long long)modseq);
	buf_add_c(&a->line, "\r\n");
}

enum step
search_answer_step(struct search_answer *a, struct cmd *c, bool uids,
    const struct search_return *r, const struct search_found *f,
    uint64_t modseq)
{
	if (a->phase == ANSWER_BEGIN) {
		begin_items(a, c, uids, r, f);
		a->phase = ANSWER_SET;
	}
	if (a->phase == ANSWER_SET) {
		if (write_set(a, c, uids, f) == STEP_MORE)
			return STEP_MORE;
		end_items(a, r, f, modseq);
		a->phase = ANSWER_END;
	}
	return STEP_DONE;
}
