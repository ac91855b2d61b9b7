/* SPDX-License-Identifier: ISC */
/*
 * modseq_floor.h - a number above every mod-sequence that this user was ever
 * given on this host, kept where it outlives the index and a clock that was set
 * back.
 *
 * Mod-sequences are times in microseconds (modlog.h), so those of an index that
 * is made anew are above the old ones by themselves. Not so on a machine that
 * does not know the time when it starts: for it the file "modseq" in the state
 * folder has a ceiling, raised by an hour whenever it is reached, and durable
 * before a number above the old one is told:
 *
 *	restante-modseq 1 00001795331492000000\n
 */
#ifndef STORE_MODSEQ_FLOOR_H
#define STORE_MODSEQ_FLOOR_H

#include "store/mailbox_impl.h"

/* The next number after `highest`, and at least the present time. */
uint64_t modseq_next(struct store *s, uint64_t highest);
/*
 * Where the numbers of an index that has just begun begin: at or above all that
 * were given before.
 */
uint64_t modseq_floor(struct store *s);

/* The file's content; for tests. False: not in this form. */
bool modseq_parse(struct str bytes, uint64_t *out);

#endif
