/* SPDX-License-Identifier: ISC */
/*
 * fuzz_keywords.c - any bytes as "dovecot-keywords" and "restante-keywords".
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "store/maildir/keywords.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_name(void *arg, size_t number, struct str name)
{
	size_t max = *(size_t *)arg;

	if (number >= max || !keywords_is_name(name))
		abort();
}

static void
on_again(void *arg, struct str base, const uint16_t *numbers, size_t n)
{
	struct buf *b = arg;

	if (!keywords_put_set(b, base, numbers, n))
		abort();
}

static void
on_set(void *arg, struct str base, const uint16_t *numbers, size_t n)
{
	struct buf one, two;

	(void)arg;
	for (size_t i = 0; i < n; i++)
		if (numbers[i] < 26 || (i > 0 && numbers[i] <= numbers[i - 1]))
			abort();
	/* Written and read again it is the same. */
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	if (!keywords_put_set(&one, base, numbers, n))
		abort();
	if (keywords_parse_more(
		buf_str(&one), false, on_name, on_again, &two) != one.n ||
	    !str_eq(buf_str(&one), buf_str(&two)))
		abort();
	buf_done(&one);
	buf_done(&two);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	size_t max = 26;

	keywords_parse(in, on_name, &max);
	max = 26 + MORE_KEYWORDS_MAX;
	if (keywords_parse_more(in, true, on_name, on_set, &max) > size ||
	    keywords_parse_more(in, false, on_name, on_set, &max) > size)
		abort();
	return 0;
}
