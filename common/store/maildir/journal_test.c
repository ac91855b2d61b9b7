/* SPDX-License-Identifier: ISC */
/*
 * journal_test.c - what is written is read, and nothing else is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "store/maildir/journal.h"

/* `lines` with a head and the right sum; is that a journal? */
static bool
is_journal(const char *lines)
{
	struct buf b;
	bool ok;

	buf_init(&b, 4096);
	journal_begin(&b, STR("boot"));
	(void)buf_add_c(&b, lines);
	ok = journal_end(&b);
	buf_done(&b);
	return ok;
}

static void
test_round_trip(UNUSED void **state)
{
	static const struct journal_line in[] = {
	    {.kind = '+',
		.in_new = true,
		.tmp = STR_LIT("1.M1.h"),
		.name = STR_LIT("1.M1.h,S=3")},
	    {.kind = '-', .name = STR_LIT("old base")},
	};
	struct journal_line l;
	struct str boot, lines;
	struct buf b;

	buf_init(&b, 4096);
	journal_begin(&b, STR("abc"));
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		journal_add(&b, &in[i]);
	assert_true(journal_end(&b));
	assert_true(journal_parse(buf_str(&b), &boot, &lines));
	assert_true(str_eq(boot, STR("abc")));
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		assert_true(journal_next(&lines, &l));
		assert_int_equal(l.kind, in[i].kind);
		assert_int_equal(l.in_new, in[i].in_new);
		assert_true(str_eq(l.tmp, in[i].tmp));
		assert_true(str_eq(l.name, in[i].name));
	}
	assert_false(journal_next(&lines, &l));
	/* Cut anywhere, or with any byte changed, it is none. */
	for (size_t n = 0; n < b.n; n++) {
		assert_false(
		    journal_parse(str_head(buf_str(&b), n), &boot, &lines));
		b.p[n] ^= 1;
		assert_false(journal_parse(buf_str(&b), &boot, &lines));
		b.p[n] ^= 1;
	}
	buf_done(&b);
}

static void
test_lines(UNUSED void **state)
{
	assert_true(is_journal(""));
	assert_true(is_journal("+n/a/b\n+c/a/b:2,S\n"));
	assert_true(is_journal("=a\n=b\n"));
	assert_true(is_journal("+n/a/b\n-c\n"));
	/* Names lead nowhere else. */
	assert_false(is_journal("+n/../b\n"));
	assert_false(is_journal("+n/a/..\n"));
	assert_false(is_journal("+n/a/b/c\n"));
	assert_false(is_journal("+x/a/b\n"));
	assert_false(is_journal("+n/a/:2,S\n"));
	assert_false(is_journal("=a/b\n"));
	assert_false(is_journal("=.a\n"));
	assert_false(is_journal("=a:2,S\n"));
	assert_false(is_journal("=\n"));
	assert_false(is_journal("\n"));
	assert_false(is_journal("?a\n"));
	assert_false(is_journal("=a"));
	/* Done to the end and taken back: not both. One goes for one. */
	assert_false(is_journal("+n/a/b\n=c\n"));
	assert_false(is_journal("-c\n"));
	assert_false(is_journal("+n/a/b\n-c\n-d\n"));
	assert_false(is_journal("+n/a/b\n+n/c/d\n-c\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
