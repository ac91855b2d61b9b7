/* SPDX-License-Identifier: ISC */
/*
 * derived_test.c - mailboxes that are opened from the index: what is read then
 * and what is not, that it is right whoever has changed the disk or the index
 * meanwhile.
 */
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "store/derived_impl.h"
#include "tests/lib/indexed_box.h"

#define GUID "0123456789abcdef0123456789abcdef"

/* ---- what is not read ---------------------------------------------------- */

static void
test_unchanged(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct stat before, after;
	struct err e;
	uint64_t size;
	struct msg *m;

	fill_known(b, 600);
	/* Neither directories nor the map can be read now; not by root either
	 * when they are not what they seem. */
	assert_int_equal(stat(box_path(b, "dovecot-uidlist"), &before), 0);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 600);
	assert_int_equal(lazy(v), 600);
	assert_int_equal(view_mailbox(v)->recs.n, 0);
	assert_int_equal(view_first_unseen(v), 3);
	assert_int_equal(view_recent(v), 0);
	assert_string_equal(box_flags(v, 1), "S");
	assert_string_equal(box_flags(v, 3), "");
	assert_string_equal(box_flags(v, 600), "");
	assert_string_equal(box_flags(v, 599), "S");
	assert_string_equal(box_flags(v, 601), "gone");
	/* A message is opened without the others being loaded. */
	assert_int_equal(msg_open(v, 300, &m, &e), 0);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	assert_int_equal(size, 134);
	assert_int_equal(msg_load(m, 0, &e), 0);
	msg_close(&m);
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(lazy(v), 600);
	/* A change loads that one alone. */
	assert_int_equal(
	    box_store(v, 3, 3, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	assert_int_equal(lazy(v), 600);
	assert_int_equal(view_mailbox(v)->recs.n, 0);
	assert_int_equal(view_mailbox(v)->singles.n, 1);
	assert_string_equal(box_flags(v, 3), "F");
	assert_string_equal(box_flags(v, 599), "S");
	assert_true(box_has(b, "cur/1003.m3:2,F"));
	assert_int_equal(stat(box_path(b, "dovecot-uidlist"), &after), 0);
	assert_true(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 3), "F");
	view_close(&v);
}

static void
test_status(void **state)
{
	struct box *b = *state;
	struct mailbox_status st;
	struct status_job *job = NULL;
	struct view *v;
	struct err e;

	fill_known(b, 90);
	box_open(b);
	v = box_view(b, "INBOX", true);
	for (uint32_t uid = 1; uid <= 90; uid++) {
		struct msg *m;
		uint64_t size;

		assert_int_equal(msg_open(v, uid, &m, &e), 0);
		assert_int_equal(msg_wire_size(m, &size, &e), 0);
		msg_close(&m);
	}
	view_close(&v);
	box_close(b);
	/* From the head: the records are not even looked for. */
	box_open(b);
	assert_int_equal(
	    store_status(b->store, STR("INBOX"), true, &job, &st, &e),
	    STEP_DONE);
	assert_null(job);
	assert_null(mailbox_find_open(b->store, STR("INBOX")));
	assert_int_equal(st.messages, 90);
	assert_int_equal(st.unseen, 30);
	assert_int_equal(st.uidnext, 91);
	assert_true(st.size == 90 * 134);
	assert_true(st.highest_modseq > 0);
	/* Not when something has happened. */
	box_msg(b, "new/2000.x");
	while (store_status(b->store, STR("INBOX"), false, &job, &st, &e) ==
	    STEP_MORE)
		;
	assert_non_null(job);
	status_job_free(&job);
	assert_int_equal(st.messages, 91);
	assert_int_equal(st.unseen, 31);
}

/* ---- what is new --------------------------------------------------------- */

static void
test_delivery(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint64_t modseq;

	fill_known(b, 300);
	box_open(b);
	v = box_view(b, "INBOX", true);
	modseq = view_mailbox(v)->highest_modseq;
	view_close(&v);
	box_close(b);
	box_msg(b, "new/2000.x");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 301);
	assert_int_equal(view_recent(v), 1);
	/* cur/ was not read, and nothing had to be loaded. */
	assert_int_equal(lazy(v), 300);
	assert_int_equal(view_mailbox(v)->recs.n, 1);
	assert_true(box_has(b, "cur/2000.x:2,"));
	assert_true(view_mailbox(v)->highest_modseq > modseq);
	assert_true(derived_modseq(view_mailbox(v), 301) > modseq);
	assert_true(derived_modseq(view_mailbox(v), 300) <= modseq);
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 301);
	assert_int_equal(lazy(v), 301);
	assert_string_equal(box_flags(v, 301), "");
	assert_string_equal(box_flags(v, 300), "");
	view_close(&v);
}

/* Somebody puts a known message back into new/, or a second file of it. */
static void
test_known_file_in_new(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct stat st;

	fill_known(b, 300);
	assert_int_equal(stat(box_path(b, "cur"), &st), 0);
	box_move(b, "cur/1005.m5:2,S", "new/1005.m5");
	{
		struct timespec t[2] = {{0}, {0}};

		/* As if cur/ had not been touched. */
		t[0] = t[1] = st.st_mtim;
		assert_int_equal(
		    utimensat(AT_FDCWD, box_path(b, "cur"), t, 0), 0);
	}
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 300);
	assert_int_equal(lazy(v), 0);
	assert_string_equal(box_flags(v, 5), "");
	view_close(&v);
}

static void
test_flags_by_others(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint64_t modseq;

	fill_known(b, 300);
	box_open(b);
	v = box_view(b, "INBOX", false);
	modseq = view_mailbox(v)->highest_modseq;
	assert_int_equal(lazy(v), 300);
	box_move(b, "cur/1007.m7:2,S", "cur/1007.m7:2,FS");
	box_unlink(b, "cur/1009.m9:2,");
	assert_string_equal(box_sync(v, true), "x9 f7 ");
	assert_int_equal(lazy(v), 0);
	assert_string_equal(box_flags(v, 7), "FS");
	assert_true(derived_modseq(view_mailbox(v), 7) > modseq);
	assert_true(derived_modseq(view_mailbox(v), 8) <= modseq);
	rest(b, v);
	view_close(&v);
	box_close(b);
	/* Kept over the restart, with what vanished. */
	box_open(b);
	v = box_view(b, "INBOX", false);
	{
		struct set32 gone;

		set32_init(&gone);
		assert_true(derived_vanished(view_mailbox(v), modseq, &gone));
		assert_int_equal(set32_count(&gone), 1);
		assert_true(set32_has(&gone, 9));
		assert_false(derived_vanished(view_mailbox(v), 1000, &gone));
		set32_done(&gone);
	}
	assert_int_equal(lazy(v), 300);
	assert_true(derived_modseq(view_mailbox(v), 7) > modseq);
	assert_true(derived_modseq(view_mailbox(v), 8) <= modseq);
	assert_true(view_mailbox(v)->highest_modseq > modseq);
	view_close(&v);
}

/* Dovecot's delivery: the map grows before we look. */
static void
test_map_grows(void **state)
{
	struct box *b = *state;
	struct view *v;
	FILE *f;

	fill_known(b, 300);
	box_msg(b, "new/3000.y");
	settle(b);
	f = fopen(box_path(b, "dovecot-uidlist"), "a");
	assert_non_null(f);
	(void)fprintf(f, "305 :3000.y\n");
	assert_int_equal(fclose(f), 0);
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), 301);
	assert_int_equal(view_uid(v, 301), 305);
	assert_string_equal(box_flags(v, 300), "");
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(lazy(v), 305);
	assert_string_equal(box_flags(v, 305), "r");
	view_close(&v);
}

/* Another map altogether: other UIDs, another UIDVALIDITY. */
static void
test_map_replaced(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint32_t old;

	fill_known(b, 20);
	box_open(b);
	v = box_view(b, "INBOX", true);
	old = mailbox_uidvalidity(view_mailbox(v));
	view_close(&v);
	box_close(b);
	box_unlink(b, "dovecot-uidlist");
	box_write(b, "dovecot-uidlist",
	    "3 V77 N900 G" GUID "\n5 :1020.m20\n6 :1001.m1\n");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_not_equal(old, 77);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 77);
	assert_int_equal(view_count(v), 20);
	assert_int_equal(view_uid(v, 1), 5);
	assert_int_equal(view_uid(v, 3), 900);
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(lazy(v), 917);
	assert_string_equal(box_flags(v, 6), "S");
	view_close(&v);
}

/* ---- a walk over many messages --------------------------------------------- */

/* Each step of a walk says what asking for the message says. */
static void
check_walk(struct view *v, const struct set32 *uids, uint32_t from)
{
	struct view_walk w;
	uint32_t uid = from == 0 ? 1 : from, n = 0;

	view_walk_begin(&w, v, uids, from);
	for (; view_walk_next(&w); uid = w.uid + 1, n++) {
		struct flags a = {0}, b = {0};

		/* None was passed over. */
		for (; uid < w.uid; uid++)
			assert_true(
			    view_seq(v, uid) == 0 || !set32_has(uids, uid));
		assert_true(set32_has(uids, w.uid));
		assert_int_equal(view_seq(v, w.uid), w.seq);
		assert_true(view_walk_flags(&w, &a));
		assert_true(view_flags(v, w.uid, &b));
		assert_int_equal(a.system, b.system);
		assert_int_equal(a.keywords, b.keywords);
	}
	for (; uid <= 700; uid++)
		assert_true(view_seq(v, uid) == 0 || !set32_has(uids, uid));
}

static void
check_walks(struct view *v)
{
	struct set32 all, odd;

	set32_init(&all);
	set32_init(&odd);
	set32_add_range(&all, 1, UINT32_MAX);
	for (uint32_t uid = 1; uid < 650; uid += uid % 11 == 0 ? 40 : 2)
		set32_add_range(&odd, uid, uid + uid % 3);
	for (uint32_t from = 0; from < 640; from += 37) {
		check_walk(v, &all, from);
		check_walk(v, &odd, from);
	}
	check_walk(v, &all, UINT32_MAX);
	set32_done(&all);
	set32_done(&odd);
}

static void
test_walk(void **state)
{
	struct box *b = *state;
	struct view *v, *other;
	enum step step;
	uint32_t at = 0;
	struct err e;

	fill_known(b, 600);
	box_open(b);
	v = box_view(b, "INBOX", false);
	other = box_view(b, "INBOX", false);
	assert_int_equal(lazy(v), 600);
	check_walks(v);
	/* Above what is not loaded. */
	box_msg(b, "new/2000.m");
	(void)box_sync(v, true);
	check_walks(v);
	/* Loaded, with gaps; one view does not know yet that they are gone. */
	for (uint32_t uid = 5; uid < 600; uid += 17)
		assert_int_equal(
		    box_store(v, uid, uid + uid % 4, STORE_ADD,
			uid % 2 == 0 ? FLAG_DELETED : FLAG_FLAGGED, NULL, &e),
		    0);
	assert_int_equal(lazy(v), 600);
	check_walks(v);
	assert_int_equal(mailbox_load(view_mailbox(v), &e), 0);
	assert_int_equal(lazy(v), 0);
	check_walks(v);
	while ((step = view_expunge(v, NULL, &at, &e)) == STEP_MORE)
		;
	assert_int_equal(step, STEP_DONE);
	(void)box_sync(v, true);
	assert_true(view_count(v) < view_count(other));
	check_walks(v);
	check_walks(other);
	(void)box_sync(other, true);
	check_walks(other);
	view_close(&other);
	view_close(&v);
	box_close(b);
}

/* ---- timers ---------------------------------------------------------------- */

/* As when its time has come. */
static void
fire(struct ev_loop *loop, ev_timer *t)
{
	assert_true(ev_is_active(t));
	ev_timer_stop(loop, t);
	ev_invoke(loop, t, EV_TIMER);
}

/* Ours do not keep a loop alive, and take nobody else's part in that. */
static void
test_timers(void **state)
{
	struct box *b = *state;
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct derived_store *ds;
	struct index_rec r;
	struct view *v;
	struct err e;
	int active;

	fill_known(b, 3);
	b->loop = loop;
	box_open(b);
	v = box_view(b, "INBOX", false);
	ds = b->store->derived;
	active = ev_run(loop, EVRUN_NOWAIT);
	for (int i = 1; i <= 3; i++) {
		derived_note_date(view_mailbox(v), 1, i);
		derived_note_date(view_mailbox(v), 2, i);
		assert_int_equal(ev_run(loop, EVRUN_NOWAIT), active);
		/* There may come more of them, so it waits once more. */
		fire(loop, &ds->facts);
		assert_int_equal(ev_run(loop, EVRUN_NOWAIT), active);
		assert_true(derived_facts_wait(view_mailbox(v)->derived));
		fire(loop, &ds->facts);
		assert_false(ev_is_active(&ds->facts));
		assert_int_equal(ev_run(loop, EVRUN_NOWAIT), active);
		assert_true(derived_facts(view_mailbox(v), 2, &r));
		assert_int_equal(r.date_s, i);
		assert_int_equal(
		    box_store(v, 1, 1, i % 2 ? STORE_ADD : STORE_REMOVE,
			FLAG_FLAGGED, NULL, &e),
		    0);
		fire(loop, &ds->save);
		assert_int_equal(ev_run(loop, EVRUN_NOWAIT), active);
	}
	view_close(&v);
	box_close(b);
	b->loop = NULL;
	ev_loop_destroy(loop);
}

/* ---- the index itself ---------------------------------------------------- */

static void
test_removed_while_open(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;
	char path[120];
	uint64_t modseq;

	fill_known(b, 300);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(lazy(v), 300);
	modseq = view_mailbox(v)->highest_modseq;
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {
		    "data.mdb", "lock.mdb", "state"};

		(void)snprintf(
		    path, sizeof(path), "%s/index/%s", b->home, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_string_equal(box_flags(v, 7), "S");
	/* Noticed at the first write; the records are taken along. */
	derived_put(view_mailbox(v), 7, INDEX_PREVIEW, STR("x"));
	derived_pause(b->store);
	assert_int_equal(lazy(v), 0);
	assert_string_equal(box_flags(v, 7), "S");
	assert_string_equal(box_sync(v, true), "");
	derived_flush(b->store);
	assert_true(derived_modseq(view_mailbox(v), 7) > modseq);
	assert_int_equal(
	    box_store(v, 7, 7, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	assert_string_equal(box_flags(v, 7), "FS");
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(lazy(v), 300);
	assert_string_equal(box_flags(v, 7), "FS");
	view_close(&v);
}

static void
test_removed_between(void **state)
{
	struct box *b = *state;
	struct view *v;

	fill_known(b, 300);
	remove_index(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 300);
	assert_int_equal(lazy(v), 0);
	assert_string_equal(box_flags(v, 7), "S");
	view_close(&v);
}

/*
 * Records that are not loaded, and the index says nothing sensible any more:
 * the disk is read, and views lose nothing.
 */
static void
test_damaged_while_lazy(void **state)
{
	struct box *b = *state;
	struct view *v;

	fill_known(b, 300);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(lazy(v), 300);
	box_unlink(b, "cur/1009.m9:2,");
	index_note_damage(derived_index(b->store), "test");
	derived_pause(b->store);
	assert_int_equal(lazy(v), 0);
	assert_int_equal(view_count(v), 300);
	/* Those with flags may have had others before. */
	assert_true(strncmp(box_sync(v, true), "x9 ", 3) == 0);
	assert_int_equal(view_count(v), 299);
	assert_string_equal(box_flags(v, 7), "S");
	assert_string_equal(box_flags(v, 300), "");
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 299);
	assert_string_equal(box_flags(v, 7), "S");
	view_close(&v);
}

/* ---- two processes ------------------------------------------------------- */

static void
others_session(struct box *b)
{
	struct box own = *b;
	struct view *v;
	struct err e;
	struct set32 s = box_set(11, 11);
	uint32_t at = 0;

	own.store = NULL;
	box_open(&own);
	v = box_view(&own, "INBOX", false);
	(void)box_store(v, 10, 10, STORE_ADD, FLAG_FLAGGED, NULL, &e);
	(void)box_store(v, 11, 11, STORE_ADD, FLAG_DELETED, NULL, &e);
	while (view_expunge(v, &s, &at, &e) == STEP_MORE)
		;
	set32_done(&s);
	view_close(&v);
	box_close(&own);
}

/* Another process changes the disk and the index while we know only the head. */
static void
test_written_by_others(void **state)
{
	struct box *b = *state;
	struct view *v;
	int status;
	pid_t pid;

	fill_known(b, 300);
	/* The index is never open across a fork: the child waits. */
	{
		int fds[2];
		char c = 'x';

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
		v = box_view(b, "INBOX", false);
		assert_int_equal(lazy(v), 300);
		derived_pause(b->store);
		assert_int_equal(write(fds[1], &c, 1), 1);
		close(fds[0]);
		close(fds[1]);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Before we look again: as it was, or as it is now. */
	assert_int_equal(view_count(v), 300);
	assert_string_equal(box_sync(v, true), "x11 f10 ");
	assert_string_equal(box_flags(v, 10), "FS");
	assert_int_equal(view_count(v), 299);
	assert_string_equal(box_flags(v, 12), "");
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 299);
	assert_int_equal(lazy(v), 300);
	view_close(&v);
}

/* A change in the same tick of the clock leaves no trace in the time. */
static void
test_racy(void **state)
{
	struct box *b = *state;
	struct timespec t[2];
	struct stat st;
	struct view *v;

	fill_known(b, 10);
	box_msg(b, "cur/2000.late:2,");
	assert_int_equal(stat(box_path(b, "cur"), &st), 0);
	/* Read within a tick of the clock. */
	clock_set_for_test(-1,
	    (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 +
		3000);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 11);
	view_close(&v);
	box_close(b);
	box_msg(b, "cur/2001.later:2,");
	t[0] = t[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, box_path(b, "cur"), t, 0), 0);
	/* Until the granularity has passed, nothing is known... */
	clock_set_for_test(-1, clock_wall_us() + 2100000);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 12);
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_unchanged),
	    T(test_walk),
	    T(test_timers),
	    T(test_status),
	    T(test_delivery),
	    T(test_known_file_in_new),
	    T(test_flags_by_others),
	    T(test_map_grows),
	    T(test_map_replaced),
	    T(test_removed_while_open),
	    T(test_removed_between),
	    T(test_damaged_while_lazy),
	    T(test_written_by_others),
	    T(test_racy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
