/* SPDX-License-Identifier: ISC */
/* shares_test.c - what is told is kept, found by the right ones, and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "shares.h"
#include "tests/lib/unread.h"

static char dir[64];

static int
set_up(UNUSED void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/shares-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	return 0;
}

static int
tear_down(UNUSED void **state)
{
	static const char *const names[] = {SHARE_FILE, SHARE_ADD_FILE};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static void
tell(struct shares *s, enum share_kind kind, uint32_t number, bool gives,
    const char *folder)
{
	char path[200];
	const struct share_record r = {
	    .owner_uid = 1000,
	    .owner = STR("alice"),
	    .kind = kind,
	    .number = number,
	    .gives = gives,
	    .location = STR("maildir:/home/alice/Maildir"),
	    .folder =
		(snprintf(path, sizeof(path), "/home/alice/Maildir%s", folder),
		    str_of(path)),
	};
	struct ev_loop *loop = ev_loop_new(0);

	assert_true(share_record_is_sound(&r));
	shares_take(s, loop, dir, &r);
	ev_timer_stop(loop, &s->save);
	s->loop = NULL;
	ev_loop_destroy(loop);
}

/* Folders that this user hears of: "/.a /.b". */
static void
assert_told(struct shares *s, uint32_t uid, uint32_t gid, const char *wanted)
{
	struct buf b, got;
	struct str rest, field[4];

	buf_init(&b, 1 << 20);
	buf_init(&got, 1 << 20);
	shares_of(s, dir, uid, gid, &b);
	rest = buf_str(&b);
	while (rest.n > 0) {
		for (size_t i = 0; i < 4; i++)
			(void)str_cut(&rest, '\t', &field[i]);
		assert_true(str_eq(field[0], STR("1000")));
		assert_true(str_eq(field[1], STR("alice")));
		(void)buf_addf(&got, "%s%.*s", got.n > 0 ? " " : "",
		    STR_ARG(str_skip(field[3], strlen("/home/alice/Maildir"))));
	}
	(void)buf_add_byte(&got, '\0');
	assert_string_equal(got.p, wanted);
	buf_done(&got);
	buf_done(&b);
}

static void
test_who_hears(UNUSED void **state)
{
	struct shares s;

	shares_init(&s);
	tell(&s, SHARE_ANYONE, 0, true, "/.all");
	tell(&s, SHARE_GROUP, 50, true, "/.group");
	tell(&s, SHARE_USER, 1001, true, "/.one");
	tell(&s, SHARE_USER, 1001, true, "/.one");
	assert_told(&s, 1001, 50, "/.one /.group /.all");
	assert_told(&s, 1002, 1002, "/.all");
	/* Not what is his own. */
	assert_told(&s, 1000, 50, "");
	/* An uid is no gid. */
	assert_told(&s, 50, 1001, "/.all");
	tell(&s, SHARE_USER, 1001, false, "/.one");
	assert_told(&s, 1001, 50, "/.group /.all");
	tell(&s, SHARE_ALL, 0, false, "/.all");
	assert_told(&s, 1001, 50, "/.group");
	shares_done(&s);
	/* It is kept. */
	shares_init(&s);
	assert_told(&s, 1001, 50, "/.group");
	shares_done(&s);
}

static void
test_limits(UNUSED void **state)
{
	struct shares s;
	struct buf b;
	char name[20];

	shares_init(&s);
	for (int i = 0; i < 600; i++) {
		(void)snprintf(name, sizeof(name), "/.%d", i);
		tell(&s, SHARE_ANYONE, 0, true, name);
	}
	assert_int_equal(s.v.n, 500);
	tell(&s, SHARE_USER, 1001, true, "/.mine");
	assert_int_equal(s.v.n, 500);
	buf_init(&b, 1 << 20);
	shares_of(&s, dir, 1001, 1001, &b);
	/* What is shared with him alone comes first, and not all the rest. */
	assert_true(str_find_str(buf_str(&b), STR("/.mine\t")) < 100);
	assert_true(b.n < 64 * 100);
	buf_done(&b);
	shares_done(&s);
}

/* One owner's many do not hide the one of another. */
static void
test_owners_in_turn(UNUSED void **state)
{
	const struct share_record carols = {
	    .owner_uid = 1002,
	    .owner = STR("carol"),
	    .kind = SHARE_ANYONE,
	    .gives = true,
	    .location = STR("maildir:/home/carol/Maildir"),
	    .folder = STR("/home/carol/Maildir/.hers"),
	};
	struct ev_loop *loop = ev_loop_new(0);
	struct shares s;
	struct buf b;
	char name[20];
	size_t n = 0;

	shares_init(&s);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "/.%d", i);
		tell(&s, SHARE_USER, 1001, true, name);
	}
	shares_take(&s, loop, dir, &carols);
	buf_init(&b, 1 << 20);
	shares_of(&s, dir, 1001, 1001, &b);
	assert_true(str_find_str(buf_str(&b), STR("/.hers")) < b.n);
	/* The room that is left is his who has more. */
	for (size_t i = 0; i < b.n; i++)
		n += b.p[i] == '\t';
	assert_int_equal(n, 64 * 4 - 1);
	buf_done(&b);
	shares_done(&s);
	ev_loop_destroy(loop);
}

static void
test_added_lines(UNUSED void **state)
{
	struct shares s;
	char path[128];
	struct stat st;
	FILE *f;

	shares_init(&s);
	assert_told(&s, 1001, 1001, "");
	(void)snprintf(path, sizeof(path), "%s/" SHARE_ADD_FILE, dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs("nonsense\n"
		    "1000\talice\tu\t1001\t+\tmaildir:/home/alice/Maildir\t"
		    "/home/alice/Maildir/.x\n"
		    "1000\talice\tu\t1001\t+\tmaildir:/home/alice/Maildir\t"
		    "/etc\n"
		    "1000\talice\tu\t1001\t+\tmaildir:/home/alice/Maildir\t"
		    "/home/alice/Maildir/.torn",
	    f);
	assert_int_equal(fclose(f), 0);
	assert_told(&s, 1001, 1001, "/.x");
	assert_int_equal(stat(path, &st), -1);
	assert_told(&s, 1001, 1001, "/.x");
	shares_done(&s);
}

/* A list as large as it can be is read at once, not each line against all. */
static void
test_full_list(UNUSED void **state)
{
	struct shares s;
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, SHARE_FILE);
	f = fopen(path, "w");
	assert_non_null(f);
	for (unsigned i = 0; i < 20010; i++)
		(void)fprintf(f,
		    "%u\talice\tu\t%u\t+\tmaildir:/home/alice/Maildir\t"
		    "/home/alice/Maildir/.x%u\n",
		    i % 50 == 0 ? 1000U : 2000 + i, 3000 + i, i);
	assert_int_equal(fclose(f), 0);
	shares_init(&s);
	assert_told(&s, 3000, 3000, "/.x0");
	assert_told(&s, 22950, 3000, "/.x19950");
	assert_told(&s, 23000, 3000, "");
	assert_int_equal(s.v.n, 20000);
	shares_done(&s);
}

/* A list that can not be read just now is not written anew without it. */
static void
test_unread_list(UNUSED void **state)
{
	struct shares s;

	shares_init(&s);
	tell(&s, SHARE_USER, 1001, true, "/.one");
	tell(&s, SHARE_USER, 1001, true, "/.two");
	shares_done(&s);
	no_open = SHARE_FILE;
	shares_init(&s);
	tell(&s, SHARE_USER, 1001, true, "/.three");
	tell(&s, SHARE_USER, 1001, false, "/.one");
	assert_told(&s, 1001, 1001, "");
	no_open = NULL;
	assert_told(&s, 1001, 1001, "/.two /.three");
	shares_done(&s);
	/* Nor at the end; then it can be read again. */
	no_open = SHARE_FILE;
	shares_init(&s);
	tell(&s, SHARE_USER, 1001, true, "/.four");
	shares_done(&s);
	shares_init(&s);
	tell(&s, SHARE_USER, 1001, true, "/.four");
	no_open = NULL;
	shares_done(&s);
	shares_init(&s);
	assert_told(&s, 1001, 1001, "/.two /.three /.four");
	shares_done(&s);
}

/* What would not fit into the file is refused, and the rest is kept whole. */
static void
test_long_list(UNUSED void **state)
{
	enum { LENGTH = SHARE_PATH_MAX - 100 };
	struct ev_loop *loop = ev_loop_new(0);
	char location[LENGTH + 20], folder[LENGTH + 20];
	struct shares s;
	char path[128];
	struct stat st;
	size_t n;

	(void)snprintf(location, sizeof(location), "maildir:/%0*d", LENGTH, 0);
	(void)snprintf(folder, sizeof(folder), "/%0*d/.x", LENGTH, 0);
	shares_init(&s);
	for (unsigned i = 0; i < 32 * 1024 * 1024 / (2 * LENGTH); i++) {
		const struct share_record r = {.owner_uid = 2000 + i,
		    .owner = STR("alice"),
		    .kind = SHARE_USER,
		    .number = 1001,
		    .gives = true,
		    .location = str_of(location),
		    .folder = str_of(folder)};

		assert_true(share_record_is_sound(&r));
		shares_take(&s, loop, dir, &r);
	}
	n = s.v.n;
	shares_done(&s);
	ev_loop_destroy(loop);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, SHARE_FILE);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= 32 * 1024 * 1024);
	shares_init(&s);
	assert_told(&s, 5, 5, "");
	assert_int_equal(s.v.n, n);
	shares_done(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_who_hears, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_owners_in_turn, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_added_lines, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_full_list, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_unread_list, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_long_list, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
