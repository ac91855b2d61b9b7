/* SPDX-License-Identifier: ISC */
/*
 * maildir_copy_test.c - copies: linked to their place, or by way of tmp/, or
 * byte by byte, as file systems and other programs allow it.
 */
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/lib/fresh_box.h"
#include "store/maildir/maildir_test.h"

#define OTHER "this is not the first message\n"

/* Folders made durable since the last link, or since somebody looked. */
static unsigned n_dir_syncs;

int
fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		n_dir_syncs++;
	return (int)syscall(SYS_fsync, fd);
}

/* The n-th link of messages from now on fails so, and all behind it. */
static int link_errno;
static unsigned links_left, links_made;

int
linkat(int d1, const char *from, int d2, const char *to, int flags)
{
	/* Locks are links, too. */
	if (strstr(to, ".lock") == NULL) {
		n_dir_syncs = 0;
		if (link_errno != 0 && links_left == 0) {
			errno = link_errno;
			return -1;
		}
		links_left -= links_left > 0;
		links_made++;
	}
	return (int)syscall(SYS_linkat, d1, from, d2, to, flags);
}

/* Of files that go from one mailbox to another one fails, once. */
static int move_errno;
static unsigned moves_left, moves_made;

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	/* With all parts of its name: not from tmp/. */
	if (d1 != d2 && strstr(from, ":2,") != NULL) {
		if (move_errno != 0 && moves_left == 0) {
			errno = move_errno;
			move_errno = 0;
			return -1;
		}
		moves_left -= moves_left > 0;
		moves_made++;
	}
	return (int)syscall(SYS_renameat2, d1, from, d2, to, flags);
}

static int
begin(void **state)
{
	struct box *b;

	link_errno = 0;
	links_left = links_made = 0;
	move_errno = 0;
	moves_left = moves_made = 0;
	store_slice_ms = 0;
	(void)setup(state);
	b = *state;
	write_m1(b);
	box_write(b, "cur/" BASE2 ":2,Fab", OTHER);
	box_dirs(b, ".There");
	box_open(b);
	return 0;
}

static void
refuse_links(unsigned after, int error)
{
	link_errno = error;
	links_left = after;
	links_made = 0;
}

/* `between` is called once, when nothing was placed yet but all is staged. */
static int
copy_all(struct box *b, struct view *v, bool move, struct copy_result *r,
    void (*between)(struct box *), struct err *e)
{
	struct set32 all = box_set(1, 3);
	struct copy_job *job = NULL;
	unsigned steps = 0;
	enum step step;

	*r = (struct copy_result){0};
	while ((step = view_copy(v, &all, STR("There"), move, &job, r, e)) ==
	    STEP_MORE) {
		/* A step for each message, one when there are no more. */
		if (box_files(b, ".There/cur") + box_files(b, ".There/new") ==
			0 &&
		    between != NULL && ++steps == 5)
			between(b);
		store_pause(b->store);
	}
	copy_job_free(&job);
	set32_done(&all);
	assert_int_equal(box_files(b, "tmp"), 0);
	assert_int_equal(box_files(b, ".There/tmp"), 0);
	return step == STEP_DONE ? 0 : -1;
}

static void
result_done(struct copy_result *r)
{
	set32_done(&r->from);
	set32_done(&r->to);
}

/* All three are in There, with their bytes, flags and keywords. */
static void
check_copies(struct box *b)
{
	struct view *v = box_view(b, "There", true);

	assert_int_equal(view_count(v), 3);
	assert_string_equal(box_flags(v, 1), "S");
	assert_string_equal(box_flags(v, 2), "F $Label1 NonJunk");
	assert_string_equal(box_flags(v, 3), "R Later");
	view_close(&v);
	assert_string_equal(
	    box_read(b, box_find(b, ".There/cur", "1795300341.M945")),
	    TEST_MSG);
}

static void
check_links(struct box *b, struct view *v, unsigned after, int error)
{
	struct copy_result r;
	struct err e;

	refuse_links(after, error);
	if (copy_all(b, v, false, &r, NULL, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(set32_count(&r.from), 3);
	assert_int_equal(set32_count(&r.to), 3);
	result_done(&r);
}

static void
test_direct(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);

	check_links(b, v, 0, 0);
	assert_int_equal(links_made, 3);
	check_copies(b);
	assert_int_equal(view_count(v), 3);
	view_close(&v);
}

/* One message can not be linked: that one is read and written. */
static void
test_one_without_link(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);
	struct view *there;

	check_links(b, v, 1, EMLINK);
	there = box_view(b, "There", true);
	assert_int_equal(view_count(there), 3);
	assert_string_equal(box_flags(there, 2), "F $Label1 NonJunk");
	view_close(&there);
	assert_int_equal(box_files(b, ".There/cur"), 3);
	view_close(&v);
}

static void
test_no_links(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);
	struct view *there;
	struct msg *msg;
	uint64_t size;
	struct err e;

	check_links(b, v, 0, EXDEV);
	assert_int_equal(links_made, 0);
	there = box_view(b, "There", true);
	assert_int_equal(view_count(there), 3);
	assert_string_equal(box_flags(there, 3), "R Later");
	assert_int_equal(msg_open(there, 2, &msg, &e), 0);
	assert_int_equal(msg_wire_size(msg, &size, &e), 0);
	assert_int_equal(size, strlen(OTHER) + 1);
	msg_close(&msg);
	view_close(&there);
	view_close(&v);
}

static void
remove_second(struct box *b)
{
	assert_int_equal(links_made, 0);
	box_unlink(b, "cur/" BASE2 ":2,Fab");
}

/* RFC 6851: what is gone is not moved; the others are, and are named. */
static void
test_move_without_gone(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);
	struct copy_result r;
	struct err e;

	if (copy_all(b, v, true, &r, remove_second, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(set32_count(&r.from), 2);
	assert_true(set32_has(&r.from, 1) && set32_has(&r.from, 3));
	assert_int_equal(set32_count(&r.to), 2);
	assert_true(set32_has(&r.to, 1) && set32_has(&r.to, 2));
	result_done(&r);
	assert_int_equal(box_files(b, "cur"), 0);
	assert_int_equal(box_files(b, ".There/cur"), 2);
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
}

/* What moves is renamed, and linked where that can not be done. */
static void
test_move(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);
	struct copy_result r;
	struct err e;

	move_errno = EXDEV;
	moves_left = 2;
	if (copy_all(b, v, true, &r, NULL, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(set32_count(&r.to), 3);
	result_done(&r);
	assert_int_equal(moves_made, 2);
	assert_int_equal(links_made, 1);
	assert_int_equal(box_files(b, "cur"), 0);
	check_copies(b);
	assert_string_equal(box_sync(v, true), "x3 x2 x1 ");
	view_close(&v);
}

/* It fails in its middle: all are where they were, with their UIDs. */
static void
test_move_given_back(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);
	struct copy_result r;
	struct err e;

	refuse_links(0, ENOSPC);
	move_errno = ENOSPC;
	moves_left = 2;
	assert_int_equal(copy_all(b, v, true, &r, NULL, &e), -1);
	assert_int_equal(e.code, ERR_NO_SPACE);
	result_done(&r);
	assert_int_equal(moves_made, 4);
	assert_int_equal(box_files(b, "cur"), 3);
	assert_int_equal(
	    box_files(b, ".There/cur") + box_files(b, ".There/new"), 0);
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(view_count(v), 3);
	assert_string_equal(box_flags(v, 2), "F $Label1 NonJunk");
	/* And nothing of it is left over. */
	link_errno = 0;
	if (copy_all(b, v, true, &r, NULL, &e) == -1)
		fail_msg("%s", e.text);
	result_done(&r);
	assert_int_equal(box_files(b, "cur"), 0);
	check_copies(b);
	view_close(&v);
}

/*
 * What is taken back is so after a power cut, too, when the client is told that
 * nothing was done.
 */
static void
test_taken_back_for_good(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);
	struct copy_result r;
	struct err e;

	refuse_links(2, ENOSPC);
	assert_int_equal(copy_all(b, v, false, &r, NULL, &e), -1);
	result_done(&r);
	assert_int_equal(links_made, 2);
	assert_int_equal(
	    box_files(b, ".There/cur") + box_files(b, ".There/new"), 0);
	assert_int_not_equal(n_dir_syncs, 0);
	assert_false(box_has(b, ".There/restante-journal"));
	view_close(&v);
}

/* RFC 2180 section 4.4: a COPY is of all messages, or of none. */
static void
test_copy_of_gone(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);
	struct copy_result r;
	struct err e;

	assert_int_equal(copy_all(b, v, false, &r, remove_second, &e), -1);
	assert_int_equal(e.code, ERR_GONE);
	result_done(&r);
	assert_int_equal(box_files(b, ".There/cur"), 0);
	assert_int_equal(box_files(b, ".There/new"), 0);
	view_close(&v);
}

static void
rename_second(struct box *b)
{
	box_move(b, "cur/" BASE2 ":2,Fab", "cur/" BASE2 ":2,FSab");
}

static void
test_copy_of_renamed(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false);
	struct copy_result r;
	struct err e;

	if (copy_all(b, v, false, &r, rename_second, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(set32_count(&r.to), 3);
	result_done(&r);
	check_copies(b);
	view_close(&v);
}

/*
 * Before each step of a COPY somebody touches the map, in spite of the lock, and
 * renames a message, so that another session reads the map in the middle of it.
 */
static void
test_map_is_read_meanwhile(void **state)
{
	struct box *b = *state;
	struct view *v = box_view(b, "INBOX", false), *there;
	struct set32 all = box_set(1, 3);
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	const struct timespec times[2] = {
	    {.tv_sec = 1800000000}, {.tv_sec = 1800000000}};
	unsigned steps = 0;
	struct err e;
	char from[300];

	assert_int_equal(box_append(b, "There", OTHER, FLAG_SEEN, -1), 1);
	there = box_view(b, "There", false);
	(void)snprintf(from, sizeof(from), "%s", box_find(b, ".There/cur", ""));
	while (view_copy(v, &all, STR("There"), false, &job, &r, &e) ==
	    STEP_MORE) {
		struct timespec now[2] = {times[0], times[1]};
		struct msg *msg;
		char to[300];
		uint64_t size;

		now[1].tv_sec += ++steps;
		assert_int_equal(
		    utimensat(AT_FDCWD, box_path(b, ".There/dovecot-uidlist"),
			now, 0),
		    0);
		(void)snprintf(to, sizeof(to), "%.*s:2,%s",
		    (int)strcspn(from, ":"), from, steps % 2 ? "FS" : "S");
		box_move(b, from, to);
		memcpy(from, to, sizeof(from));
		assert_int_equal(msg_open(there, 1, &msg, &e), 0);
		assert_int_equal(msg_size(msg, &size, &e), 0);
		msg_close(&msg);
	}
	assert_int_equal(set32_count(&r.to), 3);
	copy_job_free(&job);
	result_done(&r);
	set32_done(&all);
	(void)box_sync(there, true);
	assert_int_equal(view_count(there), 4);
	for (uint32_t uid = 2; uid <= 4; uid++)
		assert_string_not_equal(box_flags(there, uid), "gone");
	view_close(&there);
	view_close(&v);
}

#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, begin, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_direct),
	    T(test_one_without_link),
	    T(test_no_links),
	    T(test_move_without_gone),
	    T(test_move),
	    T(test_move_given_back),
	    T(test_taken_back_for_good),
	    T(test_copy_of_gone),
	    T(test_copy_of_renamed),
	    T(test_map_is_read_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
