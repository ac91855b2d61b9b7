/* SPDX-License-Identifier: ISC */
/*
 * grants.h - what authd has said about the connections of a login worker, until
 * the worker hands them over. Each is good once, for GRANT_LIFE_MS, for one
 * (worker, conn), and for the one socket with its cookie and peer.
 */
#ifndef MASTER_GRANTS_H
#define MASTER_GRANTS_H

#include "base/list.h"
#include "ipc/chan_grant.h"
#include "settings.h"

struct grant_entry {
	struct list link;
	uint64_t conn, cookie;
	int64_t expires_ms;
	uint8_t peer_ip[16], peer_ip_n;
	uint16_t peer_port;
	enum service service;
	uint32_t sysuid, sysgid;
	char *user, *home, *mail_location, *extra;
	int hold_fd; /* channel to the waiting auth child, or -1 */
};

/* Why a handoff does not get what it names. */
enum grant_check {
	GRANT_OK,
	GRANT_WRONG_COOKIE,
	GRANT_WRONG_PEER,
};

/*
 * Is this something that may be believed: a known service, a usable name, ids
 * that may log in (unless unprivileged), paths without control characters?
 * ERR_VIOLATION says what is wrong.
 */
int grants_judge(
    const struct grant *g, const struct settings *s, struct err *e);

/* Keeps a copy in a worker's list; takes `hold_fd`. Too many: the oldest goes. */
void grants_add(
    struct list *grants, const struct grant *g, int hold_fd, int64_t now_ms);
/*
 * Takes the one for this connection out of the list: it can not be used again.
 * NULL when there is none, or it is too late. Drops those that are too old.
 */
struct grant_entry *grants_take(
    struct list *grants, uint64_t conn, int64_t now_ms);
/*
 * Is `fd` the very socket that authd's client was on? `proxied`: the address in
 * the grant is that of a PROXY header, so only the cookie counts.
 */
enum grant_check grants_compare(
    const struct grant_entry *g, int fd, bool proxied);
void grant_entry_free(struct grant_entry **g);
void grants_drop_old(struct list *grants, int64_t now_ms);
void grants_drop_all(struct list *grants);

#endif
