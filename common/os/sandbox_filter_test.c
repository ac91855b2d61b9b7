/* SPDX-License-Identifier: ISC */
/* sandbox_filter_test.c - a filter as text is the filter that is built here. */
#include <linux/filter.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/sandbox.h"
#include "os/sandbox_impl.h"

static void
test_text_is_what_is_built(UNUSED void **state)
{
	struct seccomp_program built, read;
	struct buf text;
	struct err e;

	buf_init(&text, 1 << 20);
	assert_int_equal(sandbox_filter_text(SANDBOX_USER, &text, &e), 0);
	buf_add_byte(&text, '\0');
	assert_int_equal(seccomp_build(SANDBOX_USER, false, &built, &e), 0);
	assert_true(sandbox_filter_parse(text.p, SANDBOX_USER, &read));
	assert_int_equal(read.n, built.n);
	/* This process's own number is in it. */
	assert_memory_equal(
	    read.code, built.code, built.n * sizeof(struct sock_filter));
	free(read.code);
	free(built.code);
	buf_done(&text);
}

static void
test_other_texts_are_refused(UNUSED void **state)
{
	struct seccomp_program p;
	struct buf text;
	struct err e;
	size_t n;

	buf_init(&text, 1 << 20);
	assert_int_equal(sandbox_filter_text(SANDBOX_USER, &text, &e), 0);
	buf_add_byte(&text, '\0');
	n = text.n - 1;
	assert_false(sandbox_filter_parse("", SANDBOX_USER, &p));
	/* Of another profile, of other rules. */
	assert_false(sandbox_filter_parse(text.p, SANDBOX_LOGD, &p));
	text.p[3] = text.p[3] == '0' ? '1' : '0';
	assert_false(sandbox_filter_parse(text.p, SANDBOX_USER, &p));
	buf_clear(&text);
	assert_int_equal(sandbox_filter_text(SANDBOX_USER, &text, &e), 0);
	text.p[n - 3] = 'x';
	assert_false(sandbox_filter_parse(text.p, SANDBOX_USER, &p));
	text.p[n - 1] = '\0';
	assert_false(sandbox_filter_parse(text.p, SANDBOX_USER, &p));
	text.p[17] = '\0';
	assert_false(sandbox_filter_parse(text.p, SANDBOX_USER, &p));
	buf_done(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text_is_what_is_built),
	    cmocka_unit_test(test_other_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
