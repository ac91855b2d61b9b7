/* SPDX-License-Identifier: ISC */
/*
 * utf8.c - checks, decodes and cuts UTF-8.
 *
 * Trusts:  nothing in its input.
 * Spec:    RFC 3629 section 4 (the table of well-formed sequences).
 */
#include "text/utf8.h"

#include "text/ascii.h"

size_t
utf8_ascii_length(struct str s)
{
	size_t i = 0;
	uint64_t w;

	while (s.n - i >= sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		if ((w & UINT64_C(0x8080808080808080)) != 0)
			break;
		i += sizeof(w);
	}
	while (i < s.n && !ascii_is_8bit(s.p[i]))
		i++;
	return i;
}

/*
 * Length of the sequence that `lead` begins, and the range of its second
 * byte, which excludes overlong forms, surrogates and what is too large.
 */
static size_t
sequence(unsigned char lead, unsigned char *low, unsigned char *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2)
		return 0;
	if (lead < 0xe0)
		return 2;
	if (lead < 0xf0) {
		if (lead == 0xe0)
			*low = 0xa0;
		if (lead == 0xed)
			*high = 0x9f;
		return 3;
	}
	if (lead > 0xf4)
		return 0;
	if (lead == 0xf0)
		*low = 0x90;
	if (lead == 0xf4)
		*high = 0x8f;
	return 4;
}

/* How many bytes of the sequence at the start of `s` are right. */
static size_t
good_bytes(struct str s, size_t *want)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char low, high;
	size_t i;

	*want = s.n == 0 ? 0 : sequence(p[0], &low, &high);
	if (*want == 0)
		return 0;
	for (i = 1; i < *want && i < s.n; i++) {
		if (p[i] < low || p[i] > high)
			break;
		low = 0x80;
		high = 0xbf;
	}
	return i;
}

size_t
utf8_decode(struct str s, uint32_t *code)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t want, i;

	/* Most of what is not ASCII. */
	if (s.n >= 2 && p[0] >= 0xc2 && p[0] < 0xe0 && (p[1] & 0xc0) == 0x80) {
		*code = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
		return 2;
	}
	if (s.n >= 3 && p[0] > 0xe0 && p[0] < 0xed && (p[1] & 0xc0) == 0x80 &&
	    (p[2] & 0xc0) == 0x80) {
		*code =
		    (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
		return 3;
	}
	if (good_bytes(s, &want) < want || want == 0)
		return 0;
	if (want == 1) {
		*code = p[0];
		return 1;
	}
	*code = p[0] & (0x7fu >> want);
	for (i = 1; i < want; i++)
		*code = *code << 6 | (p[i] & 0x3f);
	return want;
}

bool
utf8_is_prefix(struct str s)
{
	size_t want;

	return s.n > 0 && good_bytes(s, &want) == s.n && s.n < want;
}

bool
utf8_is_valid(struct str s)
{
	uint32_t code;
	size_t n;

	for (;;) {
		s = str_skip(s, utf8_ascii_length(s));
		if (s.n == 0)
			return true;
		n = utf8_decode(s, &code);
		if (n == 0)
			return false;
		s = str_skip(s, n);
	}
}

size_t
utf8_encode(uint32_t code, char out[UTF8_CHAR_MAX])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		if (code >= 0xd800 && code < 0xe000)
			return 0;
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	if (code > 0x10ffff)
		return 0;
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

struct str
utf8_head(struct str s, size_t max_bytes)
{
	if (s.n <= max_bytes)
		return s;
	while (max_bytes > 0 && ((unsigned char)s.p[max_bytes] & 0xc0) == 0x80)
		max_bytes--;
	return str_head(s, max_bytes);
}

bool
utf8_add_clean(struct buf *out, struct str s)
{
	uint32_t code;
	size_t n;

	while (s.n > 0) {
		n = utf8_ascii_length(s);
		if (n == 0)
			n = utf8_decode(s, &code);
		if (n > 0 && !buf_add(out, s.p, n))
			return false;
		if (n == 0 && !buf_add_c(out, UTF8_REPLACEMENT))
			return false;
		s = str_skip(s, n == 0 ? 1 : n);
	}
	return true;
}
