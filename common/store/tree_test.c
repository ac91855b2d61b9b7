/* SPDX-License-Identifier: ISC */
/* tree_test.c - what happens in mailboxes that are not open is noticed. */
#include "store/tree.h"
#include "tests/lib/loop_box.h"

#define TIMEOUT_S 5.

static void
on_news(void *arg)
{
	ev_break(arg, EVBREAK_ALL);
}

static void
on_timeout(struct ev_loop *loop, UNUSED ev_timer *t, UNUSED int events)
{
	ev_break(loop, EVBREAK_ALL);
}

/* Runs until the place has counted on, or for too long. */
static bool
heard(struct box *b, const struct tree_place *p, uint32_t *seen)
{
	uint32_t before = *seen;
	ev_timer t;

	ev_timer_init(&t, on_timeout, TIMEOUT_S, 0.);
	ev_timer_start(b->loop, &t);
	while (tree_count(p) == before && ev_is_active(&t))
		ev_run(b->loop, EVRUN_ONCE);
	ev_timer_stop(b->loop, &t);
	*seen = tree_count(p);
	return *seen != before;
}

static void
changes(struct box *b)
{
	struct tree_listener l = {.fn = on_news, .arg = b->loop};
	struct tree_place *one = NULL, *same = NULL, *names = NULL, *none;
	uint32_t seen, names_seen;
	struct tree_id id;
	struct err e;

	tree_listen(b->store, &l);
	assert_int_equal(tree_get(b->store, STR("one"), &one, &e), 0);
	assert_int_equal(tree_get(b->store, STR("one"), &same, &e), 0);
	assert_ptr_equal(one, same);
	assert_int_equal(tree_get(b->store, STR("no"), &none, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(tree_get_names(b->store, STR(""), &names, &e), 0);
	seen = tree_count(one);
	names_seen = tree_count(names);
	box_msg(b, ".one/new/1795300400.M1P1.h");
	assert_true(heard(b, one, &seen));
	box_move(
	    b, ".one/new/1795300400.M1P1.h", ".one/cur/1795300400.M1P1.h:2,S");
	assert_true(heard(b, one, &seen));
	assert_int_equal(
	    unlink(box_path(b, ".one/cur/1795300400.M1P1.h:2,S")), 0);
	assert_true(heard(b, one, &seen));
	box_dirs(b, ".two");
	assert_true(heard(b, names, &names_seen));
	/* Under another name it is the same. */
	id = tree_id(one);
	assert_true(id.ino != 0);
	box_move(b, ".one", ".three");
	assert_true(heard(b, names, &names_seen));
	assert_int_equal(tree_id_of(b->store, STR("three")).ino, id.ino);
	assert_int_equal(tree_id_of(b->store, STR("one")).ino, 0);
	tree_put(&same);
	tree_put(&one);
	tree_put(&names);
	assert_null(one);
	tree_listen_end(&l);
}

static void
test_inotify(void **state)
{
	struct box *b = *state;

	box_dirs(b, ".one");
	box_open(b);
	changes(b);
}

static void
test_polling(void **state)
{
	struct box *b = *state;

	b->poll_only = true;
	box_dirs(b, ".one");
	box_open(b);
	b->store->poll_ms = 10;
	changes(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_inotify, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_polling, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
