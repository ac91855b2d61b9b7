/* SPDX-License-Identifier: ISC */
/*
 * index_test.c - the index with everything that can happen to its files:
 * missing, from another version or boot, damaged, removed, no room, no right,
 * killed writers, two processes.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/num.h"
#include "index/index_impl.h"
#include "index/index_state.h"
#include "tests/lib/test_index.h"

/* ---- values -------------------------------------------------------------- */

static void
test_values(void **state)
{
	struct index *ix = open_it();
	struct put p = {.from = 200, .to = 300, .size = 10, .fail_at = 250};
	struct err e;

	(void)state;
	assert_false(has(ix, 1));
	assert_int_equal(put_range(ix, 1, 100, 10), 0);
	assert_true(has(ix, 1));
	assert_true(has(ix, 99));
	assert_false(has(ix, 100));
	/* All or nothing. */
	assert_int_equal(index_write(ix, put_some, &p, &e), -1);
	assert_false(has(ix, 200));
	index_pause(ix);
	index_close(&ix);
	ix = open_it();
	assert_true(has(ix, 42));
	index_close(&ix);
	assert_null(ix);
	assert_int_equal(warnings, 1); /* of the write that failed */
}

static void
test_map_grows(void **state)
{
	struct index *ix = open_it();
	struct index_figures f;

	(void)state;
	index_figures(ix, &f);
	assert_int_equal(f.map_bytes, 64 << 20);
	/* More than twice the map, in several transactions. */
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(
		    put_range(ix, i * 128, i * 128 + 128, 32000), 0);
	index_figures(ix, &f);
	assert_true(f.map_bytes > 160 << 20);
	assert_true(has(ix, 0));
	assert_true(has(ix, 5119));
	index_close(&ix);
	ix = open_it();
	assert_true(has(ix, 5119));
	index_close(&ix);
}

static void
test_map_limit(void **state)
{
	struct index *ix;
	struct err e;
	int rc = 0;

	(void)state;
	assert_int_equal(index_open(dir, 64 << 20, &ix, &e), 0);
	assert_int_equal(put_range(ix, 1, 10, 100), 0);
	for (uint32_t i = 1; rc == 0 && i < 40; i++)
		rc = put_range(ix, i * 128, i * 128 + 128, 32000);
	assert_int_equal(rc, -1);
	assert_int_equal(warnings, 1);
	/* What is there is still served; the next attempts cost nothing. */
	assert_true(has(ix, 1));
	assert_int_equal(put_range(ix, 9000, 9001, 32000), -1);
	assert_int_equal(warnings, 1);
	index_close(&ix);
}

/* ---- what happens to files ----------------------------------------------- */

static void
test_missing(void **state)
{
	struct index *ix = open_it();

	(void)state;
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	index_close(&ix);
	assert_int_equal(unlink(file("data.mdb")), 0);
	ix = open_it();
	assert_false(has(ix, 1));
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	index_close(&ix);
	assert_int_equal(unlink(file("state")), 0);
	ix = open_it();
	assert_false(has(ix, 1));
	index_close(&ix);
	assert_int_equal(unlink(file("lock.mdb")), 0);
	ix = open_it();
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	assert_true(has(ix, 1));
	index_close(&ix);
}

/* Files removed while it is open: noticed at the next write. */
static void
test_removed_while_open(void **state)
{
	struct index *ix = open_it();
	uint64_t epoch = index_epoch(ix);

	(void)state;
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	assert_int_equal(unlink(file("data.mdb")), 0);
	assert_int_equal(unlink(file("lock.mdb")), 0);
	assert_int_equal(unlink(file("state")), 0);
	assert_true(has(ix, 1)); /* our own view of it is whole */
	assert_int_equal(put_range(ix, 10, 20, 10), -1);
	index_pause(ix);
	assert_true(index_epoch(ix) != epoch);
	assert_false(has(ix, 1));
	assert_int_equal(put_range(ix, 10, 20, 10), 0);
	assert_true(has(ix, 10));
	assert_int_equal(access(file("data.mdb"), F_OK), 0);
	/* Only the database. */
	assert_int_equal(unlink(file("data.mdb")), 0);
	assert_int_equal(put_range(ix, 20, 30, 10), -1);
	index_pause(ix);
	assert_int_equal(put_range(ix, 20, 30, 10), 0);
	/* The folder too: from now on without. */
	{
		struct err e;

		assert_int_equal(file_remove_tree(AT_FDCWD, dir, &e), 0);
	}
	assert_int_equal(put_range(ix, 30, 40, 10), -1);
	index_pause(ix);
	assert_false(index_is_open(ix));
	assert_false(has(ix, 20));
	assert_int_equal(put_range(ix, 30, 40, 10), -1);
	index_pause(ix);
	index_close(&ix);
}

/* What it knows is there again; so is what it wrote, clean, at its end. */
static void
test_rest(void **state)
{
	struct index *ix = open_it();
	uint64_t epoch = index_epoch(ix), serial;

	(void)state;
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	/* Not while something is held. */
	assert_true(has(ix, 1));
	serial = index_serial(ix);
	index_pause(ix);
	for (int i = 0; i < 3; i++) {
		index_rest(ix);
		index_rest(ix);
		assert_true(index_is_open(ix));
		assert_false(index_is_stale(ix));
		assert_true(index_serial(ix) > serial);
		index_pause(ix);
		assert_true(has(ix, 1));
		assert_false(has(ix, 10 + (uint32_t)i));
		index_pause(ix);
		index_rest(ix);
		assert_int_equal(
		    put_range(ix, 10 + (uint32_t)i, 11 + (uint32_t)i, 10), 0);
		assert_true(has(ix, 10 + (uint32_t)i));
		index_pause(ix);
	}
	assert_true(index_epoch(ix) == epoch);
	index_rest(ix);
	index_close(&ix);
	ix = open_it();
	assert_true(index_state_is_clean(&ix->state));
	assert_true(has(ix, 12));
	index_pause(ix);
	index_rest(ix);
	index_close(&ix);
}

static void
copy_database(void)
{
	char bytes[4096], path[200];
	ssize_t n;
	int from = open(file("data.mdb"), O_RDONLY), to;

	assert_true(from != -1);
	to = open(file("copy"), O_CREAT | O_WRONLY, 0600);
	assert_true(to != -1);
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(to, bytes, (size_t)n), n);
	close(from);
	close(to);
	(void)snprintf(path, sizeof(path), "%s", file("copy"));
	assert_int_equal(rename(path, file("data.mdb")), 0);
}

static void
remove_database(void)
{
	assert_int_equal(unlink(file("data.mdb")), 0);
}

static void
remove_state(void)
{
	assert_int_equal(unlink(file("state")), 0);
}

static void
remove_lock_file(void)
{
	assert_int_equal(unlink(file("lock.mdb")), 0);
}

/* What others do to the files while it rests. */
static void
test_changed_at_rest(void **state)
{
	static const struct {
		void (*fn)(void);
		bool is_kept;
	} cases[] = {
	    {remove_database, false},
	    {remove_state, false},
	    {copy_database, false},
	    {remove_lock_file, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct index *ix = open_it();
		uint64_t epoch = index_epoch(ix);

		assert_int_equal(put_range(ix, 1, 10, 10), 0);
		index_pause(ix);
		index_rest(ix);
		cases[i].fn();
		assert_true(has(ix, 1) == cases[i].is_kept);
		assert_true(index_is_stale(ix) != cases[i].is_kept);
		if (!cases[i].is_kept)
			assert_int_equal(put_range(ix, 1, 10, 10), -1);
		index_pause(ix);
		assert_true((index_epoch(ix) == epoch) == cases[i].is_kept);
		assert_true(has(ix, 1) == cases[i].is_kept);
		assert_int_equal(put_range(ix, 10, 20, 10), 0);
		assert_true(has(ix, 10));
		index_pause(ix);
		index_close(&ix);
	}
}

static void
change_byte(const char *name, off_t at, char by)
{
	int fd = open(file(name), O_RDWR);
	char c;

	assert_true(fd != -1);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c = (char)(c ^ by);
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	assert_int_equal(close(fd), 0);
}

static void
test_other_version(void **state)
{
	struct index *ix = open_it();

	(void)state;
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	index_close(&ix);
	change_byte("state", 8, 0x40); /* the version */
	ix = open_it();
	assert_false(has(ix, 1));
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	index_close(&ix);
	ix = open_it();
	assert_true(has(ix, 1));
	index_close(&ix);
}

/* As after a reboot: the boot id in the file is another one. */
static void
reboot(void)
{
	char bytes[256];
	ssize_t n;
	uint32_t sum;
	int fd = open(file("state"), O_RDWR);

	n = pread(fd, bytes, sizeof(bytes), 0);
	assert_int_equal(n, 88);
	bytes[16] ^= 1;
	sum = (uint32_t)index_sum(INDEX_VERSION, str_make(bytes, 80));
	memcpy(bytes + 80, &sum, sizeof(sum));
	assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
	assert_int_equal(close(fd), 0);
}

/*
 * Runs this program anew as `mode`, with its own handlers for signals and
 * nothing open.
 */
static pid_t
start_child(const char *mode)
{
	pid_t pid = fork();
	char now[32];

	assert_true(pid != -1);
	if (pid == 0) {
		(void)snprintf(
		    now, sizeof(now), "%lld", (long long)clock_wall_us());
		(void)execl("/proc/self/exe", "index_test", mode, dir, now,
		    (char *)NULL);
		_exit(9);
	}
	return pid;
}

static int
run_child(const char *mode)
{
	pid_t pid = start_child(mode);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
write_and_end(void)
{
	struct index *ix = open_it();

	if (put_range(ix, 1, 10, 10) == -1)
		_exit(1);
}

static void
write_and_close(void)
{
	struct index *ix = open_it();

	if (put_range(ix, 1, 10, 10) == -1)
		_exit(1);
	index_close(&ix);
}

static void
test_reboot(void **state)
{
	struct index *ix;

	(void)state;
	assert_int_equal(run_child("clean"), 0);
	reboot();
	ix = open_it();
	assert_true(has(ix, 1)); /* it was closed and synced */
	index_close(&ix);
	ix = open_it(); /* nothing written since: still clean */
	assert_true(has(ix, 1));
	index_close(&ix);
	reboot();
	assert_int_equal(run_child("end"), 0);
	ix = open_it(); /* the same boot: a process that ended is no harm */
	assert_true(has(ix, 1));
	index_close(&ix);
	reboot();
	ix = open_it();
	assert_false(has(ix, 1));
	index_close(&ix);
}

/* In the value of key 77, which consists of its letter. */
static void
damage(void)
{
	char page[4096];
	bool done = false;
	int fd = open(file("data.mdb"), O_RDWR);

	for (off_t at = 0; pread(fd, page, 4096, at) == 4096; at += 4096)
		for (size_t i = 0; i + 500 < sizeof(page); i++)
			if (memcmp(page + i, "MMMMMMMMMMMMMMMMMMMM", 20) == 0) {
				page[i + 400] = 'X';
				assert_int_equal(
				    pwrite(fd, page, 4096, at), 4096);
				done = true;
				break;
			}
	assert_true(done);
	assert_int_equal(close(fd), 0);
}

/* A value that does not have its sum. */
static void
test_wrong_sum(void **state)
{
	struct index *ix = open_it();
	uint64_t epoch;

	(void)state;
	assert_int_equal(put_range(ix, 77, 78, 1000), 0);
	index_close(&ix);
	damage();
	ix = open_it();
	epoch = index_epoch(ix);
	assert_false(has(ix, 77));
	assert_int_equal(warnings, 1);
	index_pause(ix);
	assert_true(index_epoch(ix) != epoch);
	assert_int_equal(access(file("data.bad"), F_OK), 0);
	assert_int_equal(put_range(ix, 77, 78, 1000), 0);
	assert_true(has(ix, 77));
	index_close(&ix);
	ix = open_it();
	assert_true(has(ix, 77));
	index_close(&ix);
}

/* The sum of a large value is made once, until somebody writes. */
static void
test_sum_again(void **state)
{
	struct index *ix = open_it();

	(void)state;
	assert_int_equal(put_range(ix, 77, 80, 6000), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(has(ix, 77));
		assert_true(has(ix, 78));
		index_pause(ix);
	}
	assert_int_equal(put_range(ix, 77, 80, 7000), 0);
	assert_true(has(ix, 77));
	assert_true(has(ix, 79));
	index_pause(ix);
	damage();
	assert_int_equal(put_range(ix, 500, 501, 10), 0);
	assert_true(has(ix, 78));
	assert_false(has(ix, 77));
	index_close(&ix);
}

static void
crash_inside(void)
{
	struct index_state s = {.fd = open(file("state"), O_RDWR)};
	struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)close(2);
	index_state_enter(&s);
	if (raise(SIGBUS) != 0)
		_exit(1);
	(void)raise(SIGBUS); /* what a fault does: it happens again */
}

static void
test_crash(void **state)
{
	struct index *ix = open_it();
	struct err e;

	(void)state;
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	index_close(&ix);
	assert_int_not_equal(run_child("crash"), 0);
	ix = open_it();
	assert_false(has(ix, 1));
	assert_int_equal(access(file("data.bad"), F_OK), 0);
	index_close(&ix);
	/* Again at once: something is wrong that a new one does not heal. */
	assert_int_not_equal(run_child("crash"), 0);
	assert_int_equal(index_open(dir, 0, &ix, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	clock_set_for_test(-1, clock_wall_us() + INT64_C(700) * 1000000);
	ix = open_it();
	assert_int_equal(put_range(ix, 1, 10, 10), 0);
	index_close(&ix);
}

/* Somebody has edited it: a process may end over that, the next ones heal. */
static void
use_all(void)
{
	struct rlimit none = {0, 0};
	struct index *ix;
	struct err e;

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)close(2);
	(void)alarm(10);
	if (index_open(dir, 0, &ix, &e) == -1)
		_exit(1);
	for (uint32_t i = 0; i < 3000; i++)
		(void)has(ix, i);
	(void)put_range(ix, 4000, 4010, 10);
	index_pause(ix);
	if (put_range(ix, 1, 500, 10) == -1 || !has(ix, 499))
		_exit(2);
	index_close(&ix);
}

static void
edit_file(unsigned seed, bool cut)
{
	int fd = open(file("data.mdb"), O_RDWR);
	struct stat st;
	char junk[64];

	assert_int_equal(fstat(fd, &st), 0);
	for (unsigned i = 0; i < 1 + seed * 3; i++) {
		off_t at = (off_t)(seed * 7919 + i * 104729) % st.st_size;

		for (size_t k = 0; k < sizeof(junk); k++)
			junk[k] = (char)((seed + i + k) * 131 >> 3);
		assert_true(pwrite(fd, junk, sizeof(junk) >> seed % 6, at) > 0);
	}
	if (cut)
		assert_int_equal(ftruncate(fd, 5000), 0);
	assert_int_equal(close(fd), 0);
}

static void
test_edited(void **state)
{
	int64_t now = INT64_C(1800000000000000);

	(void)state;
	for (unsigned round = 0; round < 12; round++) {
		struct index *ix;
		int tries = 0;

		clock_set_for_test(-1, now);
		ix = open_it();
		for (uint32_t i = 0; i < 3000; i += 500)
			assert_int_equal(put_range(ix, i, i + 500, 40), 0);
		index_close(&ix);
		edit_file(round, round == 11);
		do {
			now += INT64_C(1200) * 1000000;
			clock_set_for_test(-1, now);
			assert_true(++tries < 5);
		} while (run_child("use") != 0);
	}
}

static void
test_no_right(void **state)
{
	struct index *ix;
	struct err e;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/no/such/place", home);
	assert_int_equal(index_open(dir, 0, &ix, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	(void)snprintf(dir, sizeof(dir), "%s/open", home);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(index_open(dir, 0, &ix, &e), -1);
	assert_int_equal(e.code, ERR_PERM);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(symlink("/etc/passwd", file("state")), 0);
	assert_int_equal(index_open(dir, 0, &ix, &e), -1);
	assert_int_equal(unlink(file("state")), 0);
	if (geteuid() != 0) {
		assert_int_equal(chmod(dir, 0500), 0);
		assert_int_equal(index_open(dir, 0, &ix, &e), -1);
		assert_int_equal(e.code, ERR_PERM);
		assert_int_equal(chmod(dir, 0700), 0);
	}
	ix = open_it();
	{
		struct index *again;

		assert_int_equal(index_open(dir, 0, &again, &e), -1);
		assert_int_equal(e.code, ERR_IN_USE);
	}
	index_close(&ix);
}

/* A write that the disk refuses: RLIMIT_FSIZE refuses it in the same place. */
static void
without_room(void)
{
	struct index *ix = open_it();
	struct rlimit small = {200 * 1024, RLIM_INFINITY};

	if (put_range(ix, 1, 100, 10) == -1)
		_exit(1);
	(void)sigaction(
	    SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	(void)setrlimit(RLIMIT_FSIZE, &small);
	if (put_range(ix, 100, 1000, 3000) != -1)
		_exit(2);
	if (!has(ix, 1) || has(ix, 100))
		_exit(3);
	small.rlim_cur = RLIM_INFINITY;
	(void)setrlimit(RLIMIT_FSIZE, &small);
	clock_set_for_test(clock_mono_ms() + 60000, -1);
	if (put_range(ix, 100, 1000, 3000) == -1)
		_exit(4);
	if (!has(ix, 999))
		_exit(5);
	index_close(&ix);
}

static void
test_no_room(void **state)
{
	struct index *ix;

	(void)state;
	assert_int_equal(run_child("room"), 0);
	ix = open_it();
	assert_true(has(ix, 1));
	assert_true(has(ix, 999));
	index_close(&ix);
}

/* ---- processes ----------------------------------------------------------- */

static void
write_for_ever(void *arg)
{
	struct index *ix = open_it();
	int fd = *(int *)arg;

	for (uint32_t i = 0;; i++) {
		if (put_range(ix, i % 50 * 20, i % 50 * 20 + 20, 2000) == -1)
			_exit(1);
		if (i == 3 && write(fd, "x", 1) != 1)
			_exit(1);
	}
}

static void
test_killed_writers(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct index *ix;
		int fds[2];
		char c;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid != -1);
		if (pid == 0)
			write_for_ever(&fds[1]);
		assert_int_equal(read(fds[0], &c, 1), 1);
		(void)usleep((useconds_t)(i * 700));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(fds[0]);
		close(fds[1]);
		ix = open_it();
		assert_true(has(ix, 0));
		assert_int_equal(put_range(ix, 2000, 2010, 100), 0);
		index_close(&ix);
	}
	assert_int_equal(warnings, 0);
}

static void
read_and_wait(void *arg)
{
	struct index *ix = open_it();
	int fd = *(int *)arg;

	(void)has(ix, 1);
	if (write(fd, "x", 1) != 1)
		_exit(1);
	for (;;)
		(void)pause();
}

/* Killed while it read: its slot would keep all old pages for ever. */
static void
test_stale_readers(void **state)
{
	struct index *ix = open_it();
	struct index_figures f;
	uint64_t used;

	(void)state;
	assert_int_equal(put_range(ix, 0, 500, 1000), 0);
	index_close(&ix);
	for (int i = 0; i < 5; i++) {
		int fds[2];
		char c;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid != -1);
		if (pid == 0)
			read_and_wait(&fds[1]);
		assert_int_equal(read(fds[0], &c, 1), 1);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(fds[0]);
		close(fds[1]);
	}
	ix = open_it();
	for (int i = 0; i < 5; i++)
		assert_int_equal(put_range(ix, 0, 500, 1000), 0);
	index_figures(ix, &f);
	used = f.used_bytes;
	for (int i = 0; i < 30; i++)
		assert_int_equal(put_range(ix, 0, 500, 1000), 0);
	index_figures(ix, &f);
	assert_true(f.used_bytes <= used * 3 / 2);
	index_close(&ix);
}

static void
write_hundred(void)
{
	struct index *ix = open_it();

	for (uint32_t i = 0; i < 100; i++)
		if (put_range(ix, 5000 + i * 30, 5030 + i * 30, 30000) == -1)
			_exit(1);
	index_close(&ix);
}

/* Another process writes and makes the map grow. */
static void
test_two_processes(void **state)
{
	struct index *ix = open_it();
	int status;
	pid_t pid = start_child("write");

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(put_range(ix, i * 10, i * 10 + 10, 500), 0);
		assert_true(has(ix, i * 10));
		index_pause(ix);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(has(ix, 7999));
	assert_true(has(ix, 999));
	index_close(&ix);
	assert_int_equal(warnings, 0);
}

/* ---- as a program of its own --------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
    {"end", write_and_end},
    {"clean", write_and_close},
    {"crash", crash_inside},
    {"use", use_all},
    {"room", without_room},
    {"write", write_hundred},
};

static int
run_mode(const char *name, const char *where, const char *now)
{
	uint64_t us;

	(void)snprintf(dir, sizeof(dir), "%s", where);
	if (!num_parse_u64(str_of(now), 0, INT64_MAX, &us))
		return 8;
	clock_set_for_test(-1, (int64_t)us);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (strcmp(modes[i].name, name) == 0) {
			modes[i].run();
			return 0;
		}
	return 7;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_values),
	    T(test_map_grows),
	    T(test_map_limit),
	    T(test_missing),
	    T(test_removed_while_open),
	    T(test_rest),
	    T(test_changed_at_rest),
	    T(test_other_version),
	    T(test_reboot),
	    T(test_wrong_sum),
	    T(test_sum_again),
	    T(test_crash),
	    T(test_edited),
	    T(test_no_right),
	    T(test_no_room),
	    T(test_killed_writers),
	    T(test_stale_readers),
	    T(test_two_processes),
	};

	if (argc == 4)
		return run_mode(argv[1], argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
