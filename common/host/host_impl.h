/* SPDX-License-Identifier: ISC */
/* host_impl.h - the inside of the host, for the files of this folder. */
#ifndef HOST_HOST_IMPL_H
#define HOST_HOST_IMPL_H

#include <ev.h>

#include "base/list.h"
#include "base/map.h"
#include "host/host.h"
#include "host/settings.h"

/* One session of the service, from session_new to host_session_ended. */
struct host_session {
	struct list link; /* in host.ready, or in itself */
	struct list all; /* in host.sessions or host.ended */
	void *session; /* the service's; the key in host.by_session */
	uint64_t session_id;
	char *remote_ip;
	int64_t begun_ms;
	struct conn_stats stats;
	bool told_to_end;
	char *state; /* as master knows it; NULL: nothing told yet */
	char note[160];
};

struct host {
	const struct host_ops *ops;
	struct ev_loop *loop;
	struct store *store;
	struct settings settings;
	char *user, *home;
	char *mail_place; /* the first of store_places */
	char *filter; /* compiled by master, until it is in force */
	bool from_shell;
	int shell_in, shell_out; /* the connection of a shell */
	int spool_fd; /* a shell's channel to spoold, until it is used; or -1 */
	bool ending; /* no new sessions, leave when the last has gone */
	int exit_status;

	struct chan *master; /* NULL: a shell's, or master has gone */
	struct host_spool *spool; /* NULL: there is no spoold for us */
	char *broken; /* why no connection can be served; or NULL */
	ev_timer linger;

	struct list sessions, ready, ended;
	int64_t turns_ms; /* when any of them had a turn last */
	struct map by_session;
	size_t n_sessions;
	struct host_session *running; /* whose turn it is */
	bool woken_early; /* host_wake inside session_new */

	ev_check check;
	ev_idle idle;
	ev_timer trim;
	unsigned trim_armed_at; /* ev_iteration */
	unsigned trimmed_at; /* the iteration that has done it last */
	ev_signal on_term, on_int, on_hup;
	ev_timer leave;
};

/* ---- turns.c ---- */
void turns_init(struct host *h);
void turns_done(struct host *h);
/* Of a connection until turns_add() gives it to the service. */
extern const struct conn_handlers turns_no_handlers;
/* Makes a session of a connection; false when the service refused it. */
bool turns_add(struct host *h, struct conn **conn, const struct host_peer *p);
/* Asks all sessions (`session_id` 0) or one to say goodbye. */
void turns_end(struct host *h, uint64_t session_id, const char *why);

/* ---- host.c ---- */
/* After a session's end, or (NULL) that of a refused connection. */
void host_session_count_changed(struct host *h, struct host_session *hs);
/* Gives memory back to the kernel. */
void host_trim(struct host *h);
/* No new sessions; those that are say goodbye; then the loop ends. */
void host_leave(struct host *h, const char *why);

/* Sends changed states to master and into the process title. */
void host_tell_states(struct host *h);

/* ---- intake.c ---- */
/* Settings and log from master; false: this process is not master's. */
bool intake_start(struct host *h);
struct child_settings;
/* Copies all of them over what h->settings has; the last of a name counts. */
void intake_put_settings(struct host *h, const struct child_settings *cs);
/* From now on connections come. */
void intake_open(struct host *h);
void intake_close(struct host *h);
/* Nothing to do any more: after a while master is asked to let us go. */
void intake_idle(struct host *h);
void intake_tell_end(struct host *h, const struct host_session *hs);
void intake_tell_state(struct host *h, const struct host_session *hs);

/* For store_on_share(): tells master. */
void intake_tell_share(void *host, const struct store_shared *sh);
/* Asks master for a channel to spoold. False: there is no master. */
bool intake_ask_spool(struct host *h);

/* ---- spool.c ---- */
/* With the settings, before the store is opened: locks in the spool are asked
 * of spoold from now on. */
void spool_init(struct host *h);
void spool_done(struct host *h);
/* A channel from master; -1: there is none now. */
void spool_channel(struct host *h, int fd);
/* The mail place `path` may need it: the channel is asked for early, */
bool spool_will_need(struct host *h, const char *path);
/* as soon as there is one to master. */
void spool_open(struct host *h);

/* ---- confine.c ---- */
/* Enters the sandbox; the store is open already. */
int confine_enter(
    struct host *h, const struct store_settings *set, struct err *e);

/* ---- shell.c ---- */
/* The settings of the running server, or what the configuration (a file, NULL:
 * the usual one) sets, as the control tool tells; ends the process when that is
 * broken. */
void shell_settings(struct host *h, const char *conf_file);
/* Where the index of a session by hand lies: with what programs may lose. */
void shell_index_dir(struct host *h);
/* Before the sandbox: the descriptors of the connection. */
int shell_prepare(struct host *h, struct err *e);
/* Serves one session on standard input and output. */
void shell_start(struct host *h);

#endif
