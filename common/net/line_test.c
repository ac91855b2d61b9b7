/* SPDX-License-Identifier: ISC */
/* line_test.c - lines and stuffed dots, whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "net/line.h"

static void
test_lines(UNUSED void **state)
{
	static const struct {
		struct str in;
		enum line_found want;
		struct str line;
		size_t used;
	} cases[] = {
	    {STR_LIT(""), LINE_NONE, STR_LIT(""), 0},
	    {STR_LIT("QUIT"), LINE_NONE, STR_LIT(""), 0},
	    {STR_LIT("QUIT\r"), LINE_NONE, STR_LIT(""), 0},
	    {STR_LIT("QUIT\r\n"), LINE_WHOLE, STR_LIT("QUIT"), 6},
	    {STR_LIT("QUIT\nX"), LINE_WHOLE, STR_LIT("QUIT"), 5},
	    {STR_LIT("\r\n"), LINE_WHOLE, STR_LIT(""), 2},
	    {STR_LIT("a\rb\r\r\n"), LINE_WHOLE, STR_LIT("a\rb\r"), 6},
	    {STR_LIT("12345678\r\n"), LINE_WHOLE, STR_LIT("12345678"), 10},
	    {STR_LIT("12345678\n"), LINE_WHOLE, STR_LIT("12345678"), 9},
	    {STR_LIT("12345678\r"), LINE_NONE, STR_LIT(""), 0},
	    {STR_LIT("123456789\r\nX"), LINE_TOO_LONG, STR_LIT(""), 11},
	    {STR_LIT("123456789\nX"), LINE_TOO_LONG, STR_LIT(""), 10},
	    {STR_LIT("1234567890"), LINE_TOO_LONG, STR_LIT(""), 10},
	};
	size_t i, used;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		bool skipping = false;
		struct str line = STR("");

		assert_int_equal(
		    line_next(cases[i].in, 8, &skipping, &line, &used),
		    cases[i].want);
		assert_int_equal(used, cases[i].used);
		assert_true(str_eq(line, cases[i].line));
	}
}

static void
test_the_rest_of_a_long_line_is_skipped(UNUSED void **state)
{
	bool skipping = false;
	struct str line;
	size_t used;

	assert_int_equal(
	    line_next(STR("0123456789abc"), 8, &skipping, &line, &used),
	    LINE_TOO_LONG);
	assert_int_equal(used, 13);
	assert_true(skipping);
	assert_int_equal(
	    line_next(STR("def"), 8, &skipping, &line, &used), LINE_NONE);
	assert_int_equal(used, 3);
	assert_int_equal(
	    line_next(STR("ghi\r\nQUIT\r\n"), 8, &skipping, &line, &used),
	    LINE_NONE);
	assert_int_equal(used, 5);
	assert_false(skipping);
}

static void
check_stuffing(struct str in, struct str want, bool no_nuls)
{
	size_t step, at;

	for (step = 1; step <= in.n + 1; step++) {
		struct line_stuff st = {.no_nuls = no_nuls};
		struct buf out;

		buf_init(&out, 10000);
		for (at = 0; at < in.n; at += step) {
			struct str piece = str_head(str_skip(in, at), step);
			size_t max = LINE_STUFFED_MAX(piece.n);
			size_t n = line_stuff(&st, piece, buf_room(&out, max));

			assert_true(n <= max);
			out.n += n;
		}
		out.n +=
		    line_stuff_end(&st, buf_room(&out, LINE_STUFF_END_MAX));
		assert_true(str_eq(buf_str(&out), want));
		buf_done(&out);
	}
}

static void
test_stuffing(UNUSED void **state)
{
	static const struct str cases[][2] = {
	    {STR_LIT(""), STR_LIT(".\r\n")},
	    {STR_LIT("\n"), STR_LIT("\r\n.\r\n")},
	    {STR_LIT("a: b\n\nx\n"), STR_LIT("a: b\r\n\r\nx\r\n.\r\n")},
	    {STR_LIT("a: b\r\n\r\nx\r\n"), STR_LIT("a: b\r\n\r\nx\r\n.\r\n")},
	    {STR_LIT("no end"), STR_LIT("no end\r\n.\r\n")},
	    {STR_LIT("open cr\r"), STR_LIT("open cr\r\n.\r\n")},
	    {STR_LIT(".\n..\n.x\n"), STR_LIT("..\r\n...\r\n..x\r\n.\r\n")},
	    {STR_LIT("."), STR_LIT("..\r\n.\r\n")},
	    {STR_LIT("a.b\r.c\n"), STR_LIT("a.b\r.c\r\n.\r\n")},
	    {STR_LIT("\r\r\n\r"), STR_LIT("\r\r\n\r\n.\r\n")},
	    {STR_LIT(".\n.\n.\n.\n"), STR_LIT("..\r\n..\r\n..\r\n..\r\n.\r\n")},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++)
		check_stuffing(cases[i][0], cases[i][1], false);
	check_stuffing(STR("a\0b\0\n"),
	    STR("a\x80"
		"b\x80\r\n.\r\n"),
	    true);
	check_stuffing(STR("a\0b\n"), STR("a\0b\r\n.\r\n"), false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_the_rest_of_a_long_line_is_skipped),
	    cmocka_unit_test(test_stuffing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
