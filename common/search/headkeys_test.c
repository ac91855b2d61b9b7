/* SPDX-License-Identifier: ISC */
/* headkeys_test.c - what is kept of a header says the same as the header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "search/headkeys.h"

static const char block[] = "Received: by x; Mon, 3 Jan 2000 10:00:00 +0000\r\n"
			    "From: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\r\n"
			    "from: second\r\n"
			    "Subject: a\r\n folded\r\n line\r\n"
			    "TO:\r\n"
			    "Date: Sun, 2 Jan 2000 23:30:00 -0500\r\n"
			    "Message-ID: <1@x>\r\n"
			    "\r\n";

static const struct {
	const char *name, *key;
	enum query_truth truth;
} asks[] = {
    {"from", "JU\xcc\x88RGEN", QUERY_YES},
    {"From", "SECOND", QUERY_YES},
    {"FROM", "", QUERY_YES},
    {"From", "THIRD", QUERY_NO},
    {"From", "> S", QUERY_NO}, /* two fields are two texts */
    {"Subject", "A FOLDED LINE", QUERY_YES},
    {"To", "", QUERY_YES},
    {"To", "X", QUERY_NO},
    {"Cc", "", QUERY_NO},
    {"Message-Id", "<1@X>", QUERY_YES},
    {"Received", "X", QUERY_UNKNOWN}, /* is not kept */
    {"X-Nothing", "", QUERY_UNKNOWN},
};

static void
test_asks(UNUSED void **state)
{
	struct arena a;
	struct buf record;
	int64_t day, found;
	bool has;

	arena_init(&a);
	buf_init(&record, 4096);
	headkeys_write(&record, &a, str_of(block));
	assert_false(buf_is_over(&record));
	for (size_t i = 0; i < ARRAY_LEN(asks); i++)
		if (headkeys_ask(buf_str(&record),
			headkeys_number(str_of(asks[i].name)),
			str_of(asks[i].key)) != asks[i].truth)
			fail_msg("%s: %s", asks[i].name, asks[i].key);
	assert_true(headkeys_sent_day(buf_str(&record), &has, &day));
	assert_true(has);
	assert_true(headkeys_find_day(str_of(block), &found));
	assert_int_equal(day, found);
	/* Cut anywhere: it says nothing, or no more than is true. */
	for (size_t n = 0; n < record.n; n++)
		for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
			enum query_truth truth =
			    headkeys_ask(str_head(buf_str(&record), n),
				headkeys_number(str_of(asks[i].name)),
				str_of(asks[i].key));

			assert_true(
			    truth != QUERY_YES || asks[i].truth == QUERY_YES);
		}
	buf_done(&record);
	arena_done(&a);
}

/* What is too long to be kept is asked of the message. */
static void
test_long(UNUSED void **state)
{
	struct buf head, record;
	struct arena a;
	struct str all;
	bool has;
	int64_t day;

	arena_init(&a);
	buf_init(&head, 1 << 20);
	buf_init(&record, 32 * 1024);
	buf_add_c(&head, "To: ");
	for (int i = 0; i < 1000; i++)
		buf_add_c(&head, "x@y, ");
	buf_add_c(&head, "\nCc: a\n\n");
	headkeys_write(&record, &a, buf_str(&head));
	all = buf_str(&record);
	assert_int_equal(
	    headkeys_ask(all, headkeys_number(STR("to")), STR("Z")),
	    QUERY_UNKNOWN);
	assert_int_equal(
	    headkeys_ask(all, headkeys_number(STR("to")), STR("")), QUERY_YES);
	assert_int_equal(
	    headkeys_ask(all, headkeys_number(STR("cc")), STR("A")), QUERY_YES);
	assert_true(headkeys_sent_day(all, &has, &day));
	assert_false(has);
	/* Many fields: the record would be too large, and is not kept. */
	buf_clear(&head);
	for (int i = 0; i < 10000; i++)
		buf_add_c(&head, "To: x@y\n");
	buf_clear(&record);
	headkeys_write(&record, &a, buf_str(&head));
	assert_true(buf_is_over(&record));
	buf_done(&head);
	buf_done(&record);
	arena_done(&a);
}

/* Numbers lie in the index: they are these, and no other name has one. */
static void
test_numbers(UNUSED void **state)
{
	static const char *const names[] = {"from", "TO", "cC", "Bcc",
	    "SUBJECT", "message-id", "In-Reply-To", "REPLY-TO", "sender",
	    "List-ID"};
	static const char *const others[] = {"", "f", "Fram", "fro", "Tx", "xc",
	    "Bcd", "Subjecs", "List-Ic", "Lixt-Id", "Message-Ix", "In-Reply-Tp",
	    "Reply-Tx", "Sendes", "Received", "References", "MIME-Version",
	    "Return-Path", "Content-Type", "Content-Transfer-Encoding"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(headkeys_number(str_of(names[i])), i + 1);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(headkeys_number(str_of(others[i])), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_asks),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
