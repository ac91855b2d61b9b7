/* SPDX-License-Identifier: ISC */
/* spools.h - spoold, and the channels of mail processes to it. */
#ifndef MASTER_SPOOLS_H
#define MASTER_SPOOLS_H

#include <sys/types.h>

#include "master.h"

struct user_proc;

/* With the first generation, if a spool is configured. */
void spools_start(struct master *m);
/* After a reload: another spool, another account, or none. */
void spools_settings_changed(struct master *m);
/* Answers a user's process that asks for its channel. */
void spools_give(struct user_proc *p);
/* spoold gets its end of the process's channel, if there are all three. */
void spools_offer(struct user_proc *p);
/* It runs: gets its ends of all channels. */
void spools_running(struct master *m);
/* This process is not to be served any more. */
void spools_cut(struct master *m, pid_t pid);
/*
 * A channel for process `pid` of `user`: the process's end, or -1 when there
 * is no spoold now or the user can have no file there.
 */
int spools_channel(
    struct master *m, pid_t pid, uid_t sysuid, gid_t sysgid, const char *user);

#endif
