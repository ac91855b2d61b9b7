/* SPDX-License-Identifier: ISC */
/*
 * hold.h - an auth child becomes the holder of a PAM session: it opens the
 * session, starts the user's process in it when master says so, and closes it
 * when that process has ended.
 */
#ifndef AUTH_HOLD_H
#define AUTH_HOLD_H

#include <sys/types.h>

#include "auth/pam.h"
#include "base/err.h"

/*
 * Limits of an auth child with PAM. They are soft ones: its code is the
 * administrator's, and hold_session() must be able to give them back even
 * where root may not raise hard limits (containers).
 */
int hold_limit(struct err *e);
/*
 * Waits on `fd`, the channel to master, for HOLD_START; returns when all is
 * over, also when master closes the channel instead.
 */
void hold_session(
    struct pam_try *pam, const char *name, uid_t sysuid, gid_t sysgid, int fd);

#endif
