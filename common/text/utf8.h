/* SPDX-License-Identifier: ISC */
/* utf8.h - UTF-8 (RFC 3629): shortest form, no surrogates, up to U+10FFFF. */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include "base/buf.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define UTF8_CHAR_MAX 4

/* Number of bytes below 0x80 at the start of `s`. */
size_t utf8_ascii_length(struct str s);
bool utf8_is_valid(struct str s);
/*
 * The first character of `s`: its bytes 1..4 and *code. 0 when `s` is empty
 * or does not begin with a whole, valid character.
 */
size_t utf8_decode(struct str s, uint32_t *code);
/*
 * True when `s` (1..3 bytes) is a valid beginning of a longer character:
 * more bytes may make it whole.
 */
bool utf8_is_prefix(struct str s);
/* Writes `code` and returns its bytes; surrogates and more than U+10FFFF: 0. */
size_t utf8_encode(uint32_t code, char out[UTF8_CHAR_MAX]);
/* At most `max_bytes` of `s`, which is valid, cut between two characters. */
struct str utf8_head(struct str s, size_t max_bytes);
/* Appends `s` with U+FFFD for each byte that belongs to no character. */
bool utf8_add_clean(struct buf *out, struct str s);

#endif
