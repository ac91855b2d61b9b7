/* SPDX-License-Identifier: ISC */
/*
 * maildir_quiet.h - mailboxes that nobody has open and in which nothing has
 * happened: for clients that ask for STATUS or LIST of all of them again and
 * again. The second time a folder is asked about it gets watches, and what was
 * found then holds until the kernel tells of something there; so a third answer
 * needs no look at the disk.
 */
#ifndef STORE_MAILDIR_QUIET_H
#define STORE_MAILDIR_QUIET_H

#include "store/maildir/maildir_impl.h"

struct quiet;
struct quiet_folder;

/*
 * The folder of this path below the root. NULL: it is not watched (yet, or it
 * can not be), the caller looks for himself. Else all events that have happened
 * before the present input came are in what quiet_holds() says. Valid until the
 * next call.
 */
struct quiet_folder *quiet_of(struct store *s, const char *path);
/* Was this found true of the folder, and has nothing happened in it since? */
bool quiet_holds(const struct quiet_folder *f, struct str circumstances);
/* It was found true just now, by a look that began after quiet_of(). */
void quiet_found(struct quiet_folder *f, struct str circumstances);
/* The same of what lies in new/, MBOX_MARKED or MBOX_UNMARKED; 0: not known. */
unsigned quiet_mark(const struct quiet_folder *f);
void quiet_found_mark(struct quiet_folder *f, unsigned mark);
void quiet_free(struct store *s);

#endif
