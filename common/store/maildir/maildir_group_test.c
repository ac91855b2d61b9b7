/* SPDX-License-Identifier: ISC */
/*
 * maildir_group_test.c - messages that are appended at the same time: all come,
 * whoever is given up in between.
 */
#include <sys/syscall.h>

#include "base/clock.h"
#include "tests/lib/fresh_box.h"
#include "store/maildir/maildir_save.h"
#include "store/maildir/maildir_test.h"

#define N 3

static unsigned dir_syncs, locks;
static int rename_errno;
static bool sync_fails; /* of a file */

int
fsync(int fd)
{
	struct stat st;
	bool is_dir = syscall(SYS_fstat, fd, &st) == 0 && S_ISDIR(st.st_mode);

	dir_syncs += is_dir;
	if (sync_fails && !is_dir) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int
linkat(int d1, const char *from, int d2, const char *to, int flags)
{
	locks += strcmp(to, "dovecot-uidlist.lock") == 0;
	return (int)syscall(SYS_linkat, d1, from, d2, to, flags);
}

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	if (rename_errno != 0 && strstr(to, ",S=") != NULL) {
		errno = rename_errno;
		return -1;
	}
	return (int)syscall(SYS_renameat2, d1, from, d2, to, flags);
}

struct group {
	struct append *a[N];
	struct set32 uids[N];
	enum step step[N];
	struct err e;
};

static void
add(struct append *a, const char *keyword)
{
	struct str k = str_of(keyword != NULL ? keyword : "");
	struct flag_wish w = {
	    .system = FLAG_SEEN, .keywords = &k, .n_keywords = keyword != NULL};
	struct err e;

	if (append_message(a, &w, 5000, sizeof(TEST_MSG) - 1, &e) == -1 ||
	    append_data(a, STR(TEST_MSG), &e) == -1)
		fail_msg("%s", e.text);
}

static void
group_begin(struct box *b, struct group *g)
{
	*g = (struct group){0};
	dir_syncs = locks = 0;
	rename_errno = 0;
	for (unsigned i = 0; i < N; i++) {
		set32_init(&g->uids[i]);
		g->step[i] = STEP_MORE;
		if (now_append_begin(b->store, STR("INBOX"), &g->a[i], &g->e) ==
		    -1)
			fail_msg("%s", g->e.text);
	}
}

/* A step of each, up to `max` in all; false: all have come to their end. */
static bool
group_run(struct box *b, struct group *g, unsigned max)
{
	uint32_t validity;
	unsigned n = 0;
	bool any = true;

	while (any) {
		any = false;
		for (unsigned i = 0; i < N; i++) {
			if (g->step[i] != STEP_MORE || g->a[i] == NULL)
				continue;
			if (n++ == max)
				return true;
			any = true;
			g->step[i] = append_commit(
			    g->a[i], &validity, &g->uids[i], &g->e);
			store_pause(b->store);
		}
	}
	return false;
}

static void
group_done(struct box *b, struct group *g)
{
	/* The one who led goes last. */
	for (unsigned i = N; i-- > 0;) {
		append_free(&g->a[i]);
		set32_done(&g->uids[i]);
	}
	assert_int_equal(box_files(b, "tmp"), 0);
	assert_false(box_has(b, "dovecot-uidlist.lock"));
}

static unsigned
count(struct box *b)
{
	struct view *v = box_view(b, "INBOX", true);
	unsigned n = view_count(v);

	view_close(&v);
	return n;
}

/* One lock, one sync of the folder, UIDs in the order of those who came. */
static void
test_together(void **state)
{
	struct box *b = *state;
	struct group g;

	write_m1(b);
	box_open(b);
	group_begin(b, &g);
	for (unsigned i = 0; i < N; i++)
		add(g.a[i], NULL);
	assert_false(group_run(b, &g, 100));
	assert_int_equal(locks, 1);
	assert_int_equal(dir_syncs, 1);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(g.step[i], STEP_DONE);
		assert_int_equal(set32_count(&g.uids[i]), 1);
		assert_int_equal(set32_at(&g.uids[i], 1), 4 + i);
	}
	group_done(b, &g);
	assert_int_equal(count(b), 6);
	/* And by those who come later. */
	box_close(b);
	box_open(b);
	assert_int_equal(count(b), 6);
}

/* Who brings several, or keywords, commits for himself. */
static void
test_others(void **state)
{
	struct box *b = *state;
	struct group g;

	write_m1(b);
	box_open(b);
	group_begin(b, &g);
	add(g.a[0], NULL);
	add(g.a[0], NULL);
	add(g.a[1], "NonJunk");
	add(g.a[2], NULL);
	assert_false(group_run(b, &g, 1000));
	assert_int_equal(locks, 3);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(g.step[i], STEP_DONE);
	assert_int_equal(set32_count(&g.uids[0]), 2);
	group_done(b, &g);
	assert_int_equal(count(b), 7);
}

/* Each is given up at each step: the others come all the same. */
static void
test_given_up(void **state)
{
	struct box *b = *state;
	struct group g;
	unsigned had = 0, now;
	bool more = true;

	box_open(b);
	store_slice_ms = 0;
	for (unsigned at = 0; more; at++)
		for (unsigned who = 0; who < N; who++) {
			bool was_done;

			group_begin(b, &g);
			for (unsigned i = 0; i < N; i++)
				add(g.a[i], NULL);
			more = group_run(b, &g, at);
			was_done = g.step[who] == STEP_DONE;
			append_free(&g.a[who]);
			assert_false(group_run(b, &g, 1000));
			for (unsigned i = 0; i < N; i++) {
				if (i == who)
					continue;
				assert_int_equal(g.step[i], STEP_DONE);
				assert_int_equal(set32_count(&g.uids[i]), 1);
			}
			group_done(b, &g);
			now = count(b);
			assert_true(now == had + N || now == had + N - 1);
			if (was_done)
				assert_int_equal(now, had + N);
			had = now;
		}
	store_slice_ms = 5;
	assert_true(had > 20);
}

/* What fails, fails for all, and nothing stays. */
static void
test_failure(void **state)
{
	struct box *b = *state;
	struct group g;

	box_open(b);
	group_begin(b, &g);
	for (unsigned i = 0; i < N; i++)
		add(g.a[i], NULL);
	rename_errno = ENOSPC;
	assert_false(group_run(b, &g, 100));
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(g.step[i], STEP_FAIL);
	assert_int_equal(g.e.code, ERR_NO_SPACE);
	group_done(b, &g);
	assert_int_equal(count(b), 0);
	rename_errno = 0;
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), 1);
}

/* Of several that one session brings, none stays in tmp/. */
static void
test_sync_fails(void **state)
{
	struct box *b = *state;
	struct group g;

	box_open(b);
	group_begin(b, &g);
	for (unsigned i = 0; i < N; i++)
		add(g.a[0], NULL);
	sync_fails = true;
	assert_false(group_run(b, &g, 100));
	sync_fails = false;
	assert_int_equal(g.step[0], STEP_FAIL);
	group_done(b, &g);
	assert_int_equal(count(b), 0);
}

/* Commits while another program has the lock for longer than we wait. */
static enum step
commit_locked(struct box *b, unsigned n, struct err *e)
{
	struct append *a;
	struct set32 uids;
	uint32_t validity;
	enum step step;

	set32_init(&uids);
	box_write(b, "dovecot-uidlist.lock", "1:elsewhere");
	if (now_append_begin(b->store, STR("INBOX"), &a, e) == -1)
		fail_msg("%s", e->text);
	for (unsigned i = 0; i < n; i++)
		add(a, NULL);
	while ((step = append_commit(a, &validity, &uids, e)) == STEP_MORE) {
		clock_set_for_test(clock_mono_ms() + 10001, -1);
		store_begin_step(b->store);
	}
	clock_set_for_test(-1, -1);
	append_free(&a);
	set32_done(&uids);
	box_unlink(b, "dovecot-uidlist.lock");
	return step;
}

/* One comes all the same; several come together, or not at all. */
static void
test_locked_for_long(void **state)
{
	struct box *b = *state;
	struct err e;

	write_m1(b);
	box_open(b);
	assert_int_equal(count(b), 3);
	assert_int_equal(commit_locked(b, 1, &e), STEP_DONE);
	assert_int_equal(count(b), 4);
	assert_int_equal(commit_locked(b, 2, &e), STEP_FAIL);
	assert_int_equal(e.code, ERR_IN_USE);
	assert_int_equal(box_files(b, "tmp"), 0);
	assert_int_equal(count(b), 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_together),
	    T(test_others),
	    T(test_given_up),
	    T(test_failure),
	    T(test_sync_fails),
	    T(test_locked_for_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
