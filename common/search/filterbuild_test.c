/* SPDX-License-Identifier: ISC */
/*
 * filterbuild_test.c - filters of a mailbox: made once, asked, never believed
 * about another message; without an index, without room, and killed halfway.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "index/filter.h"
#include "search/filterbuild.h"
#include "search/match.h"
#include "store/derived.h"
#include "tests/lib/indexed_box.h"

static int
setup_fast(void **state)
{
	static struct box box;

	box_init_fast(&box);
	box.has_index = true;
	box.poll_only = true;
	log_set_sink(no_line, NULL);
	*state = &box;
	return 0;
}

/* A word that stands for a number, and looks like no other's. */
static const char *
word(unsigned n)
{
	static char words[4][9];
	static unsigned at;
	char *w = words[at++ % 4];
	uint64_t v = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	for (int i = 0; i < 8; i++, v /= 26)
		w[i] = (char)('a' + v % 26);
	return w;
}

/* Message `n` has the words n (in its body) and n + 10000 (in its subject). */
static void
put(struct box *b, unsigned n)
{
	char name[64], text[2000];
	size_t at = 0;

	(void)snprintf(name, sizeof(name), "cur/%u.m%u:2,S", 1000 + n, n);
	at += (size_t)snprintf(text, sizeof(text),
	    "From: a@x\nSubject: %s\nContent-Transfer-Encoding: 8bit\n\n"
	    "Some words that all of them have.\nAnd %s.\n",
	    word(n + 10000), word(n));
	while (at < 1000)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "The same line again and again.\n");
	box_write(b, name, text);
}

static struct view *
open_with(struct box *b, unsigned n)
{
	for (unsigned i = 1; i <= n; i++)
		put(b, i);
	box_open(b);
	return box_view(b, "INBOX", false);
}

/* How many messages were given a filter; -1: it gave up. */
static int
build(struct box *b, struct view *v)
{
	struct filterbuild *fb = filterbuild_new(v, 10);
	enum step step = STEP_MORE;
	struct err e;

	if (fb == NULL)
		return 0;
	while (step == STEP_MORE)
		step = filterbuild_step(fb, clock_mono_ms() + 2, &e);
	filterbuild_free(&fb);
	derived_flush(b->store);
	return step == STEP_DONE ? 1 : -1;
}

/* Messages with this word, and how many were opened for that. */
static unsigned
search(struct view *v, enum query_key key, const char *text, unsigned *n_read)
{
	struct arena a;
	struct query *q;
	struct matcher *m;
	unsigned hits = 0;
	uint32_t uid = 1;
	struct err e;
	bool hit;

	arena_init(&a);
	q = query_new(&a, key);
	q->text = str_of(text);
	q->name = STR("X-Other");
	assert_int_equal(query_plan(q, &e), 0);
	m = matcher_new(v, q);
	*n_read = 0;
	for (; set32_next(view_uids(v), uid, &uid); uid++) {
		enum step step;

		while ((step = matcher_test(m, uid, &hit, &e)) == STEP_MORE)
			;
		assert_int_equal(step, STEP_DONE);
		hits += hit;
		*n_read += matcher_has_read(m);
	}
	matcher_free(&m);
	arena_done(&a);
	return hits;
}

static bool
has_filter(struct view *v, uint32_t uid)
{
	struct str value;

	return view_filter(v, uid, &value);
}

static unsigned
count_groups(struct view *v)
{
	uint32_t uid = UINT32_MAX;
	struct filter_group g;
	struct str value;
	unsigned n = 0;

	while (view_filter_group(v, uid, &value)) {
		assert_true(filter_group_parse(value, &g));
		uid = filter_group_entry(&g, 0).uid - 1;
		n++;
	}
	return n;
}

static void
test_made_once(void **state)
{
	struct box *b = *state;
	struct view *v = open_with(b, 300);
	unsigned n_read, groups;
	struct str record;

	assert_int_equal(search(v, QUERY_TEXT, word(7), &n_read), 1);
	assert_int_equal(n_read, 300);
	assert_int_equal(view_filtered(v), 0);
	assert_int_equal(build(b, v), 1);
	assert_int_equal(view_filtered(v), 300);
	groups = count_groups(v);
	assert_in_range(groups, 2, 300 / 4);
	for (uint32_t uid = 1; uid <= 300; uid++)
		assert_true(view_filter(v, uid, &record));
	assert_false(view_filter(v, 301, &record));
	for (unsigned i = 1; i <= 300; i += 13) {
		assert_int_equal(search(v, QUERY_TEXT, word(i), &n_read), 1);
		assert_in_range(n_read, 1, 60);
		assert_int_equal(
		    search(v, QUERY_BODY, word(i + 10000), &n_read), 0);
		assert_int_equal(
		    search(v, QUERY_HEADER, word(i + 20000), &n_read), 0);
		assert_in_range(n_read, 0, 60);
	}
	assert_int_equal(search(v, QUERY_TEXT, "ALL of THEM", &n_read), 300);
	assert_null(filterbuild_new(v, 10));
	view_close(&v);
	/* Nor by the next process. */
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_null(filterbuild_new(v, 10));
	assert_int_equal(search(v, QUERY_TEXT, word(299), &n_read), 1);
	assert_in_range(n_read, 1, 60);
	assert_int_equal(count_groups(v), groups);
	view_close(&v);
}

/* Mail that comes one by one joins the last group. */
/*
 * A message that is expunged while its filter is half made: the next one does not
 * get what it has.
 */
static void
test_gone_halfway(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct filterbuild *fb;
	unsigned n_read;
	struct err e;
	FILE *f;

	put(b, 2);
	put(b, 3);
	f = fopen(box_path(b, "cur/1001.m1:2,S"), "w");
	assert_non_null(f);
	(void)fputs("Subject: large\n\n", f);
	for (unsigned i = 0; i < 100000; i++)
		(void)fputs("The same line again and again.\n", f);
	assert_int_equal(fclose(f), 0);
	box_open(b);
	v = box_view(b, "INBOX", false);
	fb = filterbuild_new(v, 10);
	assert_non_null(fb);
	/* Some pieces of it, not all. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(filterbuild_step(fb, 0, &e), STEP_MORE);
	assert_false(has_filter(v, 1));
	box_unlink(b, "cur/1001.m1:2,S");
	assert_non_null(strstr(box_sync(v, true), "x1"));
	while (filterbuild_step(fb, 0, &e) == STEP_MORE)
		;
	filterbuild_free(&fb);
	derived_flush(b->store);
	assert_true(has_filter(v, 2));
	assert_true(has_filter(v, 3));
	assert_int_equal(search(v, QUERY_BODY, word(2), &n_read), 1);
	assert_int_equal(search(v, QUERY_BODY, word(3), &n_read), 1);
	view_close(&v);
}

static void
test_new_mail(void **state)
{
	struct box *b = *state;
	struct view *v = open_with(b, 10);
	unsigned n_read;

	assert_int_equal(build(b, v), 1);
	for (unsigned i = 11; i < 20; i++) {
		put(b, i);
		(void)box_sync(v, true);
		assert_int_equal(view_count(v), i);
		assert_int_equal(search(v, QUERY_TEXT, word(i), &n_read), 1);
		assert_int_equal(build(b, v), 1);
		assert_int_equal(search(v, QUERY_TEXT, word(i), &n_read), 1);
		assert_in_range(n_read, 1, 8);
		assert_int_equal(view_filtered(v), i);
	}
	assert_int_equal(count_groups(v), 1);
	assert_int_equal(search(v, QUERY_TEXT, word(3), &n_read), 1);
	view_close(&v);
}

/* Groups go with the last of their messages. */
static void
test_vanished(void **state)
{
	struct box *b = *state;
	struct view *v = open_with(b, 200);
	struct set32 uids;
	unsigned n_read, groups;
	uint32_t at = 0;
	struct err e;

	assert_int_equal(build(b, v), 1);
	groups = count_groups(v);
	set32_init(&uids);
	set32_add_range(&uids, 1, 199);
	assert_int_equal(
	    box_store(v, 1, 199, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	while (view_expunge(v, NULL, &at, &e) == STEP_MORE)
		;
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 1);
	derived_flush(b->store);
	assert_int_equal(count_groups(v), 1);
	assert_true(groups > 1);
	assert_int_equal(search(v, QUERY_TEXT, word(200), &n_read), 1);
	assert_int_equal(search(v, QUERY_TEXT, word(5), &n_read), 0);
	assert_int_equal(n_read, 0);
	set32_done(&uids);
	view_close(&v);
}

/* Another program has changed a message in its place: that is not allowed, and
 * believed as soon as it shows. */
static void
test_replaced(void **state)
{
	struct box *b = *state;
	struct view *v = open_with(b, 100);
	struct msg *m;
	unsigned n_read;
	struct err e;

	assert_int_equal(build(b, v), 1);
	box_write(b, "cur/1050.m50:2,S",
	    "Subject: new\n\nQuite another text, with zyxwvuts in it.\n");
	/* The filter was asked: it knows the old text. */
	assert_int_equal(search(v, QUERY_TEXT, "zyxwvuts", &n_read), 0);
	assert_int_equal(msg_open(v, 50, &m, &e), 0);
	assert_int_equal(msg_load(m, 100, &e), 0);
	msg_close(&m);
	derived_flush(b->store);
	assert_int_equal(search(v, QUERY_TEXT, "zyxwvuts", &n_read), 1);
	assert_int_equal(view_filtered(v), 0);
	/* What went with it is made again. */
	assert_int_equal(build(b, v), 1);
	assert_int_equal(search(v, QUERY_TEXT, "zyxwvuts", &n_read), 1);
	assert_in_range(n_read, 1, 20);
	view_close(&v);
}

static void
test_without_index(void **state)
{
	struct box *b = *state;
	struct view *v;
	unsigned n_read;

	b->has_index = false;
	v = open_with(b, 5);
	assert_null(filterbuild_new(v, 10));
	assert_int_equal(search(v, QUERY_TEXT, word(3), &n_read), 1);
	assert_int_equal(n_read, 5);
	view_close(&v);
	b->has_index = true;
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_null(filterbuild_new(v, 0));
	assert_int_equal(build(b, v), 1);
	view_close(&v);
}

/* The disk refuses to take them: it gives up, and searches go on. */
static void
without_room(struct box *b)
{
	struct rlimit small = {100 * 1024, RLIM_INFINITY};
	struct view *v = open_with(b, 0);
	unsigned n_read;

	(void)sigaction(
	    SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	(void)setrlimit(RLIMIT_FSIZE, &small);
	if (build(b, v) != -1)
		_exit(1);
	if (search(v, QUERY_TEXT, "findme", &n_read) != 1)
		_exit(2);
	_exit(0);
}

static void
test_no_room(void **state)
{
	struct box *b = *state;
	char name[64], *text = mem_new(100001, 1);
	struct view *v_full;
	unsigned n_read;
	uint64_t v = 1;
	int status;
	pid_t pid;

	for (unsigned i = 1; i <= 150; i++) {
		size_t at = (size_t)snprintf(text, 100, "Subject: %s\n\n%s\n",
		    word(i), i == 140 ? "findme" : "");

		for (; at < 60000; at++) {
			v = v * UINT64_C(6364136223846793005) + 1;
			/* More of them, and a filter would be full. */
			text[at] = at % 70 == 0 ? '\n'
			    : at > 20000        ? 'x'
						: (char)('a' + (v >> 40) % 26);
		}
		(void)snprintf(
		    name, sizeof(name), "cur/%u.m%u:2,S", 1000 + i, i);
		box_write(b, name, text);
	}
	MEM_FREE(text);
	pid = fork();
	if (pid == 0)
		without_room(b);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* With room, what still waits to be written is not taken for lost. */
	v_full = open_with(b, 0);
	assert_int_equal(build(b, v_full), 1);
	assert_int_equal(search(v_full, QUERY_TEXT, "findme", &n_read), 1);
	assert_true(n_read < 60);
	view_close(&v_full);
	box_close(b);
}

/* Killed at any moment: what is there is right, and the rest is made. */
static void
test_killed(void **state)
{
	struct box *b = *state;
	struct view *v = open_with(b, 400);
	unsigned n_read;
	int status;

	view_close(&v);
	box_close(b);
	for (unsigned round = 0; round < 6; round++) {
		pid_t pid = fork();

		if (pid == 0) {
			struct filterbuild *fb;
			struct err e;
			unsigned steps = 0;

			box_open(b);
			v = box_view(b, "INBOX", false);
			fb = filterbuild_new(v, 10);
			while (fb != NULL && steps++ < 20 + 60 * round &&
			    filterbuild_step(fb, 0, &e) == STEP_MORE)
				if (steps % 16 == 0)
					derived_pause(b->store);
			(void)raise(SIGKILL);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		box_open(b);
		v = box_view(b, "INBOX", false);
		for (unsigned i = 1; i <= 400; i += 57)
			assert_int_equal(
			    search(v, QUERY_TEXT, word(i), &n_read), 1);
		view_close(&v);
		box_close(b);
	}
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_not_equal(build(b, v), -1);
	assert_int_equal(view_filtered(v), 400);
	for (unsigned i = 1; i <= 400; i++)
		assert_int_equal(search(v, QUERY_TEXT, word(i), &n_read), 1);
	view_close(&v);
}

/* A session ends in the middle: nothing of what is made is lost. */
static void
test_ended_early(void **state)
{
	struct box *b = *state;
	struct view *v = open_with(b, 100);
	struct filterbuild *fb = filterbuild_new(v, 10);
	struct str record;
	struct err e;

	for (int i = 0; i < 30; i++)
		assert_int_equal(filterbuild_step(fb, 0, &e), STEP_MORE);
	filterbuild_free(&fb);
	derived_flush(b->store);
	assert_int_equal(view_filtered(v), 0);
	assert_true(view_filter(v, 25, &record));
	assert_false(view_filter(v, 60, &record));
	assert_int_equal(build(b, v), 1);
	assert_true(view_filter(v, 25, &record));
	assert_true(view_filter(v, 60, &record));
	view_close(&v);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_fast, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_made_once),
	    TEST(test_gone_halfway),
	    TEST(test_new_mail),
	    TEST(test_vanished),
	    TEST(test_replaced),
	    TEST(test_without_index),
	    TEST(test_no_room),
	    TEST(test_killed),
	    TEST(test_ended_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
