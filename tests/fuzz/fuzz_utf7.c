/* SPDX-License-Identifier: ISC */
/*
 * fuzz_utf7.c - what one direction accepts, the other gives back unchanged.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "text/utf7.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	struct buf a, b;

	buf_init(&a, 1 << 22);
	buf_init(&b, 1 << 22);
	if (utf7_decode(&a, in)) {
		if (!utf8_is_valid(buf_str(&a)) ||
		    !utf7_encode(&b, buf_str(&a)) || !str_eq(buf_str(&b), in))
			abort();
	} else if (a.n != 0) {
		abort();
	}
	buf_clear(&a);
	buf_clear(&b);
	if (utf7_encode(&a, in) != utf8_is_valid(in))
		abort();
	if (a.n > 0 &&
	    (!utf7_decode(&b, buf_str(&a)) || !str_eq(buf_str(&b), in)))
		abort();
	buf_done(&a);
	buf_done(&b);
	return 0;
}
