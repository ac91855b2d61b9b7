/* SPDX-License-Identifier: ISC */
/* base64_test.c - RFC 4648 section 10, and what mail does to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text/base64.h"

static const struct {
	const char *plain, *coded;
} pairs[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xff\xfe\xfd", "//79"},
    {">>>???", "Pj4+Pz8/"},
};

static void
test_round_trip(UNUSED void **state)
{
	struct buf b;
	size_t i;

	buf_init(&b, 1000);
	for (i = 0; i < ARRAY_LEN(pairs); i++) {
		buf_clear(&b);
		assert_true(base64_encode(&b, str_of(pairs[i].plain)));
		assert_true(str_eq(buf_str(&b), str_of(pairs[i].coded)));
		buf_clear(&b);
		assert_true(base64_decode(&b, str_of(pairs[i].coded)));
		assert_true(str_eq(buf_str(&b), str_of(pairs[i].plain)));
	}
	buf_done(&b);
}

static void
test_strict_refuses(UNUSED void **state)
{
	static const char *const bad[] = {"Z", "Zg",
	    "Zg=", "Zh==", "Zm9=", "Zm9v\n", "Zm 9v",
	    "====", "Zg==Zg==", "=Zg=", "Z===", "Zm9v\r\n", "Zm9\x80"};
	struct buf b;
	size_t i;

	buf_init(&b, 1000);
	buf_add_c(&b, "keep");
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(base64_decode(&b, str_of(bad[i])));
		assert_int_equal(b.n, 4);
	}
	buf_done(&b);
	buf_init(&b, 3);
	assert_false(base64_encode(&b, STR("foo")));
	buf_done(&b);
}

static struct str
feed_in_pieces(const char *text, size_t piece, char *out, bool *is_bad)
{
	struct base64_decoder d = {0};
	struct str s = str_of(text);
	size_t n = 0;

	while (s.n > 0) {
		n += base64_feed(&d, str_head(s, piece), out + n);
		s = str_skip(s, piece);
	}
	n += base64_finish(&d, out + n);
	*is_bad = d.is_bad;
	return str_make(out, n);
}

static void
test_mail_decoder(UNUSED void **state)
{
	static const struct {
		const char *in, *want;
		bool is_bad;
	} t[] = {
	    /* Lines of any length and with any end. */
	    {"Zm9v\r\nYm\r\nFy\r\n", "foobar", false},
	    /* Padding missing at the end. */
	    {"Zm9vYg", "foob", false},
	    /* Joined encodings: goes on behind the padding. */
	    {"Zm8=Zm8=", "fofo", false},
	    /* Bytes outside the alphabet are skipped. */
	    {"Zm-9*v", "foo", true},
	    /* A single character at the end is nothing. */
	    {"Zm9vY", "foo", true},
	    {"", "", false},
	};
	char out[100];
	size_t i, piece;
	bool is_bad;

	for (i = 0; i < ARRAY_LEN(t); i++)
		for (piece = 1; piece < 10; piece++) {
			struct str got =
			    feed_in_pieces(t[i].in, piece, out, &is_bad);

			assert_true(str_eq(got, str_of(t[i].want)));
			assert_int_equal(is_bad, t[i].is_bad);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_strict_refuses),
	    cmocka_unit_test(test_mail_decoder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
