/* SPDX-License-Identifier: ISC */
/* file_test.c - files that are not what they seem, whole replacements. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/file.h"

static char dir[64];
static int at;
static struct file_perm perm;

static int
setup(void **state)
{
	struct err e;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/restante-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	at = file_open_dir(AT_FDCWD, dir, false, &e);
	assert_true(at != -1);
	assert_int_equal(file_perm_of(at, &perm, &e), 0);
	return 0;
}

static int
teardown(void **state)
{
	struct err e;

	(void)state;
	close(at);
	assert_int_equal(file_remove_tree(AT_FDCWD, dir, &e), 0);
	return 0;
}

static void
test_only_regular_files(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(mkfifoat(at, "fifo", 0600), 0);
	assert_int_equal(symlinkat("/etc/passwd", at, "link"), 0);
	assert_int_equal(mkdirat(at, "dir", 0700), 0);
	/* A fifo does not hold us up, a link is not followed. */
	assert_int_equal(file_open(at, "fifo", NULL, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(file_open(at, "link", NULL, &e), -1);
	assert_int_equal(file_open(at, "dir", NULL, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(file_open(at, "none", NULL, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(file_open_dir(at, "link", false, &e), -1);
	assert_int_equal(file_create(at, "link", &perm, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(
	    file_replace(at, "x", "link", STR("a"), &perm, NULL, &e), -1);
}

static void
test_replace_and_load(void **state)
{
	struct file_stamp one, two, three;
	struct buf b;
	struct stat st;
	struct err e;

	(void)state;
	perm.file_mode = 0640;
	assert_int_equal(
	    file_replace(at, "x", "x.tmp", STR("one\n"), &perm, &one, &e), 0);
	assert_true(file_stamp_at(at, "x", &two));
	assert_true(file_stamp_eq(&one, &two));
	assert_int_equal(
	    file_replace(at, "x", "x.tmp", STR("two\n"), &perm, &two, &e), 0);
	assert_false(file_stamp_eq(&one, &two));
	assert_int_equal(faccessat(at, "x.tmp", F_OK, 0), -1);
	buf_init(&b, 4);
	assert_int_equal(file_load(at, "x", &b, &st, &e), 0);
	assert_true(str_eq(buf_str(&b), STR("two\n")));
	assert_int_equal(st.st_mode & 0777, 0640);
	buf_done(&b);
	buf_init(&b, 3);
	assert_int_equal(file_load(at, "x", &b, NULL, &e), -1);
	assert_int_equal(e.code, ERR_LIMIT);
	buf_done(&b);
	assert_true(file_stamp_at(at, "none", &three));
	assert_int_equal(three.ino, 0);
}

static void
test_load_large(void **state)
{
	enum { SIZE = 300 * 1000 };
	char *bytes = malloc(SIZE);
	struct buf b;
	struct err e;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	assert_int_equal(
	    file_replace(at, "x", "t", str_make(bytes, SIZE), &perm, NULL, &e),
	    0);
	buf_init(&b, SIZE);
	assert_int_equal(file_load(at, "x", &b, NULL, &e), 0);
	assert_int_equal(b.n, SIZE);
	assert_memory_equal(b.p, bytes, SIZE);
	buf_done(&b);
	free(bytes);
}

static void
test_rename_replaces_nothing(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(
	    file_replace(at, "a", "t", STR("a"), &perm, NULL, &e), 0);
	assert_int_equal(
	    file_replace(at, "b", "t", STR("b"), &perm, NULL, &e), 0);
	assert_int_equal(file_rename_new(at, "a", at, "b", &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(file_rename_free(at, "a", at, "b", &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(file_rename_new(at, "a", at, "c", &e), 0);
	assert_int_equal(file_rename_free(at, "c", at, "d", &e), 0);
	assert_int_equal(file_rename_free(at, "c", at, "e", &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void
test_remove_tree_stays_inside(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(mkdirat(at, "keep", 0700), 0);
	assert_int_equal(
	    file_replace(at, "keep/x", "t", STR("x"), &perm, NULL, &e), 0);
	assert_int_equal(mkdirat(at, "gone", 0700), 0);
	assert_int_equal(mkdirat(at, "gone/deep", 0700), 0);
	assert_int_equal(symlinkat("../keep", at, "gone/link"), 0);
	assert_int_equal(
	    file_replace(at, "gone/deep/y", "t", STR("y"), &perm, NULL, &e), 0);
	assert_int_equal(file_remove_tree(at, "gone", &e), 0);
	assert_int_equal(file_remove_tree(at, "gone", &e), 0);
	assert_int_equal(faccessat(at, "gone", F_OK, 0), -1);
	assert_int_equal(faccessat(at, "keep/x", F_OK, 0), 0);
}

static void
test_make_path(void **state)
{
	char path[200];
	struct err e;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/a/b/c", dir);
	assert_int_equal(file_make_path(path, &e), 0);
	assert_int_equal(file_make_path(path, &e), 0);
	assert_int_equal(faccessat(at, "a/b/c", F_OK, 0), 0);
	assert_int_equal(
	    file_replace(at, "file", "t", STR("x"), &perm, NULL, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/file/x", dir);
	assert_int_equal(file_make_path(path, &e), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_only_regular_files),
	    T(test_replace_and_load),
	    T(test_load_large),
	    T(test_rename_replaces_nothing),
	    T(test_remove_tree_stays_inside),
	    T(test_make_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
