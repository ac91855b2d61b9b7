/* SPDX-License-Identifier: ISC */
/* user_dir.h - the index and state directories that each user owns. */
#ifndef OS_USER_DIR_H
#define OS_USER_DIR_H

#include <sys/types.h>

#include "base/err.h"

/*
 * Makes `root`/`user` for the user, mode 0700, if it is not there; `root` and what
 * is above it too (mode 0755), but only as far as one missing level.
 * The path is put into `out`. Fails when it belongs to somebody else.
 * `change_owner`: false in unprivileged mode.
 */
int user_dir_make(const char *root, const char *user, bool change_owner,
    uid_t sysuid, gid_t sysgid, char *out, size_t out_size, struct err *e);

#endif
