/* SPDX-License-Identifier: ISC */
/*
 * mbox_index_outside_test.c - mbox files that are opened from the index, and that
 * other programs have changed meanwhile.
 */
#include "store/mbox/mbox_index_test.h"

static void
test_rewritten(void **state)
{
	struct box *b = *state;
	struct view *v;

	v = fill_view(b, 20);
	put_fact(v, 5, "five");
	put_fact(v, 6, "six");
	view_close(&v);
	box_close(b);
	/* The same size and the old time, as mutt leaves it. */
	patch(b, "body 5\n", "BODY 5\n", true);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 0);
	assert_non_null(strstr(text_of(v, 5), "BODY 5\n"));
	assert_string_equal(fact(v, 5), "");
	put_fact(v, 5, "FIVE");
	assert_string_equal(fact(v, 5), "FIVE");
	assert_string_equal(fact(v, 6), "six");
	/* ... and while it is open. */
	patch(b, "body 6\n", "BODY 6\n", true);
	(void)box_sync(v, true);
	derived_pause(b->store);
	assert_non_null(strstr(text_of(v, 6), "BODY 6\n"));
	assert_string_equal(fact(v, 6), "");
	assert_string_equal(fact(v, 5), "FIVE");
	view_close(&v);
}

/* Another message has got the UID. */
static void
test_other_message(void **state)
{
	struct box *b = *state;
	struct view *v;
	FILE *f;

	v = fill_view(b, 3);
	put_fact(v, 2, "two");
	put_fact(v, 3, "three");
	view_close(&v);
	box_close(b);
	f = fopen(box_path(b, BOX), "w");
	assert_non_null(f);
	write_msg(f, 1, "RO", true, 0);
	(void)fprintf(f, F "Subject: other\nX-UID: 2\n\nother\n\n");
	write_msg(f, 3, "O", true, 0);
	assert_int_equal(fclose(f), 0);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(view_count(v), 3);
	assert_string_equal(text_of(v, 2), "Subject: other\n\nother\n");
	assert_string_equal(fact(v, 2), "");
	assert_text(v, 3, 3);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "t", false);
	assert_string_equal(fact(v, 2), "");
	assert_string_equal(fact(v, 3), "three");
	view_close(&v);
}

/* Changed in the same moment in which it was read. */
static void
test_racy(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct stat st;

	/* However long that takes here. */
	clock_set_for_test(-1, clock_wall_us());
	make(b, 5, true);
	assert_int_equal(stat(box_path(b, BOX), &st), 0);
	clock_set_for_test(-1,
	    (int64_t)st.st_ctim.tv_sec * 1000000 + st.st_ctim.tv_nsec / 1000 +
		MBOX_RACY_US / 2);
	box_open(b);
	v = box_view(b, "t", false);
	view_close(&v);
	box_close(b);
	settle();
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 0);
	view_close(&v);
}

/* Our own change is known from another one in the same moment. */
static void
test_own_change(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	v = fill_view(b, 5);
	clock_set_for_test(-1, -1);
	assert_int_equal(
	    box_store(v, 2, 2, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 5);
	assert_string_equal(box_flags(v, 2), "FS");
	view_close(&v);
	box_close(b);
	patch(b, "body 5\n", "BODY 5\n", false);
	box_open(b);
	v = box_view(b, "t", false);
	assert_non_null(strstr(text_of(v, 5), "BODY 5\n"));
	assert_int_equal(lazy(v), 0);
	view_close(&v);
}

/* The last message has grown: it was read while it was written. */
static void
test_half_delivered(void **state)
{
	struct box *b = *state;
	struct view *v;
	FILE *f;

	fill(b, 5);
	f = fopen(box_path(b, BOX), "a");
	(void)fprintf(f, F "Subject: 6\nMessage-ID: <6@x>\n\nbod");
	assert_int_equal(fclose(f), 0);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(view_count(v), 6);
	settle();
	f = fopen(box_path(b, BOX), "a");
	(void)fprintf(f, "y 6\n\n");
	assert_int_equal(fclose(f), 0);
	deliver(b, 7);
	assert_string_equal(box_sync(v, true), "e7 r2 ");
	assert_text(v, 6, 6);
	assert_text(v, 7, 7);
	view_close(&v);
}

static void
test_gone(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	fill(b, 5);
	box_unlink(b, BOX);
	box_open(b);
	assert_int_equal(now_view_open(b->store, STR("t"), false, &v, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	/* Another one of this name. */
	make(b, 2, false);
	v = box_view(b, "t", false);
	assert_int_equal(view_count(v), 2);
	assert_true(mailbox_uidvalidity(view_mailbox(v)) != 1795300494);
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_rewritten),
	    T(test_other_message),
	    T(test_racy),
	    T(test_own_change),
	    T(test_half_delivered),
	    T(test_gone),
	};

	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
