/* SPDX-License-Identifier: ISC */
/* notify_test.c - who waits is called; what nobody uses is kept, then closed. */
#include <time.h>

#include "base/clock.h"
#include "store/maildir/maildir_impl.h"
#include "tests/lib/loop_box.h"

#define TIMEOUT_S 5.

/* A session that waits; counts its calls. */
struct waiter {
	struct ev_loop *loop;
	struct view *v;
	unsigned calls;
	bool looks, closes;
	char told[200];
};

static void
on_news(void *arg)
{
	struct waiter *w = arg;

	w->calls++;
	if (w->closes)
		view_close(&w->v);
	else if (w->looks)
		(void)snprintf(
		    w->told, sizeof(w->told), "%s", box_sync(w->v, true));
	ev_break(w->loop, EVBREAK_ALL);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)t;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

/* Runs until somebody is called, or for so long. */
static void
run(struct box *b, double seconds)
{
	ev_timer t;

	ev_timer_init(&t, on_timeout, seconds, 0.);
	ev_timer_start(b->loop, &t);
	ev_run(b->loop, 0);
	ev_timer_stop(b->loop, &t);
}

static struct waiter
wait_in(struct box *b, const char *name)
{
	return (struct waiter){
	    .loop = b->loop, .v = box_view(b, name, false), .looks = true};
}

static void
test_delivery_wakes(void **state)
{
	struct box *b = *state;
	struct waiter w;
	int64_t begin;

	box_open(b);
	w = wait_in(b, "INBOX");
	view_listen(w.v, on_news, &w);
	run(b, 0.05);
	assert_int_equal(w.calls, 0);
	box_msg(b, "tmp/1795300400.M1P1.mx1");
	begin = clock_mono_ms();
	box_move(b, "tmp/1795300400.M1P1.mx1", "new/1795300400.M1P1.mx1");
	run(b, TIMEOUT_S);
	assert_int_equal(w.calls, 1);
	assert_string_equal(w.told, "e1 r1 ");
	assert_true(clock_mono_ms() - begin < 1000);
	/* Our own move to cur/ is no news. */
	run(b, 0.05);
	assert_true(w.calls <= 2);
	assert_true(strcmp(w.told, "") == 0 || w.calls == 1);
	/* A flag from outside. */
	w.calls = 0;
	box_move(
	    b, "cur/1795300400.M1P1.mx1:2,", "cur/1795300400.M1P1.mx1:2,S");
	run(b, TIMEOUT_S);
	assert_string_equal(w.told, "f1 ");
	box_unlink(b, "cur/1795300400.M1P1.mx1:2,S");
	run(b, TIMEOUT_S);
	assert_string_equal(w.told, "x1 ");
	view_close(&w.v);
}

static void
test_polling(void **state)
{
	struct box *b = *state;
	struct waiter w;

	b->poll_only = true;
	box_open(b);
	b->store->poll_ms = 20;
	w = wait_in(b, "INBOX");
	view_listen(w.v, on_news, &w);
	box_msg(b, "new/1795300400.M1P1.mx1");
	run(b, TIMEOUT_S);
	assert_string_equal(w.told, "e1 r1 ");
	view_close(&w.v);
}

static void
test_other_sessions_hear_at_once(void **state)
{
	struct box *b = *state;
	struct waiter w;
	struct view *v;
	struct err e;

	box_open(b);
	(void)box_append(b, "INBOX", TEST_MSG, 0, -1);
	w = wait_in(b, "INBOX");
	v = box_view(b, "INBOX", false);
	view_listen(w.v, on_news, &w);
	run(b, 0.05);
	w.calls = 0;
	assert_int_equal(box_store(v, 1, 1, STORE_ADD, FLAG_SEEN, NULL, &e), 0);
	/* Not from inside the call, only from the loop. */
	assert_int_equal(w.calls, 0);
	run(b, TIMEOUT_S);
	assert_string_equal(w.told, "f1 ");
	(void)box_append(b, "INBOX", TEST_MSG, 0, -1);
	run(b, TIMEOUT_S);
	assert_true(strncmp(w.told, "e2 ", 3) == 0);
	/* Somebody who listens only now is told what he has missed. */
	view_listen(w.v, NULL, NULL);
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	w.calls = 0;
	run(b, 0.05);
	assert_int_equal(w.calls, 0);
	view_listen(w.v, on_news, &w);
	run(b, TIMEOUT_S);
	assert_string_equal(w.told, "f1 ");
	view_close(&v);
	view_close(&w.v);
}

static void
test_listener_may_close(void **state)
{
	struct box *b = *state;
	struct waiter w[3];

	box_open(b);
	for (size_t i = 0; i < 3; i++) {
		w[i] = wait_in(b, "INBOX");
		w[i].closes = true;
		view_listen(w[i].v, on_news, &w[i]);
	}
	box_msg(b, "new/1795300400.M1P1.mx1");
	run(b, TIMEOUT_S);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(w[i].calls, 1);
		assert_null(w[i].v);
	}
}

static unsigned
open_mailboxes(struct box *b)
{
	unsigned n = 0;

	LIST_EACH(&b->store->mailboxes, l)
		n += l != NULL;
	return n;
}

static void
test_kept_for_a_minute(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct mailbox *m;
	struct err e;
	char name[20];

	box_open(b);
	(void)box_append(b, "INBOX", TEST_MSG, 0, -1);
	v = box_view(b, "INBOX", false);
	m = view_mailbox(v);
	view_close(&v);
	assert_int_equal(open_mailboxes(b), 1);
	/* What happens meanwhile is seen when it is used again. */
	box_msg(b, "new/1795300400.M1P1.mx1");
	v = box_view(b, "INBOX", false);
	assert_ptr_equal(view_mailbox(v), m);
	assert_int_equal(view_count(v), 2);
	view_close(&v);
	/* A folder that is another one now is opened anew. */
	box_dirs(b, ".a");
	box_msg(b, ".a/cur/x:2,");
	v = box_view(b, "a", false);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
	assert_int_equal(file_remove_tree(AT_FDCWD, box_path(b, ".a"), &e), 0);
	box_dirs(b, ".a");
	v = box_view(b, "a", false);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
	/* So is one whose UID map was replaced. */
	box_write(b, ".a/dovecot-uidlist", "3 V77 N1\n1 :y\n");
	box_msg(b, ".a/cur/y:2,");
	v = box_view(b, "a", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 77);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
	/* Only a few are kept, and not for ever. */
	for (int i = 0; i < 10; i++) {
		(void)snprintf(name, sizeof(name), ".f%d", i);
		box_dirs(b, name);
		v = box_view(b, name + 1, true);
		view_close(&v);
	}
	assert_true(open_mailboxes(b) <= 4);
	clock_set_for_test(clock_mono_ms() + 61000, -1);
	mailbox_close_idle(b->store, false);
	clock_set_for_test(-1, -1);
	assert_int_equal(open_mailboxes(b), 0);
}

/*
 * Mailboxes that nobody has open any more stay for those who come back, a few
 * of them; what goes may be the very one that was left just now.
 */
static void
test_left_at_the_same_time(void **state)
{
	static const char *const names[] = {"INBOX", "a", "b", "c", "d", "e"};
	struct box *b = *state;
	struct view *v[ARRAY_LEN(names)];
	struct err e;

	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (i > 0 && store_create(b->store, str_of(names[i]), &e) == -1)
			fail_msg("%s", e.text);
		v[i] = box_view(b, names[i], false);
	}
	clock_set_for_test(clock_mono_ms(), -1);
	for (size_t i = ARRAY_LEN(names); i > 0; i--)
		view_close(&v[i - 1]);
	clock_set_for_test(-1, -1);
	v[0] = box_view(b, "INBOX", false);
	view_close(&v[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_delivery_wakes),
	    T(test_polling),
	    T(test_other_sessions_hear_at_once),
	    T(test_listener_may_close),
	    T(test_kept_for_a_minute),
	    T(test_left_at_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
