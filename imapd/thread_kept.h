/* SPDX-License-Identifier: ISC */
/* thread_kept.h - answers of THREAD that were kept: store/kept.h. */
#ifndef IMAPD_THREAD_KEPT_H
#define IMAPD_THREAD_KEPT_H

#include "base/buf.h"
#include "imapd/session.h"

/*
 * The kept answer, with UIDs, when it is about exactly these messages. Else
 * false, and `out` is empty.
 */
bool thread_kept_get(struct cmd *c, struct str question,
    const struct set32 *found, struct buf *out);
/* The UIDs of an answer as the client counts them. */
void thread_kept_write(struct buf *b, struct cmd *c, struct str text);

#endif
