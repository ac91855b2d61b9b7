/* SPDX-License-Identifier: ISC */
/*
 * session.h - from a worker's HANDOFF to a session of the user's process.
 *
 * OFFERED --SESSION_HAVE-----------------> TAKEN --SESSION_END, exit--> gone
 * OFFERED --refused, process gone--------> gone (worker: REFUSED)
 * OFFERED --no word in time--------------> GIVEN_UP (worker: REFUSED; the client's
 *                                          socket is shut down, so that
 *                                          nobody writes twice) --> gone
 */
#ifndef MASTER_SESSION_H
#define MASTER_SESSION_H

#include "ipc/chan_login.h"
#include "limit.h"
#include "master.h"
#include "users.h"

struct grant;

#define SESSION_ADDRESS_TEXT 46

/* Between the handoff and the word of the user's process. */
enum session_state {
	SESSION_IS_OFFERED,
	SESSION_IS_TAKEN,
	SESSION_IS_GIVEN_UP,
};

struct session {
	struct list link; /* in user_proc.sessions */
	struct list worker_link; /* in worker.sessions, or in itself */
	struct master *m;
	struct user_proc *proc;
	struct worker *worker; /* who waits for our word; NULL: nobody */
	uint64_t number, conn;
	enum session_state state;
	enum service service;
	int client_fd; /* a copy until it is taken */
	ev_timer timer;
	int64_t begun_wall_s;
	uint16_t remote_port, local_port;
	char remote_ip[SESSION_ADDRESS_TEXT], local_ip[SESSION_ADDRESS_TEXT];
	struct limit_block block;
	char *text; /* state in words, may be NULL */
};

/* authd has said who a connection is. Takes `hold_fd` (-1: none). */
void session_grant(
    struct generation *g, const struct grant *grant, int hold_fd);
/* A worker hands a client over. Takes the descriptors. */
void session_handoff(struct worker *w, const struct handoff_offer *offer,
    int client_fd, int second_fd);
/* Its descriptors have not come: the worker keeps the client. */
void session_refuse_handoff(
    struct worker *w, const struct handoff_offer *offer);
/* The worker has gone; the offer goes on without it. */
void session_worker_gone(struct session *s);

/* ---- what the user's process says ---- */
struct session *session_find(struct master *m, uint64_t number);
void session_taken(struct session *s);
void session_refused(struct session *s, const char *why);
void session_ended(struct session *s);
/* The process died or its channel broke. */
void session_process_gone(struct session *s);

#endif
