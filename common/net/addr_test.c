/* SPDX-License-Identifier: ISC */
/* addr_test.c - text, prefixes and blocks of socket addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <cmocka.h>

#include "net/addr.h"

static void
test_text(UNUSED void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
	    {"192.0.2.7", "192.0.2.7"},
	    {"2001:db8::7", "2001:db8::7"},
	    {"2001:DB8:0:0:0:0:0:7", "2001:db8::7"},
	    {"::ffff:192.0.2.7", "192.0.2.7"},
	    {"::1", "::1"},
	    {"", NULL},
	    {"192.0.2", NULL},
	    {"192.0.2.256", NULL},
	    {"[::1]", NULL},
	    {"fe80::1%eth0", NULL},
	    {"1.2.3.4 ", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		char text[ADDR_TEXT_MAX];
		struct addr a;

		if (t[i].out == NULL) {
			assert_false(addr_parse(str_of(t[i].in), &a));
			continue;
		}
		assert_true(addr_parse(str_of(t[i].in), &a));
		addr_text(&a, text);
		assert_string_equal(text, t[i].out);
	}
	assert_false(addr_parse(STR("1.2.3.4\0"), &(struct addr){0}));
}

static void
test_prefix(UNUSED void **state)
{
	static const struct {
		const char *prefix, *ip;
		int has; /* -1: the prefix is refused */
	} t[] = {
	    {"10.0.0.0/8", "10.255.0.1", 1},
	    {"10.0.0.0/8", "11.0.0.1", 0},
	    {"10.0.0.0/8", "2001:db8::1", 0},
	    {"192.0.2.128/25", "192.0.2.127", 0},
	    {"192.0.2.128/25", "192.0.2.200", 1},
	    {"192.0.2.7", "192.0.2.7", 1},
	    {"192.0.2.7", "192.0.2.6", 0},
	    {"0.0.0.0/0", "255.1.1.1", 1},
	    {"::/0", "1.2.3.4", 0},
	    {"2001:db8::/33", "2001:db8:7fff::1", 1},
	    {"2001:db8::/33", "2001:db8:8000::1", 0},
	    {"10.0.0.1/8", "", -1},
	    {"10.0.0.0/33", "", -1},
	    {"10.0.0.0/", "", -1},
	    {"10.0.0.0/-1", "", -1},
	    {"/8", "", -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct addr_prefix p;
		struct addr a;

		assert_int_equal(
		    addr_prefix_parse(str_of(t[i].prefix), &p), t[i].has != -1);
		if (t[i].has == -1)
			continue;
		assert_true(addr_parse(str_of(t[i].ip), &a));
		assert_int_equal(addr_prefix_has(&p, &a), t[i].has);
	}
}

static void
test_block(UNUSED void **state)
{
	struct addr a, b, block_a, block_b;

	assert_true(addr_parse(STR("2001:db8:0:1:aaaa::1"), &a));
	assert_true(addr_parse(STR("2001:db8:0:1:bbbb::2"), &b));
	addr_block(&a, &block_a);
	addr_block(&b, &block_b);
	assert_true(addr_same_ip(&block_a, &block_b));
	assert_true(addr_parse(STR("2001:db8:0:2::1"), &b));
	addr_block(&b, &block_b);
	assert_false(addr_same_ip(&block_a, &block_b));
	assert_true(addr_parse(STR("192.0.2.7"), &a));
	assert_true(addr_parse(STR("192.0.2.8"), &b));
	addr_block(&a, &block_a);
	addr_block(&b, &block_b);
	assert_false(addr_same_ip(&block_a, &block_b));
}

static void
test_loopback(UNUSED void **state)
{
	static const struct {
		const char *ip;
		bool is;
	} t[] = {{"127.0.0.1", true}, {"127.9.9.9", true}, {"::1", true},
	    {"::ffff:127.0.0.1", true}, {"128.0.0.1", false}, {"::2", false},
	    {"10.0.0.1", false}};
	struct addr a = {0};

	assert_true(addr_is_loopback(&a));
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_true(addr_parse(str_of(t[i].ip), &a));
		assert_int_equal(addr_is_loopback(&a), t[i].is);
	}
}

static void
test_sockaddr(UNUSED void **state)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
	char text[ADDR_TEXT_MAX];
	struct addr a;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(993);
	assert_int_equal(
	    inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6->sin6_addr), 1);
	a = addr_of_sockaddr(&ss);
	assert_int_equal(a.n, 4);
	assert_int_equal(a.port, 993);
	addr_text(&a, text);
	assert_string_equal(text, "192.0.2.1");
	ss.ss_family = AF_UNIX;
	a = addr_of_sockaddr(&ss);
	assert_int_equal(a.n, 0);
	addr_text(&a, text);
	assert_string_equal(text, "local");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_block),
	    cmocka_unit_test(test_loopback),
	    cmocka_unit_test(test_sockaddr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
