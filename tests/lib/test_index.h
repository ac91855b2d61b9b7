/* SPDX-License-Identifier: ISC */
/*
 * test_index.h - an index in a temporary folder, for unit tests.
 */
#ifndef TESTS_LIB_TEST_INDEX_H
#define TESTS_LIB_TEST_INDEX_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "index/index.h"
#include "os/file.h"

static char home[64], dir[80];
static unsigned warnings; /* lines in the log */

static void
count_line(
    UNUSED enum log_level level, UNUSED const char *line, UNUSED void *arg)
{
	warnings++;
}

static UNUSED int
setup(void **state)
{
	(void)state;
	(void)snprintf(home, sizeof(home), "/tmp/restante-index.XXXXXX");
	assert_non_null(mkdtemp(home));
	(void)snprintf(dir, sizeof(dir), "%s/index", home);
	log_set_sink(count_line, NULL);
	warnings = 0;
	return 0;
}

static UNUSED int
teardown(void **state)
{
	struct err e;

	(void)state;
	clock_set_for_test(-1, -1);
	return file_remove_tree(AT_FDCWD, home, &e);
}

static UNUSED const char *
file(const char *name)
{
	static char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static UNUSED struct index *
open_it(void)
{
	struct index *ix;
	struct err e;

	if (index_open(dir, 0, &ix, &e) == -1)
		fail_msg("%s", e.text);
	return ix;
}
/* ---- values -------------------------------------------------------------- */

struct put {
	uint32_t from, to;
	size_t size;
	int runs, fail_at;
};

static int
put_some(struct index *ix, void *arg, struct err *e)
{
	struct put *p = arg;
	char *bytes = malloc(p->size);
	int rc = 0;

	p->runs++;
	for (uint32_t i = p->from; rc == 0 && i < p->to; i++) {
		struct index_key k = index_key_of(1, INDEX_ENVELOPE, i);

		memset(bytes, (int)(i & 0xff), p->size);
		rc = index_put(ix, &k, str_make(bytes, p->size), e);
		if (p->fail_at != 0 && i == (uint32_t)p->fail_at)
			rc = err_set(e, ERR_OTHER, "wanted");
	}
	free(bytes);
	return rc;
}

static UNUSED int
put_range(struct index *ix, uint32_t from, uint32_t to, size_t size)
{
	struct put p = {.from = from, .to = to, .size = size};
	struct err e;

	return index_write(ix, put_some, &p, &e);
}

static UNUSED bool
has(struct index *ix, uint32_t i)
{
	struct index_key k = index_key_of(1, INDEX_ENVELOPE, i);
	struct str value;

	return index_get(ix, &k, &value) && value.n > 0 &&
	    (uint8_t)*value.p == (i & 0xff);
}

#endif
