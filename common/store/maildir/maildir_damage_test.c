/* SPDX-License-Identifier: ISC */
/* maildir_damage_test.c - damaged and odd Maildirs (compat-tests.md 3). */
#include "base/clock.h"
#include "tests/lib/fresh_box.h"

#include "store/maildir/maildir_test.h"

/* ---- damage (compat-tests.md 3) ------------------------------------------ */

static void
test_d2_no_map(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint32_t validity;

	box_msg(b, "cur/1700000000.X.h:2,F");
	box_msg(b, "new/1600000000.Y.h");
	box_msg(b, "new/1700000000.M5P1.h");
	box_msg(b, "new/1700000000.M44P1.h");
	box_open(b);
	v = box_view(b, "INBOX", false);
	validity = mailbox_uidvalidity(view_mailbox(v));
	assert_true(validity > 1600000000);
	assert_string_equal(box_flags(v, 1), "r");
	assert_string_equal(box_flags(v, 4), "Fr");
	assert_int_equal(strlen(mailbox_guid(view_mailbox(v))), 32);
	view_close(&v);
	box_close(b);
	box_unlink(b, "dovecot-uidlist");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_true(mailbox_uidvalidity(view_mailbox(v)) > validity);
	assert_int_equal(view_count(v), 4);
	view_close(&v);
}

static void
test_d2_courier_map(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "courierimapuiddb",
	    "1 795300733 5\n1 a,S=127,W=134\n2 b\n4 c\n");
	box_msg(b, "cur/a,S=127,W=134:2,S");
	box_msg(b, "cur/c:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 795300733);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 5);
	assert_int_equal(view_count(v), 2);
	assert_int_equal(view_uid(v, 2), 4);
	assert_true(box_has(b, "courierimapuiddb"));
	assert_int_equal(
	    strncmp(box_read(b, "dovecot-uidlist"), "3 V795300733 N5 G", 17),
	    0);
	view_close(&v);
}

static unsigned
count_broken(struct box *b)
{
	DIR *d = opendir(b->root);
	struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, "dovecot-uidlist.broken.", 23) == 0;
	closedir(d);
	return n;
}

static void
test_d3_d7_broken_lines(void **state)
{
	struct box *b = *state;
	static const struct {
		const char *list;
		uint32_t uidnext;
		const char *uids;
		bool is_broken;
	} cases[] = {
	    /* D3 */
	    {"3 V9 N4 G" GUID "\n2 :b\n1 :a\n3 :c\n", 4, "1 2 3 ", true},
	    /* D4 */
	    {"3 V9 N4 G" GUID "\n1 :a\n2 :b\n3 :c\n77 :", 78, "1 2 3 ", false},
	    /* D6 */
	    {"3 V9 N4 G" GUID "\n1 :a\n2 :b\n3 :c\n5 :a\n", 6, "2 3 5 ", false},
	    /* D7 */
	    {"3 V9 N4 G" GUID "\n1 :a\n2 :x/y\n3 :c\n", 5, "1 3 4 ", true},
	    {"3 V9 N4 G" GUID "\n1 :a\nrubbish\n2 :b\n3 :c\n", 4, "1 2 3 ",
		true},
	    {"3 V9 N4 G" GUID "\n1 :a\n2 :b\n2 :c\n", 5, "1 2 4 ", true},
	    {"3 V9 N4 G" GUID "\n1 :a\n2 b\n3 :c\n4294967295 :d\n", 5, "1 3 4 ",
		true},
	    /* D12 */
	    {"3 V9 N1 G" GUID "\n1 :a\n2 :b\n3 :c\n", 4, "1 2 3 ", false},
	};

	box_msg(b, "cur/a:2,");
	box_msg(b, "cur/b:2,");
	box_msg(b, "cur/c:2,");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct view *v;
		char uids[100] = "";
		const char *list;
		uint32_t next = cases[i].uidnext;

		box_write(b, "dovecot-uidlist", cases[i].list);
		box_open(b);
		v = box_view(b, "INBOX", false);
		for (uint32_t s = 1; s <= view_count(v); s++)
			(void)snprintf(
			    uids + strlen(uids), 20, "%u ", view_uid(v, s));
		if (strcmp(uids, cases[i].uids) != 0 ||
		    mailbox_uidnext(view_mailbox(v)) != next ||
		    mailbox_uidvalidity(view_mailbox(v)) != 9)
			fail_msg("case %zu: uids %s next %u: %s", i, uids,
			    mailbox_uidnext(view_mailbox(v)),
			    box_read(b, "dovecot-uidlist"));
		assert_int_equal(count_broken(b), cases[i].is_broken);
		if (cases[i].is_broken) {
			char found[300] = "";
			DIR *d = opendir(b->root);
			struct dirent *e;

			while ((e = readdir(d)) != NULL)
				if (strstr(e->d_name, ".broken.") != NULL)
					(void)snprintf(found, sizeof(found),
					    "%s", e->d_name);
			closedir(d);
			assert_string_equal(box_read(b, found), cases[i].list);
			box_unlink(b, found);
		}
		assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), next);
		list = box_read(b, "dovecot-uidlist");
		assert_int_equal(list[strlen(list) - 1], '\n');
		assert_null(strstr(list, "77 :"));
		view_close(&v);
		box_close(b);
		box_unlink(b, box_find(b, "new", ""));
	}
}

static void
test_d5_no_header(void **state)
{
	struct box *b = *state;
	static const char *const lists[] = {"3 V0 N5\n", "3 V5\n", "",
	    "\x7f\x45LF\1\2\3\n\n\n", "3\n", "9 V5 N5\n", "3 V5 N5" /* torn */};

	box_msg(b, "cur/a:2,");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct view *v;

		box_write(b, "dovecot-uidlist", lists[i]);
		box_open(b);
		v = box_view(b, "INBOX", false);
		assert_int_equal(view_count(v), 1);
		assert_true(mailbox_uidvalidity(view_mailbox(v)) > 1000);
		assert_int_equal(
		    strncmp(box_read(b, "dovecot-uidlist"), "3 V", 3), 0);
		view_close(&v);
		box_close(b);
	}
}

static void
test_d8_d9_twins(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	box_write(b, "dovecot-uidlist", "3 V5 N3 G" GUID "\n1 :x\n2 :y\n");
	box_msg(b, "cur/x:2,S");
	box_msg(b, "cur/y:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	/* D8: another file with the same base. */
	box_write(b, "cur/x:2,FT", "other\n");
	(void)utimensat(AT_FDCWD, box_path(b, "cur/x:2,S"), old, 0);
	(void)box_sync(v, true);
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(view_count(v), 3);
	assert_string_equal(box_flags(v, 1), "S");
	assert_string_equal(box_flags(v, 3), "FTr");
	/* D9: two links; too young to be touched. */
	assert_int_equal(
	    link(box_path(b, "cur/y:2,"), box_path(b, "cur/y:2,S")), 0);
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 3);
	assert_int_equal(box_files(b, "cur"), 4);
	view_close(&v);
}

static void
test_d10_odd_names(void **state)
{
	struct box *b = *state;
	struct view *v;
	const char *found;

	assert_int_equal(mkdir(box_path(b, "cur/subdir"), 0700), 0);
	box_msg(b, "cur/.hid");
	box_msg(b, "cur/with\nlf");
	box_msg(b, "new/:2,S");
	assert_int_equal(mkfifo(box_path(b, "cur/fifo"), 0700), 0);
	assert_int_equal(symlink("/etc/passwd", box_path(b, "cur/link:2,")), 0);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(view_count(v), 1);
	assert_string_equal(box_flags(v, 1), "Sr");
	assert_int_equal(box_files(b, "new"), 0);
	assert_true(box_has(b, "cur/subdir"));
	assert_true(box_has(b, "cur/with\nlf"));
	assert_true(box_has(b, "cur/.hid"));
	found = strrchr(box_read(b, "dovecot-uidlist"), ':');
	assert_true(strstr(found, ".mx1\n") != NULL);
	view_close(&v);
}

static void
test_missing_subdirs_are_made(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_dirs(b, ".Sub");
	assert_int_equal(rmdir(box_path(b, ".Sub/tmp")), 0);
	assert_int_equal(rmdir(box_path(b, ".Sub/new")), 0);
	box_open(b);
	v = box_view(b, "Sub", false);
	assert_int_equal(view_count(v), 0);
	assert_true(box_has(b, ".Sub/tmp"));
	assert_true(box_has(b, ".Sub/new"));
	view_close(&v);
}

static void
test_folder_removed_by_others(void **state)
{
	struct box *b = *state;
	struct view_sink sink = {0};
	struct view *v;
	struct err e;

	box_dirs(b, ".Sub");
	box_msg(b, ".Sub/cur/x:2,");
	box_open(b);
	v = box_view(b, "Sub", false);
	assert_int_equal(
	    file_remove_tree(AT_FDCWD, box_path(b, ".Sub"), &e), 0);
	assert_int_equal(now_view_sync(v, true, &sink, NULL, &e), -1);
	assert_int_equal(e.code, ERR_GONE);
	view_close(&v);
}

static void
open_at(struct box *b, int64_t wall_s)
{
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct view *v;

	(void)utimensat(AT_FDCWD, box_path(b, "tmp"), old, 0);
	clock_set_for_test(-1, wall_s * 1000000);
	box_open(b);
	v = box_view(b, "INBOX", false);
	view_close(&v);
	box_close(b);
	clock_set_for_test(-1, -1);
}

static void
test_d14_tmp_garbage(void **state)
{
	struct box *b = *state;
	int64_t now = clock_wall_s();
	struct timespec ts[2] = {
	    {.tv_sec = now}, {.tv_sec = now, .tv_nsec = UTIME_OMIT}};

	box_write(b, "tmp/file", "x");
	assert_int_equal(mkdir(box_path(b, "tmp/folder"), 0700), 0);
	/* 35 hours later it may still be written to, */
	open_at(b, now + 35 * 3600);
	assert_true(box_has(b, "tmp/file"));
	/* 37 hours later it is garbage; a folder is never ours. */
	open_at(b, now + 37 * 3600);
	assert_false(box_has(b, "tmp/file"));
	assert_true(box_has(b, "tmp/folder"));
	/* Not every time: only when a week has gone by. */
	box_write(b, "tmp/file", "x");
	(void)utimensat(AT_FDCWD, box_path(b, "tmp"), ts, 0);
	clock_set_for_test(-1, (now + 37 * 3600) * 1000000);
	box_open(b);
	view_close(&(struct view *){box_view(b, "INBOX", false)});
	clock_set_for_test(-1, -1);
	assert_true(box_has(b, "tmp/file"));
}

static uint32_t
status_messages(struct box *b)
{
	struct status_job *job = NULL;
	struct mailbox_status st;
	enum step step;
	struct err e;

	while ((step = store_status(
		    b->store, STR("INBOX"), false, &job, &st, &e)) == STEP_MORE)
		;
	status_job_free(&job);
	if (step != STEP_DONE)
		fail_msg("%s", e.text);
	return st.messages;
}

/* It stays known to this process, as in a server, also without a view. */
static struct mailbox *
keep_open(struct box *b)
{
	struct mailbox *m = NULL;
	enum step step;
	struct err e;

	do
		step = mailbox_acquire_or_make(b->store, STR("INBOX"), &m, &e);
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	return m;
}

/* The mailbox is still known to this process when its list goes back in time. */
static void
test_older_list_put_back(void **state)
{
	struct box *b = *state;
	struct mailbox *kept;
	struct view *v;
	char *old;

	write_m1(b);
	old = str_to_heap(str_of(box_read(b, "dovecot-uidlist")));
	box_open(b);
	kept = keep_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), 4);
	view_close(&v);
	box_unlink(b, "dovecot-uidlist");
	box_write(b, "dovecot-uidlist", old);
	free(old);
	v = box_view(b, "INBOX", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 1795300341);
	assert_int_equal(view_count(v), 4);
	assert_int_equal(view_uid(v, 3), 3);
	/* UID 4 was given once. */
	assert_int_equal(view_uid(v, 4), 5);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), 6);
	view_close(&v);
	assert_non_null(strstr(box_read(b, "dovecot-uidlist"), "\n6 "));
	mailbox_release(&kept);
}

/* Somebody numbered anew, with another UIDVALIDITY. */
static void
test_numbered_anew(void **state)
{
	struct box *b = *state;
	struct mailbox *kept;
	struct view *v, *other;

	for (int by_status = 0; by_status < 2; by_status++) {
		write_m1(b);
		box_open(b);
		kept = keep_open(b);
		v = box_view(b, "INBOX", false);
		assert_string_equal(box_flags(v, 3), "R Later");
		view_close(&v);
		box_unlink(b, "dovecot-uidlist");
		box_write(b, "dovecot-uidlist",
		    "3 V1795300999 N3 G" GUID "\n1 :" BASE3 "\n2 :" BASE1 "\n");
		if (by_status)
			assert_int_equal(status_messages(b), 3);
		v = box_view(b, "INBOX", false);
		assert_int_equal(
		    mailbox_uidvalidity(view_mailbox(v)), 1795300999);
		assert_string_equal(box_flags(v, 1), "R Later");
		assert_string_equal(box_flags(v, 2), "S");
		assert_int_equal(view_count(v), 3);
		assert_int_equal(view_uid(v, 3), 3);
		/* Who has it open is told that it is gone, the next one not. */
		box_unlink(b, "dovecot-uidlist");
		other = box_view(b, "INBOX", false);
		assert_true(
		    mailbox_uidvalidity(view_mailbox(other)) > 1795300341);
		assert_int_equal(view_count(other), 3);
		view_close(&other);
		view_close(&v);
		mailbox_release(&kept);
		box_close(b);
		box_unlink(b, "dovecot-uidlist");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_d2_no_map),
	    T(test_d2_courier_map),
	    T(test_d3_d7_broken_lines),
	    T(test_d5_no_header),
	    T(test_d8_d9_twins),
	    T(test_d10_odd_names),
	    T(test_missing_subdirs_are_made),
	    T(test_folder_removed_by_others),
	    T(test_d14_tmp_garbage),
	    T(test_older_list_put_back),
	    T(test_numbered_anew),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
