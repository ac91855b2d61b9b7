/* SPDX-License-Identifier: ISC */
/* worker.h - a forked login worker: waits for clients, serves them, exits. */
#ifndef LOGIN_WORKER_H
#define LOGIN_WORKER_H

#include "login/login.h"
#include "login/shed.h"

#define LOGIN_LISTENERS_MAX 64

/* A socket to accept from, and what its clients are told. */
struct login_listening {
	int fd;
	struct login_from from;
};

struct worker_start {
	struct login login;
	const struct login_listening *listeners;
	size_t n_listeners;
	const struct shed *shed; /* NULL: nobody is turned away */
};

/* Runs in the child right after fork(); keeps no descriptor but its own. */
NORETURN void worker_run(const struct worker_start *w);

#endif
