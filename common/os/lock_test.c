/* SPDX-License-Identifier: ISC */
/* lock_test.c - who may break whose lock, and when (compat-tests.md L1, L2). */
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
#include "os/lock.h"

static char dir[64];
static int dirfd_;

static int
setup(void **state)
{
	struct err e;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/restante-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	dirfd_ = file_open_dir(AT_FDCWD, dir, false, &e);
	assert_true(dirfd_ != -1);
	return 0;
}

static int
teardown(void **state)
{
	struct err e;

	(void)state;
	close(dirfd_);
	assert_int_equal(file_remove_tree(AT_FDCWD, dir, &e), 0);
	return 0;
}

static const struct dotlock_rules rules = {
    .stale_s = 120,
    .mode = 0600,
    .temp_dir = -1,
};

/* A lock of somebody else, `age_s` seconds old. */
static void
put_lock(const char *text, int age_s)
{
	struct timespec ts[2];
	char path[100];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/box.lock", dir);
	(void)unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
	ts[0] = ts[1] = (struct timespec){.tv_sec = time(NULL) - age_s};
	assert_int_equal(utimensat(AT_FDCWD, path, ts, 0), 0);
}

static int
try_for(int64_t ms)
{
	struct dotlock l = {0};
	struct err e;

	/* Without waiting a stale one is removed by the first attempt. */
	if (dotlock_take(&l, dirfd_, "box", &rules, ms, &e) == -1 &&
	    (ms > 0 || dotlock_take(&l, dirfd_, "box", &rules, 0, &e) == -1))
		return (int)e.code;
	assert_true(dotlock_is_ours(&l));
	dotlock_release(&l);
	return 0;
}

static pid_t
dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void
test_take_and_release(void **state)
{
	struct dotlock a = {0}, b = {0};
	struct err e;
	struct buf text;
	char want[200];

	(void)state;
	assert_int_equal(dotlock_take(&a, dirfd_, "box", &rules, 0, &e), 0);
	buf_init(&text, 1000);
	assert_int_equal(file_load(dirfd_, "box.lock", &text, NULL, &e), 0);
	(void)snprintf(
	    want, sizeof(want), "%ld:%s", (long)getpid(), dotlock_host());
	assert_true(str_eq(buf_str(&text), str_of(want)));
	buf_done(&text);
	assert_int_equal(dotlock_take(&b, dirfd_, "box", &rules, 0, &e), -1);
	assert_int_equal(e.code, ERR_IN_USE);
	assert_int_equal(dotlock_take(&b, dirfd_, "box", &rules, 50, &e), -1);
	dotlock_release(&a);
	assert_int_equal(faccessat(dirfd_, "box.lock", F_OK, 0), -1);
	assert_int_equal(dotlock_take(&b, dirfd_, "box", &rules, 0, &e), 0);
	dotlock_release(&b);
	dotlock_release(&b);
}

static void
test_broken_lock_is_not_removed(void **state)
{
	struct dotlock a = {0};
	struct err e;

	(void)state;
	assert_int_equal(dotlock_take(&a, dirfd_, "box", &rules, 0, &e), 0);
	/* Somebody broke it and took it. */
	put_lock("1:elsewhere", 0);
	assert_false(dotlock_is_ours(&a));
	dotlock_release(&a);
	assert_int_equal(faccessat(dirfd_, "box.lock", F_OK, 0), 0);
}

static void
test_stale_rules(void **state)
{
	char dead[200], alive[200], foreign[200], own[200];
	const struct {
		const char *text;
		int age_s;
		bool breaks;
	} cases[] = {
	    {dead, 10, true},
	    {dead, 1, false}, /* too young to be asked */
	    {alive, 10, false},
	    {alive, 100000, false}, /* never by age */
	    {own, 0, true}, /* of an earlier process like us */
	    {foreign, 10, false},
	    {foreign, 100, false},
	    {"", 10, false},
	    {"rubbish", 10, false},
	};

	(void)state;
	(void)snprintf(
	    dead, sizeof(dead), "%ld:%s", (long)dead_pid(), dotlock_host());
	(void)snprintf(alive, sizeof(alive), "1:%s", dotlock_host());
	(void)snprintf(foreign, sizeof(foreign), "%ld:elsewhere.example",
	    (long)dead_pid());
	(void)snprintf(
	    own, sizeof(own), "%ld:%s", (long)getpid(), dotlock_host());
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int rc;

		put_lock(cases[i].text, cases[i].age_s);
		rc = try_for(0);
		/* One attempt breaks it, the next takes it. */
		if (rc != (cases[i].breaks ? 0 : (int)ERR_IN_USE))
			fail_msg("case %zu: %d", i, rc);
	}
}

/* Nothing has changed for two minutes, as far as this process could see. */
static void
test_stale_by_watching(void **state)
{
	struct dotlock l = {0};
	struct err e;
	int64_t now = clock_mono_ms();

	(void)state;
	put_lock("1:elsewhere", 0);
	assert_int_equal(dotlock_take(&l, dirfd_, "box", &rules, 0, &e), -1);
	clock_set_for_test(now + 119000, -1);
	assert_int_equal(dotlock_take(&l, dirfd_, "box", &rules, 0, &e), -1);
	/* It was touched: its holder lives. */
	put_lock("1:elsewhere", 1);
	clock_set_for_test(now + 121000, -1);
	assert_int_equal(dotlock_take(&l, dirfd_, "box", &rules, 0, &e), -1);
	clock_set_for_test(now + 242000, -1);
	assert_int_equal(dotlock_take(&l, dirfd_, "box", &rules, 0, &e), -1);
	assert_int_equal(dotlock_take(&l, dirfd_, "box", &rules, 0, &e), 0);
	clock_set_for_test(-1, -1);
	dotlock_release(&l);
}

static void
test_try_does_not_sleep(void **state)
{
	struct dotlock a = {0}, b = {0};
	char holder[DOTLOCK_HOLDER_MAX], want[60];
	int64_t retry = -1;
	struct err e;

	(void)state;
	assert_int_equal(
	    dotlock_try(&a, dirfd_, "box", &rules, &retry, &e), LOCK_DONE);
	assert_int_equal(retry, -1);
	assert_int_equal(
	    dotlock_try(&b, dirfd_, "box", &rules, &retry, &e), LOCK_WAIT);
	assert_in_range(retry, 1, 1000);
	dotlock_holder(dirfd_, "box", holder);
	(void)snprintf(
	    want, sizeof(want), "process %ld of host ", (long)getpid());
	assert_non_null(strstr(holder, want));
	dotlock_release(&a);
	dotlock_holder(dirfd_, "box", holder);
	assert_string_equal(holder, "");
}

/* What is in a lock is not believed to be harmless in a log line. */
static void
test_holder_is_cleaned(void **state)
{
	char holder[DOTLOCK_HOLDER_MAX];

	(void)state;
	put_lock("7:a\nb\x1b[31m", 0);
	dotlock_holder(dirfd_, "box", holder);
	assert_non_null(strstr(holder, "process 7 of host a?b?[31m, "));
	put_lock("\n", 3);
	dotlock_holder(dirfd_, "box", holder);
	assert_non_null(strstr(holder, "uid "));
}

/* A process that locks for others names them, and is found again by number. */
static void
test_for_another(void **state)
{
	struct dotlock_rules r = rules;
	struct dotlock a = {0}, b = {0}, c = {0};
	struct stat st;
	struct err e;

	(void)state;
	r.pid = getppid();
	r.give = true;
	r.owner = geteuid() == 0 ? 20001 : geteuid();
	r.group = getegid();
	assert_int_equal(dotlock_take(&a, dirfd_, "box", &r, 0, &e), 0);
	assert_int_equal(fstatat(dirfd_, "box.lock", &st, 0), 0);
	assert_int_equal(st.st_uid, r.owner);
	assert_false(
	    dotlock_adopt(&b, dirfd_, "box", st.st_dev, st.st_ino + 1, r.pid));
	assert_false(
	    dotlock_adopt(&b, dirfd_, "box", st.st_dev, st.st_ino, getpid()));
	assert_true(
	    dotlock_adopt(&b, dirfd_, "box", st.st_dev, st.st_ino, r.pid));
	assert_true(dotlock_is_ours(&b));
	put_lock("9:other", 0);
	dotlock_release(&a);
	assert_false(dotlock_touch(&b));
	dotlock_release(&b);
	assert_int_equal(unlinkat(dirfd_, "box.lock", 0), 0);

	assert_int_equal(dotlock_take(&c, dirfd_, "box", &r, 0, &e), 0);
	{
		const struct timespec old[2] = {
		    {.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

		assert_int_equal(utimensat(dirfd_, "box.lock", old, 0), 0);
		assert_true(dotlock_touch(&c));
		assert_int_equal(fstatat(dirfd_, "box.lock", &st, 0), 0);
		assert_true(st.st_mtime > 1000000000);
	}
	dotlock_release(&c);
	assert_int_equal(faccessat(dirfd_, "box.lock", F_OK, 0), -1);
}

/* One that is taken again and again keeps its file, in the other folder. */
static void
test_file_is_used_again(void **state)
{
	struct dotlock a = {0}, b = {0};
	struct dotlock_rules r = rules;
	struct stat st, first = {0};
	char name[64], text[200];
	struct err e;

	(void)state;
	assert_int_equal(mkdirat(dirfd_, "tmp", 0700), 0);
	r.temp_dir = file_open_dir(dirfd_, "tmp", false, &e);
	assert_true(r.temp_dir != -1);
	for (int i = 0; i < 100; i++) {
		const struct timespec old[2] = {
		    {.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

		assert_int_equal(dotlock_take(&a, dirfd_, "box", &r, 0, &e), 0);
		assert_true(dotlock_is_ours(&a));
		assert_int_equal(fstatat(dirfd_, "box.lock", &st, 0), 0);
		assert_true(st.st_mtime > 1000000000);
		if (i == 50)
			first = st;
		if (i > 50)
			assert_true(st.st_ino == first.st_ino);
		assert_int_equal(
		    dotlock_take(&b, dirfd_, "box", &rules, 0, &e), -1);
		assert_int_equal(e.code, ERR_IN_USE);
		dotlock_release(&a);
		assert_int_equal(faccessat(dirfd_, "box.lock", F_OK, 0), -1);
		assert_int_equal(a.has_spare, i >= 20);
		if (a.has_spare)
			assert_int_equal(
			    utimensat(r.temp_dir, a.spare, old, 0), 0);
	}
	/* Somebody else has it, or what he has left. */
	put_lock("1:elsewhere", 0);
	assert_int_equal(dotlock_take(&a, dirfd_, "box", &r, 0, &e), -1);
	assert_int_equal(e.code, ERR_IN_USE);
	(void)snprintf(
	    text, sizeof(text), "%ld:%s", (long)dead_pid(), dotlock_host());
	put_lock(text, 10);
	assert_int_equal(dotlock_take(&a, dirfd_, "box", &r, 100, &e), 0);
	assert_true(dotlock_is_ours(&a));
	/* It was broken: what lies there is not ours to be put aside. */
	put_lock("1:elsewhere", 0);
	dotlock_release(&a);
	assert_false(a.has_spare);
	assert_int_equal(unlinkat(dirfd_, "box.lock", 0), 0);
	/* Somebody has cleaned up. */
	assert_int_equal(dotlock_take(&a, dirfd_, "box", &r, 0, &e), 0);
	dotlock_release(&a);
	assert_true(a.has_spare);
	memcpy(name, a.spare, sizeof(name));
	assert_int_equal(unlinkat(r.temp_dir, name, 0), 0);
	assert_int_equal(dotlock_take(&a, dirfd_, "box", &r, 0, &e), 0);
	assert_true(dotlock_is_ours(&a));
	dotlock_release(&a);
	dotlock_rest(&a);
	assert_int_equal(unlinkat(dirfd_, "tmp", AT_REMOVEDIR), 0);
	close(r.temp_dir);
}

static void
test_no_rights(void **state)
{
	struct err e;
	struct dotlock l = {0};
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(dir, 0755), 0);
	pid = fork();
	if (pid == 0) {
		if (setgid(20001) == -1 || setuid(20001) == -1)
			_exit(3);
		if (dotlock_take(&l, dirfd_, "box", &rules, 100, &e) == 0)
			_exit(2);
		_exit(e.code == ERR_PERM ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Processes that add one to a number in a file: no addition is lost. */
static void
test_excludes(void **state)
{
	enum { PROCESSES = 4, ROUNDS = 60 };
	struct dotlock_rules r = rules;
	struct dotlock l = {0};
	char path[100];
	struct err e;
	FILE *f;
	int n = 0;

	(void)state;
	assert_int_equal(mkdirat(dirfd_, "tmp", 0700), 0);
	r.temp_dir = file_open_dir(dirfd_, "tmp", false, &e);
	assert_true(r.temp_dir != -1);
	(void)snprintf(path, sizeof(path), "%s/number", dir);
	f = fopen(path, "w");
	(void)fputs("0", f);
	(void)fclose(f);
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() != 0)
			continue;
		for (int k = 0; k < ROUNDS; k++) {
			/* Two of them keep the file. */
			if (dotlock_take(&l, dirfd_, "box", i < 2 ? &r : &rules,
				20000, &e) == -1)
				_exit(1);
			f = fopen(path, "r+");
			n = fgetc(f) - '0';
			for (int c = fgetc(f); c != EOF; c = fgetc(f))
				n = n * 10 + c - '0';
			rewind(f);
			(void)fprintf(f, "%d", n + 1);
			(void)fclose(f);
			dotlock_release(&l);
		}
		dotlock_rest(&l);
		_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	f = fopen(path, "r");
	n = 0;
	for (int c = fgetc(f); c != EOF; c = fgetc(f))
		n = n * 10 + c - '0';
	(void)fclose(f);
	assert_int_equal(n, PROCESSES * ROUNDS);
	assert_int_equal(unlinkat(dirfd_, "tmp", AT_REMOVEDIR), 0);
	close(r.temp_dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_take_and_release),
	    T(test_broken_lock_is_not_removed),
	    T(test_stale_rules),
	    T(test_stale_by_watching),
	    T(test_try_does_not_sleep),
	    T(test_holder_is_cleaned),
	    T(test_for_another),
	    T(test_file_is_used_again),
	    T(test_no_rights),
	    T(test_excludes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
