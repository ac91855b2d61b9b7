/* SPDX-License-Identifier: ISC */
/* keep_test.c - the salt key stays; a bad file is neither used nor replaced. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "keep.h"

static char dir[64], path[128];

static int
set_up(UNUSED void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/keep-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/state/" KEEP_SALT_FILE, dir);
	return 0;
}

static int
tear_down(UNUSED void **state)
{
	char state_dir[128];

	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	(void)unlink(path);
	(void)rmdir(path);
	(void)rmdir(state_dir);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* What a fresh master gets. */
static void
get(char out[KEEP_SALT_BYTES])
{
	char state_dir[128];
	struct keep k;
	struct str salt;

	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	keep_init(&k);
	salt = keep_salt(&k, state_dir);
	assert_int_equal(salt.n, KEEP_SALT_BYTES);
	memcpy(out, salt.p, KEEP_SALT_BYTES);
	/* Whatever happens to the file, this master stays with it. */
	assert_memory_equal(keep_salt(&k, "/nowhere").p, out, KEEP_SALT_BYTES);
	keep_done(&k);
}

static void
test_salt_stays(UNUSED void **state)
{
	char a[KEEP_SALT_BYTES], b[KEEP_SALT_BYTES];
	struct stat st;

	get(a);
	get(b);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(unlink(path), 0);
	get(b);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void
test_bad_files(UNUSED void **state)
{
	char a[KEEP_SALT_BYTES], b[KEEP_SALT_BYTES];
	struct stat st;

	get(a);
	/* Others may read it: not secret any more. */
	assert_int_equal(chmod(path, 0644), 0);
	get(b);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(chmod(path, 0600), 0);
	get(b);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(truncate(path, 3), 0);
	get(a);
	get(b);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	get(a);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	get(a);
}

static void
test_memory_keeps_its_size(UNUSED void **state)
{
	struct keep k;
	struct err e;
	int fd;

	keep_init(&k);
	fd = keep_penalty_fd(&k, &e);
	assert_int_not_equal(fd, -1);
	assert_int_equal(keep_penalty_fd(&k, &e), fd);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, KEEP_PENALTY_BYTES * 2), -1);
	keep_done(&k);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_salt_stays, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_bad_files, set_up, tear_down),
	    cmocka_unit_test(test_memory_keeps_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
