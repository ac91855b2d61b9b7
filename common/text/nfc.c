/* SPDX-License-Identifier: ISC */
/*
 * nfc.c - names as Net-Unicode wants them.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in its input.
 * Spec:    RFC 5198 section 2, RFC 9755 section 3.
 */
#include "text/nfc.h"

#include <stdlib.h>
#include <uninorm.h>

#include "text/utf8.h"

/* NULL: no valid UTF-8. To be freed; *n: its bytes. */
static uint8_t *
normalized(struct str s, size_t *n)
{
	if (!utf8_is_valid(s))
		return NULL;
	return u8_normalize(UNINORM_NFC, (const uint8_t *)s.p, s.n, NULL, n);
}

bool
nfc_is_normal(struct str utf8)
{
	bool is_normal;
	uint8_t *form;
	size_t n;

	if (utf8_ascii_length(utf8) == utf8.n)
		return true;
	form = normalized(utf8, &n);
	is_normal = form != NULL && str_eq(str_make((char *)form, n), utf8);
	free(form);
	return is_normal;
}

bool
nfc_write(struct buf *out, struct str utf8)
{
	uint8_t *form;
	bool ok;
	size_t n;

	if (utf8_ascii_length(utf8) == utf8.n)
		return buf_add_str(out, utf8);
	form = normalized(utf8, &n);
	ok = form != NULL && buf_add(out, form, n);
	free(form);
	return ok;
}

bool
nfc_may_be_name(struct str utf8)
{
	uint32_t code;
	size_t n;

	for (; utf8.n > 0; utf8 = str_skip(utf8, n)) {
		n = utf8_decode(utf8, &code);
		if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0) ||
		    code == 0x2028 || code == 0x2029)
			return false;
	}
	return true;
}
