/* SPDX-License-Identifier: ISC */
/* proxy_test.c - PROXY headers, whole, byte by byte, and wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/proxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"

static const struct {
	struct str in;
	const char *peer, *local; /* NULL: keep those of the socket */
	uint16_t peer_port, local_port;
	bool ok, tls;
} cases[] = {
    {STR_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 5000 143\r\n"), "192.0.2.1",
	"192.0.2.2", 5000, 143, true, false},
    {STR_LIT("PROXY TCP6 2001:db8::1 2001:db8::2 5000 993\r\n"), "2001:db8::1",
	"2001:db8::2", 5000, 993, true, false},
    {STR_LIT("PROXY TCP6 ::ffff:192.0.2.1 ::1 5000 993\r\n"), "192.0.2.1",
	"::1", 5000, 993, true, false},
    {STR_LIT("PROXY UNKNOWN\r\n"), NULL, NULL, 0, 0, true, false},
    {STR_LIT("PROXY UNKNOWN ff ff 1 1\r\n"), NULL, NULL, 0, 0, true, false},
    {STR_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 5000\r\n"), .ok = false},
    {STR_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 5000 143 1\r\n"), .ok = false},
    {STR_LIT("PROXY TCP4 2001:db8::1 192.0.2.2 5000 143\r\n"), .ok = false},
    {STR_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 70000 143\r\n"), .ok = false},
    {STR_LIT("PROXY UDP4 192.0.2.1 192.0.2.2 5000 143\r\n"), .ok = false},
    {STR_LIT("a001 LOGIN x y\r\n"), .ok = false},
    {STR_LIT(SIG "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x13\x88\0\x8f"),
	"192.0.2.1", "192.0.2.2", 5000, 143, true, false},
    {STR_LIT(SIG "\x21\x11\0\x14\xc0\0\2\1\xc0\0\2\2\x13\x88\0\x8f"
		 "\x20\0\5\1\0\0\0\0"),
	"192.0.2.1", "192.0.2.2", 5000, 143, true, true},
    {STR_LIT(SIG "\x21\x11\0\x14\xc0\0\2\1\xc0\0\2\2\x13\x88\0\x8f"
		 "\x20\0\6\1\0\0\0\0"),
	.ok = false},
    {STR_LIT(SIG "\x20\0\0\0"), NULL, NULL, 0, 0, true, false},
    {STR_LIT(SIG "\x31\x11\0\0"), .ok = false},
    {STR_LIT(SIG "\x21\x12\0\0"), .ok = false},
    {STR_LIT(SIG "\x21\x11\0\4abcd"), .ok = false},
    {STR_LIT(SIG "\x21\x11\xff\xff"), .ok = false},
};

static void
test_cases(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct proxy_header h;
		char text[ADDR_TEXT_MAX];
		enum step step = STEP_MORE;
		struct err e;

		/* Never earlier than at the last byte, however it comes. */
		for (size_t n = 0; n <= cases[i].in.n && step == STEP_MORE;
		     n++) {
			step = proxy_parse(str_head(cases[i].in, n), &h, &e);
			assert_false(step == STEP_DONE && n < cases[i].in.n);
		}
		assert_int_equal(step, cases[i].ok ? STEP_DONE : STEP_FAIL);
		if (!cases[i].ok)
			continue;
		assert_int_equal(h.n_bytes, cases[i].in.n);
		assert_int_equal(h.has_tls, cases[i].tls);
		assert_int_equal(h.has_addr, cases[i].peer != NULL);
		if (cases[i].peer == NULL)
			continue;
		addr_text(&h.peer, text);
		assert_string_equal(text, cases[i].peer);
		addr_text(&h.local, text);
		assert_string_equal(text, cases[i].local);
		assert_int_equal(h.peer.port, cases[i].peer_port);
		assert_int_equal(h.local.port, cases[i].local_port);
	}
}

static void
test_rest_is_left(UNUSED void **state)
{
	struct str s = STR("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\na LOGIN\r\n");
	struct proxy_header h;
	struct err e;

	assert_int_equal(proxy_parse(s, &h, &e), STEP_DONE);
	assert_true(str_eq(str_skip(s, h.n_bytes), STR("a LOGIN\r\n")));
}

static void
test_long_line(UNUSED void **state)
{
	char line[200];
	struct proxy_header h;
	struct err e;

	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY ", 6);
	assert_int_equal(proxy_parse(str_make(line, 106), &h, &e), STEP_MORE);
	assert_int_equal(proxy_parse(str_make(line, 107), &h, &e), STEP_FAIL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_rest_is_left),
	    cmocka_unit_test(test_long_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
