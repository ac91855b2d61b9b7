/* SPDX-License-Identifier: ISC */
/*
 * kept.h - answers that are about a whole mailbox and dear to find, kept in its
 * index: the order of SORT, the conversations of THREAD. What an answer means,
 * and whether it still fits, only who asks can say: messages come and go.
 *
 * There is room for KEPT_PLACES answers of a mailbox; where a question lands is
 * chance, and the answer that was there goes.
 */
#ifndef STORE_KEPT_H
#define STORE_KEPT_H

#include "base/buf.h"
#include "store/mailbox.h"

#define KEPT_PLACES 8u
#define KEPT_MAX_BYTES ((size_t)16 * 1024 * 1024)

/* Appends the answer that was last given to the question. False: none is kept. */
bool kept_get(struct view *v, struct str question, struct buf *out);
/* Keeps one; it is written at the end of the step, and may be lost. */
void kept_put(struct view *v, struct str question, struct str answer);
/* A message or its date is not what it was: no answer holds. */
void kept_forget(struct mailbox *m);

#endif
