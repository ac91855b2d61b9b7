/* SPDX-License-Identifier: ISC */
/*
 * view_modseq.h - mod-sequences as a session sees them (RFC 7162). They are
 * never 0 and never go back: they follow the clock, so an index that was lost
 * only makes messages look newer than they are.
 */
#ifndef STORE_VIEW_MODSEQ_H
#define STORE_VIEW_MODSEQ_H

#include "store/mailbox.h"

/* Of a message of the view. */
uint64_t view_modseq(struct view *v, uint32_t uid);
/* Of the mailbox: no message's, and no removal's, is higher. */
uint64_t view_highest_modseq(struct view *v);
/*
 * The highest one up to which nothing is kept back: below that of removals
 * which the session was not yet told of.
 */
uint64_t view_told_modseq(struct view *v);
/* Has it been kept back that messages are gone? */
bool view_keeps_back(struct view *v);
/*
 * Adds the UIDs that vanished after `modseq`; perhaps others that are gone,
 * too, when that is not known so exactly any more: then all below UIDNEXT
 * that the view does not have.
 */
void view_vanished(struct view *v, uint64_t modseq, struct set32 *out);
/*
 * Looks at the disk when it may have changed, and tells nothing: the session
 * is told by view_sync.
 */
enum step view_refresh(struct view *v, struct err *e);

#endif
