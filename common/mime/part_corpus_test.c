/* SPDX-License-Identifier: ISC */
/*
 * part_corpus_test.c - every message of the corpus and of tests/data, as it is
 * and damaged in many ways: the tree holds what a tree must hold, does not
 * depend on how the bytes come, and is the reference's.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/lib/part_reference.h"

#define DAMAGES 12

static size_t n_messages;

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

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

/* Another line end everywhere, lines taken out, doubled, cut, joined. */
static void
damage_and_judge(const char *path, struct str s)
{
	uint32_t seed = (uint32_t)s.n;
	struct str rest, line;
	struct buf b;
	int kind;

	buf_init(&b, 100000000);
	for (kind = 0; kind < DAMAGES; kind++) {
		buf_clear(&b);
		for (rest = s; rest.n > 0; rest = str_skip(rest, line.n)) {
			uint32_t dice = next_random(&seed) % 40;

			line = str_head(rest, str_find(rest, '\n') + 1);
			if (kind == 0 && str_ends(line, STR("\n"))) {
				struct str c = header_line_content(line);

				buf_add_str(&b, c);
				buf_add_c(&b, "\r\n");
				continue;
			}
			if (kind == 1 && str_ends(line, STR("\n"))) {
				buf_add_str(&b, header_line_content(line));
				buf_add_byte(&b, '\n');
				continue;
			}
			if (kind > 1 && dice == 0)
				continue;
			if (kind > 1 && dice == 1)
				buf_add_str(&b, line);
			if (kind > 1 && dice == 2)
				buf_add_str(&b, str_head(line, line.n / 2));
			else if (kind > 1 && dice == 3)
				buf_add_str(&b, header_line_content(line));
			else if (kind > 1 && dice == 4)
				buf_add_c(&b, "\n");
			else
				buf_add_str(&b, line);
		}
		judge(path, kind, buf_str(&b));
	}
	buf_done(&b);
}

static void
judge_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct buf b;
	char *p;
	size_t n;

	assert_non_null(f);
	buf_init(&b, 64 * 1024 * 1024);
	do {
		p = buf_room(&b, 65536);
		assert_non_null(p);
		n = fread(p, 1, 65536, f);
		b.n += n;
	} while (n > 0);
	(void)fclose(f);
	judge(path, -1, buf_str(&b));
	if (b.n < 20000)
		damage_and_judge(path, buf_str(&b));
	buf_done(&b);
}

static void
judge_tree(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct stat st;
	struct arena a;

	if (d == NULL)
		return;
	arena_init(&a);
	while ((entry = readdir(d)) != NULL) {
		const char *path =
		    arena_printf(&a, "%s/%s", dir, entry->d_name).p;

		if (entry->d_name[0] == '.' || stat(path, &st) == -1)
			continue;
		if (S_ISDIR(st.st_mode))
			judge_tree(path);
		else if (st.st_size < 1000000)
			judge_file(path);
	}
	arena_done(&a);
	(void)closedir(d);
}

static void
test_corpus(UNUSED void **state)
{
	const char *dir = getenv("RESTANTE_CORPUS");

	judge_tree("tests/data");
	judge_tree("tests/fuzz/corpus/part");
	judge_tree(dir != NULL ? dir : "../shared/corpus");
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
