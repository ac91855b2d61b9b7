/* SPDX-License-Identifier: ISC */
/*
 * fuzz_handoff.c - what a login worker leaves to the session: what can be read
 * is written back as the same bytes, and taken by the record layer or refused.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "base/bounds.h"
#include "ipc/handoff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handoff h;
	struct buf b;
	struct err e;

	if (handoff_parse(str_make(data, size), &h, &e) == -1)
		return 0;
	buf_init(&b, MSG_MAX_BYTES);
	handoff_write(&h, &b);
	if (!str_eq(buf_str(&b), str_make(data, size)))
		abort();
	buf_done(&b);
	return 0;
}
