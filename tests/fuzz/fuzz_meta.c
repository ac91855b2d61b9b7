/* SPDX-License-Identifier: ISC */
/*
 * fuzz_meta.c - files of annotations.
 *
 * Input: a file.
 * Checked: what was read and written again is read as the same, and is not
 * damaged.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
need(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct meta_entry *first, *again, *x, *y;
	struct arena a;
	struct buf out;
	unsigned uses;

	if (size > 100000)
		return 0;
	arena_init(&a);
	buf_init(&out, META_FILE_MAX);
	(void)meta_file_parse(&a, str_make(data, size), &first);
	meta_file_write(first, &out);
	need(!buf_is_over(&out));
	need(meta_file_parse(&a, buf_str(&out), &again));
	for (x = first, y = again; x != NULL && y != NULL;
	     x = x->next, y = y->next)
		need(str_eq(x->name, y->name) && str_eq(x->value, y->value));
	need(x == NULL && y == NULL);
	for (x = first; x != NULL; x = x->next) {
		if (meta_name_is_valid(x->name))
			(void)meta_name_is_complete(x->name);
		if (!meta_uses_parse(x->value, &uses))
			continue;
		buf_clear(&out);
		meta_uses_write(uses, &out);
		need(meta_uses_parse(buf_str(&out), &uses));
	}
	buf_done(&out);
	arena_done(&a);
	return 0;
}
