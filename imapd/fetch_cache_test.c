/* SPDX-License-Identifier: ISC */
/* fetch_cache_test.c - the message being read in pieces is not kept for ever. */
#include "base/bounds.h"
#include "imapd/fetch_cache.h"
#include "tests/lib/test_store.h"

static void
test_keep_take_and_time(UNUSED void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct fetch_cache fc;
	struct box b;
	struct view *v;
	struct msg *m, *other;
	struct err e;

	box_init_fast(&b);
	box_msg(&b, "cur/1.M1.x:2,");
	box_msg(&b, "cur/2.M1.x:2,");
	box_open(&b);
	v = box_view(&b, "INBOX", false);
	fetch_cache_init(&fc, loop);
	fetch_cache_drop(&fc);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	fetch_cache_keep(&fc, 1, m);
	assert_true(ev_is_active(&fc.timer));
	assert_true(ev_timer_remaining(loop, &fc.timer) <= FETCH_CACHE_S + 1);
	assert_null(fetch_cache_take(&fc, 2));
	assert_ptr_equal(fetch_cache_take(&fc, 1), m);
	/* In use: nobody closes it. */
	assert_false(ev_is_active(&fc.timer));
	assert_null(fetch_cache_take(&fc, 1));
	fc.has_place = true;
	fetch_cache_keep(&fc, 1, m);
	assert_true(fc.has_place);
	assert_int_equal(msg_open(v, 2, &other, &e), 0);
	fetch_cache_keep(&fc, 2, other);
	assert_false(fc.has_place);
	fc.has_place = true;
	ev_feed_event(loop, &fc.timer, EV_TIMER);
	ev_invoke_pending(loop);
	assert_null(fc.msg);
	assert_false(fc.has_place);
	assert_false(ev_is_active(&fc.timer));
	assert_null(fetch_cache_take(&fc, 2));
	view_close(&v);
	box_done(&b);
	ev_loop_destroy(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keep_take_and_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
