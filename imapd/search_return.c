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

#include "base/num.h"
#include "imap/imap_set.h"
#include "imapd/session.h"

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

static void
add_positions(const struct search_found *f, uint32_t first, uint32_t last,
    struct set32 *out)
{
	for (uint32_t i = first; i <= last; i++)
		set32_add(out, found_at(f, i));
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

static uint32_t
number_of(struct cmd *c, uint32_t uid)
{
	return c->uid ? uid : view_seq(c->s->view, uid);
}

/* In the order of SORT: only what ascends is told as a range. */
static void
write_ordered(struct buf *b, struct cmd *c, const struct search_found *f,
    uint32_t first, uint32_t last)
{
	uint32_t from, to, next;

	for (uint32_t i = first; i <= last;) {
		from = to = number_of(c, found_at(f, i++));
		while (i <= last &&
		    (next = number_of(c, found_at(f, i))) == to + 1) {
			to = next;
			i++;
		}
		if (b->n > 0 && b->p[b->n - 1] != ' ')
			buf_add_byte(b, ',');
		buf_addf(b, from == to ? "%u" : "%u:%u", from, to);
	}
}

static void
write_positions(struct buf *b, struct cmd *c, const struct search_found *f,
    uint32_t first, uint32_t last)
{
	struct set32 uids, numbers;

	if (f->order != NULL) {
		write_ordered(b, c, f, first, last);
		return;
	}
	set32_init(&uids);
	set32_init(&numbers);
	set32_copy(&uids, f->uids);
	if (first > 1)
		set32_remove_range(&uids, 0, found_at(f, first - 1));
	if (last < set32_count(f->uids))
		set32_remove_range(&uids, found_at(f, last + 1), UINT32_MAX);
	session_numbers(c, &uids, &numbers);
	imap_set_write(b, &numbers);
	set32_done(&uids);
	set32_done(&numbers);
}

static void
write_partial(struct buf *b, struct cmd *c, const struct search_return *r,
    const struct search_found *f, uint32_t n)
{
	const char *sign = r->partial.from_end ? "-" : "";
	uint32_t first, last;

	buf_addf(b, " PARTIAL (%s%u:%s%u ", sign, r->partial.first, sign,
	    r->partial.last);
	if (partial_range_cut(&r->partial, n, &first, &last))
		write_positions(b, c, f, first, last);
	else
		buf_add_c(b, "NIL");
	buf_add_c(b, ")");
}

/* MIN, MAX and ALL are left out when nothing was found (RFC 4731). */
static void
write_items(struct buf *b, struct cmd *c, const struct search_return *r,
    const struct search_found *f)
{
	uint32_t n = set32_count(f->uids);

	if (n > 0 && (r->options & SEARCH_MIN) != 0)
		buf_addf(b, " MIN %u", number_of(c, found_at(f, 1)));
	if (n > 0 && (r->options & SEARCH_MAX) != 0)
		buf_addf(b, " MAX %u", number_of(c, found_at(f, n)));
	if (n > 0 && (r->options & SEARCH_ALL) != 0) {
		buf_add_c(b, " ALL ");
		write_positions(b, c, f, 1, n);
	}
	if ((r->options & SEARCH_PARTIAL) != 0)
		write_partial(b, c, r, f, n);
	if ((r->options & SEARCH_COUNT) != 0)
		buf_addf(b, " COUNT %u", n);
}

void
search_return_write(struct buf *b, struct cmd *c, const struct search_return *r,
    const struct search_found *f, uint64_t modseq)
{
	buf_addf(b, "* ESEARCH (TAG \"%.*s\")", STR_ARG(c->tag));
	search_return_write_items(b, c, r, f, modseq);
}

void
search_return_write_items(struct buf *b, struct cmd *c,
    const struct search_return *r, const struct search_found *f,
    uint64_t modseq)
{
	if (c->uid)
		buf_add_c(b, " UID");
	write_items(b, c, r, f);
	if (modseq != 0)
		buf_addf(b, " MODSEQ %llu", (unsigned long long)modseq);
	buf_add_c(b, "\r\n");
}
