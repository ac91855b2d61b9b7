/* SPDX-License-Identifier: ISC */
/* qp_test.c - RFC 2045 section 6.7, each tolerated deviation by name; hex. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text/hex.h"
#include "text/qp.h"

static const struct {
	const char *what, *in, *want;
	bool is_bad;
} cases[] = {
    {"codes", "a=3Db=C3=BC", "a=b\xc3\xbc", false},
    {"lower-case digits", "=c3=bc", "\xc3\xbc", false},
    {"soft break", "long=\r\nline", "longline", false},
    {"soft break of LF", "long=\nline", "longline", false},
    {"blanks behind a soft break", "long= \t\r\nline", "longline", false},
    {"line ends stay", "a\r\nb\nc", "a\r\nb\nc", false},
    {"blanks at a line's end go", "a \t \r\nb  \nc", "a\r\nb\nc", false},
    {"blanks inside stay", "a  b\tc", "a  b\tc", false},
    {"blanks at the very end go", "a  ", "a", false},
    {"lone CR stays", "a\rb", "a\rb", false},
    {"CR CR LF", "a\r\r\nb", "a\r\r\nb", false},
    {"no code", "a=zz=", "a=zz", true},
    {"half a code at the end", "a=4", "a=4", true},
    {"half a code", "a=4 b", "a=4 b", true},
    {"equals twice", "a==3D", "a==", true},
    {"soft break at the very end", "a=", "a", false},
    {"= blank letter", "a= b", "a= b", true},
    {"CR behind =", "a=\rb", "a=\rb", true},
};

static void
test_decoder(UNUSED void **state)
{
	char out[300];
	size_t i, piece, n;

	for (i = 0; i < ARRAY_LEN(cases); i++)
		for (piece = 1; piece < 12; piece++) {
			struct qp_decoder d = {0};
			struct str s = str_of(cases[i].in);

			n = 0;
			while (s.n > 0) {
				n += qp_feed(&d, str_head(s, piece), out + n);
				s = str_skip(s, piece);
			}
			n += qp_finish(&d, out + n);
			if (!str_eq(str_make(out, n), str_of(cases[i].want)))
				fail_msg(
				    "%s: got %.*s", cases[i].what, (int)n, out);
			assert_int_equal(d.is_bad, cases[i].is_bad);
		}
}

static void
test_more_blanks_than_held(UNUSED void **state)
{
	char in[500], out[QP_DECODED_MAX(sizeof(in))];
	struct qp_decoder d = {0};
	size_t n;

	memset(in, ' ', sizeof(in));
	in[499] = 'x';
	n = qp_feed(&d, str_make(in, sizeof(in)), out);
	assert_int_equal(n, 500);
	assert_memory_equal(in, out, 500);
}

static void
test_word(UNUSED void **state)
{
	char out[100];
	size_t n = qp_decode_word(STR("a_b=20c=_=4"), out);

	assert_true(str_eq(str_make(out, n), STR("a b c= =4")));
}

static void
test_hex(UNUSED void **state)
{
	struct buf b;
	char out[9];

	buf_init(&b, 100);
	assert_true(hex_encode(&b, STR("\x01\xab\xff")));
	assert_true(str_eq(buf_str(&b), STR("01abff")));
	assert_false(hex_decode(&b, STR("0")));
	assert_false(hex_decode(&b, STR("0g")));
	assert_int_equal(b.n, 6);
	assert_true(hex_decode(&b, STR("414a")));
	assert_true(str_eq(buf_str(&b), STR("01abffAJ")));
	hex_write(STR("abcd"), out);
	assert_string_equal(out, "61626364");
	buf_done(&b);
}

/* Whole texts, where much is done at once, and byte by byte. */
static void
test_at_once(UNUSED void **state)
{
	static const char bytes[] = "abc   \t==4D\r\n\nxyz";
	uint32_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		struct qp_decoder whole = {0}, pieces = {0};
		char in[100], a[300], b[300];
		size_t n, n_a, n_b = 0;

		seed = seed * 1103515245 + 12345;
		n = seed >> 16 & 63;
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1103515245 + 12345;
			in[i] = bytes[(seed >> 16) % (sizeof(bytes) - 1)];
		}
		n_a = qp_feed(&whole, str_make(in, n), a);
		n_a += qp_finish(&whole, a + n_a);
		for (size_t i = 0; i < n; i++)
			n_b += qp_feed(&pieces, str_make(in + i, 1), b + n_b);
		n_b += qp_finish(&pieces, b + n_b);
		if (!str_eq(str_make(a, n_a), str_make(b, n_b)))
			fail_msg("%.*s", (int)n, in);
		assert_int_equal(whole.is_bad, pieces.is_bad);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_decoder),
	    cmocka_unit_test(test_at_once),
	    cmocka_unit_test(test_more_blanks_than_held),
	    cmocka_unit_test(test_word),
	    cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
