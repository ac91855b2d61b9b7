/* SPDX-License-Identifier: ISC */
/*
 * fuzz_subject.c - base subjects, and message identifiers.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "mime/msgid.h"
#include "mime/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_make(data, size), base, id;
	size_t bytes = 0, last = size + 1;
	struct arena a;

	arena_init(&a);
	base = subject_base(&a, s, NULL);
	ASSERT(base.n <= size);
	ASSERT(base.n == 0 || (base.p[0] != ' ' && base.p[base.n - 1] != ' '));
	while (msgid_next(&a, &s, &id)) {
		ASSERT(s.n < last && id.n > 0);
		last = s.n;
		bytes += id.n;
	}
	ASSERT(s.n == 0 && bytes <= size);
	arena_done(&a);
	return 0;
}
