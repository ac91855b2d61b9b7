/* SPDX-License-Identifier: ISC */
/*
 * status_item.h - what STATUS asks for and answers, for STATUS itself and for
 * LIST's STATUS (RFC 3501 section 6.3.10, RFC 5819).
 */
#ifndef IMAPD_STATUS_ITEM_H
#define IMAPD_STATUS_ITEM_H

#include "imap/imap_arg.h"
#include "imapd/session.h"

enum status_item {
	STATUS_MESSAGES,
	STATUS_RECENT,
	STATUS_UIDNEXT,
	STATUS_UIDVALIDITY,
	STATUS_UNSEEN,
	STATUS_SIZE,
	STATUS_DELETED,
	STATUS_DELETED_STORAGE,
	STATUS_HIGHESTMODSEQ,
	STATUS_MAILBOXID,
	STATUS_APPENDLIMIT,
	STATUS_ITEMS, /* how many */
};

/* Each once, in the order of the request. */
struct status_items {
	enum status_item v[STATUS_ITEMS];
	size_t n;
	bool with_size; /* for store_status() */
};

/* One item or more, up to the list's end; false: not so. */
bool status_items_parse(const struct imap_arg *a, struct status_items *out);
/* Has a client that asks for this shown that it knows of mod-sequences? */
bool status_items_has(const struct status_items *items, enum status_item item);
/* "* STATUS name (...)" */
void status_items_write(struct session *s, struct str name,
    const struct status_items *items, const struct mailbox_status *st);

#endif
