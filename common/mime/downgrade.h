/* SPDX-License-Identifier: ISC */
/*
 * downgrade.h - a header in UTF-8 (RFC 6532) for clients that know only ASCII:
 * the surrogate of RFC 6858.
 */
#ifndef MIME_DOWNGRADE_H
#define MIME_DOWNGRADE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/*
 * True when a field of this header block is in UTF-8 beyond ASCII. Bytes that
 * are no UTF-8 are of an unknown charset: they stay what they are.
 */
bool downgrade_is_needed(struct str block);
/*
 * Appends the header block as ASCII, its blank line included if it has one;
 * lines that are written anew end in LF. A Subject and names become encoded
 * words, addresses in UTF-8 one that can not be answered, parameters those of
 * RFC 2231; other fields in UTF-8 are left out.
 */
void downgrade_header(struct arena *a, struct str block, struct buf *out);

#endif
