/* SPDX-License-Identifier: ISC */
/* imap_set.h - sequence-set and uid-set as text (RFC 3501 section 9). */
#ifndef IMAP_IMAP_SET_H
#define IMAP_IMAP_SET_H

#include "base/buf.h"
#include "base/set32.h"

/*
 * Parses "1,3:5,7:*" into `out` (which is cleared). `star` stands for the
 * largest number in use; with star 0 (empty mailbox) parts with "*" add
 * nothing. False: the grammar does not allow it, or more than max_ranges.
 */
bool imap_set_parse(
    struct str s, uint32_t star, size_t max_ranges, struct set32 *out);
/* Writes "1:3,5"; nothing for an empty set. */
void imap_set_write(struct buf *b, const struct set32 *s);

#endif
