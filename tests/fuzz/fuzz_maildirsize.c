/* SPDX-License-Identifier: ISC */
/*
 * fuzz_maildirsize.c - any bytes as the file "maildirsize": sums are what its
 * lines say, and never below zero.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "store/maildir/maildirsize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same sums with one more line. */
static void
try_with_line(struct str text, const struct maildirsize *before)
{
	struct maildirsize after;
	struct buf b;
	struct err e;

	buf_init(&b, text.n + 100);
	(void)buf_add_str(&b, text);
	if (text.n > 0 && text.p[text.n - 1] != '\n')
		(void)buf_add_byte(&b, '\n');
	(void)buf_add_c(&b, "7 1          \n");
	if (maildirsize_parse(buf_str(&b), &after, &e) == 0 &&
	    (after.bytes != before->bytes + 7 ||
		after.count != before->count + 1 ||
		after.n_lines != before->n_lines + 1))
		abort();
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data, size);
	struct quota_limits l;
	struct maildirsize m;
	struct err e;

	if (quota_limits_parse(text, &l, &e) == 0 &&
	    (l.bytes > INT64_MAX || l.count > INT64_MAX))
		abort();
	if (maildirsize_parse(text, &m, &e) == -1)
		return 0;
	if (m.bytes < 0 || m.count < 0 ||
	    m.is_large != (size >= MAILDIRSIZE_LARGE))
		abort();
	try_with_line(text, &m);
	return 0;
}
