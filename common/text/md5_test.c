/* SPDX-License-Identifier: ISC */
/* md5_test.c - RFC 1321 A.5, and every way to cut the input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/md5.h"

static void
test_rfc1321(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"", "d41d8cd98f00b204e9800998ecf8427e"},
	    {"a", "0cc175b9c0f1b6a831c399e269772661"},
	    {"abc", "900150983cd24fb0d6963f7d28e17f72"},
	    {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
	    {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
	    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		"d174ab98d277d9f5a5611c2c9f419d9f"},
	    {"1234567890123456789012345678901234567890123456789012345678901234"
	     "5678901234567890",
		"57edf4a22be3c955ac49da2e2107b67a"},
	};
	char got[33];
	struct md5 m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		md5_init(&m);
		md5_add(&m, str_of(cases[i].text));
		md5_end_hex(&m, got);
		assert_string_equal(got, cases[i].want);
	}
}

static void
test_pieces(void **state)
{
	char text[200], whole[33], got[33];
	struct md5 m;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7);
	for (size_t n = 0; n <= sizeof(text); n++) {
		md5_init(&m);
		md5_add(&m, str_make(text, n));
		md5_end_hex(&m, whole);
		for (size_t cut = 0; cut <= n; cut += 13) {
			md5_init(&m);
			md5_add(&m, str_make(text, cut));
			md5_add(&m, str_make(text + cut, n - cut));
			md5_end_hex(&m, got);
			assert_string_equal(got, whole);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rfc1321),
	    cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
