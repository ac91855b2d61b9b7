/* SPDX-License-Identifier: ISC */
/*
 * mbox_filter.h - which mailboxes NOTIFY and ESEARCH are about
 * (RFC 5465 section 6, RFC 7377 section 2.2: filter-mailboxes).
 */
#ifndef IMAPD_MBOX_FILTER_H
#define IMAPD_MBOX_FILTER_H

#include "imap/imap_arg.h"
#include "store/store.h"

struct session;

enum mbox_filter_kind { /* bits */
	FILTER_SELECTED = 1 << 0,
	FILTER_SELECTED_DELAYED = 1 << 1,
	FILTER_INBOXES = 1 << 2, /* the same as PERSONAL here */
	FILTER_PERSONAL = 1 << 3,
	FILTER_SUBSCRIBED = 1 << 4,
	FILTER_SUBTREE = 1 << 5, /* with names */
	FILTER_SUBTREE_ONE = 1 << 6,
	FILTER_MAILBOXES = 1 << 7,
	/* Those that speak of mailboxes by name. */
	FILTER_OTHERS = 0xfc,
};

struct mbox_filter {
	enum mbox_filter_kind kind;
	struct str *names; /* UTF-8, without a delimiter behind */
	size_t n;
};

/*
 * One filter, with its names in `arena`, of the kinds in `allowed`. Names that
 * can not be one are left out: such mailboxes do not exist. False: the grammar
 * does not allow it.
 */
bool mbox_filter_parse(const struct session *s, struct arena *arena,
    const struct imap_arg **a, unsigned allowed, struct mbox_filter *out);
/*
 * Does it speak of this mailbox? *as, if given: the name as the client knows it
 * from the filter, borrowed. FILTER_SELECTED speaks of none.
 */
bool mbox_filter_matches(const struct session *s, const struct mbox_filter *f,
    const struct mbox_entry *m, struct str *as);
/* Can it be opened, and is it there already? */
bool mbox_filter_selectable(const struct mbox_entry *m);

#endif
