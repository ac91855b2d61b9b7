/* SPDX-License-Identifier: ISC */
/*
 * fuzz_fetch_write.c - ENVELOPE, BODY and BODYSTRUCTURE of any bytes read back
 * by the grammar, and say what the tree says.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "imapd/fetch_write.h"
#include "tests/lib/body_check.h"
#include "tests/lib/part_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct str
mailbox_keyword_name(UNUSED const struct mailbox *m, UNUSED size_t number)
{
	return STR("x");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_make(data, size), rest;
	struct part *root;
	struct arena a;
	struct buf b;
	int extended;

	arena_init(&a);
	buf_init(&b, 1 << 26);
	root = part_parse_pieces(&a, s, 1 + size % 101, NULL);
	for (extended = 0; extended < 2; extended++) {
		buf_clear(&b);
		fetch_write_body(&b, root, extended != 0);
		rest = buf_str(&b);
		body_body(&rest, root, extended != 0);
		ASSERT(rest.n == 0);
	}
	buf_clear(&b);
	fetch_write_envelope(&b, root->envelope);
	rest = buf_str(&b);
	body_envelope(&rest, root->envelope);
	ASSERT(rest.n == 0);
	buf_done(&b);
	arena_done(&a);
	return 0;
}
