/* SPDX-License-Identifier: ISC */
/*
 * lookup.h - whose uid it is, asked of the system without master waiting: a name
 * service may take seconds, or hang.
 */
#ifndef MASTER_LOOKUP_H
#define MASTER_LOOKUP_H

#include <sys/types.h>

#include "base/err.h"
#include "master.h"

struct lookup;

/* What the name service says of a uid. */
struct lookup_account {
	struct str name, home;
	gid_t sysgid;
};

/* `a` is borrowed for the call; NULL: no such account, or no answer in time. */
typedef void lookup_fn(void *arg, const struct lookup_account *a);

/* Calls `fn` once from the loop, unless it is freed before. */
struct lookup *lookup_uid(
    struct master *m, uid_t sysuid, lookup_fn *fn, void *arg, struct err *e);
void lookup_free(struct lookup **l);

#endif
