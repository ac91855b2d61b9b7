/* SPDX-License-Identifier: ISC */
/* imap_char.h - which byte may stand where (RFC 3501 section 9). */
#ifndef IMAP_IMAP_CHAR_H
#define IMAP_IMAP_CHAR_H

#include "base/str.h"

enum imap_char {
	IMAP_CHAR_ATOM = 1 << 0, /* ATOM-CHAR */
	IMAP_CHAR_ASTRING = 1 << 1, /* ASTRING-CHAR: also "]" */
	IMAP_CHAR_LIST = 1 << 2, /* list-char: also "%" and "*" */
	IMAP_CHAR_TAG = 1 << 3, /* ASTRING-CHAR but "+" */
	IMAP_CHAR_TOKEN = 1 << 4, /* what the lexer takes as part of an atom */
	IMAP_CHAR_QUOTED = 1 << 5, /* in a quoted string, as it is */
	IMAP_CHAR_TEXT = 1 << 6, /* TEXT-CHAR: 7-bit, no CR, LF, NUL */
};

/* By byte: the classes it is in. */
extern const unsigned char imap_char_class[256];

static inline bool
imap_char_is(char c, unsigned class)
{
	return (imap_char_class[(unsigned char)c] & class) != 0;
}

/* True when `s` has one byte or more, all of them of the class. */
bool imap_char_all(struct str s, unsigned class);

#endif
