/* SPDX-License-Identifier: ISC */
/*
 * store_names_test.c - which mailboxes there are and what they are called: LIST,
 * CREATE, DELETE, RENAME, layouts on disk, special uses, subscriptions.
 */
#include "base/vec.h"
#include "store/subs.h"
#include "tests/lib/fresh_box.h"

static char
attr_letter(const struct mbox_entry *e)
{
	if (e->attrs & MBOX_NONEXISTENT)
		return '!';
	return e->attrs & MBOX_NOSELECT ? '-' : '.';
}

/* The list in words: name, then . or ! or -, + children, s subscribed, use. */
static const char *
list(struct box *b, bool subscribed)
{
	static char text[4000];
	struct mbox_entry *first;
	struct arena a;
	struct err e;
	size_t n = 0;

	arena_init(&a);
	if (now_list(b->store, subscribed, &a, &first, &e) == -1)
		fail_msg("%s", e.text);
	text[0] = '\0';
	for (; first != NULL; first = first->next) {
		if (first->uses != 0 && !subscribed &&
		    !(first->attrs & MBOX_HAS_CHILDREN) &&
		    first->uses != 1u << USE_SENT)
			continue; /* four of five are not of interest here */
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "%.*s%c%s%s%s ", STR_ARG(first->name), attr_letter(first),
		    first->attrs & MBOX_HAS_CHILDREN ? "+" : "",
		    first->attrs & MBOX_SUBSCRIBED ? "s" : "",
		    first->uses == 1u << USE_SENT ? "S" : "");
	}
	arena_done(&a);
	return text;
}

static unsigned
attrs_of(struct box *b, const char *name)
{
	struct mbox_entry *it;
	struct arena a;
	struct err e;
	unsigned attrs = 0;

	arena_init(&a);
	assert_int_equal(now_list(b->store, false, &a, &it, &e), 0);
	for (; it != NULL; it = it->next)
		if (str_eq(it->name, str_of(name)))
			attrs = it->attrs;
	arena_done(&a);
	return attrs;
}

static int
create(struct box *b, const char *name)
{
	struct err e;

	return store_create(b->store, str_of(name), &e) == 0 ? 0 : (int)e.code;
}

static int
rename_to(struct box *b, const char *from, const char *to)
{
	struct err e;

	return now_rename(b->store, str_of(from), str_of(to), &e) == 0
	    ? 0
	    : (int)e.code;
}

static int delete (struct box *b, const char *name)
{
	struct err e;

	return now_delete(b->store, str_of(name), &e) == 0 ? 0 : (int)e.code;
}

/* \Marked as long as nobody who opens it for writing has looked. */
static void
test_list_marks(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_dirs(b, ".a");
	box_dirs(b, ".empty");
	box_msg(b, ".a/new/1000.x");
	box_open(b);
	assert_int_equal(attrs_of(b, "a"), MBOX_MARKED);
	assert_int_equal(attrs_of(b, "empty"), MBOX_UNMARKED);
	assert_true(attrs_of(b, "INBOX") & MBOX_UNMARKED);
	v = box_view(b, "a", true);
	assert_int_equal(attrs_of(b, "a"), MBOX_MARKED);
	view_close(&v);
	v = box_view(b, "a", false);
	assert_int_equal(attrs_of(b, "a"), MBOX_UNMARKED);
	view_close(&v);
	box_msg(b, "new/1000.x");
	assert_true(attrs_of(b, "INBOX") & MBOX_MARKED);
}

static void
test_create_names(void **state)
{
	struct box *b = *state;
	static const struct {
		const char *name, *dir;
		int code;
	} cases[] = {
	    {"Work", ".Work", 0},
	    {"Work", NULL, ERR_EXISTS},
	    {"Archive.2026", ".Archive.2026", 0},
	    {"Trailing.", ".Trailing", 0},
	    {"inbox.Sub", ".INBOX.Sub", 0},
	    {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", ".&ZeVnLIqe-", 0},
	    {"R&D", ".R&-D", 0},
	    {"a b*c%d\\e", ".a b*c%d\\e", 0},
	    {"cur", ".cur", 0},
	    {"dovecot-uidlist", ".dovecot-uidlist", 0},
	    {"Inbox", NULL, ERR_EXISTS},
	    {"", NULL, ERR_BAD_NAME},
	    {".x", NULL, ERR_BAD_NAME},
	    {"a..b", NULL, ERR_BAD_NAME},
	    {"a/b", NULL, ERR_BAD_NAME},
	    {"~x", NULL, ERR_BAD_NAME},
	    {"a\tb", NULL, ERR_BAD_NAME},
	    {"a\xff", NULL, ERR_BAD_NAME},
	    {"..", NULL, ERR_BAD_NAME},
	};
	char longest[600];

	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char rel[300];

		if (create(b, cases[i].name) != cases[i].code)
			fail_msg("create %s: %d", cases[i].name,
			    create(b, cases[i].name));
		if (cases[i].dir == NULL)
			continue;
		(void)snprintf(
		    rel, sizeof(rel), "%s/maildirfolder", cases[i].dir);
		assert_true(box_has(b, rel));
		(void)snprintf(
		    rel, sizeof(rel), "%s/dovecot-uidlist", cases[i].dir);
		assert_int_equal(strncmp(box_read(b, rel), "3 V", 3), 0);
	}
	memset(longest, 'x', sizeof(longest));
	longest[254] = '\0';
	assert_int_equal(create(b, longest), 0);
	longest[254] = 'y';
	longest[255] = '\0';
	assert_int_equal(create(b, longest), ERR_BAD_NAME);
	assert_false(box_has(b, "maildirfolder"));
}

static void
test_list_tree(void **state)
{
	struct box *b = *state;

	box_dirs(b, ".a.b.c");
	box_dirs(b, ".a-b");
	box_dirs(b, ".Gesendet");
	box_dirs(b, ".a&-b");
	box_dirs(b, ".bad&b");
	box_dirs(b, ".\xc3\xbc");
	box_dirs(b, ".lat\xfcin");
	box_dirs(b, "..hidden");
	box_dirs(b, ".nfs0001");
	box_dirs(b, "nodot");
	box_write(b, ".file", "");
	box_open(b);
	assert_string_equal(list(b, false),
	    "INBOX. Gesendet.S a!+ a.b!+ a.b.c. a&b. a-b. bad&b. lat%FCin. "
	    "\xc3\xbc. ");
	/* Each of these names opens its folder. */
	view_close(&(struct view *){box_view(b, "bad&b", false)});
	view_close(&(struct view *){box_view(b, "lat%FCin", false)});
	view_close(&(struct view *){box_view(b, "\xc3\xbc", false)});
	assert_true(box_has(b, ".lat\xfcin/dovecot-uidlist"));
	assert_true(box_has(b, ".bad&b/dovecot-uidlist"));
	assert_true(box_has(b, ".\xc3\xbc/dovecot-uidlist"));
}

static void
test_both_spellings(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_dirs(b, ".&APw-");
	box_dirs(b, ".\xc3\xbc");
	box_msg(b, ".\xc3\xbc/cur/x:2,");
	box_open(b);
	b->store->is_utf8 = false;
	assert_string_equal(
	    list(b, false), "INBOX. Sent.S \xc3\xbc. \xc3\xbc?utf8. ");
	v = box_view(b, "\xc3\xbc", false);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
	v = box_view(b, "\xc3\xbc?utf8", false);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
}

static void
test_delete(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint32_t first;

	box_open(b);
	assert_int_equal(create(b, "a"), 0);
	assert_int_equal(create(b, "a.b"), 0);
	v = box_view(b, "a", false);
	first = mailbox_uidvalidity(view_mailbox(v));
	view_close(&v);
	assert_int_equal(delete (b, "a"), 0);
	assert_false(box_has(b, ".a"));
	assert_false(box_has(b, "..DOVECOT-TRASHED"));
	assert_string_equal(list(b, false), "INBOX. Sent.S a!+ a.b. ");
	assert_int_equal(delete (b, "a"), ERR_NOT_FOUND);
	assert_int_equal(delete (b, "inbox"), ERR_PERM);
	/* W16: the same name again is another mailbox. */
	assert_int_equal(create(b, "a"), 0);
	v = box_view(b, "a", false);
	assert_true(mailbox_uidvalidity(view_mailbox(v)) > first);
	view_close(&v);
}

static void
test_delete_while_open(void **state)
{
	struct box *b = *state;
	struct view_sink sink = {0};
	struct view *v;
	struct err e;

	box_open(b);
	assert_int_equal(create(b, "a"), 0);
	v = box_view(b, "a", false);
	assert_int_equal(delete (b, "a"), 0);
	assert_int_equal(now_view_sync(v, true, &sink, NULL, &e), -1);
	assert_int_equal(e.code, ERR_GONE);
	assert_int_equal(create(b, "a"), 0);
	view_close(&(struct view *){box_view(b, "a", false)});
	view_close(&v);
}

static void
test_rename(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint32_t validity;

	box_open(b);
	assert_int_equal(create(b, "a"), 0);
	assert_int_equal(create(b, "a.b"), 0);
	assert_int_equal(create(b, "ab"), 0);
	assert_int_equal(box_append(b, "a.b", TEST_MSG, 0, -1), 1);
	v = box_view(b, "a.b", false);
	validity = mailbox_uidvalidity(view_mailbox(v));
	assert_int_equal(rename_to(b, "a", "ab"), ERR_EXISTS);
	assert_int_equal(rename_to(b, "a", "a.c"), ERR_BAD_NAME);
	assert_int_equal(rename_to(b, "nix", "c"), ERR_NOT_FOUND);
	assert_int_equal(rename_to(b, "a", "x.y"), 0);
	assert_string_equal(
	    list(b, false), "INBOX. Sent.S ab. x!+ x.y.+ x.y.b. ");
	assert_true(str_eq(mailbox_name(view_mailbox(v)), STR("x.y.b")));
	assert_string_equal(box_sync(v, true), "");
	view_close(&v);
	v = box_view(b, "x.y.b", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), validity);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
}

static void
test_rename_inbox(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_open(b);
	(void)box_append(b, "INBOX", TEST_MSG, FLAG_SEEN, 1000);
	(void)box_append(b, "INBOX", TEST_MSG, FLAG_FLAGGED, 2000);
	assert_int_equal(create(b, "INBOX.Sub"), 0);
	assert_int_equal(rename_to(b, "INBOX", "old"), 0);
	v = box_view(b, "old", false);
	assert_int_equal(view_count(v), 2);
	assert_string_equal(box_flags(v, 1), "S");
	assert_string_equal(box_flags(v, 2), "F");
	view_close(&v);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 0);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 3);
	view_close(&v);
	assert_true(box_has(b, ".INBOX.Sub"));
}

static void
test_layout_fs(void **state)
{
	struct box *b = *state;
	static const char *const bad[] = {"new", "foo/cur", "a/tmp/b",
	    "dovecot-uidlist", "dovecot.index", "subscriptions", "..", "../x",
	    "a/../b", ".x", "restante-keywords", "/a"};
	struct view *v;

	b->location = "maildir:~/Maildir:LAYOUT=fs";
	box_open(b);
	assert_int_equal(store_delimiter(b->store), '/');
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (create(b, bad[i]) != ERR_BAD_NAME)
			fail_msg("%s", bad[i]);
	assert_int_equal(create(b, "a/b/c"), 0);
	assert_int_equal(create(b, "x.y"), 0);
	assert_true(box_has(b, "a/b/c/cur"));
	assert_false(box_has(b, "a/b/c/maildirfolder"));
	assert_string_equal(
	    list(b, false), "INBOX. Sent.S a-+ a/b-+ a/b/c. x.y. ");
	assert_int_equal(create(b, "a/b"), 0);
	assert_int_equal(create(b, "a/b"), ERR_EXISTS);
	assert_int_equal(box_append(b, "a/b", TEST_MSG, 0, -1), 1);
	assert_string_equal(
	    list(b, false), "INBOX. Sent.S a-+ a/b.+ a/b/c. x.y. ");
	/* With a mailbox below it, it stays as a level. */
	assert_int_equal(delete (b, "a"), ERR_HAS_CHILDREN);
	assert_int_equal(delete (b, "a/b"), 0);
	assert_string_equal(
	    list(b, false), "INBOX. Sent.S a-+ a/b-+ a/b/c. x.y. ");
	assert_int_equal(rename_to(b, "a", "n/m"), 0);
	assert_string_equal(
	    list(b, false), "INBOX. Sent.S n-+ n/m-+ n/m/b-+ n/m/b/c. x.y. ");
	v = box_view(b, "n/m/b/c", false);
	view_close(&v);
	assert_int_equal(delete (b, "n/m/b/c"), 0);
	assert_int_equal(delete (b, "n/m/b"), 0);
	assert_string_equal(list(b, false), "INBOX. Sent.S n-+ n/m- x.y. ");
}

static void
test_control_dir(void **state)
{
	struct box *b = *state;

	b->location = "maildir:~/Maildir:CONTROL=~/ctl";
	box_open(b);
	assert_int_equal(create(b, "a.b"), 0);
	assert_int_equal(box_append(b, "a.b", TEST_MSG, 0, -1), 1);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), 1);
	assert_true(box_has(b, "../ctl/dovecot-uidlist"));
	assert_true(box_has(b, "../ctl/.a.b/dovecot-uidlist"));
	assert_true(box_has(b, "../ctl/dovecot-uidvalidity"));
	assert_false(box_has(b, "dovecot-uidlist"));
	assert_false(box_has(b, ".a.b/dovecot-uidlist"));
	assert_int_equal(rename_to(b, "a.b", "c"), 0);
	assert_true(box_has(b, "../ctl/.c/dovecot-uidlist"));
	assert_int_equal(delete (b, "c"), 0);
	assert_false(box_has(b, "../ctl/.c"));
}

static void
test_inbox_elsewhere(void **state)
{
	struct box *b = *state;

	b->location = "maildir:~/Maildir:INBOX=~/in";
	box_open(b);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), 1);
	assert_int_equal(box_append(b, "Sent", TEST_MSG, 0, -1), 1);
	assert_true(box_has(b, "../in/dovecot-uidlist"));
	assert_int_equal(box_files(b, "../in/new"), 1);
	assert_int_equal(box_files(b, "new"), 0);
	assert_true(box_has(b, ".Sent/dovecot-uidlist"));
	assert_string_equal(list(b, false), "INBOX. Sent.S ");
}

static void
test_special_use_on_first_use(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	box_open(b);
	assert_string_equal(list(b, false), "INBOX. Sent.S ");
	assert_false(box_has(b, ".Sent"));
	assert_int_equal(box_append(b, "Sent", TEST_MSG, FLAG_SEEN, -1), 1);
	assert_true(box_has(b, ".Sent/cur"));
	v = box_view(b, "Drafts", false);
	view_close(&v);
	assert_int_equal(
	    now_view_open(b->store, STR("Draft"), false, &v, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(create(b, "Trash"), 0);
}

/* ---- subscriptions --------------------------------------------------------- */

static int
subscribe(struct box *b, const char *name, bool on)
{
	struct err e;

	return now_subscribe(b->store, str_of(name), on, &e) == 0 ? 0
								  : (int)e.code;
}

static void
test_w12_subscriptions(void **state)
{
	struct box *b = *state;

	box_open(b);
	assert_string_equal(list(b, true), "");
	assert_int_equal(subscribe(b, "Sent", true), 0);
	assert_int_equal(subscribe(b, "Archive.2026", true), 0);
	assert_int_equal(subscribe(b, "inbox", true), 0);
	assert_int_equal(subscribe(b, "inbox", true), 0);
	assert_int_equal(
	    subscribe(b, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", true), 0);
	assert_string_equal(box_read(b, "subscriptions"),
	    "V\t2\n\nSent\nArchive\t2026\nINBOX\n&ZeVnLIqe-\n");
	assert_string_equal(list(b, true),
	    "INBOX.s Archive.2026!s Sent.sS "
	    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e!s ");
	assert_int_equal(subscribe(b, "Archive.2026", false), 0);
	assert_int_equal(subscribe(b, "nowhere", false), 0);
	assert_string_equal(
	    box_read(b, "subscriptions"), "V\t2\n\nSent\nINBOX\n&ZeVnLIqe-\n");
	/* An older file stays what it is. */
	box_write(b, "subscriptions", "Sub.One\ninbox\nGone\n");
	assert_int_equal(subscribe(b, "Q", true), 0);
	assert_int_equal(subscribe(b, "INBOX", true), 0);
	assert_string_equal(
	    box_read(b, "subscriptions"), "Sub.One\ninbox\nGone\nQ\n");
	assert_string_equal(list(b, true), "INBOX.s Gone!s Q!s Sub.One!s ");
	assert_false(box_has(b, "subscriptions.lock"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_list_marks),
	    T(test_create_names),
	    T(test_list_tree),
	    T(test_both_spellings),
	    T(test_delete),
	    T(test_delete_while_open),
	    T(test_rename),
	    T(test_rename_inbox),
	    T(test_layout_fs),
	    T(test_control_dir),
	    T(test_inbox_elsewhere),
	    T(test_special_use_on_first_use),
	    T(test_w12_subscriptions),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
