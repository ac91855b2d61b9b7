/* SPDX-License-Identifier: ISC */
/*
 * service.h - one service process: start it with what it needs, hear that it
 * is ready, see it end.
 */
#ifndef MASTER_SERVICE_H
#define MASTER_SERVICE_H

#include "master.h"

/* DOWN; `index` tells several of one program apart. */
void service_init(struct service_proc *p, struct master *m,
    struct generation *g, enum program program, uint32_t index);
/* "authd", "keyd 1": for logs. */
const char *service_title(const struct service_proc *p);
/* Spawns it and sends all it needs; service_changed() follows from the loop. */
int service_start(struct service_proc *p, struct err *e);
/* Starts it after `delay_ms`; a failure counts as a crash. */
void service_start_later(struct service_proc *p, int64_t delay_ms);
/* Asks it to finish; kills it when it has not after `patience_s`. */
void service_stop(struct service_proc *p, const char *why, unsigned patience_s);
/* SIGKILL; it is DOWN when its exit has been seen. */
void service_kill(struct service_proc *p);
/* Stops watchers and forgets it; the process must be down. */
void service_done(struct service_proc *p);
/* Sends a frame; a service that does not read is killed. */
void service_send(
    struct service_proc *p, const struct buf *b, const int *fds, size_t n_fds);

/*
 * In generation.c: the process became RUNNING, or DOWN (`text` says how it
 * ended).
 */
void generation_service_changed(struct service_proc *p, const char *text);

/* Common to all processes that master starts: environment of a child. */
const char *const *service_environment(enum program program);

#endif
