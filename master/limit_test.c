/* SPDX-License-Identifier: ISC */
/* limit_test.c - counts of sessions, back-off after crashes, user's folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limit.h"
#include "os/user_dir.h"

static const struct settings settings = {
    .max_connections = 5, .max_per_user = {2, 1}, .max_per_address = {3, 3}};

static struct limit_block
block(const char *bytes, size_t n)
{
	struct limit_block b;

	limit_block_of(str_make(bytes, n), &b);
	return b;
}

static void
test_counts(UNUSED void **state)
{
	struct limit_block a = block("\x0a\0\0\1", 4),
			   b = block("\x0a\0\0\2", 4);
	struct limit_table t;
	struct str joe = STR("joe"), eve = STR("eve");

	limit_init(&t);
#define BEGIN(service, user, from)                                             \
	limit_begin(&t, &settings, service, user, &(from))
	assert_int_equal(BEGIN(SERVICE_IMAP, joe, a), LIMIT_OK);
	assert_int_equal(BEGIN(SERVICE_IMAP, joe, a), LIMIT_OK);
	assert_int_equal(BEGIN(SERVICE_IMAP, joe, b), LIMIT_USER);
	assert_int_equal(BEGIN(SERVICE_POP3, joe, a), LIMIT_OK);
	assert_int_equal(BEGIN(SERVICE_POP3, joe, a), LIMIT_USER);
	assert_int_equal(BEGIN(SERVICE_IMAP, eve, a), LIMIT_OK);
	assert_int_equal(BEGIN(SERVICE_IMAP, eve, a), LIMIT_ADDRESS);
	assert_int_equal(BEGIN(SERVICE_IMAP, eve, b), LIMIT_OK);
	assert_int_equal(BEGIN(SERVICE_POP3, eve, b), LIMIT_TOTAL);
	assert_int_equal(limit_of_user(&t, SERVICE_IMAP, joe), 2);
	limit_end(&t, SERVICE_IMAP, joe, &a);
	assert_int_equal(limit_of_user(&t, SERVICE_IMAP, joe), 1);
	assert_int_equal(BEGIN(SERVICE_POP3, eve, b), LIMIT_OK);
	limit_end(&t, SERVICE_POP3, eve, &b);
	limit_end(&t, SERVICE_IMAP, eve, &b);
	limit_end(&t, SERVICE_IMAP, eve, &a);
	limit_end(&t, SERVICE_POP3, joe, &a);
	limit_end(&t, SERVICE_IMAP, joe, &a);
	assert_int_equal(t.total, 0);
	assert_int_equal(t.counters.n, 0);
	limit_done(&t);
}

static void
test_blocks(UNUSED void **state)
{
	struct limit_block a =
	    block("\x20\1\r\xb8\0\0\0\1\1\1\1\1\1\1\1\1", 16);
	struct limit_block same =
	    block("\x20\1\r\xb8\0\0\0\1\2\2\2\2\2\2\2\2", 16);
	struct limit_block other =
	    block("\x20\1\r\xb8\0\0\0\2\1\1\1\1\1\1\1\1", 16);
	struct limit_block none = block("", 0);
	struct limit_table t;
	char user[2] = "a";

	assert_int_equal(a.n, 8);
	assert_memory_equal(a.bytes, same.bytes, 8);
	assert_memory_not_equal(a.bytes, other.bytes, 8);
	limit_init(&t);
	/* A local socket has no address to count. */
	for (int i = 0; i < 4; i++, user[0]++)
		assert_int_equal(
		    BEGIN(SERVICE_IMAP, str_of(user), none), LIMIT_OK);
	for (int i = 0; i < 4; i++) {
		user[0]--;
		limit_end(&t, SERVICE_IMAP, str_of(user), &none);
	}
	limit_done(&t);
}

static void
test_crashes(UNUSED void **state)
{
	struct limit_table t;
	struct str id = STR("joe's imapd");
	int64_t now = 1000000, delay = 0;

	limit_init(&t);
	assert_true(limit_may_start(&t, id, now));
	limit_crashed(&t, id, now);
	assert_true(limit_may_start(&t, id, now));
	limit_crashed(&t, id, now);
	assert_true(limit_may_start(&t, id, now));
	for (int i = 0; i < 10; i++) {
		int64_t until = now;

		limit_crashed(&t, id, now);
		assert_false(limit_may_start(&t, id, now));
		assert_true(limit_may_start(&t, STR("other"), now));
		while (!limit_may_start(&t, id, until))
			until += 100;
		assert_true(until - now >= delay);
		delay = until - now;
		now = until;
	}
	assert_int_equal(delay, 60000);
	now += INT64_C(5) * 60 * 1000 + 1;
	limit_crashed(&t, id, now);
	assert_true(limit_may_start(&t, id, now));
	limit_sweep(&t, now);
	assert_int_equal(t.crashes.n, 1);
	limit_sweep(&t, now + INT64_C(5) * 60 * 1000 + 1);
	assert_int_equal(t.crashes.n, 0);
	limit_done(&t);
}

static void
test_user_dirs(UNUSED void **state)
{
	char root[] = "/tmp/limit_test.XXXXXX", index[100], path[200];
	bool root_user = geteuid() == 0;
	uid_t uid = root_user ? 12345 : geteuid();
	struct stat st;
	struct err e;

	assert_non_null(mkdtemp(root));
	(void)snprintf(index, sizeof(index), "%s/index", root);
	/* The level above is made, too; twice is as once. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(user_dir_make(index, "joe", root_user, uid,
				     uid, path, sizeof(path), &e),
		    0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_mode & 07777, 0700);
	/* Somebody else's, a link, a file: refused and left alone. */
	if (root_user) {
		assert_int_equal(user_dir_make(index, "joe", true, uid + 1, uid,
				     path, sizeof(path), &e),
		    -1);
		assert_int_equal(e.code, ERR_PERM);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_uid, uid);
	}
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/etc", path), 0);
	assert_int_equal(user_dir_make(index, "joe", root_user, uid, uid, path,
			     sizeof(path), &e),
	    -1);
	assert_int_equal(stat("/etc", &st), 0);
	assert_int_not_equal(st.st_uid, 12345);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(
	    user_dir_make(index, "joe", root_user, uid, uid, path, 10, &e), -1);
	assert_int_equal(rmdir(index), 0);
	assert_int_equal(rmdir(root), 0);
}

/* Who connects while a service starts again waits for it. */
static void
test_backoff(UNUSED void **state)
{
	assert_int_equal(limit_backoff_ms(0), 100);
	assert_int_equal(limit_backoff_ms(1), 100);
	assert_int_equal(limit_backoff_ms(3), 400);
	for (unsigned n = 5; n < 100; n++)
		assert_in_range(limit_backoff_ms(n), 1000, 2000);
	assert_in_range(limit_backoff_ms(UINT32_MAX), 1000, 2000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts),
	    cmocka_unit_test(test_blocks), cmocka_unit_test(test_crashes),
	    cmocka_unit_test(test_backoff), cmocka_unit_test(test_user_dirs)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
