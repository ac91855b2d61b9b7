/* SPDX-License-Identifier: ISC */
/*
 * listen.h - the sockets on which clients arrive: bound here, or handed over by
 * systemd. Master never reads from them; login accepts.
 */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include "settings.h"

struct listener {
	int fd;
	enum service service;
	bool tls, from_systemd;
	char name[64]; /* "imaps" */
	char address[64]; /* "0.0.0.0", "::" */
	uint16_t port;
	bool wanted, fresh; /* marks while the set is being renewed */
};

/* All sockets that are listened on, with what each serves. */
struct listeners {
	VEC(struct listener) v;
};

/*
 * Takes the sockets of systemd (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES with the
 * names imap, imaps, pop3, pop3s) out of the environment. Call once, first.
 */
int listen_from_systemd(struct listeners *l, struct err *e);

/*
 * Makes the set what `s` says: keeps sockets with the same address, binds
 * new ones. Those no longer wanted stay open until listen_drop_old(), so that
 * a failure changes nothing. With sockets from systemd those are the set.
 */
int listen_renew(struct listeners *l, const struct settings *s, struct err *e);
/*
 * Ends a renewal: closes what is no longer wanted (`keep_new`), or, when the new
 * processes did not start, what the renewal has bound.
 */
void listen_settle(struct listeners *l, bool keep_new);
void listen_close_all(struct listeners *l);

#endif
