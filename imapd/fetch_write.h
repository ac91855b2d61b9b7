/* SPDX-License-Identifier: ISC */
/*
 * fetch_write.h - facts about messages as FETCH values (RFC 3501 section 7.4.2).
 */
#ifndef IMAPD_FETCH_WRITE_H
#define IMAPD_FETCH_WRITE_H

#include "base/buf.h"
#include "mime/part.h"

void fetch_write_envelope(struct buf *b, const struct envelope *env);
/* BODYSTRUCTURE; without `extended` the form of BODY. */
void fetch_write_body(struct buf *b, const struct part *root, bool extended);

#endif
