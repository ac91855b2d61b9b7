/* SPDX-License-Identifier: ISC */
/*
 * place.h - the spool directory, and what may be done in it for one process:
 * lock, unlock and touch USER.lock, and make USER when it is not there.
 */
#ifndef SPOOL_PLACE_H
#define SPOOL_PLACE_H

#include "ipc/chan_spool.h"
#include "os/lock.h"

/* Without a sign of life for so long, a lock is taken away. */
#define PLACE_HOLD_MAX_MS (INT64_C(300) * 1000)

struct place {
	int dirfd; /* -1: there is none */
	gid_t group; /* of what is made there */
	bool gives; /* what is made becomes the user's */
	bool is_sticky; /* locks stay ours, else we could not remove them */
};

/* One mail process. */
struct place_user {
	pid_t pid;
	uid_t sysuid;
	char name[SPOOL_NAME_MAX + 1];
	struct dotlock lock;
	int64_t seen_ms; /* the last sign of life of a holder */
	int64_t second_ms; /* attempts are counted from here on */
	unsigned attempts;
};

/* Takes `dirfd`. */
int place_open(struct place *p, int dirfd, struct err *e);
void place_user_init(struct place_user *u, const struct spool_client_msg *m);
/*
 * One attempt to lock. LOCK_WAIT: busy, *retry_ms and `holder` are set.
 * LOCK_FAIL: ERR_PERM when the file is somebody else's, and what the system
 * says.
 */
enum lock_step place_lock(const struct place *p, struct place_user *u,
    const struct spool_lock_msg *m, int64_t *retry_ms,
    char holder[DOTLOCK_HOLDER_MAX], struct err *e);
/* `m` tells of a lock that an earlier spoold made. */
void place_unlock(
    const struct place *p, struct place_user *u, const struct spool_which *m);
void place_touch(
    const struct place *p, struct place_user *u, const struct spool_which *m);
/* The process has gone; true when it left a lock behind. */
bool place_leave(const struct place *p, struct place_user *u);
/* Takes the lock away. */
void place_take_away(struct place_user *u);
/* Holds a lock, but has not been heard of for too long. */
bool place_is_overdue(const struct place_user *u);

#endif
