/* SPDX-License-Identifier: ISC */
/*
 * imap_requote.h - values that were written for every client, for one that has
 * enabled UTF-8 in quoted strings (RFC 9755 section 3).
 */
#ifndef IMAP_IMAP_REQUOTE_H
#define IMAP_IMAP_REQUOTE_H

#include "base/buf.h"

/*
 * Appends `value`, which is what imap_write_* has made of lists, strings and
 * atoms, with each literal as a quoted string where it can be one. What has
 * another form is appended as it is.
 */
void imap_requote(struct buf *out, struct str value);

#endif
