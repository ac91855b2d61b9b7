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
/* From generation.c: the new generation runs, or failed. */
void reload_ended(struct master *m, bool ok, const char *text);

#endif
