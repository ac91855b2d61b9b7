/* SPDX-License-Identifier: ISC */
/*
 * steps_test.c - nothing that one session wants holds up another one: large
 * operations come in many short steps, and a lock that an outsider holds is
 * waited for between steps, not in one.
 */
#include "../tests/lib/steps.h"

#include "os/lock.h"

#define MANY 10000

static void
fill(const struct box *b, const char *dir, unsigned n)
{
	char rel[100];

	for (unsigned i = 1; i <= n; i++) {
		(void)snprintf(
		    rel, sizeof(rel), "%s/%u.M%uP1.h:2,S", dir, 1000000 + i, i);
		box_write(b, rel, "A: b\n\nc\n");
	}
}

static int
setup(void **state)
{
	struct box *b = mem_new(1, sizeof(*b));

	box_init_fast(b);
	b->poll_only = true;
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	box_done(*state);
	free(*state);
	return 0;
}

/* ---- large operations ---------------------------------------------------- */

static void
test_open(void **state)
{
	struct box *b = *state;
	struct view *v = NULL, *other;
	struct times t;
	enum step step;
	struct err e;

	fill(b, "cur", MANY);
	box_dirs(b, ".Other");
	box_open(b);
	other = box_view(b, "Other", false);
	times_begin(&t);
	do {
		step = STEP(&t, b->store,
		    view_open(b->store, STR("INBOX"), false, &v, &e));
		other_noop(&t, other);
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(view_count(v), MANY);
	assert_short_steps(&t, 2);
	view_close(&v);
	view_close(&other);
}

static void
copy_many(struct box *b, bool move)
{
	struct view *v, *beside, *there;
	struct set32 all = box_set(1, MANY);
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	struct times t;
	enum step step;
	struct err e;

	fill(b, "cur", MANY);
	box_dirs(b, ".To");
	box_open(b);
	v = box_view(b, "INBOX", false);
	beside = box_view(b, "INBOX", false);
	there = box_view(b, "To", false);
	times_begin(&t);
	do {
		step = STEP(&t, b->store,
		    view_copy(v, &all, STR("To"), move, &job, &r, &e));
		other_noop(&t, beside);
		other_noop(&t, there);
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_short_steps(&t, 6);
	(void)box_sync(there, true);
	assert_int_equal(view_count(there), MANY);
	assert_int_equal(view_count(beside), move ? 0 : MANY);
	assert_int_equal(set32_count(&r.to), MANY);
	copy_job_free(&job);
	set32_done(&all);
	set32_done(&r.from);
	set32_done(&r.to);
	view_close(&v);
	view_close(&beside);
	view_close(&there);
}

static void
test_copy(void **state)
{
	copy_many(*state, false);
}

static void
test_move(void **state)
{
	copy_many(*state, true);
}

/* Given up at each of many steps: nothing in the target, no lock left. */
static void
test_copy_given_up(void **state)
{
	struct box *b = *state;
	struct set32 all = box_set(1, 2000);
	struct view *v, *there;

	fill(b, "cur", 2000);
	box_dirs(b, ".To");
	box_open(b);
	v = box_view(b, "INBOX", false);
	there = box_view(b, "To", false);
	for (unsigned steps = 1;; steps += 3) {
		struct copy_job *job = NULL;
		struct copy_result r = {0};
		enum step step = STEP_MORE;
		struct err e;

		for (unsigned i = 0; i < steps && step == STEP_MORE; i++)
			step =
			    view_copy(v, &all, STR("To"), false, &job, &r, &e);
		copy_job_free(&job);
		set32_done(&r.from);
		set32_done(&r.to);
		assert_false(box_has(b, ".To/dovecot-uidlist.lock"));
		assert_int_equal(box_files(b, ".To/tmp"), 0);
		(void)box_sync(there, true);
		if (step == STEP_DONE || view_count(there) == 2000)
			break; /* too late to give up */
		assert_int_equal(step, STEP_MORE);
		assert_int_equal(view_count(there), 0);
		assert_int_equal(box_files(b, ".To/cur"), 0);
	}
	(void)box_sync(there, true);
	assert_int_equal(view_count(there), 2000);
	set32_done(&all);
	view_close(&v);
	view_close(&there);
}

static void
count_expunge(void *arg, uint32_t seq, uint32_t uid)
{
	uint32_t *next = arg;

	(void)seq;
	assert_true(*next == 0 || uid < *next);
	*next = uid;
}

/* All messages go by another program; so many replies are one large thing. */
static void
test_sync(void **state)
{
	static const struct view_sink sink = {.expunge = count_expunge};
	struct box *b = *state;
	struct view *v;
	char rel[100];
	uint32_t last = 0;
	struct times t;
	enum step step;
	struct err e;

	fill(b, "cur", MANY);
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (unsigned i = 1; i <= MANY; i++) {
		(void)snprintf(
		    rel, sizeof(rel), "cur/%u.M%uP1.h:2,S", 1000000 + i, i);
		box_unlink(b, rel);
	}
	times_begin(&t);
	do
		step = STEP(&t, b->store, view_sync(v, true, &sink, &last, &e));
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(last, 1);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
}

static void
test_list_and_delete(void **state)
{
	struct box *b = *state;
	struct list_job *job = NULL;
	struct mbox_entry *first = NULL;
	struct times t;
	struct arena a;
	unsigned n = 0, phase = 0;
	char name[40];
	enum step step;
	struct err e;

	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), ".f%u", i);
		assert_int_equal(mkdir(box_path(b, name), 0700), 0);
	}
	box_dirs(b, ".Big");
	fill(b, ".Big/cur", MANY);
	box_open(b);
	arena_init(&a);
	times_begin(&t);
	do
		step = STEP(&t, b->store,
		    store_list(b->store, LIST_EXISTING, &a, &job, &first, &e));
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	for (; first != NULL; first = first->next)
		n++;
	assert_true(n >= 3002);
	assert_short_steps(&t, 1);
	list_job_free(&job);
	arena_done(&a);
	times_begin(&t);
	do
		step = STEP(&t, b->store,
		    store_delete(b->store, STR("Big"), &phase, &e));
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_short_steps(&t, 2);
	assert_false(box_has(b, ".Big"));
	assert_false(box_has(b, "..DOVECOT-TRASHED"));
}

/* With a limit, CREATE counts first: others have their turn meanwhile. */
static void
test_create_counts(void **state)
{
	struct box *b = *state;
	struct view *other;
	struct times t;
	char name[40];
	enum step step;
	struct err e;

	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), ".f%u", i);
		assert_int_equal(mkdir(box_path(b, name), 0700), 0);
	}
	b->mailboxes_max = MANY + 3; /* with INBOX */
	box_open(b);
	other = box_view(b, "INBOX", false);
	times_begin(&t);
	do {
		step = STEP(&t, b->store, store_count_mailboxes(b->store));
		other_noop(&t, other);
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_short_steps(&t, 2);
	view_close(&other);
	if (store_create(b->store, STR("one"), &e) == -1)
		fail_msg("%s", e.text);
	/* What was counted before another one came counts no more. */
	while (store_count_mailboxes(b->store) == STEP_MORE)
		;
	assert_int_equal(store_create(b->store, STR("two"), &e), 0);
	assert_int_equal(store_create(b->store, STR("three"), &e), -1);
	assert_int_equal(e.code, ERR_OVER_QUOTA);
	while (store_count_mailboxes(b->store) == STEP_MORE)
		;
	assert_int_equal(store_create(b->store, STR("three"), &e), -1);
	assert_int_equal(e.code, ERR_OVER_QUOTA);
}

static void
test_status_with_sizes(void **state)
{
	struct box *b = *state;
	struct status_job *job = NULL;
	struct mailbox_status st;
	struct times t;
	enum step step;
	struct err e;

	fill(b, "cur", MANY);
	box_open(b);
	times_begin(&t);
	do
		step = STEP(&t, b->store,
		    store_status(b->store, STR("INBOX"), true, &job, &st, &e));
	while (step == STEP_MORE);
	status_job_free(&job);
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(st.messages, MANY);
	assert_int_equal(st.size, MANY * 11);
	assert_short_steps(&t, 2);
}

/* ---- locks --------------------------------------------------------------- */

/* Of a process elsewhere, so that nobody can ask whether it lives. */
static void
put_lock(const struct box *b)
{
	box_write(b, "dovecot-uidlist.lock", "1:elsewhere");
}

/* `other` works while an operation waits; then the lock goes. */
#define ASSERT_WAITS(b, t, other, call)                                        \
	do {                                                                   \
		enum step step_;                                               \
		put_lock(b);                                                   \
		times_begin(&(t));                                             \
		for (unsigned i_ = 0; i_ < 5;) {                               \
			step_ = STEP(&(t), (b)->store, (call));                \
			assert_int_equal(step_, STEP_MORE);                    \
			i_ = (t).waits;                                        \
			other_noop(&(t), other);                               \
		}                                                              \
		if ((t).longest_us > 100000 || (t).others_us > 100000)         \
			fail_msg("slept in a step");                           \
		box_unlink(b, "dovecot-uidlist.lock");                         \
		while ((step_ = (call)) == STEP_MORE)                          \
			store_pause((b)->store);                               \
		assert_int_equal(step_, STEP_DONE);                            \
	} while (0)

static void
test_lock(void **state)
{
	struct box *b = *state;
	struct view *other, *v = NULL;
	struct append *a;
	struct str label = STR("label");
	const struct flag_wish w = {FLAG_SEEN, &label, 1};
	struct set32 uids, all = box_set(1, 3);
	uint32_t validity, at = 0;
	struct times t;
	struct err e;

	box_dirs(b, ".Other");
	box_open(b);
	other = box_view(b, "Other", false);
	/* No UID map yet. */
	ASSERT_WAITS(
	    b, t, other, view_open(b->store, STR("INBOX"), false, &v, &e));
	set32_init(&uids);
	assert_int_equal(now_append_begin(b->store, STR("INBOX"), &a, &e), 0);
	assert_int_equal(append_message(a, &w, -1, 8, &e), 0);
	assert_int_equal(append_data(a, STR("A: b\n\nc\n"), &e), 0);
	ASSERT_WAITS(b, t, other, append_commit(a, &validity, &uids, &e));
	assert_int_equal(set32_count(&uids), 1);
	append_free(&a);
	(void)box_sync(v, true);
	assert_string_equal(box_flags(v, 1), "S label");
	/* A new keyword needs the lock. */
	label = STR("another");
	ASSERT_WAITS(b, t, other,
	    view_store(v, &all, STORE_ADD, &w, true, &at, NULL, &e));
	assert_string_equal(box_flags(v, 1), "S label another");
	set32_done(&uids);
	set32_done(&all);
	view_close(&v);
	view_close(&other);
}

/* Known messages are served although new ones can get no UIDs. */
static void
test_sync_without_the_lock(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_msg(b, "cur/1000.M1P1.h:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	put_lock(b);
	box_msg(b, "new/1001.M1P1.h");
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(view_count(v), 1);
	box_unlink(b, "dovecot-uidlist.lock");
	for (int i = 0; i < 100 && view_count(v) == 1; i++) {
		(void)box_sync(v, true);
		(void)usleep(20000);
	}
	assert_int_equal(view_count(v), 2);
	view_close(&v);
}

static void
test_subscriptions_lock(void **state)
{
	struct box *b = *state;
	struct view *other;
	struct times t;
	enum step step = STEP_MORE;
	struct err e;

	box_open(b);
	other = box_view(b, "INBOX", false);
	box_write(b, "subscriptions.lock", "1:elsewhere");
	times_begin(&t);
	while (step == STEP_MORE && t.waits < 6) {
		step = STEP(&t, b->store,
		    store_subscribe(b->store, STR("a"), true, &e));
		other_noop(&t, other);
	}
	assert_int_equal(step, STEP_MORE);
	assert_true(t.longest_us < 100000 && t.others_us < 100000);
	box_unlink(b, "subscriptions.lock");
	assert_int_equal(now_subscribe(b->store, STR("a"), true, &e), 0);
	assert_non_null(strstr(box_read(b, "subscriptions"), "a\n"));
	view_close(&other);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_open),
	    TEST(test_copy),
	    TEST(test_move),
	    TEST(test_copy_given_up),
	    TEST(test_sync),
	    TEST(test_list_and_delete),
	    TEST(test_create_counts),
	    TEST(test_status_with_sizes),
	    TEST(test_lock),
	    TEST(test_sync_without_the_lock),
	    TEST(test_subscriptions_lock),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
