/* SPDX-License-Identifier: ISC */
/*
 * context.h - results of searches that are kept up to date: RETURN (UPDATE ...)
 * of SEARCH, SORT and ESEARCH (RFC 5267, RFC 5465 section 7).
 *
 * ADDTO and REMOVEFROM are told where the change that causes them is: REMOVEFROM
 * before EXPUNGE, ADDTO behind EXISTS and FETCH. They end with the mailbox.
 */
#ifndef IMAPD_CONTEXT_H
#define IMAPD_CONTEXT_H

#include "imapd/search_return.h"
#include "imapd/session.h"

struct sort;

/*
 * Before the search: may the result be kept up to date under this tag? False:
 * it was answered with BAD.
 */
bool context_check(struct cmd *c, const struct search_return *r);

/* After it, what the context is made of. */
struct context_wish {
	const struct search_return *ret;
	const struct imap_arg *keys; /* from the charset on */
	bool charset; /* it is the first of them, as with SORT */
	bool is_esearch; /* told with MAILBOX and UIDVALIDITY (RFC 7377) */
	bool is_partial; /* not all messages were looked at: refused */
	const struct set32 *found; /* UIDs */
	const struct sort *sort; /* with its order; NULL: in mailbox order */
};

/* Does nothing without UPDATE; says NO [NOUPDATE] when it can not be. */
void context_add(struct cmd *c, const struct context_wish *w);

/* ---- for sync.c and those that change flags -------------------------------- */

/* Messages are gone, which the client has not been told yet. */
void context_gone(struct session *s, const struct set32 *uids);
/* Flags of a message have changed, or may have. */
void context_touch(struct session *s, uint32_t uid);
void context_touch_all(struct session *s, const struct set32 *uids);
/* EXISTS was told. */
void context_new(struct session *s);
/* Tells what has changed since; STEP_MORE: call again. */
enum step context_step(struct session *s);
/* Has context_step() anything to do? */
bool context_is_due(const struct session *s);
/* After STEP_MORE: a FETCH response is half out. */
bool context_is_within(const struct session *s);
/* The mailbox is left. */
void context_end(struct session *s);

#endif
