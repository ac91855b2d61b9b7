/* SPDX-License-Identifier: ISC */
/* notify_arg_test.c - the arguments of NOTIFY: which events go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "imap/imap_lex.h"
#include "imapd/notify_arg.h"
#include "imapd/session.h"
#include "store/mailbox_impl.h"

static enum notify_arg_result
parse(struct arena *a, const char *text, struct notify_arg *out)
{
	static const struct imap_lex_limits limits = {.line_bytes = 100000,
	    .nesting = 32,
	    .args = 10000,
	    .literal_bytes = 4096};
	enum imap_lex_event ev = IMAP_LEX_MORE;
	enum notify_arg_result result = NOTIFY_ARG_BAD;
	static char none[] = "";
	struct store store = {.prefix = none, .delimiter = '/'};
	struct session s = {.store = &store};
	struct imap_lex l;
	struct str in;
	size_t used;

	list_init(&store.spaces);
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, a);
	for (in = arena_printf(a, "a NOTIFY %s\r\n", text);
	     in.n > 0 && ev != IMAP_LEX_DONE && ev != IMAP_LEX_BAD;
	     in = str_skip(in, used)) {
		ev = imap_lex_feed(&l, in, &used);
		if (ev == IMAP_LEX_NAME)
			l.sections = true;
	}
	if (ev == IMAP_LEX_DONE)
		result = notify_arg_parse(&s, a, l.args, out);
	imap_lex_done(&l);
	return result;
}

static void
test_table(UNUSED void **state)
{
	static const struct {
		const char *text;
		enum notify_arg_result result;
		size_t groups;
		unsigned selected;
	} rows[] = {
	    {"NONE", NOTIFY_ARG_OK, 0, 0},
	    {"SET (selected NONE)", NOTIFY_ARG_OK, 0, 0},
	    {"SET (selected (MessageNew MessageExpunge))", NOTIFY_ARG_OK, 0,
		NOTIFY_NEW | NOTIFY_EXPUNGE},
	    {"SET STATUS (selected MessageNew (UID) MessageExpunge FlagChange) "
	     "(personal NONE)",
		NOTIFY_ARG_OK, 1, NOTIFY_MESSAGES},
	    {"SET (mailboxes (a b c) (MailboxName)) (subtree x "
	     "(SubscriptionChange))",
		NOTIFY_ARG_OK, 2, 0},
	    {"SET (personal (MessageNew))", NOTIFY_ARG_BAD, 0, 0},
	    {"SET (personal (FlagChange))", NOTIFY_ARG_BAD, 0, 0},
	    {"SET (personal (FlagChange MessageNew))", NOTIFY_ARG_BAD, 0, 0},
	    {"SET (selected (MailboxName))", NOTIFY_ARG_BAD, 0, 0},
	    {"SET (selected NONE) (selected-delayed NONE)", NOTIFY_ARG_BAD, 0,
		0},
	    {"SET (personal (MessageNew (UID) MessageExpunge))", NOTIFY_ARG_BAD,
		0, 0},
	    {"SET (personal (AnnotationChange))", NOTIFY_ARG_EVENT, 0, 0},
	    {"SET (personal (MessageNew NoSuch))", NOTIFY_ARG_EVENT, 0, 0},
	    {"SET", NOTIFY_ARG_BAD, 0, 0},
	    {"", NOTIFY_ARG_BAD, 0, 0},
	};
	struct notify_arg arg;
	struct arena a;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		arena_init(&a);
		if (parse(&a, rows[i].text, &arg) != rows[i].result)
			fail_msg("%s", rows[i].text);
		if (rows[i].result == NOTIFY_ARG_OK) {
			assert_int_equal(arg.n_groups, rows[i].groups);
			assert_int_equal(arg.selected, rows[i].selected);
		}
		arena_done(&a);
	}
}

static void
test_limits(UNUSED void **state)
{
	struct notify_arg arg;
	struct arena a;
	struct buf b;

	arena_init(&a);
	buf_init(&b, 1 << 20);
	buf_add_c(&b, "SET");
	for (unsigned i = 0; i < NOTIFY_GROUPS_MAX; i++)
		buf_add_c(&b, " (personal NONE)");
	assert_int_equal(
	    parse(&a, arena_c(&a, buf_str(&b)), &arg), NOTIFY_ARG_OK);
	buf_add_c(&b, " (personal NONE)");
	assert_int_equal(
	    parse(&a, arena_c(&a, buf_str(&b)), &arg), NOTIFY_ARG_TOO_MUCH);
	buf_clear(&b);
	buf_add_c(&b, "SET (mailboxes (");
	for (unsigned i = 0; i <= NOTIFY_NAMES_MAX; i++)
		buf_addf(&b, "%sb%u", i == 0 ? "" : " ", i);
	buf_add_c(&b, ") NONE)");
	assert_int_equal(
	    parse(&a, arena_c(&a, buf_str(&b)), &arg), NOTIFY_ARG_TOO_MUCH);
	buf_done(&b);
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
