/* SPDX-License-Identifier: ISC */
/* place_test.c - what spoold does in the spool: limits of time and number. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "os/file.h"
#include "spool/place.h"

static char dir[64];
static struct place place;

static int
setup(void **state)
{
	struct err e;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/restante-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(place_open(&place,
			     open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &e),
	    0);
	return 0;
}

static int
teardown(void **state)
{
	struct err e;

	(void)state;
	clock_set_for_test(-1, -1);
	close(place.dirfd);
	assert_int_equal(file_remove_tree(AT_FDCWD, dir, &e), 0);
	return 0;
}

static struct place_user
user(pid_t pid)
{
	const struct spool_client_msg m = {.pid = (uint32_t)pid,
	    .sysuid = geteuid(),
	    .sysgid = getegid(),
	    .user = STR("ann")};
	struct place_user u;

	place_user_init(&u, &m);
	return u;
}

static enum lock_step
lock(struct place_user *u)
{
	const struct spool_lock_msg m = {0};
	char holder[DOTLOCK_HOLDER_MAX];
	int64_t retry_ms;
	struct err e;

	return place_lock(&place, u, &m, &retry_ms, holder, &e);
}

static bool
is_locked(void)
{
	return faccessat(place.dirfd, "ann.lock", F_OK, 0) == 0;
}

static void
test_no_sign_of_life(void **state)
{
	const struct spool_which any = {0};
	int64_t now = clock_mono_ms();
	struct place_user u = user(getpid());

	(void)state;
	clock_set_for_test(now, -1);
	assert_false(place_is_overdue(&u));
	assert_int_equal(lock(&u), LOCK_DONE);
	clock_set_for_test(now + PLACE_HOLD_MAX_MS - 1, -1);
	assert_false(place_is_overdue(&u));
	place_touch(&place, &u, &any);
	clock_set_for_test(now + PLACE_HOLD_MAX_MS + 5000, -1);
	assert_false(place_is_overdue(&u));
	clock_set_for_test(now + 2 * PLACE_HOLD_MAX_MS, -1);
	assert_true(place_is_overdue(&u));
	place_take_away(&u);
	assert_false(is_locked());
	assert_false(place_is_overdue(&u));
	/* What its process says late changes nothing. */
	place_touch(&place, &u, &any);
	place_unlock(&place, &u, &any);
	assert_false(is_locked());
}

/* More attempts than a second has are not made. */
static void
test_too_often(void **state)
{
	struct place_user a = user(getpid()), b = user(getppid());
	int64_t now = clock_mono_ms();
	int waited = 0;

	(void)state;
	assert_int_equal(lock(&a), LOCK_DONE);
	clock_set_for_test(now, -1);
	for (int i = 0; i < 60; i++)
		assert_int_equal(lock(&b), LOCK_WAIT);
	place_take_away(&a);
	/* It is free, but not looked at before the next second. */
	assert_int_equal(lock(&b), LOCK_WAIT);
	clock_set_for_test(now + 1001, -1);
	while (lock(&b) != LOCK_DONE)
		assert_true(waited++ < 3);
	place_take_away(&b);
}

/* Another process of the same user is no reason to take his lock over. */
static void
test_left_behind(void **state)
{
	struct place_user a = user(getpid()), again = user(getpid());
	struct place_user other = user(getppid());

	(void)state;
	assert_int_equal(lock(&a), LOCK_DONE);
	assert_false(place_leave(&place, &other));
	assert_true(is_locked());
	/* As the next spoold sees it. */
	assert_true(place_leave(&place, &again));
	assert_false(is_locked());
	place_take_away(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_no_sign_of_life),
	    T(test_too_often),
	    T(test_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
