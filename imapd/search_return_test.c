/* SPDX-License-Identifier: ISC */
/*
 * search_return_test.c - answers of ESEARCH, written with a clock that never has
 * time, are the same as those that a simple loop makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/search_return.h"
#include "imapd/session.h"

#define UIDS 9000

/* Message n of the view has UID uids[n - 1]. */
static uint32_t uids[UIDS];
static unsigned asked;

bool
cmd_time_is_up(UNUSED struct cmd *c)
{
	asked++;
	return true;
}

uint32_t
view_seq(UNUSED struct view *v, uint32_t uid)
{
	for (uint32_t n = uid < UIDS ? uid : UIDS; n > 0; n--)
		if (uids[n - 1] == uid)
			return n;
	return 0;
}

/* Every third UID does not exist. */
static void
fill_view(void)
{
	for (uint32_t n = 0; n < UIDS; n++)
		uids[n] = n + n / 2 + 1;
	uids[UIDS - 1] = UINT32_MAX;
}

static void
add_run(struct buf *b, uint32_t from, uint32_t to)
{
	if (b->n > 0)
		buf_add_byte(b, ',');
	buf_addf(b, from == to ? "%u" : "%u:%u", from, to);
}

/* Ranges of what ascends by one. */
static void
expect_set(struct buf *b, const uint32_t *v, size_t n)
{
	uint32_t from = 0, to = 0;

	for (size_t i = 0; i < n; i++) {
		if (from != 0 && v[i] == to + 1) {
			to = v[i];
			continue;
		}
		if (from != 0)
			add_run(b, from, to);
		from = to = v[i];
	}
	if (from != 0)
		add_run(b, from, to);
}

struct question {
	bool is_sorted, in_uids;
	uint32_t every; /* of so many messages one is found */
	struct search_return ret;
};

static void
shuffle(uint32_t *v, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)random() % i;
		uint32_t x = v[i - 1];

		/* Some runs stay. */
		if (i % 7 < 3)
			continue;
		v[i - 1] = v[j];
		v[j] = x;
	}
}

static void
expect(struct buf *b, const struct question *q, uint32_t *order, size_t n)
{
	const struct partial_range *p = &q->ret.partial;
	uint32_t first = 1, last = (uint32_t)n, numbers[UIDS];
	struct buf set;

	for (size_t i = 0; i < n; i++)
		numbers[i] = q->in_uids ? order[i] : view_seq(NULL, order[i]);
	if (q->in_uids)
		buf_add_c(b, " UID");
	if (n > 0 && (q->ret.options & SEARCH_MIN) != 0)
		buf_addf(b, " MIN %u", numbers[0]);
	if (n > 0 && (q->ret.options & SEARCH_MAX) != 0)
		buf_addf(b, " MAX %u", numbers[n - 1]);
	buf_init(&set, SIZE_MAX / 2);
	if ((q->ret.options & SEARCH_PARTIAL) != 0) {
		const char *sign = p->from_end ? "-" : "";

		buf_addf(
		    b, " PARTIAL (%s%u:%s%u ", sign, p->first, sign, p->last);
		if (partial_range_cut(p, (uint32_t)n, &first, &last))
			expect_set(&set, numbers + first - 1, last - first + 1);
		else
			buf_add_c(&set, "NIL");
		buf_add_byte(&set, ')');
		buf_add_str(b, buf_str(&set));
	} else if (n > 0 && (q->ret.options & SEARCH_ALL) != 0) {
		expect_set(&set, numbers, n);
		buf_addf(b, " ALL ");
		buf_add_str(b, buf_str(&set));
	}
	buf_done(&set);
	if ((q->ret.options & SEARCH_COUNT) != 0)
		buf_addf(b, " COUNT %zu", n);
	buf_add_c(b, " MODSEQ 77\r\n");
}

/* As a set that the answer names (RFC 9394 section 3.2). */
static void
check_named(const struct question *q, const struct search_found *f, size_t n)
{
	uint32_t first = 1, last = (uint32_t)n;
	struct set32 named, want;

	if (q->ret.options != SEARCH_PARTIAL)
		return;
	set32_init(&named);
	set32_init(&want);
	if (partial_range_cut(&q->ret.partial, (uint32_t)n, &first, &last))
		for (uint32_t i = first; i <= last; i++)
			set32_add(&want,
			    f->order != NULL ? f->order[i - 1]
					     : set32_at(f->uids, i));
	search_return_named(&q->ret, f, &named);
	assert_int_equal(named.n, want.n);
	for (size_t i = 0; i < want.n; i++) {
		assert_int_equal(named.r[i].first, want.r[i].first);
		assert_int_equal(named.r[i].last, want.r[i].last);
	}
	set32_done(&named);
	set32_done(&want);
}

static void
check(const struct question *q)
{
	struct session s = {.uid_only = false};
	struct cmd c = {.s = &s};
	struct search_answer a;
	struct search_found f;
	struct set32 found;
	uint32_t order[UIDS];
	struct buf want;
	size_t n = 0;

	set32_init(&found);
	for (uint32_t i = 0; i < UIDS; i++)
		if (i % q->every != 1) {
			set32_add(&found, uids[i]);
			order[n++] = uids[i];
		}
	if (q->is_sorted)
		shuffle(order, n);
	f = (struct search_found){
	    .uids = &found, .order = q->is_sorted ? order : NULL};
	buf_init(&want, SIZE_MAX / 2);
	expect(&want, q, order, n);
	search_answer_init(&a);
	asked = 0;
	while (search_answer_step(&a, &c, q->in_uids, &q->ret, &f, 77) ==
	    STEP_MORE)
		assert_in_range(asked, 1, 20);
	assert_int_equal(a.line.n, want.n);
	assert_memory_equal(a.line.p, want.p, want.n);
	if (q->ret.options == SEARCH_ALL && n > 2000)
		assert_true(asked > 1);
	check_named(q, &f, n);
	search_answer_done(&a);
	buf_done(&want);
	set32_done(&found);
}

static void
test_answers(void **state)
{
	static const struct partial_range ranges[] = {{false, 1, 5},
	    {true, 1, 5}, {false, 3000, 7000}, {true, 2, 8000},
	    {false, 1, UINT32_MAX}, {false, 10000, 20000}, {false, 4, 4}};
	struct question q;

	(void)state;
	fill_view();
	srandom(1);
	for (unsigned i = 0; i < 4; i++) {
		q = (struct question){
		    .is_sorted = i % 2 != 0, .in_uids = i / 2 != 0};
		for (q.every = 2; q.every < 5; q.every++) {
			q.ret.options = SEARCH_ALL;
			check(&q);
			q.ret.options = SEARCH_MIN | SEARCH_MAX | SEARCH_COUNT;
			check(&q);
			q.ret.options |= SEARCH_ALL;
			check(&q);
			q.ret.options = SEARCH_PARTIAL;
			for (size_t r = 0; r < ARRAY_LEN(ranges); r++) {
				q.ret.partial = ranges[r];
				check(&q);
			}
		}
	}
}

/* Nothing was found: no ALL, MIN, MAX (RFC 4731), and NIL (RFC 9394). */
static void
test_nothing(void **state)
{
	struct session s = {.uid_only = false};
	struct cmd c = {.s = &s};
	struct set32 none = {0};
	struct search_found f = {.uids = &none};
	struct search_return r = {
	    .options = SEARCH_ALL | SEARCH_MIN | SEARCH_MAX | SEARCH_COUNT};
	struct search_answer a;

	(void)state;
	search_answer_init(&a);
	assert_int_equal(
	    search_answer_step(&a, &c, false, &r, &f, 0), STEP_DONE);
	assert_true(str_eq(buf_str(&a.line), STR(" COUNT 0\r\n")));
	search_answer_done(&a);
	search_answer_init(&a);
	r.options = SEARCH_PARTIAL;
	r.partial = (struct partial_range){true, 1, 9};
	assert_int_equal(
	    search_answer_step(&a, &c, true, &r, &f, 0), STEP_DONE);
	assert_true(
	    str_eq(buf_str(&a.line), STR(" UID PARTIAL (-1:-9 NIL)\r\n")));
	search_answer_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
