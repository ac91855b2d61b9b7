/* SPDX-License-Identifier: ISC */
/*
 * fuzz_proxy.c - PROXY headers: however many bytes have come, the answer is
 * "more" until it is what the whole gives.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	struct proxy_header whole, part;
	struct err e;
	enum step last = proxy_parse(in, &whole, &e), step = STEP_MORE;
	char text[ADDR_TEXT_MAX];

	if (last == STEP_DONE && whole.n_bytes > size)
		abort();
	for (size_t n = 0; n <= size && step == STEP_MORE; n++)
		step = proxy_parse(str_head(in, n), &part, &e);
	if (step != last)
		abort();
	if (step == STEP_DONE &&
	    (part.n_bytes != whole.n_bytes || part.has_addr != whole.has_addr))
		abort();
	if (step == STEP_DONE && whole.has_addr) {
		addr_text(&whole.peer, text);
		addr_text(&whole.local, text);
	}
	return 0;
}
