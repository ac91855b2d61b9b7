/* SPDX-License-Identifier: ISC */
/*
 * modlog.h - mod-sequences, and which UIDs vanished when (RFC 7162).
 *
 * Numbers begin with the wall clock in microseconds, so that those of an index
 * that was made anew are above all that were ever given out (formats.md 12).
 */
#ifndef INDEX_MODLOG_H
#define INDEX_MODLOG_H

#include "index/index.h"

/* What is kept of the past: no older, no more UIDs at most. */
#define MODLOG_AGE_S (UINT64_C(60) * 24 * 3600)
#define MODLOG_ENTRIES_MAX 4096u

/* The next number after `highest`; at least the present time. */
uint64_t modlog_next(uint64_t highest);
/*
 * Inside index_write(): `uids` vanished at `modseq`. Old entries go;
 * *vanished_from is raised to the newest that went.
 */
int modlog_add(struct index *ix, uint32_t box, uint64_t modseq,
    const struct set32 *uids, uint64_t *vanished_from, struct err *e);
/*
 * Adds what vanished after `modseq`. False: that is not known any more, as it
 * is for numbers below `vanished_from` (of the head).
 */
bool modlog_vanished(struct index *ix, uint32_t box, uint64_t modseq,
    uint64_t vanished_from, struct set32 *out);

#endif
