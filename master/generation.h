/* SPDX-License-Identifier: ISC */
/*
 * generation.h - one set of service processes made from one configuration.
 *
 *	         spawner, authd, keyd run      login runs
 * STARTING ---------------------------> ... ----------> READY (the current one)
 *    | one of them ends                                   | a newer one is READY
 *    v                                                    v
 * failed: start-up ends, a reload is given up         RETIRING: login starts no
 *                                                     workers; when the last has
 *                                                     gone, all stop --> freed
 * A service of a READY generation that ends is started again, with back-off.
 */
#ifndef MASTER_GENERATION_H
#define MASTER_GENERATION_H

#include "master.h"

/* Takes `s`. */
struct generation *generation_new(struct master *m, struct settings *s);
/* Starts its first processes; the rest follows from the loop. */
int generation_start(struct generation *g, struct err *e);
/* Lets it finish what it does; `patience_s` for its workers. */
void generation_retire(
    struct generation *g, const char *why, unsigned patience_s);
void generation_kill(struct generation *g);
/* For the one who asked for it: why it could not start. The first one counts. */
void generation_blame(struct generation *g, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
/* Looks whether a retiring one has nothing left to do. */
void generation_check_retired(struct generation *g);
/* How many of its processes are there. */
unsigned generation_running(const struct generation *g);
/* Calls `fn` for each service process. */
void generation_each(struct generation *g,
    void (*fn)(struct service_proc *p, void *arg), void *arg);

#endif
