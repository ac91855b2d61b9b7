/* SPDX-License-Identifier: ISC */
/*
 * fuzz_part.c - the tree of parts: the same for every cut, and the reference's.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "tests/lib/part_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mime_limits few = {.depth = 3,
	    .parts = 5,
	    .header_block_bytes = 100,
	    .field_bytes = 50,
	    .addresses = 2,
	    .params = 2};
	struct str s = str_make(data, size);
	struct buf got, want;
	struct arena a;

	/* So that no nesting meets the limit, which the reference lacks. */
	if (size > 4000)
		return 0;
	arena_init(&a);
	buf_init(&got, 1 << 24);
	buf_init(&want, 1 << 24);
	part_dump(&want, part_reference(&a, s), false);
	part_dump(&got, part_parse_pieces(&a, s, size + 1, NULL), false);
	ASSERT(str_eq(buf_str(&got), buf_str(&want)));
	buf_clear(&got);
	buf_clear(&want);
	part_dump(&want, part_parse_pieces(&a, s, size + 1, NULL), true);
	part_dump(&got, part_parse_pieces(&a, s, 1 + size % 37, NULL), true);
	ASSERT(str_eq(buf_str(&got), buf_str(&want)));
	part_check(part_parse_pieces(&a, s, 1 + size % 11, &few), s);
	buf_done(&got);
	buf_done(&want);
	arena_done(&a);
	return 0;
}
