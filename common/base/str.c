/* SPDX-License-Identifier: ISC */
/*
 * str.c - borrowed slices of bytes.
 *
 * Owns:    nothing.
 * Runs in: every process.
 * Trusts:  nothing; any byte may be inside.
 */
#include "base/mem.h"
#include "base/str.h"

static unsigned char
lower(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Eight bytes, A to Z of them in lower case. */
static uint64_t
lower_word(uint64_t w)
{
	uint64_t low = w & EACH_BYTE * 0x7f;
	uint64_t from_a = low + EACH_BYTE * (0x80 - 'A');
	uint64_t behind_z = low + EACH_BYTE * (0x7f - 'Z');

	return w | ((from_a ^ behind_z) & ~w & EACH_BYTE * 0x80) >> 2;
}

static bool
is_same_word(const char *a, const char *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	/* What differs in more than the bit of the case is another text. */
	return x == y ||
	    (((x ^ y) & ~(EACH_BYTE * 0x20)) == 0 &&
		lower_word(x) == lower_word(y));
}

bool
str_eq_nocase(struct str a, struct str b)
{
	const size_t word = sizeof(uint64_t);
	size_t i = 0;

	if (a.n != b.n)
		return false;
	if (a.n >= word) {
		for (; a.n - i >= word; i += word)
			if (!is_same_word(a.p + i, b.p + i))
				return false;
		/* The last one overlaps the one before it. */
		return is_same_word(a.p + a.n - word, b.p + b.n - word);
	}
	for (; i < a.n; i++)
		if (a.p[i] != b.p[i] && lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int d = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return d != 0 ? d : (a.n > b.n) - (a.n < b.n);
}

int
str_cmp_nocase(struct str a, struct str b)
{
	size_t i, n = a.n < b.n ? a.n : b.n;

	for (i = 0; i < n; i++) {
		int d = lower(a.p[i]) - lower(b.p[i]);

		if (d != 0)
			return d;
	}
	return (a.n > b.n) - (a.n < b.n);
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_head(s, prefix.n), prefix);
}

bool
str_starts_nocase(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq_nocase(str_head(s, prefix.n), prefix);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_skip(s, s.n - suffix.n), suffix);
}

size_t
str_find(struct str s, char c)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}

size_t
str_rfind(struct str s, char c)
{
	const char *at = s.n > 0 ? memrchr(s.p, c, s.n) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}

#define SHORT_NEEDLE 4

size_t
str_find_str(struct str s, struct str needle)
{
	const char *at;

	if (needle.n == 0)
		return 0;
	if (s.n < needle.n)
		return s.n;
	if (needle.n > SHORT_NEEDLE) {
		at = memmem(s.p, s.n, needle.p, needle.n);
		return at != NULL ? (size_t)(at - s.p) : s.n;
	}
	/* memmem makes a table first. */
	for (size_t i = 0; i + needle.n <= s.n; i++) {
		at = memchr(s.p + i, needle.p[0], s.n - needle.n + 1 - i);
		if (at == NULL)
			return s.n;
		i = (size_t)(at - s.p);
		if (memcmp(at, needle.p, needle.n) == 0)
			return i;
	}
	return s.n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_skip(s, 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool
str_cut(struct str *s, char sep, struct str *head)
{
	size_t at = str_find(*s, sep);
	bool found = at < s->n;

	*head = str_head(*s, at);
	*s = str_skip(*s, at + 1);
	return found;
}

bool
str_next(struct str *s, char sep, struct str *field)
{
	if (s->p == NULL)
		return false;
	if (!str_cut(s, sep, field))
		*s = (struct str){0};
	return true;
}

bool
str_to_c(struct str s, char *out, size_t out_size)
{
	if (s.n >= out_size || (s.n > 0 && memchr(s.p, '\0', s.n) != NULL))
		return false;
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

char *
str_to_heap(struct str s)
{
	return mem_dup(s.p, s.n);
}
