/* SPDX-License-Identifier: ISC */
/* login.h - one connection, from accept() to its handover. */
#ifndef LOGIN_LOGIN_H
#define LOGIN_LOGIN_H

#include "ipc/chan_login.h"
#include "login/settings.h"

struct tls_server;

/* What a worker has for all its connections. */
struct login {
	const struct login_settings *settings;
	struct tls_server *tls; /* NULL: none */
	int fd_auth, fd_key, fd_master; /* channels */
	int fd_parent; /* pipe: LOGIN_SEES */
	uint64_t conn; /* number of the last connection */
	uint32_t conv; /* number of the last exchange with authd */
};

struct login_from {
	enum login_service service;
	bool tls; /* from the first byte */
	bool proxy; /* a header may come first */
};

/*
 * Serves one client; closes `fd`. False: a channel is broken or out of step,
 * so this worker can not serve another one.
 */
bool login_serve(struct login *l, const struct login_from *from, int fd);

/* Signatures through the channel to keyd: tls_sign_fn with a struct login. */
int login_sign(void *login, unsigned cert, uint16_t scheme, struct str input,
    struct buf *signature, struct err *e);

#endif
