/* SPDX-License-Identifier: ISC */
/*
 * worker.h - login workers as master sees them: a number and a channel. Their
 * parent forks them; master makes their channels to authd, keyd and itself.
 */
#ifndef MASTER_WORKER_H
#define MASTER_WORKER_H

#include "ipc/chan_login.h"
#include "master.h"

/* The login parent asks for more. */
void worker_needed(struct generation *g, const struct login_need *need);
/* Makes those asked for, as soon as authd and keyd run. */
void worker_serve_needs(struct generation *g);
struct worker *worker_find(struct master *m, uint32_t number);
/* Forgets it: grants die, offered sessions go on without it. */
void worker_free(struct worker **w);
/* It lied: its parent kills it, then worker_free. */
void worker_kill(struct worker **w, const char *why);

#endif
