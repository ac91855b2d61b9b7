/* SPDX-License-Identifier: ISC */
/*
 * match.h - asks a planned query about one message after the other.
 *
 * Cheap facts first: what the view knows, what the index keeps of the message
 * (headkeys.h, index/filter.h), then its header, and only then the decoded text,
 * which is read once for all needles and no further than it takes. A large body
 * is read in slices.
 */
#ifndef SEARCH_MATCH_H
#define SEARCH_MATCH_H

#include "search/query.h"

struct matcher;

/* Borrows view and query, which has been planned. */
struct matcher *matcher_new(struct view *v, struct query *q);
void matcher_free(struct matcher **m);
/*
 * Does message `uid` match? STEP_MORE: call again with the same `uid`.
 * A message that has vanished does not match. STEP_FAIL: it could not be read.
 */
enum step matcher_test(
    struct matcher *m, uint32_t uid, bool *hit, struct err *e);
/*
 * As matcher_test() of messages of `of` from *uid on, as far as the index knows
 * them: those that match go to `found`, *uid is the first that was not looked
 * at. After at most `max` messages; returns how many they were.
 */
unsigned matcher_test_known(struct matcher *m, const struct set32 *of,
    uint32_t *uid, unsigned max, struct set32 *found);
/* Had the last message that was tested to be opened? Else it took no time. */
bool matcher_has_read(const struct matcher *m);

#endif
