/* SPDX-License-Identifier: ISC */
/*
 * unread_test.c - what is there, and can not be read or finished just now, is
 * neither taken for missing nor written over.
 */
#include <sys/file.h>
#include <sys/wait.h>

#include "store/maildir/journal.h"
#include "store/maildir/maildir_impl.h"
#include "store/meta.h"
#include "store/modseq_floor.h"
#include "store/quota.h"
#include "store/seen.h"
#include "tests/lib/fresh_box.h"
#include "tests/lib/unread.h"
#include "text/uidl_format.h"

/* New names that nothing can get. */
static const char *no_name;
static bool no_lock;

/* NOLINTBEGIN: the names are those of the C library. */
int
linkat(int d1, const char *from, int d2, const char *to, int flags)
{
	if (no_lock && is_end_of("dovecot-uidlist.lock", to)) {
		errno = EROFS;
		return -1;
	}
	return (int)syscall(SYS_linkat, d1, from, d2, to, flags);
}

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	if (is_end_of(no_name, to)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_renameat2, d1, from, d2, to, flags);
}

int
renameat(int d1, const char *from, int d2, const char *to)
{
	return renameat2(d1, from, d2, to, 0);
}
/* NOLINTEND */

static bool no_flock;

/* NOLINTBEGIN: the name is that of the C library. */
int
flock(int fd, int op)
{
	char link[64], path[PATH_MAX] = {0};

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (no_flock && readlink(link, path, sizeof(path) - 1) > 0 &&
	    is_end_of("seen.lock", path)) {
		errno = ENOLCK;
		return -1;
	}
	return (int)syscall(SYS_flock, fd, op);
}
/* NOLINTEND */

static int
open_unread(struct box *b, struct err *e)
{
	struct view *v = NULL;
	int rc = now_view_open(b->store, STR("INBOX"), false, &v, e);

	view_close(&v);
	return rc;
}

/* ---- one's own \Seen -------------------------------------------------------- */

static int
open_state(struct box *b, const char *name)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", b->store->state, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd != -1);
	return fd;
}

static void
see(struct box *b, uint32_t uid, bool is_unread, int want)
{
	struct store head = {0}, s = {.head = &head, .state = b->home};
	struct mailbox m = {.store = &s,
	    .name = (char *)(uintptr_t) "Public/x",
	    .guid = "0123456789abcdef0123456789abcdef",
	    .uidvalidity = 7};
	struct err e;
	int rc;

	set32_init(&m.live);
	no_open = is_unread ? m.guid : NULL;
	seen_open(&m);
	assert_true(seen_change(&m, uid, true));
	/* Others who have its lock are waited for. */
	do
		rc = seen_save_now(&m, &e);
	while (rc == -1 && e.code == ERR_IN_USE);
	assert_int_equal(rc, want);
	no_open = NULL;
	seen_close(&m);
	set32_done(&m.live);
}

static void
test_seen(void **state)
{
	struct box *b = *state;
	const char *file = "../seen-0123456789abcdef0123456789abcdef";

	see(b, 3, false, 0);
	assert_string_equal(box_read(b, file), "restante-seen 1 7\n3\n");
	/* When it can be read again, both are there. */
	see(b, 5, true, -1);
	assert_string_equal(box_read(b, file), "restante-seen 1 7\n3,5\n");
	/* There are file systems without locks. */
	no_flock = true;
	see(b, 4, false, 0);
	no_flock = false;
	assert_string_equal(box_read(b, file), "restante-seen 1 7\n3:5\n");
	/* So many would be looked at one by one for minutes. */
	box_write(b, file, "restante-seen 1 7\n1:4294967295\n");
	see(b, 6, true, -1);
	/* No file of ours: one begins anew. */
	box_write(b, file, "nonsense\n");
	see(b, 5, false, 0);
	assert_string_equal(box_read(b, file), "restante-seen 1 7\n5\n");
}

/* What another process of the viewer writes meanwhile stays there. */
static void
test_seen_by_two(void **state)
{
	struct box *b = *state;
	const char *file = "../seen-0123456789abcdef0123456789abcdef";
	int status, fd;
	pid_t pid;

	fd = open(
	    box_path(b, "../seen.lock"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	pid = fork();
	if (pid == 0) {
		close(fd); /* else the lock would be the child's, too */
		see(b, 3, false, 0);
		_exit(0);
	}
	/* Without the lock it has written by now, but for a slow machine. */
	for (int i = 0; i < 20 && !box_has(b, file); i++)
		(void)usleep(5000);
	box_write(b, file, "restante-seen 1 7\n9\n");
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(box_read(b, file), "restante-seen 1 7\n3,9\n");
}

/* A process that was stopped has the lock: nobody hangs for good. */
static void
test_locked_for_good(void **state)
{
	struct box *b = *state;
	struct store head = {0}, s = {.head = &head, .state = b->home};
	struct mailbox m = {.store = &s,
	    .name = (char *)(uintptr_t) "Public/x",
	    .guid = "0123456789abcdef0123456789abcdef",
	    .uidvalidity = 7};
	uint64_t first;
	struct err e;
	int fd[2];

	box_open(b);
	first = modseq_next(b->store, 0);
	box_close(b);
	box_open(b);
	fd[0] = open(
	    box_path(b, "../seen.lock"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	fd[1] = open_state(b, "modseq");
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(flock(fd[i], LOCK_EX), 0);
	assert_true(modseq_next(b->store, 0) > first);
	set32_init(&m.live);
	seen_open(&m);
	assert_true(seen_change(&m, 3, true));
	assert_int_equal(seen_save(&m, &e), STEP_MORE);
	assert_int_equal(seen_save_now(&m, &e), -1);
	assert_int_equal(e.code, ERR_IN_USE);
	for (unsigned i = 0; i < 2; i++)
		close(fd[i]);
	assert_int_equal(seen_save(&m, &e), STEP_DONE);
	assert_true(modseq_next(b->store, 0) > first);
	seen_close(&m);
	set32_done(&m.live);
}

/* ---- journals ---------------------------------------------------------------- */

#define HALF "1700000000.M1P1.h,S=127"

static void
write_journal(struct box *b)
{
	struct buf t;

	buf_init(&t, 4096);
	journal_begin(&t, STR("boot"));
	(void)buf_add_c(&t, "+c/" HALF "/" HALF ":2,S\n");
	assert_true(journal_end(&t));
	(void)buf_add_byte(&t, '\0');
	box_write(b, JOURNAL_FILE, t.p);
	buf_done(&t);
	box_msg(b, "tmp/" HALF);
}

static int
append_two(struct box *b, struct err *e)
{
	struct flag_wish w = {0};
	struct set32 uids;
	struct append *a;
	uint32_t validity;
	int rc;

	set32_init(&uids);
	assert_int_equal(now_append_begin(b->store, STR("INBOX"), &a, e), 0);
	for (int i = 0; i < 2; i++)
		if (append_message(a, &w, 5000, sizeof(TEST_MSG) - 1, e) ==
			-1 ||
		    append_data(a, STR(TEST_MSG), e) == -1)
			fail_msg("%s", e->text);
	rc = now_append_commit(a, &validity, &uids, e);
	append_free(&a);
	set32_done(&uids);
	return rc;
}

/* What a killed MULTIAPPEND has left is not lost to the next one. */
static void
test_journal_is_kept(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	write_journal(b);
	no_name = HALF ":2,S";
	box_open(b);
	assert_int_equal(append_two(b, &e), -1);
	assert_true(box_has(b, JOURNAL_FILE));
	assert_int_equal(box_files(b, "cur") + box_files(b, "new"), 0);
	no_name = NULL;
	assert_int_equal(append_two(b, &e), 0);
	assert_false(box_has(b, JOURNAL_FILE));
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 3);
	view_close(&v);
	box_close(b);
	/* What can be none is no reason to refuse for ever. */
	box_open(b);
	assert_int_equal(mkdir(box_path(b, JOURNAL_FILE), 0700), 0);
	assert_int_equal(append_two(b, &e), 0);
	assert_int_equal(symlink("loop", box_path(b, "loop")), 0);
	assert_int_equal(symlink("loop", box_path(b, JOURNAL_FILE)), 0);
	assert_int_equal(append_two(b, &e), 0);
	assert_int_equal(mkfifo(box_path(b, JOURNAL_FILE), 0600), 0);
	assert_int_equal(append_two(b, &e), 0);
	assert_false(box_has(b, JOURNAL_FILE));
}

/* Who may not write leaves it, and does not look through all for it each time. */
static void
test_journal_of_others(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_msg(b, "cur/1600000000.X.h:2,");
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
	box_close(b);
	write_journal(b);
	no_lock = true;
	box_open(b);
	v = box_view(b, "INBOX", true);
	(void)box_sync(v, true);
	(void)box_sync(v, true);
	n_read = 0;
	(void)box_sync(v, true);
	no_lock = false;
	assert_int_equal(n_read, 0);
	assert_true(box_has(b, JOURNAL_FILE));
	view_close(&v);
}

/* ---- Courier's files ----------------------------------------------------------- */

static void
test_courier_uids(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	box_write(b, "courierimapuiddb", "1 795300733 9\n8 a\n");
	box_write(b, "courierpop3dsizelist", "/3 5 77\na:2,S 134 2:77:0\n");
	box_msg(b, "cur/a:2,S");
	box_open(b);
	no_open = "courierimapuiddb";
	assert_int_equal(open_unread(b, &e), -1);
	assert_false(box_has(b, "dovecot-uidlist"));
	no_open = "courierpop3dsizelist";
	assert_int_equal(open_unread(b, &e), -1);
	assert_false(box_has(b, "dovecot-uidlist"));
	no_open = NULL;
	v = box_view(b, "INBOX", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 795300733);
	assert_non_null(strstr(box_read(b, "dovecot-uidlist"), "8 PUID2-77 "));
	view_close(&v);
}

static void
write_keywords(struct box *b)
{
	box_write(b, "courierimapuiddb", "1 795300733 9\n7 a\n8 b\n");
	box_write(b, "courierimapkeywords/:list", "one\n\na:0\nb:0\n");
	box_write(b, "courierimapkeywords/a", "two\n");
}

/* POP3 ids that can not be read for a moment are not others then. */
static void
test_courier_pop3(void **state)
{
	struct box *b = *state;
	struct arena a;
	struct view *v;
	struct msg *msg;
	struct str uidl;
	uint32_t order;
	struct err e;

	arena_init(&a);
	box_write(b, "courierpop3dsizelist", "/3 5 77\na:2,S 134 2:77:0\n");
	box_msg(b, "cur/a:2,S");
	box_open(b);
	v = box_view(b, "INBOX", false);
	box_msg(b, "cur/b:2,S");
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 2);
	for (unsigned i = 0; i < 2; i++) {
		int rc;

		no_open = i == 0 ? "courierpop3dsizelist" : NULL;
		assert_int_equal(msg_open(v, view_uid(v, 2), &msg, &e), 0);
		rc = msg_pop3_uidl(
		    msg, UIDL_FORMAT_DEFAULT, &a, &uidl, &order, &e);
		msg_close(&msg);
		assert_int_equal(rc, i == 0 ? -1 : 0);
	}
	assert_true(str_eq(uidl, STR("UID5-77")));
	view_close(&v);
	arena_done(&a);
}

static void
test_courier_keywords(void **state)
{
	static const char *const unread[] = {
	    ":list", "courierimapkeywords/a", "courierimapkeywords", "/a"};
	struct box *b = *state;
	struct view *v;

	b->courier = "yes";
	assert_int_equal(mkdir(box_path(b, "courierimapkeywords"), 0700), 0);
	box_msg(b, "cur/a:2,S");
	box_msg(b, "cur/b:2,S");
	for (size_t i = 0; i < ARRAY_LEN(unread); i++) {
		write_keywords(b);
		box_open(b);
		no_open = i == 1 || i == 3 ? "a" : unread[i];
		v = box_view(b, "INBOX", false);
		(void)box_sync(v, true);
		view_close(&v);
		box_close(b);
		/* Nothing that was not read is gone. */
		assert_non_null(strstr(
		    box_read(b, "courierimapkeywords/:list"), "\nb:0\n"));
		no_open = NULL;
		box_open(b);
		v = box_view(b, "INBOX", false);
		(void)box_sync(v, true);
		assert_string_equal(box_flags(v, 7), "S two");
		assert_string_equal(box_flags(v, 8), "S one");
		view_close(&v);
		box_close(b);
	}
}

/* Courier has given UIDs since: they are not given to others meanwhile. */
static void
test_courier_later(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	b->courier = "yes";
	box_write(b, "courierimapuiddb", "1 795300733 9\n7 a\n");
	box_msg(b, "cur/a:2,S");
	box_open(b);
	v = box_view(b, "INBOX", false);
	view_close(&v);
	box_close(b);
	box_write(b, "courierimapuiddb", "1 795300733 20\n7 a\n15 b\n");
	box_msg(b, "cur/b:2,S");
	box_open(b);
	no_open = "courierimapuiddb";
	assert_int_equal(open_unread(b, &e), -1);
	assert_non_null(strstr(box_read(b, "courierimapuiddb"), "15 b\n"));
	no_open = NULL;
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_uid(v, 2), 15);
	view_close(&v);
}

/* ---- the quota ------------------------------------------------------------------- */

static void
test_quota(void **state)
{
	struct box *b = *state;
	struct err e;
	enum step step;

	b->quota = "1000S";
	box_dirs(b, ".Sent");
	box_write(b, ".Sent/cur/1.a.b,S=900:2,", TEST_MSG);
	box_open(b);
	no_open = ".Sent/cur";
	while ((step = store_quota_may_add(
		    b->store, STR("INBOX"), 500, 1, &e)) == STEP_MORE)
		;
	assert_int_equal(step, STEP_FAIL);
	assert_int_equal(e.code, ERR_SYS);
	assert_false(box_has(b, "maildirsize"));
	no_open = NULL;
	while ((step = store_quota_may_add(
		    b->store, STR("INBOX"), 500, 1, &e)) == STEP_MORE)
		;
	assert_int_equal(step, STEP_FAIL);
	assert_int_equal(e.code, ERR_OVER_QUOTA);
}

/* Limits that stood in the file are not forgotten when it can not be read. */
static void
test_quota_limits(void **state)
{
	struct box *b = *state;
	struct err e;
	enum step step;

	box_write(b, "cur/1.a.b,S=900:2,", TEST_MSG);
	box_write(b, "maildirsize", "1000S\n900 1\n");
	box_open(b);
	for (unsigned i = 0; i < 2; i++) {
		while ((step = store_quota_may_add(
			    b->store, STR("INBOX"), 500, 1, &e)) == STEP_MORE)
			;
		assert_int_equal(step, STEP_FAIL);
		assert_int_equal(e.code, ERR_OVER_QUOTA);
		no_open = "maildirsize";
	}
	no_open = NULL;
}

/* ---- special uses ------------------------------------------------------------------ */

static bool
has_use(struct box *b, const char *name)
{
	struct meta_use *u;
	struct arena a;
	bool found = false;

	arena_init(&a);
	for (u = meta_uses(b->store, &a); u != NULL; u = u->next)
		found = found || str_eq(u->name, str_of(name));
	arena_done(&a);
	return found;
}

/* Killed when the folder has its new name and the list has not. */
static void
test_special_use(void **state)
{
	const struct meta_entry one = {
	    .name = STR("/private/specialuse"), .value = STR("\\Sent")};
	const struct meta_entry other = {
	    .name = STR("/private/specialuse"), .value = STR("\\Junk")};
	struct box *b = *state;
	struct lock_wait wait = {0};
	struct meta_job job = {0};
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("Old"), &e), 0);
	assert_int_equal(
	    meta_change(b->store, &job, STR("Old"), &one, NULL, &e), STEP_DONE);
	assert_true(has_use(b, "Old"));
	/* Told before, as the folder is renamed. */
	assert_int_equal(
	    meta_renaming(b->store, STR("Old"), STR("New"), &wait, &e),
	    STEP_DONE);
	assert_true(has_use(b, "Old"));
	box_move(b, ".Old", ".New");
	box_close(b);
	box_open(b);
	assert_true(has_use(b, "New"));
	assert_false(has_use(b, "Old"));
	/* The whole of it, and one that fails: nothing is left over. */
	assert_int_equal(now_rename(b->store, STR("New"), STR("Third"), &e), 0);
	assert_true(has_use(b, "Third"));
	assert_int_equal(store_create(b->store, STR("Taken"), &e), 0);
	assert_int_equal(
	    now_rename(b->store, STR("Third"), STR("Taken"), &e), -1);
	assert_string_equal(box_read(b, "restante-special"),
	    "restante-special 1\nOld\nThird\n");
	/* One whose use can not be read just then keeps its place. */
	job = (struct meta_job){0};
	assert_int_equal(
	    meta_change(b->store, &job, STR("Taken"), &other, NULL, &e),
	    STEP_DONE);
	no_open = "restante-private";
	assert_int_equal(
	    now_rename(b->store, STR("Third"), STR("Taken"), &e), -1);
	no_open = NULL;
	assert_true(has_use(b, "Taken"));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_seen),
	    T(test_seen_by_two),
	    T(test_locked_for_good),
	    T(test_journal_is_kept),
	    T(test_journal_of_others),
	    T(test_courier_uids),
	    T(test_courier_pop3),
	    T(test_courier_keywords),
	    T(test_courier_later),
	    T(test_quota),
	    T(test_quota_limits),
	    T(test_special_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
