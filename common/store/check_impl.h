/* SPDX-License-Identifier: ISC */
/* check_impl.h - what a checker has; see the table in check.c. */
#ifndef STORE_CHECK_IMPL_H
#define STORE_CHECK_IMPL_H

#include "store/check.h"
#include "store/location.h"

/* One run; all of it is the caller's. */
struct check {
	const struct store_settings *set;
	const struct location *loc;
	struct arena *arena;
	check_found_fn *found;
	void *arg;
	struct check_sum *sum;
};

/*
 * One thing that is looked at, read-only. -1: it could not be looked at; what
 * is wrong with the mail is told by check_tell().
 */
typedef int checker_fn(struct check *c, struct err *e);

enum { CHECK_CAN_REPAIR = 1 << 8 }; /* added to the weight */

/* `cure` may be NULL. */
void check_tell(struct check *c, int weight, const char *kind,
    struct str mailbox, const char *cure, const char *fmt, ...)
    PRINTF_LIKE(6, 7);

/* All mailboxes of the user's place; findings by check_tell(). */
int maildir_check(struct check *c, struct err *e);
int mbox_check(struct check *c, struct err *e);
/* The user's index, if set->index_dir is one. */
int index_check_user(struct check *c, struct err *e);
/* Throws out of it what is wrong; the next to open the mailboxes fill it. */
int index_repair_user(const struct store_settings *set, struct err *e);

#endif
