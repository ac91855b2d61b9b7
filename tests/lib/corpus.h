/* SPDX-License-Identifier: ISC */
/*
 * corpus.h - every message of the corpus and of tests/data, as it is and
 * damaged in many ways. Without the corpus (RESTANTE_CORPUS, by default beside
 * the project) only what lies in the tree.
 */
#ifndef TESTS_LIB_CORPUS_H
#define TESTS_LIB_CORPUS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "mime/header.h"

#define CORPUS_DAMAGES 12

/* `damage` is -1 for the message as it is. */
typedef void corpus_fn(const char *path, int damage, struct str bytes);

static inline uint32_t
corpus_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Another line end everywhere, lines taken out, doubled, cut, joined. */
static inline void
corpus_damage(const char *path, struct str s, corpus_fn *fn)
{
	uint32_t seed = (uint32_t)s.n;
	struct str rest, line;
	struct buf b;
	int kind;

	buf_init(&b, 100000000);
	for (kind = 0; kind < CORPUS_DAMAGES; kind++) {
		buf_clear(&b);
		for (rest = s; rest.n > 0; rest = str_skip(rest, line.n)) {
			uint32_t dice = corpus_random(&seed) % 40;

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
		fn(path, kind, buf_str(&b));
	}
	buf_done(&b);
}

static inline void
corpus_file(const char *path, corpus_fn *fn)
{
	FILE *f = fopen(path, "rb");
	struct buf b;
	char *p;
	size_t n;

	ASSERT(f != NULL);
	buf_init(&b, 64 * 1024 * 1024);
	do {
		p = buf_room(&b, 65536);
		ASSERT(p != NULL);
		n = fread(p, 1, 65536, f);
		b.n += n;
	} while (n > 0);
	(void)fclose(f);
	fn(path, -1, buf_str(&b));
	if (b.n < 20000)
		corpus_damage(path, buf_str(&b), fn);
	buf_done(&b);
}

static inline void
corpus_tree(const char *dir, corpus_fn *fn)
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
			corpus_tree(path, fn);
		else if (st.st_size < 1000000)
			corpus_file(path, fn);
	}
	arena_done(&a);
	(void)closedir(d);
}

static inline void
corpus_each(corpus_fn *fn)
{
	const char *dir = getenv("RESTANTE_CORPUS");

	corpus_tree("tests/data", fn);
	corpus_tree("tests/fuzz/corpus/part", fn);
	corpus_tree(dir != NULL ? dir : "../shared/corpus", fn);
}

#endif
