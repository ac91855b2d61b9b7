/* SPDX-License-Identifier: ISC */
/*
 * chan_session.h - master and a user's imapd or pop3d.
 *
 * On the ends: master; the user's process, on its descriptor 3. Master is the
 * more trusted one; nothing the process says can touch another user.
 * Who the user is stands in the settings (descriptor 5: user, home,
 * mail_location, index_dir, state_dir, service), fixed for the process's life.
 * The process ends by itself when this channel closes and its last session is
 * over.
 */
#ifndef IPC_CHAN_SESSION_H
#define IPC_CHAN_SESSION_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"
#include "ipc/share_record.h"

/* Types of messages. */
enum {
	SESSION_CONNECTION = 64,
	SESSION_KICK = 65,
	SESSION_STOP = 66,
	SESSION_HAVE = 67,
	SESSION_STATE = 68,
	SESSION_END = 69,
	SESSION_LEAVING = 70,
	SESSION_REFUSE = 71,
	SESSION_SPOOL = 72,
	SESSION_SPOOL_IS = 73,
	SESSION_SHARE = 74,
};

#define SESSION_FRAME_MAX 4096
#define SESSION_TEXT_MAX 1100
#define SESSION_ADDRESS_MAX 64

/*
 * SESSION_CONNECTION  master -> process, 1 or 2 descriptors: the client's
 *                     socket, and the end of a socketpair that holds handoff.h,
 *                     when the worker had anything to leave
 *   u64 session   number of the session, never used twice
 *   str tag       IMAP: tag of the login command, to be answered OK
 *   str user      the name in the grant
 *   str remote_ip, u16 remote_port, str local_ip, u16 local_port
 * Answered by SESSION_HAVE (before the first byte to the client, once the
 * process has the TLS state and will answer) or SESSION_REFUSE.
 */
struct session_connection {
	uint64_t session;
	struct str tag, user, remote_ip, local_ip;
	uint16_t remote_port, local_port;
	bool stateless; /* one descriptor; parsing takes it from the header */
};
void session_connection_write(
    const struct session_connection *m, struct buf *out);
int session_connection_parse(
    struct msg_in *in, struct session_connection *m, struct err *e);

/*
 * With a session and a text:
 * SESSION_KICK    master -> process: end this session; text for the client
 * SESSION_STATE   process -> master: state in words, for `who`
 * SESSION_REFUSE  process -> master: the connection can not be served, not a
 *                 byte went to the client; text for the log
 * With a session alone:
 * SESSION_HAVE    process -> master
 * SESSION_END     process -> master: the session is over
 */
struct session_text {
	uint64_t session;
	struct str text;
};
void session_text_write(
    uint16_t type, const struct session_text *m, struct buf *out);
int session_text_parse(
    struct msg_in *in, struct session_text *m, struct err *e);
void session_number_write(uint16_t type, uint64_t session, struct buf *out);
int session_number_parse(struct msg_in *in, uint64_t *session, struct err *e);

/*
 * SESSION_STOP     master -> process: str why; end all sessions, then exit
 * SESSION_LEAVING  process -> master, no fields: idle long enough, ends as soon as
 *                  master closes the channel; a connection that crossed this
 *                  on its way is served first
 */
void session_stop_write(struct str why, struct buf *out);
int session_stop_parse(struct msg_in *in, struct str *why, struct err *e);
void session_leaving_write(struct buf *out);
int session_leaving_parse(struct msg_in *in, struct err *e);

/*
 * SESSION_SPOOL     process -> master, no fields: asks for a channel to spoold
 * SESSION_SPOOL_IS  master -> process, 1 descriptor: the channel
 *                   (chan_spool.h); or none: there is no spoold now
 */
void session_spool_write(struct buf *out);
void session_spool_is_write(bool there, struct buf *out);
/* Of both. */
int session_spool_parse(struct msg_in *in, struct err *e);

/*
 * SESSION_SHARE  process -> master: a mailbox of its user's is shared with
 *                somebody, or no more; who the owner is master knows
 *   u8 kind, u32 number, bool gives, str location, str folder: share_record.h
 * ERR_VIOLATION also for one that is not sound. `owner` is filled in by the
 * reader before.
 */
void session_share_write(const struct share_record *r, struct buf *out);
int session_share_parse(
    struct msg_in *in, struct share_record *r, struct err *e);

#endif
