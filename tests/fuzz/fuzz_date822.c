/* SPDX-License-Identifier: ISC */
/*
 * fuzz_date822.c - dates: the day fits the second.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "mime/date822.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct date822 d;

	if (date822_parse(str_make(data, size), &d)) {
		ASSERT(d.zone_s > -100000 && d.zone_s < 100000);
		ASSERT(d.local_day * 86400 <= d.unix_s + d.zone_s);
		ASSERT((d.local_day + 2) * 86400 >= d.unix_s + d.zone_s);
	}
	return 0;
}
