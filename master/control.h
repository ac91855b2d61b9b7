/* SPDX-License-Identifier: ISC */
/*
 * control.h - answers the control tool on a local socket. Root and the uid that
 * we run as may ask everything; others only what concerns themselves.
 */
#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include "master.h"

/* Makes the socket in the run directory. ERR_IN_USE: another restanted runs. */
int control_open(struct master *m, struct err *e);
void control_close(struct master *m);
/* Those who asked for a reload hear how it went. */
void control_reload_ended(struct master *m, bool ok, const char *text);

#endif
