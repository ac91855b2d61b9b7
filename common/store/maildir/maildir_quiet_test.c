/* SPDX-License-Identifier: ISC */
/*
 * maildir_quiet_test.c - what is answered without a look, and what ends that.
 *
 * That no look was taken shows when a directory gets another time: the kernel
 * tells us nothing of it, a look would find it.
 */
#include "tests/lib/indexed_box.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "store/maildir/maildir_quiet.h"

#define ONE "1000.a:2,S"

static void
fill(struct box *b)
{
	struct view *v;
	struct err e;

	b->poll_only = false;
	box_open(b);
	assert_int_equal(store_create(b->store, STR("Sub"), &e), 0);
	box_close(b);
	box_msg(b, ".Sub/cur/" ONE);
	box_msg(b, ".Sub/cur/1001.b:2,");
	settle_in(b, ".Sub");
	box_open(b);
	v = box_view(b, "Sub", false);
	assert_int_equal(view_count(v), 2);
	view_close(&v);
	box_close(b);
	box_open(b);
}

static bool
is_known(struct box *b, struct mailbox_status *st)
{
	store_pause(b->store);
	return store_status_known(b->store, STR("Sub"), st);
}

/* Asked for until it is watched. */
static void
ask(struct box *b)
{
	struct mailbox_status st;

	for (int i = 0; i < 3; i++) {
		assert_true(is_known(b, &st));
		assert_int_equal(st.messages, 2);
		assert_int_equal(st.unseen, 1);
	}
}

static void
test_no_look(void **state)
{
	struct box *b = *state;
	struct mailbox_status st;

	fill(b);
	assert_true(is_known(b, &st));
	settle_in(b, ".Sub");
	/* Asked about once: there is a look each time. */
	assert_false(is_known(b, &st));
}

static void
test_watched(void **state)
{
	struct box *b = *state;
	struct mailbox_status st;

	fill(b);
	ask(b);
	settle_in(b, ".Sub");
	assert_true(is_known(b, &st));
	assert_int_equal(st.messages, 2);
	/* But not for ever. */
	clock_set_for_test(clock_mono_ms() + 3601 * 1000, -1);
	assert_false(is_known(b, &st));
}

static void
move(struct box *b, const char *from, const char *to)
{
	assert_int_equal(rename(box_path(b, from), box_path(b, to)), 0);
}

static void
deliver(struct box *b)
{
	box_msg(b, ".Sub/tmp/2000.x");
	move(b, ".Sub/tmp/2000.x", ".Sub/new/2000.x");
}

static void
change_flags(struct box *b)
{
	move(b, ".Sub/cur/" ONE, ".Sub/cur/1000.a:2,");
}

static void
take_away(struct box *b)
{
	assert_int_equal(unlink(box_path(b, ".Sub/cur/" ONE)), 0);
}

static void
replace_list(struct box *b)
{
	box_write(b, "other", "3 V77 N30 G620a5138f51b026bb745000083ecc375\n");
	move(b, "other", ".Sub/dovecot-uidlist");
}

static void
write_list(struct box *b)
{
	int fd =
	    open(box_path(b, ".Sub/dovecot-uidlist"), O_WRONLY | O_APPEND, 0);

	assert_true(fd != -1);
	assert_int_equal(write(fd, "9 :nowhere\n", 11), 11);
	close(fd);
}

static void
replace_new(struct box *b)
{
	move(b, ".Sub/new", "old");
	assert_int_equal(mkdir(box_path(b, ".Sub/new"), 0700), 0);
	box_msg(b, ".Sub/new/2000.x");
}

static void
replace_folder(struct box *b)
{
	move(b, ".Sub", ".Was");
	assert_int_equal(mkdir(box_path(b, ".Sub"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, ".Sub/cur"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, ".Sub/new"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, ".Sub/tmp"), 0700), 0);
	box_msg(b, ".Sub/new/2000.x");
}

static void
remove_folder(struct box *b)
{
	move(b, ".Sub", ".Was");
}

static const struct {
	void (*fn)(struct box *b);
	int messages; /* -1: there is no such mailbox */
	uint32_t unseen;
} changes[] = {
    {deliver, 3, 2},
    {change_flags, 2, 2},
    {take_away, 1, 1},
    {replace_list, 2, 1},
    {write_list, 2, 1},
    {replace_new, 3, 2},
    {replace_folder, 1, 1},
    {remove_folder, -1, 0},
};

static void
test_changes(void **state)
{
	struct box *b = *state;
	struct mailbox_status st;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		fill(b);
		ask(b);
		changes[i].fn(b);
		assert_false(is_known(b, &st));
		if (changes[i].messages == -1) {
			assert_int_equal(
			    now_status(b->store, STR("Sub"), false, &st, &e),
			    -1);
			assert_int_equal(e.code, ERR_NOT_FOUND);
		} else {
			assert_int_equal(
			    now_status(b->store, STR("Sub"), false, &st, &e),
			    0);
			assert_int_equal(st.messages, changes[i].messages);
			assert_int_equal(st.unseen, changes[i].unseen);
		}
		if (changes[i].fn == replace_list)
			assert_int_equal(st.uidvalidity, 77);
		(void)teardown(state);
		(void)setup(state);
	}
}

static unsigned
mark_of(struct box *b)
{
	struct mbox_entry *all;
	unsigned attrs = 0;
	struct arena a;
	struct err e;

	arena_init(&a);
	assert_int_equal(now_list(b->store, false, &a, &all, &e), 0);
	for (; all != NULL; all = all->next)
		if (str_eq(all->name, STR("Sub")))
			attrs = all->attrs;
	arena_done(&a);
	return attrs & (MBOX_MARKED | MBOX_UNMARKED);
}

static void
test_marks(void **state)
{
	struct box *b = *state;

	fill(b);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mark_of(b), MBOX_UNMARKED);
	deliver(b);
	assert_int_equal(mark_of(b), MBOX_MARKED);
	assert_int_equal(mark_of(b), MBOX_MARKED);
	assert_int_equal(unlink(box_path(b, ".Sub/new/2000.x")), 0);
	assert_int_equal(mark_of(b), MBOX_UNMARKED);
}

/* With store_hear() events are asked for once for each input. */
static void
test_input(void **state)
{
	struct box *b = *state;
	struct mailbox_status st;
	struct err e;

	fill(b);
	ask(b);
	store_hear(b->store, 0);
	assert_true(is_known(b, &st));
	deliver(b);
	/* The command came before that; the next one does not. */
	store_hear(b->store, 0);
	assert_true(is_known(b, &st));
	store_hear(b->store, 1);
	assert_false(is_known(b, &st));
	assert_int_equal(now_status(b->store, STR("Sub"), false, &st, &e), 0);
	assert_int_equal(st.messages, 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_no_look),
	    T(test_watched),
	    T(test_changes),
	    T(test_marks),
	    T(test_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
