/* SPDX-License-Identifier: ISC */
/*
 * fold.c - the compared form of text, over libunistring.
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  nothing; any bytes may come in.
 * Spec:    RFC 5051 section 2 (titlecase, then full decomposition, which is
 *          NFKD of the result).
 */
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include "text/fold.h"
#include "text/utf8.h"

/* Characters that are mapped at a time; bounds the scratch memory. */
#define RUN_CHARS 256

static bool
append_ascii(struct buf *b, struct str s)
{
	char *to = buf_room(b, s.n);
	size_t i;

	if (to == NULL)
		return false;
	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		to[i] = (char)(c - (c >= 'a' && c <= 'z' ? 32 : 0));
	}
	b->n += s.n;
	return true;
}

/* Decomposes and appends `n` title-cased characters. */
static bool
append_chars(struct buf *b, const uint32_t *chars, size_t n)
{
	uint32_t small[RUN_CHARS * 4], *out;
	size_t out_n = RUN_CHARS * 4, i;
	bool fits = true;

	out = u32_normalize(UNINORM_NFKD, chars, n, small, &out_n);
	if (out == NULL)
		abort(); /* only for want of memory */
	for (i = 0; i < out_n && fits; i++) {
		uint8_t bytes[6];
		int len = u8_uctomb(bytes, out[i], sizeof(bytes));

		fits = len > 0 && buf_add(b, bytes, (size_t)len);
	}
	if (out != small)
		free(out);
	return fits;
}

/* The characters at the start of *s that are not ASCII. */
static bool
append_run(struct buf *b, struct str *s, bool *valid)
{
	uint32_t chars[RUN_CHARS];
	size_t n = 0;

	while (n < RUN_CHARS && s->n > 0 && (s->p[0] & 0x80) != 0) {
		ucs4_t c;
		int len =
		    u8_mbtoucr(&c, (const uint8_t *)(const void *)s->p, s->n);

		if (len <= 0) {
			*valid = false;
			c = 0xfffd;
			len = 1;
		}
		chars[n++] = uc_totitle(c);
		*s = str_skip(*s, (size_t)len);
	}
	return append_chars(b, chars, n);
}

static bool
append(struct buf *b, struct str s, bool *valid)
{
	while (s.n > 0) {
		size_t n = utf8_ascii_length(s);

		if (!append_ascii(b, str_head(s, n)))
			return false;
		s = str_skip(s, n);
		if (s.n > 0 && !append_run(b, &s, valid))
			return false;
	}
	return true;
}

bool
fold_append(struct buf *b, struct str utf8)
{
	bool valid = true;

	return append(b, utf8, &valid);
}

bool
fold_key(struct arena *a, struct str utf8, struct str *out)
{
	struct buf b;
	bool valid = true, fits;

	buf_init(&b, SIZE_MAX / 2);
	fits = append(&b, utf8, &valid);
	if (fits && valid)
		*out = arena_str(a, buf_str(&b));
	buf_done(&b);
	return fits && valid;
}

size_t
fold_cut(struct str utf8)
{
	size_t i;

	for (i = utf8.n; i > 1; i--)
		if (((utf8.p[i - 1] | utf8.p[i - 2]) & 0x80) == 0)
			return i - 1;
	return 0;
}
