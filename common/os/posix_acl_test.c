/* SPDX-License-Identifier: ISC */
/* posix_acl_test.c - access lists: their bytes, and what the kernel makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/posix_acl.h"

static void
test_set(void **state)
{
	struct posix_acl l, again;
	bool full = false;
	struct buf b;

	(void)state;
	posix_acl_of_mode(&l, 0700);
	assert_true(posix_acl_set(&l, POSIX_ACL_USER, 20, 5, &full));
	assert_true(posix_acl_set(&l, POSIX_ACL_USER, 10, 7, &full));
	assert_true(posix_acl_set(&l, POSIX_ACL_GROUP, 15, 4, &full));
	assert_false(posix_acl_set(&l, POSIX_ACL_USER, 20, 5, &full));
	assert_int_equal(posix_acl_of(&l, POSIX_ACL_USER, 20), 5);
	assert_int_equal(posix_acl_of(&l, POSIX_ACL_USER, 10), 7);
	assert_int_equal(posix_acl_of(&l, POSIX_ACL_GROUP, 15), 4);
	assert_int_equal(posix_acl_of(&l, POSIX_ACL_USER, 15), -1);
	/* The owning group gets nothing by the mask that they need. */
	assert_int_equal(l.group, 0);
	assert_int_equal(l.mask, 7);
	buf_init(&b, 4096);
	posix_acl_write(&l, &b);
	assert_true(posix_acl_parse(&again, buf_str(&b)));
	assert_int_equal(again.n, 3);
	assert_int_equal(again.owner, 7);
	assert_int_equal(posix_acl_of(&again, POSIX_ACL_USER, 10), 7);
	for (size_t n = 0; n < b.n; n++)
		if (n != 4 && n % 8 != 4)
			assert_false(posix_acl_parse(&again, str_make(b.p, n)));
	assert_true(posix_acl_set(&l, POSIX_ACL_USER, 10, -1, &full));
	assert_true(posix_acl_set(&l, POSIX_ACL_USER, 20, -1, &full));
	assert_false(posix_acl_set(&l, POSIX_ACL_USER, 20, -1, &full));
	assert_true(posix_acl_set(&l, POSIX_ACL_GROUP, 15, -1, &full));
	assert_false(l.has_mask);
	assert_int_equal(l.group, 0);
	assert_true(posix_acl_set(&l, POSIX_ACL_OTHER, 0, 5, &full));
	assert_int_equal(posix_acl_of(&l, POSIX_ACL_OTHER, 0), 5);
	assert_false(full);
	buf_done(&b);
}

/* What a narrow mask kept from them they do not get when it widens. */
static void
test_mask(void **state)
{
	struct posix_acl l;
	bool full = false;

	(void)state;
	posix_acl_of_mode(&l, 0770);
	(void)posix_acl_set(&l, POSIX_ACL_USER, 10, 7, &full);
	l.mask = 4; /* chmod g=r */
	assert_int_equal(posix_acl_of(&l, POSIX_ACL_USER, 10), 4);
	assert_true(posix_acl_set(&l, POSIX_ACL_USER, 20, 6, &full));
	assert_int_equal(posix_acl_of(&l, POSIX_ACL_USER, 10), 4);
	assert_int_equal(posix_acl_of(&l, POSIX_ACL_USER, 20), 6);
	assert_int_equal(l.group & l.mask, 4);
}

static void
test_full(void **state)
{
	struct posix_acl l;
	bool full = false;

	(void)state;
	posix_acl_of_mode(&l, 0700);
	for (uint32_t i = 0; i < POSIX_ACL_MAX; i++)
		assert_true(posix_acl_set(&l, POSIX_ACL_USER, i, 4, &full));
	assert_false(full);
	assert_false(posix_acl_set(&l, POSIX_ACL_USER, 9999, 4, &full));
	assert_true(full);
}

static void
test_files(void **state)
{
	char dir[] = "/tmp/posix-acl-test.XXXXXX", before[4096], after[4096];
	struct posix_acl l;
	bool is_there, full = false;
	struct err e;
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_non_null(getcwd(before, sizeof(before)));
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	for (int type = POSIX_ACL_ACCESS; type <= POSIX_ACL_DEFAULT; type++) {
		if (posix_acl_load(fd, true, type, &l, &is_there, &e) == -1) {
			assert_int_equal(e.code, ERR_UNSUPPORTED);
			goto out;
		}
		assert_false(is_there);
		if (type == POSIX_ACL_DEFAULT)
			l.owner = 7;
		assert_true(posix_acl_set(&l, POSIX_ACL_USER, 4711, 5, &full));
		assert_int_equal(posix_acl_save(fd, true, type, &l, &e), 0);
		assert_int_equal(
		    posix_acl_load(fd, true, type, &l, &is_there, &e), 0);
		assert_true(is_there);
		assert_int_equal(posix_acl_of(&l, POSIX_ACL_USER, 4711), 5);
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	l = (struct posix_acl){0};
	assert_int_equal(
	    posix_acl_save(fd, true, POSIX_ACL_DEFAULT, &l, &e), 0);
	assert_int_equal(
	    posix_acl_load(fd, true, POSIX_ACL_DEFAULT, &l, &is_there, &e), 0);
	assert_false(is_there);
	assert_non_null(getcwd(after, sizeof(after)));
	assert_string_equal(before, after);
out:
	close(fd);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_set),
	    cmocka_unit_test(test_mask),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
