/* SPDX-License-Identifier: ISC */
/*
 * notify_arg.h - the arguments of NOTIFY (RFC 5465 section 8).
 */
#ifndef IMAPD_NOTIFY_ARG_H
#define IMAPD_NOTIFY_ARG_H

#include "imapd/fetch_plan.h"
#include "imapd/mbox_filter.h"

/* Of one NOTIFY; a command line has room for more. */
#define NOTIFY_GROUPS_MAX 100
#define NOTIFY_NAMES_MAX 2000

enum notify_event { /* bits */
	NOTIFY_NEW = 1 << 0,
	NOTIFY_EXPUNGE = 1 << 1,
	NOTIFY_FLAGS = 1 << 2,
	NOTIFY_MESSAGES = 7, /* the three of them */
	NOTIFY_NAME = 1 << 3,
	NOTIFY_SUBSCRIPTION = 1 << 4,
	NOTIFY_METADATA = 1 << 5,
	NOTIFY_SERVER_METADATA = 1 << 6,
};

struct notify_group {
	struct mbox_filter filter;
	unsigned events; /* enum notify_event; 0: NONE */
};

struct notify_arg {
	bool is_set; /* SET, not NONE */
	bool status; /* SET STATUS */
	struct notify_group *groups; /* of mailboxes by name */
	size_t n_groups;
	/* SELECTED, SELECTED-DELAYED */
	bool has_selected, is_delayed;
	unsigned selected; /* events */
	bool has_plan;
	struct fetch_plan plan; /* MessageNew (...) */
};

enum notify_arg_result {
	NOTIFY_ARG_OK,
	NOTIFY_ARG_BAD,
	NOTIFY_ARG_EVENT, /* NO [BADEVENT (...)] */
	NOTIFY_ARG_TOO_MUCH, /* NO [NOTIFICATIONOVERFLOW] */
};

/* All of `a`; what *out points to lies in `arena`, names and plan too. */
enum notify_arg_result notify_arg_parse(const struct session *s,
    struct arena *arena, const struct imap_arg *a, struct notify_arg *out);
/* "BADEVENT (MessageNew ...)": those that there are. */
void notify_arg_write_events(struct buf *b);

#endif
