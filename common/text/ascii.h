/* SPDX-License-Identifier: ISC */
/* ascii.h - character classes and case of ASCII bytes, never by locale. */
#ifndef TEXT_ASCII_H
#define TEXT_ASCII_H

#include "base/base.h"

static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static inline bool
ascii_is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static inline bool
ascii_is_alpha(char c)
{
	return ascii_is_upper(c) || ascii_is_lower(c);
}

static inline bool
ascii_is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

/* Space or tab. */
static inline bool
ascii_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Space, tab, CR or LF. */
static inline bool
ascii_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* 0x00..0x1f and 0x7f. */
static inline bool
ascii_is_ctl(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* 0x21..0x7e: visible. */
static inline bool
ascii_is_graph(char c)
{
	return c > 0x20 && c < 0x7f;
}

/* 0x20..0x7e: visible or space. */
static inline bool
ascii_is_print(char c)
{
	return c >= 0x20 && c < 0x7f;
}

static inline bool
ascii_is_8bit(char c)
{
	return ((unsigned char)c & 0x80) != 0;
}

static inline char
ascii_lower(char c)
{
	return ascii_is_upper(c) ? (char)(c + ('a' - 'A')) : c;
}

static inline char
ascii_upper(char c)
{
	return ascii_is_lower(c) ? (char)(c - ('a' - 'A')) : c;
}

/* 0..15, or -1 when `c` is no hexadecimal digit. */
static inline int
ascii_hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool
ascii_is_hex(char c)
{
	return ascii_hex(c) != -1;
}

#endif
