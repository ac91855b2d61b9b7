/* SPDX-License-Identifier: ISC */
/* kept_test.c - answers about a mailbox: whole, or not at all. */
#include "store/kept.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/derived.h"
#include "tests/lib/test_store.h"

static void
no_line(UNUSED enum log_level level, UNUSED const char *line, UNUSED void *arg)
{
}

static int
setup(void **state)
{
	static struct box box;

	box_init(&box);
	box.has_index = true;
	box.poll_only = true;
	log_set_sink(no_line, NULL);
	*state = &box;
	return 0;
}

static int
teardown(void **state)
{
	clock_set_for_test(-1, -1);
	box_done(*state);
	return 0;
}

/* Changes older than the clock's granularity. */
static void
settle(struct box *b)
{
	static const char *const dirs[] = {"cur", "new"};
	static long moment;
	struct timespec t[2] = {{0}, {0}};

	t[0].tv_sec = t[1].tv_sec = clock_wall_s() - 100;
	t[0].tv_nsec = t[1].tv_nsec = ++moment;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
		    utimensat(AT_FDCWD, box_path(b, dirs[i]), t, 0), 0);
}

/* `n` messages with UIDs, known to the index as of long ago. */
static void
fill(struct box *b, int n)
{
	char name[64];
	struct view *v;

	for (int i = 1; i <= n; i++) {
		(void)snprintf(name, sizeof(name), "cur/%d.m%d:2,%s", 1000 + i,
		    i, i % 3 == 0 ? "" : "S");
		box_msg(b, name);
	}
	settle(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), n);
	view_close(&v);
	box_close(b);
}

/* Is it kept, as `len` times that letter? 0: it must not be. */
static void
check(struct view *v, const char *question, char letter, size_t len)
{
	struct buf b;

	buf_init(&b, KEPT_MAX_BYTES);
	assert_int_equal(kept_get(v, str_of(question), &b), len > 0);
	assert_int_equal(b.n, len);
	for (size_t i = 0; i < b.n; i++)
		assert_int_equal(b.p[i], letter);
	buf_done(&b);
}

static void
put(struct box *b, struct view *v, const char *question, char letter,
    size_t len)
{
	char *p = malloc(len);

	assert_non_null(p);
	memset(p, letter, len);
	kept_put(v, str_of(question), str_make(p, len));
	derived_flush(b->store);
	free(p);
}

static void
test_kept(void **state)
{
	struct box *b = *state;
	struct view *v;

	fill(b, 5);
	box_open(b);
	v = box_view(b, "INBOX", false);
	check(v, "a", 0, 0);
	put(b, v, "a", 'x', 10);
	check(v, "a", 'x', 10);
	check(v, "aa", 0, 0);
	/* Many pieces, then fewer: nothing of the old ones is taken. */
	put(b, v, "a", 'y', 1000000);
	check(v, "a", 'y', 1000000);
	put(b, v, "a", 'z', 40000);
	check(v, "a", 'z', 40000);
	/* By whoever opens the mailbox next. */
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	check(v, "a", 'z', 40000);
	kept_forget(view_mailbox(v));
	derived_flush(b->store);
	check(v, "a", 0, 0);
	view_close(&v);
}

/* However many questions there are: KEPT_PLACES answers, each its own. */
static void
test_places(void **state)
{
	struct box *b = *state;
	struct view *v;
	char question[20];
	unsigned n_kept = 0;
	struct buf answer;

	fill(b, 5);
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(question, sizeof(question), "question %u", i);
		put(b, v, question, (char)('A' + i % 26), i + 1);
	}
	buf_init(&answer, KEPT_MAX_BYTES);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(question, sizeof(question), "question %u", i);
		buf_clear(&answer);
		if (!kept_get(v, str_of(question), &answer))
			continue;
		n_kept++;
		check(v, question, (char)('A' + i % 26), i + 1);
	}
	buf_done(&answer);
	assert_in_range(n_kept, 1, KEPT_PLACES);
	view_close(&v);
}

/* A piece of another answer in the middle, or one that is gone. */
static void
test_torn(void **state)
{
	struct box *b = *state;
	uint32_t numbers[KEPT_PLACES];
	struct str value;
	struct view *v;
	struct buf copy;

	fill(b, 5);
	box_open(b);
	v = box_view(b, "INBOX", false);
	put(b, v, "a", 'x', 100000);
	buf_init(&copy, SIZE_MAX / 2);
	for (unsigned i = 0; i < KEPT_PLACES; i++)
		numbers[i] = i << 16 | 2;
	for (unsigned i = 0; i < KEPT_PLACES; i++)
		if (derived_get(
			view_mailbox(v), numbers[i], INDEX_KEPT, &value)) {
			(void)buf_add_str(&copy, value);
			numbers[0] = numbers[i];
		}
	assert_true(copy.n > 0);
	put(b, v, "a", 'y', 100000);
	check(v, "a", 'y', 100000);
	derived_put(view_mailbox(v), numbers[0], INDEX_KEPT, buf_str(&copy));
	derived_flush(b->store);
	check(v, "a", 0, 0);
	derived_put(view_mailbox(v), numbers[0], INDEX_KEPT, STR(""));
	derived_flush(b->store);
	check(v, "a", 0, 0);
	put(b, v, "a", 'y', 100000);
	check(v, "a", 'y', 100000);
	buf_done(&copy);
	view_close(&v);
}

/* A date that is another now: the order may be another, too. */
static void
test_forgotten(void **state)
{
	struct box *b = *state;
	struct view *v;

	fill(b, 5);
	box_open(b);
	v = box_view(b, "INBOX", false);
	derived_note_date(view_mailbox(v), 3, 1000);
	derived_flush(b->store);
	put(b, v, "a", 'x', 10);
	derived_note_date(view_mailbox(v), 3, 1000);
	derived_flush(b->store);
	check(v, "a", 'x', 10);
	derived_note_date(view_mailbox(v), 3, 1001);
	derived_flush(b->store);
	check(v, "a", 0, 0);
	view_close(&v);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_kept),
	    TEST(test_places),
	    TEST(test_torn),
	    TEST(test_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
