/* SPDX-License-Identifier: ISC */
/*
 * envelope.c - fields of a header become an envelope.
 *
 * Runs in: imapd sessions.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 7.4.2.
 */
#include "mime/envelope.h"

#include <stddef.h>

#include "base/assert.h"
#include "mime/addr822.h"
#include "mime/header.h"
#include "text/ascii.h"

static const struct {
	struct str name;
	size_t at; /* of the member in struct envelope */
} fields[ENVELOPE_FIELDS] = {
#define FIELD(text, member)                                                    \
	{                                                                      \
		STR_LIT(text), offsetof(struct envelope, member)               \
	}
    [ENVELOPE_DATE] = FIELD("date", date),
    [ENVELOPE_SUBJECT] = FIELD("subject", subject),
    [ENVELOPE_IN_REPLY_TO] = FIELD("in-reply-to", in_reply_to),
    [ENVELOPE_MESSAGE_ID] = FIELD("message-id", message_id),
    [ENVELOPE_FROM] = FIELD("from", from),
    [ENVELOPE_SENDER] = FIELD("sender", sender),
    [ENVELOPE_REPLY_TO] = FIELD("reply-to", reply_to),
    [ENVELOPE_TO] = FIELD("to", to),
    [ENVELOPE_CC] = FIELD("cc", cc),
    [ENVELOPE_BCC] = FIELD("bcc", bcc),
#undef FIELD
};

bool
envelope_field_find(struct str name, enum envelope_field *out)
{
	size_t i;

	/* Most fields of a header have a longer name than all of these. */
	if (name.n < 2 || name.n > 11)
		return false;
	for (i = 0; i < ENVELOPE_FIELDS; i++)
		if (name.n == fields[i].name.n &&
		    ascii_lower(name.p[0]) == fields[i].name.p[0] &&
		    str_eq_nocase(name, fields[i].name)) {
			*out = (enum envelope_field)i;
			return true;
		}
	return false;
}

void
envelope_begin(
    struct envelope_maker *m, struct envelope *e, uint32_t *addresses)
{
	size_t i;

	*m = (struct envelope_maker){.e = e, .addresses = addresses};
	*e = (struct envelope){0};
	for (i = ENVELOPE_FROM; i < ENVELOPE_FIELDS; i++)
		m->tails[i] = (void *)((char *)e + fields[i].at);
}

/*
 * People see a subject: tabs (of folds, mostly) become spaces, and several of
 * them one. In other fields only CR must not stay.
 */
static struct str
tidy(struct str s, bool is_text)
{
	char *p = (char *)(uintptr_t)s.p;
	size_t i, n = 0;

	if (!is_text && memchr(p, '\r', s.n) == NULL)
		return s;
	for (i = 0; i < s.n; i++) {
		char c = p[i] == '\r' || (is_text && p[i] == '\t') ? ' ' : p[i];

		if (!is_text || c != ' ' || n == 0 || p[n - 1] != ' ')
			p[n++] = c;
	}
	return str_make(p, n);
}

void
envelope_add(struct envelope_maker *m, struct arena *a, enum envelope_field f,
    struct str value)
{
	struct str *s;

	ASSERT(f < ENVELOPE_FIELDS);
	if (f >= ENVELOPE_FROM) {
		if (*m->addresses > 0)
			m->tails[f] = addr822_parse(a, header_unfold(a, value),
			    m->addresses, m->tails[f]);
		return;
	}
	/* A later field takes the place of the one before, where it fits. */
	s = (void *)((char *)m->e + fields[f].at);
	if (s->p == NULL || value.n > m->room[f]) {
		m->room[f] = value.n < 64 ? 64 : value.n * 2;
		s->p = arena_new(a, m->room[f], 1);
	}
	s->n = header_unfold_to(value, (char *)(uintptr_t)s->p);
	*s = tidy(*s, f == ENVELOPE_SUBJECT);
}

void
envelope_finish(struct envelope_maker *m)
{
	if (m->e->sender == NULL)
		m->e->sender = m->e->from;
	if (m->e->reply_to == NULL)
		m->e->reply_to = m->e->from;
}

void
envelope_parse(struct arena *a, struct str block,
    const struct mime_limits *limits, struct envelope *out)
{
	uint32_t addresses = limits->addresses;
	enum envelope_field which;
	struct envelope_maker m;
	struct header_field f;
	struct header_iter it;

	envelope_begin(&m, out, &addresses);
	header_iter_init(&it, str_head(block, limits->header_block_bytes));
	while (header_iter_next(&it, &f))
		if (envelope_field_find(f.name, &which))
			envelope_add(&m, a, which,
			    str_head(f.value, limits->field_bytes));
	envelope_finish(&m);
}
