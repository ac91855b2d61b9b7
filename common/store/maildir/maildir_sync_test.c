/* SPDX-License-Identifier: ISC */
/* maildir_sync_test.c - other programs and other sessions beside us. */
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/lib/fresh_box.h"

#include "store/maildir/maildir_impl.h"
#include "store/maildir/maildir_test.h"

/* ---- another program beside us ------------------------------------------- */

static void
test_w1_w4_changes_from_outside(void **state)
{
	struct box *b = *state;
	struct view *v, *w;
	FILE *f;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	w = box_view(b, "INBOX", true);
	/* W1 */
	box_move(b, "cur/" BASE1 ":2,S", "cur/" BASE1 ":2,FS");
	box_move(b, "cur/" BASE3 ":2,Rc", "cur/" BASE3 ":2,Rac");
	assert_string_equal(box_sync(v, true), "f1 f3 ");
	assert_string_equal(box_flags(v, 1), "FS");
	assert_string_equal(box_flags(v, 3), "R $Label1 Later");
	/* W2 */
	box_msg(b, "new/1795300400.M1P1.mx1");
	f = fopen(box_path(b, "dovecot-uidlist"), "a");
	fputs("4 :1795300400.M1P1.mx1\n", f);
	fclose(f);
	assert_string_equal(box_sync(v, true), "e4 r1 ");
	assert_string_equal(box_flags(v, 4), "r");
	assert_true(box_has(b, "cur/1795300400.M1P1.mx1:2,"));
	/* W3 */
	box_msg(b, "cur/1795300401.M1P1.mx1:2,");
	f = fopen(box_path(b, "dovecot-uidlist"), "a");
	fputs("9 :1795300401.M1P1.mx1\n", f);
	fclose(f);
	assert_string_equal(box_sync(v, true), "e5 r1 ");
	assert_int_equal(view_uid(v, 5), 9);
	assert_string_equal(box_flags(v, 9), "");
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 10);
	/* W4 */
	box_unlink(b, "cur/" BASE2 ":2,Fab");
	assert_string_equal(box_sync(v, false), "");
	assert_string_equal(box_flags(v, 2), "F $Label1 NonJunk");
	assert_int_equal(view_count(v), 5);
	assert_true(view_has_news(v));
	assert_string_equal(box_sync(v, true), "x2 ");
	assert_string_equal(box_flags(v, 2), "gone");
	assert_int_equal(view_count(v), 4);
	/* The other session learns all at once. */
	assert_string_equal(box_sync(w, true), "x2 e4 r0 f1 f2 ");
	assert_string_equal(box_sync(w, true), "");
	/* W7 */
	box_msg(b, "cur/1700000000.X.h:2,F");
	box_msg(b, "new/1600000000.Y.h");
	assert_string_equal(box_sync(v, true), "e6 r3 ");
	assert_string_equal(box_flags(v, 10), "r");
	assert_string_equal(box_flags(v, 11), "Fr");
	view_close(&v);
	view_close(&w);
}

static void
test_two_views(void **state)
{
	struct box *b = *state;
	struct view *v, *w;
	struct set32 none;
	uint32_t at = 0;
	struct err e;

	set32_init(&none);
	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	w = box_view(b, "INBOX", false);
	assert_int_equal(
	    box_store(v, 1, 3, STORE_ADD, FLAG_DELETED, "new", &e), 0);
	assert_string_equal(box_sync(v, true), "k0 ");
	assert_string_equal(box_sync(w, true), "k0 f1 f2 f3 ");
	assert_int_equal(
	    box_store(w, 2, 2, STORE_REMOVE, FLAG_DELETED, NULL, &e), 0);
	assert_string_equal(box_flags(v, 2), "F $Label1 NonJunk new");
	while (view_expunge(v, NULL, &at, &e) == STEP_MORE)
		continue;
	assert_string_equal(box_sync(w, true), "x3 x1 ");
	assert_string_equal(box_sync(v, true), "x3 x1 f1 ");
	assert_int_equal(box_files(b, "cur"), 1);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, FLAG_SEEN, 1000), 4);
	assert_string_equal(box_sync(w, true), "e2 r0 ");
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, 1000), 5);
	assert_string_equal(box_sync(v, true), "e3 r1 ");
	assert_string_equal(box_sync(w, true), "e3 r0 ");
	assert_string_equal(box_flags(v, 5), "r");
	assert_string_equal(box_flags(w, 5), "");
	view_close(&v);
	view_close(&w);
}

static void
test_store_finds_a_renamed_file(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct err e;
	uint64_t size;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	box_move(b, "cur/" BASE1 ":2,S", "cur/" BASE1 ":2,RS");
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	assert_true(box_has(b, "cur/" BASE1 ":2,FRS"));
	/* Told, for the client knows nothing of the R. */
	assert_string_equal(box_sync(v, true), "f1 ");
	box_move(b, "cur/" BASE1 ":2,FRS", "new/" BASE1);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(msg_size(m, &size, &e), 0);
	msg_close(&m);
	assert_string_equal(box_flags(v, 1), "");
	box_unlink(b, "cur/" BASE2 ":2,Fab");
	assert_int_equal(msg_open(v, 2, &m, &e), 0);
	assert_int_equal(msg_size(m, &size, &e), -1);
	assert_int_equal(e.code, ERR_GONE);
	msg_close(&m);
	assert_int_equal(box_store(v, 2, 2, STORE_ADD, FLAG_SEEN, NULL, &e), 0);
	assert_string_equal(box_sync(v, true), "x2 f1 ");
	view_close(&v);
}

static void
test_d15_restored_file_gets_a_new_uid(void **state)
{
	struct box *b = *state;
	struct view *v;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	box_move(b, "cur/" BASE2 ":2,Fab", "away");
	assert_string_equal(box_sync(v, true), "x2 ");
	box_move(b, "away", "cur/" BASE2 ":2,Fab");
	assert_string_equal(box_sync(v, true), "e3 r1 ");
	assert_int_equal(view_uid(v, 3), 4);
	assert_string_equal(box_flags(v, 4), "Fr $Label1 NonJunk");
	assert_null(strstr(box_read(b, "dovecot-uidlist"), "\n2 :"));
	assert_non_null(
	    strstr(box_read(b, "dovecot-uidlist"), "\n4 :" BASE2 "\n"));
	view_close(&v);
}

/* A new map may get the inode number of the one we have read, and be longer. */
static void
test_another_map_with_the_same_inode(void **state)
{
	struct box *b = *state;
	struct view *v;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	box_write(b, "dovecot-uidlist",
	    "3 V1795300341 N9 G" GUID "\n1 :" BASE1 "\n3 :" BASE3
	    "\n5 :an-old-one,S=127,W=134\n6 :another-one,S=127,W=134\n");
	box_msg(b, "new/1795300500.M1P1.mx1");
	/* UID 2 was taken from the map: its file has a new UID now. */
	assert_string_equal(box_sync(v, true), "x2 e4 r2 ");
	assert_int_equal(view_uid(v, 3), 9);
	assert_int_equal(view_uid(v, 4), 10);
	assert_string_equal(box_flags(v, 9), "Fr $Label1 NonJunk");
	view_close(&v);
}

/* Rights that are not applied are not given: a folder of somebody else. */
static void
test_acl_of_others(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	if (geteuid() != 0)
		skip();
	box_dirs(b, ".Theirs");
	box_msg(b, ".Theirs/cur/x:2,S");
	box_write(b, ".Theirs/dovecot-acl", "owner lrwstipekxa\nanyone l\n");
	box_dirs(b, ".Mine");
	box_write(b, ".Mine/dovecot-acl", "user=bob lr\n");
	assert_int_equal(chown(box_path(b, ".Theirs"), 20001, 20001), 0);
	box_open(b);
	assert_int_equal(
	    now_view_open(b->store, STR("Theirs"), true, &v, &e), -1);
	assert_int_equal(e.code, ERR_PERM);
	assert_int_equal(now_delete(b->store, STR("Theirs"), &e), -1);
	assert_int_equal(e.code, ERR_PERM);
	assert_int_equal(
	    now_rename(b->store, STR("Theirs"), STR("New"), &e), -1);
	assert_int_equal(e.code, ERR_PERM);
	assert_true(box_has(b, ".Theirs/cur/x:2,S"));
	/* For the owner it has no effect. */
	v = box_view(b, "Mine", false);
	view_close(&v);
	assert_int_equal(unlink(box_path(b, ".Theirs/dovecot-acl")), 0);
	v = box_view(b, "Theirs", true);
	view_close(&v);
}

/* The mailbox can be read and nothing else (D13). */
static void
test_d13_read_only(void **state)
{
	struct box *b = *state;
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	write_m1(b);
	box_msg(b, "new/1795300500.M1P1.mx1");
	box_dirs(b, ".plain");
	box_msg(b, ".plain/cur/x:2,S");
	assert_int_equal(chmod(b->home, 0755), 0);
	assert_int_equal(chmod(b->root, 0755), 0);
	assert_int_equal(chmod(box_path(b, "cur"), 0755), 0);
	assert_int_equal(chmod(box_path(b, "new"), 0755), 0);
	assert_int_equal(chmod(box_path(b, ".plain"), 0755), 0);
	assert_int_equal(chmod(box_path(b, ".plain/cur"), 0755), 0);
	assert_int_equal(chmod(box_path(b, ".plain/new"), 0755), 0);
	pid = fork();
	if (pid == 0) {
		struct view *v;
		struct err e;
		struct append *a;

		if (setgid(20001) == -1 || setuid(20001) == -1)
			_exit(3);
		box_open(b);
		v = box_view(b, "INBOX", false);
		assert_true(view_is_read_only(v));
		/* What has no UID can not be given one. */
		assert_int_equal(view_count(v), 3);
		assert_int_equal(
		    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), -1);
		assert_int_equal(e.code, ERR_READ_ONLY);
		assert_int_equal(
		    now_append_begin(b->store, STR("INBOX"), &a, &e), -1);
		assert_int_equal(e.code, ERR_READ_ONLY);
		view_close(&v);
		v = box_view(b, "plain", false);
		assert_int_equal(view_count(v), 1);
		assert_string_equal(box_flags(v, 1), "Sr");
		assert_string_equal(box_sync(v, true), "");
		view_close(&v);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_examine_changes_nothing(void **state)
{
	struct box *b = *state;
	struct view *v, *w;
	struct mailbox_status st;
	struct err e;

	write_m1(b);
	box_msg(b, "new/1795300400.M1P1.mx1");
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_recent(v), 1);
	assert_string_equal(box_flags(v, 4), "r");
	assert_true(box_has(b, "new/1795300400.M1P1.mx1"));
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), -1);
	assert_int_equal(e.code, ERR_READ_ONLY);
	assert_int_equal(now_status(b->store, STR("inbox"), true, &st, &e), 0);
	assert_int_equal(st.messages, 4);
	assert_int_equal(st.recent, 1);
	assert_int_equal(st.unseen, 3);
	assert_int_equal(st.uidnext, 5);
	assert_int_equal(st.size, 4 * 134);
	assert_string_equal(st.mailbox_id, GUID);
	w = box_view(b, "INBOX", false);
	assert_int_equal(view_recent(w), 1);
	assert_true(box_has(b, "cur/1795300400.M1P1.mx1:2,"));
	view_close(&w);
	w = box_view(b, "INBOX", false);
	assert_int_equal(view_recent(w), 0);
	view_close(&w);
	view_close(&v);
}

/* ---- when nothing happens ------------------------------------------------- */

static bool
is_quiet(struct view *v)
{
	return maildir_is_quiet(view_mailbox(v));
}

/* Syncs until one finds nothing; false: there is always something. */
static bool
calm_down(struct view *v)
{
	for (int i = 0; i < 5 && !is_quiet(v); i++)
		(void)box_sync(v, true);
	return is_quiet(v);
}

static void
append_line(struct box *b, const char *name, const char *line)
{
	FILE *f = fopen(box_path(b, name), "a");

	assert_non_null(f);
	assert_true(fputs(line, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A sync below watches looks at nothing, and misses nothing all the same. */
static void
test_quiet(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_false(is_quiet(v)); /* not worth a watch yet */
	assert_true(calm_down(v));
	assert_string_equal(box_sync(v, true), "");
	assert_false(view_has_news(v));
	assert_true(is_quiet(v));
	/* Files that are no business of ours. */
	box_write(b, "dovecot.index.log", "x");
	box_write(b, "dovecot-uidlist.lock", "");
	box_unlink(b, "dovecot-uidlist.lock");
	assert_string_equal(box_sync(v, true), "");
	assert_true(is_quiet(v));
	/* Flags, a delivery, an expunge. */
	box_move(b, "cur/" BASE1 ":2,S", "cur/" BASE1 ":2,FS");
	assert_true(view_has_news(v));
	assert_string_equal(box_sync(v, true), "f1 ");
	assert_true(calm_down(v));
	box_msg(b, "new/1795300400.M1P1.mx1");
	assert_string_equal(box_sync(v, true), "e4 r1 ");
	assert_true(calm_down(v));
	box_unlink(b, "cur/" BASE2 ":2,Fab");
	assert_string_equal(box_sync(v, true), "x2 ");
	assert_true(calm_down(v));
	/* The map alone, appended to and replaced; a keyword gets a name. */
	append_line(b, "dovecot-uidlist", "77 :1795300500.M1P1.mx1\n");
	(void)box_sync(v, true);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 78);
	assert_true(calm_down(v));
	box_write(b, "other", box_read(b, "dovecot-uidlist"));
	append_line(b, "other", "88 :1795300501.M1P1.mx1\n");
	box_move(b, "other", "dovecot-uidlist");
	(void)box_sync(v, true);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 89);
	assert_true(calm_down(v));
	append_line(b, "dovecot-keywords", "9 Nine\n");
	assert_string_equal(box_sync(v, true), "k0 ");
	assert_true(calm_down(v));
	append_line(b, "restante-keywords", "1\nk 30 Thirty\n");
	(void)box_sync(v, true);
	assert_true(mailbox_keyword_name(view_mailbox(v), 30).n == 6);
	assert_true(calm_down(v));
	/* Our own changes are known. */
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_ANSWERED, NULL, &e), 0);
	assert_string_equal(box_sync(v, true), "");
	assert_true(is_quiet(v));
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), 89);
	assert_string_equal(box_sync(v, true), "e4 r2 ");
	assert_true(calm_down(v));
	/* One of its directories has another name for a moment. */
	assert_int_equal(rename(box_path(b, "cur"), box_path(b, "rest")), 0);
	(void)view_has_news(v);
	assert_false(is_quiet(v));
	assert_int_equal(rename(box_path(b, "rest"), box_path(b, "cur")), 0);
	view_close(&v);
}

/* Events that are lost, and watches that are: then all is looked at. */
static void
test_quiet_no_more(void **state)
{
	struct box *b = *state;
	struct maildir *md;
	struct view *v;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_true(calm_down(v));
	md = maildir_of(view_mailbox(v));
	watch_remove(&md->watch_home);
	assert_false(is_quiet(v));
	append_line(b, "dovecot-uidlist", "77 :1795300500.M1P1.mx1\n");
	(void)box_sync(v, true);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 78);
	assert_true(calm_down(v));
	watch_remove(&md->watch_cur);
	assert_false(is_quiet(v));
	box_move(b, "cur/" BASE1 ":2,S", "cur/" BASE1 ":2,FS");
	assert_string_equal(box_sync(v, true), "f1 ");
	assert_true(calm_down(v));
	/* What was begun and left is done again. */
	maildir_abandon(view_mailbox(v));
	md->must_scan = true;
	assert_false(is_quiet(v));
	assert_true(calm_down(v));
	view_close(&v);
}

/* Sets a flag of all, some at a time; `between` is called once. */
static void
store_all(struct box *b, struct view *v, enum store_op op,
    void (*between)(struct box *, struct view *))
{
	struct flag_wish w = {.system = FLAG_FLAGGED};
	struct set32 all = box_set(1, UINT32_MAX);
	uint32_t at = 0;
	unsigned steps = 0;
	struct err e;

	while (view_store(v, &all, op, &w, true, &at, NULL, &e) == STEP_MORE)
		if (++steps == 5)
			between(b, v);
	assert_true(steps > 5);
	set32_done(&all);
}

static void
deliver_deaf(struct box *b, struct view *v)
{
	assert_true(maildir_of(view_mailbox(v))->is_deaf);
	assert_null(maildir_of(view_mailbox(v))->watch_cur);
	box_write(b, "new/1795300700.M1P1.mx1", TEST_MSG);
	box_move(b, "cur/1795300600.M300P1.mx1:2,", "gone");
}

static void
deliver_heard(struct box *b, struct view *v)
{
	assert_false(maildir_of(view_mailbox(v))->is_deaf);
	box_write(b, "new/1795300700.M2P1.mx1", TEST_MSG);
}

/* Events of many changes of ours are not asked for: what others do meanwhile is
 * found all the same, and events come again. */
static void
test_deaf(void **state)
{
	struct box *b = *state;
	struct maildir *md;
	struct view *v, *w;
	char name[64];

	for (unsigned i = 1; i <= 300; i++) {
		(void)snprintf(
		    name, sizeof(name), "cur/1795300600.M%uP1.mx1:2,", i);
		box_write(b, name, TEST_MSG);
	}
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_true(calm_down(v));
	md = maildir_of(view_mailbox(v));
	store_slice_ms = 0;
	store_all(b, v, STORE_ADD, deliver_deaf);
	assert_false(md->is_deaf);
	assert_true(
	    watch_is_live(md->watch_new) && watch_is_live(md->watch_cur));
	store_slice_ms = 5;
	assert_string_equal(box_sync(v, true), "x300 e300 r300 ");
	assert_true(calm_down(v));
	/* Two who listen. */
	w = box_view(b, "INBOX", false);
	(void)box_sync(w, true);
	store_slice_ms = 0;
	store_all(b, v, STORE_REMOVE, deliver_heard);
	store_slice_ms = 5;
	(void)box_sync(w, true);
	assert_int_equal(view_count(w), 301);
	view_close(&w);
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_w1_w4_changes_from_outside),
	    T(test_two_views),
	    T(test_store_finds_a_renamed_file),
	    T(test_d15_restored_file_gets_a_new_uid),
	    T(test_another_map_with_the_same_inode),
	    T(test_acl_of_others),
	    T(test_d13_read_only),
	    T(test_examine_changes_nothing),
	    T(test_quiet),
	    T(test_quiet_no_more),
	    T(test_deaf),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
