/* SPDX-License-Identifier: ISC */
/*
 * maildrop.h - a user's INBOX as one POP3 session sees it: numbered, with exact
 * sizes, locked against other POP3 sessions, changed by QUIT alone.
 */
#ifndef POP3D_MAILDROP_H
#define POP3D_MAILDROP_H

#include "base/arena.h"
#include "base/err.h"
#include "store/msg.h"

struct maildrop_msg {
	uint32_t uid;
	uint32_t order; /* Dovecot's O field, or 0 */
	uint64_t size; /* octets with CRLF */
	struct str uidl;
	bool deleted, retrieved, seen;
};

/* What is wanted of it; borrowed until maildrop_close(). */
struct maildrop_way {
	const char *folder; /* UTF-8; INBOX or another mailbox */
	/* A folder whose lock stands for it; and, where it is another mailbox,
	 * one for a file that is that lock, or NULL. */
	const char *place, *state_dir;
	const char *uidl_format;
	const char *deleted_flag; /* "": messages are removed */
	int32_t expire_days; /* -1: never */
	bool mark_seen;
};

struct maildrop {
	struct store *store;
	const struct maildrop_way *way;
	bool is_locked;
	struct view *view; /* from the first maildrop_load() on */
	struct maildrop_msg *v; /* number i is v[i - 1] */
	uint32_t n, n_deleted;
	uint64_t size, deleted_size; /* sums */
	struct arena arena;
	int lock_fd;
	uint32_t at; /* while loading: sequence number done last */
	struct msg *loading; /* the one behind it, when it takes long */
	uint32_t last_before, last; /* LAST at the beginning, and now */
	/* while updating */
	struct set32 set;
	uint32_t at_uid, expire_at;
	unsigned phase;
};

/*
 * Locks. ERR_IN_USE at once when another session has it, of this
 * process or another one.
 */
int maildrop_open(struct maildrop *d, struct store *s,
    const struct maildrop_way *way, struct err *e);
/*
 * Opens, then numbers and measures messages until `deadline_ms`; STEP_MORE: call
 * again (see store_must_wait()).
 */
enum step maildrop_load(struct maildrop *d, int64_t deadline_ms, struct err *e);
/* Message `number`, NULL when there is none or it is marked as deleted. */
struct maildrop_msg *maildrop_get(struct maildrop *d, uint32_t number);
void maildrop_delete(struct maildrop *d, struct maildrop_msg *m);
/* It was sent, or the top of it. */
void maildrop_note_access(struct maildrop *d, uint32_t number);
/* Takes all marks back. */
void maildrop_reset(struct maildrop *d);
/*
 * Removes what is marked as deleted or has been there for too long (d->n_deleted
 * then counts that too), marks what was retrieved as seen; STEP_MORE: call again
 * (see store_must_wait()).
 */
enum step maildrop_update(
    struct maildrop *d, int64_t deadline_ms, struct err *e);
/* Unlocks; may be called at any time after maildrop_open, and twice. */
void maildrop_close(struct maildrop *d);

#endif
