/* SPDX-License-Identifier: ISC */
/* kept_test.c - answers about a mailbox: whole, or not at all. */
#include "store/kept.h"

#include "store/derived.h"
#include "tests/lib/indexed_box.h"

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

	fill_known(b, 5);
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

	fill_known(b, 5);
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

	fill_known(b, 5);
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

	fill_known(b, 5);
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
