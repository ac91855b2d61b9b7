/* SPDX-License-Identifier: ISC */
/* notify.h - tells systemd how we are (sd_notify(3): one datagram). */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

#include "base/base.h"

/* Takes NOTIFY_SOCKET out of the environment. Call once. */
void notify_init(void);
/* Lines of NAME=value; nothing happens when nobody wants to know. */
void notify_send(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
