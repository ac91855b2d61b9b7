/* SPDX-License-Identifier: ISC */
/* name.h - mailbox names between the wire and the store. */
#ifndef IMAPD_NAME_H
#define IMAPD_NAME_H

#include "base/arena.h"
#include "base/err.h"
#include "imapd/command.h"
#include "store/store.h"

/*
 * A name as the client wrote it to UTF-8 in the arena; INBOX is spelt so then,
 * also as the first level. ERR_BAD_NAME: not modified UTF-7, or empty;
 * ERR_LIMIT: too long.
 */
int name_decode(const struct store *s, struct arena *a, struct str wire,
    struct str *name, struct err *e);
/*
 * The same for a command's argument. False: it is not an astring, or the name
 * can not be used; the command has been answered.
 */
bool name_arg(struct cmd *c, const struct imap_arg **a, struct str *name);

#endif
