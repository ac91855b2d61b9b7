/* SPDX-License-Identifier: ISC */
/*
 * fuzz_seen.c - any bytes as the file of a viewer's own \Seen.
 *
 * Checked: what is read is written in a form that reads as the same.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "store/seen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct set32 first, again;
	struct buf b;

	set32_init(&first);
	set32_init(&again);
	buf_init(&b, 1 << 24);
	if (seen_parse(str_make(data, size), 7, &first)) {
		seen_write(&first, 7, &b);
		if (!seen_parse(buf_str(&b), 7, &again) || again.n != first.n ||
		    set32_count(&again) != set32_count(&first))
			abort();
		for (size_t i = 0; i < first.n; i++)
			if (first.r[i].first != again.r[i].first ||
			    first.r[i].last != again.r[i].last)
				abort();
	} else if (!set32_is_empty(&first)) {
		abort();
	}
	buf_done(&b);
	set32_done(&first);
	set32_done(&again);
	return 0;
}
