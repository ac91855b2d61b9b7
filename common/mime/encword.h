/* SPDX-License-Identifier: ISC */
/* encword.h - encoded words in header text (RFC 2047). */
#ifndef MIME_ENCWORD_H
#define MIME_ENCWORD_H

#include "base/buf.h"

/* No text of `n` bytes decodes to more. */
#define ENCWORD_DECODED_MAX(n) ((n)*9 + 64)

/* True when the text is ASCII without encoded words: decoded already. */
bool encword_is_plain(struct str text);
/*
 * Appends unfolded header text as UTF-8: encoded words are decoded, blanks
 * between two of them go (section 6.2), bytes that are no UTF-8 become U+FFFD.
 * A word in an unknown charset stays as it is written. Words are taken as
 * they come: inside quotes, next to text, with blanks in them, and with
 * characters torn between two words of one charset.
 */
void encword_decode(struct buf *out, struct str text);

#endif
