/* SPDX-License-Identifier: ISC */
/* change_impl.h - what STORE, EXPUNGE, APPEND and COPY share. */
#ifndef STORE_CHANGE_IMPL_H
#define STORE_CHANGE_IMPL_H

#include "store/mailbox_impl.h"

/* ---- change.c ---- */

/*
 * The next UID of `uids` that the view has, from *at on (0: from the first);
 * false at the end.
 */
bool change_next(
    struct view *v, const struct set32 *uids, uint32_t *at, uint32_t *uid);

/* So many messages are about to be removed: the backend may prepare for that. */
void change_expect(struct mailbox *m, uint32_t n);

/* Fails with ERR_READ_ONLY. */
int change_may_write(struct view *v, struct err *e);

/* The flags that the viewer may set or clear in a mailbox. */
struct allowed {
	bool is_all, keywords;
	uint8_t system;
};

/* What the rights that a viewer has on this mailbox allow. */
struct allowed change_allowed(const struct mailbox *m);

/* Clears in a wish what may not be set there; nothing says so (RFC 4314 section
 * 4). */
void change_limit(const struct allowed *a, struct flag_wish *w);

/*
 * Removes messages for EXPUNGE (with \Deleted alone) or, whatever their flags,
 * for MOVE; from *at on, which it moves. STEP_MORE: call it again. Fails with
 * ERR_IN_USE when another process has given one of them another UID.
 */
enum step change_remove(struct view *v, const struct set32 *uids,
    bool only_deleted, uint32_t *at, struct err *e);

/* ---- append.c ---- */

/*
 * As append_begin(), within a step that has begun. *out must be NULL the first
 * time; after STEP_MORE it is to be given again, after STEP_FAIL it is NULL.
 */
enum step append_open(
    struct store *s, struct str mailbox, struct append **out, struct err *e);

/*
 * Takes \Seen out of the wish for the message `nth` (from 1 on) where it is the
 * viewer's own: it is noted with the commit, and in no file.
 */
void append_take_seen(struct append *a, uint32_t nth, struct flag_wish *w);

/* As append_commit(), without asking whether the last message is whole. */
enum step append_commit_some(
    struct append *a, uint32_t *uidvalidity, struct set32 *uids, struct err *e);

/* Bytes of a message for the quota: what the name says, or the file system; 0:
 * unknown, or not counted. */
uint64_t append_size_of(struct mailbox *m, uint32_t uid);

/*
 * Who is over quota must be able to tidy up: what moves within a quota uses no
 * more of it (RFC 9208 section 4.3.1 is about what does). Trash is not counted,
 * so what comes back from there does.
 */
bool append_is_counted_with(
    const struct mailbox *from, const struct mailbox *to);

#endif
