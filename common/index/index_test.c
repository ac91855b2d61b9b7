/* SPDX-License-Identifier: ISC */
/*
 * index_test.c - the index with everything that can happen to its files:
 * missing, from another version, damaged, removed, no right, killed writers.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "index/index_impl.h"
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

int
main(void)
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
	    T(test_wrong_sum),
	    T(test_sum_again),
	    T(test_no_right),
	    T(test_killed_writers),
	    T(test_stale_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
