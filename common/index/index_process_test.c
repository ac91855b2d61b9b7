/* SPDX-License-Identifier: ISC */
/*
 * index_process_test.c - the index of a process that ends as it should not, has
 * no room, or is not alone; after a reboot, and with any bytes changed.
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
		(void)execl("/proc/self/exe", "index_process_test", mode, dir,
		    now, (char *)NULL);
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

/* ---- as a program of its own ----------------------------------------------- */

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
	    T(test_reboot),
	    T(test_crash),
	    T(test_edited),
	    T(test_no_room),
	    T(test_two_processes),
	};

	if (argc == 4)
		return run_mode(argv[1], argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
