/* SPDX-License-Identifier: ISC */
/*
 * fuzz_journal.c - any bytes as "restante-journal"; also with the right sum.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/maildir/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No name leads out of its folder, and none is hidden. */
static void
check_name(struct str s)
{
	if (s.n == 0 || s.n > 255 || s.p[0] == '.' || str_find(s, '/') < s.n ||
	    str_find(s, '\0') < s.n)
		abort();
}

static void
check(struct str text)
{
	struct str boot, lines;
	struct journal_line l;
	struct buf again;
	unsigned come = 0, copies = 0, go = 0;

	if (!journal_parse(text, &boot, &lines))
		return;
	buf_init(&again, JOURNAL_MAX);
	(void)buf_add_str(&again, str_head(text, (size_t)(lines.p - text.p)));
	while (lines.n > 0) {
		if (!journal_next(&lines, &l))
			abort();
		check_name(l.name);
		come += l.kind == '+';
		copies += l.kind == '=';
		go += l.kind == '-';
		if (l.kind == '+')
			check_name(l.tmp);
		journal_add(&again, &l);
	}
	if ((come > 0 && copies > 0) || go > 1 || (go == 1 && come != 1))
		abort();
	/* Written again it is the same. */
	if (!journal_end(&again) || !str_eq(buf_str(&again), text))
		abort();
	buf_done(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make((const char *)data, size);
	struct buf b;

	check(in);
	buf_init(&b, JOURNAL_MAX);
	(void)buf_add_str(&b, in);
	(void)journal_end(&b);
	check(buf_str(&b));
	buf_done(&b);
	return 0;
}
