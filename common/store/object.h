/* SPDX-License-Identifier: ISC */
/*
 * object.h - identifiers of mailboxes, messages and threads (RFC 8474), and
 * when a message came into its mailbox (RFC 8514).
 *
 * None of them is drawn: they follow from what every host and every program
 * sees on disk, so they are the same after the index was lost.
 *
 *	MAILBOXID  the mailbox's GUID (dovecot-uidlist), which goes along with
 *	           RENAME; where the format has none a sum of place and
 *	           UIDVALIDITY, which does not
 *	EMAILID    M and a sum of the message's GUID (its file's name, or what
 *	           Dovecot and we write down for copies of it), so copies and
 *	           moved messages have the same; where there is none a sum of
 *	           all its bytes
 *	THREADID   T and a sum of the first of its References, else of what it
 *	           replies to, else of its own Message-ID; without any, of its
 *	           EMAILID
 */
#ifndef STORE_OBJECT_H
#define STORE_OBJECT_H

#include "store/msg.h"

#define OBJECT_ID_MAX 48 /* with the NUL; A-Z a-z 0-9 _ - */

/* Never empty. */
void mailbox_object_id(const struct mailbox *m, char out[OBJECT_ID_MAX]);
/*
 * STEP_MORE: some megabytes were read, call again with the same message. What
 * had to be read is kept as a fact.
 */
enum step msg_email_id(struct msg *m, char out[OBJECT_ID_MAX], struct err *e);
enum step msg_thread_id(struct msg *m, char out[OBJECT_ID_MAX], struct err *e);
/*
 * Seconds since 1970; stays the same for ever. False: not known (NIL): it came
 * before this index was made.
 */
bool view_save_date(struct view *v, uint32_t uid, int64_t *out);

/* For STATUS, without the mailbox; `guid` may be "". */
void object_mailbox_id(const char *guid, uint32_t uidvalidity, struct str place,
    char out[OBJECT_ID_MAX]);

#endif
