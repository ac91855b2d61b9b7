/* SPDX-License-Identifier: ISC */
/*
 * query.h - a question about messages as a tree of search keys, without any
 * protocol's syntax (RFC 3501 section 6.4.4, RFC 5032). Lives in its maker's
 * arena. The maker builds it with query_new() and query_add(), then calls
 * query_plan() once; after that match.h asks it about one message at a time.
 */
#ifndef SEARCH_QUERY_H
#define SEARCH_QUERY_H

#include "base/arena.h"
#include "base/set32.h"
#include "store/mailbox.h"

enum query_key {
	QUERY_ALL,
	QUERY_AND, /* children */
	QUERY_OR, /* children */
	QUERY_NOT, /* one child */
	/* From the view alone */
	QUERY_UIDS, /* uids */
	QUERY_FLAG, /* number: enum msg_flag that is set */
	QUERY_KEYWORD, /* number: keyword of this mailbox */
	QUERY_MODSEQ, /* number: mod-sequence that is not lower */
	QUERY_NEVER, /* nothing: a keyword that the mailbox does not have */
	/* From the file's facts */
	QUERY_BEFORE, /* number: day, see below */
	QUERY_ON,
	QUERY_SINCE,
	QUERY_YOUNGER, /* number: second since 1970 that is not older */
	QUERY_OLDER,
	QUERY_LARGER, /* number: wire bytes */
	QUERY_SMALLER,
	QUERY_SAVED_BEFORE, /* number: day */
	QUERY_SAVED_ON,
	QUERY_SAVED_SINCE,
	QUERY_EMAIL_ID, /* text, as it is */
	QUERY_THREAD_ID,
	/* From the header */
	QUERY_SENT_BEFORE,
	QUERY_SENT_ON,
	QUERY_SENT_SINCE,
	QUERY_HEADER, /* name, text; empty text: the field is there */
	/* From header and body */
	QUERY_BODY, /* text */
	QUERY_TEXT,
	QUERY_KEYS, /* how many */
};

/* Days count from 1970-01-01 and may be negative (RFC 3501: date). */

enum query_truth {
	QUERY_NO,
	QUERY_YES,
	QUERY_UNKNOWN, /* not yet looked at */
};

struct query {
	enum query_key key;
	struct query *child, *last_child, *next;
	struct set32 *uids; /* in the arena; released by query_done */
	int64_t number;
	struct str name; /* header field, any case */
	struct str text; /* UTF-8, as the client asked */
	struct str folded; /* case-mapped needle, by query_plan */
	unsigned cost; /* by query_plan: what it takes to answer */
	enum query_truth truth; /* match.c: about the present message */
};

enum query_cost { /* the dearest thing that a tree needs */
	QUERY_COST_VIEW,
	QUERY_COST_FACTS,
	QUERY_COST_HEADER,
	QUERY_COST_BODY,
};

/* A node without children, all of it in the arena. */
struct query *query_new(struct arena *a, enum query_key key);
/* Puts `child` last among the children of `q`. */
void query_add(struct query *q, struct query *child);
/* Set of UIDs, empty; query_done releases it. */
struct query *query_new_uids(struct arena *a);
/*
 * Sorts children so that cheap keys are asked first. ERR_SYNTAX: text is not UTF-8.
 */
int query_plan(struct query *q, struct err *e);
/* Is there such a key anywhere in the tree? */
bool query_has(const struct query *q, enum query_key key);
/* Releases what does not lie in the arena. */
void query_done(struct query *q);

/*
 * The UIDs that can match at all, from the QUERY_UIDS keys that every match
 * must satisfy; false: no bound is known. `out` is cleared first.
 */
bool query_bound(const struct query *q, struct set32 *out);

#endif
