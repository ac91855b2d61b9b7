/* SPDX-License-Identifier: ISC */
/* quota_test.c - the file maildirsize: read, counted anew, enforced. */
#include <dlfcn.h>
#include <ev.h>
#include <linux/quota.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "store/maildir/maildirsize.h"
#include "store/quota.h"
#include "tests/lib/test_store.h"

/* ---- a kernel with quotas, played ---------------------------------------- */

static struct if_dqblk disk;
static bool has_disk;

/* In the place of the C library's: what is not ours goes on to that. */
long
syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
#ifdef SYS_quotactl_fd
	if (number == SYS_quotactl_fd) {
		assert_int_equal(
		    (uint32_t)a[1], QCMD((uint32_t)Q_GETQUOTA, USRQUOTA));
		assert_int_equal(a[2], geteuid());
		if (has_disk)
			memcpy((void *)a[3], &disk, sizeof(disk));
		errno = ESRCH;
		return has_disk ? 0 : -1;
	}
#endif
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- the file ------------------------------------------------------------ */

static void
test_limits(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t bytes, count;
	} cases[] = {
	    {"10000000S,1000C", true, 10000000, 1000},
	    {"1000C,10000000S", true, 10000000, 1000},
	    {"5S", true, 5, 0},
	    {" 7C ", true, 0, 7},
	    {"", true, 0, 0},
	    {",5S,", true, 5, 0},
	    {"5S,9X", true, 5, 0}, /* of a kind to come */
	    {"S", false, 0, 0},
	    {"5", false, 0, 0},
	    {"-5S", false, 0, 0},
	    {"5 S", false, 0, 0},
	    {"99999999999999999999S", false, 0, 0},
	    {"1G", true, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct quota_limits l = {0};
		struct err e;
		bool good =
		    quota_limits_parse(str_of(cases[i].text), &l, &e) == 0;

		if (good != cases[i].good ||
		    (good &&
			(l.bytes != cases[i].bytes ||
			    l.count != cases[i].count)))
			fail_msg("\"%s\"", cases[i].text);
	}
}

static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		bool good;
		int64_t bytes, count;
		uint32_t n_lines;
	} cases[] = {
	    {"100S,10C\n", true, 0, 0, 0},
	    {"100S\n127 1        \n", true, 127, 1, 1},
	    {"100S\n127 1\n-27 0\n  5   -1  \n", true, 105, 0, 3},
	    {"100S\n127 1", true, 127, 1, 1}, /* its end is on the way */
	    {"100S\r\n5 1\r\n\n", true, 5, 1, 1},
	    {"\n5 1\n", true, 5, 1, 1},
	    {"", false, 0, 0, 0},
	    {"100S", false, 0, 0, 0},
	    {"100S\n127\n", false, 0, 0, 0},
	    {"100S\n127 1 1\n", false, 0, 0, 0},
	    {"100S\n127 x\n", false, 0, 0, 0},
	    {"100S\n12-7 1\n", false, 0, 0, 0},
	    {"100S\n-1 0\n", false, 0, 0, 0}, /* below zero */
	    {"100S\n5 1\n0 -2\n", false, 0, 0, 0},
	    {"100S\n9223372036854775807 1\n1 1\n", false, 0, 0, 0},
	    {"bad\n5 1\n", false, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct maildirsize m = {0};
		struct err e;
		bool good =
		    maildirsize_parse(str_of(cases[i].text), &m, &e) == 0;

		if (good != cases[i].good ||
		    (good &&
			(m.bytes != cases[i].bytes ||
			    m.count != cases[i].count ||
			    m.n_lines != cases[i].n_lines)))
			fail_msg("case %zu", i);
		if (!good)
			assert_int_equal(e.code, ERR_CORRUPT);
	}
}

/* ---- with a store -------------------------------------------------------- */

static int
box_setup(void **state)
{
	static struct box b;

	box_init(&b);
	b.loop = ev_loop_new(EVFLAG_NOENV);
	*state = &b;
	return 0;
}

static int
box_teardown(void **state)
{
	struct box *b = *state;

	box_done(b);
	ev_loop_destroy(b->loop);
	return 0;
}

static void
append(struct box *b, const char *name)
{
	struct flag_wish w = {0};
	struct append *a;
	struct set32 uids;
	uint32_t v;
	struct err e;

	set32_init(&uids);
	assert_int_equal(now_append_begin(b->store, str_of(name), &a, &e), 0);
	assert_int_equal(append_message(a, &w, -1, strlen(TEST_MSG), &e), 0);
	assert_int_equal(append_data(a, STR(TEST_MSG), &e), 0);
	assert_int_equal(now_append_commit(a, &v, &uids, &e), 0);
	append_free(&a);
	set32_done(&uids);
}

static enum step
copy_all(struct view *v, const char *to, bool move, struct err *e)
{
	struct copy_result r = {0};
	struct copy_job *job = NULL;
	struct set32 uids;
	enum step step;

	set32_init(&uids);
	set32_copy(&uids, view_uids(v));
	while ((step = view_copy(v, &uids, str_of(to), move, &job, &r, e)) ==
	    STEP_MORE)
		store_pause(view_mailbox(v)->store);
	copy_job_free(&job);
	set32_done(&uids);
	set32_done(&r.from);
	set32_done(&r.to);
	return step;
}

static size_t
ask(struct box *b, struct quota_root *r)
{
	struct quota_root roots[QUOTA_ROOTS] = {0};
	enum step step;
	struct err e;
	size_t n = 0;

	while ((step = store_quota(b->store, roots, &n, &e)) == STEP_MORE)
		;
	assert_int_equal(step, STEP_DONE);
	*r = roots[0];
	return n;
}

static enum step
may_add(struct box *b, const char *name, uint64_t bytes, uint64_t count,
    struct err *e)
{
	enum step step;

	while ((step = store_quota_may_add(
		    b->store, str_of(name), bytes, count, e)) == STEP_MORE)
		;
	return step;
}

static void
make_old(struct box *b, const char *name)
{
	const struct timespec old[2] = {
	    {.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

	assert_int_equal(utimensat(AT_FDCWD, box_path(b, name), old, 0), 0);
}

static void
test_none(void **state)
{
	struct box *b = *state;
	struct quota_root r;
	struct err e;

	box_open(b);
	assert_int_equal(ask(b, &r), 0);
	assert_int_equal(may_add(b, "INBOX", UINT64_MAX, 1, &e), STEP_DONE);
	assert_false(box_has(b, "maildirsize"));
	/* What can not be understood is no limit that we would make up. */
	box_write(b, "maildirsize", "nonsense");
	assert_int_equal(ask(b, &r), 0);
	assert_int_equal(may_add(b, "INBOX", UINT64_MAX, 1, &e), STEP_DONE);
}

static void
test_limits_of_the_file(void **state)
{
	struct box *b = *state;
	struct quota_root r;
	struct err e;

	box_write(b, "cur/1.a.b,S=70:2,", TEST_MSG); /* not its size */
	box_write(b, "maildirsize", "1000S,3C\n70 1\n");
	box_open(b);
	assert_int_equal(ask(b, &r), 1);
	assert_int_equal(r.bytes, 70);
	assert_int_equal(r.bytes_max, 1000);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.count_max, 3);
	assert_int_equal(may_add(b, "INBOX", 930, 1, &e), STEP_DONE);
	assert_int_equal(may_add(b, "INBOX", 931, 1, &e), STEP_FAIL);
	assert_int_equal(e.code, ERR_OVER_QUOTA);
	assert_int_equal(may_add(b, "INBOX", 1, 2, &e), STEP_DONE);
	assert_int_equal(may_add(b, "INBOX", 1, 3, &e), STEP_FAIL);
	assert_int_equal(may_add(b, "Trash", 5000, 9, &e), STEP_DONE);
	assert_int_equal(may_add(b, "Sent", UINT64_MAX, 1, &e), STEP_FAIL);
}

/* Sums that say "over" are not believed when they are old, or sums. */
static void
test_counted_before_refusing(void **state)
{
	static const char *const texts[] = {
	    "1000S\n500 1\n500 1\n", "1000S\n1000 2\n", /* and old */
	};
	struct box *b = *state;
	struct err e;

	box_write(b, "cur/1.a.b:2,", TEST_MSG);
	box_write(b, "new/2.a.b,S=100", TEST_MSG);
	box_dirs(b, ".Sent");
	box_write(b, ".Sent/cur/3.a.b,S=10,W=12:2,ST", TEST_MSG);
	box_dirs(b, ".Trash");
	box_write(b, ".Trash/cur/4.a.b,S=7777:2,S", TEST_MSG);
	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		box_write(b, "maildirsize", texts[i]);
		if (i == 1)
			make_old(b, "maildirsize");
		assert_int_equal(may_add(b, "INBOX", 500, 1, &e), STEP_DONE);
		assert_string_equal(
		    box_read(b, "maildirsize"), "1000S\n237 3        \n");
	}
	/* Fresh, one line, and over: believed. */
	box_write(b, "maildirsize", "1000S\n1000 2\n");
	assert_int_equal(may_add(b, "INBOX", 500, 1, &e), STEP_FAIL);
	assert_string_equal(box_read(b, "maildirsize"), "1000S\n1000 2\n");
}

static void
test_setting(void **state)
{
	struct box *b = *state;
	struct quota_root r;
	struct err e;

	box_write(b, "new/2.a.b,S=100", TEST_MSG);
	b->quota = "1000S,2C";
	box_open(b);
	assert_false(box_has(b, "maildirsize"));
	assert_int_equal(ask(b, &r), 1);
	assert_int_equal(r.bytes, 100);
	assert_int_equal(r.count_max, 2);
	assert_string_equal(
	    box_read(b, "maildirsize"), "1000S,2C\n100 1        \n");
	/* Other limits, or rubbish, in the file: written anew. */
	box_write(b, "maildirsize", "5S\n0 0\n");
	assert_int_equal(may_add(b, "INBOX", 500, 1, &e), STEP_DONE);
	assert_string_equal(
	    box_read(b, "maildirsize"), "1000S,2C\n100 1        \n");
	box_write(b, "maildirsize", "1000S,2C\nrubbish\n");
	assert_int_equal(may_add(b, "INBOX", 900, 1, &e), STEP_DONE);
	assert_int_equal(may_add(b, "INBOX", 901, 1, &e), STEP_FAIL);
	assert_int_equal(e.code, ERR_OVER_QUOTA);
	assert_string_equal(
	    box_read(b, "maildirsize"), "1000S,2C\n100 1        \n");
}

/* It has grown large: sums hold for now, and it is counted by and by. */
static void
test_large(void **state)
{
	struct box *b = *state;
	struct quota_root r;
	struct buf text;
	int rounds = 0;

	box_write(b, "new/2.a.b,S=100", TEST_MSG);
	buf_init(&text, 20000);
	buf_add_c(&text, "100000S\n");
	while (text.n < MAILDIRSIZE_LARGE)
		buf_add_c(&text, "1 0          \n");
	buf_add_byte(&text, '\0');
	box_write(b, "maildirsize", text.p);
	buf_done(&text);
	box_open(b);
	assert_int_equal(ask(b, &r), 1);
	assert_in_range(r.bytes, 300, 400);
	while (strcmp(box_read(b, "maildirsize"), "100000S\n100 1        \n") !=
	    0) {
		assert_true(rounds++ < 1000);
		ev_run(b->loop, EVRUN_ONCE);
	}
}

/* Mail that comes while we count is not lost to the sum. */
static void
test_changed_meanwhile(void **state)
{
	struct box *b = *state;
	struct quota_root roots[QUOTA_ROOTS], r;
	struct err e;
	size_t n;

	box_write(b, "new/2.a.b,S=100", TEST_MSG);
	make_old(b, "new");
	b->quota = "1000S";
	box_open(b);
	/* The first step lists folders, the others count. */
	assert_int_equal(store_quota(b->store, roots, &n, &e), STEP_MORE);
	assert_int_equal(ask(b, &r), 1);
	assert_true(box_has(b, "maildirsize"));
	assert_int_equal(unlink(box_path(b, "maildirsize")), 0);
	clock_set_for_test(clock_mono_ms(), -1);
	while (store_quota(b->store, roots, &n, &e) == STEP_MORE)
		box_write(b, "new/3.a.b,S=5", TEST_MSG);
	clock_set_for_test(-1, -1);
	assert_int_equal(ask(b, &r), 1);
	assert_int_equal(r.bytes, 105);
}

static void
test_disk(void **state)
{
	static const struct {
		uint64_t soft, hard, max; /* KiB */
	} cases[] = {{0, 0, 0}, {10, 20, 20}, {10, 0, 10}, {0, 20, 20}};
	struct box *b = *state;
	struct quota_root roots[QUOTA_ROOTS];
	struct err e;
	size_t n;

	b->quota = "1000S";
	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		has_disk = true;
		disk = (struct if_dqblk){.dqb_curspace = 5000,
		    .dqb_bsoftlimit = cases[i].soft,
		    .dqb_bhardlimit = cases[i].hard};
		while (store_quota(b->store, roots, &n, &e) == STEP_MORE)
			;
		has_disk = false;
		assert_int_equal(n, cases[i].max == 0 ? 1 : 2);
		if (n == 1)
			continue;
		assert_int_equal(roots[1].kind, QUOTA_DISK);
		assert_int_equal(roots[1].bytes, 5000);
		assert_int_equal(roots[1].bytes_max, cases[i].max * 1024);
		assert_int_equal(roots[1].count_max, 0);
	}
	while (store_quota(b->store, roots, &n, &e) == STEP_MORE)
		;
	assert_int_equal(n, 1);
}

/* The same through what clients do. */
static void
test_append_and_copy(void **state)
{
	struct box *b = *state;
	struct quota_root r;
	struct view *v;
	struct err e;

	b->quota = "300S";
	box_open(b);
	append(b, "INBOX");
	assert_int_equal(ask(b, &r), 1);
	assert_int_equal(r.bytes, 127);
	v = box_view(b, "INBOX", false);
	assert_int_equal(copy_all(v, "Sent", false, &e), STEP_DONE);
	assert_int_equal(copy_all(v, "Sent", false, &e), STEP_FAIL);
	assert_int_equal(e.code, ERR_OVER_QUOTA);
	assert_int_equal(copy_all(v, "Trash", false, &e), STEP_DONE);
	/* What is the user's already moves. */
	assert_int_equal(copy_all(v, "Sent", true, &e), STEP_DONE);
	assert_int_equal(ask(b, &r), 1);
	assert_int_equal(r.bytes, 254);
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_parse),
#define T(f) cmocka_unit_test_setup_teardown(f, box_setup, box_teardown)
	    T(test_none),
	    T(test_limits_of_the_file),
	    T(test_counted_before_refusing),
	    T(test_setting),
	    T(test_large),
	    T(test_changed_meanwhile),
	    T(test_disk),
	    T(test_append_and_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
