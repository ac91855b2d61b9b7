/* SPDX-License-Identifier: ISC */
/* str.h - borrowed slices of bytes: not NUL-terminated, any byte inside. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <string.h>

#include "base/base.h"

/* Borrowed bytes, any of them, with no NUL behind; p may be NULL when n is 0.
 *  */
struct str {
	const char *p;
	size_t n;
};

/* For printf: "%.*s" with STR_ARG(s). */
#define STR_ARG(s) (int)(s).n, (s).p
/* A slice of a string literal, also as a static initialiser. */
#define STR_LIT(text)                                                          \
	{                                                                      \
		(text), sizeof(text) - 1                                       \
	}
#define STR(text) ((struct str)STR_LIT(text))

static inline struct str
str_make(const void *p, size_t n)
{
	return (struct str){.p = p, .n = n};
}

static inline struct str
str_of(const char *text)
{
	return (struct str){.p = text, .n = text == NULL ? 0 : strlen(text)};
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Compares without regard to ASCII case, never by locale. */
bool str_eq_nocase(struct str a, struct str b);
/* Bytewise order: negative, 0, positive. */
int str_cmp(struct str a, struct str b);
/* Order without regard to ASCII case. */
int str_cmp_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Position of byte `c` or s.n when it is not there. */
size_t str_find(struct str s, char c);
/* Position of the last byte `c` or s.n when it is not there. */
size_t str_rfind(struct str s, char c);
/* Position of `needle` or s.n when it is not there. */
size_t str_find_str(struct str s, struct str needle);
/* The bytes from `from` on; empty when past the end. */
static inline struct str
str_skip(struct str s, size_t from)
{
	if (from >= s.n)
		return str_make(s.n > 0 ? s.p + s.n : s.p, 0);
	return str_make(s.p + from, s.n - from);
}
/* The first `n` bytes at most. */
static inline struct str
str_head(struct str s, size_t n)
{
	return str_make(s.p, n < s.n ? n : s.n);
}
/* Without spaces, tabs, CR and LF at both ends. */
struct str str_trim(struct str s);
/*
 * Cuts `s` at the first `sep`: *head is what lies before, *s what lies behind.
 * Without a `sep`: *head is the whole, *s becomes empty, false.
 */
bool str_cut(struct str *s, char sep, struct str *head);
/* The next field of `s` between `sep`s, empty fields too; false at the end. */
bool str_next(struct str *s, char sep, struct str *field);
/* Copies into `out` as a C string; false when it does not fit or has a NUL. */
bool str_to_c(struct str s, char *out, size_t out_size);
/* A NUL-terminated heap copy; the caller frees it. */
char *str_to_heap(struct str s);

#endif
