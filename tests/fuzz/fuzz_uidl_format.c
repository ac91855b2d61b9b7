/* SPDX-License-Identifier: ISC */
/*
 * fuzz_uidl_format.c - any bytes as pop3_uidl: what is accepted can be written
 * and tells messages apart.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing. The input is the setting.
 */
#include <stdlib.h>

#include "text/uidl_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct uidl_values values = {
	    .uid = 4294967295,
	    .uidvalidity = 4294967295,
	    .base = STR_LIT("1795300918.M938808P31792.mx1,S=143,W=151"),
	    .guid = STR_LIT("guid with blanks"),
	    .header_md5 = STR_LIT("88426b0260ab3648cc3ab6a43ce8f8e0"),
	};
	struct str format = str_make(data, size);
	struct buf b;
	struct err e;
	bool ok = uidl_format_check(format, NULL, &e) == 0;

	buf_init(&b, 64 * 1024);
	if (ok && uidl_format_write(format, &values, &b, &e) == -1)
		abort();
	if (!ok && e.text[0] == '\0')
		abort();
	buf_done(&b);
	return 0;
}
