/* SPDX-License-Identifier: ISC */
/*
 * index_test.c - the index with everything that can happen to its files:
 * missing, from another version or boot, damaged, removed, no room, no right,
 * killed writers, two processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "index/cache.h"
#include "index/index_box.h"
#include "index/index_state.h"
#include "index/modlog.h"
#include "os/file.h"

static char home[64], dir[80];
static unsigned warnings;

static void
count_line(
    UNUSED enum log_level level, UNUSED const char *line, UNUSED void *arg)
{
	warnings++;
}

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(home, sizeof(home), "/tmp/restante-index.XXXXXX");
	assert_non_null(mkdtemp(home));
	(void)snprintf(dir, sizeof(dir), "%s/index", home);
	log_set_sink(count_line, NULL);
	warnings = 0;
	return 0;
}

static int
teardown(void **state)
{
	struct err e;

	(void)state;
	clock_set_for_test(-1, -1);
	return file_remove_tree(AT_FDCWD, home, &e);
}

static const char *
file(const char *name)
{
	static char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct index *
open_it(void)
{
	struct index *ix;
	struct err e;

	if (index_open(dir, 0, &ix, &e) == -1)
		fail_msg("%s", e.text);
	return ix;
}

/* ---- values -------------------------------------------------------------- */

struct put {
	uint32_t from, to;
	size_t size;
	int runs, fail_at;
};

static int
put_some(struct index *ix, void *arg, struct err *e)
{
	struct put *p = arg;
	char *bytes = malloc(p->size);
	int rc = 0;

	p->runs++;
	for (uint32_t i = p->from; rc == 0 && i < p->to; i++) {
		struct index_key k = index_key_of(1, INDEX_ENVELOPE, i);

		memset(bytes, (int)(i & 0xff), p->size);
		rc = index_put(ix, &k, str_make(bytes, p->size), e);
		if (p->fail_at != 0 && i == (uint32_t)p->fail_at)
			rc = err_set(e, ERR_OTHER, "wanted");
	}
	free(bytes);
	return rc;
}

static int
put_range(struct index *ix, uint32_t from, uint32_t to, size_t size)
{
	struct put p = {.from = from, .to = to, .size = size};
	struct err e;

	return index_write(ix, put_some, &p, &e);
}

static bool
has(struct index *ix, uint32_t i)
{
	struct index_key k = index_key_of(1, INDEX_ENVELOPE, i);
	struct str value;

	return index_get(ix, &k, &value) && value.n > 0 &&
	    (uint8_t)*value.p == (i & 0xff);
}

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

/* A value that does not have its sum. */
static void
test_wrong_sum(void **state)
{
	struct index *ix = open_it();
	uint64_t epoch = index_epoch(ix);
	char page[4096];
	bool done = false;
	int fd;

	(void)state;
	assert_int_equal(put_range(ix, 77, 78, 1000), 0);
	index_close(&ix);
	fd = open(file("data.mdb"), O_RDWR);
	for (off_t at = 0; pread(fd, page, 4096, at) == 4096; at += 4096)
		for (size_t i = 0; i + 500 < sizeof(page); i++)
			if (memcmp(page + i, "MMMMMMMMMMMMMMMMMMMM", 20) == 0 &&
			    !done) {
				page[i + 400] = 'X';
				assert_int_equal(
				    pwrite(fd, page, 4096, at), 4096);
				done = true;
			}
	assert_true(done);
	assert_int_equal(close(fd), 0);
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

/* ---- sets, sums ---------------------------------------------------------- */

static void
test_sets(void **state)
{
	struct set32 a, b;
	struct buf bytes;

	(void)state;
	set32_init(&a);
	set32_init(&b);
	buf_init(&bytes, 10000);
	assert_true(index_set_parse(STR(""), &b));
	assert_true(set32_is_empty(&b));
	set32_add_range(&a, 1, 1000000);
	set32_add(&a, 2000000);
	set32_add_range(&a, UINT32_MAX - 3, UINT32_MAX);
	index_set_write(&bytes, &a);
	assert_true(bytes.n < 20);
	assert_true(index_set_parse(buf_str(&bytes), &b));
	assert_int_equal(b.n, 3);
	assert_int_equal(b.r[0].last, 1000000);
	assert_int_equal(b.r[1].first, 2000000);
	assert_int_equal(b.r[2].first, UINT32_MAX - 3);
	assert_int_equal(b.r[2].last, UINT32_MAX);
	/* None of these is one. */
	assert_false(index_set_parse(str_head(buf_str(&bytes), 3), &b));
	assert_false(index_set_parse(str_make("\0\1", 2), &b));
	assert_false(index_set_parse(STR("\xff\xff\xff\xff\xff\xff\xff"), &b));
	assert_false(
	    index_set_parse(STR("\xff\xff\xff\xff\x0f\x05\x05\x05"), &b));
	buf_done(&bytes);
	set32_done(&a);
	set32_done(&b);
}

static void
test_sum(void **state)
{
	char bytes[200];
	uint64_t sum;

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	for (size_t n = 1; n < sizeof(bytes); n++) {
		sum = index_sum(0, str_make(bytes, n));
		assert_true(sum != index_sum(0, str_make(bytes, n - 1)));
		assert_true(sum != index_sum(1, str_make(bytes, n)));
		for (size_t i = 0; i < n; i++) {
			bytes[i] ^= 4;
			assert_true(sum != index_sum(0, str_make(bytes, n)));
			bytes[i] ^= 4;
		}
	}
}

/* ---- chunks -------------------------------------------------------------- */

struct source {
	uint32_t uid, last, step;
	char side[64];
};

static bool
next_rec(void *arg, struct index_rec *r, struct str *side)
{
	struct source *s = arg;

	if (s->uid > s->last)
		return false;
	(void)snprintf(s->side, sizeof(s->side), "name-%u", s->uid);
	*r = (struct index_rec){
	    .uid = s->uid,
	    .size = s->uid,
	    .wire_size = s->uid,
	    .known = s->uid % 3 == 0 ? 0 : INDEX_HAS_SIZE,
	    .hash = index_sum(0, str_of(s->side)),
	};
	*side = str_of(s->side);
	s->uid += s->step;
	return true;
}

struct job {
	uint32_t box;
	struct index_sums sums;
	struct source source;
	const uint32_t *uids;
	size_t n;
	index_edit_fn *edit;
	unsigned met;
};

static int
append_job(struct index *ix, void *arg, struct err *e)
{
	struct job *j = arg;

	return index_box_append(ix, j->box, next_rec, &j->source, &j->sums, e);
}

static enum index_edit
drop_rec(void *arg, UNUSED struct index_rec *r, UNUSED struct str *side)
{
	((struct job *)arg)->met++;
	return INDEX_EDIT_DROP;
}

static enum index_edit
size_rec(void *arg, struct index_rec *r, struct str *side)
{
	((struct job *)arg)->met++;
	r->known |= INDEX_HAS_SIZE;
	r->wire_size = 1000000;
	*side = STR("another, longer name than it had before");
	return INDEX_EDIT_CHANGED;
}

static int
edit_job(struct index *ix, void *arg, struct err *e)
{
	struct job *j = arg;

	j->met = 0;
	return index_box_edit(
	    ix, j->box, j->uids, j->n, j->edit, j, &j->sums, e);
}

static void
check_sums(struct index *ix, const struct job *j)
{
	struct index_sums sums = {0};
	struct index_chunk c;
	uint32_t last = 0;
	bool more = index_box_chunk(ix, j->box, 1, true, &c);

	for (; more; more = index_box_next(ix, j->box, true, &c)) {
		assert_true(c.first_uid > last);
		sums.n_chunks++;
		sums.n += c.n;
		for (uint32_t i = 0; i < c.n; i++) {
			struct index_rec r = index_chunk_rec(&c, i);

			assert_true(r.uid > last);
			last = r.uid;
			if (r.known & INDEX_HAS_SIZE)
				sums.wire_sum += r.wire_size;
			else
				sums.unknown_sizes++;
			assert_true(index_chunk_side(&c, i).n > 0);
		}
	}
	assert_int_equal(sums.n, j->sums.n);
	assert_int_equal(sums.n_chunks, j->sums.n_chunks);
	assert_int_equal(sums.unknown_sizes, j->sums.unknown_sizes);
	assert_true(sums.wire_sum == j->sums.wire_sum);
}

static void
test_chunks(void **state)
{
	struct index *ix = open_it();
	struct job j = {
	    .box = 5, .source = {.uid = 2, .last = 2000, .step = 2}};
	struct index_rec r;
	struct index_chunk c;
	uint32_t all[3000], i;
	struct err e;

	(void)state;
	assert_int_equal(index_write(ix, append_job, &j, &e), 0);
	assert_int_equal(j.sums.n, 1000);
	assert_int_equal(j.sums.n_chunks, 4);
	check_sums(ix, &j);
	assert_true(index_box_rec(ix, 5, 1000, &r));
	assert_int_equal(r.wire_size, 1000);
	assert_false(index_box_rec(ix, 5, 1001, &r));
	assert_false(index_box_rec(ix, 5, 1, &r));
	assert_false(index_box_rec(ix, 5, 2001, &r));
	assert_false(index_box_rec(ix, 4, 1000, &r));
	assert_true(index_box_has_hash(ix, 5, index_sum(0, STR("name-1998"))));
	assert_false(index_box_has_hash(ix, 5, index_sum(0, STR("name-1999"))));
	/* One more lands in the last chunk. */
	j.source = (struct source){.uid = 2001, .last = 2003, .step = 1};
	assert_int_equal(index_write(ix, append_job, &j, &e), 0);
	assert_int_equal(j.sums.n_chunks, 4);
	check_sums(ix, &j);
	/* Edits: those that are not there are passed over. */
	for (i = 0; i < 3000; i++)
		all[i] = i + 1;
	j.uids = all + 99;
	j.n = 101;
	j.edit = size_rec;
	assert_int_equal(index_write(ix, edit_job, &j, &e), 0);
	assert_int_equal(j.met, 51);
	check_sums(ix, &j);
	assert_true(index_box_chunk(ix, 5, 150, true, &c));
	i = index_chunk_find(&c, 150);
	assert_true(str_eq(index_chunk_side(&c, i),
	    STR("another, longer name than it had before")));
	assert_true(str_eq(index_chunk_side(&c, i + 30), STR("name-210")));
	/* Removal, over whole chunks. */
	j.uids = all + 3;
	j.n = 1500;
	j.edit = drop_rec;
	assert_int_equal(index_write(ix, edit_job, &j, &e), 0);
	assert_int_equal(j.met, 750);
	check_sums(ix, &j);
	assert_true(index_box_rec(ix, 5, 2, &r));
	assert_false(index_box_rec(ix, 5, 4, &r));
	assert_true(index_box_rec(ix, 5, 1504, &r));
	j.uids = all;
	j.n = 3000;
	assert_int_equal(index_write(ix, edit_job, &j, &e), 0);
	assert_int_equal(j.sums.n_chunks, 0);
	assert_true(j.sums.wire_sum == 0);
	check_sums(ix, &j);
	j.source = (struct source){.uid = 3000, .last = 3300, .step = 1};
	assert_int_equal(index_write(ix, append_job, &j, &e), 0);
	check_sums(ix, &j);
	assert_true(index_box_chunk(ix, 5, 1, false, &c));
	assert_int_equal(c.first_uid, 3000);
	index_close(&ix);
	assert_int_equal(warnings, 0);
}

static void
test_side(void **state)
{
	const uint16_t more[] = {26, 30, 999};
	uint16_t out[8];
	struct buf b;
	struct str own;

	(void)state;
	buf_init(&b, 1000);
	index_side_write(&b, more, 3, STR("own"));
	assert_int_equal(
	    index_side_parse(buf_str(&b), INDEX_HAS_MORE, out, 8, &own), 3);
	assert_memory_equal(out, more, sizeof(more));
	assert_true(str_eq(own, STR("own")));
	assert_int_equal(
	    index_side_parse(buf_str(&b), INDEX_HAS_MORE, out, 2, &own), 2);
	assert_int_equal(index_side_parse(str_head(buf_str(&b), 5),
			     INDEX_HAS_MORE, out, 8, &own),
	    0);
	assert_int_equal(own.n, 0);
	assert_int_equal(index_side_parse(STR("own"), 0, out, 8, &own), 0);
	assert_true(str_eq(own, STR("own")));
	buf_done(&b);
}

/* ---- heads, slots, history ----------------------------------------------- */

static int
head_job(struct index *ix, void *arg, struct err *e)
{
	const struct index_head *h = arg;
	uint32_t box;

	if (index_box_new(ix, &box, e) == -1)
		return -1;
	assert_true(box > 0);
	return index_box_save_head(ix, h, e);
}

static void
test_head(void **state)
{
	struct index *ix = open_it();
	struct index_head h = {
	    .box = 7,
	    .generation = 3,
	    .uidvalidity = 1234,
	    .uidnext = 99,
	    .messages = 50,
	    .wire_sum = UINT64_C(1) << 40,
	    .guid = "0123456789abcdef0123456789abcdef",
	    .place = STR("/home/u/Maildir"),
	    .keywords = STR("one\0two\0"),
	    .backend = STR("x\0y"),
	    .live = STR("\1\61"),
	};
	struct index_head got;
	struct err e;

	(void)state;
	assert_false(index_box_head(ix, h.place, &got));
	assert_int_equal(index_write(ix, head_job, &h, &e), 0);
	assert_true(index_box_head(ix, STR("/home/u/Maildir"), &got));
	assert_int_equal(got.box, 7);
	assert_int_equal(got.messages, 50);
	assert_true(got.wire_sum == UINT64_C(1) << 40);
	assert_string_equal(got.guid, h.guid);
	assert_true(str_eq(got.keywords, h.keywords));
	assert_true(str_eq(got.backend, h.backend));
	assert_true(str_eq(got.live, h.live));
	assert_int_equal(got.recents.n, 0);
	assert_false(index_box_head(ix, STR("/home/u/Mail"), &got));
	index_close(&ix);
}

static int
slots_job(struct index *ix, UNUSED void *arg, struct err *e)
{
	for (uint32_t uid = 1; uid <= 300; uid++)
		if (cache_put(ix, 1, INDEX_ENVELOPE, uid, STR("env"), e) ||
		    cache_put(ix, 1, INDEX_FIELDS, uid, STR("fields"), e) ||
		    cache_put(ix, 2, INDEX_FIELDS, uid, STR("other"), e))
			return -1;
	return 0;
}

static int
unslot_job(struct index *ix, void *arg, struct err *e)
{
	return cache_remove(ix, 1, arg, e);
}

static void
test_slots(void **state)
{
	struct index *ix = open_it();
	struct set32 gone;
	struct str v;
	struct err e;

	(void)state;
	set32_init(&gone);
	set32_add_range(&gone, 10, 280);
	set32_add(&gone, 300);
	assert_int_equal(index_write(ix, slots_job, NULL, &e), 0);
	assert_true(cache_get(ix, 1, INDEX_ENVELOPE, 20, &v));
	assert_int_equal(index_write(ix, unslot_job, &gone, &e), 0);
	for (uint32_t uid = 1; uid <= 300; uid++) {
		bool there = !set32_has(&gone, uid);

		assert_int_equal(
		    cache_get(ix, 1, INDEX_ENVELOPE, uid, &v), there);
		assert_int_equal(
		    cache_get(ix, 1, INDEX_FIELDS, uid, &v), there);
		assert_true(cache_get(ix, 2, INDEX_FIELDS, uid, &v));
	}
	set32_done(&gone);
	index_close(&ix);
	assert_int_equal(warnings, 0);
}

struct gone_job {
	uint64_t modseq, from;
	struct set32 uids;
};

static int
gone_write(struct index *ix, void *arg, struct err *e)
{
	struct gone_job *g = arg;

	return modlog_add(ix, 3, g->modseq, &g->uids, &g->from, e);
}

static void
test_modlog(void **state)
{
	struct index *ix = open_it();
	struct gone_job g = {.from = 0};
	struct set32 out;
	uint64_t first = UINT64_C(1790000000000000);
	struct err e;

	(void)state;
	clock_set_for_test(-1, (int64_t)first);
	assert_true(modlog_next(0) == first);
	assert_true(modlog_next(first) == first + 1);
	assert_true(modlog_next(first + 99) == first + 100);
	set32_init(&out);
	set32_init(&g.uids);
	g.from = first - 1;
	for (uint32_t i = 0; i < 100; i++) {
		set32_clear(&g.uids);
		set32_add_range(&g.uids, i * 10 + 1, i * 10 + 3);
		g.modseq = first + i;
		assert_int_equal(index_write(ix, gone_write, &g, &e), 0);
	}
	assert_true(modlog_vanished(ix, 3, first + 89, g.from, &out));
	assert_int_equal(set32_count(&out), 30);
	assert_true(set32_has(&out, 901));
	assert_false(set32_has(&out, 891));
	set32_clear(&out);
	assert_true(modlog_vanished(ix, 3, first + 99, g.from, &out));
	assert_true(set32_is_empty(&out));
	assert_false(modlog_vanished(ix, 3, first - 2, g.from, &out));
	/* By age. */
	g.modseq = first + (MODLOG_AGE_S + 3600) * 1000000;
	assert_int_equal(index_write(ix, gone_write, &g, &e), 0);
	assert_true(g.from > first + 99);
	assert_false(modlog_vanished(ix, 3, first + 50, g.from, &out));
	set32_clear(&out);
	assert_true(modlog_vanished(ix, 3, g.from, g.from, &out));
	assert_int_equal(set32_count(&out), 3);
	set32_done(&out);
	set32_done(&g.uids);
	index_close(&ix);
	assert_int_equal(warnings, 0);
}

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
	    T(test_other_version),
	    T(test_reboot),
	    T(test_wrong_sum),
	    T(test_crash),
	    T(test_edited),
	    T(test_no_right),
	    T(test_no_room),
	    T(test_killed_writers),
	    T(test_stale_readers),
	    T(test_two_processes),
	    T(test_sets),
	    T(test_sum),
	    T(test_chunks),
	    T(test_side),
	    T(test_head),
	    T(test_slots),
	    T(test_modlog),
	};

	if (argc == 4)
		return run_mode(argv[1], argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
