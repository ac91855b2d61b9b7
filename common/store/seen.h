/* SPDX-License-Identifier: ISC */
/*
 * seen.h - a viewer's own \Seen in mailboxes that are not his own: what one
 * reads of public or other users' mail does not become read for the others.
 *
 * In a file of the user's state folder for each mailbox, named by its GUID:
 *
 *	restante-seen 1 UIDVALIDITY\n
 *	1:5,7,9:12\n
 *
 * Not derived from anything, but worth little: what can not be read begins
 * anew. Two processes of one user add to each other's file, not over it.
 */
#ifndef STORE_SEEN_H
#define STORE_SEEN_H

#include "store/mailbox_impl.h"

/* Takes part where the mailbox is of another namespace and has a GUID. */
void seen_open(struct mailbox *m);
/* Writes what has changed; views need not be there any more. */
void seen_close(struct mailbox *m);
/* Looks whether another process has written; views are told. */
void seen_sync(struct mailbox *m);
static inline bool
seen_is_own(const struct mailbox *m)
{
	return m->seen != NULL;
}
/* With seen_is_own(). */
bool seen_has(const struct mailbox *m, uint32_t uid);
/* With seen_is_own(): messages, loaded or not, without \Seen. */
uint32_t seen_count_unseen(const struct mailbox *m);
/* True when it was the other way before. */
bool seen_change(struct mailbox *m, uint32_t uid, bool on);
/* Writes the file, if something has changed. ERR_IN_USE. */
enum step seen_save(struct mailbox *m, struct err *e);
/* The same at once, where nobody can wait; what is not written waits for the
 * next time. */
int seen_save_now(struct mailbox *m, struct err *e);

/* The file's content; for tests and the fuzzer. False: not in this form. */
bool seen_parse(struct str bytes, uint32_t uidvalidity, struct set32 *out);
void seen_write(const struct set32 *uids, uint32_t uidvalidity, struct buf *b);

#endif
