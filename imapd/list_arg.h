/* SPDX-License-Identifier: ISC */
/*
 * list_arg.h - the arguments of LIST, in their old and their extended form
 * (RFC 3501 section 6.3.8, RFC 5258 section 6).
 */
#ifndef IMAPD_LIST_ARG_H
#define IMAPD_LIST_ARG_H

#include "imapd/command.h"
#include "imapd/metadata.h"
#include "imapd/status_item.h"

enum list_select { /* which mailboxes */
	SELECT_SUBSCRIBED = 1 << 0,
	SELECT_REMOTE = 1 << 1, /* there are none */
	SELECT_RECURSIVEMATCH = 1 << 2,
	SELECT_SPECIAL_USE = 1 << 3, /* RFC 6154 section 2 */
};

enum list_return { /* what is told of them */
	RETURN_SUBSCRIBED = 1 << 0,
	RETURN_CHILDREN = 1 << 1, /* always told */
	RETURN_SPECIAL_USE = 1 << 2, /* always told */
	RETURN_STATUS = 1 << 3, /* RFC 5819 */
	RETURN_MYRIGHTS = 1 << 5, /* RFC 8440 */
	RETURN_METADATA = 1 << 4, /* RFC 9590 */
};

struct list_arg {
	bool is_extended; /* any of the extended forms was used */
	unsigned select; /* enum list_select */
	unsigned ret; /* enum list_return */
	struct status_items status;
	struct meta_query metadata;
	struct str reference;
	struct str *patterns; /* with the reference before them */
	size_t n_patterns;
	bool asks_root; /* the one pattern is "" */
};

/*
 * All of c->args. NULL, or why they are BAD; *too_long: the answer is NO
 * instead.
 */
const char *list_arg_parse(struct cmd *c, struct list_arg *out);

#endif
