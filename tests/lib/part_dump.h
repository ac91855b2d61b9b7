/* SPDX-License-Identifier: ISC */
/*
 * part_dump.h - a tree of parts as text, and what must hold for every tree.
 * For tests that link common/mime.
 */
#ifndef TESTS_LIB_PART_DUMP_H
#define TESTS_LIB_PART_DUMP_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "mime/part.h"

static inline void
part_dump_params(struct buf *b, const struct mime_param *p)
{
	for (; p != NULL; p = p->next)
		buf_addf(b, ";%.*s=%.*s", STR_ARG(p->name), STR_ARG(p->value));
}

/* One line a part: depth, type, offsets, sizes; `full` adds the rest. */
static inline void
part_dump(struct buf *b, const struct part *root, bool full)
{
	const struct part *p = root;
	int depth = 0;

	while (p != NULL) {
		buf_addf(b, "%*s%.*s/%.*s", depth * 2, "", STR_ARG(p->type),
		    STR_ARG(p->subtype));
		if (full)
			part_dump_params(b, p->params);
		buf_addf(b, " %" PRIu64 "+%" PRIu64 "(%" PRIu64 ",%u)",
		    p->header_off, p->header_len, p->header_wire,
		    p->header_lines);
		buf_addf(b, " %" PRIu64 "+%" PRIu64 "(%" PRIu64 ",%u)%s",
		    p->body_off, p->body_len, p->body_wire, p->body_lines,
		    p->has_nul ? " nul" : "");
		if (full) {
			buf_addf(b, " enc=%.*s id=%.*s desc=%.*s md5=%.*s",
			    STR_ARG(p->encoding), STR_ARG(p->id),
			    STR_ARG(p->description), STR_ARG(p->md5));
			buf_addf(b, " disp=%.*s", STR_ARG(p->disposition));
			part_dump_params(b, p->disposition_params);
			buf_addf(b, " lang=%.*s loc=%.*s",
			    STR_ARG(p->language_raw), STR_ARG(p->location));
			if (p->envelope != NULL)
				buf_addf(b, " subject=%.*s",
				    STR_ARG(p->envelope->subject));
		}
		buf_add_byte(b, '\n');
		if (p->child != NULL) {
			p = p->child;
			depth++;
			continue;
		}
		while (p != NULL && p->next == NULL) {
			p = p->parent;
			depth--;
		}
		if (p != NULL)
			p = p->next;
	}
}

/* Ends the process when `root` can not be the tree of `bytes`. */
static inline void
part_check(const struct part *root, struct str bytes)
{
	const struct part *p = root;
	uint64_t lone, lines, i;
	uint32_t n;

	while (p != NULL) {
		const struct part *c;

		ASSERT(p->header_off + p->header_len == p->body_off);
		ASSERT(p->body_off + p->body_len <= bytes.n);
		ASSERT(p->type.n > 0 && p->subtype.n > 0);
		ASSERT(p->encoding.n > 0);
		ASSERT(!p->is_multipart || p->child != NULL);
		ASSERT(!p->is_message || p->n_children == 1);
		ASSERT((p->envelope != NULL) ==
		    (p->parent == NULL || p->parent->is_message));
		for (lone = lines = 0, i = p->body_off;
		     i < p->body_off + p->body_len; i++)
			if (bytes.p[i] == '\n') {
				lines++;
				lone += i == 0 || bytes.p[i - 1] != '\r';
			}
		ASSERT(p->body_lines == lines);
		ASSERT(p->body_wire == p->body_len + lone);
		for (lone = 0, i = p->header_off; i < p->body_off; i++)
			lone += bytes.p[i] == '\n' &&
			    (i == 0 || bytes.p[i - 1] != '\r');
		ASSERT(p->header_wire == p->header_len + lone);
		if (p->body_len > 0 &&
		    memchr(bytes.p + p->body_off, '\0', p->body_len) != NULL)
			ASSERT(p->has_nul);
		for (n = 0, c = p->child, i = p->body_off; c != NULL;
		     c = c->next, n++) {
			ASSERT(c->parent == p);
			ASSERT(c->header_off >= i);
			i = c->body_off + c->body_len;
			ASSERT(i <= p->body_off + p->body_len);
		}
		ASSERT(n == p->n_children);
		if (p->is_message) {
			c = p->child;
			ASSERT(c->header_off == p->body_off);
			ASSERT(i == p->body_off + p->body_len);
			ASSERT(c->header_wire + c->body_wire == p->body_wire);
		}
		if (p->child != NULL) {
			p = p->child;
			continue;
		}
		while (p != NULL && p->next == NULL)
			p = p->parent;
		if (p != NULL)
			p = p->next;
	}
	if (bytes.n > 0)
		ASSERT(root->body_off + root->body_len == bytes.n);
}

/* Parses in pieces of `piece` bytes. */
static inline struct part *
part_parse_pieces(struct arena *a, struct str s, size_t piece,
    const struct mime_limits *limits)
{
	struct part_parser *p = part_parser_new(a, limits);

	for (; s.n > 0; s = str_skip(s, piece)) {
		/* A copy of its own, so that a read past it is seen. */
		size_t n = s.n < piece ? s.n : piece;
		char *copy = malloc(n);

		ASSERT(copy != NULL);
		memcpy(copy, s.p, n);
		part_parser_feed(p, str_make(copy, n));
		free(copy);
	}
	return part_parser_finish(p);
}

#endif
