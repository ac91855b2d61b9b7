/* SPDX-License-Identifier: ISC */
/* line_test.c - the form of log lines, which administrators match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "log/line.h"

static const struct {
	struct line line;
	struct line_source source;
	const char *file, *syslog;
} cases[] = {
    {{LOG_LEVEL_INFO, 1709298306789123, STR_LIT("imapd(eve)"),
	 STR_LIT("login user=<joe>")},
	{"imapd(joe)", 123},
	"2024-03-01T14:05:06.789+0100 imapd(joe)[123]: login user=<joe>\n",
	"<22>Mar  1 14:05:06 restante[123]: imapd(joe): login user=<joe>"},
    {{LOG_LEVEL_WARN, 1709298306000000, STR_LIT("login(192.0.2.1)"),
	 STR_LIT("a\nb\x1b[1m")},
	{"login", 0},
	"2024-03-01T14:05:06.000+0100 login(192.0.2.1): warning: a?b?[1m\n",
	"<20>Mar  1 14:05:06 restante: login(192.0.2.1): warning: a?b?[1m"},
    /* CSI in one character, and what only looks like it. */
    {{LOG_LEVEL_INFO, 1709298306000000, STR_LIT("x"),
	 STR_LIT("a\xc2\x9b"
		 "1m\xc3\x9b\xc2\xa0\xc2")},
	{"login", 1},
	"2024-03-01T14:05:06.000+0100 login[1]: "
	"a?1m\xc3\x9b\xc2\xa0\xc2\n",
	"<22>Mar  1 14:05:06 restante[1]: login: "
	"a?1m\xc3\x9b\xc2\xa0\xc2"},
    {{LOG_LEVEL_ERROR, 1709298306000000, STR_LIT("master"), STR_LIT("x")},
	{"login", 0}, "2024-03-01T14:05:06.000+0100 login: error: x\n",
	"<19>Mar  1 14:05:06 restante: login: error: x"},
};

static void
test_lines(UNUSED void **state)
{
	struct buf b;

	buf_init(&b, 10000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		line_for_file(&cases[i].line, &cases[i].source, &b);
		buf_add_byte(&b, 0);
		assert_string_equal(b.p, cases[i].file);
		buf_clear(&b);
		line_for_syslog(&cases[i].line, &cases[i].source, &b);
		buf_add_byte(&b, 0);
		assert_string_equal(b.p, cases[i].syslog);
		buf_clear(&b);
	}
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};

	(void)setenv("TZ", "CET-1", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
