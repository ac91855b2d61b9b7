/* SPDX-License-Identifier: ISC */
/* header_hash_test.c - the values that Dovecot 2.3 has given (formats.md 7.10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mime/header_hash.h"

static void
test_values(void **state)
{
	static const struct {
		const char *block, *want;
	} cases[] = {
	    {"Received: from x by y; Mon, 2 Mar 2026 10:00:01 +0000\n"
	     "Date: Mon, 2 Mar 2026 10:00:00 +0000\nMessage-ID: <1@x>\n\n",
		"98eee00cd323759e051b0369bedf2782"},
	    {"Subject: s\nDate: D2\nMessage-ID: <2@x>\n\nDate: body\n",
		"88426b0260ab3648cc3ab6a43ce8f8e0"},
	    {"date: D2\r\nmessage-id: <2@x>\r\nX-UID: 7\r\n\r\n",
		"88426b0260ab3648cc3ab6a43ce8f8e0"},
	    {"Delivered-To: u@d\nReceived: from x\n\tby y;\n  Mon\n"
	     "Received: second\nDelivered-To: v@d\nDate: D3\n\n",
		"715cecdb3619860ace8257688d9f63d2"},
	    {"X-Delivery-ID: abc\nDate: D4\nReceived: r4\n"
	     "Message-ID: <4@x>\n\n",
		"2d95f1e55996bd89c5c4075602780d64"},
	    {"Subject: none of them\n\n", "d41d8cd98f00b204e9800998ecf8427e"},
	    {"", "d41d8cd98f00b204e9800998ecf8427e"},
	};
	char got[33];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		header_hash_hex(str_of(cases[i].block), got);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("case %zu: %s", i, got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
