/* SPDX-License-Identifier: ISC */
/*
 * filterbuild.h - makes the filters that a mailbox lacks, behind everything
 * else that its process does; and what else is kept for searches.
 */
#ifndef SEARCH_FILTERBUILD_H
#define SEARCH_FILTERBUILD_H

#include "store/mailbox.h"

struct filterbuild;

/*
 * Filters of at most `percent` of their messages. Borrows `v`, and nothing is
 * looked at yet. NULL: all that the view shows have one, or they can not be
 * kept.
 */
struct filterbuild *filterbuild_new(struct view *v, unsigned percent);
/* Between any two steps; before the view is closed. */
void filterbuild_free(struct filterbuild **b);
/*
 * Works until `until_ms` (clock_mono_ms(), or a little longer). STEP_DONE: there
 * is nothing more to do. STEP_FAIL: what is made can not be kept.
 */
enum step filterbuild_step(
    struct filterbuild *b, int64_t until_ms, struct err *e);

#endif
