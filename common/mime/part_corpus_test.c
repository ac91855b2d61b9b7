/* SPDX-License-Identifier: ISC */
/*
 * part_corpus_test.c - every message of the corpus and of tests/data, as it is
 * and damaged in many ways: the tree holds what a tree must hold, does not
 * depend on how the bytes come, and is the reference's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/corpus.h"
#include "tests/lib/part_reference.h"

static size_t n_messages;

static void
judge(const char *path, int damage, struct str s)
{
	size_t pieces[] = {s.n + 1, 1 + s.n % 61, 4096};
	struct buf got, want;
	struct part *root;
	struct arena a;
	size_t i;

	arena_init(&a);
	buf_init(&want, 100000000);
	buf_init(&got, 100000000);
	part_dump(&want, part_reference(&a, s), false);
	for (i = 0; i < ARRAY_LEN(pieces); i++) {
		root = part_parse_pieces(&a, s, pieces[i], NULL);
		part_check(root, s);
		buf_clear(&got);
		part_dump(&got, root, false);
		if (!str_eq(buf_str(&got), buf_str(&want)))
			fail_msg("%s damage %d pieces %zu\n%.*swant\n%.*s",
			    path, damage, pieces[i], STR_ARG(buf_str(&got)),
			    STR_ARG(buf_str(&want)));
	}
	buf_done(&want);
	buf_done(&got);
	arena_done(&a);
	n_messages++;
}

static void
test_corpus(UNUSED void **state)
{
	corpus_each(judge);
	print_message("%zu messages\n", n_messages);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_corpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
