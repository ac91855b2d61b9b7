/* SPDX-License-Identifier: ISC */
/*
 * body_check.h - reads ENVELOPE, BODY and BODYSTRUCTURE back by the grammar of
 * RFC 3501 section 9, strictly, and compares them with the tree of parts.
 */
#ifndef TESTS_LIB_BODY_CHECK_H
#define TESTS_LIB_BODY_CHECK_H

#include "base/assert.h"
#include "base/num.h"
#include "imapd/fetch_write.h"
#include "mime/part.h"

static inline void
body_eat(struct str *s, const char *text)
{
	ASSERT(str_starts(*s, str_of(text)));
	*s = str_skip(*s, strlen(text));
}

static inline bool
body_try(struct str *s, const char *text)
{
	if (!str_starts(*s, str_of(text)))
		return false;
	*s = str_skip(*s, strlen(text));
	return true;
}

/* string; the value must be `want` (NUL as 0x80) when that is given. */
static inline void
body_string(struct str *s, const struct str *want)
{
	uint64_t n = 0;
	size_t i = 0;

	if (body_try(s, "{")) {
		ASSERT(num_cut_u64(s, UINT32_MAX, &n));
		body_eat(s, "}\r\n");
		ASSERT(s->n >= n);
		ASSERT(memchr(s->p, '\0', (size_t)n) == NULL);
		if (want != NULL) {
			ASSERT(want->n == n);
			for (i = 0; i < n; i++)
				ASSERT(s->p[i] == want->p[i] ||
				    (want->p[i] == '\0' &&
					s->p[i] == (char)0x80));
		}
		*s = str_skip(*s, (size_t)n);
		return;
	}
	body_eat(s, "\"");
	for (;;) {
		ASSERT(s->n > 0);
		if (body_try(s, "\""))
			break;
		if (body_try(s, "\\"))
			ASSERT(s->n > 0 && (s->p[0] == '"' || s->p[0] == '\\'));
		/* TEXT-CHAR: 7 bits, no NUL, no CR, no LF. */
		ASSERT(s->p[0] > 0 && s->p[0] != '\r' && s->p[0] != '\n');
		ASSERT(want == NULL || (i < want->n && want->p[i] == s->p[0]));
		*s = str_skip(*s, 1);
		i++;
	}
	ASSERT(want == NULL || i == want->n);
}

static inline void
body_nstring(struct str *s, struct str want)
{
	if (want.p == NULL)
		body_eat(s, "NIL");
	else
		body_string(s, &want);
}

static inline void
body_number(struct str *s, uint64_t want)
{
	uint64_t v = 0;

	ASSERT(num_cut_u64(s, UINT64_MAX, &v));
	ASSERT(v == want);
}

static inline void
body_addresses(struct str *s, const struct mime_addr *a)
{
	if (a == NULL) {
		body_eat(s, "NIL");
		return;
	}
	body_eat(s, "(");
	for (; a != NULL; a = a->next) {
		body_eat(s, "(");
		body_nstring(s, a->name);
		body_eat(s, " ");
		body_nstring(s, a->adl);
		body_eat(s, " ");
		body_nstring(s, a->mailbox);
		body_eat(s, " ");
		body_nstring(s, a->host);
		body_eat(s, ")");
	}
	body_eat(s, ")");
}

static inline void
body_envelope(struct str *s, const struct envelope *e)
{
	body_eat(s, "(");
	body_nstring(s, e->date);
	body_eat(s, " ");
	body_nstring(s, e->subject);
	body_eat(s, " ");
	body_addresses(s, e->from);
	body_eat(s, " ");
	body_addresses(s, e->sender);
	body_eat(s, " ");
	body_addresses(s, e->reply_to);
	body_eat(s, " ");
	body_addresses(s, e->to);
	body_eat(s, " ");
	body_addresses(s, e->cc);
	body_eat(s, " ");
	body_addresses(s, e->bcc);
	body_eat(s, " ");
	body_nstring(s, e->in_reply_to);
	body_eat(s, " ");
	body_nstring(s, e->message_id);
	body_eat(s, ")");
}

static inline void
body_params(struct str *s, const struct mime_param *p)
{
	if (p == NULL) {
		body_eat(s, "NIL");
		return;
	}
	body_eat(s, "(");
	for (; p != NULL; p = p->next) {
		body_string(s, &p->name);
		body_eat(s, " ");
		body_string(s, &p->value);
		if (p->next != NULL)
			body_eat(s, " ");
	}
	body_eat(s, ")");
}

/* body-fld-dsp SP body-fld-lang SP body-fld-loc */
static inline void
body_tail(struct str *s, const struct part *p)
{
	if (p->disposition.p == NULL) {
		body_eat(s, " NIL");
	} else {
		body_eat(s, " (");
		body_string(s, &p->disposition);
		body_eat(s, " ");
		body_params(s, p->disposition_params);
		body_eat(s, ")");
	}
	body_eat(s, " ");
	if (body_try(s, "(")) {
		do
			body_string(s, NULL);
		while (body_try(s, " "));
		body_eat(s, ")");
	} else if (!body_try(s, "NIL")) {
		body_string(s, NULL);
	}
	body_eat(s, " ");
	body_nstring(s, p->location);
}

/* body; recursion is as deep as the tree is allowed to be. */
static inline void
body_body(struct str *s, const struct part *p, bool extended)
{
	const struct part *c;

	body_eat(s, "(");
	if (p->is_multipart) {
		ASSERT(p->child != NULL);
		for (c = p->child; c != NULL; c = c->next)
			body_body(s, c, extended);
		body_eat(s, " ");
		body_string(s, &p->subtype);
		if (extended) {
			body_eat(s, " ");
			body_params(s, p->params);
			body_tail(s, p);
		}
		body_eat(s, ")");
		return;
	}
	body_string(s, &p->type);
	body_eat(s, " ");
	body_string(s, &p->subtype);
	body_eat(s, " ");
	body_params(s, p->params);
	body_eat(s, " ");
	body_nstring(s, p->id);
	body_eat(s, " ");
	body_nstring(s, p->description);
	body_eat(s, " ");
	body_string(s, &p->encoding);
	body_eat(s, " ");
	body_number(s, p->body_wire);
	if (p->is_message) {
		ASSERT(p->child != NULL && p->child->next == NULL);
		body_eat(s, " ");
		body_envelope(s, p->child->envelope);
		body_eat(s, " ");
		body_body(s, p->child, extended);
	}
	if (p->is_message || str_eq_nocase(p->type, STR("text"))) {
		body_eat(s, " ");
		body_number(s, p->body_lines);
	}
	if (extended) {
		body_eat(s, " ");
		body_nstring(s, p->md5);
		body_tail(s, p);
	}
	body_eat(s, ")");
}

/* All that imapd writes of a message's structure reads back as the tree. */
static inline void
body_check_all(const struct part *root)
{
	struct buf b;
	struct str rest;

	buf_init(&b, 100000000);
	for (int extended = 0; extended < 2; extended++) {
		buf_clear(&b);
		fetch_write_body(&b, root, extended != 0, true);
		rest = buf_str(&b);
		body_body(&rest, root, extended != 0);
		ASSERT(rest.n == 0);
	}
	buf_clear(&b);
	fetch_write_envelope(&b, root->envelope);
	rest = buf_str(&b);
	body_envelope(&rest, root->envelope);
	ASSERT(rest.n == 0);
	buf_done(&b);
}

#endif
