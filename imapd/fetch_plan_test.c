/* SPDX-License-Identifier: ISC */
/* fetch_plan_test.c - what FETCH may ask for, and how the answer names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "imapd/fetch_plan.h"
#include "imapd/fetch_section.h"

static bool
parse(struct arena *a, const char *word, struct fetch_plan *plan)
{
	struct imap_arg args[2] = {
	    {.type = IMAP_ARG_ATOM, .s = str_of(word)},
	    {.type = IMAP_ARG_END},
	};
	const struct imap_arg *at = args;

	return fetch_plan_parse(a, &at, plan) && imap_arg_end(at);
}

static void
test_sections(UNUSED void **state)
{
	static const struct {
		const char *word, *label; /* NULL: BAD */
		bool sets_seen;
		unsigned needs;
	} cases[] = {
	    {"BODY[]", "BODY[]", true, NEED_BYTES},
	    {"body.peek[]<0.10>", "BODY[]<0>", false, NEED_BYTES},
	    {"BODY[1.2.3]", "BODY[1.2.3]", true, NEED_PARTS},
	    {"BODY[1.mime]", "BODY[1.MIME]", true, NEED_PARTS},
	    {"BODY[HEADER]", "BODY[HEADER]", true, NEED_HEADER},
	    {"BODY.PEEK[HEADER.FIELDS (Date \"X Y\")]",
		"BODY[HEADER.FIELDS (Date \"X Y\")]", false, NEED_HEADER},
	    {"BODY[2.HEADER.FIELDS.NOT (To)]<5.7>",
		"BODY[2.HEADER.FIELDS.NOT (To)]<5>", true, NEED_PARTS},
	    {"BODY[TEXT]", "BODY[TEXT]", true, NEED_HEADER | NEED_BYTES},
	    {"BINARY[]", "BINARY[]", true, NEED_BYTES},
	    {"binary[1.2]", "BINARY[1.2]", true, NEED_PARTS},
	    {"BINARY.PEEK[1]<3.4>", "BINARY[1]<3>", false, NEED_PARTS},
	    {"BINARY.SIZE[4]", "BINARY.SIZE[4]", false, NEED_PARTS},
	    {"BINARY", NULL, false, 0},
	    {"BINARY.PEEK", NULL, false, 0},
	    {"BINARY.SIZE", NULL, false, 0},
	    {"BINARY.SIZE[1]<0.1>", NULL, false, 0},
	    {"BINARY[1.MIME]", NULL, false, 0},
	    {"BINARY[TEXT]", NULL, false, 0},
	    {"BINARY[1]<0.0>", NULL, false, 0},
	    {"BINARY[1]<0>", NULL, false, 0},
	    {"BINARY.PEEK.SIZE[1]", NULL, false, 0},
	    {"RFC822", "RFC822", true, NEED_BYTES},
	    {"RFC822.HEADER", "RFC822.HEADER", false, NEED_HEADER},
	    {"BODY[MIME]", NULL, false, 0},
	    {"BODY[0]", NULL, false, 0},
	    {"BODY[1.]", NULL, false, 0},
	    {"BODY[1.0.2]", NULL, false, 0},
	    {"BODY[01]", NULL, false, 0},
	    {"BODY[.1]", NULL, false, 0},
	    {"BODY[HEADER.FIELDS]", NULL, false, 0},
	    {"BODY[HEADER.FIELDS ()]", NULL, false, 0},
	    {"BODY[HEADER.FIELDS (A)", NULL, false, 0},
	    {"BODY[HEADER (A)]", NULL, false, 0},
	    {"BODY[HEADERX]", NULL, false, 0},
	    {"BODY[]<0>", NULL, false, 0},
	    {"BODY[]<0.0>", NULL, false, 0},
	    {"BODY[]<0.10", NULL, false, 0},
	    {"BODY[]x", NULL, false, 0},
	    {"BODY[4294967296]", NULL, false, 0},
	    {"BODYX", NULL, false, 0},
	    {"", NULL, false, 0},
	};
	struct fetch_plan plan;
	struct arena a;
	size_t i;

	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		bool ok = parse(&a, cases[i].word, &plan);

		if (ok != (cases[i].label != NULL))
			fail_msg("%s", cases[i].word);
		if (!ok)
			continue;
		assert_true(
		    str_eq(plan.items->section.label, str_of(cases[i].label)));
		assert_int_equal(plan.sets_seen, cases[i].sets_seen);
		assert_int_equal(plan.needs, cases[i].needs);
	}
	arena_done(&a);
}

static void
test_macros(UNUSED void **state)
{
	struct fetch_plan plan;
	struct fetch_item *item;
	struct arena a;
	size_t n = 0;

	arena_init(&a);
	assert_true(parse(&a, "full", &plan));
	for (item = plan.items; item != NULL; item = item->next)
		n++;
	assert_int_equal(n, 5);
	assert_true(plan.has_flags);
	assert_false(plan.sets_seen);
	arena_done(&a);
}

/* RFC 3501 section 6.4.5, the example of part numbers. */
static void
test_part_numbers(UNUSED void **state)
{
	struct part p41 = {0}, p42 = {0}, p421 = {0}, p422 = {0};
	struct part inner = {.is_multipart = true, .child = &p41};
	struct part root = {.is_multipart = true};
	struct part p1 = {0}, p2 = {0}, p4 = {.is_message = true};
	struct part alone = {0}, wrapped = {0};
	struct part message = {.is_message = true, .child = &wrapped};
	const struct {
		const struct part *from;
		uint32_t path[4];
		size_t n;
		const struct part *want;
	} cases[] = {
	    {&root, {1}, 1, &p1},
	    {&root, {2}, 1, &p2},
	    {&root, {3}, 1, &p4},
	    {&root, {4}, 1, NULL},
	    {&root, {1, 1}, 2, NULL},
	    {&root, {3, 1}, 2, &p41},
	    {&root, {3, 2}, 2, &p42},
	    {&root, {3, 2, 1}, 3, &p421},
	    {&root, {3, 2, 2}, 3, &p422},
	    {&root, {3, 2, 3}, 3, NULL},
	    {&root, {3, 1, 1}, 3, NULL},
	    {&alone, {1}, 1, &alone},
	    {&alone, {2}, 1, NULL},
	    {&alone, {1, 1}, 2, NULL},
	    {&message, {1}, 1, &message},
	    {&message, {1, 1}, 2, &wrapped},
	    {&message, {1, 2}, 2, NULL},
	    {&message, {1, 1, 1}, 3, NULL},
	};
	size_t i;

	root.child = &p1;
	p1.next = &p2;
	p2.next = &p4;
	p4.child = &inner;
	p41.next = &p42;
	p42.is_multipart = true;
	p42.child = &p421;
	p421.next = &p422;
	for (i = 0; i < ARRAY_LEN(cases); i++)
		assert_ptr_equal(fetch_section_part(
				     cases[i].from, cases[i].path, cases[i].n),
		    cases[i].want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sections),
	    cmocka_unit_test(test_macros),
	    cmocka_unit_test(test_part_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
