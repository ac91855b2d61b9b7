/* SPDX-License-Identifier: ISC */
/* session_test.c - sets of numbers against a view with holes; flags; names. */
#include "../tests/lib/test_store.h"

#include "base/bounds.h"
#include "imap/imap_set.h"
#include "imapd/flags.h"
#include "imapd/name.h"
#include "imapd/session.h"

static struct box box;

static int
begin(UNUSED void **state)
{
	char name[40];
	int i;

	box_init(&box);
	for (i = 1; i <= 10; i++) {
		(void)snprintf(
		    name, sizeof(name), "cur/%d.M1P1.h:2,", 1000 + i);
		box_msg(&box, name);
	}
	box_open(&box);
	return 0;
}

static int
end(UNUSED void **state)
{
	box_done(&box);
	return 0;
}

/* The UIDs that `set` means, as text; "BAD" when it is refused. */
static const char *
uids_of(struct view *v, const char *set, bool uid)
{
	static char text[200];
	struct session s = {.view = v};
	struct cmd c = {.s = &s, .uid = uid};
	struct set32 uids;
	struct buf b;

	set32_init(&uids);
	buf_init(&b, sizeof(text) - 1);
	if (session_parse_set(&c, str_of(set), &uids))
		imap_set_write(&b, &uids);
	else
		buf_add_c(&b, "BAD");
	assert_true(
	    str_to_c(str_make(b.n == 0 ? "" : b.p, b.n), text, sizeof(text)));
	buf_done(&b);
	set32_done(&uids);
	return text;
}

static void
test_sets(UNUSED void **state)
{
	/* UIDs 1 2 5 6 7 10, numbers 1 to 6. */
	static const struct {
		const char *set, *by_seq, *by_uid;
	} rows[] = {
	    {"1", "1", "1"},
	    {"3", "5", ""},
	    {"6", "10", "6"},
	    {"7", "BAD", "7"},
	    {"*", "10", "10"},
	    {"1:*", "1:2,5:7,10", "1:2,5:7,10"},
	    {"*:1", "1:2,5:7,10", "1:2,5:7,10"},
	    {"2:3", "2,5", "2"},
	    {"2:5", "2,5:7", "2,5"},
	    {"5:*", "7,10", "5:7,10"},
	    {"7:*", "BAD", "7,10"},
	    {"1,3,5", "1,5,7", "1,5"},
	    {"5,3,1", "1,5,7", "1,5"},
	    {"1:2,4", "1:2,6", "1:2"},
	    {"6,4:5", "6:7,10", "5:6"},
	    {"8:9", "BAD", ""},
	    {"1:4294967295", "BAD", "1:2,5:7,10"},
	    {"11:*", "BAD", "10"},
	    {"0", "BAD", "BAD"},
	    {"", "BAD", "BAD"},
	    {"x", "BAD", "BAD"},
	};
	struct view *v = box_view(&box, "INBOX", false);
	struct err e;
	uint32_t at = 0;
	size_t i;

	assert_int_equal(
	    box_store(v, 3, 4, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	assert_int_equal(
	    box_store(v, 8, 9, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	while (view_expunge(v, NULL, &at, &e) == STEP_MORE)
		continue;
	(void)box_sync(v, true);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(
		    uids_of(v, rows[i].set, false), rows[i].by_seq);
		assert_string_equal(
		    uids_of(v, rows[i].set, true), rows[i].by_uid);
	}
	view_close(&v);
}

static void
test_an_empty_mailbox(UNUSED void **state)
{
	struct view *v;
	struct err e;

	assert_int_equal(store_create(box.store, STR("empty"), &e), 0);
	v = box_view(&box, "empty", false);
	assert_string_equal(uids_of(v, "*", false), "BAD");
	assert_string_equal(uids_of(v, "1:*", false), "BAD");
	assert_string_equal(uids_of(v, "1", false), "BAD");
	assert_string_equal(uids_of(v, "*", true), "");
	assert_string_equal(uids_of(v, "1:*", true), "");
	view_close(&v);
}

/* The list of flags in `words` (blanks between) as a wish, or false. */
static bool
wish_of(struct arena *a, const char *words, struct flag_wish *w)
{
	struct imap_arg args[20] = {{0}};
	struct str s = str_of(words), word;
	size_t n = 0;

	while (str_next(&s, ' ', &word))
		args[n++] = (struct imap_arg){.type = IMAP_ARG_ATOM, .s = word};
	args[n].type = IMAP_ARG_END;
	return flags_parse(args, a, w);
}

static void
test_flags(UNUSED void **state)
{
	static const char *const bad[] = {"\\Recent", "\\Nonsense", "\\", "\\*",
	    "a*", "a]", "\\Seen \\", "x \\Recent"};
	struct flag_wish w;
	struct arena a;
	struct buf b;
	struct view *v;
	struct flags f;
	size_t i;

	arena_init(&a);
	buf_init(&b, 1000);
	assert_true(wish_of(&a, "\\SEEN word \\draft $x", &w));
	assert_int_equal(w.system, FLAG_SEEN | FLAG_DRAFT);
	assert_int_equal(w.n_keywords, 2);
	assert_true(str_eq(w.keywords[1], STR("$x")));
	for (i = 0; i < ARRAY_LEN(bad); i++)
		if (wish_of(&a, bad[i], &w))
			fail_msg("%s", bad[i]);
	v = box_view(&box, "INBOX", false);
	f = (struct flags){.system = FLAG_RECENT | FLAG_ANSWERED | FLAG_SEEN};
	flags_write(&b, view_mailbox(v), &f);
	assert_true(str_eq(buf_str(&b), STR("\\Answered \\Seen \\Recent")));
	view_close(&v);
	buf_done(&b);
	arena_done(&a);
}

static void
test_names(UNUSED void **state)
{
	static const struct {
		bool utf8;
		const char *wire, *name; /* NULL: refused */
	} rows[] = {
	    {false, "inbox", "INBOX"},
	    {false, "InBoX.Sub", "INBOX.Sub"},
	    {false, "inboxes", "inboxes"},
	    {false, "x.inbox", "x.inbox"},
	    {false, "&AOQ-", "\xc3\xa4"},
	    {false, "a&-b", "a&b"},
	    {false, "a&b", NULL},
	    {false, "\xc3", NULL},
	    {true, "a\xcc\x88", "\xc3\xa4"},
	    {false, "", NULL},
	    {true, "inbox", "INBOX"},
	    {true, "&AOQ-", "&AOQ-"},
	    {true, "a&b", "a&b"},
	    {true, "\xc3\xa4", "\xc3\xa4"},
	    {true, "\xc3", NULL},
	    {true, "", NULL},
	};
	struct session s = {.store = box.store};
	struct str name;
	struct buf wire;
	struct arena a;
	struct err e;
	size_t i;

	arena_init(&a);
	buf_init(&wire, 1000);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		int rc;

		s.utf8 = rows[i].utf8;
		rc = name_decode(&s, &a, str_of(rows[i].wire), &name, &e);
		assert_int_equal(rc, rows[i].name == NULL ? -1 : 0);
		if (rc == -1) {
			assert_int_equal(e.code, ERR_BAD_NAME);
			continue;
		}
		assert_true(str_eq(name, str_of(rows[i].name)));
		if (str_starts(str_of(rows[i].wire), STR("a\xcc")))
			continue;
		/* and back */
		buf_clear(&wire);
		name_wire(&s, &wire, name);
		assert_true(
		    str_eq_nocase(buf_str(&wire), str_of(rows[i].wire)));
	}
	buf_done(&wire);
	arena_done(&a);
}

static void
test_long_names(UNUSED void **state)
{
	char longer[MAILBOX_NAME_MAX_BYTES + 2];
	struct session s = {.store = box.store};
	struct str name;
	struct arena a;
	struct err e;

	arena_init(&a);
	memset(longer, 'x', sizeof(longer));
	assert_int_equal(
	    name_decode(
		&s, &a, str_make(longer, MAILBOX_NAME_MAX_BYTES), &name, &e),
	    0);
	assert_int_equal(
	    name_decode(&s, &a, str_make(longer, MAILBOX_NAME_MAX_BYTES + 1),
		&name, &e),
	    -1);
	assert_int_equal(e.code, ERR_LIMIT);
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_sets, begin, end),
	    cmocka_unit_test_setup_teardown(test_an_empty_mailbox, begin, end),
	    cmocka_unit_test_setup_teardown(test_flags, begin, end),
	    cmocka_unit_test_setup_teardown(test_names, begin, end),
	    cmocka_unit_test_setup_teardown(test_long_names, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
