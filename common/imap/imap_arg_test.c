/* SPDX-License-Identifier: ISC */
/* imap_arg_test.c - typed access, tags and tables of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "imap/imap_arg.h"
#include "imap/imap_tag.h"

#define ATOM(text)                                                             \
	{                                                                      \
		.type = IMAP_ARG_ATOM, .s = STR_LIT(text)                      \
	}
#define END                                                                    \
	{                                                                      \
		.type = IMAP_ARG_END                                           \
	}

static void
test_strings(UNUSED void **state)
{
	static const struct imap_arg args[] = {
	    ATOM("a]b"),
	    ATOM("a*b"),
	    ATOM("nil"),
	    {.type = IMAP_ARG_QUOTED, .s = STR_LIT("NIL")},
	    {.type = IMAP_ARG_LITERAL, .s = STR_LIT("l")},
	    {.type = IMAP_ARG_LITERAL, .s = STR_LIT("b"), .binary = true},
	    END,
	};
	const struct imap_arg *a = args;
	struct str s;

	assert_false(imap_arg_string(&a, &s));
	assert_false(imap_arg_nstring(&a, &s));
	assert_true(imap_arg_astring(&a, &s));
	assert_true(str_eq(s, STR("a]b")));
	assert_false(imap_arg_astring(&a, &s));
	assert_true(imap_arg_list_mailbox(&a, &s));
	assert_true(imap_arg_nstring(&a, &s));
	assert_null(s.p);
	assert_false(imap_arg_atom(&a, &s));
	assert_true(imap_arg_nstring(&a, &s));
	assert_true(str_eq(s, STR("NIL")));
	assert_true(imap_arg_string(&a, &s));
	assert_false(imap_arg_string(&a, &s));
	assert_false(imap_arg_astring(&a, &s));
	a++;
	assert_true(imap_arg_end(a));
	assert_false(imap_arg_astring(&a, &s));
	assert_false(imap_arg_word(&a, ""));
}

static void
test_numbers(UNUSED void **state)
{
	static const struct {
		const char *text;
		uint32_t min;
		bool ok;
	} rows[] = {
	    {"0", 0, true},
	    {"0", 1, false},
	    {"01", 0, true},
	    {"01", 1, false},
	    {"4294967295", 1, true},
	    {"4294967296", 0, false},
	    {"-1", 0, false},
	    {"1x", 0, false},
	    {"x", 0, false},
	};
	struct imap_arg one[2] = {{.type = IMAP_ARG_ATOM}, END};
	const struct imap_arg *a;
	uint64_t v;
	uint32_t u;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		one[0].s = str_of(rows[i].text);
		a = one;
		assert_int_equal(imap_arg_u32(&a, rows[i].min, &u), rows[i].ok);
		assert_ptr_equal(a, one + (rows[i].ok ? 1 : 0));
	}
	one[0].s = STR("18446744073709551615");
	a = one;
	assert_true(imap_arg_u64(&a, &v));
	assert_true(v == UINT64_MAX);
	one[0].type = IMAP_ARG_QUOTED;
	one[0].s = STR("1");
	a = one;
	assert_false(imap_arg_u32(&a, 0, &u));
	assert_false(imap_arg_u64(&a, &v));
}

static void
test_lists_and_words(UNUSED void **state)
{
	static const struct imap_arg in[] = {ATOM("x"), END};
	static const struct imap_arg args[] = {
	    {.type = IMAP_ARG_LIST, .list = in},
	    ATOM("Flags"),
	    END,
	};
	const struct imap_arg *a = args, *first;

	assert_false(imap_arg_word(&a, "x"));
	assert_true(imap_arg_list(&a, &first));
	assert_ptr_equal(first, in);
	assert_false(imap_arg_list(&a, &first));
	assert_false(imap_arg_word(&a, "FLAG"));
	assert_true(imap_arg_word(&a, "FLAGS"));
	assert_true(imap_arg_end(a));
}

static void
test_tags_and_names(UNUSED void **state)
{
	static const struct {
		const char *name;
		int v;
	} table[] = {{"APPEND", 1}, {"NOOP", 2}, {"SELECT", 3}};
	size_t i;

	assert_true(imap_tag_is(STR("a.1]")));
	assert_false(imap_tag_is(STR("")));
	assert_false(imap_tag_is(STR("a+")));
	assert_false(imap_tag_is(STR("a b")));
	for (i = 0; i < ARRAY_LEN(table); i++)
		assert_ptr_equal(imap_tag_find(table, ARRAY_LEN(table),
				     sizeof(*table), str_of(table[i].name)),
		    &table[i]);
	assert_ptr_equal(
	    imap_tag_find(table, 3, sizeof(*table), STR("nOOp")), &table[1]);
	assert_null(imap_tag_find(table, 3, sizeof(*table), STR("NOO")));
	assert_null(imap_tag_find(table, 3, sizeof(*table), STR("")));
	assert_null(imap_tag_find(table, 3, sizeof(*table), STR("Z")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_lists_and_words),
	    cmocka_unit_test(test_tags_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
