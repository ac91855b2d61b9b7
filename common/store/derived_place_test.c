/* SPDX-License-Identifier: ISC */
/*
 * derived_place_test.c - what the index keeps of mailboxes that are removed,
 * renamed, made anew, or removed by other programs.
 */
#include "base/clock.h"
#include "store/derived_impl.h"
#include "tests/lib/indexed_box.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

/* A folder of ten messages that the index knows; its highest mod-sequence. */
static uint64_t
fill(struct box *b, const char *dir, const char *name)
{
	char rel[100];
	struct view *v;
	uint64_t modseq;

	box_dirs(b, dir);
	for (int i = 1; i <= 10; i++) {
		(void)snprintf(rel, sizeof(rel), "%s/cur/%d.m:2,", dir, i);
		box_msg(b, rel);
	}
	settle_in(b, dir);
	v = box_view(b, name, false);
	assert_int_equal(view_count(v), 10);
	derived_put(view_mailbox(v), 3, INDEX_ENVELOPE, STR("(three)"));
	derived_flush(b->store);
	modseq = view_mailbox(v)->highest_modseq;
	view_close(&v);
	mailbox_close_idle(b->store, true);
	return modseq;
}

static bool
has_head(struct box *b, const char *rel)
{
	struct index_head h;
	bool has = index_box_head(
	    derived_index(b->store), str_of(box_path(b, rel)), &h);

	derived_pause(b->store);
	return has;
}

static uint64_t
entries(struct box *b)
{
	struct index_figures f;

	derived_pause(b->store);
	index_figures(derived_index(b->store), &f);
	return f.entries;
}

/* Is it opened from the index, with what was known of it? */
static void
check_known(struct box *b, const char *name, uint64_t modseq)
{
	struct view *v = box_view(b, name, false);
	struct str value;

	assert_int_equal(view_mailbox(v)->lazy_top, 10);
	assert_true(view_mailbox(v)->highest_modseq == modseq);
	assert_true(derived_get(view_mailbox(v), 3, INDEX_ENVELOPE, &value));
	assert_true(str_eq(value, STR("(three)")));
	view_close(&v);
	mailbox_close_idle(b->store, true);
}

static void
test_removed(void **state)
{
	struct box *b = *state;
	uint64_t before;
	struct view *v;
	struct err e;

	box_open(b);
	v = box_view(b, "INBOX", false);
	derived_flush(b->store);
	before = entries(b);
	(void)fill(b, ".Old", "Old");
	(void)fill(b, ".Old.Deep", "Old.Deep");
	assert_true(has_head(b, ".Old"));
	assert_int_equal(now_delete(b->store, STR("Old"), &e), 0);
	assert_false(has_head(b, ".Old"));
	assert_true(has_head(b, ".Old.Deep"));
	check_known(b, "Old.Deep", fill(b, ".Old.Deep", "Old.Deep"));
	assert_int_equal(now_delete(b->store, STR("Old.Deep"), &e), 0);
	derived_sweep(b->store);
	/* The number of boxes and the time of the sweep are what remains. */
	assert_true(entries(b) <= before + 2);
	view_close(&v);
}

/* A session has it open, finds facts, and leaves: nothing comes back. */
static void
test_removed_while_open(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	box_open(b);
	(void)fill(b, ".Old", "Old");
	v = box_view(b, "Old", false);
	assert_int_equal(now_delete(b->store, STR("Old"), &e), 0);
	derived_put(view_mailbox(v), 4, INDEX_ENVELOPE, STR("(four)"));
	derived_pause(b->store);
	assert_false(has_head(b, ".Old"));
	derived_put(view_mailbox(v), 5, INDEX_ENVELOPE, STR("(five)"));
	view_close(&v);
	assert_false(has_head(b, ".Old"));
}

static void
test_renamed(void **state)
{
	struct box *b = *state;
	uint64_t modseq[3];
	struct err e;
	struct view *v;

	box_open(b);
	modseq[0] = fill(b, ".A", "A");
	modseq[1] = fill(b, ".A.Sub", "A.Sub");
	modseq[2] = fill(b, ".AB", "AB");
	assert_int_equal(now_rename(b->store, STR("A"), STR("C"), &e), 0);
	assert_false(has_head(b, ".A"));
	assert_false(has_head(b, ".A.Sub"));
	check_known(b, "C", modseq[0]);
	check_known(b, "C.Sub", modseq[1]);
	check_known(b, "AB", modseq[2]);
	/* An open one takes its new place along. */
	v = box_view(b, "AB", false);
	assert_int_equal(now_rename(b->store, STR("AB"), STR("D"), &e), 0);
	assert_int_equal(
	    box_store(v, 3, 3, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	modseq[2] = view_mailbox(v)->highest_modseq;
	settle_in(b, ".D");
	(void)box_sync(v, true);
	derived_flush(b->store);
	view_close(&v);
	mailbox_close_idle(b->store, true);
	assert_false(has_head(b, ".AB"));
	check_known(b, "D", modseq[2]);
}

/* Onto the place of one that another program has removed. */
static void
test_renamed_onto_old(void **state)
{
	struct box *b = *state;
	uint64_t modseq;
	struct err e;

	box_open(b);
	(void)fill(b, ".Gone", "Gone");
	modseq = fill(b, ".A", "A");
	assert_int_equal(
	    file_remove_tree(AT_FDCWD, box_path(b, ".Gone"), &e), 0);
	assert_int_equal(now_rename(b->store, STR("A"), STR("Gone"), &e), 0);
	check_known(b, "Gone", modseq);
}

/* Another program removes a folder; it may come back, within a month. */
static void
test_missing(void **state)
{
	struct box *b = *state;
	uint64_t modseq, before;
	int64_t now_us = clock_wall_us();
	struct err e;

	box_open(b);
	modseq = fill(b, ".A", "A");
	before = entries(b);
	(void)fill(b, ".B", "B");
	derived_sweep(b->store);
	box_move(b, ".A", "away");
	derived_sweep(b->store);
	clock_set_for_test(-1, now_us + 29 * DAY_US);
	derived_sweep(b->store);
	assert_true(has_head(b, ".A"));
	box_move(b, "away", ".A");
	derived_sweep(b->store);
	check_known(b, "A", modseq);
	/* The month begins anew. */
	box_move(b, ".A", "away");
	derived_sweep(b->store);
	clock_set_for_test(-1, now_us + 40 * DAY_US);
	derived_sweep(b->store);
	assert_true(has_head(b, ".A"));
	assert_int_equal(file_remove_tree(AT_FDCWD, box_path(b, ".B"), &e), 0);
	derived_sweep(b->store);
	clock_set_for_test(-1, now_us + 60 * DAY_US);
	derived_sweep(b->store);
	assert_false(has_head(b, ".A"));
	assert_true(has_head(b, ".B"));
	clock_set_for_test(-1, now_us + 80 * DAY_US);
	derived_sweep(b->store);
	assert_false(has_head(b, ".B"));
	assert_true(entries(b) < before);
}

/* More heads than one step looks for, half of them gone. */
static void
test_many(void **state)
{
	struct box *b = *state;
	int64_t now_us = clock_wall_us();
	char dir[32], name[32];
	struct err e;

	box_open(b);
	for (int i = 0; i < 150; i++) {
		(void)snprintf(dir, sizeof(dir), ".F%d", i);
		(void)snprintf(name, sizeof(name), "F%d", i);
		box_dirs(b, dir);
		{
			struct view *v = box_view(b, name, true);

			view_close(&v);
		}
		mailbox_close_idle(b->store, true);
		if (i % 2 == 0)
			assert_int_equal(
			    file_remove_tree(AT_FDCWD, box_path(b, dir), &e),
			    0);
	}
	derived_sweep(b->store);
	clock_set_for_test(-1, now_us + 31 * DAY_US);
	derived_sweep(b->store);
	for (int i = 0; i < 150; i++) {
		(void)snprintf(dir, sizeof(dir), ".F%d", i);
		assert_int_equal(has_head(b, dir), i % 2 == 1);
	}
}

/* With a loop: what was thrown away goes in its idle time, bit by bit. */
static void
test_in_the_loop(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint64_t before;
	struct err e;
	char name[80];

	b->loop = ev_loop_new(0);
	box_open(b);
	v = box_view(b, "INBOX", false);
	derived_flush(b->store);
	derived_sweep(b->store);
	before = entries(b);
	box_dirs(b, ".Big");
	for (int i = 0; i < 1500; i++) {
		(void)snprintf(name, sizeof(name), ".Big/cur/%d.m:2,", i);
		box_write(b, name, "");
	}
	{
		struct view *big = box_view(b, "Big", false);

		for (uint32_t uid = 1; uid <= 1500; uid++) {
			derived_put(
			    view_mailbox(big), uid, INDEX_ENVELOPE, STR("e"));
			derived_put(
			    view_mailbox(big), uid, INDEX_FIELDS, STR("f"));
		}
		derived_flush(b->store);
		view_close(&big);
	}
	assert_true(entries(b) > before + 3000);
	assert_int_equal(now_delete(b->store, STR("Big"), &e), 0);
	assert_true(entries(b) > before + 1000);
	for (int i = 0; i < 2000 && entries(b) > before + 1; i++) {
		/* Timers do not keep the loop alive. */
		ev_ref(b->loop);
		ev_run(b->loop, EVRUN_NOWAIT);
		ev_unref(b->loop);
		usleep(2000);
	}
	assert_true(entries(b) <= before + 1);
	view_close(&v);
	box_close(b);
	ev_loop_destroy(b->loop);
	b->loop = NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_removed),
	    T(test_removed_while_open),
	    T(test_renamed),
	    T(test_renamed_onto_old),
	    T(test_missing),
	    T(test_many),
	    T(test_in_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
