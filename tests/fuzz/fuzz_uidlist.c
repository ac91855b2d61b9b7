/* SPDX-License-Identifier: ISC */
/*
 * fuzz_uidlist.c - any bytes as "dovecot-uidlist": no record breaks the rules,
 * and reading in two pieces gives the same as reading at once.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/maildir/uidlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint32_t last, n;
	uint64_t sum;
	bool ascending;
};

static void
on_record(void *arg, uint32_t uid, struct str base, struct str fields)
{
	struct seen *s = arg;
	struct str value;
	char key;

	if (uid == 0)
		return;
	if (base.n == 0 || base.n > 255 ||
	    memchr(base.p, '/', base.n) != NULL ||
	    memchr(base.p, '\n', base.n) != NULL ||
	    memchr(base.p, ':', base.n) != NULL)
		abort();
	if (s->ascending && uid <= s->last)
		abort();
	s->last = uid;
	s->n++;
	s->sum = s->sum * 31 + uid + base.n;
	while (uidlist_field(&fields, &key, &value))
		s->sum += (unsigned char)key + value.n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	struct uidlist_head a = {0}, b = {0}, lenient = {0};
	struct seen one = {.ascending = true}, two = one, all = {0};
	size_t used, used2;
	unsigned line;
	enum uidlist_verdict verdict;

	verdict =
	    uidlist_parse(&a, in, true, false, on_record, &one, &used, &line);
	if (used > size ||
	    (a.version != 0 && one.n > 0 && a.uidnext <= one.last))
		abort();
	if (verdict != UIDLIST_BROKEN && size > 0) {
		/* The first half with its torn line, then the rest. */
		(void)uidlist_parse(&b, str_head(in, size / 2), true, false,
		    on_record, &two, &used, &line);
		if (used > 0) {
			(void)uidlist_parse(&b, str_skip(in, used), false,
			    false, on_record, &two, &used2, &line);
			if (one.sum != two.sum || a.last_uid != b.last_uid ||
			    a.n_records != b.n_records)
				abort();
		}
	}
	(void)uidlist_parse(
	    &lenient, in, true, true, on_record, &all, &used, &line);
	if (all.n < one.n)
		abort();
	return 0;
}
