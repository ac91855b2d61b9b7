/* SPDX-License-Identifier: ISC */
/* watch_test.c - who is told of what, and who no longer. */
#include <ev.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/file.h"
#include "os/watch.h"

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/restante-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	return 0;
}

static int
teardown(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(file_remove_tree(AT_FDCWD, dir, &e), 0);
	return 0;
}

struct seen {
	unsigned n, gone;
	char last[100];
	struct watch **remove; /* when told */
};

static void
on_event(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	struct seen *s = arg;

	(void)cookie;
	if (mask & (IN_IGNORED | IN_DELETE_SELF)) {
		s->gone++;
		return;
	}
	s->n++;
	(void)str_to_c(name, s->last, sizeof(s->last));
	if (s->remove != NULL)
		watch_remove(s->remove);
}

static void
touch(const char *sub, const char *name)
{
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s%s", dir, sub, name);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd != -1);
	close(fd);
}

static void
test_each_hears_of_its_folder(void **state)
{
	struct watch_hub *h;
	struct watch *a, *b, *twin;
	struct seen sa = {0}, sb = {0}, st = {0};
	char path[100];
	struct err e;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/b", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(watch_hub_new(NULL, &h, &e), 0);
	assert_int_equal(
	    watch_add(h, dir, IN_CREATE, on_event, &sa, &a, &e), 0);
	assert_int_equal(
	    watch_add(h, path, IN_CREATE, on_event, &sb, &b, &e), 0);
	/* Twice the same folder: the kernel has one watch for both. */
	assert_int_equal(
	    watch_add(h, path, IN_CREATE, on_event, &st, &twin, &e), 0);
	touch("", "one");
	touch("b/", "two");
	assert_int_equal(sa.n, 0);
	watch_drain(h);
	assert_int_equal(sa.n, 1);
	assert_string_equal(sa.last, "one");
	assert_int_equal(sb.n, 1);
	assert_int_equal(st.n, 1);
	watch_remove(&b);
	touch("b/", "three");
	watch_drain(h);
	assert_int_equal(sb.n, 1);
	assert_int_equal(st.n, 2);
	assert_string_equal(st.last, "three");
	watch_remove(&twin);
	touch("b/", "four");
	watch_drain(h);
	assert_int_equal(st.n, 2);
	watch_hub_free(&h);
}

static void
test_removal_while_told(void **state)
{
	struct watch_hub *h;
	struct watch *a, *b;
	struct seen sa = {0}, sb = {0};
	struct err e;

	(void)state;
	assert_int_equal(watch_hub_new(NULL, &h, &e), 0);
	assert_int_equal(
	    watch_add(h, dir, IN_CREATE, on_event, &sa, &a, &e), 0);
	assert_int_equal(
	    watch_add(h, dir, IN_CREATE, on_event, &sb, &b, &e), 0);
	sa.remove = &b; /* the first removes the second */
	touch("", "one");
	touch("", "two");
	watch_drain(h);
	assert_int_equal(sa.n, 2);
	assert_int_equal(sb.n, 0);
	sa.remove = &a;
	touch("", "three");
	touch("", "four");
	watch_drain(h);
	assert_int_equal(sa.n, 3);
	watch_hub_free(&h);
}

static void
test_folder_goes(void **state)
{
	struct watch_hub *h;
	struct watch *a;
	struct seen s = {0};
	char path[100];
	struct err e;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/b", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(watch_hub_new(NULL, &h, &e), 0);
	assert_int_equal(
	    watch_add(h, path, IN_DELETE_SELF, on_event, &s, &a, &e), 0);
	assert_int_equal(rmdir(path), 0);
	watch_drain(h);
	assert_int_equal(s.gone, 2);
	watch_remove(&a);
	assert_int_equal(
	    watch_add(h, path, IN_CREATE, on_event, &s, &a, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	watch_hub_free(&h);
}

static void
on_loop_event(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	(void)mask;
	(void)cookie;
	(void)name;
	ev_break(arg, EVBREAK_ALL);
}

static void
test_from_the_loop(void **state)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct watch_hub *h;
	struct watch *a;
	struct err e;

	(void)state;
	assert_int_equal(watch_hub_new(loop, &h, &e), 0);
	assert_int_equal(
	    watch_add(h, dir, IN_CREATE, on_loop_event, loop, &a, &e), 0);
	touch("", "one");
	ev_run(loop, 0); /* hangs when nothing is told */
	watch_hub_free(&h);
	ev_loop_destroy(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_each_hears_of_its_folder),
	    T(test_removal_while_told),
	    T(test_folder_goes),
	    T(test_from_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
