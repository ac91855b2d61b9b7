/* SPDX-License-Identifier: ISC */
/*
 * fuzz_downgrade.c - headers for clients that know only ASCII.
 *
 * Input: a header block.
 * Checked: what is left of UTF-8 is no UTF-8 of a whole field, a header that
 * needs nothing stays as it is, each line fits, and what was made needs nothing
 * more.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "mime/downgrade.h"
#include "mime/header.h"

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
	struct str block = str_make(data, size);
	struct header_iter it;
	struct header_field f;
	struct arena a;
	struct buf out;
	size_t kept = 0;

	if (size > 8192)
		return 0;
	arena_init(&a);
	buf_init(&out, size * 16 + 4096);
	downgrade_header(&a, block, &out);
	need(!buf_is_over(&out));
	need(!downgrade_is_needed(buf_str(&out)));
	header_iter_init(&it, block);
	while (header_iter_next_any(&it, &f))
		kept += f.raw.n;
	if (!downgrade_is_needed(block)) {
		need(out.n >= kept && out.n <= kept + 1);
		need(memcmp(out.p != NULL ? out.p : "", data, kept) == 0);
	}
	buf_done(&out);
	arena_done(&a);
	return 0;
}
