/* SPDX-License-Identifier: ISC */
/*
 * filtermake.h - makes the filter (index/filter.h) of one message after the
 * other, from what SEARCH would look at.
 */
#ifndef SEARCH_FILTERMAKE_H
#define SEARCH_FILTERMAKE_H

#include "store/msg.h"

struct filtermake;

/* For one message after the other; never NULL. */
struct filtermake *filtermake_new(void);
void filtermake_free(struct filtermake **f);
/*
 * The filter of `msg`, in steps: STEP_MORE, call again with the same message,
 * which stays open meanwhile. STEP_DONE: appended to `out`, with at most
 * `max_bytes` (but see FILTER_MIN_BYTES). STEP_FAIL: it could not be read.
 */
enum step filtermake_step(struct filtermake *f, struct msg *msg,
    size_t max_bytes, struct buf *out, struct err *e);
/* Forgets a message that is half done. */
void filtermake_drop(struct filtermake *f);

#endif
