/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mbox_rename.c - any bytes as the record of a rename.
 *
 * Checked: no path that comes out leaves the folder.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/mbox/mbox_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct str path)
{
	struct str level;

	if (path.n == 0 || *path.p == '/')
		abort();
	while (str_next(&path, '/', &level))
		if (str_eq(level, STR("..")) || str_find(level, '\n') < level.n)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str from, to;
	uint64_t ino;

	if (mbox_rename_parse(
		str_make((const char *)data, size), &ino, &from, &to)) {
		check(from);
		check(to);
	}
	return 0;
}
