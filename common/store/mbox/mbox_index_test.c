/* SPDX-License-Identifier: ISC */
/*
 * mbox_index_test.c - mbox files that are opened from the index: what is read
 * then and what is not, and what becomes of the index.
 */
#include <sys/wait.h>

#include "store/mbox/mbox_index_test.h"

/* ---- what is not read ------------------------------------------------------ */

static void
test_unchanged(void **state)
{
	struct box *b = *state;
	struct mailbox_status st;
	struct view *v;
	struct msg *m;
	struct err e;
	uint64_t size;

	v = fill_view(b, 300);
	assert_int_equal(view_count(v), 300);
	assert_int_equal(lazy(v), 300);
	assert_int_equal(view_first_unseen(v), 3);
	assert_int_equal(view_recent(v), 0);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 1795300494);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 301);
	assert_string_equal(box_flags(v, 1), "S");
	assert_string_equal(box_flags(v, 3), "");
	assert_string_equal(box_flags(v, 301), "gone");
	assert_text(v, 2, 2);
	assert_text(v, 300, 300);
	assert_int_equal(msg_open(v, 2, &m, &e), 0);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	assert_int_equal(size, strlen(text_of(v, 2)) + 4);
	msg_close(&m);
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(lazy(v), 300);
	assert_int_equal(view_mailbox(v)->recs.n, 0);
	/* A change loads them. */
	assert_int_equal(
	    box_store(v, 3, 3, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	assert_int_equal(lazy(v), 0);
	assert_string_equal(box_flags(v, 3), "F");
	assert_text(v, 299, 299);
	view_close(&v);
	box_close(b);
	/* What it has written is read again, or known. */
	box_open(b);
	v = box_view(b, "t", true);
	assert_string_equal(box_flags(v, 3), "F");
	view_close(&v);
	box_close(b);
	learn(b, 300);
	box_open(b);
	assert_int_equal(now_status(b->store, STR("t"), true, &st, &e), 0);
	assert_null(mailbox_find_open(b->store, STR("t")));
	assert_int_equal(st.messages, 300);
	assert_int_equal(st.unseen, 100);
	assert_int_equal(st.uidnext, 301);
	assert_true(st.size > FILLER_BYTES);
}

/* UIDs that this server gives, and writes when the last session goes. */
static void
test_first_contact(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint32_t validity;

	make(b, 50, false);
	box_open(b);
	v = box_view(b, "t", false);
	validity = mailbox_uidvalidity(view_mailbox(v));
	put_fact(v, 7, "seven");
	assert_string_equal(fact(v, 7), "seven");
	view_close(&v);
	box_close(b);
	learn(b, 50);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 50);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), validity);
	assert_string_equal(fact(v, 7), "seven");
	assert_text(v, 50, 50);
	assert_int_equal(lazy(v), 50);
	view_close(&v);
}

static void
test_delivery(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	fill(b, 300);
	deliver(b, 301);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(view_count(v), 301);
	assert_int_equal(view_recent(v), 1);
	assert_int_equal(lazy(v), 300);
	assert_string_equal(box_flags(v, 301), "r");
	assert_text(v, 301, 301);
	assert_text(v, 300, 300);
	deliver(b, 302);
	assert_string_equal(box_sync(v, true), "e302 r2 ");
	assert_text(v, 302, 302);
	assert_int_equal(lazy(v), 300);
	/* Flags of the others may be other ones now: they are looked at. */
	assert_int_equal(view_mailbox(v)->unsure_top, 301);
	patch(b,
	    "Subject: 2\nMessage-ID: <2@x>\nX-UID: 2          \nStatus: RO",
	    "Subject: 2\nMessage-ID: <2@x>\nX-UID: 2          \nStatus: O ",
	    false);
	deliver(b, 303);
	assert_string_equal(box_sync(v, true), "e303 r3 ");
	assert_string_equal(box_flags(v, 2), "");
	assert_string_equal(box_flags(v, 1), "S");
	assert_int_equal(view_mailbox(v)->unsure_top, 0);
	assert_int_equal(
	    box_store(v, 303, 303, STORE_ADD, FLAG_SEEN, NULL, &e), 0);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(view_count(v), 303);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 304);
	assert_string_equal(box_flags(v, 303), "S");
	assert_text(v, 303, 303);
	view_close(&v);
}

static void
test_append(void **state)
{
	struct box *b = *state;
	struct append *a;
	struct set32 uids;
	struct flag_wish w = {.system = FLAG_FLAGGED};
	struct str text = STR("Subject: 11\nMessage-ID: <11@x>\n\nbody 11\n");
	uint32_t validity;
	struct view *v;
	struct err e;

	v = fill_view(b, 10);
	assert_int_equal(now_append_begin(b->store, STR("t"), &a, &e), 0);
	assert_int_equal(append_message(a, &w, 1, text.n, &e), 0);
	assert_int_equal(append_data(a, text, &e), 0);
	set32_init(&uids);
	assert_int_equal(now_append_commit(a, &validity, &uids, &e), 0);
	append_free(&a);
	set32_done(&uids);
	assert_string_equal(box_sync(v, true), "e11 r1 ");
	assert_text(v, 11, 11);
	assert_string_equal(box_flags(v, 11), "Fr");
	assert_text(v, 2, 2);
	/* Nothing of the others was read. */
	assert_int_equal(lazy(v), 10);
	view_close(&v);
	box_close(b);
	learn(b, 11);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 11);
	assert_string_equal(box_flags(v, 11), "F");
	view_close(&v);
}

/* Places in the file are others then. */
static void
test_expunge(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;
	uint32_t at = 1;

	v = fill_view(b, 300);
	put_fact(v, 40, "forty");
	assert_int_equal(
	    box_store(v, 2, 39, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	while (view_expunge(v, NULL, &at, &e) == STEP_MORE)
		store_pause(b->store);
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 262);
	assert_text(v, 40, 40);
	view_close(&v);
	box_close(b);
	learn(b, 262);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 300);
	assert_text(v, 40, 40);
	assert_text(v, 300, 300);
	assert_string_equal(fact(v, 40), "forty");
	assert_int_equal(lazy(v), 300);
	view_close(&v);
}

/* ---- the index ------------------------------------------------------------- */

/* Another process of the user: it removes the first two messages. */
static void
others_session(struct box *b)
{
	struct view *v;
	struct err e;
	uint32_t at = 1;

	settle();
	box_open(b);
	v = box_view(b, "t", false);
	if (box_store(v, 1, 2, STORE_ADD, FLAG_DELETED, NULL, &e) == -1)
		_exit(2);
	while (view_expunge(v, NULL, &at, &e) == STEP_MORE)
		store_pause(b->store);
	view_close(&v);
	box_close(b);
}

static void
test_two_processes(void **state)
{
	struct box *b = *state;
	int fds[2], status;
	struct view *v;
	char c = 'x';
	pid_t pid;

	fill(b, 30);
	/* The index is never open across a fork: the child waits. */
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid != -1);
	if (pid == 0) {
		if (read(fds[0], &c, 1) != 1)
			_exit(1);
		others_session(b);
		_exit(0);
	}
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 30);
	assert_text(v, 3, 3);
	derived_pause(b->store);
	assert_int_equal(write(fds[1], &c, 1), 1);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Both the file and the index are others than we knew. */
	assert_text(v, 3, 3);
	assert_string_equal(text_of(v, 1), "gone");
	assert_string_equal(box_sync(v, true), "x2 x1 ");
	assert_string_equal(box_flags(v, 3), "");
	assert_string_equal(box_flags(v, 4), "S");
	assert_text(v, 30, 30);
	view_close(&v);
}

static void
test_removed(void **state)
{
	struct box *b = *state;
	struct view *v;

	v = fill_view(b, 30);
	assert_int_equal(lazy(v), 30);
	remove_index(b);
	derived_pause(b->store);
	assert_text(v, 29, 29);
	assert_string_equal(box_flags(v, 3), "");
	assert_string_equal(box_flags(v, 4), "S");
	assert_string_equal(box_sync(v, true), "");
	view_close(&v);
	box_close(b);
	remove_index(b);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 0);
	assert_int_equal(view_count(v), 30);
	assert_text(v, 29, 29);
	view_close(&v);
}

/* The records can not be found in it: they are made from the file. */
static void
test_reload(void **state)
{
	struct box *b = *state;
	struct mailbox *m;
	struct view *v;

	v = fill_view(b, 30);
	deliver(b, 31);
	assert_string_equal(box_sync(v, true), "e31 r1 ");
	m = view_mailbox(v);
	assert_int_equal(m->lazy_top, 30);
	m->derived->box = 0;
	assert_text(v, 29, 29);
	assert_int_equal(m->lazy_top, 0);
	assert_string_equal(box_flags(v, 3), "");
	assert_string_equal(box_flags(v, 4), "S");
	assert_text(v, 31, 31);
	assert_text(v, 1 + 1, 2);
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 31);
	assert_int_equal(mailbox_uidnext(m), 32);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(view_count(v), 31);
	assert_text(v, 31, 31);
	view_close(&v);
}

/* An index of before, as when a disk comes back from a copy. */
static void
test_older(void **state)
{
	struct box *b = *state;
	char command[300];
	struct view *v;
	struct err e;
	uint32_t at = 1;

	v = fill_view(b, 30);
	put_fact(v, 30, "thirty");
	view_close(&v);
	box_close(b);
	(void)snprintf(command, sizeof(command), "%s/index", b->home);
	assert_int_equal(rename(command, box_path(b, "older")), 0);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	while (view_expunge(v, NULL, &at, &e) == STEP_MORE)
		store_pause(b->store);
	view_close(&v);
	box_close(b);
	remove_index(b);
	assert_int_equal(rename(box_path(b, "older"), command), 0);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 0);
	assert_int_equal(view_count(v), 29);
	assert_text(v, 2, 2);
	assert_text(v, 30, 30);
	derived_flush(b->store);
	assert_string_equal(fact(v, 30), "thirty");
	view_close(&v);
}

/* A session that only reads gives UIDs that the file does not have yet. */
static void
test_uids_in_memory(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	fill(b, 5);
	deliver(b, 6);
	box_open(b);
	v = box_view(b, "t", true);
	assert_int_equal(view_count(v), 6);
	assert_text(v, 6, 6);
	/* It ends without a word. */
	derived_flush(b->store);
	view_mailbox(v)->is_read_only = true;
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(view_count(v), 6);
	assert_text(v, 6, 6);
	assert_int_equal(box_store(v, 6, 6, STORE_ADD, FLAG_SEEN, NULL, &e), 0);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "t", true);
	assert_string_equal(box_flags(v, 6), "S");
	view_close(&v);
}

/*
 * New mail gets its UIDs so shortly after it came that the times do not tell
 * whether the file was written again meanwhile. An editor that rewrites it in
 * place within the same tick, its size as before, is seen; inotify saves
 * reading all of it when there was none.
 */
static void
check_within_the_tick(struct box *b, bool poll_only, bool is_patched)
{
	struct view *v = NULL;
	struct mbox *mb = NULL;
	struct mailbox *m;
	struct stat st;
	enum step step;
	struct err e;
	bool is_whole = poll_only || is_patched;
	unsigned n = 0;

	fill(b, 300);
	deliver(b, 301);
	b->poll_only = poll_only;
	box_open(b);
	while ((step = view_open(b->store, STR("t"), false, &v, &e)) ==
	    STEP_MORE) {
		m = mailbox_find_open(b->store, STR("t"));
		mb = m != NULL ? mbox_of(m) : NULL;
		if (mb == NULL || mb->sync != MBOX_SYNC_SAY || n++ > 0)
			continue;
		if (is_patched)
			patch(b, F "Subject: 299", "X" F "Subject:299", true);
		assert_int_equal(stat(box_path(b, BOX), &st), 0);
		mb->stamp = file_stamp_of(&st);
		mb->scanned_us = mbox_changed_us(&mb->stamp) + 1;
	}
	assert_int_equal(step, STEP_DONE);
	assert_true(n > 0);
	assert_int_equal(lazy(v), is_whole ? 0 : 300);
	assert_int_equal(view_mailbox(v)->unsure_top, is_whole ? 0 : 300);
	assert_int_equal(view_count(v), is_patched ? 300 : 301);
	assert_text(v, 301, 301);
	view_close(&v);
	box_close(b);
	b->poll_only = true;
}

static void
test_within_the_tick(void **state)
{
	check_within_the_tick(*state, false, false);
	check_within_the_tick(*state, false, true);
	check_within_the_tick(*state, true, false);
	check_within_the_tick(*state, true, true);
}

/* Flags that are to be looked at are not looked at because it is opened. */
static void
test_unsure_flags(void **state)
{
	int64_t freshen_ms = mbox_tuning.freshen_ms;
	struct box *b = *state;
	struct view *v;

	mbox_tuning.freshen_ms = 1000000;
	fill(b, 300);
	for (int n = 301; n <= 303; n++) {
		settle();
		deliver(b, n);
		settle();
		box_open(b);
		v = box_view(b, "t", false);
		assert_int_equal(view_count(v), n);
		assert_int_equal(lazy(v), n - 1);
		assert_int_equal(view_mailbox(v)->unsure_top, n - 1);
		view_close(&v);
		box_close(b);
	}
	/* Another program's, while it was shut. */
	settle();
	patch(b, "Message-ID: <3@x>\nX-UID: 3          \nStatus: O ",
	    "Message-ID: <3@x>\nX-UID: 3          \nStatus: RO", false);
	deliver(b, 304);
	settle();
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(lazy(v), 303);
	assert_string_equal(box_flags(v, 3), "S");
	assert_int_equal(view_mailbox(v)->unsure_top, 0);
	view_close(&v);
	mbox_tuning.freshen_ms = freshen_ms;
}

/*
 * Many are written in parts. What has the length of the whole mailbox comes with
 * the last part alone: with each of them it would be the square of that.
 */
static void
test_parts(void **state)
{
	struct box *b = *state;
	FILE *f = fopen(box_path(b, BOX), "w");
	struct index_head h;
	struct mailbox *m;
	struct view *v;
	enum step step;
	int parts = 0;

	assert_non_null(f);
	last_uid = 20000;
	for (int i = 1; i <= last_uid; i++)
		write_msg(
		    f, i, i % 2 == 0 && i < last_uid ? "RO" : "", true, 0);
	assert_int_equal(fclose(f), 0);
	settle();
	box_open(b);
	v = box_view(b, "t", true);
	m = view_mailbox(v);
	assert_int_equal(view_count(v), 20000);
	assert_int_equal(view_recent(v), 10001);
	m->derived->is_dirty = true;
	while ((step = derived_save(m)) == STEP_MORE) {
		assert_true(index_box_head(
		    derived_index(b->store), str_of(m->derived->place), &h));
		assert_int_equal(h.backend.n, 0);
		assert_int_equal(h.live.n, 0);
		assert_int_equal(h.recents.n, 0);
		assert_int_equal(h.messages, 0);
		parts++;
	}
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(parts, 2);
	assert_true(index_box_head(
	    derived_index(b->store), str_of(m->derived->place), &h));
	assert_true(h.backend.n > 0);
	assert_int_equal(h.messages, 20000);
	assert_int_equal(h.recent, 10001);
	assert_int_equal(h.unseen, 10001);
	assert_int_equal(h.first_unseen, 1);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "t", true);
	assert_int_equal(lazy(v), 20000);
	assert_int_equal(view_recent(v), 10001);
	view_close(&v);
	/* Of those that are in the index alone, too. */
	deliver(b, 20001);
	settle();
	v = box_view(b, "t", true);
	assert_int_equal(view_recent(v), 10002);
	view_close(&v);
	/* The last two are beside one another, and one was loaded. */
	settle();
	box_close(b);
	box_open(b);
	v = box_view(b, "t", true);
	assert_int_equal(lazy(v), 20001);
	assert_int_equal(view_recent(v), 10002);
	view_close(&v);
	box_close(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_unchanged),
	    T(test_first_contact),
	    T(test_delivery),
	    T(test_append),
	    T(test_expunge),
	    T(test_two_processes),
	    T(test_removed),
	    T(test_reload),
	    T(test_older),
	    T(test_uids_in_memory),
	    T(test_within_the_tick),
	    T(test_unsure_flags),
	    T(test_parts),
	};

	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
