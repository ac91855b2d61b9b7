/* SPDX-License-Identifier: ISC */
/* mbox_list_test.c - names of mbox files. */
#include <sys/syscall.h>

#include "store/location.h"
#include "tests/lib/test_store.h"

#include "store/mbox/mbox_test.h"

static bool
    below_stays; /* a folder of mailboxes below one can not be renamed */

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	if (below_stays && strstr(from, ".sbd") != NULL) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_renameat2, d1, from, d2, to, flags);
}

static bool
is_listed(struct box *b, const char *name, unsigned *attrs)
{
	struct mbox_entry *e;
	struct arena a;
	struct err err;
	bool found = false;

	arena_init(&a);
	if (now_list(b->store, false, &a, &e, &err) == -1)
		fail_msg("store_list: %s", err.text);
	for (; e != NULL && !found; e = e->next) {
		found = str_eq(e->name, str_of(name));
		*attrs = e->attrs;
	}
	arena_done(&a);
	return found;
}

/* B18 */
static void
test_list(void **state)
{
	static const struct {
		const char *name;
		bool shown;
	} all[] = {
	    {"INBOX", true},
	    {"ok", true},
	    {"inbox", false},
	    {".hidden", true},
	    {"a.lock", false},
	    {"ok.lock", false},
	    {"notmbox", true},
	    {"empty", true},
	    {"dir", true},
	    {"dir/inner", true},
	    {".imap", false},
	    {"dir/.mixmeta", false},
	    {"dir/.mix6b034d0c", false},
	    {"dir/.mixtape", true},
	    {".subscriptions", false},
	    {"ok/below", true},
	    {"ok.sbd", false},
	    {"lone.sbd", true},
	    {"uni-\xe6\x97\xa5", true},
	};
	static const char *const files[] = {"ok", "inbox", ".hidden", "a.lock",
	    "ok.lock", "notmbox", "empty", "dir/inner", ".imap/x",
	    "dir/.mixmeta", "dir/.mix6b034d0c", "dir/.mixtape",
	    ".subscriptions", "ok.sbd/below", "uni-\xe6\x97\xa5"};
	struct box *b = *state;
	unsigned attrs;
	char rel[300];

	assert_int_equal(mkdir(box_path(b, "mail/dir"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, "mail/.imap"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, "mail/ok.sbd"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, "mail/lone.sbd"), 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(rel, sizeof(rel), "mail/%s", files[i]);
		box_write(b, rel, "");
	}
	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (is_listed(b, all[i].name, &attrs) != all[i].shown)
			fail_msg("%s", all[i].name);
	assert_true(is_listed(b, "dir", &attrs));
	assert_true(attrs & MBOX_NOSELECT);
	assert_true(is_listed(b, "ok", &attrs));
	assert_true(attrs & MBOX_HAS_CHILDREN && !(attrs & MBOX_NOSELECT));
}

static void
test_folders(void **state)
{
	static const char *const good[] = {"a", "a/b", "a/b/c", "x.y *%",
	    "M\xc3\xbcll", "d/e/f", "cur", "A&B"};
	static const char *const bad[] = {"", "/x", "a//b", "../x", "x/../y",
	    "~x", "x.lock", ".imap", ".subscriptions", "inbox/.."};
	struct box *b = *state;
	struct view *v;
	unsigned attrs;
	struct err e;

	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (store_create(b->store, str_of(good[i]), &e) == -1)
			fail_msg("%s: %s", good[i], e.text);
		assert_true(is_listed(b, good[i], &attrs));
		v = box_view(b, good[i], false);
		assert_int_equal(view_count(v), 0);
		view_close(&v);
		assert_int_equal(append(b, good[i], "A: b\n\nx\n", 0, NULL), 1);
		assert_int_equal(
		    store_create(b->store, str_of(good[i]), &e), -1);
		assert_int_equal(e.code, ERR_EXISTS);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
		    store_create(b->store, str_of(bad[i]), &e), -1);
	assert_true(box_has(b, "mail/a.sbd/b.sbd/c"));
	/* With all that is below. */
	assert_int_equal(now_rename(b->store, STR("a"), STR("n/m"), &e), 0);
	assert_true(is_listed(b, "n/m/b/c", &attrs));
	assert_false(is_listed(b, "a", &attrs));
	v = box_view(b, "n/m/b", true);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
	assert_int_equal(now_rename(b->store, STR("n"), STR("d"), &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(now_delete(b->store, STR("n/m/b/c"), &e), 0);
	assert_int_equal(now_delete(b->store, STR("n/m/b"), &e), 0);
	assert_int_equal(now_delete(b->store, STR("n/m"), &e), 0);
	assert_false(is_listed(b, "n/m", &attrs));
	assert_int_equal(now_delete(b->store, STR("n/m"), &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(now_delete(b->store, STR("d"), &e), -1);
	/* Again, under another identity. */
	assert_int_equal(store_create(b->store, STR("n/m"), &e), 0);
	v = box_view(b, "n/m", true);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
}

static void
test_locations(void **state)
{
	struct box *b = *state;
	struct view *v;

	/* Without INBOX=: a file of the root. */
	b->location = "mbox:~/mail";
	box_write(b, "mail/inbox", MSG("1"));
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
	box_close(b);
	/* No root yet; INDEX and CONTROL are not ours to mind. */
	b->location = "mbox:~/fresh:INBOX=~/spool/%u:INDEX=~/x:UTF-8";
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
	assert_true(box_has(b, "fresh"));
	assert_false(box_has(b, INBOX_FILE));
}

/* A mailbox is renamed with those below it, or not at all. */
static void
test_rename_fails(void **state)
{
	struct box *b = *state;
	uint32_t validity;
	unsigned attrs;
	struct view *v, *low;
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("up"), &e), 0);
	assert_int_equal(store_create(b->store, STR("up/low"), &e), 0);
	/* Who it is, is kept beside a file that does not say it. */
	box_write(b, "mail/up.sbd/low", "");
	v = box_view(b, "up/low", true);
	validity = mailbox_uidvalidity(view_mailbox(v));
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "up", false);
	below_stays = true;
	assert_int_equal(now_rename(b->store, STR("up"), STR("new"), &e), -1);
	below_stays = false;
	assert_true(is_listed(b, "up", &attrs));
	assert_true(is_listed(b, "up/low", &attrs));
	assert_false(is_listed(b, "new", &attrs));
	low = box_view(b, "up/low", true);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(low)), validity);
	view_close(&low);
	(void)box_append(b, "up", "A: b\n\nc\n", 0, -1);
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
	assert_int_equal(now_rename(b->store, STR("up"), STR("new"), &e), 0);
	assert_true(is_listed(b, "new/low", &attrs));
	assert_false(is_listed(b, "up", &attrs));
	box_close(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_list),
	    T(test_folders),
	    T(test_rename_fails),
	    T(test_locations),
	};

	return run_all(tests, ARRAY_LEN(tests));
}
