/* SPDX-License-Identifier: ISC */
/*
 * object_test.c - what clients tell mailboxes, messages and threads by: the
 * same for copies, after a rename, after the index was lost, after the clock
 * was set back; and the keys that messages are ordered by.
 */
#include <sys/wait.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/modseq_floor.h"
#include "store/msg_keys.h"
#include "store/object.h"
#include "tests/lib/indexed_box.h"

static void
lose_index(struct box *b)
{
	char path[100];
	struct err e;

	(void)snprintf(path, sizeof(path), "%s/index", b->home);
	assert_int_equal(file_remove_tree(AT_FDCWD, path, &e), 0);
}

/* ---- identifiers --------------------------------------------------------- */

struct ids {
	char email[OBJECT_ID_MAX], thread[OBJECT_ID_MAX];
};

static struct ids
ids_of(struct view *v, uint32_t uid)
{
	struct ids out;
	struct msg *m;
	struct err e;

	if (msg_open(v, uid, &m, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(msg_email_id(m, out.email, &e), STEP_DONE);
	assert_int_equal(msg_thread_id(m, out.thread, &e), STEP_DONE);
	assert_int_equal(out.email[0], 'M');
	assert_int_equal(out.thread[0], 'T');
	msg_close(&m);
	return out;
}

static void
copy(struct view *v, uint32_t uid, const char *to, bool move)
{
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	struct set32 s = box_set(uid, uid);
	enum step step;
	struct err e;

	while ((step = view_copy(v, &s, str_of(to), move, &job, &r, &e)) ==
	    STEP_MORE)
		store_pause(view_mailbox(v)->store);
	assert_int_equal(step, STEP_DONE);
	copy_job_free(&job);
	set32_done(&r.from);
	set32_done(&r.to);
	set32_done(&s);
}

static void
test_email_id(void **state)
{
	struct box *b = *state;
	struct view *v, *other;
	struct ids one, two;

	box_msg(b, "cur/1001.m1,S=127,W=134:2,");
	box_msg(b, "cur/1002.m2:2,S");
	box_dirs(b, ".Copies");
	box_open(b);
	v = box_view(b, "INBOX", false);
	one = ids_of(v, 1);
	two = ids_of(v, 2);
	/* The same bytes are no reason: they may have been sent twice. */
	assert_string_not_equal(one.email, two.email);
	copy(v, 1, "Copies", false);
	copy(v, 1, "Copies", false);
	copy(v, 2, "Copies", true);
	other = box_view(b, "Copies", false);
	assert_int_equal(view_count(other), 3);
	assert_string_equal(ids_of(other, 1).email, one.email);
	assert_string_equal(ids_of(other, 2).email, one.email);
	assert_string_equal(ids_of(other, 3).email, two.email);
	view_close(&other);
	view_close(&v);
	box_close(b);
	lose_index(b);
	box_open(b);
	other = box_view(b, "Copies", false);
	assert_string_equal(ids_of(other, 2).email, one.email);
	assert_string_equal(ids_of(other, 3).email, two.email);
	view_close(&other);
}

static void
write_msg(struct box *b, int n, const char *head)
{
	char name[40], text[2000];

	(void)snprintf(name, sizeof(name), "cur/%d.m:2,", 1000 + n);
	(void)snprintf(text, sizeof(text), "%s\nbody of %d\n", head, n);
	box_write(b, name, text);
}

static void
test_thread_id(void **state)
{
	struct box *b = *state;
	struct ids root, reply, deep, alone, bare, bare2;
	struct view *v;

	write_msg(b, 1, "Message-ID: <a@x>\nSubject: s\n");
	write_msg(b, 2,
	    "Message-ID: <b@x>\nIn-Reply-To: your mail <a@x>\n"
	    "Subject: Re: s\n");
	write_msg(b, 3,
	    "Message-ID: <c@x>\nReferences: <a@x>\n <b@x>\nSubject: other\n");
	write_msg(b, 4, "Message-ID: <d@x>\nSubject: s\n");
	write_msg(b, 5, "Subject: s\n");
	write_msg(b, 6, "Subject: s\n");
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (int i = 0; i < 2; i++) {
		root = ids_of(v, 1);
		reply = ids_of(v, 2);
		deep = ids_of(v, 3);
		alone = ids_of(v, 4);
		bare = ids_of(v, 5);
		bare2 = ids_of(v, 6);
		assert_string_equal(root.thread, reply.thread);
		assert_string_equal(root.thread, deep.thread);
		assert_string_not_equal(root.thread, alone.thread);
		assert_string_not_equal(bare.thread, bare2.thread);
		assert_string_equal(bare.thread + 1, bare.email + 1);
		derived_pause(b->store); /* now from the index */
	}
	view_close(&v);
}

static void
test_mailbox_id(void **state)
{
	struct box *b = *state;
	char inbox[OBJECT_ID_MAX], one[OBJECT_ID_MAX], two[OBJECT_ID_MAX];
	struct mailbox_status st;
	struct view *v;
	struct err e;

	box_dirs(b, ".One");
	box_open(b);
	v = box_view(b, "INBOX", false);
	mailbox_object_id(view_mailbox(v), inbox);
	assert_int_equal(strlen(inbox), 32);
	view_close(&v);
	v = box_view(b, "One", false);
	mailbox_object_id(view_mailbox(v), one);
	view_close(&v);
	assert_string_not_equal(inbox, one);
	assert_int_equal(now_rename(b->store, STR("One"), STR("Two"), &e), 0);
	assert_int_equal(now_status(b->store, STR("Two"), false, &st, &e), 0);
	assert_string_equal(st.mailbox_id, one);
	/* Made anew it is another one. */
	assert_int_equal(now_delete(b->store, STR("Two"), &e), 0);
	assert_int_equal(store_create(b->store, STR("Two"), &e), 0);
	assert_int_equal(now_status(b->store, STR("Two"), false, &st, &e), 0);
	assert_string_not_equal(st.mailbox_id, one);
	object_mailbox_id("", 5, STR("/a"), one);
	object_mailbox_id("", 5, STR("/b"), two);
	assert_string_not_equal(one, two);
	object_mailbox_id("", 6, STR("/a"), two);
	assert_string_not_equal(one, two);
}

/* ---- save date ----------------------------------------------------------- */

static void
test_save_date(void **state)
{
	struct box *b = *state;
	int64_t now = clock_wall_s(), date, again;
	struct view *v;

	box_msg(b, "cur/1001.m1:2,S");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_false(view_save_date(v, 1, &date));
	box_msg(b, "new/1002.m2");
	(void)box_sync(v, true);
	assert_true(view_save_date(v, 2, &date));
	assert_true(date >= now && date <= now + 100);
	clock_set_for_test(-1, (now + 5000) * 1000000);
	derived_flush(b->store);
	assert_true(view_save_date(v, 2, &again));
	assert_int_equal(again, date);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_true(view_save_date(v, 2, &again));
	assert_int_equal(again, date);
	assert_false(view_save_date(v, 1, &date));
	assert_false(view_save_date(v, 3, &date));
	/* Another mailbox, another date. */
	box_dirs(b, ".Other");
	copy(v, 2, "Other", true);
	view_close(&v);
	v = box_view(b, "Other", false);
	if (view_save_date(v, 1, &again))
		assert_true(again >= now + 5000);
	view_close(&v);
}

/* ---- mod-sequences ------------------------------------------------------- */

static uint64_t
highest(struct box *b)
{
	struct view *v = box_view(b, "INBOX", false);
	struct err e;
	uint64_t modseq;

	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	assert_int_equal(
	    box_store(v, 1, 1, STORE_REMOVE, FLAG_FLAGGED, NULL, &e), 0);
	modseq = view_mailbox(v)->highest_modseq;
	assert_true(
	    derived_modseq(view_mailbox(v), 1) == modseq || !b->has_index);
	view_close(&v);
	return modseq;
}

/* In a process of its own, which closes nothing when it is `killed`. */
static uint64_t
highest_of_process(struct box *b, bool killed)
{
	uint64_t modseq = 0;
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid != -1);
	if (pid == 0) {
		box_open(b);
		modseq = highest(b);
		if (!killed)
			box_close(b);
		_exit(write(fds[1], &modseq, sizeof(modseq)) != sizeof(modseq));
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &modseq, sizeof(modseq)), sizeof(modseq));
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return modseq;
}

/* Index and time are lost, one after the other and together. */
static void
check_never_back(struct box *b)
{
	int64_t now = clock_wall_us();
	uint64_t last = 0;

	box_msg(b, "cur/1001.m1:2,S");
	for (int i = 0; i < 12; i++) {
		uint64_t modseq;

		/* A day back, each other time. */
		clock_set_for_test(
		    -1, i % 2 == 0 ? now : now - INT64_C(86400000000));
		modseq = highest_of_process(b, i % 3 == 0);
		if (modseq <= last)
			fail_msg("%d: %llu, was %llu", i,
			    (unsigned long long)modseq,
			    (unsigned long long)last);
		/* Not far ahead either. */
		assert_true(modseq < (uint64_t)now + 86400000000);
		last = modseq;
		if (b->has_index && i % 3 != 0)
			lose_index(b);
		now += 1000;
	}
}

static void
test_modseq(void **state)
{
	check_never_back(*state);
}

static void
test_modseq_without_index(void **state)
{
	struct box *b = *state;

	b->has_index = false;
	check_never_back(b);
}

static void
test_modseq_file(void **state)
{
	uint64_t n;

	(void)state;
	assert_true(
	    modseq_parse(STR("restante-modseq 1 00001795331492000000\n"), &n));
	assert_true(n == UINT64_C(1795331492000000));
	assert_false(modseq_parse(STR(""), &n));
	assert_false(
	    modseq_parse(STR("restante-modseq 1 00001795331492000000"), &n));
	assert_false(
	    modseq_parse(STR("restante-modseq 2 00001795331492000000\n"), &n));
	assert_false(
	    modseq_parse(STR("restante-modseq 1 99999999999999999999\n"), &n));
	assert_false(
	    modseq_parse(STR("restante-modseq 1 0000179533149200000x\n"), &n));
}

/* ---- keys ---------------------------------------------------------------- */

static void
check_keys(struct view *v)
{
	struct sort_keys k;
	struct thread_keys t;
	struct arena a;
	struct str preview;
	struct msg *m;
	struct err e;

	arena_init(&a);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(msg_sort_keys(m, &a, &k, &e), 0);
	assert_true(k.has_date && k.is_reply);
	assert_int_equal(k.sent_s, 1772445660);
	assert_true(str_eq(k.subject,
	    STR("Gr\xc3\xbc\xc3\x9f"
		"e")));
	assert_true(str_eq(k.from, STR("joe")));
	assert_true(str_eq(k.from_name, STR("J\xc3\xb6 Doe")));
	assert_true(str_eq(k.to, STR("ann")));
	assert_true(str_eq(k.to_name, STR("ann@example.org")));
	assert_int_equal(k.cc.n, 0);
	assert_int_equal(msg_thread_keys(m, &a, &t, &e), 0);
	assert_true(str_eq(t.id, STR("a@x")));
	assert_true(str_eq(t.refs, str_make("r1@x\0r2@x", 9)));
	assert_int_equal(msg_preview(m, &a, &preview, &e), STEP_DONE);
	assert_true(str_eq(preview, STR("Hello there, words.")));
	assert_true(!msg_preview_known(m, &a, &preview) ||
	    str_eq(preview, STR("Hello there, words.")));
	msg_close(&m);
	arena_done(&a);
}

static void
test_keys(void **state)
{
	struct box *b = *state;
	struct arena a;
	struct sort_keys k;
	struct view *v;
	struct str preview;
	struct msg *m;
	struct err e;

	box_write(b, "cur/1001.m1:2,S",
	    "From: =?utf-8?q?J=C3=B6?= Doe <joe@example.org>\n"
	    "To: ann@example.org, bob@example.org\n"
	    "Date: Mon, 02 Mar 2026 10:01:00 +0000\n"
	    "Subject: Re: [list] =?utf-8?b?R3LDvMOfZQ==?= (fwd)\n"
	    "Message-ID: <a@x>\nReferences: <r1@x> <r2@x>\n\n"
	    "Hello   there,\nwords.\n");
	box_write(b, "cur/1002.m2:2,S", "\n");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	arena_init(&a);
	assert_false(msg_preview_known(m, &a, &preview));
	msg_close(&m);
	check_keys(v);
	derived_pause(b->store);
	check_keys(v);
	derived_flush(b->store);
	/* From the index alone: the bytes are not there any more. */
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	box_unlink(b, "cur/1001.m1:2,S");
	assert_int_equal(msg_sort_keys(m, &a, &k, &e), 0);
	assert_true(msg_preview_known(m, &a, &preview));
	msg_close(&m);
	/* Nothing in it: known all the same. */
	assert_int_equal(msg_open(v, 2, &m, &e), 0);
	assert_int_equal(msg_sort_keys(m, &a, &k, &e), 0);
	assert_false(k.has_date);
	assert_int_equal(k.subject.n + k.from.n + k.to_name.n, 0);
	assert_int_equal(msg_preview(m, &a, &preview, &e), STEP_DONE);
	derived_pause(b->store);
	assert_true(msg_preview_known(m, &a, &preview));
	assert_int_equal(preview.n, 0);
	msg_close(&m);
	arena_done(&a);
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_email_id),
	    T(test_thread_id),
	    T(test_mailbox_id),
	    T(test_save_date),
	    T(test_modseq),
	    T(test_modseq_without_index),
	    T(test_modseq_file),
	    T(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
