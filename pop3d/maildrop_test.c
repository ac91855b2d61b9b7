/* SPDX-License-Identifier: ISC */
/* maildrop_test.c - a maildrop over a real Maildir in a temporary folder. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "net/line.h"
#include "pop3d/maildrop.h"
#include "tests/lib/fresh_box.h"

#define FOREVER INT64_MAX

/* What open_drop() asks for. */
static const char *deleted_flag = "";
static int32_t expire_days = -1;
static bool mark_seen = true;

static const struct maildrop_way *
way_of(struct box *b, const char *format)
{
	static struct maildrop_way way;

	way = (struct maildrop_way){.folder = "INBOX",
	    .place = b->root,
	    .uidl_format = format,
	    .deleted_flag = deleted_flag,
	    .expire_days = expire_days,
	    .mark_seen = mark_seen};
	return &way;
}

static void
open_drop(struct box *b, struct maildrop *d, const char *format)
{
	struct err e;

	if (maildrop_open(d, b->store, way_of(b, format), &e) == -1 ||
	    maildrop_load(d, FOREVER, &e) != STEP_DONE)
		fail_msg("maildrop: %s", e.text);
}

/* Octets of RETR: lines ends as CRLF, without stuffing and the last dot. */
static uint64_t
retr_octets(struct maildrop *d, uint32_t number)
{
	struct line_stuff st = {0};
	static char in[70000], out[LINE_STUFFED_MAX(70000)];
	struct msg *m;
	struct err e;
	size_t got, n, i, stuffed = 0;

	assert_int_equal(
	    msg_open(d->view, maildrop_get(d, number)->uid, &m, &e), 0);
	assert_int_equal(msg_read(m, 0, in, sizeof(in), &got, &e), 0);
	n = line_stuff(&st, str_make(in, got), out);
	for (i = 0; i + 1 < n; i++)
		stuffed += (i == 0 || out[i - 1] == '\n') && out[i] == '.' &&
		    out[i + 1] == '.';
	msg_close(&m);
	return n - stuffed;
}

/* compat-tests P4 */
static void
test_sizes_are_those_of_retr(void **state)
{
	static const char *const texts[] = {
	    "A: b\n\nlf\n",
	    "A: b\r\n\r\ncrlf\r\n",
	    "A: b\r\n\nmixed\nx\r\n",
	    "A: b\n\nno end",
	    "A: b\n\n.\n..\n.x\n",
	    "A: header only\n",
	    "",
	    "A: b\n\nlone\rcr\r\r\n",
	};
	struct box *b = *state;
	struct maildrop d;
	char name[40];
	uint32_t i;

	for (i = 0; i < ARRAY_LEN(texts); i++) {
		(void)snprintf(name, sizeof(name), "new/160000000%u.x", i);
		box_write(b, name, texts[i]);
	}
	/* Sizes that a file name claims count only if they can be true. */
	box_write(b, "new/1600000010.x,S=5,W=5", "A: b\n\nlies\n");
	box_write(b, "new/1600000011.x,S=9,W=13", "A: b\n\nt\n\n");
	box_open(b);
	open_drop(b, &d, "");
	assert_int_equal(d.n, ARRAY_LEN(texts) + 2);
	for (i = 1; i <= d.n; i++)
		assert_int_equal(maildrop_get(&d, i)->size, retr_octets(&d, i));
	maildrop_close(&d);
}

/* compat-tests P2, P5: M3 of the list */
static void
test_stored_ids_and_order(void **state)
{
	struct box *b = *state;
	struct maildrop d;

	box_write(b, "dovecot-uidlist",
	    "3 V1795300401 N11 G620a5138f51b026bb745000083ecc375\n"
	    "1 :1795300341.M1P1.H\n"
	    "9 O7 :1795300401.M1P9.H\n"
	    "10 Puidl-ten O3 Gguid10 :1795300402.M7P9.H\n");
	box_msg(b, "cur/1795300341.M1P1.H:2,");
	box_msg(b, "cur/1795300401.M1P9.H:2,S");
	box_msg(b, "cur/1795300402.M7P9.H:2,");
	box_open(b);
	open_drop(b, &d, "uid");
	assert_int_equal(d.n, 3);
	assert_int_equal(maildrop_get(&d, 1)->uid, 10);
	assert_true(str_eq(maildrop_get(&d, 1)->uidl, STR("uidl-ten")));
	assert_int_equal(maildrop_get(&d, 2)->uid, 9);
	assert_true(str_eq(maildrop_get(&d, 2)->uidl, STR("9")));
	assert_int_equal(maildrop_get(&d, 3)->uid, 1);
	maildrop_close(&d);
}

static void
five_messages(struct box *b)
{
	char name[40];

	for (unsigned i = 1; i <= 5; i++) {
		(void)snprintf(name, sizeof(name), "new/160000000%u.x", i);
		box_msg(b, name);
	}
	box_open(b);
}

static void
test_marks(void **state)
{
	struct box *b = *state;
	struct maildrop d;

	five_messages(b);
	open_drop(b, &d, "");
	assert_int_equal(d.size, 5 * 134);
	maildrop_delete(&d, maildrop_get(&d, 2));
	maildrop_delete(&d, maildrop_get(&d, 5));
	assert_null(maildrop_get(&d, 2));
	assert_null(maildrop_get(&d, 0));
	assert_null(maildrop_get(&d, 6));
	assert_int_equal(d.n_deleted, 2);
	assert_int_equal(d.deleted_size, 2 * 134);
	maildrop_reset(&d);
	assert_non_null(maildrop_get(&d, 2));
	assert_int_equal(d.n_deleted, 0);
	assert_int_equal(d.deleted_size, 0);
	maildrop_close(&d);
}

static void
test_nothing_is_removed_without_update(void **state)
{
	struct box *b = *state;
	struct maildrop d;

	five_messages(b);
	open_drop(b, &d, "");
	maildrop_delete(&d, maildrop_get(&d, 1));
	maildrop_get(&d, 2)->retrieved = true;
	maildrop_close(&d);
	assert_int_equal(box_files(b, "cur") + box_files(b, "new"), 5);
	assert_string_equal(
	    box_find(b, "cur", "1600000002"), "cur/1600000002.x:2,");
	maildrop_close(&d); /* twice is fine */
}

static void
test_update(void **state)
{
	struct box *b = *state;
	struct maildrop d;
	enum step step;
	struct err e;
	unsigned calls = 0;

	five_messages(b);
	open_drop(b, &d, "");
	maildrop_get(&d, 3)->retrieved = true;
	maildrop_get(&d, 1)->retrieved = true;
	maildrop_delete(&d, maildrop_get(&d, 1));
	maildrop_delete(&d, maildrop_get(&d, 4));
	/* A deadline in the past: one piece of work at each call. */
	do {
		step = maildrop_update(&d, 0, &e);
		calls++;
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_true(calls > 1);
	maildrop_close(&d);
	assert_int_equal(box_files(b, "cur"), 3);
	assert_string_equal(box_find(b, "cur", "1600000001"), "");
	assert_string_equal(box_find(b, "cur", "1600000004"), "");
	assert_string_equal(
	    box_find(b, "cur", "1600000003"), "cur/1600000003.x:2,S");
	assert_string_equal(
	    box_find(b, "cur", "1600000005"), "cur/1600000005.x:2,");
}

static void
test_update_without_seen(void **state)
{
	struct box *b = *state;
	struct maildrop d;
	struct err e;

	five_messages(b);
	mark_seen = false;
	open_drop(b, &d, "");
	mark_seen = true;
	maildrop_get(&d, 3)->retrieved = true;
	assert_int_equal(maildrop_update(&d, FOREVER, &e), STEP_DONE);
	maildrop_close(&d);
	assert_string_equal(
	    box_find(b, "cur", "1600000003"), "cur/1600000003.x:2,");
}

static void
test_deleted_is_a_flag(void **state)
{
	struct box *b = *state;
	struct maildrop d;
	struct err e;

	five_messages(b);
	for (int round = 0; round < 2; round++) {
		deleted_flag = round == 0 ? "$POP3Deleted" : "\\Deleted";
		open_drop(b, &d, "");
		assert_int_equal(d.n, 5);
		maildrop_delete(&d, maildrop_get(&d, 2));
		assert_int_equal(maildrop_update(&d, FOREVER, &e), STEP_DONE);
		maildrop_close(&d);
		assert_int_equal(box_files(b, "cur"), 5);
		open_drop(b, &d, "");
		assert_int_equal(d.n, 4);
		assert_int_equal(maildrop_get(&d, 2)->uid, 3);
		maildrop_close(&d);
		deleted_flag = "";
	}
	open_drop(b, &d, "");
	assert_int_equal(d.n, 5);
	maildrop_close(&d);
}

/* Read and old: gone. Read and new, or not read: not. */
static void
test_expire(void **state)
{
	struct box *b = *state;
	struct maildrop d;
	struct err e;

	clock_set_for_test(-1, (int64_t)2000000000 * 1000000);
	for (int i = 1; i <= 5; i++) {
		time_t at = 2000000000 - (i == 2 ? 9 : i == 5 ? 0 : 11) * 86400;
		struct timespec times[2] = {{.tv_sec = at}, {.tv_sec = at}};
		char name[200];

		(void)snprintf(name, sizeof(name), "cur/160000000%d.x:2,%s", i,
		    i <= 2 ? "S" : "");
		box_msg(b, name);
		(void)snprintf(name, sizeof(name), "%s/cur/160000000%d.x:2,%s",
		    b->root, i, i <= 2 ? "S" : "");
		assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
	}
	box_open(b);
	expire_days = 10;
	open_drop(b, &d, "");
	assert_int_equal(d.last, 2);
	maildrop_get(&d, 3)->retrieved = true; /* old */
	maildrop_get(&d, 5)->retrieved = true; /* of today */
	assert_int_equal(maildrop_update(&d, FOREVER, &e), STEP_DONE);
	assert_int_equal(d.n_deleted, 2);
	maildrop_close(&d);
	assert_int_equal(box_files(b, "cur"), 3);
	assert_string_equal(box_find(b, "cur", "1600000001"), "");
	assert_string_equal(box_find(b, "cur", "1600000003"), "");
	/* None may stay that has been sent. */
	expire_days = 0;
	open_drop(b, &d, "");
	maildrop_get(&d, 2)->retrieved = true;
	assert_int_equal(maildrop_update(&d, FOREVER, &e), STEP_DONE);
	maildrop_close(&d);
	expire_days = -1;
	clock_set_for_test(-1, -1);
	assert_int_equal(box_files(b, "cur"), 2);
	assert_string_equal(box_find(b, "cur", "1600000004"), "");
}

/* What others have removed or changed meanwhile is no reason to fail. */
static void
test_others_are_at_work(void **state)
{
	struct box *b = *state;
	struct maildrop d;
	struct err e;

	five_messages(b);
	open_drop(b, &d, "");
	maildrop_delete(&d, maildrop_get(&d, 1));
	maildrop_delete(&d, maildrop_get(&d, 2));
	maildrop_delete(&d, maildrop_get(&d, 3));
	box_unlink(b, "cur/1600000001.x:2,");
	box_move(b, "cur/1600000002.x:2,", "cur/1600000002.x:2,FS");
	box_msg(b, "new/1600000009.x");
	assert_int_equal(maildrop_update(&d, FOREVER, &e), STEP_DONE);
	maildrop_close(&d);
	assert_int_equal(box_files(b, "cur") + box_files(b, "new"), 3);
	assert_string_not_equal(box_find(b, "cur", "1600000004"), "");
}

/* An IMAP session sets all flags anew, before and between any two steps. */
static void
remove_while_flags_are_set(struct box *b)
{
	struct store *ours, *others;
	struct maildrop d;
	struct view *v;
	enum step step;
	struct err e;

	box_open(b);
	others = b->store;
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 5);
	box_open(b);
	ours = b->store;
	open_drop(b, &d, "");
	maildrop_delete(&d, maildrop_get(&d, 1));
	maildrop_delete(&d, maildrop_get(&d, 4));
	for (unsigned i = 0; (step = maildrop_update(&d, 0, &e)) == STEP_MORE;
	     i++) {
		(void)box_sync(v, true);
		assert_int_equal(box_store(v, 1, 5, STORE_SET,
				     i % 2 == 0 ? FLAG_SEEN : 0, NULL, &e),
		    0);
	}
	assert_int_equal(step, STEP_DONE);
	maildrop_close(&d);
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 3);
	assert_int_equal(view_uid(v, 1), 2);
	assert_int_equal(view_uid(v, 3), 5);
	view_close(&v);
	b->store = others;
	store_close(&ours);
}

static void
test_flags_of_others_keep_nothing(void **state)
{
	struct box *b = *state, in_spool;
	char name[40];
	FILE *f;

	for (unsigned i = 1; i <= 5; i++) {
		(void)snprintf(name, sizeof(name), "new/160000000%u.x", i);
		box_msg(b, name);
	}
	remove_while_flags_are_set(b);
	box_init_mbox(&in_spool);
	f = fopen(box_path(&in_spool, "spool/joe"), "w");
	assert_non_null(f);
	for (unsigned i = 1; i <= 5; i++)
		assert_true(fprintf(f,
				"From a@b Mon Mar  2 10:01:00 2026\n"
				"Subject: %u\n\nbody\n\n",
				i) > 0);
	assert_int_equal(fclose(f), 0);
	remove_while_flags_are_set(&in_spool);
	box_done(&in_spool);
}

static void
test_one_session_at_a_time(void **state)
{
	struct box *b = *state;
	struct maildrop d, other;
	struct err e;
	int status, fds[2];
	char byte;
	pid_t pid;

	five_messages(b);
	open_drop(b, &d, "");
	assert_int_equal(
	    maildrop_open(&other, b->store, way_of(b, ""), &e), -1);
	assert_int_equal(e.code, ERR_IN_USE);
	/* Another process: it has no state in common with this one. */
	maildrop_close(&d);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (maildrop_open(&d, b->store, way_of(b, ""), &e) == -1)
			_exit(9);
		(void)!write(fds[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(maildrop_open(&d, b->store, way_of(b, ""), &e), -1);
	assert_int_equal(e.code, ERR_IN_USE);
	/* The lock goes with its process, however that ends. */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	open_drop(b, &d, "");
	maildrop_close(&d);
}

/* A message without a size in its name is counted a few megabytes at a time. */
static void
test_a_large_message_is_counted_in_steps(void **state)
{
	struct box *b = *state;
	struct maildrop d;
	struct err e;
	unsigned steps = 0;
	enum step step;
	FILE *f = fopen(box_path(b, "cur/1.M1.x:2,"), "w");

	assert_non_null(f);
	for (int i = 0; i < 900000; i++)
		assert_true(fputs("sixteen bytes..\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	box_open(b);
	assert_int_equal(maildrop_open(&d, b->store, way_of(b, ""), &e), 0);
	while ((step = maildrop_load(&d, 0, &e)) == STEP_MORE)
		steps++;
	assert_int_equal(step, STEP_DONE);
	assert_true(steps >= 3);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.size, 900000 * 17);
	maildrop_close(&d);
	/* Another one, given up in the middle. */
	box_move(b, "cur/1.M1.x:2,", "cur/2.M2.x:2,");
	assert_int_equal(maildrop_open(&d, b->store, way_of(b, ""), &e), 0);
	for (steps = 0; d.loading == NULL; steps++) {
		assert_true(steps < 1000);
		assert_int_equal(maildrop_load(&d, 0, &e), STEP_MORE);
	}
	maildrop_close(&d);
}

static void
test_loads_in_steps(void **state)
{
	struct box *b = *state;
	struct maildrop d;
	enum step step;
	struct err e;
	unsigned calls = 0;
	char name[40];

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "new/16000000%02u.x", i);
		box_msg(b, name);
	}
	box_open(b);
	assert_int_equal(maildrop_open(&d, b->store, way_of(b, ""), &e), 0);
	do {
		step = maildrop_load(&d, 0, &e);
		calls++;
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	/* Opening may take steps of its own. */
	assert_in_range(calls, 100 / 16 + 1, 100 / 16 + 10);
	assert_int_equal(d.n, 100);
	maildrop_close(&d);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_sizes_are_those_of_retr),
	    CASE(test_stored_ids_and_order),
	    CASE(test_marks),
	    CASE(test_nothing_is_removed_without_update),
	    CASE(test_update),
	    CASE(test_update_without_seen),
	    CASE(test_deleted_is_a_flag),
	    CASE(test_expire),
	    CASE(test_others_are_at_work),
	    CASE(test_flags_of_others_keep_nothing),
	    CASE(test_one_session_at_a_time),
	    CASE(test_loads_in_steps),
	    CASE(test_a_large_message_is_counted_in_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
