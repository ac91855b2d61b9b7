/* SPDX-License-Identifier: ISC */
/* change_test.c - APPEND and COPY: line ends, all or none, locks, maildirsize. */
#include <sys/wait.h>

#include "os/lock.h"
#include "store/maildir/maildir_impl.h"
#include "tests/lib/fresh_box.h"

static enum step
copy(struct view *v, uint32_t first, uint32_t last, const char *to, bool move,
    struct copy_result *r, struct err *e)
{
	struct set32 s = box_set(first, last);
	struct copy_job *job = NULL;
	enum step step;

	do
		step = view_copy(v, &s, str_of(to), move, &job, r, e);
	while (step == STEP_MORE);
	copy_job_free(&job);
	set32_done(&s);
	return step;
}

static void
test_maildirsize(void **state)
{
	struct box *b = *state;
	struct copy_result r = {0};
	struct view *v;
	struct err e;
	uint32_t at = 0;
	enum step step;

	box_open(b);
	(void)box_append(b, "INBOX", TEST_MSG, 0, -1);
	assert_false(box_has(b, "maildirsize"));
	box_write(b, "maildirsize", "10000000S,1000C\n127 1\n");
	(void)box_append(b, "Sent", TEST_MSG, 0, -1);
	assert_string_equal(box_read(b, "maildirsize"),
	    "10000000S,1000C\n127 1\n127 1        \n");
	v = box_view(b, "INBOX", false);
	assert_int_equal(copy(v, 1, 1, "INBOX", false, &r, &e), STEP_DONE);
	assert_int_equal(copy(v, 1, 1, "Trash", true, &r, &e), STEP_DONE);
	(void)box_sync(v, true);
	assert_int_equal(
	    box_store(v, 2, 2, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	while ((step = view_expunge(v, NULL, &at, &e)) == STEP_MORE)
		;
	assert_int_equal(step, STEP_DONE);
	assert_string_equal(box_read(b, "maildirsize"),
	    "10000000S,1000C\n127 1\n127 1        \n127 1        \n"
	    "-127 -1      \n-127 -1      \n");
	view_close(&v);
	set32_done(&r.from);
	set32_done(&r.to);
}

/* L1: writers at once; nobody keeps the others waiting for long. */
static void
test_l1_lock_is_held_briefly(void **state)
{
	enum { WRITERS = 4, ROUNDS = 250 };
	struct box b;
	struct view *v;

	(void)state;
	box_init_fast(&b); /* what is measured is us, not a busy disk */
	for (int i = 0; i < WRITERS; i++) {
		if (fork() != 0)
			continue;
		box_open(&b);
		for (int k = 0; k < ROUNDS; k++)
			if (box_append(&b, "INBOX", TEST_MSG, 0, -1) == 0)
				_exit(2);
		/* 50 ms on a quiet machine; others may be busy here. */
		_exit(dotlock_longest_ms() < 1000 ? 0 : 3);
	}
	for (int i = 0; i < WRITERS; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	box_open(&b);
	v = box_view(&b, "INBOX", false);
	assert_int_equal(view_count(v), WRITERS * ROUNDS);
	assert_int_equal(view_uid(v, WRITERS * ROUNDS), WRITERS * ROUNDS);
	view_close(&v);
	box_done(&b);
}

static void
test_append_line_ends(void **state)
{
	struct box *b = *state;
	static const struct {
		const char *in, *stored;
		unsigned wire;
	} cases[] = {
	    {"a: b\r\n\r\nc\r\n", "a: b\n\nc\n", 11},
	    {"a: b\n\nc\n", "a: b\n\nc\n", 11},
	    {"a\rb\r", "a\rb\r", 4},
	    {"a\r\r\nb", "a\r\nb", 4},
	    {"\r\n", "\n", 2},
	    {"x", "x", 1},
	};
	struct view *v;

	box_open(b);
	v = box_view(b, "INBOX", false);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* Whole, then byte by byte. */
		for (int bytewise = 0; bytewise < 2; bytewise++) {
			struct append *a;
			struct flag_wish w = {.system = FLAG_SEEN};
			struct set32 uids;
			uint32_t validity, uid;
			struct err e;
			struct msg *m;
			struct str in = str_of(cases[i].in);
			uint64_t size;
			char text[100];
			size_t got;
			int64_t date;

			set32_init(&uids);
			assert_int_equal(
			    now_append_begin(b->store, STR("INBOX"), &a, &e),
			    0);
			assert_int_equal(
			    append_message(a, &w, 123456, in.n, &e), 0);
			for (size_t k = 0; bytewise && k < in.n; k++)
				assert_int_equal(
				    append_data(a, str_make(in.p + k, 1), &e),
				    0);
			if (!bytewise)
				assert_int_equal(append_data(a, in, &e), 0);
			assert_int_equal(append_data(a, STR("y"), &e), -1);
			assert_int_equal(
			    now_append_commit(a, &validity, &uids, &e), 0);
			append_free(&a);
			uid = set32_at(&uids, 1);
			set32_done(&uids);
			(void)box_sync(v, true);
			assert_int_equal(msg_open(v, uid, &m, &e), 0);
			assert_int_equal(msg_wire_size(m, &size, &e), 0);
			assert_int_equal(size, cases[i].wire);
			assert_int_equal(msg_read(m, 0, text, 99, &got, &e), 0);
			text[got] = '\0';
			assert_string_equal(text, cases[i].stored);
			assert_int_equal(msg_internal_date(m, &date, &e), 0);
			assert_int_equal(date, 123456);
			msg_close(&m);
		}
	}
	view_close(&v);
}

static void
test_append_many_or_none(void **state)
{
	struct box *b = *state;
	struct append *a;
	struct flag_wish none = {0}, seen = {.system = FLAG_SEEN};
	struct set32 uids;
	uint32_t validity;
	struct err e;

	set32_init(&uids);
	box_open(b);
	assert_int_equal(now_append_begin(b->store, STR("INBOX"), &a, &e), 0);
	assert_int_equal(append_message(a, &none, -1, 3, &e), 0);
	assert_int_equal(append_data(a, STR("abc"), &e), 0);
	assert_int_equal(append_message(a, &seen, -1, 4, &e), 0);
	assert_int_equal(append_data(a, STR("ab"), &e), 0);
	assert_int_equal(now_append_commit(a, &validity, &uids, &e), -1);
	append_free(&a);
	assert_int_equal(box_files(b, "tmp"), 0);
	assert_int_equal(box_files(b, "new"), 0);
	assert_int_equal(now_append_begin(b->store, STR("INBOX"), &a, &e), 0);
	assert_int_equal(append_message(a, &none, -1, 3, &e), 0);
	assert_int_equal(append_data(a, STR("abc"), &e), 0);
	assert_int_equal(append_message(a, &seen, -1, 2, &e), 0);
	assert_int_equal(append_data(a, STR("ab"), &e), 0);
	assert_int_equal(now_append_commit(a, &validity, &uids, &e), 0);
	append_free(&a);
	assert_int_equal(set32_count(&uids), 2);
	assert_int_equal(box_files(b, "tmp"), 0);
	assert_int_equal(box_files(b, "new"), 1);
	assert_int_equal(box_files(b, "cur"), 1);
	assert_int_equal(now_append_begin(b->store, STR("nix"), &a, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	set32_done(&uids);
}

static void
test_w14_copy(void **state)
{
	struct box *b = *state;
	struct view *v, *w;
	struct copy_result r = {0};
	struct err e;
	char name[300], want[400];
	const char *listed;

	box_open(b);
	(void)box_append(b, "INBOX", TEST_MSG, FLAG_SEEN, 1000);
	(void)box_append(b, "INBOX", TEST_MSG, 0, 2000);
	assert_int_equal(store_create(b->store, STR("To"), &e), 0);
	v = box_view(b, "INBOX", false);
	assert_int_equal(box_store(v, 1, 1, STORE_ADD, 0, "$Forwarded", &e), 0);
	assert_int_equal(copy(v, 1, 2, "To", false, &r, &e), STEP_DONE);
	assert_int_equal(set32_count(&r.from), 2);
	assert_int_equal(set32_at(&r.to, 2), 2);
	w = box_view(b, "To", false);
	assert_int_equal(r.uidvalidity, mailbox_uidvalidity(view_mailbox(w)));
	assert_string_equal(box_flags(w, 1), "S $Forwarded");
	assert_string_equal(box_flags(w, 2), "r");
	/* The first copy has the same base, the next a new one. */
	assert_int_equal(copy(v, 1, 1, "To", false, &r, &e), STEP_DONE);
	assert_string_equal(box_sync(w, true), "e3 r1 ");
	(void)str_to_c(
	    maildir_base(view_mailbox(v), mailbox_rec(view_mailbox(v), 1)),
	    name, sizeof(name));
	listed = box_read(b, ".To/dovecot-uidlist");
	(void)snprintf(want, sizeof(want), "\n1 :%s\n", name);
	assert_non_null(strstr(listed, want));
	(void)snprintf(want, sizeof(want), "\n3 G%s :", name);
	assert_non_null(strstr(listed, want));
	/* A copy of that copy has its GUID too. */
	assert_int_equal(copy(w, 3, 3, "INBOX", false, &r, &e), STEP_DONE);
	listed = box_read(b, "dovecot-uidlist");
	assert_non_null(strstr(listed, want));
	/* Into itself. */
	assert_int_equal(copy(w, 2, 2, "To", false, &r, &e), STEP_DONE);
	assert_string_equal(box_sync(w, true), "e4 r2 ");
	/* Move. */
	assert_int_equal(copy(w, 1, 3, "INBOX", true, &r, &e), STEP_DONE);
	assert_string_equal(box_sync(w, true), "x3 x2 x1 ");
	assert_int_equal(copy(w, 4, 4, "nix", true, &r, &e), STEP_FAIL);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(box_files(b, ".To/tmp"), 0);
	assert_int_equal(box_files(b, "tmp"), 0);
	view_close(&v);
	view_close(&w);
	set32_done(&r.from);
	set32_done(&r.to);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_maildirsize),
	    T(test_l1_lock_is_held_briefly),
	    T(test_append_line_ends),
	    T(test_append_many_or_none),
	    T(test_w14_copy),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
