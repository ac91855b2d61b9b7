/* SPDX-License-Identifier: ISC */
/*
 * fetch_write.h - facts about messages as FETCH values (RFC 3501 section 7.4.2).
 */
#ifndef IMAPD_FETCH_WRITE_H
#define IMAPD_FETCH_WRITE_H

#include "base/buf.h"
#include "mime/part.h"

/* ENVELOPE's value, in parentheses; absent fields are NIL. */
void fetch_write_envelope(struct buf *b, const struct envelope *env);
/*
 * BODYSTRUCTURE; without `extended` the form of BODY. message/global is shown
 * like message/rfc822 to those who know it (`global`; RFC 9755 section 6, RFC
 * 9051 section 7.5.2), else like any attachment (RFC 3501 knows no such type).
 */
void fetch_write_body(
    struct buf *b, const struct part *root, bool extended, bool global);
/* True when both forms differ. */
bool fetch_write_has_global(const struct part *root);

#endif
