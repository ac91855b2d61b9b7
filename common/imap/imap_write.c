/* SPDX-License-Identifier: ISC */
/*
 * imap_write.c - values in IMAP syntax.
 *
 * Owns:    nothing; it appends to the caller's buffer.
 * Runs in: imapd.
 * Trusts:  nothing: a value may hold any byte.
 * Spec:    RFC 3501 section 9: astring, string, nstring, quoted, literal, text.
 */
#include "imap/imap_write.h"

#include "imap/imap_char.h"
#include "text/utf8.h"

/* Longer than this a literal is kinder to clients with line limits. */
enum { QUOTED_MAX = 4096 };

static bool
can_be_quoted(struct str s)
{
	size_t i;

	if (s.n > QUOTED_MAX)
		return false;
	for (i = 0; i < s.n; i++)
		if (!imap_char_is(s.p[i], IMAP_CHAR_TEXT))
			return false;
	return true;
}

static void
write_quoted(struct buf *b, struct str s)
{
	/* Envelopes are made of this: one check for room, not one a byte. */
	char *from = buf_room(b, s.n * 2 + 2), *p = from;
	size_t i;

	if (from == NULL)
		return;
	*p++ = '"';
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			*p++ = '\\';
		*p++ = s.p[i];
	}
	*p++ = '"';
	b->n += (size_t)(p - from);
}

/* CHAR8 has no NUL (RFC 3501 section 9); the size must stay what we say. */
static void
write_literal(struct buf *b, struct str s)
{
	size_t i, from = b->n;

	buf_addf(b, "{%zu}\r\n", s.n);
	if (!buf_add_str(b, s))
		return;
	for (i = b->n - s.n; i > from && i < b->n; i++)
		if (b->p[i] == '\0')
			b->p[i] = '\x80';
}

void
imap_write_string(struct buf *b, struct str s)
{
	if (can_be_quoted(s))
		write_quoted(b, s);
	else
		write_literal(b, s);
}

void
imap_write_nstring(struct buf *b, struct str s)
{
	if (s.p == NULL)
		buf_add_c(b, "NIL");
	else
		imap_write_string(b, s);
}

void
imap_write_astring(struct buf *b, struct str s)
{
	/* Not NIL: clients take that atom for the absent value. */
	if (imap_char_all(s, IMAP_CHAR_ASTRING) &&
	    !str_eq_nocase(s, STR("NIL")))
		buf_add_str(b, s);
	else
		imap_write_string(b, s);
}

void
imap_write_text(struct buf *b, struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		buf_add_byte(b, s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?');
}

/* No control bytes, and valid as a whole. */
static bool
can_be_quoted_utf8(struct str s)
{
	if (s.n > QUOTED_MAX || !utf8_is_valid(s))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] & 0x80) == 0 &&
		    !imap_char_is(s.p[i], IMAP_CHAR_TEXT))
			return false;
	return true;
}

void
imap_write_string_utf8(struct buf *b, struct str s)
{
	if (can_be_quoted_utf8(s))
		write_quoted(b, s);
	else
		write_literal(b, s);
}

void
imap_write_nstring_utf8(struct buf *b, struct str s)
{
	if (s.p == NULL)
		buf_add_c(b, "NIL");
	else
		imap_write_string_utf8(b, s);
}

void
imap_write_astring_utf8(struct buf *b, struct str s)
{
	if (imap_char_all(s, IMAP_CHAR_ASTRING) &&
	    !str_eq_nocase(s, STR("NIL")))
		buf_add_str(b, s);
	else
		imap_write_string_utf8(b, s);
}
