/* SPDX-License-Identifier: ISC */
/*
 * fuzz_nfc.c - names in Normalisation Form C: once is as good as twice.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "text/nfc.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_make(data, size);
	struct buf once, twice;
	bool ok;

	buf_init(&once, size * 20 + 100);
	buf_init(&twice, size * 20 + 100);
	ok = nfc_write(&once, s);
	ASSERT(ok == utf8_is_valid(s));
	ASSERT(ok || (once.n == 0 && !nfc_is_normal(s)));
	if (ok) {
		ASSERT(nfc_is_normal(s) == str_eq(s, buf_str(&once)));
		ASSERT(nfc_is_normal(buf_str(&once)));
		ASSERT(nfc_write(&twice, buf_str(&once)));
		ASSERT(str_eq(buf_str(&once), buf_str(&twice)));
		ASSERT(!nfc_may_be_name(s) || nfc_may_be_name(buf_str(&once)));
	}
	buf_done(&once);
	buf_done(&twice);
	return 0;
}
