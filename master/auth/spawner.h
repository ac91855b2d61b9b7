/* SPDX-License-Identifier: ISC */
/* spawner.h - authd as root: forks a child per attempt, and knows nothing. */
#ifndef AUTH_SPAWNER_H
#define AUTH_SPAWNER_H

#include "auth/settings.h"

/* Serves until master closes its channel; returns the exit status. */
int spawner_run(const struct auth_settings *s);

#endif
