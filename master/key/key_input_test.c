/* SPDX-License-Identifier: ISC */
/* key_input_test.c - two forms are signed, and nothing that is near them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "key/key_input.h"

static struct buf b;

static void
verify(const char *context, size_t spaces, size_t digest)
{
	buf_clear(&b);
	for (size_t i = 0; i < spaces; i++)
		(void)buf_add_byte(&b, ' ');
	(void)buf_add(&b, context, strlen(context) + 1);
	for (size_t i = 0; i < digest; i++)
		(void)buf_add_byte(&b, (char)i);
}

static void
params(uint8_t type, uint16_t group, size_t n, uint8_t first)
{
	buf_clear(&b);
	for (size_t i = 0; i < 64; i++)
		(void)buf_add_byte(&b, ' ');
	(void)buf_add_byte(&b, (char)type);
	(void)buf_add_byte(&b, (char)(group >> 8));
	(void)buf_add_byte(&b, (char)group);
	(void)buf_add_byte(&b, (char)n);
	for (size_t i = 0; i < n; i++)
		(void)buf_add_byte(&b, i == 0 ? (char)first : 'x');
}

static enum key_input
kind(void)
{
	return key_input_kind(buf_str(&b));
}

static void
test_tls13(UNUSED void **state)
{
	static const char server[] = "TLS 1.3, server CertificateVerify";

	buf_init(&b, 1000);
	verify(server, 64, 32);
	assert_int_equal(kind(), KEY_INPUT_TLS13);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(
		    key_input_kind(str_head(buf_str(&b), n)), KEY_INPUT_NONE);
	for (size_t i = 0; i < 64 + sizeof(server); i++) {
		b.p[i] ^= 1;
		assert_int_equal(kind(), KEY_INPUT_NONE);
		b.p[i] ^= 1;
	}
	verify(server, 64, 48);
	assert_int_equal(kind(), KEY_INPUT_TLS13);
	verify(server, 64, 64);
	assert_int_equal(kind(), KEY_INPUT_NONE);
	verify(server, 64, 33);
	assert_int_equal(kind(), KEY_INPUT_NONE);
	verify(server, 63, 32);
	assert_int_equal(kind(), KEY_INPUT_NONE);
	verify(server, 65, 32);
	assert_int_equal(kind(), KEY_INPUT_NONE);
	verify("TLS 1.3, client CertificateVerify", 64, 32);
	assert_int_equal(kind(), KEY_INPUT_NONE);
	buf_done(&b);
}

static void
test_tls12(UNUSED void **state)
{
	static const struct {
		uint8_t type;
		uint16_t group;
		size_t n;
		uint8_t first;
		bool ok;
	} t[] = {
	    {3, 23, 65, 4, true},
	    {3, 24, 97, 4, true},
	    {3, 25, 133, 4, true},
	    {3, 29, 32, 9, true},
	    {3, 30, 56, 9, true},
	    {3, 23, 65, 2, false},
	    {3, 23, 33, 2, false},
	    {3, 23, 64, 4, false},
	    {3, 23, 66, 4, false},
	    {3, 29, 65, 4, false},
	    {1, 23, 65, 4, false},
	    {3, 0x0117, 65, 4, false},
	    {3, 22, 65, 4, false},
	    {3, 0, 0, 0, false},
	};

	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		params(t[i].type, t[i].group, t[i].n, t[i].first);
		assert_int_equal(
		    kind(), t[i].ok ? KEY_INPUT_TLS12 : KEY_INPUT_NONE);
		(void)buf_add_byte(&b, 'x');
		assert_int_equal(kind(), KEY_INPUT_NONE);
		for (size_t n = 0; n < b.n - 1; n++)
			assert_int_equal(
			    key_input_kind(str_head(buf_str(&b), n)),
			    KEY_INPUT_NONE);
	}
	buf_done(&b);
}

static void
test_other(UNUSED void **state)
{
	assert_int_equal(key_input_kind(STR("")), KEY_INPUT_NONE);
	assert_int_equal(
	    key_input_kind(STR("0123456789abcdef0123456789abcdef")),
	    KEY_INPUT_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tls13),
	    cmocka_unit_test(test_tls12),
	    cmocka_unit_test(test_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
