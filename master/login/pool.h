/* SPDX-License-Identifier: ISC */
/* pool.h - the workers of a login parent: how many, which to end. */
#ifndef LOGIN_POOL_H
#define LOGIN_POOL_H

#include "login/worker.h"

struct pool;
struct ev_loop;

struct pool_settings {
	const struct login_settings *settings;
	struct tls_server *tls;
	const struct login_listening *listeners;
	size_t n_listeners;
	/* Asks master for this many more sets of channels; 0: tells the rest. */
	void (*need)(
	    uint32_t wanted, uint32_t spare, uint32_t serving, void *arg);
	/* After pool_stop(): no spare is left that could take a client. */
	void (*on_retired)(void *arg);
	/* After that: the last worker has gone. */
	void (*on_empty)(void *arg);
	void *arg;
};

/* Asks for the first sets; forks nothing before pool_start(). */
struct pool *pool_new(struct ev_loop *loop, const struct pool_settings *s);
void pool_start(struct pool *p);
/* Takes the three descriptors: authd, keyd, master. */
void pool_add_set(struct pool *p, uint32_t number, const int fds[3]);
/* A set that was asked for came to nothing; another one is asked for later. */
void pool_lost_set(struct pool *p, const char *why);
/* The descriptor to keyd of the first set that waits, or -1. */
int pool_key_fd(const struct pool *p);
/* Ends that worker at once. */
void pool_kill(struct pool *p, uint32_t number);
/* Spares end now, the others when they are done; no new ones. */
void pool_stop(struct pool *p);

#endif
