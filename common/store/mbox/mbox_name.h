/* SPDX-License-Identifier: ISC */
/* mbox_name.h - where a name lies below the root of mbox files. */
#ifndef STORE_MBOX_NAME_H
#define STORE_MBOX_NAME_H

#include "store/mbox/mbox_impl.h"

/* Mailboxes below the mailbox "a" lie in the folder "a.sbd" beside it. */
#define MBOX_BELOW ".sbd"

/* What a path is. */
enum mbox_kind { MBOX_NOTHING, MBOX_A_FILE, MBOX_A_DIR };

/* What is there; a link and anything else count as nothing. */
enum mbox_kind mbox_kind_of(const struct store *s, const char *path);
/*
 * The path of a mailbox (not INBOX) below the root, and what is there. With
 * `make` folders on the way are made. ERR_NOT_FOUND when one is missing,
 * ERR_BAD_NAME.
 */
int mbox_path_below(const struct store *s, struct str name, bool make,
    char out[PATH_MAX], enum mbox_kind *kind, struct err *e);
/* The folder of a path below the root, made durable. */
int mbox_sync_folder(const struct store *s, const char *path, struct err *e);
/*
 * Removes the rights of a mailbox at `path`, below the root, whose file was
 * removed by hand: they were not given on the one that comes there.
 */
int mbox_drop_rights(const struct store *s, const char *path, struct err *e);
/*
 * The text of "renaming": inode, and paths below the root. False: it is not
 * whole, or none of ours. Any bytes.
 */
bool mbox_rename_parse(
    struct str text, uint64_t *ino, struct str *from, struct str *to);
/* Where Dovecot has its index of a mailbox: "dir/.imap/name". */
bool mbox_imap_of(const char *path, char out[PATH_MAX]);

#endif
