/* SPDX-License-Identifier: ISC */
/* userdb.h - who a user is on this system. */
#ifndef AUTH_USERDB_H
#define AUTH_USERDB_H

#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

#define USERDB_HOME_MAX 4000

/* Of the name service; `home` is as it has it. */
struct userdb_user {
	uid_t sysuid;
	gid_t sysgid;
	char home[USERDB_HOME_MAX];
};

/*
 * Asks the name service. ERR_NOT_FOUND: there is certainly no such account;
 * anything else that fails is trouble that may pass.
 */
int userdb_find(const char *name, struct userdb_user *out, struct err *e);

struct userdb_range {
	uint32_t first_uid, last_uid, first_gid, last_gid; /* last 0: any */
};
/* ERR_PERM: this uid or gid may not have mail here. Root never may. */
int userdb_check(
    uid_t sysuid, gid_t sysgid, const struct userdb_range *r, struct err *e);

#endif
