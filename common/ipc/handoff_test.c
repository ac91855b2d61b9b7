/* SPDX-License-Identifier: ISC */
/* handoff_test.c - the handed-over state survives the trip, or is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bounds.h"
#include "ipc/chan_key.h"
#include "ipc/handoff.h"

static const char bytes[64] = "key material, iv, secret: any byte \0\1\2\377";

static struct handoff
example(uint16_t version)
{
	struct handoff h = {.version = version,
	    .unread = STR("b SELECT INBOX\r\n"),
	    .client_id = STR("(\"name\" \"x\")")};

	if (version == 0)
		return h;
	h.suite = 0x1301;
	h.max_plain = 4096;
	h.read = (struct handoff_direction){.key = str_make(bytes, 16),
	    .iv = str_make(bytes, 12),
	    .secret = str_make(bytes, version == 0x0304 ? 32 : 0),
	    .seq = UINT64_C(0x0102030405060708)};
	h.write = h.read;
	h.write.key = str_make(bytes + 1, 32);
	h.write.seq = 7;
	h.raw = STR("\x17\x03\x03\0\5");
	h.tls_text = STR("TLS1.3 AES-128-GCM");
	return h;
}

static void
same_direction(
    const struct handoff_direction *a, const struct handoff_direction *b)
{
	assert_true(str_eq(a->key, b->key));
	assert_true(str_eq(a->iv, b->iv));
	assert_true(str_eq(a->secret, b->secret));
	assert_true(a->seq == b->seq);
}

static void
test_round_trip(UNUSED void **state)
{
	static const uint16_t versions[] = {0, 0x0303, 0x0304};

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct handoff h = example(versions[i]), got;
		struct buf b;
		struct err e;

		buf_init(&b, MSG_MAX_BYTES);
		handoff_write(&h, &b);
		assert_int_equal(handoff_parse(buf_str(&b), &got, &e), 0);
		assert_int_equal(got.version, h.version);
		assert_int_equal(got.suite, h.suite);
		assert_int_equal(got.max_plain, h.max_plain);
		same_direction(&got.read, &h.read);
		same_direction(&got.write, &h.write);
		assert_true(str_eq(got.unread, h.unread));
		assert_true(str_eq(got.raw, h.raw));
		assert_true(str_eq(got.client_id, h.client_id));
		assert_true(str_eq(got.tls_text, h.tls_text));
		/* Cut anywhere, or with a byte behind, it is no message. */
		for (size_t n = 0; n < b.n; n++)
			assert_int_equal(
			    handoff_parse(str_head(buf_str(&b), n), &got, &e),
			    -1);
		assert_true(buf_add_byte(&b, 'x'));
		assert_int_equal(handoff_parse(buf_str(&b), &got, &e), -1);
		assert_int_equal(e.code, ERR_VIOLATION);
		buf_done(&b);
	}
}

static void
refused(const struct handoff *h)
{
	struct handoff got;
	struct buf b;
	struct err e;

	buf_init(&b, 1024 * 1024);
	handoff_write(h, &b);
	assert_int_equal(handoff_parse(buf_str(&b), &got, &e), -1);
	buf_done(&b);
}

static void
test_refused(UNUSED void **state)
{
	static char large[HANDOFF_UNREAD_MAX + 1];
	struct handoff h = example(0x0304);

	h.version = 0x0302;
	refused(&h);
	h = example(0x0304);
	h.read.key.n = 17;
	refused(&h);
	h = example(0x0304);
	h.write.iv.n = 11;
	refused(&h);
	h = example(0x0304);
	h.write.secret.n = 0;
	refused(&h);
	h = example(0x0303);
	h.write.secret = str_make(bytes, 32);
	refused(&h);
	h = example(0);
	h.raw = STR("x");
	refused(&h);
	h = example(0);
	h.unread = str_make(large, sizeof(large));
	refused(&h);
	h = example(0x0303);
	h.tls_text = STR("a\0b");
	refused(&h);
}

static void
test_key_messages(UNUSED void **state)
{
	struct key_sign m = {3, 0x0403, STR("input\0x")}, got;
	struct str sig;
	struct msg_in in;
	struct buf b;
	struct err e;

	buf_init(&b, KEY_FRAME_MAX);
	key_sign_write(&m, &b);
	assert_int_equal(msg_parse(buf_str(&b), &in, &e), 0);
	assert_int_equal(in.type, KEY_SIGN);
	assert_int_equal(key_sign_parse(&in, &got, &e), 0);
	assert_int_equal(got.number, 3);
	assert_int_equal(got.scheme, 0x0403);
	assert_true(str_eq(got.input, m.input));
	for (size_t n = MSG_HEADER_BYTES; n < b.n; n++) {
		assert_int_equal(
		    msg_parse(str_head(buf_str(&b), n), &in, &e), 0);
		assert_int_equal(key_sign_parse(&in, &got, &e), -1);
	}
	key_signed_write(STR("sig"), &b);
	assert_int_equal(msg_parse(buf_str(&b), &in, &e), 0);
	assert_int_equal(key_signed_parse(&in, &sig, &e), 0);
	assert_true(str_eq(sig, STR("sig")));
	key_signed_write(STR(""), &b);
	assert_int_equal(msg_parse(buf_str(&b), &in, &e), 0);
	assert_int_equal(key_signed_parse(&in, &sig, &e), -1);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_key_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
