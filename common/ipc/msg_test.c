/* SPDX-License-Identifier: ISC */
/* msg_test.c - fields, round trips of every message, hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bounds.h"
#include "ipc/chan_child.h"
#include "ipc/chan_ctl.h"
#include "ipc/chan_grant.h"
#include "ipc/chan_log.h"
#include "ipc/chan_login.h"
#include "ipc/chan_session.h"
#include "ipc/child.h"
#include "ipc/msg.h"
#include "os/rng.h"

static struct buf frame;

static void
assert_str(struct str got, struct str want)
{
	assert_int_equal(got.n, want.n);
	if (want.n > 0)
		assert_memory_equal(got.p, want.p, want.n);
}

static void
open_frame(struct msg_in *in)
{
	struct err e;

	assert_int_equal(msg_parse(buf_str(&frame), in, &e), 0);
}

static void
test_fields(UNUSED void **state)
{
	struct msg_in in;
	struct err e;

	msg_begin(&frame, 300, 2);
	msg_put_u8(&frame, 255);
	msg_put_u16(&frame, 65535);
	msg_put_u32(&frame, 0xfffefdfc);
	msg_put_u64(&frame, UINT64_C(0x0102030405060708));
	msg_put_bool(&frame, true);
	msg_put_str(&frame, STR("abc"));
	msg_put_blob(&frame, str_make("\0x", 2));
	msg_put_str(&frame, STR(""));
	open_frame(&in);
	assert_int_equal(in.type, 300);
	assert_int_equal(in.n_fds, 2);
	assert_int_equal(msg_get_u8(&in), 255);
	assert_int_equal(msg_get_u16(&in), 65535);
	assert_int_equal(msg_get_u32(&in), 0xfffefdfc);
	assert_true(msg_get_u64(&in) == UINT64_C(0x0102030405060708));
	assert_true(msg_get_bool(&in));
	assert_str(msg_get_str(&in, 3), STR("abc"));
	assert_str(msg_get_blob(&in, 2), str_make("\0x", 2));
	assert_str(msg_get_str(&in, 0), STR(""));
	assert_int_equal(msg_end(&in, &e), 0);
}

static void
test_refused(UNUSED void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *why;
	} cases[] = {
	    {"\1\0\0\1\6\0\0\0\2ab", 10, "short"},
	    {"\1\0\0\1\6\0\0\0\2ab!", 12, "one byte too many"},
	    {"\1\0\0\1\7\0\0\0\2ab", 11, "a blob, not a str"},
	    {"\1\0\0\1\6\0\0\0\2a\0", 11, "NUL in a str"},
	    {"\1\0\0\1\6\377\377\377\377ab", 11, "huge length"},
	    {"\1\0\0\1\6\0\0\0\5abcde", 14, "over the limit of the field"},
	    {"\1\0\0\1\6\0\0", 7, "cut in the length"},
	    {"\1\0\0\1", 4, "no field"},
	};
	struct msg_in in;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
		    msg_parse(str_make(cases[i].bytes, cases[i].n), &in, &e),
		    0);
		(void)msg_get_str(&in, 4);
		if (msg_end(&in, &e) == 0)
			fail_msg("accepted: %s", cases[i].why);
		assert_int_equal(e.code, ERR_VIOLATION);
	}
	assert_int_equal(msg_parse(STR("\2\0\0\1"), &in, &e), -1);
	assert_int_equal(msg_parse(STR("\1\0\0"), &in, &e), -1);
	/* bool is 0 or 1 */
	msg_fields(str_make("\5\2", 2), &in);
	(void)msg_get_bool(&in);
	assert_int_equal(msg_end(&in, &e), -1);
}

static void
test_over(UNUSED void **state)
{
	struct buf small;

	buf_init(&small, 16);
	msg_begin(&small, 1, 0);
	msg_put_str(&small, STR("this does not fit"));
	assert_true(buf_is_over(&small));
	buf_done(&small);
}

/* ---- every message: written, parsed, then attacked ---- */

static int
parse_peer(struct msg_in *in, struct err *e)
{
	struct child_peer m;

	return child_peer_parse(in, &m, e);
}

static int
parse_file(struct msg_in *in, struct err *e)
{
	struct child_file m;

	return child_file_parse(in, &m, e);
}

static int
parse_text(struct msg_in *in, struct err *e)
{
	struct str s;

	return child_text_parse(in, &s, e);
}

static int
parse_line(struct msg_in *in, struct err *e)
{
	struct log_line m;

	return log_line_parse(in, &m, e);
}

static int
parse_source(struct msg_in *in, struct err *e)
{
	struct log_source m;

	return log_source_parse(in, &m, e);
}

static int
parse_grant(struct msg_in *in, struct err *e)
{
	struct grant m;

	return grant_parse(in, &m, e);
}

static int
parse_listener(struct msg_in *in, struct err *e)
{
	struct login_listener m;

	return login_listener_parse(in, &m, e);
}

static int
parse_cert(struct msg_in *in, struct err *e)
{
	struct login_cert m;

	return login_cert_parse(in, &m, e);
}

static int
parse_tickets(struct msg_in *in, struct err *e)
{
	struct str s;

	return login_tickets_parse(in, &s, e);
}

static int
parse_need(struct msg_in *in, struct err *e)
{
	struct login_need m;

	return login_need_parse(in, &m, e);
}

static int
parse_number(struct msg_in *in, struct err *e)
{
	uint32_t n;

	return login_number_parse(in, &n, e);
}

static int
parse_seen(struct msg_in *in, struct err *e)
{
	struct login_seen m;

	return login_seen_parse(in, &m, e);
}

static int
parse_offer(struct msg_in *in, struct err *e)
{
	struct handoff_offer m;

	return handoff_offer_parse(in, &m, e);
}

static int
parse_taken(struct msg_in *in, struct err *e)
{
	uint64_t conn;

	return handoff_taken_parse(in, &conn, e);
}

static int
parse_refused(struct msg_in *in, struct err *e)
{
	struct handoff_refused m;

	return handoff_refused_parse(in, &m, e);
}

static int
parse_connection(struct msg_in *in, struct err *e)
{
	struct session_connection m;

	return session_connection_parse(in, &m, e);
}

static int
parse_session_text(struct msg_in *in, struct err *e)
{
	struct session_text m;

	return session_text_parse(in, &m, e);
}

static int
parse_session_number(struct msg_in *in, struct err *e)
{
	uint64_t n;

	return session_number_parse(in, &n, e);
}

static int
parse_stop(struct msg_in *in, struct err *e)
{
	struct str s;

	return session_stop_parse(in, &s, e);
}

static int
parse_request(struct msg_in *in, struct err *e)
{
	struct ctl_request m;

	return ctl_request_parse(in, &m, e);
}

static int
parse_row(struct msg_in *in, struct err *e)
{
	struct ctl_row m;

	return ctl_row_parse(in, &m, e);
}

static int
parse_ctl_end(struct msg_in *in, struct err *e)
{
	struct ctl_end m;

	return ctl_end_parse(in, &m, e);
}

static const struct grant a_grant = {.worker = 7,
    .conn = 1,
    .cookie = 99,
    .peer_ip = STR_LIT("\177\1\2\3"),
    .peer_port = 4711,
    .service = STR_LIT("imap"),
    .user = STR_LIT("joe"),
    .sysuid = 1000,
    .sysgid = 1000,
    .home = STR_LIT("/home/joe"),
    .mail_location = STR_LIT("maildir:~/Maildir"),
    .extra = STR_LIT("a=b\n")};
static const struct ctl_request a_request = {.verb = STR_LIT("kick"),
    .args = {{STR_LIT("user"), STR_LIT("joe")}},
    .n_args = 1};
static const struct ctl_row a_row = {
    .fields = {{STR_LIT("user"), STR_LIT("joe"), false}}, .n_fields = 1};
static const struct login_seen a_seen = {
    .state = LOGIN_SEES_CLIENT, .family = 4, .address = {127, 0, 0, 1}};

/* A frame of each kind, in the order of parsers[]. */
static void
fill_child_peer(void)
{
	child_peer_write(&(struct child_peer){CHILD_KIND_WORKER, 5}, &frame);
}

static void
fill_child_file(void)
{
	child_file_write(
	    &(struct child_file){STR("key"), STR("/k"), 1}, &frame);
}

static void
fill_child_failed(void)
{
	child_failed_write(STR("no certificate"), &frame);
}

static void
fill_log_line(void)
{
	log_line_write(
	    &(struct log_line){LOG_LEVEL_WARN, STR("imapd"), STR("line")},
	    &frame);
}

static void
fill_log_source(void)
{
	log_source_write(&(struct log_source){STR("imapd(joe)"), 12}, &frame);
}

static void
fill_grant(void)
{
	grant_write(&a_grant, false, &frame);
}

static void
fill_login_listener(void)
{
	login_listener_write(
	    &(struct login_listener){LOGIN_POP3, true, false, STR("pop3s")},
	    &frame);
}

static void
fill_login_cert(void)
{
	login_cert_write(&(struct login_cert){0, true, STR("/c")}, &frame);
}

static void
fill_login_tickets(void)
{
	login_tickets_write(STR("0123456789abcdef"), &frame);
}

static void
fill_login_need(void)
{
	login_need_write(&(struct login_need){4, 2, 3}, &frame);
}

static void
fill_login_worker(void)
{
	login_worker_write(17, &frame);
}

static void
fill_login_seen(void)
{
	login_seen_write(&a_seen, &frame);
	assert_int_equal(frame.n, LOGIN_SEES_BYTES);
}

static void
fill_handoff_offer(void)
{
	handoff_offer_write(
	    &(struct handoff_offer){3, STR("a1"), STR(""), false}, &frame);
}

static void
fill_handoff_taken(void)
{
	handoff_taken_write(3, &frame);
}

static void
fill_handoff_refused(void)
{
	handoff_refused_write(
	    &(struct handoff_refused){3, HANDOFF_LIMIT_USER}, &frame);
}

static void
fill_session_connection(void)
{
	session_connection_write(
	    &(struct session_connection){1, STR("a1"), STR("joe"),
		STR("192.0.2.1"), STR("192.0.2.2"), 4000, 993, false},
	    &frame);
}

static void
fill_session_text(void)
{
	session_text_write(
	    SESSION_KICK, &(struct session_text){1, STR("bye")}, &frame);
}

static void
fill_session_number(void)
{
	session_number_write(SESSION_HAVE, 1, &frame);
}

static void
fill_session_stop(void)
{
	session_stop_write(STR("shutdown"), &frame);
}

static void
fill_ctl_request(void)
{
	ctl_request_write(&a_request, &frame);
}

static void
fill_ctl_row(void)
{
	ctl_row_write(&a_row, &frame);
}

static void
fill_ctl_end(void)
{
	ctl_end_write(&(struct ctl_end){true, STR("done")}, &frame);
}

static void
fill_login_retired(void)
{
	login_retired_write(&frame);
}

static void (*const fillers[])(void) = {fill_child_peer, fill_child_file,
    fill_child_failed, fill_log_line, fill_log_source, fill_grant,
    fill_login_listener, fill_login_cert, fill_login_tickets, fill_login_need,
    fill_login_worker, fill_login_seen, fill_handoff_offer, fill_handoff_taken,
    fill_handoff_refused, fill_session_connection, fill_session_text,
    fill_session_number, fill_session_stop, fill_ctl_request, fill_ctl_row,
    fill_ctl_end, fill_login_retired};

static int (*const parsers[])(struct msg_in *in, struct err *e) = {parse_peer,
    parse_file, parse_text, parse_line, parse_source, parse_grant,
    parse_listener, parse_cert, parse_tickets, parse_need, parse_number,
    parse_seen, parse_offer, parse_taken, parse_refused, parse_connection,
    parse_session_text, parse_session_number, parse_stop, parse_request,
    parse_row, parse_ctl_end, login_retired_parse};

static void
test_messages(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
		struct msg_in in;
		struct err e;

		fillers[i]();
		assert_false(buf_is_over(&frame));
		open_frame(&in);
		if (parsers[i](&in, &e) == -1)
			fail_msg("message %zu: %s", i, e.text);
		/* Every truncation and one byte more must be refused. */
		for (size_t n = MSG_HEADER_BYTES; n < frame.n; n++) {
			assert_int_equal(
			    msg_parse(str_make(frame.p, n), &in, &e), 0);
			assert_int_equal(parsers[i](&in, &e), -1);
		}
		buf_add_byte(&frame, 0);
		open_frame(&in);
		assert_int_equal(parsers[i](&in, &e), -1);
		/* Any byte changed: no crash; sanitizers watch. */
		for (size_t at = MSG_HEADER_BYTES; at + 1 < frame.n; at++)
			for (unsigned v = 0; v < 256; v += 17) {
				fillers[i]();
				frame.p[at] = (char)v;
				open_frame(&in);
				(void)parsers[i](&in, &e);
			}
	}
}

static void
test_noise(UNUSED void **state)
{
	unsigned char noise[64];

	for (int round = 0; round < 20000; round++) {
		struct msg_in in;
		struct err e;
		size_t n = rng_below(sizeof(noise));

		rng_bytes(noise, sizeof(noise));
		/* Kinds that exist, small lengths: gets deeper. */
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] &= i % 2 == 0 ? 0x07 : 0x0f;
		msg_fields(str_make(noise, n), &in);
		(void)parsers[rng_below(ARRAY_LEN(parsers))](&in, &e);
	}
}

static void
test_grant_values(UNUSED void **state)
{
	struct msg_in in;
	struct grant g;
	struct err e;

	fillers[5]();
	open_frame(&in);
	assert_int_equal(grant_parse(&in, &g, &e), 0);
	assert_int_equal(g.worker, 7);
	assert_true(g.cookie == 99);
	assert_int_equal(g.peer_ip.n, 4);
	assert_int_equal(g.peer_port, 4711);
	assert_str(g.user, STR("joe"));
	assert_str(g.mail_location, STR("maildir:~/Maildir"));
	assert_str(g.extra, STR("a=b\n"));
}

static void
test_settings(UNUSED void **state)
{
	struct child_settings s;
	struct buf b;
	struct err e;
	size_t i = 0;

	buf_init(&b, 1000);
	assert_true(child_settings_add(&b, "user", STR("joe = x")));
	assert_true(child_settings_add(&b, "n", STR("12")));
	assert_true(child_settings_add(&b, "on", STR("yes")));
	assert_true(child_settings_add(&b, "many", STR("a")));
	assert_true(child_settings_add(&b, "many", STR("")));
	buf_add_c(&b, "nothing =\n");
	assert_false(child_settings_add(&b, "user", STR("a\nuid = 0")));
	assert_false(child_settings_add(&b, "user", str_make("a\0b", 3)));
	assert_int_equal(child_settings_parse(buf_str(&b), &s, &e), 0);
	assert_string_equal(child_setting(&s, "user"), "joe = x");
	assert_true(child_setting_u64(&s, "n", 0) == 12);
	assert_true(child_setting_u64(&s, "user", 5) == 5);
	assert_true(child_setting_bool(&s, "on", false));
	assert_null(child_setting(&s, "none"));
	assert_string_equal(child_setting(&s, "nothing"), "");
	assert_string_equal(child_setting_or(&s, "many", "z"), "z");
	assert_string_equal(child_setting_next(&s, "many", &i), "a");
	assert_null(child_setting_next(&s, "many", &i));
	child_settings_done(&s);
	assert_int_equal(
	    child_settings_parse(STR("a = b\nnothing\n"), &s, &e), -1);
	assert_int_equal(child_settings_parse(STR("a = b"), &s, &e), -1);
	assert_int_equal(child_settings_parse(STR(" = b\n"), &s, &e), -1);
	assert_int_equal(child_settings_parse(STR("a =b\n"), &s, &e), -1);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_refused), cmocka_unit_test(test_over),
	    cmocka_unit_test(test_messages), cmocka_unit_test(test_noise),
	    cmocka_unit_test(test_grant_values),
	    cmocka_unit_test(test_settings)};

	buf_init(&frame, MSG_MAX_BYTES);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
