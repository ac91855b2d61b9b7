/* SPDX-License-Identifier: ISC */
/* utf7.h - modified UTF-7 of mailbox names (RFC 3501 section 5.1.3). */
#ifndef TEXT_UTF7_H
#define TEXT_UTF7_H

#include "base/buf.h"

/*
 * Appends the UTF-8 form of the mailbox name `in`. Only the one spelling that
 * utf7_encode() gives is accepted, so names survive the way there and back.
 * False, with `out` as it was, when `in` is not that or `out` is full.
 */
bool utf7_decode(struct buf *out, struct str in);
/*
 * Appends the modified UTF-7 form of `in`. False, with `out` as it was, when
 * `in` is not valid UTF-8 or `out` is full.
 */
bool utf7_encode(struct buf *out, struct str in);
/* True when `in` is printable ASCII and what utf7_encode() would write. */
bool utf7_is_valid(struct str in);

#endif
