/* SPDX-License-Identifier: ISC */
/*
 * mbox_reading.h - a reading of an mbox file that is under way.
 */
#ifndef STORE_MBOX_READING_H
#define STORE_MBOX_READING_H

#include "store/mbox/mbox_impl.h"

#define MBOX_HEADERS_PIECE 2048
#define MBOX_MESSAGES_PER_LOOK 16 /* at the clock */

/* A message that we know, by its content. */
struct mbox_known {
	uint64_t hash;
	uint32_t uid;
	uint32_t n_met; /* of the first with this hash: so many need no look */
};

/* One that is known, and that was not met. */
struct mbox_gone {
	uint64_t hash, sum;
	uint32_t uid;
	bool is_noted; /* of the first of those that are alike: all are */
};

/* The file when a reading of it was begun. */
struct mbox_begun {
	struct file_stamp stamp;
	int64_t at_us; /* on the wall */
	uint64_t told; /* as told_at_scan */
};

/*
 *	TAIL --it is not there--> WHOLE --> done
 *	FLAGS --rewritten--> WHOLE --> done
 */
struct mbox_reading {
	struct mailbox *m;
	enum mbox_reading_kind { READ_TAIL, READ_WHOLE, READ_FLAGS } kind;
	struct mbox_scan scan;
	bool is_scanning;
	uint64_t size; /* of the file */
	VEC(struct mbox_slot) slots;
	VEC(struct mbox_known) known; /* sorted by hash, then UID */
	struct mbox_slot pseudo;
	bool has_pseudo, has_base, is_first, is_tail, was_known;
	bool order_broken;
	bool is_all; /* keywords may mean something else: no short cuts */
	bool has_kept; /* no base in the file, but we remember it */
	bool has_given; /* a UID that the file does not say */
	uint32_t claimed_next; /* others may have told of those below */
	bool is_blind; /* what the records' messages were is not known */
	uint32_t blind_uid; /* the last that was found so */
	bool is_alone; /* READ_TAIL without the message before it */
	uint32_t n_moved;
	struct mbox_slot last; /* of READ_TAIL: what must be there */
	uint32_t disk_last_uid, uidvalidity;
	uint64_t last_uid_at;
	uint32_t floor; /* no new message is below */
	uint32_t next; /* UID */
	uint32_t prev; /* X-UID of the message before */
	struct buf window; /* of READ_FLAGS: a piece of the file */
	uint64_t window_off;
	size_t at; /* its next slot */
	struct mbox_begun begun;
	bool is_scanned; /* to the end of the file */
	bool is_apart; /* others have been waited for long enough */
	enum mbox_ending { END_IDENTITY, END_AGREE, END_RENUMBERED } ending;
	/* Of END_RENUMBERED: */
	VEC(struct mbox_gone) gone; /* sorted by hash, then sum */
	size_t gone_alike; /* of the hash of the last, from here on */
	size_t known_at, slot_at; /* so many were looked at */
};

/* ---- mbox_slots.c ---------------------------------------------------------- */

/* False: X-IMAPbase is not there any more. */
bool mbox_look_at_base(struct mailbox *m);

/* ---- mbox_flags.c ---------------------------------------------------------- */

/* The numbers of a list of names. */
void mbox_read_keywords(
    const struct mailbox *m, struct str list, struct mbox_flags *out);
/* Gives new names numbers. */
void mbox_learn_keywords(struct mailbox *m, struct str list);
/* The flags of a record are these; false: they were. */
bool mbox_adopt_flags(
    struct mailbox *m, struct msg_rec *r, const struct mbox_flags *f);
/* READ_FLAGS */
enum step mbox_read_some_headers(
    struct mbox_reading *r, int64_t until_ms, struct err *e);

/* ---- mbox_match.c ---------------------------------------------------------- */

/*
 * Before those that are gone are told: which of them are only gone because
 * another process has given their message another UID. Never STEP_FAIL.
 */
enum step mbox_note_renumbered(struct mbox_reading *r, int64_t until_ms);
/* For mbox_match(), before all that is known changes. */
void mbox_remember_known(struct mbox_reading *r);
/* The slot of a record before this reading; NULL: it has none. */
const struct mbox_slot *mbox_known_slot(
    const struct mailbox *m, const struct msg_rec *rec);
struct msg_rec *mbox_match(struct mbox_reading *r, const struct mbox_msg *msg);
/* A UID for a new message that says to have `claimed`. ERR_LIMIT. */
int mbox_give_uid(
    struct mbox_reading *r, uint32_t claimed, uint32_t *out, struct err *e);

/* ---- mbox_agree.c ---------------------------------------------------------- */

/*
 * All was read: new messages of a file without X-IMAPbase get the UIDs that
 * other processes have given them, or such as nobody has told. ERR_LIMIT;
 * ERR_IN_USE, and others that pass: what they have told can not be read now.
 */
int mbox_agree(struct mbox_reading *r, struct err *e);
/* UIDVALIDITY, also before it is taken; 0: there is none yet. */
uint32_t mbox_told_validity(const struct mailbox *m);

/* ---- mbox_take.c ----------------------------------------------------------- */

/* The next message of the file becomes a record, a known one or a new. */
int mbox_take_msg(
    struct mbox_reading *r, const struct mbox_msg *msg, struct err *e);
/* All was read: what has come and gone is told. */
enum step mbox_finish_scan(
    struct mbox_reading *r, int64_t until_ms, struct err *e);
/* It failed: nothing has changed but flags. */
void mbox_forget_reading(struct mbox_reading *r);
void mbox_free_reading(struct mbox *mb);
/* A UIDVALIDITY for a file that has none. */
void mbox_begin_identity(struct mailbox *m);

#endif
