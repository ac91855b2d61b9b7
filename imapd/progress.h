/* SPDX-License-Identifier: ISC */
/* progress.h - "* OK [INPROGRESS ...]" in commands that take long (RFC 9585). */
#ifndef IMAPD_PROGRESS_H
#define IMAPD_PROGRESS_H

#include "imapd/command.h"

/* The command begins, at a time of clock_mono_ms(). */
void progress_begin(struct cmd *c, int64_t now_ms);
/*
 * By handlers that are about to return STEP_MORE, and nowhere in the middle of a
 * response: so many of `total` messages are done.
 */
void progress_set(struct cmd *c, uint64_t done, uint64_t total);
/*
 * The command goes on later, for a reason that is not the client's: tells how far
 * it is, if it is time to, and if the command may be interrupted (CMD_PROGRESS).
 */
void progress_tell(struct cmd *c, int64_t now_ms);

#endif
