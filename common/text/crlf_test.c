/* SPDX-License-Identifier: ISC */
/* crlf_test.c - against the plain way, for all cuts and rooms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "text/crlf.h"

static void
convert_slowly(struct str s, struct buf *out)
{
	size_t i;

	buf_clear(out);
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			buf_add_byte(out, '\r');
		buf_add_byte(out, s.p[i]);
	}
}

/* In pieces of `piece` bytes, `room` bytes of output at a time. */
static void
check(struct str s, size_t piece, size_t room)
{
	struct buf want, got;
	struct str rest, head;
	bool after_cr = false, after_cr_2 = false;
	uint64_t lone = 0;
	size_t used, n;
	char *to, *copy;

	buf_init(&want, 100000);
	buf_init(&got, 100000);
	convert_slowly(s, &want);
	for (rest = s; rest.n > 0; rest = str_skip(rest, piece)) {
		/* Blocks of exactly their size, for the sanitizers. */
		head = str_head(rest, piece);
		copy = malloc(head.n);
		assert_non_null(copy);
		memcpy(copy, rest.p, head.n);
		head.p = copy;
		lone += crlf_count(head, &after_cr_2);
		while (head.n > 0) {
			to = malloc(room);
			assert_non_null(to);
			n = crlf_convert(head, to, room, &after_cr, &used);
			assert_true(n <= room && n + used > 0);
			buf_add(&got, to, n);
			free(to);
			head = str_skip(head, used);
		}
		free(copy);
	}
	assert_true(str_eq(buf_str(&got), buf_str(&want)));
	assert_int_equal(lone, want.n - s.n);
	buf_done(&want);
	buf_done(&got);
}

/* The reference: byte by byte. */
static size_t
strip_slowly(struct str s, char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\r' || i + 1 == s.n || s.p[i + 1] != '\n')
			to[n++] = s.p[i];
	return n;
}

/* In pieces of `step` bytes. */
static void
check_strip(struct str s, size_t step)
{
	char expected[400], got[400];
	size_t n_expected = strip_slowly(s, expected), n = 0;
	bool had_cr = false;
	struct str piece;

	for (size_t i = 0; i < s.n; i += step) {
		struct str in = str_head(str_skip(s, i), step);

		while (crlf_strip_next(&in, &had_cr, &piece)) {
			assert_true(piece.n > 0 && n + piece.n < sizeof(got));
			memcpy(got + n, piece.p, piece.n);
			n += piece.n;
		}
		assert_int_equal(in.n, 0);
	}
	if (had_cr)
		got[n++] = '\r';
	assert_int_equal(n, n_expected);
	assert_memory_equal(got, expected, n);
}

/* More line ends than a byte can count, and every length at its end. */
static void
test_long_texts(UNUSED void **state)
{
	static const char *const units[] = {"\n", "\r\n", "\n\r", "ab\n"};
	static char text[9000];

	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = units[u][i % strlen(units[u])];
		for (size_t n = sizeof(text) - 40; n < sizeof(text); n++)
			check(str_make(text, n), n + 1, 2 * n + 1);
		check(str_make(text, sizeof(text)), 4097, 4096);
	}
}

static void
test_random_texts(UNUSED void **state)
{
	static const char bytes[] = "\n\n\r\r\raaaaaaaaaaaaaaaaaa";
	char text[300];
	uint32_t seed = 1;
	size_t i, k, n;

	for (i = 0; i < 3000; i++) {
		n = i % sizeof(text);
		for (k = 0; k < n; k++) {
			seed = seed * 1664525 + 1013904223;
			text[k] = bytes[(seed >> 16) %
			    (i % 3 == 0 ? 6 : sizeof(bytes) - 1)];
		}
		check(str_make(text, n), 1 + i % 70, 1 + i % 97);
		check(str_make(text, n), n + 1, 2 * n + 1);
		check_strip(str_make(text, n), 1 + i % 7);
		check_strip(str_make(text, n), n + 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random_texts),
	    cmocka_unit_test(test_long_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
