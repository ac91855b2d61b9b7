/* SPDX-License-Identifier: ISC */
/*
 * nfc.h - names as Net-Unicode wants them (RFC 5198 section 2; RFC 9755 section
 * 3, RFC 9051 section 5.1): composed characters, no control characters.
 */
#ifndef TEXT_NFC_H
#define TEXT_NFC_H

#include "base/buf.h"

/* True when valid UTF-8 is in Normalisation Form C already. */
bool nfc_is_normal(struct str utf8);
/* Appends the form; false, with `out` as it was: no valid UTF-8, or full. */
bool nfc_write(struct buf *out, struct str utf8);
/*
 * False for what no name may hold: U+0000 to U+001F, U+007F to U+009F, U+2028,
 * U+2029, and bytes that are no UTF-8.
 */
bool nfc_may_be_name(struct str utf8);

#endif
