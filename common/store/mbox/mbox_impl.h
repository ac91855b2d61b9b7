/* SPDX-License-Identifier: ISC */
/*
 * mbox_impl.h - the inside of an open mbox mailbox.
 *
 * The file is the truth. In memory there is one slot per message, in the order
 * of the file; a LIVE record's `info` is the index of its slot. What the file
 * does not say yet (UIDs, flags, \Recent taken) waits in slots that are dirty
 * until mbox_write() finds it worth while, at the latest when the last writer
 * closes the mailbox.
 */
#ifndef STORE_MBOX_IMPL_H
#define STORE_MBOX_IMPL_H

#include <limits.h>

#include "os/file.h"
#include "os/spool_lock.h"
#include "os/watch.h"
#include "store/mailbox_impl.h"
#include "store/mbox/mbox_scan.h"
#include "store/mbox/mbox_shift.h"

enum {
	SLOT_NO_UID = 1 << 0, /* the file does not have its UID */
	SLOT_DIRTY = 1 << 1, /* its flags in the file are not the record's */
	SLOT_OLD = 1 << 2, /* the file says that it is not \Recent */
	SLOT_EXPUNGE = 1 << 3, /* goes with the next flush */
	SLOT_CRLF = 1 << 4,
	SLOT_IF_DELETED = 1 << 5, /* ... if it is \Deleted then */
	SLOT_GOING = 1 << 6, /* is being removed */
	SLOT_NOTED = 1 << 7, /* DIRTY, and in the list of what is pending */
};

struct mbox_slot {
	uint64_t off; /* of the From_ line */
	uint64_t hash;
	uint64_t size; /* as clients see it, line ends as stored */
	uint64_t sum; /* of these bytes: mbox_sum.h */
	uint64_t raw; /* of the header as it lies there; 0: not known */
	uint32_t bare; /* line ends that gain a CR; UINT32_MAX: more */
	uint32_t date_s;
	uint32_t head_len;
	uint32_t uid;
	uint16_t from_len;
	uint16_t flags;
	uint32_t spare; /* a slot goes into the index as it is: no hole in it */
};

/* In msg_rec.own. */
enum {
	OWN_SEEN = 1 << 0, /* met by this scan */
	OWN_GIVEN = 1 << 1, /* its UID is of this scan, not of the file */
};

/* Ways to lock a file, as mbox_read_locks and mbox_write_locks name them. */
enum mbox_lock_way {
	MBOX_NO_LOCK,
	MBOX_FCNTL,
	MBOX_FLOCK,
	MBOX_DOTLOCK,
	MBOX_DOTLOCK_TRY, /* goes on when it can not be made */
};

/* Ways that one setting may name. */
enum { MBOX_LOCKS_MAX = 4 };

struct mbox_locks {
	enum mbox_lock_way ways[MBOX_LOCKS_MAX]; /* in this order */
	size_t n;
};

struct mbox_place {
	struct mbox_locks read_locks, write_locks;
	int rootfd; /* -1: there is no folder for mailboxes */
	struct file_perm perm;
	bool is_uw; /* the root is the home folder */
	bool warned_locks;
	struct lock_wait rename_wait; /* for another mailbox's rename */
};

/* Tests make it all smaller. */
struct mbox_tuning {
	uint64_t whole_bytes; /* up to this size a file is read whole */
	int64_t freshen_ms; /* put off for so long: mbox_freshen() */
	uint64_t eager_bytes; /* so many may move for what is to be said */
	uint64_t
	    told_spare; /* entries of KEY.told of messages that have gone */
};
extern struct mbox_tuning mbox_tuning;

#define MBOX_NO_STAMP 1 /* as an inode: to be read again */
#define MBOX_RACY_US 20000

#define MBOX_MORE_MAX 512

/* Flags as the file says them. */
struct mbox_flags {
	uint8_t system;
	uint32_t keywords; /* numbers below 26 */
	uint16_t more[MBOX_MORE_MAX]; /* the others, ascending */
	size_t n_more;
};

/* The flags that a message had in the file before they were changed here. */
struct mbox_was {
	uint32_t uid;
	uint32_t keywords;
	uint8_t system;
	uint16_t *more;
	size_t n_more;
};

#define MBOX_KEY_BYTES 33 /* of a path, with its NUL */

/* mbox_keep.c */
struct mbox_kept {
	uint32_t uidvalidity; /* 0: nothing is kept */
	uint32_t uidnext;
	char guid[33];
	uint64_t ino; /* of the file; 0: there was none */
};

struct mbox {
	char path[PATH_MAX];
	char *name; /* last component, in path */
	int dirfd;
	bool is_inbox;
	int fd; /* -1: there is no file */
	bool can_write;
	struct file_stamp stamp; /* of what the slots describe */
	int64_t scanned_us; /* when, on the wall */
	uint64_t end; /* of the last message */
	VEC(struct mbox_slot) slots;
	uint32_t n_dirty; /* slots with NO_UID or DIRTY */
	VEC(struct mbox_was) was; /* by UID: of slots that are DIRTY */
	bool has_base; /* the file has X-IMAPbase or X-IMAP */
	bool has_pseudo; /* ... in a hidden message before all others */
	bool base_is_dirty; /* it lacks a keyword or the last UID */
	struct mbox_slot pseudo;
	size_t n_words; /* keywords that were known when all was read */
	uint32_t disk_last_uid;
	uint64_t last_uid_at; /* its ten digits in the file; 0: not so */
	uint32_t n_expunge; /* slots that are to go */
	struct set32 renumbered; /* gone, but for another UID */
	bool is_dirty; /* inotify has told something */
	bool is_taken; /* it was opened from the index */
	bool is_own_tail; /* what is new at the end is ours */
	bool is_tail_alone; /* ... and all before is what we know */
	int64_t freshen_at_ms; /* sessions hear of other flags then */
	int64_t freshen_began_ms;
	int64_t freshen_missed_ms; /* somebody had the lock; or 0 */

	/* While m->lazy_top is not 0: of slots that are in the index alone. */
	uint32_t lazy_dirty, lazy_recent; /* when it was taken */
	bool lazy_unsaid;
	struct mbox_slot first, last; /* of them */
	uint32_t before_last; /* UID of the message before it, or 0 */
	VEC(struct mbox_slot) loading;

	/* Locks. */
	const void *owner; /* whose locks they are; NULL: free */
	bool is_exclusive;
	bool is_mending; /* a change that was broken off is being finished */
	bool has_dotlock;
	unsigned ways_held; /* bits: enum mbox_lock_way, of the kernel's */
	int64_t helper_ms; /* spoold's word is awaited */
	struct spool_lock dot;
	struct timespec mtime_before, atime_before; /* when locked */
	bool is_true; /* locked for writing, and the slots are what is there */
	bool is_moving; /* bytes move: no slot says where they are */
	uint32_t gen; /* counts changes of slots and headers */

	/* What is under way; each may take many steps. */
	struct mbox_reading *reading;
	enum mbox_sync_phase {
		MBOX_SYNC_NONE,
		MBOX_SYNC_LOCK,
		MBOX_SYNC_LOOK, /* for what has come and gone */
		MBOX_SYNC_SAY, /* UIDs that were given are written */
		MBOX_SYNC_FLAGS_LOCK,
		MBOX_SYNC_FLAGS, /* of messages that were there before */
	} sync;
	bool is_sync_forced; /* one of those who drive it wants it read */
	uint32_t sync_gen; /* `gen` when it was begun */
	struct lock_wait sync_wait, ready_wait;
	int64_t locked_out_ms; /* when a sync could not have the lock */
	struct mbox_job *job;
	bool is_ready_sync; /* begun by mbox_ready() */
	const struct mbox_job *said; /* the one that MBOX_SYNC_SAY waits for */
	uint32_t n_failed; /* expunges, so far */
	int64_t dirty_ms, touched_ms; /* since when, and the last time; or 0 */
	bool wants_all; /* the last writer has left */
	bool had_writer;
	bool wants_retry; /* somebody had the lock */
	struct mbox_kept kept;
	bool is_agreed; /* with others: mbox_agree.c */
	struct lock_wait agree_wait; /* for their lock */
	int64_t writer_ns; /* how far who has the file locked was */
	bool has_pending; /* flags are noted in a file of ours */
	bool gave_up; /* what waits could not be written */
	struct err why; /* the last removal failed */

	struct mbox_shift shift; /* of the file that is open */
	char journals[PATH_MAX];

	struct watch *watch, *watch_dir;
	int64_t watched_us; /* since when, on the wall */
	/* Writes that inotify has told of, and watches made: since ever, and
	 * when what we know was read; 0: nobody watched then. */
	uint64_t n_told, told_at_scan;
	bool watch_failed;
};

static inline struct mbox *
mbox_of(const struct mailbox *m)
{
	return m->impl;
}

/*
 * Is the file what it was? Not the time alone that programs set: mutt changes
 * a file and puts the old one back.
 */
static inline bool
mbox_stamp_eq(const struct file_stamp *a, const struct file_stamp *b)
{
	return file_stamp_eq(a, b) && file_time_cmp(&a->ctime, &b->ctime) == 0;
}

/* ---- mbox_list.c: names ---------------------------------------------------- */

/* store_ops: the root and the spool; the folder is made if it is missing. */
int mbox_place_open(struct store *s, struct err *e);
void mbox_place_close(struct store *s);
/* The file of a mailbox. ERR_NOT_FOUND, ERR_BAD_NAME. */
int mbox_path(
    struct store *s, struct str name, char out[PATH_MAX], struct err *e);
enum step mbox_list(struct store *s, struct arena *a, void **at,
    struct mbox_entry **first, struct err *e);
void mbox_list_end(void **at);
int mbox_rights_place(
    struct store *s, struct str name, struct rights_place *out, struct err *e);
int mbox_subs_dir(struct store *s, const char **file);
/* For tree.h. */
unsigned mbox_spots(struct store *s, struct str name, struct tree_spot *out);
bool mbox_names_spot(struct store *s, struct str name, struct tree_spot *out);
bool mbox_is_name(struct store *s, uint32_t mask, struct str entry);
bool mbox_storage_name(struct store *s, struct str name, struct buf *out);
bool mbox_name_of_storage(struct store *s, struct str storage, struct buf *out);

/* ---- mbox_folder.c --------------------------------------------------------- */

/* store_ops. */
int mbox_create(struct store *s, struct str name, struct err *e);
int mbox_remove(struct store *s, struct str name, struct err *e);

/* ---- mbox_rename.c --------------------------------------------------------- */

/* store_ops. */
enum step mbox_rename(struct store *s, struct str from, struct str to,
    struct rename_run *run, struct err *e);
void mbox_rename_end(struct rename_run *run);
/*
 * Completes a rename whose process was killed; waits for one that is under way:
 * what is kept of a mailbox may not be where it belongs yet. ERR_IN_USE.
 */
enum step mbox_rename_mend(struct store *s, struct err *e);
/* The same without waiting; false: one is under way. */
bool mbox_rename_try_mend(struct store *s, struct err *e);
/* Is there something that could not be completed yet? */
bool mbox_rename_is_left(const struct store *s);

/* ---- mbox.c ---------------------------------------------------------------- */

/* A mailbox that is not read, to be locked; until mbox_forget(). */
int mbox_only(
    struct store *s, struct str name, struct mailbox **out, struct err *e);
void mbox_forget(struct mailbox **mp);

/* ---- mbox_lock.c ----------------------------------------------------------- */

#define MBOX_READ_LOCKS "fcntl"
#define MBOX_WRITE_LOCKS "fcntl dotlock" /* as Debian's policy has it */
#define MBOX_WAIT_READ_MS 10000
#define MBOX_WAIT_BUSY_MS 250 /* in one step */
#define MBOX_WAIT_NEWS_MS 2000 /* what we know will do meanwhile */

enum mbox_lock_kind {
	MBOX_READ,
	MBOX_WRITE,
	MBOX_MAKE, /* ... and the file is made when there is none */
};

/* "fcntl dotlock"; NULL: `preset`. Words that mean nothing are left out. */
void mbox_locks_parse(
    const char *words, const char *preset, struct mbox_locks *out);
/*
 * Locks the file, opening it if need be (mb->fd is -1 afterwards when there is
 * none; then nothing is locked, but it counts), and finishes what somebody has
 * begun there. STEP_MORE as in store.h; ERR_IN_USE after `wait_ms`, with the
 * holder; ERR_READ_ONLY. `owner` is who unlocks; a lock that he has will do.
 */
enum step mbox_lock(struct mailbox *m, const void *owner,
    enum mbox_lock_kind kind, struct lock_wait *w, int64_t wait_ms,
    struct err *e);
/* The same, sleeping: for who has no steps. */
int mbox_lock_now(struct mailbox *m, const void *owner,
    enum mbox_lock_kind kind, int64_t wait_ms, struct err *e);
bool mbox_is_locked_by(const struct mailbox *m, const void *owner);
/* Long work calls this now and then. */
void mbox_lock_keep(struct mailbox *m);
void mbox_unlock(struct mailbox *m);
/* Who waited for a lock gives up. */
void mbox_lock_abandon(struct mailbox *m);
/* How long to wait, as the settings say. */
int64_t mbox_lock_ms(const struct mailbox *m, enum mbox_lock_kind kind);
/*
 * Where only the helper may lock: calls it, so that it is there when a write
 * comes.
 */
void mbox_lock_prepare(struct mailbox *m);
/*
 * Opens the file as it is now, without a lock; mb->fd stays -1 when there is
 * none.
 */
int mbox_peek(struct mailbox *m, struct err *e);

/* ---- mbox_index.c: see store_ops -------------------------------------------- */

/* For store_ops, whose comments say what each of them does. */
bool mbox_index_place(struct store *s, struct str name, struct buf *out);
bool mbox_index_is_settled(struct mailbox *m);
bool mbox_index_save(struct mailbox *m, struct buf *out, bool *again);
bool mbox_index_take(struct mailbox *m, struct str saved);
bool mbox_index_is_true(
    struct store *s, struct str name, struct str place, struct str saved);
uint64_t mbox_index_side(
    struct mailbox *m, const struct msg_rec *r, struct buf *out);
void mbox_index_facts(
    struct mailbox *m, const struct msg_rec *r, struct index_rec *out);
bool mbox_index_load(struct mailbox *m, struct msg_rec *r, struct str side);
void mbox_index_loaded(struct mailbox *m, bool is_ours);
bool mbox_index_is_recent(struct mailbox *m, const struct msg_rec *r);
int mbox_reload(struct mailbox *m, struct err *e);
/*
 * The slot of a LIVE message, by a look into the index when it is not loaded.
 * The stamp is to be looked at afterwards: it may be MBOX_NO_STAMP then.
 */
bool mbox_find_slot(struct mailbox *m, uint32_t uid, struct mbox_slot *out);
/* The last message, *before the UID of the one before it, or 0. */
bool mbox_last_slot(struct mailbox *m, struct mbox_slot *out, uint32_t *before);
/* Slots from `first` on have other places. */
void mbox_note_moved(struct mailbox *m, size_t first);
/* All slots are here. */
void mbox_forget_lazy(struct mbox *mb);

/* ---- mbox_slots.c ---------------------------------------------------------- */

/* The file is to be read whole by the next look. */
void mbox_no_stamp(struct mailbox *m);
int64_t mbox_changed_us(const struct file_stamp *stamp);
/* Changed so shortly before it was read that more may have come unseen. */
bool mbox_is_racy(const struct file_stamp *stamp, int64_t scanned_us);
void mbox_count_dirty(struct mbox *mb);
/* The slots are what the file is now. */
void mbox_take_stamp(struct mailbox *m);
/* Records that nobody shows any more go. */
void mbox_purge(struct mailbox *m);
/* The slot of a LIVE record. */
struct mbox_slot *mbox_slot_of(
    const struct mailbox *m, const struct msg_rec *r);
/* Slots have moved: records point to them again. */
void mbox_link_slots(struct mailbox *m);
/* For a new mailbox: the time, and never one twice. */
uint32_t mbox_new_uidvalidity(void);
/* The message that has X-IMAPbase, or would; NULL: there is none. */
const struct mbox_slot *mbox_base_slot(const struct mailbox *m);
/* Reads X-IMAPbase again, where it is. */
int mbox_reload_base(struct mailbox *m, struct err *e);

/* ---- mbox_flags.c ---------------------------------------------------------- */

/* The flags of a header that has been read, under changes of our own. */
void mbox_take_flags(
    struct mailbox *m, const struct mbox_slot *s, const struct mbox_state *st);

/* ---- mbox_read.c ----------------------------------------------------------- */

/*
 * Brings the slots and records up to date with the file, which is locked.
 * mbox_look_end() to give up.
 */
enum step mbox_look(struct mailbox *m, enum sync_how how, struct err *e);
/* Only if the file is not what the slots say; locked for writing. */
enum step mbox_look_again(struct mailbox *m, struct err *e);
/* Looks at the flags in all headers. */
enum step mbox_look_at_flags(struct mailbox *m, struct err *e);
void mbox_look_end(struct mailbox *m);
/*
 * All slots are here, and true of the file, which is locked for writing and was
 * looked at: those that the index had otherwise are looked at again.
 */
enum step mbox_load(struct mailbox *m, struct err *e);

/* ---- mbox_sync.c ----------------------------------------------------------- */

/* store_ops: brings the records up to date with the file. */
enum step mbox_sync(struct mailbox *m, enum sync_how how, struct err *e);
bool mbox_is_syncing(const struct mailbox *m);
void mbox_sync_abandon(struct mailbox *m);
bool mbox_may_have_news(struct mailbox *m);
/* Flags of messages that were not looked at when others came. */
int mbox_freshen(struct mailbox *m, struct err *e);
enum step mbox_freshen_some(struct mailbox *m);
bool mbox_watch(struct mailbox *m, bool on);
/*
 * Nobody has written since what we know was read: inotify would have told. To
 * be asked when the times do not say it.
 */
bool mbox_is_quiet(struct mailbox *m);
/* What told_at_scan is for what is read from now on. */
uint64_t mbox_told(struct mailbox *m);
/*
 * Until messages can be read where the slots say: what is under way is waited
 * for, and a file that was changed is looked at.
 */
enum step mbox_ready(struct mailbox *m, struct err *e);
/* Is the file what the slots say? */
bool mbox_is_there(const struct mailbox *m);

/* ---- mbox_header.c --------------------------------------------------------- */

/* A message whose header is among the edits. */
struct mbox_planned {
	uint32_t uid;
	uint16_t flags; /* of its slot before */
};

/* What is needed to write headers; one or all of a file. */
struct mbox_writing {
	struct mailbox *m;
	struct arena arena;
	struct buf header;
	bool with_uids; /* the base is there, or comes now */
	struct str base_keywords;
	VEC(struct mbox_edit) edits; /* those that make bytes move */
	/* Of mbox_write_step(). */
	enum mbox_write_phase {
		MBOX_WRITE_PLAN,
		MBOX_WRITE_MOVE,
	} phase;
	bool all; /* or only what costs little */
	bool only_plan; /* what moves is moved by who removes messages */
	size_t base_at; /* the slot that has the base, or will have it */
	bool is_begun, base, base_is_late;
	uint64_t eager; /* behind it little moves */
	size_t at; /* next slot */
	VEC(struct mbox_planned) planned;
};

/* A pass over all slots; `all`: also what moves the rest of the file. */
void mbox_writing_init(struct mbox_writing *w, struct mailbox *m, bool all);
void mbox_writing_done(struct mbox_writing *w);
/*
 * Writes one message's block of hidden fields now, or adds an edit. `padding`
 * is for one that does not fit. ERR_GONE: it is not there.
 */
int mbox_write_header(struct mbox_writing *w, struct mbox_slot *s, bool is_base,
    bool is_pseudo, size_t padding, struct err *e);
/* Names of the flags of `r`, and of all keywords there are, in `a`. */
struct str mbox_keywords_of(
    const struct mailbox *m, const struct msg_rec *r, struct arena *a);
struct str mbox_base_keywords(const struct mailbox *m, struct arena *a);
uint32_t mbox_last_uid(const struct mailbox *m);
/* The hidden message of an empty mailbox; base_keywords: " a b" or empty. */
void mbox_pseudo_write(const struct store *s, uint32_t uidvalidity,
    uint32_t last_uid, struct str base_keywords, struct buf *out);

/* ---- mbox_write.c ---------------------------------------------------------- */

/*
 * Writes what the file does not say yet, as `w` was made; the file is locked
 * for writing and has been looked at.
 */
enum step mbox_write_step(struct mbox_writing *w, struct err *e);
/* What was planned is not carried out. */
void mbox_write_take_back(struct mbox_writing *w);
/*
 * Are there UIDs of new mail that can be written at little cost? They are told
 * to clients next. If they were only in our memory, another process, or the
 * next one, would give them to other messages.
 */
bool mbox_has_unsaid_uids(const struct mailbox *m);
/* Are there messages that are not \Recent any more, and the file says so? */
bool mbox_has_taken(struct mailbox *m);
/* Its last UID, where it can be written in place. */
int mbox_write_last_uid(struct mailbox *m, struct err *e);
/* Behind every change, still locked: times as other programs expect them. */
void mbox_finish_write(struct mailbox *m);

/* ---- mbox_remove.c --------------------------------------------------------- */

struct mbox_removal;

/* Those that are to go now; marks that come later are for the next time. */
void mbox_mark_going(struct mbox *mb);
/*
 * Begins a removal that also does what `w` has planned, and takes that over, if
 * all of it can be done by moving bytes once. False: nothing has happened.
 */
bool mbox_remove_with(struct mbox_writing *w, struct mbox_removal **r);
/* Removes the marked messages; `*r` begins as NULL and ends so. */
enum step mbox_remove_step(
    struct mailbox *m, struct mbox_removal **r, struct err *e);
void mbox_removal_free(struct mbox_removal **r);

/* ---- mbox_job.c ------------------------------------------------------------ */

/* For store_ops: the change is in memory, mbox_flush() writes it. */
int mbox_keyword(
    struct mailbox *m, struct str name, size_t *number, struct err *e);
int mbox_set_flags(struct mailbox *m, uint32_t uid, const struct flag_change *c,
    bool *changed, struct err *e);
int mbox_expunge(
    struct mailbox *m, uint32_t uid, bool only_deleted, struct err *e);
/* Flags: what can be written at once is; the rest is for later. */
int mbox_flush(struct mailbox *m, struct err *e);
/* Removes what is marked; *mark is the caller's, 0 at first. */
enum step mbox_finish(struct mailbox *m, uint32_t *mark, struct err *e);
/* Begins to write what costs little, if the lock is to be had now. */
bool mbox_job_say(struct mailbox *m);
/* Until what was flushed is written, or somebody turns out to have the lock. */
enum step mbox_settle(struct mailbox *m, struct err *e);
/* Goes on with what is under way. */
enum step mbox_job_step(struct mailbox *m, struct err *e);
/* Is there a session, or was there one, that takes \Recent? */
bool mbox_has_writer(const struct mailbox *m);
/* From the loop; *again_ms: when to be called next, 0: never. */
void mbox_work(struct mailbox *m, uint32_t *again_ms);
/* The last writer goes. */
void mbox_leave(struct mailbox *m);
/* False: something is to be written first, from the loop. */
bool mbox_may_close(struct mailbox *m);
/* All is written that can be; the mailbox is being closed. */
void mbox_job_close(struct mailbox *m);
/* Nothing is under way any more. */
void mbox_job_end(struct mailbox *m);
/* Who drove what is under way may be gone: the loop does it too. */
void mbox_job_leave(struct mailbox *m);
/* For lists of slots. */
void mbox_mark(struct mbox *mb, struct mbox_slot *s, uint16_t flags);
void mbox_unmark(struct mbox *mb, struct mbox_slot *s, uint16_t flags);

/* APPEND and COPY into an mbox file. */
extern const struct append_ops mbox_append;

/* ---- mbox_keep.c ----------------------------------------------------------- */

/* A name for the files that belong to the mailbox at `path`. */
void mbox_key(const char *path, char out[MBOX_KEY_BYTES]);
/* A folder of the user's state; the descriptor is the caller's. -1: not there. */
int mbox_state_dir(const struct store *s, const char *name, bool make);
/* -1: something is kept, and can not be read now. */
int mbox_keep_load(const struct store *s, const char *path,
    struct mbox_kept *out, struct err *e);
/* What holds for the file that is open; NULL: nothing. */
const struct mbox_kept *mbox_kept_of(const struct mailbox *m);
/*
 * A file of so many bytes that has no X-IMAPbase and of which nothing is kept is
 * about to be numbered: who comes first says which UIDVALIDITY it has. What may
 * be needed of UIDs is his, for those who can not agree with him: mbox_agree().
 * -1: whether somebody was first can not be told now (ERR_IN_USE: is to be
 * tried again), so nothing may be numbered.
 */
int mbox_keep_claim(struct mailbox *m, uint64_t bytes, struct err *e);
/* Sets m->guid; writes down what has changed. */
void mbox_keep(struct mailbox *m);
void mbox_keep_remove(const struct store *s, const char *path);
/* Of a mailbox alone. False: it can not be done now. */
bool mbox_keep_rename_one(
    const struct store *s, const char *from, const char *to);
/* One file of the folder, if it is of one whose path begins with `from`. */
bool mbox_keep_rename_file(
    const struct store *s, const char *name, const char *from, const char *to);

/* ---- mbox_agree.c ---------------------------------------------------------- */

#define MBOX_TOLD ".told" /* behind a key */

/*
 * The lock of what was told of a mailbox, held for a moment by each; its
 * descriptor, to be closed. ERR_IN_USE after some milliseconds.
 */
int mbox_agree_lock(const struct mailbox *m, struct err *e);
/* Why it could not be had: does that pass? Else there is no place for it. */
bool mbox_agree_is_for_now(const struct err *e);
/* Were UIDs told that the file has never said? */
bool mbox_agree_is_there(const struct mailbox *m);
/* The file says its UIDs. */
void mbox_agree_forget(const struct store *s, const char *path);

/* ---- mbox_pending.c -------------------------------------------------------- */

/* Notes the flags that are not in the file yet, in one of its own. */
int mbox_pending_save(struct mailbox *m, struct err *e);
/* That file goes when nothing waits any more. */
void mbox_pending_end(struct mailbox *m);
/* The mailbox is about to have another path. */
void mbox_pending_rename(struct mailbox *m, const char *path);
/* Takes over what processes that are gone have left; -1: it can not be read. */
int mbox_pending_load(struct mailbox *m, struct err *e);
/* The text of such a file; any bytes. */
void mbox_pending_take(struct mailbox *m, struct str text);

/* ---- mbox_was.c ------------------------------------------------------------ */

/* The flags of `r`, which the file says, are about to be changed. */
void mbox_was_note(struct mailbox *m, const struct msg_rec *r);
/* Index of the first entry with this UID or a larger one. */
size_t mbox_was_index(const struct mbox *mb, uint32_t uid);
/* The file says `f` now of a DIRTY message: our changes are made to that. */
void mbox_was_merge(
    struct mailbox *m, const struct msg_rec *r, struct mbox_flags *f);
/* Forgets those that are not DIRTY any more. */
void mbox_was_sweep(struct mailbox *m);
void mbox_was_done(struct mbox *mb);

/* ---- mbox_msg.c ------------------------------------------------------------ */

/* For store_ops: one message by the file's descriptor, which is shared. */
int mbox_msg_open(
    struct mailbox *m, uint32_t uid, struct msg_file *out, struct err *e);
int mbox_msg_stat(
    struct mailbox *m, uint32_t uid, struct msg_file *out, struct err *e);
int mbox_msg_read(struct mailbox *m, struct msg_file *f, uint64_t off, void *p,
    size_t n, size_t *got, struct err *e);
void mbox_msg_close(struct msg_file *f);

#endif
