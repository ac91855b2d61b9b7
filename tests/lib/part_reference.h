/* SPDX-License-Identifier: ISC */
/*
 * part_reference.h - the tree of parts once more, in the plainest way: all
 * lines in an array, one recursive function. Only to compare with; it knows no
 * limits and takes its time.
 */
#ifndef TESTS_LIB_PART_REFERENCE_H
#define TESTS_LIB_PART_REFERENCE_H

#include "mime/header.h"
#include "mime/param.h"
#include "tests/lib/part_dump.h"

struct ref_line {
	size_t at, n, eol; /* offset, bytes with line end, bytes of line end */
};

struct ref {
	struct arena *a;
	struct str bytes;
	struct ref_line *lines;
	size_t n_lines;
	struct str boundary[400]; /* open ones, n == 0: ended or none */
	size_t n_open;
};

static inline struct str
ref_text(const struct ref *r, size_t i)
{
	struct str s = str_make(
	    r->bytes.p + r->lines[i].at, r->lines[i].n - r->lines[i].eol);

	while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL &&
	    s.p[s.n - 1] != '\0')
		s.n--;
	return s;
}

/* Which open boundary line `i` is: 1.. or 0. */
static inline size_t
ref_match(const struct ref *r, size_t i, bool *is_last)
{
	struct str line = ref_text(r, i), rest, tail;
	size_t k, best = 0, best_n = 0;
	bool best_exact = false;

	if (!str_starts(line, STR("--")))
		return 0;
	rest = str_skip(line, 2);
	for (k = 1; k <= r->n_open; k++) {
		struct str b = r->boundary[k - 1];
		bool exact;

		if (b.n == 0 || !str_starts(rest, b))
			continue;
		tail = str_skip(rest, b.n);
		exact = tail.n == 0 || str_eq(tail, STR("--"));
		if (best != 0 && best_exact && !exact)
			continue;
		if (best != 0 && best_exact == exact && b.n < best_n)
			continue;
		best = k;
		best_n = b.n;
		best_exact = exact;
		*is_last = str_starts(tail, STR("--"));
	}
	return best;
}

static inline uint64_t
ref_wire(const struct ref *r, size_t from, size_t to)
{
	uint64_t n = 0;

	for (; from < to; from++)
		n += r->bytes.p[from] == '\n' &&
			(from == 0 || r->bytes.p[from - 1] != '\r')
		    ? 2
		    : 1;
	return n;
}

static inline uint32_t
ref_lines(const struct ref *r, size_t from, size_t to)
{
	uint32_t n = 0;

	for (; from < to; from++)
		n += r->bytes.p[from] == '\n';
	return n;
}

static inline size_t
ref_offset(const struct ref *r, size_t line)
{
	return line < r->n_lines ? r->lines[line].at : r->bytes.n;
}

static inline struct part *
ref_child(struct ref *r, struct part *parent)
{
	struct part *p = arena_new(r->a, 1, sizeof(*p)), **tail;

	p->parent = parent;
	p->encoding = STR("7bit");
	if (parent == NULL)
		return p;
	for (tail = &parent->child; *tail != NULL; tail = &(*tail)->next)
		;
	*tail = p;
	parent->n_children++;
	return p;
}

static inline void
ref_type(struct ref *r, struct part *p)
{
	struct str block = str_make(
		       r->bytes.p + p->header_off, (size_t)p->header_len),
		   v;
	struct header_field f;
	uint32_t max = 100;
	bool digest = p->parent != NULL && p->parent->is_multipart &&
	    str_eq_nocase(p->parent->subtype, STR("digest"));

	p->type = digest ? STR("message") : STR("text");
	p->subtype = digest ? STR("rfc822") : STR("plain");
	if (header_find(block, STR("content-transfer-encoding"), &f)) {
		struct mime_param *ignored;

		param_parse(
		    r->a, header_unfold(r->a, f.value), &max, &v, &ignored);
		if (v.n > 0)
			p->encoding = v;
	}
	max = 100;
	if (header_find(block, STR("content-type"), &f)) {
		param_parse(
		    r->a, header_unfold(r->a, f.value), &max, &v, &p->params);
		if (!param_split_type(v, &p->type, &p->subtype)) {
			p->type = digest ? STR("message") : STR("text");
			p->subtype = digest ? STR("rfc822") : STR("plain");
			p->params = NULL;
		}
	}
	p->is_multipart = str_eq_nocase(p->type, STR("multipart"));
	p->is_message = str_eq_nocase(p->type, STR("message")) &&
	    (str_eq_nocase(p->subtype, STR("rfc822")) ||
		str_eq_nocase(p->subtype, STR("global")));
}

/*
 * One part from line `i` on; its header may not go on to line `end` or past a
 * boundary. Returns the line behind it: an open boundary of others, or `end`.
 */
static inline size_t
ref_part(struct ref *r, size_t i, struct part *p)
{
	struct str boundary;
	size_t own = 0, found = 0, end;
	bool is_last = false, is_cut;
	size_t p_first = i;
	struct part *c;

	p->header_off = ref_offset(r, i);
	while (i < r->n_lines && ref_match(r, i, &is_last) == 0)
		if (r->lines[i].n == r->lines[i].eol) {
			i++;
			break;
		} else {
			i++;
		}
	/* Cut by a boundary: then that line is not for this one. */
	is_cut = i == p_first || r->lines[i - 1].n != r->lines[i - 1].eol;
	is_cut = is_cut && i < r->n_lines;
	p->body_off = ref_offset(r, i);
	p->header_len = p->body_off - p->header_off;
	ref_type(r, p);
	if (p->is_message)
		i = ref_part(r, i, ref_child(r, p));
	if (p->is_multipart && !is_cut) {
		if (!param_find(p->params, "boundary", &boundary) &&
		    (!param_find(p->params, "boundary*", &boundary) ||
			!param_decode(r->a, p->params, "boundary", &boundary)))
			boundary.n = 0;
		while (boundary.n > 0 && boundary.p[boundary.n - 1] == ' ')
			boundary.n--;
		ASSERT(r->n_open < ARRAY_LEN(r->boundary));
		r->boundary[r->n_open++] = boundary;
		own = r->n_open;
		while (i < r->n_lines) {
			found = ref_match(r, i, &is_last);
			if (found == own && is_last) {
				r->boundary[own - 1].n = 0;
				i++;
			} else if (found == own) {
				i = ref_part(r, i + 1, ref_child(r, p));
			} else if (found != 0) {
				break;
			} else {
				i++;
			}
		}
		r->n_open = own - 1;
	}
	while (i < r->n_lines && ref_match(r, i, &is_last) == 0)
		i++;
	end = ref_offset(r, i);
	if (i < r->n_lines && i > 0)
		end -= r->lines[i - 1].eol;
	if (end < p->body_off)
		end = p->body_off;
	/* A header that a boundary cut keeps its line end. */
	for (c = p->child; c != NULL; c = c->next)
		if (end < c->body_off + c->body_len)
			end = c->body_off + c->body_len;
	p->body_len = end - p->body_off;
	p->header_wire = ref_wire(r, p->header_off, p->body_off);
	p->header_lines = ref_lines(r, p->header_off, p->body_off);
	p->body_wire = ref_wire(r, p->body_off, end);
	p->body_lines = ref_lines(r, p->body_off, end);
	p->has_nul = end > p->body_off &&
	    memchr(r->bytes.p + p->body_off, 0, end - p->body_off) != NULL;
	if (p->is_multipart && p->child == NULL) {
		c = ref_child(r, p);
		c->type = STR("text");
		c->subtype = STR("plain");
		c->header_off = c->body_off = p->body_off;
		c->body_len = p->body_len;
		c->body_wire = p->body_wire;
		c->body_lines = p->body_lines;
		c->has_nul = p->has_nul;
	}
	return i;
}

static inline struct part *
part_reference(struct arena *a, struct str bytes)
{
	struct ref r = {.a = a, .bytes = bytes};
	struct part *root;
	size_t i, from = 0;

	r.lines = arena_new(a, bytes.n + 1, sizeof(*r.lines));
	for (i = 0; i < bytes.n; i++)
		if (bytes.p[i] == '\n' || i + 1 == bytes.n) {
			struct ref_line *l = &r.lines[r.n_lines++];

			l->at = from;
			l->n = i + 1 - from;
			if (bytes.p[i] == '\n')
				l->eol =
				    l->n > 1 && bytes.p[i - 1] == '\r' ? 2 : 1;
			from = i + 1;
		}
	root = ref_child(&r, NULL);
	(void)ref_part(&r, 0, root);
	return root;
}

#endif
