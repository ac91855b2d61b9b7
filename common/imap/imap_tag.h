/* SPDX-License-Identifier: ISC */
/* imap_tag.h - tags, and tables of command names. */
#ifndef IMAP_IMAP_TAG_H
#define IMAP_IMAP_TAG_H

#include "base/str.h"

/* RFC 3501: tag = 1*<any ASTRING-CHAR except "+">. */
bool imap_tag_is(struct str s);
/*
 * Finds `word` without regard to case in a table of `n` entries of `size`
 * bytes, each of which begins with a `const char *` name. The names ascend in
 * ASCII order of capitals. NULL when it is not there.
 */
const void *imap_tag_find(
    const void *table, size_t n, size_t size, struct str word);

#endif
