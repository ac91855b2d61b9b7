/* SPDX-License-Identifier: ISC */
/* uidl_format_test.c - the forms of formats.md section 5, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "text/uidl_format.h"

#define BASE "1795300918.M938808P31792.mx1,S=143,W=151"
#define MD5 "88426b0260ab3648cc3ab6a43ce8f8e0"

static const struct uidl_values values = {
    .uid = 13,
    .uidvalidity = 1795300464,
    .base = STR_LIT(BASE),
    .guid = STR_LIT("guidAB"),
    .header_md5 = STR_LIT(MD5),
};

static void
test_forms(void **state)
{
	static const struct {
		const char *format, *want;
	} cases[] = {
	    {"%08Xu%08Xv", "0000000d6b021c70"},
	    {"%{uid|hex(8)}%{uidvalidity|hex(8)}", "0000000d6b021c70"},
	    {"%{uid | hex(8)}%{uidvalidity | hex(8)}", "0000000d6b021c70"},
	    {"%{ uid|hex( 8 ) }%08X{uidvalidity}", "0000000d6b021c70"},
	    {"uid8hex,v8hex", "0000000d6b021c70"},
	    {"v8hex,uid8hex", "6b021c700000000d"},
	    {"%08Xv%08Xu", "6b021c700000000d"},
	    {"%v-%u", "1795300464-13"},
	    {"%{uidvalidity}-%{uid}", "1795300464-13"},
	    {"v-uid", "1795300464-13"},
	    {"%v.%u", "1795300464.13"},
	    {"v.uid", "1795300464.13"},
	    {"%u", "13"},
	    {"uid", "13"},
	    {"%08u", "00000013"},
	    {"%Xu", "d"},
	    {"%UXv%u", "6b021c7013"},
	    {"%XUv%u", "6B021C7013"},
	    {"%u-%{uidvalidity|hex|upper}", "13-6B021C70"},
	    {"%{uidvalidity|hex(4)}-%u", "6b021c70-13"},
	    {"%f", BASE},
	    {"base", BASE},
	    {"%{filename}", BASE},
	    {"%4f", "1795"},
	    {"%-7f", "3,W=151"},
	    {"%2.4f", "9530"},
	    {"%-5.2f", "W="},
	    {"%{filename|truncate(10)}", "1795300918"},
	    {"%g", "guidAB"},
	    {"%Lg", "guidab"},
	    {"%Ug", "GUIDAB"},
	    {"%Rg", "BAdiug"},
	    {"%{guid | upper | reverse}", "BADIUG"},
	    {"%m", MD5},
	    {"md5", MD5},
	    {"%{md5}", MD5},
	    {"a%%b%u", "a%b13"},
	    {"UID%u-%v", "UID13-1795300464"},
	    {"base-courier", BASE},
	};
	struct buf b;
	struct err e;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&b);
		if (uidl_format_check(str_of(cases[i].format), NULL, &e) == -1)
			fail_msg("%s: %s", cases[i].format, e.text);
		assert_int_equal(
		    uidl_format_write(str_of(cases[i].format), &values, &b, &e),
		    0);
		if (!str_eq(buf_str(&b), str_of(cases[i].want)))
			fail_msg(
			    "%s: %.*s", cases[i].format, STR_ARG(buf_str(&b)));
	}
	buf_done(&b);
}

static void
test_courier_base(void **state)
{
	struct uidl_values v = values;
	struct buf b;
	struct err e;

	(void)state;
	v.base = STR("a+b'c\"d e\xc3\xa4,S=1");
	buf_init(&b, 1000);
	assert_int_equal(uidl_format_write(STR("base-courier"), &v, &b, &e), 0);
	assert_true(str_eq(buf_str(&b), STR("a+2Bb+27c+22d+20e+C3+A4,S=1")));
	buf_done(&b);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *format;
		int code;
	} cases[] = {
	    {"", ERR_SYNTAX},
	    {"%v", ERR_SYNTAX}, /* the same for all */
	    {"fixed", ERR_SYNTAX},
	    {"%", ERR_SYNTAX},
	    {"%u%", ERR_SYNTAX},
	    {"%08X", ERR_SYNTAX},
	    {"%999u", ERR_SYNTAX},
	    {"%2.u", ERR_SYNTAX},
	    {"%{uid", ERR_SYNTAX},
	    {"%{uid|hex(}", ERR_SYNTAX},
	    {"%{uid|hex(99)}", ERR_SYNTAX},
	    {"%{guid|hex}", ERR_SYNTAX},
	    {"%Xf", ERR_SYNTAX},
	    {"%u %v", ERR_SYNTAX},
	    {"%q", ERR_UNSUPPORTED},
	    {"%{uid|lower(3)}", ERR_UNSUPPORTED},
	    {"%{uid|truncate}", ERR_UNSUPPORTED},
	    {"%{uid|sha1}", ERR_UNSUPPORTED},
	    {"%{user}", ERR_UNSUPPORTED},
	};
	struct uidl_values no_file = values;
	struct buf b;
	struct err e;
	bool wants;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (uidl_format_check(str_of(cases[i].format), NULL, &e) !=
			-1 ||
		    (int)e.code != cases[i].code)
			fail_msg("%s: %d %s", cases[i].format, e.code, e.text);
	assert_int_equal(uidl_format_check(STR("%m"), &wants, &e), 0);
	assert_true(wants);
	assert_int_equal(uidl_format_check(STR("%u"), &wants, &e), 0);
	assert_false(wants);
	/* An mbox has no file names. */
	no_file.base = (struct str){0};
	buf_init(&b, 1000);
	assert_int_equal(uidl_format_write(STR("%f"), &no_file, &b, &e), -1);
	assert_int_equal(e.code, ERR_UNSUPPORTED);
	assert_int_equal(
	    uidl_format_write(STR("base-courier"), &no_file, &b, &e), -1);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_courier_base),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
