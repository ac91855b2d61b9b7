/* SPDX-License-Identifier: ISC */
/*
 * uidvalidity.h - numbers for new mailboxes, never the same twice, counted in
 * "dovecot-uidvalidity" of the root folder (formats.md 2.8).
 */
#ifndef STORE_UIDVALIDITY_H
#define STORE_UIDVALIDITY_H

#include "os/file.h"

/* Takes the next number. */
int uidvalidity_next(
    int rootfd, const struct file_perm *perm, uint32_t *out, struct err *e);

#endif
