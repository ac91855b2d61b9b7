/* SPDX-License-Identifier: ISC */
/*
 * chan_auth.h - a login worker asks authd who its client is.
 *
 * On the ends: login worker, authd. authd believes nothing the worker says
 * but what the worker alone can know (its own client's bytes); who the worker
 * is comes from the descriptor, which master gave out. The worker learns
 * "yes" or a class of "no", never uid, home or reason.
 *
 * One conversation at a time on a channel. Each AUTH_START is answered by
 * exactly one AUTH_OK or AUTH_FAIL, with any number of AUTH_MORE pairs before:
 *
 *	IDLE --START--> JUDGING --MORE (to login)--> WAITING --MORE--> JUDGING
 *	     <--OK, FAIL--      <------------------- CANCEL (then FAIL)
 *
 * The worker may send AUTH_CANCEL while JUDGING too (its client has gone, and
 * it wants to serve the next one): still exactly one OK or FAIL follows. Before
 * an OK authd has sent the grant to master.
 *
 * authd holds AUTH_FAIL back until the answer may leave: the worker passes it
 * on at once. Time between START or MORE and the answer does not count
 * against the client's login_timeout.
 */
#ifndef IPC_CHAN_AUTH_H
#define IPC_CHAN_AUTH_H

#include "base/bounds.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "ipc/msg.h"

enum chan_auth_type {
	CHAN_AUTH_START = 96, /* login to authd */
	CHAN_AUTH_MORE = 97, /* both ways */
	CHAN_AUTH_CANCEL = 98,
	CHAN_AUTH_OK = 99, /* authd to login */
	CHAN_AUTH_FAIL = 100,
};

#define CHAN_AUTH_MECH_MAX 20
#define CHAN_AUTH_BINDING_MAX 256
#define CHAN_AUTH_FRAME_MAX (SASL_BYTES_MAX + 1024)

/* Values of AUTH_START.service */
enum chan_auth_service {
	CHAN_AUTH_IMAP = 1,
	CHAN_AUTH_POP3 = 2,
};

/* Bits of AUTH_START.flags */
#define CHAN_AUTH_TLS 1u /* the connection is encrypted */
#define CHAN_AUTH_LOCAL 2u /* peer is this host itself, or a secured path */
#define CHAN_AUTH_PREPARE 4u /* name and password are USER's and PASS's */
#define CHAN_AUTH_FLAGS 7u

/* Values of AUTH_FAIL.why: what the client may be told */
enum chan_auth_why {
	CHAN_AUTH_BAD = 1, /* [AUTHENTICATIONFAILED]; -ERR [AUTH] */
	CHAN_AUTH_EXPIRED, /* [EXPIRED]; -ERR [AUTH] */
	CHAN_AUTH_CONTACTADMIN, /* [CONTACTADMIN]; -ERR [AUTH] */
	CHAN_AUTH_NOT_ALLOWED, /* [AUTHORIZATIONFAILED]; -ERR [AUTH] */
	CHAN_AUTH_UNAVAILABLE, /* [UNAVAILABLE]; -ERR [SYS/TEMP] */
	CHAN_AUTH_NEEDS_TLS, /* [PRIVACYREQUIRED]; -ERR [AUTH] */
	CHAN_AUTH_MECHANISM, /* no such mechanism here: NO; -ERR */
	CHAN_AUTH_MALFORMED, /* not what the mechanism allows: BAD; -ERR */
	CHAN_AUTH_CANCELLED, /* after AUTH_CANCEL: BAD; -ERR */
};

/*
 * AUTH_START  login -> authd, no descriptors, when no conversation is open
 *   u32  conv     chosen by login, larger than every one before on this channel
 *   u64  conn     the connection id that HANDOFF will name
 *   u64  cookie   SO_COOKIE of the client's socket; master compares it
 *   u32  service  enum chan_auth_service
 *   u32  flags    CHAN_AUTH_*
 *   str  mech     1..20 bytes, SASL name, any case. The LOGIN command of IMAP
 *                 and USER/PASS of POP3 come as PLAIN with "\0user\0password".
 *   bool has_initial
 *   blob initial  decoded from base64; "=" is an initial response of 0 bytes
 *   blob peer_ip  4 or 16 bytes, 0 where there is none; a mapped IPv4
 *                 address comes as 4
 *   u16  peer_port
 *   blob local_ip as peer_ip
 *   u16  local_port
 *   blob unique   tls-unique, or empty (TLS 1.2 with extended master secret)
 *   blob exporter tls-exporter (RFC 9266), or empty
 */
struct chan_auth_start {
	uint64_t conn, cookie;
	uint32_t conv, flags;
	enum chan_auth_service service;
	bool has_initial;
	uint16_t peer_port, local_port;
	struct str mech, initial;
	struct str peer_ip, local_ip;
	struct str unique, exporter;
};

/*
 * AUTH_MORE  authd -> login: the next challenge; login -> authd: the client's
 * answer to it; no descriptors
 *   u32  conv
 *   blob data    at most SASL_BYTES_MAX, not base64; may be empty
 */
struct chan_auth_more {
	uint32_t conv;
	struct str data;
};

/*
 * AUTH_CANCEL  login -> authd, no descriptors
 *   u32  conv
 */

/*
 * AUTH_OK  authd -> login, no descriptors
 *   u32  conv
 */

/*
 * AUTH_FAIL  authd -> login, no descriptors
 *   u32  conv
 *   u32  why      enum chan_auth_why
 *   u32  held_ms  since the command came; the client waited at our wish
 */
struct chan_auth_fail {
	uint32_t conv, held_ms;
	enum chan_auth_why why;
};

/* One message of any of these types. */
struct chan_auth_msg {
	enum chan_auth_type type;
	union {
		struct chan_auth_start start;
		struct chan_auth_more more;
		struct chan_auth_fail fail;
		uint32_t conv; /* CANCEL, OK */
	};
};

/*
 * Writes one message into the emptied `out`, ready for the channel. It may hold
 * a password: wipe `out` after sending (buf_wipe).
 */
void chan_auth_write(const struct chan_auth_msg *m, struct buf *out);
/*
 * Reads the fields of a message that msg_parse() has opened, all of them; the
 * slices point into it, fields are within the limits above. Whether the type
 * may come from that side now is the caller's business. ERR_VIOLATION.
 */
int chan_auth_parse(
    struct msg_in *in, struct chan_auth_msg *out, struct err *e);

#endif
