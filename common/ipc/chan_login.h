/* SPDX-License-Identifier: ISC */
/*
 * chan_login.h - the login parent and its workers with master.
 *
 * Two kinds of channel:
 *   login parent (its descriptor 3) and master: LOGIN_LISTENER, LOGIN_CERT,
 *   LOGIN_TICKETS, LOGIN_NEED, LOGIN_WORKER, LOGIN_KILL, LOGIN_RETIRED, and
 *   chan_child.h;
 *   login worker and master, one channel for each worker: HANDOFF, TAKEN,
 *   REFUSED.
 * And a socket from each worker to its parent: LOGIN_SEES.
 * Master trusts neither parent nor worker: a worker's word is worth nothing
 * without the grant that authd sent for the same worker and connection.
 */
#ifndef IPC_CHAN_LOGIN_H
#define IPC_CHAN_LOGIN_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"

/* Types of messages. */
enum {
	LOGIN_LISTENER = 48,
	LOGIN_CERT = 49,
	LOGIN_TICKETS = 50,
	LOGIN_NEED = 51,
	LOGIN_WORKER = 52,
	LOGIN_KILL = 53,
	LOGIN_SEES = 54,
	LOGIN_RETIRED = 55,
	HANDOFF = 56,
	HANDOFF_TAKEN = 57,
	HANDOFF_REFUSED = 58,
};

#define LOGIN_FRAME_MAX 2048
#define LOGIN_PATH_MAX 1000
#define LOGIN_TAG_MAX 1024
#define LOGIN_REMOTE_MAX 64
#define LOGIN_TICKET_KEY_MAX 256
#define LOGIN_NEED_MAX 1024

/* As it goes over the channel. */
enum login_service {
	LOGIN_IMAP = 1,
	LOGIN_POP3 = 2,
};

/*
 * LOGIN_LISTENER  master -> parent, before CHILD_GO, 1 descriptor: the socket
 *   u8   service   enum login_service
 *   bool tls       TLS from the first byte (993, 995)
 *   bool proxy     connections begin with a PROXY header
 *   str  name      "imaps", or what the configuration or systemd calls it
 */
struct login_listener {
	enum login_service service;
	bool tls, proxy;
	struct str name;
};
void login_listener_write(const struct login_listener *m, struct buf *out);
int login_listener_parse(
    struct msg_in *in, struct login_listener *m, struct err *e);

/*
 * LOGIN_CERT  master -> parent, before CHILD_GO, 1 or 2 descriptors: the file
 *             with the certificate chain (PEM), then the OCSP response if any
 *   u32  number   of the key, the same as in keyd's CHILD_FILE "key"
 *   bool ocsp     a second descriptor is there
 *   str  path     for messages
 * The certificate with number 0 is the default one. No certificate at all:
 * no TLS is offered.
 */
struct login_cert {
	uint32_t number;
	bool ocsp;
	struct str path;
};
void login_cert_write(const struct login_cert *m, struct buf *out);
int login_cert_parse(struct msg_in *in, struct login_cert *m, struct err *e);

/*
 * LOGIN_TICKETS  master -> parent, before CHILD_GO: blob key, from which
 * GnuTLS derives its rotating ticket keys. Wipe the frame after use.
 */
void login_tickets_write(struct str key, struct buf *out);
int login_tickets_parse(struct msg_in *in, struct str *key, struct err *e);

/*
 * LOGIN_NEED  parent -> master: this many more sets of channels; comes before
 *             CHILD_READY too: through the first set the parent has keyd sign
 *   u32 wanted   0..LOGIN_NEED_MAX; 0: only the rest is told
 *   u32 spare, u32 serving   the pool as it is, for `status`
 */
struct login_need {
	uint32_t wanted, spare, serving;
};
void login_need_write(const struct login_need *m, struct buf *out);
int login_need_parse(struct msg_in *in, struct login_need *m, struct err *e);

/*
 * LOGIN_RETIRED  parent -> master, after CHILD_STOP, no fields: none of its
 *                workers will take another client; some may still have one
 */
void login_retired_write(struct buf *out);
int login_retired_parse(struct msg_in *in, struct err *e);

/*
 * LOGIN_WORKER  master -> parent, 3 descriptors: the worker's ends of its
 *               channels to authd, to keyd and to master, in this order
 *   u32 number  of the worker, never used twice
 * LOGIN_KILL    master -> parent: u32 number; end that worker at once
 */
void login_worker_write(uint32_t number, struct buf *out);
void login_kill_write(uint32_t number, struct buf *out);
/* Of both. */
int login_number_parse(struct msg_in *in, uint32_t *number, struct err *e);

/*
 * LOGIN_SEES  worker -> parent, over a pipe of their own, so that the parent
 *             can choose whom to drop when the pool is full
 *   u8   state   enum login_sees
 *   u8   family  4, 6, 0: local
 *   blob address 4, 16 or 0 bytes
 * The frame has always LOGIN_SEES_BYTES bytes (address padded with zeros to
 * 16), because a pipe keeps no borders.
 */
enum login_sees {
	LOGIN_SEES_CLIENT = 1, /* has accepted this peer */
	LOGIN_SEES_DONE = 2, /* past login: not to be dropped any more */
	LOGIN_SEES_IDLE = 3, /* waits for the next connection (login_reuse) */
};
struct login_seen {
	enum login_sees state;
	uint8_t family;
	uint8_t address[16];
};
#define LOGIN_SEES_BYTES (4 + 2 + 2 + 5 + 16)
void login_seen_write(const struct login_seen *m, struct buf *out);
int login_seen_parse(struct msg_in *in, struct login_seen *m, struct err *e);

/*
 * HANDOFF  worker -> master, 1 or 2 descriptors: the client's socket, and the
 *          end of a socketpair into which the worker has written handoff.h,
 *          when there is anything to say in it
 *   u64 conn   as in the AUTH that authd granted
 *   str tag    IMAP: tag of the command that the session answers; POP3: empty
 *   str remote of a PROXY header: "address port" of the client, else empty
 * Answered by HANDOFF_TAKEN or HANDOFF_REFUSED. When the channel is closed, or
 * no answer comes, the session may have the client: the worker says nothing.
 */
struct handoff_offer {
	uint64_t conn;
	struct str tag, remote;
	bool stateless; /* one descriptor; parsing takes it from the header */
};
void handoff_offer_write(const struct handoff_offer *m, struct buf *out);
int handoff_offer_parse(
    struct msg_in *in, struct handoff_offer *m, struct err *e);

/*
 * HANDOFF_TAKEN    master -> worker: u64 conn; wipe and go without a byte
 * HANDOFF_REFUSED  master -> worker: u64 conn, u8 reason; answer the client
 */
enum handoff_reason {
	HANDOFF_FAILED = 1, /* UNAVAILABLE, SYS/TEMP */
	HANDOFF_LIMIT_USER = 2, /* this user has too many connections: LIMIT */
	HANDOFF_LIMIT_ALL = 3, /* the server has: UNAVAILABLE */
};
void handoff_taken_write(uint64_t conn, struct buf *out);
int handoff_taken_parse(struct msg_in *in, uint64_t *conn, struct err *e);
struct handoff_refused {
	uint64_t conn;
	enum handoff_reason reason;
};
void handoff_refused_write(const struct handoff_refused *m, struct buf *out);
int handoff_refused_parse(
    struct msg_in *in, struct handoff_refused *m, struct err *e);

#endif
