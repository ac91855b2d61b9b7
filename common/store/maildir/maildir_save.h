/* SPDX-License-Identifier: ISC */
/*
 * maildir_save.h - messages on their way into a Maildir mailbox, for
 * maildir_save.c, which stages them, and maildir_commit.c, which makes them
 * seen.
 */
#ifndef STORE_MAILDIR_SAVE_H
#define STORE_MAILDIR_SAVE_H

#include "store/maildir/maildir_impl.h"

struct staged {
	struct str tmp; /* name in tmp/; p NULL: linked when it is placed */
	uint32_t from_uid; /* then: of save->from */
	struct str base; /* final */
	struct str fields; /* of the UID record */
	struct str guid; /* of the source, when it is not its base */
	struct str name; /* final, with info; NULL: not placed yet */
	bool in_new, is_recent, is_dropped, is_moved;
	uint8_t system;
	struct str *names; /* of keywords; numbers only when it is placed */
	size_t n_names;
	uint32_t keywords;
	const uint16_t *more;
	size_t n_more;
	uint32_t uid;
	struct append *of; /* that of a group it came with; NULL: the leader */
};

/* The commit's steps in their order; maildir_commit.c tells which are left
 * out. */
enum commit_phase {
	FINISH,
	GATHER,
	SYNC_FILES,
	LOCK,
	LIST,
	NAMES,
	JOURNAL,
	PLACE,
	DIRS,
	CLOSE_JOURNAL,
	UIDS,
	REPLACE_OLD,
	RECORDS,
	COUNT,
	TAKE_BACK,
	FAILED,
};

struct save {
	struct arena arena;
	VEC(struct staged) all;
	bool is_synced;
	struct mailbox *from; /* of messages that are linked or moved */
	struct sync_mark sync;
	/* The commit. */
	enum commit_phase phase;
	struct lock_wait wait;
	bool is_locked;
	bool has_journal; /* ours is on disk */
	size_t at; /* message of the present phase */
	/* Of TAKE_BACK: what was seen there, or has gone from its mailbox. */
	bool was_in_new, was_in_cur, was_moved;
	struct dir_touch t_new, t_cur;
	/* Another one may have brought it to its end: maildir_group.c */
	enum { COMMIT_OPEN, COMMIT_DONE, COMMIT_FAILED } result;
	struct err why; /* it failed */
	struct append *append; /* its own */
	struct append *leader; /* who commits it, or NULL */
	struct list ready; /* in md->ready, or in the leader's `taken` */
	struct list taken; /* by this one */
	bool has_gathered;
	/* The message that is being written. */
	int fd;
	int64_t date_s;
	char *out;
	size_t n_out;
	bool has_cr; /* a CR waits for what follows */
	char last; /* byte written last */
	uint64_t size, wire_size;
};

static inline struct save *
save_of(const struct append *a)
{
	return a->impl;
}

/* Ends the message that is being written: all of it, sizes in its name. */
int maildir_save_write(struct append *a, struct err *e);
/* Makes it durable. */
int maildir_save_sync(struct append *a, struct err *e);

/* ---- maildir_group.c ----------------------------------------------------- */

/* True: others may come to the same point, let them have their turn. */
bool maildir_group_gather(struct append *a);
/* Takes along those who wait; their messages stand behind its own. */
void maildir_group_take(struct append *a);
/* Makes the files of all durable. */
int maildir_group_sync(struct append *a, struct err *e);
/* It has come to its end, `why` with STEP_FAIL: so have the others. */
void maildir_group_end(struct append *a, enum step step, const struct err *why);
/*
 * This one is given up. False: it is too late for that, who leads it must come
 * to his end first.
 */
bool maildir_group_leave(struct append *a);

/*
 * Links message `uid` of `from` to `name` in `dirfd`, or, with `moves` and where
 * it can be done, renames it to there: then it stands in `moved` of its mailbox,
 * where its record stays until it is expunged. ERR_GONE; ERR_UNSUPPORTED: its
 * bytes must be copied; ERR_EXISTS.
 */
enum step maildir_save_bring(struct mailbox *from, uint32_t uid, int dirfd,
    const char *name, bool moves, struct err *e);
/* As struct append_ops says. */
enum step maildir_commit(struct append *a, struct err *e);

/* ---- maildir_journal.c --------------------------------------------------- */

/* Are several to come together? (Or one for another.) */
bool maildir_journal_is_wanted(const struct append *a);
/* Of messages that have their final names; those from tmp/: durable. */
int maildir_journal_write(struct append *a, struct err *e);
int maildir_journal_remove(struct append *a, struct err *e);

/* Given up in the middle: back, or, when UIDs are given, to the end. */
void maildir_commit_end(struct append *a);

#endif
