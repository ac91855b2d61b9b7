/* SPDX-License-Identifier: ISC */
/*
 * master.h - the state of restanted, for the files of this folder.
 *
 * Ownership: struct master owns everything below it. A generation is one set of
 * service processes made from one set of settings; a reload makes another one.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <ev.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "ipc/chan.h"
#include "keep.h"
#include "limit.h"
#include "listen.h"
#include "logs.h"
#include "settings.h"
#include "shares.h"

struct control;
struct reload;

#define KEYD_MAX 64
#define TICKET_KEY_BYTES 64

/*
 * DOWN --start--> STARTING --READY--> RUNNING --stop--> STOPPING --exit--> gone
 * STARTING, RUNNING --exit--> DOWN (and, when it is still wanted, later start)
 */
enum service_state {
	SERVICE_DOWN,
	SERVICE_STARTING,
	SERVICE_RUNNING,
	SERVICE_STOPPING,
};

/* One service process of ours. */
struct service_proc {
	struct master *m;
	struct generation *g; /* NULL: logd, spoold */
	enum program program;
	uint32_t index; /* of several keyd */
	enum service_state state;
	pid_t pid;
	struct chan *chan;
	struct log_feed *feed;
	ev_child child;
	ev_timer timer; /* start takes too long; back-off; must be gone */
	unsigned failures; /* in a row */
	bool given_up; /* we ended it: its setup could not be sent */
	bool asks_file; /* logd, before it is ready: for its log */
	int64_t started_ms;
};

struct generation {
	struct list link; /* in master.generations */
	struct master *m;
	struct settings *settings;
	struct service_proc spawner, authd, login, keyd[KEYD_MAX];
	uint32_t n_keyd;
	struct list workers; /* login workers */
	uint32_t n_workers, spare, serving;
	uint32_t wanted_workers; /* asked for, not yet made */
	ev_timer more_workers; /* there were no descriptors for them */
	pid_t checking_pid; /* the login parent that has had its first set */
	bool was_ready; /* once all ran: a failure is no longer the end */
	bool retiring;
	/* Of the settings of a user's process, by service and PAM session. */
	uint64_t identity_sums[SERVICES][2][2];
	/* What all users' settings begin with, -1 before it was needed. */
	int settings_fds[SERVICES];
	char why[256]; /* it can not start: what was seen first, or "" */
	ev_timer deadline;
};

/* A login worker: master knows it by its number and its channel. */
struct worker {
	struct list link; /* in generation.workers */
	struct generation *g;
	uint32_t number;
	struct chan *chan;
	struct list grants; /* struct grant_entry, oldest first */
	struct list sessions; /* struct session, offered for it */
};

struct master {
	struct ev_loop *loop;
	const char *conf_path;
	bool conf_optional, foreground, stopping, ready;
	bool reload_early; /* asked for before ready */
	struct listeners listeners;
	struct logs logs;
	struct service_proc logd, spoold;
	char *spool_key; /* what spoold was started with */
	struct list generations; /* the current one is `now` */
	struct generation *now, *next; /* next: a reload under way */
	struct map workers; /* by number */
	uint32_t last_worker;
	uint64_t last_session;
	struct map users; /* user processes by identity, for new sessions */
	struct list user_procs; /* all of them */
	struct map sessions; /* by number */
	struct limit_table limits;
	struct control *control;
	struct reload *reload;
	struct keep keep;
	struct shares shares;
	char ticket_key[TICKET_KEY_BYTES];
	int64_t ticket_key_ms;
	int64_t started_wall_s;
	int exit_status;
	ev_signal on_term, on_int, on_hup;
	ev_timer stop_timer;
	/* Counters for `status`. */
	uint64_t n_sessions_begun, n_handoffs_refused, n_violations, n_crashes;
	/* The one who waits for us to be ready, when in the background. */
	int ready_fd;
	int error_fd; /* for people, until we are ready */
	int log_fd; /* our own end of a log channel */
};

/* ---- main.c ---- */
/* All service processes run for the first time. */
void master_is_ready(struct master *m);
/* Ends with the exit status once everything is down. */
void master_stop(struct master *m, int exit_status);
/* Looks whether a stop under way can go on. */
void master_stop_step(struct master *m);

#endif
