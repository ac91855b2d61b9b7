/* SPDX-License-Identifier: ISC */
/* append_header_test.c - 8-bit in a header, however it is cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "imapd/append_header.h"

static const struct {
	struct str text;
	bool is_good;
} messages[] = {
    {STR_LIT("a: b\r\n\r\n\xc3\xbc\r\n"), true},
    {STR_LIT("a: b\n\n\xc3\xbc\n"), true},
    {STR_LIT("\r\n\xc3\xbc: b\r\n\r\n"), true},
    {STR_LIT("a: b\r\nc: \xc3\xbc\r\n\r\nx\r\n"), false},
    {STR_LIT("\xff"), false},
    {STR_LIT("a: b\r\n \xc3\xbc\r\n\r\n"), false},
    {STR_LIT("a: b\r\n \r\n\xc3\xbc\r\n"), false},
    {STR_LIT("a: b\r\nc"), true},
    {STR_LIT(""), true},
};

static void
test_messages(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(messages); i++)
		for (size_t cut = 0; cut <= messages[i].text.n; cut++) {
			struct append_header h = {0};
			bool ok = append_header_feed(
				      &h, str_head(messages[i].text, cut)) &&
			    append_header_feed(
				&h, str_skip(messages[i].text, cut));

			assert_int_equal(ok, messages[i].is_good);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
