/* SPDX-License-Identifier: ISC */
/*
 * notify.h - what a client hears without asking, also between its commands
 * (RFC 5465).
 *
 *	NEVER --NOTIFY SET, NOTIFY NONE--> ON, until the session ends
 *
 * Before the first NOTIFY a session has no struct notify, and nothing of this
 * costs anything. What is told of the selected mailbox comes from its view;
 * of other mailboxes the state that was told last is kept, and compared when
 * tree.h says that there may be another one. So nothing is queued.
 */
#ifndef IMAPD_NOTIFY_H
#define IMAPD_NOTIFY_H

#include "imapd/notify_arg.h"
#include "imapd/session.h"
#include "store/meta.h"

struct notify;

/* Has there been a NOTIFY, also NOTIFY NONE? */
bool notify_is_on(const struct session *s);
/* What is told of the selected mailbox: SYNC_* of sync.h. */
unsigned notify_selected(const struct session *s);
/* Must UID be in each FETCH response about flags? */
bool notify_wants_uid(const struct session *s);

/* ---- for client.c and IDLE ------------------------------------------------- */

/* Is there something to be told now? */
bool notify_is_due(const struct session *s);
/*
 * Tells it; not while a command runs that does not wait. `idle`: also what
 * SELECTED-DELAYED keeps back for a command. STEP_MORE: call again.
 */
enum step notify_step(struct session *s, bool idle);
/* After STEP_MORE: a response is half out, no command may come between. */
bool notify_is_within(const struct session *s);
/* A command has ended, which may have kept something back. */
void notify_command_ended(struct session *s);
void notify_done(struct session *s);

/* ---- for the rest of the session ------------------------------------------- */

/* After session_select() has set the view, and before it is closed. */
void notify_opened(struct session *s);
void notify_leaves(struct session *s);
/* sync.c has told EXISTS. */
void notify_told_new(struct session *s);
/*
 * The client's own doing, which it need not be told: messages that it has put
 * into a mailbox (`uids` empty: not known); names that are known to be so now.
 */
void notify_own_messages(
    struct session *s, struct str name, const struct set32 *uids);
void notify_own_create(struct session *s, struct str name);
void notify_own_delete(struct session *s, struct str name);
void notify_own_rename(struct session *s, struct str from, struct str to);
void notify_own_subscribe(struct session *s, struct str name, bool on);
/*
 * Entries of a mailbox's annotations, or with name "" of the server's, were
 * changed by session `by`: tells the others of this process that wish for
 * MailboxMetadataChange and ServerMetadataChange (RFC 5465 sections 5.6, 5.7).
 */
void notify_metadata(
    struct session *by, struct str name, const struct meta_entry *entries);

/* ---- for cmd_notify.c ------------------------------------------------------ */

/* Empty; its arena is there for the arguments. */
struct notify *notify_wish_new(struct session *s);
void notify_wish_free(struct notify **n);
struct notify_arg *notify_arg_of(struct notify *n, struct arena **arena);
/*
 * Finds the mailboxes that are meant and their states, which are told with
 * STATUS. ERR_LIMIT: they are too many.
 */
enum step notify_prepare(struct notify *n, struct cmd *c, struct err *e);
/* Takes the place of what there was. */
void notify_begin(struct notify **n);

#endif
