/* SPDX-License-Identifier: ISC */
/*
 * users.h - the users' imapd and pop3d processes: one for each identity (the
 * whole grant and the settings it started with), found again or started.
 *
 * STARTED, serving --SESSION_LEAVING, channel closed, exit--> gone
 * A process that no longer fits (settings changed) leaves the map and
 * finishes its sessions.
 */
#ifndef MASTER_USERS_H
#define MASTER_USERS_H

#include <sys/types.h>

#include "master.h"

struct grant_entry;

struct user_proc {
	struct list link; /* in master.user_procs */
	struct master *m;
	char *identity; /* key in master.users */
	size_t identity_n;
	bool in_map; /* gets new sessions */
	bool told_to_stop;
	bool has_served; /* it has taken a session */
	bool has_ended; /* its exit was seen: the pid is nobody's */
	enum service service;
	char *user;
	uint32_t sysuid, sysgid;
	pid_t pid; /* 0: not yet known (a holder starts it), or gone */
	struct chan *chan; /* NULL: closed */
	struct chan *holder; /* the PAM session's keeper, or NULL */
	bool is_held; /* such a keeper starts it */
	bool is_named; /* and has said which process it is */
	int pidfd; /* of a process that is held, or -1 */
	struct log_feed *feed;
	ev_child child;
	ev_timer timer; /* must be gone */
	struct list sessions;
	uint32_t n_sessions;
	int64_t started_wall_s;
	int spool_fd; /* spoold's end of its channel to it, or -1 */
};

/* The process for this grant. NULL: it can not be had now. */
struct user_proc *users_find_or_start(
    struct generation *g, struct grant_entry *grant, struct err *e);
/* The settings of such a process, as a descriptor of lines; -1. Makes the
 * user's index and state directories. */
int users_settings(const struct settings *s, const struct grant_entry *g,
    struct str shares, struct err *e);
#define SHARES_MAX (256 * 1024)
/* Whose mail may be looked for: the setting `shares` (shares.h). */
void users_shares(
    struct generation *g, const struct grant_entry *grant, struct buf *out);
int users_send(struct user_proc *p, const struct buf *b, const int *fds,
    size_t n_fds, struct err *e);
/* No new sessions for processes whose settings differ from `g`'s. */
void users_settings_changed(struct master *m, const struct generation *g);
/* All end their sessions and leave. */
void users_stop_all(struct master *m, const char *why);
void users_kill_all(struct master *m);
/* Asks a process to end one session. */
void users_kick(struct user_proc *p, uint64_t session, const char *why);

#endif
