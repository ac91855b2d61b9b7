/* SPDX-License-Identifier: ISC */
/*
 * host.h - what imapd and pop3d share as processes: take connections from
 * master (or standard input, from a shell), enter the sandbox, open the store,
 * run the loop, give each session with work its few milliseconds in turn,
 * linger, tell master.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "base/arena.h"
#include "net/conn.h"
#include "store/store.h"

struct host;

/* A connection whose user has been authenticated. */
struct host_peer {
	uint64_t session_id;
	struct str tag; /* IMAP: of the login command; empty: PREAUTH */
	struct str user;
	struct str remote_ip, local_ip;
	uint16_t remote_port, local_port;
	struct str tls; /* "TLS1.3 AES-256-GCM" or empty */
	struct str
	    client_id; /* IMAP ID as the client sent it before login, or empty */
	bool from_shell; /* standard input and output */
};

struct host_ops {
	const char *service; /* "imap", "pop3" */
	/* A new session; takes `conn`, sets its handlers with conn_set_handlers.
	 * `peer` is borrowed for the call. NULL: refused; what it has written to
	 * the connection says why, and the host sends that and closes. */
	void *(*session_new)(
	    struct host *h, struct conn *conn, const struct host_peer *peer);
	/* One slice of work, a few milliseconds. True: has more to do now. */
	bool (*session_turn)(void *session);
	/* Server shuts down, kick: say goodbye, then host_session_ended(). */
	void (*session_end)(void *session, const char *why);
	/* For `who`: mailbox or state in words; "" when none. */
	const char *(*session_state)(void *session);
	/* Nothing has happened for a while: memory that is of no use now can go.
	 * NULL: there is none. */
	void (*session_rest)(void *session);
};

/* The main function of imapd and pop3d; returns the exit status. */
int host_main(int argc, char **argv, const struct host_ops *ops);
/* The session has work: session_turn will be called from the loop. */
void host_wake(struct host *h, void *session);
/*
 * For the log line at the session's end: why it ended and figures of the
 * service, "logged out retr=2/4711". A later call replaces an earlier one.
 */
void host_session_note(struct host *h, void *session, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The session is gone (the owner has freed it, or does so next). */
void host_session_ended(struct host *h, void *session);
struct ev_loop *host_loop(struct host *h);
struct store *host_store(struct host *h);
/* Plain settings of the service by name ("pop3_uidl"), NULL when unknown. */
const char *host_setting(struct host *h, const char *name);
/*
 * The same for numbers, times ("30m" is 1800; at most a month), sizes ("64M") and
 * yes/no; `otherwise` when absent or, with a warning in the log, no such value.
 */
uint32_t host_setting_number(
    struct host *h, const char *name, uint32_t otherwise);
uint32_t host_setting_seconds(
    struct host *h, const char *name, uint32_t otherwise);
uint64_t host_setting_bytes(
    struct host *h, const char *name, uint64_t otherwise);
bool host_setting_bool(struct host *h, const char *name, bool otherwise);
/* Has any session work to do now? */
bool host_is_busy(const struct host *h);
/* For how long has none of them had any? */
int64_t host_idle_ms(const struct host *h);
/* The name of the user whose process this is. */
const char *host_user(struct host *h);
/* The folder (or file) at the root of the user's mail. */
const char *host_mail_place(struct host *h);

#endif
