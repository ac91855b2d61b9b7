/* SPDX-License-Identifier: ISC */
/* thread_test.c - conversations: RFC 5256's rules one by one, and bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "search/thread.h"

struct row {
	int64_t sent_s;
	const char *id, *refs; /* "a b c": from the first to the parent */
	const char *subject;
	bool is_reply;
};

#define ROWS_MAX 20

/* In one go, or a few steps at a time: the same. */
static struct thread_node *
make(struct arena *a, enum thread_kind kind, const struct thread_msg *msgs,
    size_t n, size_t at_once)
{
	struct thread_job *j = thread_job_new(a, kind, msgs, n);
	size_t steps;

	do
		steps = at_once;
	while (!thread_job_go(j, &steps));
	thread_job_done(j);
	return thread_job_root(j);
}

static void
write_node(struct buf *b, const struct thread_node *n)
{
	const struct thread_node *child;

	if (n->m != NULL)
		buf_addf(b, "%u", n->m->uid);
	else
		buf_add_c(b, "-");
	if (n->first == NULL)
		return;
	buf_add_c(b, "(");
	for (child = n->first; child != NULL; child = child->next) {
		assert_ptr_equal(child->parent, n);
		write_node(b, child);
		buf_add_c(b, child->next != NULL ? " " : "");
	}
	buf_add_c(b, ")");
}

/* The tree as "1(2 3(4))", "-" for a dummy; UIDs are the rows' numbers. */
static void
check(enum thread_kind kind, const struct row *rows, size_t n, const char *want)
{
	struct thread_msg msgs[ROWS_MAX] = {{0}};
	char refs[ROWS_MAX][100];
	struct arena a;
	struct buf b;

	arena_init(&a);
	buf_init(&b, 10000);
	for (size_t i = 0; i < n; i++) {
		struct str r = str_of(rows[i].refs == NULL ? "" : rows[i].refs);

		for (size_t k = 0; k < r.n; k++)
			refs[i][k] = r.p[k] == ' ' ? '\0' : r.p[k];
		msgs[i] = (struct thread_msg){
		    .uid = (uint32_t)i + 1,
		    .sent_s = rows[i].sent_s,
		    .id = str_of(rows[i].id == NULL ? "" : rows[i].id),
		    .refs = str_make(refs[i], r.n),
		    .subject =
			str_of(rows[i].subject == NULL ? "" : rows[i].subject),
		    .is_reply = rows[i].is_reply,
		};
	}
	for (size_t at_once = 16; at_once <= 1024; at_once *= 4) {
		buf_clear(&b);
		write_node(&b, make(&a, kind, msgs, n, at_once));
		buf_add_byte(&b, '\0');
		assert_string_equal(b.p, want);
	}
	buf_done(&b);
	arena_done(&a);
}

#define CHECK(kind, want, ...)                                                 \
	do {                                                                   \
		const struct row rows[] = {__VA_ARGS__};                       \
		check(kind, rows, ARRAY_LEN(rows), want);                      \
	} while (0)

static void
test_references(UNUSED void **state)
{
	enum thread_kind fn = THREAD_REFERENCES;

	check(fn, NULL, 0, "-");
	CHECK(fn, "-(1 2)", {1, "a", NULL, NULL, 0}, {2, "b", NULL, NULL, 0});
	/* A reply below what it replies to, in whatever order they came. */
	CHECK(fn, "-(1(2(3)))", {1, "a", NULL, NULL, 0}, {2, "b", "a", NULL, 0},
	    {3, "c", "a b", NULL, 0});
	CHECK(fn, "-(3(2(1)))", {3, "c", "a b", NULL, 0},
	    {2, "b", "a", NULL, 0}, {1, "a", NULL, NULL, 0});
	/* Siblings by date. */
	CHECK(fn, "-(1(3 2))", {1, "a", NULL, NULL, 0}, {9, "b", "a", NULL, 0},
	    {5, "c", "a", NULL, 0});
	/* One that is not there: two children keep it, one does not. */
	CHECK(fn, "-(-(1 2))", {1, "b", "a", NULL, 0}, {2, "c", "a", NULL, 0});
	CHECK(fn, "-(1)", {1, "b", "a", NULL, 0});
	/* Below the top a dummy always goes. */
	CHECK(fn, "-(1(2 3))", {1, "a", NULL, NULL, 0},
	    {2, "c", "a x", NULL, 0}, {3, "d", "a x", NULL, 0});
	/* Step 1 B: a message's own word about its parent counts. */
	CHECK(fn, "-(1(2(3)))", {1, "a", NULL, NULL, 0}, {2, "b", "a", NULL, 0},
	    {3, "c", "b", NULL, 0});
	CHECK(fn, "-(2(1(3)))", {1, "a", NULL, NULL, 0},
	    {2, "b", NULL, NULL, 0}, {3, "c", "b a", NULL, 0});
	CHECK(fn, "-(2(1) 3)", {1, "c", "b a", NULL, 0},
	    {2, "a", NULL, NULL, 0}, {3, "b", NULL, NULL, 0});
}

static void
test_bad_references(UNUSED void **state)
{
	enum thread_kind fn = THREAD_REFERENCES;

	/* Loops, and whoever refers to himself. */
	CHECK(fn, "-(1)", {1, "a", "a", NULL, 0});
	CHECK(fn, "-(2(1))", {1, "a", "b", NULL, 0}, {2, "b", "a", NULL, 0});
	CHECK(fn, "-(1(2))", {1, "a", "b a b a", NULL, 0},
	    {2, "b", "a b a", NULL, 0});
	/* The second of an id is a message without one. */
	CHECK(fn, "-(1(3) 2)", {1, "a", NULL, NULL, 0}, {2, "a", NULL, NULL, 0},
	    {3, "c", "a", NULL, 0});
	CHECK(fn, "-(1 2)", {1, NULL, NULL, NULL, 0}, {2, NULL, NULL, NULL, 0});
	/* Empty ids in between. */
	CHECK(fn, "-(1(2))", {1, "a", NULL, NULL, 0}, {2, "b", " a ", NULL, 0});
}

static void
test_subjects(UNUSED void **state)
{
	enum thread_kind fn = THREAD_REFERENCES;

	/* Step 5 C: a reply below the other, else both below a dummy. */
	CHECK(fn, "-(1(2))", {1, "a", NULL, "S", 0}, {2, "b", NULL, "S", 1});
	CHECK(fn, "-(2(1))", {1, "a", NULL, "S", 1}, {2, "b", NULL, "S", 0});
	CHECK(fn, "-(-(1 2))", {1, "a", NULL, "S", 0}, {2, "b", NULL, "S", 0});
	CHECK(fn, "-(-(1 2 3))", {1, "a", NULL, "S", 0}, {2, "b", NULL, "S", 0},
	    {3, "c", NULL, "S", 0});
	CHECK(fn, "-(-(1 2))", {1, "a", NULL, "S", 1}, {2, "b", NULL, "S", 1});
	/* Dummies with the same subject become one. */
	CHECK(fn, "-(-(1 2 3 4))", {1, "a", "x", "S", 0}, {2, "b", "x", "S", 0},
	    {3, "c", "y", "S", 0}, {4, "d", "y", "S", 0});
	CHECK(fn, "-(-(1 2 3))", {1, "a", "x", "S", 0}, {2, "b", "x", "S", 0},
	    {3, "c", NULL, "S", 0});
	/* No subject joins nobody. */
	CHECK(fn, "-(1 2)", {1, "a", NULL, "", 0}, {2, "b", NULL, "", 1});
	/* A thread's place is that of its head. */
	CHECK(fn, "-(2 1(3))", {5, "a", NULL, "S", 0}, {2, "b", NULL, "T", 0},
	    {1, "c", "a", "S", 1});
}

static void
test_ordered_subject(UNUSED void **state)
{
	enum thread_kind fn = THREAD_ORDERED_SUBJECT;

	check(fn, NULL, 0, "-");
	CHECK(fn, "-(2 1(3 4))", {3, "a", NULL, "S", 0}, {2, "b", NULL, "T", 0},
	    {4, "c", NULL, "S", 1}, {5, "d", NULL, "S", 1});
	/* Equal dates: as they stand in the mailbox. */
	CHECK(fn, "-(1(2) 3)", {1, "a", NULL, "S", 0}, {1, "b", NULL, "S", 0},
	    {1, "c", NULL, "T", 0});
}

static void
test_refs(UNUSED void **state)
{
	enum thread_kind fn = THREAD_REFS;

	/* Subjects join nobody, and a thread's place is that of its newest. */
	CHECK(fn, "-(1 2)", {1, "a", NULL, "S", 0}, {2, "b", NULL, "S", 1});
	CHECK(fn, "-(2 1(3))", {1, "a", NULL, "S", 0}, {2, "b", NULL, "T", 0},
	    {5, "c", "a", "S", 1});
	CHECK(fn, "-(-(2 3) 1)", {9, "a", NULL, "S", 0}, {2, "b", "x", "T", 0},
	    {5, "c", "x", "S", 1});
}

enum { WIDE = 20000 };

/* All answer one message, or none, the youngest first: no step takes long. */
static void
test_steps(UNUSED void **state)
{
	static const enum thread_kind kinds[] = {
	    THREAD_ORDERED_SUBJECT, THREAD_REFERENCES, THREAD_REFS};
	struct thread_msg *msgs = calloc(WIDE, sizeof(*msgs));
	char(*ids)[12] = calloc(WIDE, sizeof(*ids));
	struct thread_job *j;
	size_t calls, steps;
	struct arena a;

	for (unsigned i = 0; i < WIDE; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]), "i%u", i);
		msgs[i] = (struct thread_msg){
		    .uid = i + 1,
		    .sent_s = WIDE - i,
		    .id = str_of(ids[i]),
		    .refs = i > 0 && i < WIDE / 2 ? str_of(ids[0]) : STR(""),
		    .subject = str_of(ids[i / 7]),
		};
	}
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		arena_init(&a);
		j = thread_job_new(&a, kinds[k], msgs, WIDE);
		for (calls = 1, steps = 100; !thread_job_go(j, &steps); calls++)
			steps = 100;
		/* Each message is touched in a step of its own. */
		assert_true(calls > WIDE / 100);
		thread_job_done(j);
		arena_done(&a);
	}
	free(msgs);
	free(ids);
}

enum { DEEP = 60000 };

/* A chain of any length, from both ends: neither the stack nor time is used up. */
static void
test_depth(UNUSED void **state)
{
	struct thread_msg *msgs = calloc(DEEP, sizeof(*msgs));
	char(*ids)[12] = calloc(DEEP + 1, sizeof(*ids));
	struct thread_node *root;
	struct arena a;

	assert_non_null(msgs);
	assert_non_null(ids);
	for (int down = 0; down < 2; down++) {
		for (unsigned i = 0; i < DEEP; i++) {
			(void)snprintf(ids[i], sizeof(ids[i]), "i%u", i);
			msgs[i].uid = i + 1;
			msgs[i].id = str_of(ids[i]);
			msgs[i].refs = STR("");
		}
		for (unsigned i = 0; i + 1 < DEEP; i++)
			if (down)
				msgs[i].refs = msgs[i + 1].id;
			else
				msgs[i + 1].refs = msgs[i].id;
		arena_init(&a);
		root = make(&a, THREAD_REFERENCES, msgs, DEEP, 1000);
		assert_true(root->n_children > 1);
		assert_true(root->n_children < DEEP);
		arena_done(&a);
	}
	free(msgs);
	free(ids);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_references),
	    cmocka_unit_test(test_bad_references),
	    cmocka_unit_test(test_subjects),
	    cmocka_unit_test(test_ordered_subject),
	    cmocka_unit_test(test_refs),
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
