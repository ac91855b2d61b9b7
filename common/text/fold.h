/* SPDX-License-Identifier: ISC */
/*
 * fold.h - the form in which text is compared without regard to case:
 * i;unicode-casemap (RFC 5051): each character to title case, then fully
 * decomposed. For ASCII that is upper case. Substring search is a search for
 * the bytes of one form in the other.
 */
#ifndef TEXT_FOLD_H
#define TEXT_FOLD_H

#include "base/arena.h"
#include "base/buf.h"

/* The compared form in `a`; false when the text is not UTF-8. */
bool fold_key(struct arena *a, struct str utf8, struct str *out);
/*
 * Appends the compared form; bytes that are not UTF-8 become U+FFFD. To
 * fold a stream, cut it where fold_cut() says. False: b is over its maximum.
 */
bool fold_append(struct buf *b, struct str utf8);
/*
 * How many of the first bytes may be folded on their own: up to the last
 * place where an ASCII byte stands before another byte, so that no character
 * or sequence of combining marks is torn. 0 when there is none.
 */
size_t fold_cut(struct str utf8);

#endif
