/* SPDX-License-Identifier: ISC */
/*
 * fuzz_fold.c - search without regard to case: whole and in pieces alike.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "text/fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s, needle;
	struct fold_search f;
	struct buf key;
	size_t piece, n;
	bool found;

	if (size < 2)
		return 0;
	piece = 1 + data[0] % 16;
	s = str_make(data + 2, size - 2);
	n = data[1] % 16;
	needle = str_head(s, n);
	s = str_skip(s, n);
	fold_search_init(&f, needle);
	found = fold_search_in(&f, s);
	buf_init(&key, size * 20 + 100);
	ASSERT(fold_unicode(&key, s));
	/* As the keys say. */
	ASSERT(found ==
	    (f.key.n == 0 || str_find_str(buf_str(&key), f.key) < key.n));
	fold_search_reset(&f);
	for (; s.n > 0; s = str_skip(s, piece))
		(void)fold_search_feed(&f, str_head(s, piece));
	ASSERT(fold_search_finish(&f) == found);
	fold_search_done(&f);
	buf_done(&key);
	return 0;
}
