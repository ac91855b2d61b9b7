/* SPDX-License-Identifier: ISC */
/* penalty_test.c - delays grow, fade, and hit nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "auth/penalty.h"
#include "base/clock.h"

static const struct str ip_a = STR_LIT("\300\0\2\1");
static const struct str ip_b = STR_LIT("\300\0\2\2");

static int64_t
attempt(struct penalty *p, struct penalty_who w, bool ok)
{
	int64_t ms = penalty_begin(p, &w);

	penalty_end(p, &w, ok, !ok);
	return ms;
}

static void
test_doubles_to_a_minute_and_halves(UNUSED void **state)
{
	static const int64_t want[] = {
	    0, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct penalty *p = penalty_new();
	struct penalty_who w = penalty_who(p, ip_a, STR("eve"), false);
	size_t i;

	clock_set_for_test(1000, 0);
	for (i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(attempt(p, w, false), want[i]);
	clock_set_for_test(1000 + 60000, 0);
	assert_int_equal(attempt(p, w, true), 30000);
	clock_set_for_test(1000 + 120000, 0);
	assert_int_equal(attempt(p, w, true), 15000);
	clock_set_for_test(1000 + 600000, 0);
	assert_int_equal(attempt(p, w, true), 0);
	clock_set_for_test(-1, -1);
	penalty_free(&p);
}

static void
test_others_do_not_wait(UNUSED void **state)
{
	struct penalty *p = penalty_new();
	struct penalty_who bad = penalty_who(p, ip_a, STR("bob"), false);
	size_t i;

	clock_set_for_test(5, 0);
	/* Bob has been here before, from b. */
	attempt(p, penalty_who(p, ip_b, STR("bob"), false), true);
	for (i = 0; i < 5; i++)
		attempt(p, bad, false);
	assert_int_equal(
	    attempt(p, penalty_who(p, ip_b, STR("ann"), false), true), 0);
	/* Same block, other name: the block waits. */
	assert_int_equal(
	    attempt(p, penalty_who(p, ip_a, STR("ann"), false), true), 16000);
	/* Same name from where it has been good: no wait. */
	assert_int_equal(
	    attempt(p, penalty_who(p, ip_b, STR("bob"), false), true), 0);
	/* From a third place: waits. */
	assert_int_equal(
	    attempt(
		p, penalty_who(p, STR("\1\2\3\4"), STR("bob"), false), true),
	    16000);
	clock_set_for_test(-1, -1);
	penalty_free(&p);
}

static void
test_many_at_once_gain_nothing(UNUSED void **state)
{
	struct penalty *p = penalty_new();
	struct penalty_who w = penalty_who(p, ip_a, STR("eve"), false);

	clock_set_for_test(5, 0);
	/* From a clean block any number may come at once. */
	assert_int_equal(penalty_begin(p, &w), 0);
	assert_int_equal(penalty_begin(p, &w), 0);
	penalty_end(p, &w, false, true);
	penalty_end(p, &w, false, true);
	/* Now 2 s; each one still unjudged doubles it for the next. */
	assert_int_equal(penalty_begin(p, &w), 2000);
	assert_int_equal(penalty_begin(p, &w), 4000);
	assert_int_equal(penalty_begin(p, &w), 8000);
	penalty_end(p, &w, true, false);
	penalty_end(p, &w, true, false);
	penalty_end(p, &w, true, false);
	assert_int_equal(penalty_begin(p, &w), 2000);
	clock_set_for_test(-1, -1);
	penalty_free(&p);
}

static void
test_local_peers_share_no_block(UNUSED void **state)
{
	struct penalty *p = penalty_new();
	struct str lo = STR("\177\0\0\1");
	size_t i;

	clock_set_for_test(5, 0);
	attempt(p, penalty_who(p, lo, STR("bob"), true), true);
	for (i = 0; i < 3; i++)
		attempt(p, penalty_who(p, lo, STR("bob"), true), false);
	assert_int_equal(
	    attempt(p, penalty_who(p, lo, STR("ann"), true), true), 0);
	/* A name that was good here before is not excused: it may be anybody */
	assert_int_equal(
	    attempt(p, penalty_who(p, lo, STR("bob"), true), true), 4000);
	clock_set_for_test(-1, -1);
	penalty_free(&p);
}

static void
test_ipv6_blocks_are_64_wide(UNUSED void **state)
{
	struct str a = STR("\x20\1\r\xb8\0\0\0\1aaaaaaaa");
	struct str b = STR("\x20\1\r\xb8\0\0\0\1bbbbbbbb");
	struct str c = STR("\x20\1\r\xb8\0\0\0\2aaaaaaaa");
	struct penalty *p = penalty_new();

	assert_int_equal(a.n, 16);
	assert_true(penalty_block(p, a) == penalty_block(p, b));
	assert_false(penalty_block(p, a) == penalty_block(p, c));
	assert_false(penalty_block(p, ip_a) == penalty_block(p, ip_b));
	penalty_free(&p);
}

static void
test_a_flood_of_names_is_bounded(UNUSED void **state)
{
	struct penalty *p = penalty_new();
	struct penalty_who eve = penalty_who(p, ip_a, STR("eve"), false), w;
	uint32_t i, ip;
	char name[16];
	int n;

	clock_set_for_test(5, 0);
	for (i = 0; i < 7; i++)
		attempt(p, eve, false);
	for (i = 0; i < 50000; i++) {
		ip = i + 7;
		n = snprintf(name, sizeof(name), "u%u", i);
		w = penalty_who(
		    p, str_make(&ip, 4), str_make(name, (size_t)n), false);
		attempt(p, w, false);
	}
	/* Who has failed most often is forgotten last. */
	assert_int_equal(attempt(p, eve, false), 60000);
	clock_set_for_test(-1, -1);
	penalty_free(&p);
}

static void
test_memory_outlives_a_process(UNUSED void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct penalty *p, *q;
	struct penalty_who w;
	struct err e;

	clock_set_for_test(5, 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(penalty_open(fd, &p, &e), -1);
	assert_int_equal(ftruncate(fd, 512 * 1024), 0);
	assert_int_equal(penalty_open(fd, &p, &e), 0);
	w = penalty_who(p, ip_a, STR("eve"), false);
	attempt(p, w, false);
	attempt(p, w, false);
	/* It dies while it judges three. */
	for (int i = 0; i < 3; i++)
		(void)penalty_begin(p, &w);
	assert_int_equal(penalty_open(fd, &q, &e), 0);
	assert_int_equal(
	    penalty_who(q, ip_a, STR("eve"), false).block, w.block);
	assert_int_equal(attempt(q, w, false), 2000);
	/* Both may go on. */
	assert_int_equal(attempt(p, w, false), 4000);
	penalty_free(&p);
	assert_int_equal(attempt(q, w, true), 8000);
	penalty_free(&q);
	(void)close(fd);
	clock_set_for_test(-1, -1);
}

static void
test_any_bytes_in_the_memory(UNUSED void **state)
{
	static char junk[512 * 1024];
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct penalty *p;
	struct penalty_who w;
	struct err e;

	clock_set_for_test(5, 0);
	memset(junk, 0x7f, sizeof(junk));
	assert_int_equal(ftruncate(fd, sizeof(junk)), 0);
	assert_int_equal(penalty_open(fd, &p, &e), 0);
	/* Everything behind layout and key. */
	assert_int_equal(
	    pwrite(fd, junk, sizeof(junk) - 24, 24), sizeof(junk) - 24);
	for (int i = 0; i < 100; i++) {
		w = penalty_who(p, str_make(&i, 4), STR("x"), false);
		assert_in_range(attempt(p, w, false), 0, PENALTY_MAX_MS);
		assert_in_range(attempt(p, w, true), 0, PENALTY_MAX_MS);
	}
	penalty_free(&p);
	(void)close(fd);
	clock_set_for_test(-1, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_doubles_to_a_minute_and_halves),
	    cmocka_unit_test(test_others_do_not_wait),
	    cmocka_unit_test(test_many_at_once_gain_nothing),
	    cmocka_unit_test(test_local_peers_share_no_block),
	    cmocka_unit_test(test_ipv6_blocks_are_64_wide),
	    cmocka_unit_test(test_a_flood_of_names_is_bounded),
	    cmocka_unit_test(test_memory_outlives_a_process),
	    cmocka_unit_test(test_any_bytes_in_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
