/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imap_set.c - sets: what is read and written can be read again and is
 * the same.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "imap/imap_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	struct set32 s, again;
	struct buf b, b2;
	uint32_t star;
	size_t i;

	set32_init(&s);
	set32_init(&again);
	buf_init(&b, 1 << 20);
	buf_init(&b2, 1 << 20);
	for (star = 0; star < 20; star += 7) {
		if (!imap_set_parse(in, star, 1000, &s))
			continue;
		for (i = 0; i < s.n; i++)
			if (s.r[i].first == 0 || s.r[i].first > s.r[i].last ||
			    (i > 0 && s.r[i - 1].last >= s.r[i].first - 1))
				abort();
		buf_clear(&b);
		buf_clear(&b2);
		imap_set_write(&b, &s);
		if (s.n == 0)
			continue;
		if (!imap_set_parse(buf_str(&b), 1, 1000, &again))
			abort();
		imap_set_write(&b2, &again);
		if (!str_eq(buf_str(&b), buf_str(&b2)))
			abort();
	}
	set32_done(&s);
	set32_done(&again);
	buf_done(&b);
	buf_done(&b2);
	return 0;
}
