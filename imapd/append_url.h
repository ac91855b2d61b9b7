/* SPDX-License-Identifier: ISC */
/*
 * append_url.h - the bytes that an URL of CATENATE stands for: a message of the
 * user, or a part of one, as FETCH BODY.PEEK[...] would send it.
 */
#ifndef IMAPD_APPEND_URL_H
#define IMAPD_APPEND_URL_H

#include "base/buf.h"
#include "base/err.h"
#include "imapd/command.h"

struct append_url;

/*
 * ERR_SYNTAX: no URL of a message; ERR_PERM: of another server or user. The
 * rest is in the command's arena and must be given to append_url_close().
 */
int append_url_open(
    struct cmd *c, struct str text, struct append_url **out, struct err *e);
/*
 * Appends the next bytes to `out`, which has room for APPEND_URL_ROOM. STEP_DONE:
 * that was all. ERR_NOT_FOUND, ERR_GONE: there is no such mailbox, message or
 * part.
 */
#define APPEND_URL_ROOM (256 * 1024)
enum step append_url_next(struct append_url *u, struct buf *out, struct err *e);
void append_url_close(struct append_url **u);

#endif
