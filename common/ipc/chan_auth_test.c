/* SPDX-License-Identifier: ISC */
/* chan_auth_test.c - both ends agree; what can not be is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "ipc/chan_auth.h"
#include "ipc/chan_try.h"

static int
parse_auth(const struct buf *b, struct chan_auth_msg *out)
{
	struct msg_in in;
	struct err e;

	if (msg_parse(buf_str(b), &in, &e) == -1)
		return -1;
	return chan_auth_parse(&in, out, &e);
}

static int
parse_try(const struct buf *b, struct chan_try_msg *out)
{
	struct msg_in in;
	struct err e;

	if (msg_parse(buf_str(b), &in, &e) == -1)
		return -1;
	return chan_try_parse(&in, out, &e);
}

static struct chan_auth_msg
good_start(void)
{
	return (struct chan_auth_msg){.type = CHAN_AUTH_START,
	    .start = {.conv = 7,
		.conn = UINT64_C(1) << 40,
		.cookie = 99,
		.service = CHAN_AUTH_POP3,
		.flags = CHAN_AUTH_TLS,
		.mech = STR("PLAIN"),
		.has_initial = true,
		.initial = STR("\0bob\0secret"),
		.peer_ip = STR("\177\0\0\1"),
		.peer_port = 4711,
		.local_ip = STR("\177\0\0\1"),
		.local_port = 110,
		.exporter = STR("binding")}};
}

static void
test_start_round_trip(UNUSED void **state)
{
	struct chan_auth_msg m = good_start(), got;
	struct buf b;

	buf_init(&b, MSG_MAX_BYTES);
	chan_auth_write(&m, &b);
	assert_int_equal(parse_auth(&b, &got), 0);
	assert_int_equal(got.type, CHAN_AUTH_START);
	assert_int_equal(got.start.conv, 7);
	assert_true(got.start.conn == UINT64_C(1) << 40);
	assert_true(got.start.cookie == 99);
	assert_int_equal(got.start.service, CHAN_AUTH_POP3);
	assert_true(str_eq(got.start.mech, STR("PLAIN")));
	assert_true(got.start.has_initial);
	assert_true(str_eq(got.start.initial, m.start.initial));
	assert_true(str_eq(got.start.peer_ip, m.start.peer_ip));
	assert_int_equal(got.start.local_port, 110);
	assert_true(str_eq(got.start.exporter, STR("binding")));
	assert_int_equal(got.start.unique.n, 0);
	buf_done(&b);
}

static void
test_start_refuses(UNUSED void **state)
{
	static char big[SASL_BYTES_MAX + 1];
	struct chan_auth_msg bad[9], got;
	struct buf b;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = good_start();
	bad[0].start.mech = STR("");
	bad[1].start.mech = STR("ABCDEFGHIJKLMNOPQRSTU");
	bad[2].start.peer_ip = STR("12345");
	bad[3].start.flags = 8;
	bad[4].start.service = (enum chan_auth_service)3;
	bad[5].start.initial = str_make(big, sizeof(big));
	bad[6].start.has_initial = false;
	bad[7].start.exporter = str_make(big, CHAN_AUTH_BINDING_MAX + 1);
	bad[8].start.mech = STR("PL\0IN");
	buf_init(&b, MSG_MAX_BYTES);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		chan_auth_write(&bad[i], &b);
		assert_int_equal(parse_auth(&b, &got), -1);
	}
	/* Every cut and every addition of a good one, too. */
	bad[0] = good_start();
	chan_auth_write(&bad[0], &b);
	buf_add_byte(&b, 'x');
	assert_int_equal(parse_auth(&b, &got), -1);
	for (i = b.n - 1; i-- > 0;) {
		b.n = i;
		assert_int_equal(parse_auth(&b, &got), -1);
	}
	buf_done(&b);
}

static void
test_small_ones(UNUSED void **state)
{
	struct chan_auth_msg m = {.type = CHAN_AUTH_FAIL}, got;
	struct buf b;

	buf_init(&b, MSG_MAX_BYTES);
	m.fail = (struct chan_auth_fail){
	    .conv = 3, .why = CHAN_AUTH_EXPIRED, .held_ms = 2000};
	chan_auth_write(&m, &b);
	assert_int_equal(parse_auth(&b, &got), 0);
	assert_int_equal(got.fail.why, CHAN_AUTH_EXPIRED);
	assert_int_equal(got.fail.held_ms, 2000);
	m.fail.why = (enum chan_auth_why)0;
	chan_auth_write(&m, &b);
	assert_int_equal(parse_auth(&b, &got), -1);
	m = (struct chan_auth_msg){
	    .type = CHAN_AUTH_MORE, .more = {4, STR("a\0b")}};
	chan_auth_write(&m, &b);
	assert_int_equal(parse_auth(&b, &got), 0);
	assert_int_equal(got.more.data.n, 3);
	m = (struct chan_auth_msg){.type = CHAN_AUTH_OK, .conv = 12};
	chan_auth_write(&m, &b);
	assert_int_equal(parse_auth(&b, &got), 0);
	assert_int_equal(got.conv, 12);
	msg_begin(&b, 101, 0);
	assert_int_equal(parse_auth(&b, &got), -1);
	msg_begin(&b, CHAN_AUTH_OK, 1);
	msg_put_u32(&b, 12);
	assert_int_equal(parse_auth(&b, &got), -1);
	buf_done(&b);
}

static void
test_try_work_and_result(UNUSED void **state)
{
	struct chan_try_msg m = {.type = CHAN_TRY_WORK}, got;
	struct buf b;

	buf_init(&b, MSG_MAX_BYTES);
	m.work = (struct chan_try_work){.want = CHAN_TRY_VERIFY,
	    .name = STR("bob"),
	    .password = STR("secret"),
	    .service = STR("imap"),
	    .rhost = STR("192.0.2.1")};
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), 0);
	assert_true(str_eq(got.work.password, STR("secret")));
	m.work.password = STR("sec\0ret");
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), -1);
	m.work.password = STR("x");
	m.work.name = STR("");
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), -1);

	m = (struct chan_try_msg){.type = CHAN_TRY_RESULT,
	    .result = {.outcome = CHAN_TRY_OK,
		.name = STR("bob"),
		.has_ids = true,
		.uid = 1000,
		.gid = 1001,
		.home = STR("/home/bob"),
		.mail = STR("maildir:~/Maildir"),
		.iter = 4096,
		.salt = STR("salt")}};
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), 0);
	assert_int_equal(got.result.gid, 1001);
	assert_true(str_eq(got.result.mail, STR("maildir:~/Maildir")));
	/* A failure that names somebody, a home that is no path. */
	m.result.outcome = CHAN_TRY_MISMATCH;
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), -1);
	m.result.outcome = CHAN_TRY_OK;
	m.result.home = STR("home/bob");
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), -1);
	buf_done(&b);
}

static void
test_try_new_and_hold(UNUSED void **state)
{
	struct chan_try_msg m = {.type = CHAN_TRY_NEW}, got;
	struct buf b;

	buf_init(&b, MSG_MAX_BYTES);
	m.new = (struct chan_try_new){5, CHAN_TRY_PAM, true};
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), 0);
	assert_true(got.new.hold);
	/* Only a PAM child can hold a session. */
	m.new.kind = CHAN_TRY_PASSWD_FILE;
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), -1);

	m = (struct chan_try_msg){.type = CHAN_HOLD_START,
	    .start = {.path = STR("/usr/libexec/restante/imapd"),
		.n_args = 1,
		.args = {STR_LIT("imapd")},
		.n_env = 2,
		.env = {STR_LIT("LANG=C"), STR_LIT("TZ=UTC")}}};
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), 0);
	assert_int_equal(got.start.n_env, 2);
	assert_true(str_eq(got.start.env[1], STR("TZ=UTC")));
	m.start.path = STR("imapd");
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), -1);
	m.start.path = STR("/x");
	m.start.n_args = 0;
	chan_try_write(&m, &b);
	assert_int_equal(parse_try(&b, &got), -1);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_start_round_trip),
	    cmocka_unit_test(test_start_refuses),
	    cmocka_unit_test(test_small_ones),
	    cmocka_unit_test(test_try_work_and_result),
	    cmocka_unit_test(test_try_new_and_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
