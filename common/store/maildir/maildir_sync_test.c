/* SPDX-License-Identifier: ISC */
/* maildir_sync_test.c - other programs and other sessions beside us. */
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "tests/lib/fresh_box.h"

#include "store/maildir/maildir_impl.h"
#include "store/maildir/maildir_test.h"
#include "store/object.h"

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

/* ---- the first look ------------------------------------------------------ */

/* How often a whole map was put in its place. */
static int
maps_written(int fd)
{
	char bytes[8192] __attribute__((aligned(8)));
	ssize_t n = read(fd, bytes, sizeof(bytes));
	int count = 0;

	for (char *p = bytes; n > 0 && p < bytes + n;) {
		const struct inotify_event *ev = (const void *)p;

		if (ev->len > 0 && strcmp(ev->name, "dovecot-uidlist") == 0)
			count++;
		p += sizeof(*ev) + ev->len;
	}
	return count;
}

/* The map comes into being whole, with all messages, even if there are none. */
static void
test_first_look(void **state)
{
	struct box *b = *state;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct view *v;
	int64_t save_s;
	const char *list;

	box_msg(b, "cur/1000.x:2,S");
	box_msg(b, "new/1001.y");
	assert_true(inotify_add_watch(
			fd, box_path(b, ""), IN_MOVED_TO | IN_MODIFY) > 0);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(maps_written(fd), 1);
	list = box_read(b, "dovecot-uidlist");
	assert_non_null(strstr(list, " N3 G"));
	assert_non_null(strstr(list, "\n1 :1000.x\n2 :1001.y\n"));
	assert_string_equal(box_flags(v, 1), "Sr");
	assert_string_equal(box_flags(v, 2), "r");
	assert_true(box_has(b, "cur/1001.y:2,"));
	/* They were there before anybody looked: nobody knows since when. */
	assert_false(view_save_date(v, 1, &save_s));
	assert_string_equal(box_sync(v, true), "");
	view_close(&v);
	/* Nothing to be seen, but a map. */
	box_dirs(b, ".Empty");
	assert_true(inotify_add_watch(fd, box_path(b, ".Empty"),
			IN_MOVED_TO | IN_MODIFY) > 0);
	(void)maps_written(fd);
	v = box_view(b, "Empty", true);
	assert_int_equal(maps_written(fd), 1);
	assert_non_null(strstr(box_read(b, ".Empty/dovecot-uidlist"), " N1 G"));
	assert_true(mailbox_uidvalidity(view_mailbox(v)) != 0);
	view_close(&v);
	close(fd);
}

/* Somebody else has the lock: his map, or an empty one, in the end. */
static void
test_first_look_and_a_lock(void **state)
{
	struct box *b = *state;
	struct mailbox *m = NULL;
	enum step step = STEP_MORE;
	struct err e;

	box_msg(b, "cur/1000.x:2,S");
	box_open(b);
	box_write(b, "dovecot-uidlist.lock", "1:elsewhere");
	for (int i = 0; i < 5; i++)
		assert_int_equal(
		    mailbox_acquire(b->store, STR("INBOX"), &m, &e), STEP_MORE);
	assert_false(box_has(b, "dovecot-uidlist"));
	box_write(b, "dovecot-uidlist", "3 V5 N8 G" GUID "\n7 :1000.x\n");
	box_unlink(b, "dovecot-uidlist.lock");
	for (int i = 0; i < 1000 && step == STEP_MORE; i++) {
		store_forget_wait(b->store);
		step = mailbox_acquire(b->store, STR("INBOX"), &m, &e);
	}
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(m->uidvalidity, 5);
	assert_int_equal(m->uidnext, 8);
	mailbox_release(&m);
}

/* Who goes in its midst leaves nothing; who comes then begins anew. */
static void
test_first_look_is_left(void **state)
{
	struct box *b = *state;
	struct mailbox *m = NULL;
	char name[64];
	struct view *v;
	struct err e;
	bool is_done = false;

	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "cur/%u.x:2,", 1000 + i);
		box_msg(b, name);
	}
	box_open(b);
	for (int steps = 1; !is_done; steps++) {
		enum step step = STEP_MORE;

		store_slice_ms = 0;
		for (int i = 0; i < steps && step == STEP_MORE; i++)
			step = mailbox_acquire(b->store, STR("INBOX"), &m, &e);
		assert_true(step != STEP_FAIL);
		is_done = step == STEP_DONE;
		mailbox_release(&m);
		mailbox_close_idle(b->store, true);
		assert_false(box_has(b, "dovecot-uidlist.lock"));
		store_slice_ms = 5;
		v = box_view(b, "INBOX", false);
		assert_int_equal(view_count(v), 40);
		assert_int_equal(view_uid(v, 40), 40);
		view_close(&v);
		mailbox_close_idle(b->store, true);
		if (!is_done)
			box_unlink(b, "dovecot-uidlist");
	}
}

static int64_t
arrival_at(const struct box *b, uint32_t uid)
{
	char start[32];
	const char *at;
	struct str rest;
	uint64_t s = 0;

	(void)snprintf(start, sizeof(start), "\n%u :", uid);
	at = strstr(box_read(b, "dovecot-uidlist"), start);
	assert_non_null(at);
	rest = str_of(at + strlen(start));
	assert_true(num_cut_u64(&rest, INT64_MAX, &s));
	return (int64_t)s;
}

/* Enough to be sorted by digits; `span`: of the times. */
static void
check_order(struct box *b, uint64_t first, uint64_t span)
{
	struct view *v;
	char name[80];
	uint64_t x = 1;
	int64_t last = 0;

	for (unsigned i = 0; i < 400; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407U;
		(void)snprintf(name, sizeof(name), "cur/%llu.M%uP%u.x:2,",
		    (unsigned long long)(first + (x >> 20) % span), 999 - i, i);
		box_msg(b, name);
	}
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 400);
	for (uint32_t uid = 1; uid <= 400; uid++) {
		int64_t at = arrival_at(b, uid);

		assert_true(at >= last);
		last = at;
	}
	view_close(&v);
}

static void
test_order_of_arrival(void **state)
{
	check_order(*state, 1000, 300);
}

static void
test_order_of_years(void **state)
{
	check_order(*state, 0, UINT64_C(1) << 31);
}

static void
test_order_of_ages(void **state)
{
	check_order(*state, 5, UINT64_C(1) << 40);
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
	    T(test_first_look),
	    T(test_first_look_and_a_lock),
	    T(test_first_look_is_left),
	    T(test_order_of_arrival),
	    T(test_order_of_years),
	    T(test_order_of_ages),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
