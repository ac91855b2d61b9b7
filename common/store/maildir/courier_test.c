/* SPDX-License-Identifier: ISC */
/* courier_test.c - the lines of Courier's files (formats.md section 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/maildir/courier.h"

static void
on_pop3(void *arg, const struct courier_pop3 *entry)
{
	struct buf *b = arg;

	(void)buf_addf(b, "%.*s %llu ", STR_ARG(entry->base),
	    (unsigned long long)entry->wire_size);
	assert_true(courier_pop3_uidl(b, entry));
	(void)buf_add_byte(b, '|');
}

static void
test_pop3(void **state)
{
	static const struct {
		const char *file, *want;
	} cases[] = {
	    {"/3 5 1795300730\n"
	     "1700000000.M1P1.h,S=127,W=134:2,FS 134 1:1795300730:0\n"
	     "1795300736.M787952P31468V_2.mx1,S=29:2, 30 4:1795300730:0\n",
		"1700000000.M1P1.h,S=127,W=134 134 UID1-1795300730|"
		"1795300736.M787952P31468V_2.mx1,S=29 30 UID4-1795300730|"},
	    {"/2 5 17\na:2,S 10 1:17\nb c:2, 11 2:0\nd 12 0:0\n",
		"a 10 UID1-17|b c 11 UID2|d 12 d|"},
	    {"/1 5\na:2,S 10 7\n", "a 10 UID7|"},
	    /* Without ids: the name, spelt so that POP3 can have it. */
	    {"a+b'\"c:2,S 10\nd e 11\n",
		"a+b'\"c 10 a+2Bb+27+22c|"
		"d e 11 d+20e|"},
	    {"/3 5 17\na 10 x:17:0\n\n \nb x 1:17:0\nc 1\n:2, 1 1:1:0\n", ""},
	    {"/3 5 17", ""},
	    {"", ""},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&b);
		courier_pop3_parse(str_of(cases[i].file), on_pop3, &b);
		if (!str_eq(buf_str(&b), str_of(cases[i].want)))
			fail_msg("%zu: %.*s", i, STR_ARG(buf_str(&b)));
	}
	buf_done(&b);
}

static void
on_name(void *arg, size_t number, struct str name)
{
	(void)buf_addf(arg, "%zu=%.*s ", number, STR_ARG(name));
}

static void
on_set(void *arg, struct str base, size_t number)
{
	if (number == SIZE_MAX)
		(void)buf_addf(arg, "[%.*s]", STR_ARG(base));
	else
		(void)buf_addf(arg, "%zu ", number);
}

static void
test_pop3_out(void **state)
{
	static const char file[] =
	    "/3 5 1795300730\n1.a:2,FS 134 2:1795300730:1\n1.b 30 0:0:0\n";
	struct courier_pop3_head head;
	struct courier_pop3 line = {.wire_size = 134, .n = 2, .is_utf8 = true};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_true(courier_pop3_parse_head(STR(file), &head));
	assert_int_equal(head.next, 5);
	assert_int_equal(head.uidvalidity, 1795300730);
	courier_pop3_put_head(&b, &head);
	line.uidvalidity = head.uidvalidity;
	courier_pop3_put(&b, STR("1.a:2,FS"), &line);
	courier_pop3_put(
	    &b, STR("1.b"), &(struct courier_pop3){.wire_size = 30});
	assert_true(str_eq(buf_str(&b), STR(file)));
	buf_done(&b);
	assert_true(courier_pop3_parse_head(STR("/2 1 0\n"), &head));
	assert_false(courier_pop3_parse_head(STR("1.a 134\n"), &head));
	assert_false(courier_pop3_parse_head(STR("/3\n"), &head));
	assert_false(courier_pop3_parse_head(STR("/3 0 1\n"), &head));
	assert_false(courier_pop3_parse_head(STR("/3 4294967295 1"), &head));
	assert_false(courier_pop3_parse_head(STR(""), &head));
	assert_true(courier_pop3_parse_uidl(STR("UID7-9"), &line));
	assert_true(line.n == 7 && line.uidvalidity == 9);
	assert_int_equal(line.wire_size, 134);
	assert_true(courier_pop3_parse_uidl(STR("UID8"), &line));
	assert_true(line.n == 8 && line.uidvalidity == 0);
	assert_false(courier_pop3_parse_uidl(STR("UID"), &line));
	assert_false(courier_pop3_parse_uidl(STR("UID0-1"), &line));
	assert_false(courier_pop3_parse_uidl(STR("UID1-"), &line));
	assert_false(courier_pop3_parse_uidl(STR("uid1-1"), &line));
	assert_false(courier_pop3_parse_uidl(STR("0000000d6b021c70"), &line));
}

static void
test_keywords(void **state)
{
	static const struct {
		const char *file, *want;
	} cases[] = {
	    {"kwOne\n$Two\n\n1700000001.M1P1.h,S=127:1 0\nb:0\n",
		"0=kwOne 1=$Two [1700000001.M1P1.h,S=127]1 0 [b]0 "},
	    {"a\n\nb:7 x 0 -1\nc:\n:0\nd\n", "0=a [b]0 [c]"},
	    {"\nb:0\n", "[b]"},
	    {"a\nb", "0=a 1=b "},
	    {"", ""},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&b);
		courier_keywords_parse(
		    str_of(cases[i].file), on_name, on_set, &b);
		if (!str_eq(buf_str(&b), str_of(cases[i].want)))
			fail_msg("%zu: %.*s", i, STR_ARG(buf_str(&b)));
	}
	buf_done(&b);
}

static void
test_change_names(void **state)
{
	uint64_t age;
	struct str base;

	(void)state;
	assert_true(courier_change_name(STR("1.a,S=1"), &age, &base));
	assert_true(age == UINT64_MAX && str_eq(base, STR("1.a,S=1")));
	assert_true(courier_change_name(STR(".598.1.a"), &age, &base));
	assert_true(age == 598 && str_eq(base, STR("1.a")));
	assert_false(courier_change_name(STR(":list"), &age, &base));
	assert_false(courier_change_name(STR(":list.lock"), &age, &base));
	assert_false(courier_change_name(STR(".598."), &age, &base));
	assert_false(courier_change_name(STR(".x.1.a"), &age, &base));
	assert_false(courier_change_name(STR(""), &age, &base));
}

static void
test_subscriptions(void **state)
{
	static const struct {
		const char *line, *name;
	} cases[] = {
	    {"INBOX", "INBOX"},
	    {"inbox", "INBOX"},
	    {"INBOX.Sent", "Sent"},
	    {"INBOX.a.b\r", "a.b"},
	    {"INBOX.\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
		"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
	    {"INBOX.&ZeVnLIqe-", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
	    {"INBOX.R&D", "R&D"},
	    {"INBOX.", NULL},
	    {"#shared.x", NULL},
	    {"INBOX.\xff", NULL},
	    {"", NULL},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool ok;

		buf_clear(&b);
		ok = courier_sub_name(str_of(cases[i].line), &b);
		assert_int_equal(ok, cases[i].name != NULL);
		if (ok)
			assert_true(str_eq(buf_str(&b), str_of(cases[i].name)));
	}
	buf_clear(&b);
	assert_true(courier_sub_line(STR("INBOX"), &b));
	assert_true(courier_sub_line(STR("a.b"), &b));
	assert_true(str_eq(buf_str(&b), STR("INBOX\nINBOX.a.b\n")));
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pop3),
	    cmocka_unit_test(test_pop3_out),
	    cmocka_unit_test(test_keywords),
	    cmocka_unit_test(test_change_names),
	    cmocka_unit_test(test_subscriptions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
