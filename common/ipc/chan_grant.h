/* SPDX-License-Identifier: ISC */
/*
 * chan_grant.h - who an authenticated connection belongs to.
 *
 * On the ends: authd, on its descriptor 3; master. Master believes authd who
 * the user is, within the limits that it checks itself (never uid 0, the uid
 * range, names without control characters). authd sends GRANT before it
 * tells the login worker OK.
 */
#ifndef IPC_CHAN_GRANT_H
#define IPC_CHAN_GRANT_H

#include "base/bounds.h"
#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"

/* Types of messages. */
enum {
	GRANT = 40,
	GRANT_HELD = 41,
};

#define GRANT_PATH_MAX 4000
#define GRANT_SERVICE_MAX 16
#define GRANT_EXTRA_MAX 4000
#define GRANT_FRAME_MAX 16384

/*
 * GRANT       authd -> master, no descriptors
 * GRANT_HELD  the same with 1 descriptor: a channel to the auth child that
 *             authenticated and waits to become the holder of the PAM session
 *             (chan_try.h); master closes it when a process already runs
 *   u32 worker    the number master gave the login worker (CHILD_PEER)
 *   u64 conn      the connection's number within that worker
 *   u64 cookie    SO_COOKIE of the client's socket as the worker said
 *   blob peer_ip  4 or 16 bytes as in AUTH_START, 0 where there is none
 *   u16 peer_port
 *   str service   "imap" or "pop3"
 *   str user      canonical name
 *   u32 sysuid, u32 sysgid
 *   str home, str mail_location   either may be empty
 *   str extra     lines "name=value\n" of the passwd-file's extra field that
 *                 mean a setting for this user; or empty
 * Master compares cookie and peer with the socket that the worker hands over.
 * A grant lives GRANT_LIFE_MS, is used once, and ends with its worker.
 */
struct grant {
	uint32_t worker;
	uint64_t conn, cookie;
	struct str peer_ip;
	uint16_t peer_port;
	struct str service, user;
	uint32_t sysuid, sysgid;
	struct str home, mail_location, extra;
};
void grant_write(const struct grant *m, bool held, struct buf *out);
int grant_parse(struct msg_in *in, struct grant *m, struct err *e);

#endif
