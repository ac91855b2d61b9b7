/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imap_date.c - dates: what was understood and is written is understood
 * the same way; any moment can be written.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "imap/imap_date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_any(const uint8_t *data, size_t size)
{
	char text[IMAP_DATE_TIME_SIZE];
	int64_t t = 0, again;
	int zone;

	if (size < sizeof(t))
		return;
	memcpy(&t, data, sizeof(t));
	imap_date_time_write(t, data[0] * 5 - 600, text);
	if (strlen(text) != IMAP_DATE_TIME_SIZE - 1 ||
	    !imap_date_time_parse(str_of(text), &again, &zone))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	char text[IMAP_DATE_TIME_SIZE];
	int64_t t, again;
	int zone, zone2;
	int32_t day;

	(void)imap_date_parse(in, &day);
	write_any(data, size);
	if (!imap_date_time_parse(in, &t, &zone))
		return 0;
	imap_date_time_write(t, zone, text);
	if (!imap_date_time_parse(str_of(text), &again, &zone2))
		abort();
	/* Only a leap second on the last day of all is moved. */
	if ((t != again && imap_date_day(t - 1, zone) < 2932896) ||
	    zone != zone2)
		abort();
	return 0;
}
