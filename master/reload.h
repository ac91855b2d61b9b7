/* SPDX-License-Identifier: ISC */
/*
 * reload.h - a new configuration for new processes, while the old ones finish.
 * Also when certificate files change, and each day for a new ticket key.
 */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include "master.h"

/* Starts watching the certificate files. */
void reload_init(struct master *m);
void reload_done(struct master *m);
/*
 * Reads the configuration and starts a new generation. On any error the old one
 * stays and the log says why. When one is under way, another follows it.
 */
void reload_begin(struct master *m, const char *why);
/* One that was asked for now would only follow the one under way. */
bool reload_is_under_way(const struct master *m);
/*
 * From generation.c: a new generation serves, `old` is retiring. The reload
 * ends when no worker of `old` can take a client any more.
 */
void reload_switched(struct master *m, struct generation *old);
/* Its login parent says so, or is gone. */
void reload_spares_gone(struct generation *g);
/* The reload is over: the new configuration is in force, or it failed. */
void reload_ended(struct master *m, bool ok, const char *text);

#endif
