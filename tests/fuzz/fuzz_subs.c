/* SPDX-License-Identifier: ISC */
/*
 * fuzz_subs.c - any bytes as a subscriptions file.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/subs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_name(void *arg, struct str name)
{
	size_t *n = arg;

	if (name.n == 0)
		abort();
	*n += name.n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = 0;
	unsigned version;

	subs_parse(str_make(data, size), '.', on_name, &n, &version);
	/* "inbox" may become INBOX; nothing grows. */
	if (n > size || (version != 1 && version != 2))
		abort();
	return 0;
}
