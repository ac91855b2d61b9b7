/* SPDX-License-Identifier: ISC */
/* spool_lock_test.c - the lock of an mbox, with and without a helper. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "os/spool_lock.h"

static char dir[64], box[80], lock_path[90];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/restante-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(box, sizeof(box), "%s/box", dir);
	(void)snprintf(lock_path, sizeof(lock_path), "%s.lock", box);
	return 0;
}

static int
teardown(void **state)
{
	struct err e;

	(void)state;
	spool_lock_set_helper(NULL, NULL);
	assert_int_equal(file_remove_tree(AT_FDCWD, dir, &e), 0);
	return 0;
}

static void
put_lock(const char *text, int age_s)
{
	struct timespec ts[2];
	FILE *f = fopen(lock_path, "w");

	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
	ts[0] = ts[1] = (struct timespec){.tv_sec = time(NULL) - age_s};
	assert_int_equal(utimensat(AT_FDCWD, lock_path, ts, 0), 0);
}

static void
test_direct(void **state)
{
	const struct spool_lock_options o = {.wait_ms = 1000, .create = true};
	struct spool_lock l = {0};
	int64_t retry = -1;
	struct err e;

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(spool_lock_begin(&l, box, &o, &e), 0);
		assert_int_equal(access(lock_path, F_OK), -1);
		assert_int_equal(spool_lock_step(&l, &retry, &e), LOCK_DONE);
		assert_int_equal(spool_lock_step(&l, &retry, &e), LOCK_DONE);
		assert_true(spool_lock_is_ours(&l));
		assert_int_equal(access(lock_path, F_OK), 0);
		assert_int_equal(access(box, F_OK), 0);
		spool_lock_end(&l);
		assert_int_equal(access(lock_path, F_OK), -1);
		spool_lock_end(&l);
	}
	/* Nothing else is left behind. */
	assert_int_equal(unlink(box), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
}

/* Held by another one: busy, later, and who it is when the time is over. */
static void
test_busy(void **state)
{
	const struct spool_lock_options o = {.wait_ms = 5000};
	struct spool_lock l = {0};
	int64_t now = clock_mono_ms(), retry = -1;
	struct err e;

	(void)state;
	put_lock("4711:elsewhere", 7);
	assert_int_equal(spool_lock_begin(&l, box, &o, &e), 0);
	clock_set_for_test(now, -1);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(spool_lock_step(&l, &retry, &e), LOCK_WAIT);
		assert_true(spool_lock_is_busy(&l));
		assert_false(spool_lock_is_ours(&l));
		assert_in_range(retry, 1, 1000);
	}
	clock_set_for_test(now + 6000, -1);
	assert_int_equal(spool_lock_step(&l, &retry, &e), LOCK_FAIL);
	assert_int_equal(e.code, ERR_IN_USE);
	assert_non_null(strstr(e.text, "process 4711 of host elsewhere"));
	spool_lock_end(&l);
	clock_set_for_test(-1, -1);
	/* What is not ours is not removed. */
	assert_int_equal(access(lock_path, F_OK), 0);
}

/* Steps at `ms` behind `start` until nothing is broken any more. */
static enum lock_step
step_at(struct spool_lock *l, int64_t start, int64_t ms)
{
	enum lock_step step;
	int64_t retry;
	struct err e;

	clock_set_for_test(start + ms, -1);
	step = spool_lock_step(l, &retry, &e);
	if (step == LOCK_WAIT)
		step = spool_lock_step(l, &retry, &e);
	clock_set_for_test(-1, -1);
	return step;
}

/* By age, as far as this process could see: after 300 s, not 120 s. */
static void
test_stale(void **state)
{
	static const char *const texts[] = {
	    "4711:elsewhere", "4711", "4711\n", "", "rubbish", "1:"};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(texts); i++) {
		const struct spool_lock_options o = {
		    .wait_ms = 1000000, .exclusive = i >= ARRAY_LEN(texts)};
		int64_t now = clock_mono_ms();
		struct spool_lock l = {0};
		struct err e;

		put_lock(texts[i % ARRAY_LEN(texts)], 5);
		assert_int_equal(spool_lock_begin(&l, box, &o, &e), 0);
		assert_int_equal(step_at(&l, now, 0), LOCK_WAIT);
		assert_int_equal(step_at(&l, now, 299000), LOCK_WAIT);
		assert_int_equal(step_at(&l, now, 301000), LOCK_DONE);
		spool_lock_end(&l);
	}
}

/* Its process has gone: at once; it is there: never. */
static void
test_stale_by_process(void **state)
{
	const struct spool_lock_options o = {.wait_ms = 1000000};
	int64_t now = clock_mono_ms();
	struct spool_lock l = {0};
	char text[200];
	struct err e;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)snprintf(text, sizeof(text), "%ld:%s", (long)pid, dotlock_host());
	put_lock(text, 5);
	assert_int_equal(spool_lock_take(&l, box, &o, &e), 0);
	spool_lock_end(&l);
	(void)snprintf(text, sizeof(text), "1:%s", dotlock_host());
	put_lock(text, 5);
	assert_int_equal(spool_lock_begin(&l, box, &o, &e), 0);
	assert_int_equal(step_at(&l, now, 0), LOCK_WAIT);
	assert_int_equal(step_at(&l, now, 900000), LOCK_WAIT);
	spool_lock_end(&l);
}

/* Stale for the lock, but somebody writes to the mailbox all the time. */
static void
test_stale_lock_of_a_living_file(void **state)
{
	const struct spool_lock_options o = {.wait_ms = 1000000};
	int64_t now = clock_mono_ms();
	struct spool_lock l = {0};
	struct err e;

	(void)state;
	put_lock("4711:elsewhere", 1000);
	assert_int_equal(spool_lock_begin(&l, box, &o, &e), 0);
	for (int64_t s = 0; s < 1000; s += 200) {
		FILE *f = fopen(box, "a");

		assert_non_null(f);
		(void)fputs("x", f);
		(void)fclose(f);
		assert_int_equal(step_at(&l, now, s * 1000), LOCK_WAIT);
	}
	spool_lock_end(&l);
}

static void
test_exclusive(void **state)
{
	const struct spool_lock_options o = {.exclusive = true};
	struct spool_lock a = {0}, b = {0};
	struct err e;

	(void)state;
	assert_int_equal(spool_lock_take(&a, box, &o, &e), 0);
	assert_int_equal(spool_lock_take(&b, box, &o, &e), -1);
	assert_int_equal(e.code, ERR_IN_USE);
	spool_lock_end(&a);
	assert_int_equal(spool_lock_take(&b, box, &o, &e), 0);
	spool_lock_end(&b);
}

/* ---- with a helper ---- */

struct fake {
	struct spool_helper_answer next;
	int locks, unlocks, touches, waits;
	bool create;
};

static bool
fake_serves(void *arg, const char *path)
{
	(void)arg;
	return strcmp(path, box) == 0;
}

static void
fake_lock(void *arg, bool create, struct spool_helper_answer *out)
{
	struct fake *f = arg;

	f->locks++;
	f->create = create;
	*out = f->next;
}

static void
fake_unlock(void *arg)
{
	((struct fake *)arg)->unlocks++;
}

static void
fake_touch(void *arg)
{
	((struct fake *)arg)->touches++;
}

static void
fake_wait(void *arg, int64_t ms)
{
	struct fake *f = arg;
	struct stat st;

	(void)ms;
	f->waits++;
	if (stat(lock_path, &st) == -1)
		return;
	f->next = (struct spool_helper_answer){
	    .step = LOCK_DONE, .dev = st.st_dev, .ino = st.st_ino};
}

static const struct spool_helper fake_helper = {
    fake_serves, fake_lock, fake_unlock, fake_touch, fake_wait};

/* Runs `fn` as somebody who may not write to the folder. */
static void
as_stranger(void (*fn)(void))
{
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(dir, 0755), 0);
	pid = fork();
	if (pid == 0) {
		if (setgid(20001) == -1 || setuid(20001) == -1)
			_exit(3);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define MUST(cond)                                                             \
	do {                                                                   \
		if (!(cond)) {                                                 \
			(void)fprintf(                                         \
			    stderr, "line %d: %s\n", __LINE__, #cond);         \
			_exit(1);                                              \
		}                                                              \
	} while (0)

static void
use_helper(void)
{
	const struct spool_lock_options o = {.wait_ms = 1000, .create = true};
	struct fake f = {.next = {.step = LOCK_WAIT, .retry_ms = 1}};
	struct spool_lock l = {0};
	int64_t retry, now = clock_mono_ms();
	struct err e;

	spool_lock_set_helper(&fake_helper, &f);
	MUST(spool_lock_begin(&l, box, &o, &e) == 0);
	MUST(spool_lock_step(&l, &retry, &e) == LOCK_WAIT);
	/* Its answer is on the way: nobody else has it as far as we know. */
	MUST(!spool_lock_is_busy(&l) && f.create && f.locks == 1);
	f.next.busy = true;
	(void)snprintf(f.next.holder, sizeof(f.next.holder), "process 9");
	MUST(spool_lock_step(&l, &retry, &e) == LOCK_WAIT);
	MUST(spool_lock_is_busy(&l) && f.locks == 2);
	clock_set_for_test(now + 2000, -1);
	MUST(spool_lock_step(&l, &retry, &e) == LOCK_FAIL);
	MUST(e.code == ERR_IN_USE && strstr(e.text, "process 9") != NULL);
	spool_lock_end(&l);
	MUST(f.unlocks == 1);

	clock_set_for_test(-1, -1);
	f.next = (struct spool_helper_answer){.step = LOCK_WAIT, .retry_ms = 5};
	MUST(spool_lock_take(&l, box, &o, &e) == 0);
	MUST(f.waits == 1 && spool_lock_is_ours(&l));
	spool_lock_keep(&l);
	MUST(f.touches == 0);
	clock_set_for_test(clock_mono_ms() + 11000, -1);
	spool_lock_keep(&l);
	spool_lock_keep(&l);
	MUST(f.touches == 1);
	spool_lock_end(&l);
	MUST(f.unlocks == 2);

	/* It refuses. */
	f.next = (struct spool_helper_answer){.step = LOCK_FAIL};
	err_set(&f.next.why, ERR_PERM, "not yours");
	MUST(spool_lock_take(&l, box, &o, &e) == -1);
	MUST(e.code == ERR_PERM && strcmp(e.text, "not yours") == 0);
	/* Another file of the same folder is not its business. */
	MUST(spool_lock_take(&l, "/etc/passwd", &o, &e) == -1);
	MUST(e.code == ERR_PERM && f.unlocks == 2);
	/* Without one. */
	spool_lock_set_helper(NULL, NULL);
	MUST(spool_lock_take(&l, box, &o, &e) == -1);
	MUST(e.code == ERR_PERM);
}

static void
test_helper(void **state)
{
	(void)state;
	/* Made by the helper, so to speak. */
	put_lock("1:elsewhere", 0);
	as_stranger(use_helper);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_direct),
	    T(test_busy),
	    T(test_stale),
	    T(test_stale_by_process),
	    T(test_stale_lock_of_a_living_file),
	    T(test_exclusive),
	    T(test_helper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
