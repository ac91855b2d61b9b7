/* SPDX-License-Identifier: ISC */
/*
 * fuzz_courier.c - any bytes as Courier's files: nothing read lies outside, ids
 * can be written.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing. The input is a file; it is read as each of the three.
 */
#include <stdlib.h>

#include "store/maildir/courier.h"
#include "text/uidl_format.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t n_names;
};

static void
on_pop3(void *arg, const struct courier_pop3 *entry)
{
	struct buf b;

	(void)arg;
	buf_init(&b, 1 << 20);
	if (entry->base.n == 0 || str_find(entry->base, ':') < entry->base.n)
		abort();
	if (courier_pop3_uidl(&b, entry) && b.n <= UIDL_MAX_BYTES &&
	    !uidl_is_valid(buf_str(&b)))
		abort();
	buf_done(&b);
}

static void
on_name(void *arg, size_t number, struct str name)
{
	struct seen *s = arg;

	if (number != s->n_names++ || name.n == 0)
		abort();
}

static void
on_set(void *arg, struct str base, size_t number)
{
	const struct seen *s = arg;

	if (base.n == 0 || (number != SIZE_MAX && number >= s->n_names))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_make(data, size), line, base;
	struct seen seen = {0};
	struct buf b;
	uint64_t age;

	courier_pop3_parse(bytes, on_pop3, NULL);
	courier_keywords_parse(bytes, on_name, on_set, &seen);
	buf_init(&b, 1 << 20);
	while (str_next(&bytes, '\n', &line)) {
		buf_clear(&b);
		if (courier_sub_name(line, &b) &&
		    (b.n == 0 || !utf8_is_valid(buf_str(&b))))
			abort();
		if (courier_change_name(line, &age, &base) && base.n == 0)
			abort();
	}
	buf_done(&b);
	return 0;
}
