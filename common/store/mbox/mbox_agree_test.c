/* SPDX-License-Identifier: ISC */
/*
 * mbox_agree_test.c - two who number the messages of one file: an UID that one
 * has told its clients is of no other message for the other, whatever becomes
 * of the file where it stands meanwhile.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/lib/two_boxes.h"

#define TOLD_VALIDITY_AT 20 /* formats.md 7.8 */

/* An UID that a client has heard of is of no other message, for anybody. */
static void
check_told_uid(bool read_only)
{
	struct two t;
	struct view *v[2];

	two_begin(&t);
	two_deliver(&t, TEXT("1"));
	v[0] = two_view(&t, 0, read_only);
	assert_int_equal(view_uid(v[0], 1), 1);
	two_remove_body(&t, "body 1\n");
	two_deliver(&t, TEXT("2"));
	v[1] = two_view(&t, 1, false);
	assert_int_equal(view_count(v[1]), 1);
	assert_int_equal(view_uid(v[1], 1), 2);
	view_close(&v[0]);
	view_close(&v[1]);
	two_end(&t);
}

static void
test_told_uid(UNUSED void **state)
{
	check_told_uid(false);
}

static void
test_told_uid_read_only(UNUSED void **state)
{
	check_told_uid(true);
}

/* One in the middle, which somebody has put before an older one. */
static void
test_told_uid_in_the_middle(UNUSED void **state)
{
	struct two t;
	struct view *v[2];

	two_begin(&t);
	for (unsigned i = 0; i < 3; i++)
		two_deliver(&t,
		    i == 0       ? TEXT("1")
			: i == 1 ? TEXT("2")
				 : TEXT("3"));
	v[0] = two_view(&t, 0, false);
	two_swap(&t, 1);
	/* 2, 1, 3 in the file: the second is given 4, the third 5. */
	v[1] = two_view(&t, 1, false);
	assert_int_equal(view_uid(v[1], 3), 5);
	two_deliver(&t, TEXT("4"));
	t.b.store = t.stores[0];
	assert_int_equal(box_append(&t.b, "INBOX", TEXT("5"), 0, -1), 7);
	view_close(&v[0]);
	view_close(&v[1]);
	two_end(&t);
}

/* Moved away and back by another process, between two looks of ours. */
static void
test_back_again(UNUSED void **state)
{
	struct two t;
	struct view *v[2];
	struct set32 uids = box_set(1, 1);
	uint32_t at = 0;
	enum step step;
	struct err e;

	two_begin(&t);
	two_deliver(&t, TEXT("1"));
	v[0] = two_view(&t, 0, false);
	v[1] = two_view(&t, 1, false);
	assert_int_equal(
	    box_store(v[0], 1, 1, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	do
		step = view_expunge(v[0], &uids, &at, &e);
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	t.b.store = t.stores[0];
	assert_int_equal(box_append(&t.b, "INBOX", TEXT("1"), 0, -1), 2);
	assert_string_equal(box_sync(v[1], true), "x1 e1 r1 ");
	assert_int_equal(view_uid(v[1], 1), 2);
	set32_done(&uids);
	view_close(&v[0]);
	view_close(&v[1]);
	two_end(&t);
}

/*
 * Two who begin at the same time with a large file, which does not say its UIDs
 * yet: what one has told is of no other message for the other.
 */
static void
test_both_begin(UNUSED void **state)
{
	struct two t;
	struct view *v[2] = {0};
	enum step step;
	struct err e;
	int64_t slice = store_slice_ms;

	two_begin_empty(&t);
	for (unsigned i = 0; i < 40; i++)
		two_deliver(&t, TEXT("1")); /* more than a step reads */
	store_slice_ms = 0;
	assert_int_equal(
	    view_open(t.stores[1], STR("INBOX"), false, &v[1], &e), STEP_MORE);
	v[0] = two_view(&t, 0, false);
	while ((step = view_open(
		    t.stores[1], STR("INBOX"), false, &v[1], &e)) == STEP_MORE)
		store_pause(t.stores[1]);
	assert_int_equal(step, STEP_DONE);
	store_slice_ms = slice;
	two_deliver(&t, TEXT("3"));
	(void)box_sync(v[0], true);
	assert_int_equal(view_count(v[0]), 41);
	two_remove_body(&t, "body 3\n");
	two_deliver(&t, TEXT("4"));
	(void)box_sync(v[1], true);
	assert_int_equal(view_count(v[1]), 41);
	/* One identity, not one of the same second by chance. */
	assert_int_equal(
	    view_mailbox(v[0])->uidvalidity, view_mailbox(v[1])->uidvalidity);
	for (uint32_t seq = 1; seq <= 40; seq++) {
		assert_int_equal(view_uid(v[0], seq), seq);
		assert_int_equal(view_uid(v[1], seq), seq);
	}
	assert_int_not_equal(view_uid(v[0], 41), view_uid(v[1], 41));
	view_close(&v[0]);
	view_close(&v[1]);
	two_end(&t);
}

static void
told_path(struct two *t, char out[300])
{
	char key[MBOX_KEY_BYTES];

	mbox_key(box_path(&t->b, INBOX), key);
	(void)snprintf(
	    out, 300, "%s/mbox/%s" MBOX_TOLD, t->stores[0]->state, key);
}

static bool
has_told(struct two *t)
{
	char path[300];

	told_path(t, path);
	return access(path, F_OK) == 0;
}

/* The same with one who comes later, when more have been told. */
static void
test_later_beside(UNUSED void **state)
{
	struct two t;
	struct view *v[2];
	struct err e;

	two_begin_empty(&t);
	two_deliver(&t, TEXT("1"));
	v[0] = two_view(&t, 0, false);
	two_deliver(&t, TEXT("2"));
	two_deliver(&t, TEXT("3"));
	(void)box_sync(v[0], true);
	assert_int_equal(view_uid(v[0], 3), 3);
	v[1] = two_view(&t, 1, false);
	assert_int_equal(
	    view_mailbox(v[0])->uidvalidity, view_mailbox(v[1])->uidvalidity);
	for (uint32_t seq = 1; seq <= 3; seq++)
		assert_int_equal(view_uid(v[1], seq), seq);
	/* It is removed by either; the other knows it by the same UID. */
	assert_int_equal(two_remove_uid(v[1], 2, &e), STEP_DONE);
	(void)box_sync(v[0], true);
	assert_int_equal(view_count(v[0]), 2);
	assert_int_equal(view_uid(v[0], 2), 3);
	assert_int_equal(two_remove_uid(v[0], 3, &e), STEP_DONE);
	(void)box_sync(v[1], true);
	assert_int_equal(view_count(v[1]), 1);
	assert_non_null(strstr(box_read(&t.b, INBOX), "X-UID: 1"));
	assert_false(has_told(&t));
	view_close(&v[0]);
	view_close(&v[1]);
	two_end(&t);
}

/*
 * What has come is numbered by both, and some of it has gone before the other
 * looks, or another program has put it elsewhere.
 */
static void
test_later_mail(UNUSED void **state)
{
	struct mailbox *m;
	struct two t;
	struct view *v[3];

	two_begin_empty(&t);
	two_deliver(&t, TEXT("1"));
	two_deliver(&t, TEXT("2"));
	v[0] = two_view(&t, 0, false);
	v[1] = two_view(&t, 1, false);
	two_deliver(&t, TEXT("3"));
	two_deliver(&t, TEXT("4"));
	(void)box_sync(v[0], true);
	assert_int_equal(view_uid(v[0], 4), 4);
	two_remove_body(&t, "body 3\n");
	two_deliver(&t, TEXT("5"));
	(void)box_sync(v[1], true);
	assert_int_equal(view_uid(v[1], 3), 4);
	assert_int_equal(view_uid(v[1], 4), 5);
	(void)box_sync(v[0], true);
	assert_int_equal(view_uid(v[0], 4), 5);
	/* 2 before 1, for one who knows nothing yet. */
	two_swap(&t, 0);
	box_open(&t.b);
	v[2] = box_view(&t.b, "INBOX", false);
	for (uint32_t seq = 1; seq <= 4; seq++)
		assert_int_equal(view_uid(v[2], seq), seq + (seq > 2));
	m = view_mailbox(v[2]);
	assert_true(mbox_slot_of(m, mailbox_rec(m, 2))->off <
	    mbox_slot_of(m, mailbox_rec(m, 1))->off);
	view_close(&v[2]);
	store_close(&t.b.store);
	view_close(&v[0]);
	view_close(&v[1]);
	two_end(&t);
}

static void
spoil(const char *path, off_t at, char by)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char bytes[3] = {0};

	assert_true(fd != -1);
	assert_true(pread(fd, bytes, sizeof(bytes), at) != -1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(bytes[i] ^ by);
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), at), sizeof(bytes));
	close(fd);
}

/* Bytes of the file of what was told decide nothing but large numbers. */
static void
test_told_damaged(UNUSED void **state)
{
	struct two t;
	struct view *v[2];

	for (size_t n = 0; n < 200; n++) {
		struct mailbox *m;
		char path[300];

		two_begin_empty(&t);
		two_deliver(&t, TEXT("1"));
		two_deliver(&t, TEXT("2"));
		v[0] = two_view(&t, 0, false);
		assert_true(has_told(&t));
		told_path(&t, path);
		if (n < 60)
			assert_int_equal(truncate(path, (off_t)n * 2), 0);
		else
			spoil(path, (off_t)n - 60, n % 2 ? 0x5a : (char)0xa5);
		v[1] = two_view(&t, 1, false);
		assert_int_equal(view_count(v[1]), 2);
		assert_true(view_uid(v[1], 1) < view_uid(v[1], 2));
		/* There are enough left. */
		assert_true(view_uid(v[1], 2) < UINT32_MAX / 2 + 3);
		/* No UID of another message. */
		m = view_mailbox(v[1]);
		for (uint32_t uid = 1; uid <= 2; uid++) {
			struct msg_rec *rec = mailbox_rec(m, uid);

			if (rec != NULL)
				assert_true((mbox_slot_of(m, rec)->off == 0) ==
				    (uid == 1));
		}
		view_close(&v[0]);
		view_close(&v[1]);
		two_end(&t);
	}
}

/* What was told under another UIDVALIDITY says nothing of this one. */
static void
test_told_before_validity(UNUSED void **state)
{
	struct two t;
	struct view *v[2];
	char path[300];

	for (unsigned spoiled = 0; spoiled < 2; spoiled++) {
		two_begin_empty(&t);
		two_deliver(&t, TEXT("1"));
		two_deliver(&t, TEXT("2"));
		v[0] = two_view(&t, 0, false);
		assert_int_equal(view_uid(v[0], 2), 2);
		told_path(&t, path);
		if (spoiled)
			spoil(path, TOLD_VALIDITY_AT, 0x5a);
		two_remove_body(&t, "body 1\n");
		v[1] = two_view(&t, 1, false);
		assert_int_equal(view_count(v[1]), 1);
		assert_true((view_uid(v[1], 1) == 2) == !spoiled);
		view_close(&v[0]);
		view_close(&v[1]);
		two_end(&t);
	}
}

/* While another process tells, nobody numbers beside it. */
static void
test_told_under_lock(UNUSED void **state)
{
	static const uint32_t entry[3] = {9, 1, 1}; /* of some other content */
	struct two t;
	struct view *v[2];
	struct stat st, now;
	char path[300];
	int fd, status;
	pid_t pid;

	two_begin_empty(&t);
	two_deliver(&t, TEXT("1"));
	two_deliver(&t, TEXT("2"));
	v[0] = two_view(&t, 0, false);
	two_deliver(&t, TEXT("3"));
	told_path(&t, path);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd != -1);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(fstat(fd, &st), 0);
	pid = fork();
	if (pid == 0) {
		close(fd); /* else the lock would be the child's, too */
		v[1] = two_view(&t, 1, false);
		_exit(view_count(v[1]) == 3 ? (int)view_uid(v[1], 3) : 1);
	}
	/* Without the lock it has told by now, but for a slow machine. */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fstat(fd, &now), 0);
		if (now.st_size != st.st_size)
			break;
		(void)usleep(5000);
	}
	assert_int_equal(write(fd, entry, sizeof(entry)), sizeof(entry));
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 10);
	view_close(&v[0]);
	two_end(&t);
}

/* It is the user's own, who may have put anything there. */
static void
make_odd(const char *path, unsigned kind)
{
	assert_int_equal(unlink(path), 0);
	switch (kind) {
	case 0:
		assert_int_equal(mkfifo(path, 0600), 0);
		break;
	case 1:
		assert_int_equal(symlink("/dev/zero", path), 0);
		break;
	case 2:
		assert_int_equal(mkdir(path, 0700), 0);
		break;
	default:
		close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
		assert_int_equal(truncate(path, (off_t)1 << 40), 0);
	}
}

static void
test_told_odd(UNUSED void **state)
{
	struct two t;
	struct view *v[2];

	for (unsigned kind = 0; kind < 4; kind++) {
		char path[300];

		two_begin_empty(&t);
		two_deliver(&t, TEXT("1"));
		two_deliver(&t, TEXT("2"));
		v[0] = two_view(&t, 0, false);
		told_path(&t, path);
		make_odd(path, kind);
		v[1] = two_view(&t, 1, false);
		assert_int_equal(view_count(v[1]), 2);
		assert_true(view_uid(v[1], 1) < view_uid(v[1], 2));
		view_close(&v[0]);
		view_close(&v[1]);
		if (kind == 2)
			(void)rmdir(path);
		two_end(&t);
	}
}

/* Where no UID is left, none is given twice. */
static void
test_no_uid_left(UNUSED void **state)
{
	char path[300], text[3 * PATH_MAX];
	struct view *v = NULL;
	struct two t;
	struct err e;
	enum step step;
	int fd, n;

	two_begin_empty(&t);
	two_deliver(&t, TEXT("1"));
	told_path(&t, path);
	(void)snprintf(text, sizeof(text), "%s/mbox", t.stores[0]->state);
	assert_int_equal(file_make_path(text, &e), 0);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(ftruncate(fd, 200), 0);
	close(fd);
	path[strlen(path) - strlen(MBOX_TOLD)] = '\0';
	n = snprintf(text, sizeof(text),
	    "restante-mbox 1\nuidvalidity 1795300494\nuidnext %u\n"
	    "guid 0123456789abcdef0123456789abcdef\ninode 1\npath %s\n",
	    UINT32_MAX - 1, box_path(&t.b, INBOX));
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, (size_t)n), n);
	close(fd);
	while ((step = view_open(t.stores[0], STR("INBOX"), false, &v, &e)) ==
	    STEP_MORE)
		store_pause(t.stores[0]);
	assert_int_equal(step, STEP_FAIL);
	assert_int_equal(e.code, ERR_LIMIT);
	two_end(&t);
}

/* Begun anew while it is long, it says what it said of all that are there. */
static void
test_told_anew(UNUSED void **state)
{
	struct two t;
	struct view *v[2];
	char text[60], body[20];

	for (uint32_t first = 1; first <= 7; first += 6) {
		two_begin_empty(&t);
		mbox_tuning.told_spare = 0;
		for (uint32_t i = 1; i <= 7; i++) {
			(void)snprintf(text, sizeof(text),
			    "Subject: %u\n\nbody %u\n", i, i);
			two_deliver(&t, text);
		}
		v[0] = two_view(&t, 0, false);
		/* At its end alone, then all of it. */
		for (uint32_t i = 1; i < first; i++) {
			(void)snprintf(body, sizeof(body), "body %u\n", i);
			two_remove_body(&t, body);
		}
		two_deliver(&t, TEXT("8"));
		(void)box_sync(v[0], true);
		v[1] = two_view(&t, 1, false);
		for (uint32_t i = 0; i < 2; i++) {
			assert_int_equal(view_count(v[i]), 9 - first);
			for (uint32_t seq = 1; seq <= 9 - first; seq++)
				assert_int_equal(
				    view_uid(v[i], seq), first + seq - 1);
		}
		view_close(&v[0]);
		view_close(&v[1]);
		two_end(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_told_uid),
	    cmocka_unit_test(test_told_uid_read_only),
	    cmocka_unit_test(test_told_uid_in_the_middle),
	    cmocka_unit_test(test_back_again),
	    cmocka_unit_test(test_both_begin),
	    cmocka_unit_test(test_later_beside),
	    cmocka_unit_test(test_later_mail),
	    cmocka_unit_test(test_told_damaged),
	    cmocka_unit_test(test_told_before_validity),
	    cmocka_unit_test(test_told_under_lock),
	    cmocka_unit_test(test_told_odd),
	    cmocka_unit_test(test_no_uid_left),
	    cmocka_unit_test(test_told_anew),
	};

	log_set_level(LOG_LEVEL_FATAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
