/* SPDX-License-Identifier: ISC */
/*
 * fuzz_charset.c - charsets: a text is the same whole and in pieces. Of a text
 * with faults glibc makes more or fewer replacement characters, depending on
 * where it was cut (it keeps part of a bad shift): there only UTF-8, which is
 * our own, must be the same.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "text/charset.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"utf-8", "us-ascii", "iso-8859-1",
    "iso-2022-jp", "shift_jis", "gb2312", "big5", "euc-kr", "utf-7", "utf-16",
    "utf-16le", "koi8-r", "euc-jp", "iso-2022-kr", "x-no"};

static bool
has_fault(struct str s)
{
	return str_find_str(s, STR(UTF8_REPLACEMENT)) < s.n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str name, s;
	struct buf whole, pieces;
	struct charset *c;
	size_t piece;

	if (size < 2)
		return 0;
	name = str_of(names[data[0] % ARRAY_LEN(names)]);
	piece = 1 + data[1] % 16;
	s = str_make(data + 2, size - 2);
	buf_init(&whole, size * 20 + 100);
	buf_init(&pieces, size * 20 + 100);
	(void)charset_to_utf8(name, s, &whole);
	ASSERT(utf8_is_valid(buf_str(&whole)));
	c = charset_open(name);
	if (c != NULL) {
		for (; s.n > 0; s = str_skip(s, piece))
			ASSERT(charset_feed(c, str_head(s, piece), &pieces));
		ASSERT(charset_finish(c, &pieces));
		charset_close(&c);
		ASSERT(utf8_is_valid(buf_str(&pieces)));
		if (data[0] % ARRAY_LEN(names) == 0 ||
		    !has_fault(buf_str(&whole)))
			ASSERT(str_eq(buf_str(&whole), buf_str(&pieces)));
	}
	buf_done(&whole);
	buf_done(&pieces);
	return 0;
}
