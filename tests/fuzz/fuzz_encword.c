/* SPDX-License-Identifier: ISC */
/*
 * fuzz_encword.c - encoded words: any text becomes valid UTF-8.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "mime/header.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct str s;

	arena_init(&a);
	s = header_decode(&a, str_make(data, size));
	ASSERT(utf8_is_valid(s));
	arena_done(&a);
	return 0;
}
