/* SPDX-License-Identifier: ISC */
/* meta_impl.h - what meta.c and meta_use.c share. */
#ifndef STORE_META_IMPL_H
#define STORE_META_IMPL_H

#include <limits.h>

#include "store/mailbox_impl.h"
#include "store/meta.h"

/* Where one file of annotations is. */
struct meta_place {
	char dir[PATH_MAX];
	char file[80];
	char path[PATH_MAX]; /* of the mbox file; or "" */
	bool is_state; /* the folder is made when it is needed */
	bool is_private; /* mode 0600 in a folder that others may read */
};

/* `name` is the store's; scope 1 is /private. As meta_load() fails. */
int meta_place_of(struct store *s, struct str name, int scope,
    struct meta_place *out, struct err *e);
/* All entries, also those which are ours. */
int meta_place_read(const struct store *s, const struct meta_place *p,
    struct arena *a, struct meta_entry **first, struct err *e);
/* Durable. Without an entry of a client's the file goes. */
int meta_place_write(
    const struct meta_place *p, const struct meta_entry *first, struct err *e);

/*
 * Keeps other processes from changing that file; ERR_IN_USE. One that is not
 * held may be unlocked.
 */
int meta_place_lock(
    const struct meta_place *p, struct dotlock *lock, struct err *e);
void meta_place_unlock(struct dotlock *lock);

/* ---- meta_use.c ---- */
/* Locks the list, if special uses are among these changes. ERR_IN_USE. */
int meta_uses_lock(struct store *s, struct dotlock *lock, struct str mailbox,
    const struct meta_entry *changes, struct err *e);
/*
 * May these be set? The hint is written. ERR_UNSUPPORTED: such a special use can
 * not be had.
 */
int meta_uses_check(struct store *s, const struct meta_job *job,
    struct str mailbox, struct meta_entry *changes, struct err *e);
/* They are: other mailboxes give up what this one has now (RFC 6154 section
 * 5.4), as soon as they are not locked. */
enum step meta_uses_changed(struct store *s, struct meta_job *job,
    struct str mailbox, const struct meta_entry *changes, struct err *e);

#endif
