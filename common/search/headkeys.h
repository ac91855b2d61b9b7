/* SPDX-License-Identifier: ISC */
/*
 * headkeys.h - of a header what is searched most, ready for it: the keys
 * (text/fold.h) of the fields by which people look for mail, and the day of the
 * Date field. Kept as a fact of the message.
 */
#ifndef SEARCH_HEADKEYS_H
#define SEARCH_HEADKEYS_H

#include "base/buf.h"
#include "search/query.h"

/* Number of a field that is kept, from 1 on; 0: it is not. */
unsigned headkeys_number(struct str name);
/* Appends the record of a header block, unless `out` is over then. Scratch space
 * in `a`. */
void headkeys_write(struct buf *out, struct arena *a, struct str block);

/*
 * Is `key` (not the text, its key) in a field of that number? QUERY_UNKNOWN:
 * the record does not say. With an empty key: is there such a field?
 */
enum query_truth headkeys_ask(
    struct str record, unsigned number, struct str key);
/* The day of the Date field as its writer saw it; *has false: there is none.
 * False: the record does not say. */
bool headkeys_sent_day(struct str record, bool *has, int64_t *day);

/* The same from the header itself; false: there is none. */
bool headkeys_find_day(struct str block, int64_t *day);

#endif
