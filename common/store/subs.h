/* SPDX-License-Identifier: ISC */
/*
 * subs.h - the subscriptions file, version 2 or without a version
 * (formats.md 2.10). Names here are as stored, levels apart by `delimiter`.
 */
#ifndef STORE_SUBS_H
#define STORE_SUBS_H

#include "base/buf.h"
#include "os/lock.h"

#define SUBS_HEADER "V\t2\n\n"

/* Told of each name, which is borrowed for the call. */
typedef void subs_fn(void *arg, struct str storage_name);

/* Pure: each name of a file in either version; *version 2, or 1. */
void subs_parse(struct str bytes, char delimiter, subs_fn *fn, void *arg,
    unsigned *version);
/* No file: no names. */
int subs_load(int dirfd, const char *file, char delimiter, subs_fn *fn,
    void *arg, struct err *e);
/*
 * Adds or removes a name, under the lock, durably. ERR_IN_USE: somebody has the
 * lock; `lock` (zeroed at first) keeps what was seen of it until the next try.
 */
int subs_change(int dirfd, const char *file, const struct file_perm *perm,
    char delimiter, struct str storage_name, bool on, struct dotlock *lock,
    struct err *e);

/* Appends the line of a name, with its LF, as version 2 has it. */
void subs_put_line(struct buf *out, struct str storage_name, char delimiter);
/* Puts a whole file in the place of what is there, under the lock. ERR_IN_USE. */
int subs_replace(int dirfd, const char *file, const struct file_perm *perm,
    struct str bytes, struct err *e);

#endif
