/* SPDX-License-Identifier: ISC */
/* chan_spool_test.c - messages of spoold there and back; names it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ipc/chan_spool.h"

static struct buf out;

static struct msg_in
back(void)
{
	struct msg_in in;
	struct err e;

	assert_int_equal(msg_parse(buf_str(&out), &in, &e), 0);
	return in;
}

static void
test_round_trip(void **state)
{
	struct spool_client_msg client = {7, 1000, 8, STR("ann")}, client2;
	struct spool_lock_msg lock = {9, true}, lock2;
	struct spool_which which = {1, UINT64_MAX}, which2;
	uint32_t pid;
	struct spool_held held = {9, 5, 6}, held2;
	struct spool_busy busy = {1, 250, STR("process 7")}, busy2;
	struct spool_refused no = {2, ERR_PERM, STR("not yours")}, no2;
	struct msg_in in;
	struct err e;

	(void)state;
	spool_client_write(&client, &out);
	in = back();
	assert_int_equal(in.type, SPOOL_CLIENT);
	assert_int_equal(in.n_fds, 1);
	assert_int_equal(spool_client_parse(&in, &client2, &e), 0);
	assert_true(str_eq(client2.user, client.user));
	assert_int_equal(client2.sysuid, 1000);
	spool_lock_write(&lock, &out);
	in = back();
	assert_int_equal(spool_lock_parse(&in, &lock2, &e), 0);
	assert_true(lock2.create && lock2.ticket == 9);
	spool_held_write(&held, &out);
	in = back();
	assert_int_equal(spool_held_parse(&in, &held2, &e), 0);
	assert_int_equal(held2.ino, 6);
	spool_busy_write(&busy, &out);
	in = back();
	assert_int_equal(spool_busy_parse(&in, &busy2, &e), 0);
	assert_true(str_eq(busy2.holder, busy.holder));
	spool_refused_write(&no, &out);
	in = back();
	assert_int_equal(spool_refused_parse(&in, &no2, &e), 0);
	assert_int_equal(no2.code, ERR_PERM);
	spool_which_write(SPOOL_UNLOCK, &which, &out);
	in = back();
	assert_int_equal(in.type, SPOOL_UNLOCK);
	assert_int_equal(spool_which_parse(&in, &which2, &e), 0);
	assert_true(which2.dev == 1 && which2.ino == UINT64_MAX);
	spool_cut_write(77, &out);
	in = back();
	assert_int_equal(spool_cut_parse(&in, &pid, &e), 0);
	assert_int_equal(pid, 77);
}

static void
test_names(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} cases[] = {
	    {"ann", true}, {"ann@example.org", true}, {"ann.lock.x", true},
	    {"", false}, {".", false}, {"..", false}, {".hidden", false},
	    {"../ann", false}, {"a/b", false},
	    {"ann.lock", false}, /* would be the lock of ann */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct spool_client_msg m = {
		    1, 1000, 1000, str_of(cases[i].name)};
		struct msg_in in;
		struct err e;

		spool_client_write(&m, &out);
		in = back();
		if ((spool_client_parse(&in, &m, &e) == 0) != cases[i].good)
			fail_msg("%s", cases[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_names),
	};

	buf_init(&out, 4096);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
