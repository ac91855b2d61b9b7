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
#include "store/mailbox.h"
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
	struct str s = str_make(data, size);
	struct part *root;
	struct arena a;

	arena_init(&a);
	root = part_parse_pieces(&a, s, 1 + size % 101, NULL);
	body_check_all(root);
	arena_done(&a);
	return 0;
}
