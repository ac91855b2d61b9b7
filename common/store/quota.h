/* SPDX-License-Identifier: ISC */
/*
 * quota.h - how much of his space a user has used: the Maildir++ quota, which
 * programs keep by a file in the mail, and the kernel's, which it keeps itself.
 */
#ifndef STORE_QUOTA_H
#define STORE_QUOTA_H

#include "store/store.h"

/* The administrator's limit on mail, and the file system's on the user. */
enum quota_kind { QUOTA_MAIL, QUOTA_DISK };
#define QUOTA_ROOTS 2

/* One quota root (RFC 9208). A limit of 0: there is none of this kind. */
struct quota_root {
	enum quota_kind kind;
	const char *name; /* as clients see it */
	uint64_t bytes, bytes_max;
	uint64_t count, count_max; /* messages; QUOTA_MAIL alone */
	uint64_t mailboxes, mailboxes_max; /* the same */
};

/*
 * The roots that there are now, of all the user's own mailboxes; *n may be 0. May
 * have to count all messages: steps as in store.h.
 */
enum step store_quota(struct store *s, struct quota_root roots[QUOTA_ROOTS],
    size_t *n, struct err *e);
/* Do they cover this mailbox? It need not exist. Not those of others. */
bool store_quota_covers(struct store *s, struct str name);
/*
 * May messages of this size come into `mailbox`? ERR_OVER_QUOTA. (The kernel's
 * quota is asked for nothing: it refuses by itself.)
 */
enum step store_quota_may_add(struct store *s, struct str mailbox,
    uint64_t bytes, uint64_t count, struct err *e);

/*
 * May one more mailbox be made? ERR_OVER_QUOTA. Reads all names, where there is a
 * limit. What is made when it is first used is not asked for, but counts.
 */
int quota_may_create(struct store *s, struct err *e);
/* One has come: counts that are under way begin anew. */
void quota_created(struct store *s);

/* Is there a quota of the mail at all? Else nobody need know sizes. */
bool quota_is_kept(struct store *s);

/* In store_open and store_close. Limits that do not parse are none. */
void quota_open(struct store *s, const char *limits, uint32_t mailboxes_max);
void quota_close(struct store *s);

#endif
