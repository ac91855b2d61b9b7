/* SPDX-License-Identifier: ISC */
/*
 * mbox_waits_test.c - two processes on one mbox, of which one was stopped or
 * works for long: the other one waits in steps, and not for good.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/mbox/mbox_reading.h"
#include "store/notify.h"
#include "tests/lib/two_boxes.h"
#include "tests/lib/unread.h"

static bool no_flock;

/* NOLINTBEGIN: the name is that of the C library. */
int
flock(int fd, int op)
{
	char link[64], path[PATH_MAX] = {0};

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (no_flock && readlink(link, path, sizeof(path) - 1) > 0 &&
	    is_end_of(MBOX_TOLD, path)) {
		errno = ENOLCK;
		return -1;
	}
	return (int)syscall(SYS_flock, fd, op);
}
/* NOLINTEND */

static void
told_path(struct two *t, char out[300])
{
	char key[MBOX_KEY_BYTES];

	mbox_key(box_path(&t->b, INBOX), key);
	(void)snprintf(
	    out, 300, "%s/mbox/%s" MBOX_TOLD, t->stores[0]->state, key);
}

#define N_RENUMBERED 2000u

/* All of them, with UIDs above `below`. */
static void
write_numbered(const struct box *b, uint32_t below)
{
	FILE *f = fopen(box_path(b, INBOX), "w");

	assert_non_null(f);
	for (uint32_t i = 1; i <= N_RENUMBERED; i++) {
		(void)fprintf(f,
		    "From a@b Mon Mar  2 10:01:00 2026\nSubject: %u\n"
		    "Message-ID: <%u@x>\n",
		    i, i);
		if (i == 1)
			(void)fprintf(
			    f, "X-IMAPbase: 7 %010u\n", below + N_RENUMBERED);
		(void)fprintf(f, "X-UID: %u     \nStatus: RO\n\nbody %u\n\n",
		    below + i, i);
	}
	assert_int_equal(fclose(f), 0);
}

/* Another process has numbered many anew: they are looked for in steps. */
static void
test_many_renumbered(UNUSED void **state)
{
	const int64_t slice = store_slice_ms;
	unsigned steps = 0;
	struct two t;
	struct view *v;
	struct mailbox *m;
	enum step step;
	struct err e;

	two_begin(&t);
	write_numbered(&t.b, 0);
	v = two_view(&t, 0, false);
	m = view_mailbox(v);
	assert_int_equal(view_count(v), N_RENUMBERED);
	write_numbered(&t.b, N_RENUMBERED);
	store_slice_ms = 0;
	do {
		const struct mbox_reading *r;

		step = mbox_sync(m, SYNC_FORCE, &e);
		r = mbox_of(m)->reading;
		steps += r != NULL && r->is_scanned;
	} while (step == STEP_MORE);
	store_slice_ms = slice;
	assert_int_equal(step, STEP_DONE);
	assert_true(steps >= 2 * (N_RENUMBERED / 512) - 1);
	assert_int_equal(set32_count(&mbox_of(m)->renumbered), N_RENUMBERED);
	view_close(&v);
	two_end(&t);
}

/*
 * Another process of ours has the file locked for longer than locks are waited
 * for: who opens it waits for as long as that one gets on with its work.
 */
static void
test_long_writing(UNUSED void **state)
{
	char path[300];
	struct view *v = NULL;
	struct other_mbox o;
	struct two t;
	struct stat st;
	struct err e;
	enum step step = STEP_MORE;
	int64_t began;
	int fd;

	two_begin(&t);
	t.stores[0]->mbox_lock_timeout_s = 1;
	assert_true(other_lock(&o, box_path(&t.b, INBOX), true));
	assert_int_equal(stat(box_path(&t.b, INBOX), &st), 0);
	(void)snprintf(
	    path, sizeof(path), "%s/mbox-journal", t.stores[0]->state);
	assert_int_equal(file_make_path(path, &e), 0);
	(void)snprintf(path + strlen(path), sizeof(path) - strlen(path),
	    "/%llx.%llx", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	for (began = clock_mono_ms(); clock_mono_ms() - began < 1500;) {
		assert_int_equal(futimens(fd, NULL), 0);
		step = view_open(t.stores[0], STR("INBOX"), false, &v, &e);
		if (step != STEP_MORE)
			fail_msg("%s", e.text);
		store_pause(t.stores[0]);
	}
	/* Who gets on no more is not waited for. */
	while (step == STEP_MORE) {
		store_pause(t.stores[0]);
		step = view_open(t.stores[0], STR("INBOX"), false, &v, &e);
	}
	assert_int_equal(step, STEP_FAIL);
	assert_int_equal(e.code, ERR_IN_USE);
	close(fd);
	assert_int_equal(unlink(path), 0);
	other_unlock(&o);
	two_end(&t);
}

/*
 * A process that has the lock of what was told was stopped: nobody hangs, nor
 * gives the messages other UIDs.
 */
static void
test_told_locked(UNUSED void **state)
{
	char path[300], text[400];
	struct view *v[2] = {0};
	struct two t;
	enum step step;
	struct err e;
	int fd;

	two_begin_empty(&t);
	two_deliver(&t, TEXT("1"));
	told_path(&t, path);
	(void)snprintf(text, sizeof(text), "%s/mbox", t.stores[0]->state);
	assert_int_equal(file_make_path(text, &e), 0);
	for (unsigned i = 0; i < 2; i++) {
		/* At the first message, then when another has come. */
		fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		assert_true(fd != -1);
		assert_int_equal(flock(fd, LOCK_EX), 0);
		for (unsigned n = 0; n < 5; n++) {
			step = i == 0
			    ? view_open(
				  t.stores[0], STR("INBOX"), false, &v[0], &e)
			    : mbox_sync(view_mailbox(v[0]), SYNC_NORMAL, &e);
			assert_int_equal(step, STEP_MORE);
			store_pause(t.stores[0]);
		}
		close(fd);
		while (step == STEP_MORE) {
			step = i == 0
			    ? view_open(
				  t.stores[0], STR("INBOX"), false, &v[0], &e)
			    : mbox_sync(view_mailbox(v[0]), SYNC_NORMAL, &e);
			store_pause(t.stores[0]);
		}
		assert_int_equal(step, STEP_DONE);
		t.b.store = t.stores[0];
		(void)box_sync(v[0], true);
		assert_int_equal(view_count(v[0]), i + 1);
		assert_int_equal(view_uid(v[0], i + 1), i + 1);
		two_deliver(&t, TEXT("2"));
	}
	v[1] = two_view(&t, 1, false);
	for (uint32_t seq = 1; seq <= 2; seq++)
		assert_int_equal(view_uid(v[1], seq), seq);
	view_close(&v[0]);
	view_close(&v[1]);
	two_end(&t);
}

/* There are file systems without locks: who is alone there still opens an mbox. */
static void
test_told_no_locks(UNUSED void **state)
{
	int64_t began = clock_mono_ms();
	struct view *v;
	struct two t;

	two_begin_empty(&t);
	two_deliver(&t, TEXT("1"));
	no_flock = true;
	v = two_view(&t, 0, false);
	no_flock = false;
	assert_int_equal(view_count(v), 1);
	assert_true(clock_mono_ms() - began < 3000);
	view_close(&v);
	two_end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_many_renumbered),
	    cmocka_unit_test(test_long_writing),
	    cmocka_unit_test(test_told_locked),
	    cmocka_unit_test(test_told_no_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
