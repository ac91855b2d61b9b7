/* SPDX-License-Identifier: ISC */
/*
 * mailbox_impl.h - the inside of a store and of a mailbox, for backends.
 *
 * A backend fills in struct store_ops. Everything that sessions see (views,
 * what is pending for whom, who is told) is done once, above the table; a
 * backend reports what it finds on disk by the mailbox_note_*() functions.
 *
 * The records of a mailbox are one array, ascending by UID, 24 bytes each:
 *
 *	WAITING --file seen--> LIVE --file gone, or removed--> EXPUNGED
 *	WAITING --file looked for and not found--> EXPUNGED
 *
 * An EXPUNGED record stays until no view shows its UID any more and the
 * backend has no use for it.
 *
 * A mailbox that was opened from the index (derived.h) has only the records
 * above `lazy_top`, and `singles` of those below: mailbox_rec() brings in the
 * one that it is asked for (ops->index_single; else, and when they are many, all
 * of them), mailbox_load() all. Who walks over all records loads first.
 */
#ifndef STORE_MAILBOX_IMPL_H
#define STORE_MAILBOX_IMPL_H

#include <dirent.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "os/lock.h"
#include "store/mailbox.h"

struct derived;
struct derived_store;
struct index_rec;
struct watch_hub;
struct quota;
struct quota_limits;
struct quota_ops;
struct maildirsize;
struct rights_place;
struct store_ops;
struct viewer;
struct tree;
struct tree_spot;

/* How long one step may take; tests make it shorter. */
#define STEP_SLICE_MS store_slice_ms
extern int64_t store_slice_ms;

/* One caller's wish for a sync; zeroed: not yet begun. */
struct sync_mark {
	bool begun;
	bool joined; /* one that was under way before we asked */
};

/* Waiting for a lock, between two attempts; zeroed: not yet begun. */
struct lock_wait {
	int64_t until_ms;
	uint32_t pause_ms;
};
struct append_ops;

/* A RENAME that is under way. */
struct rename_run {
	void *at; /* the backend's */
	bool is_moved; /* it has the new name; the rest is work */
};

enum rec_state {
	REC_WAITING, /* has an UID, its message was not seen yet */
	REC_LIVE,
	REC_EXPUNGED,
};

enum {
	/* Flags that clients do not see, in msg_rec.system. */
	FLAG_PASSED = 1 << 6,
	FLAGS_STORED = FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_SEEN |
	    FLAG_DRAFT,
	KEYWORD_LETTERS = 26,
};

struct msg_rec {
	uint32_t uid;
	uint32_t keywords; /* numbers 0..25 */
	uint32_t more; /* place in more_sets, 0: no keyword from 26 up */
	uint32_t name; /* the backend's: where the name is, or an offset */
	uint32_t info; /* the backend's */
	uint16_t name_len;
	uint8_t system; /* enum msg_flag, FLAG_PASSED */
	uint8_t state : 2; /* enum rec_state */
	uint8_t own : 6; /* the backend's */
};

struct mailbox {
	struct list link; /* in store->mailboxes */
	struct store *store;
	char *name; /* UTF-8 */
	unsigned n_users; /* views, appends, copies */
	struct list views;
	unsigned n_writers; /* views that are not read-only */

	/* Filled in by the backend. */
	uint32_t uidvalidity;
	uint32_t uidnext;
	char guid[33];
	bool is_read_only; /* nothing can be changed here */
	struct seen *seen; /* \Seen is the viewer's own: seen.h; or NULL */
	bool is_broken; /* a sync failed: read-only until reopened */
	bool is_gone; /* removed by somebody */
	bool is_opening; /* ops->open has not come to its end */
	unsigned rights; /* of the viewer: rights.h, enum acl_right */
	int64_t rights_ms; /* when they were looked at */
	uint32_t unsure_top; /* flags up to this UID: see mailbox_freshen() */
	bool has_work; /* for the loop; it is not closed before that is done */
	bool warned_size; /* of a wrong size in a file name */
	struct set32 sized; /* UIDs whose sizes were counted */
	uint32_t header_hint; /* headers are about as long; 0: not known */
	int64_t idle_since_ms; /* kept open with n_users 0 */
	void *impl;

	VEC(char *) keywords; /* by number; NULL: no such */
	uint32_t named_letters; /* of the numbers 0..25: those with a name */
	VEC(struct msg_rec) recs;
	VEC(uint16_t) more_sets; /* count, numbers; [0] is not used */
	struct set32 live; /* UIDs of LIVE records */
	struct set32 recent; /* of them: not yet taken by a session */
	uint32_t n_expunged;
	uint32_t expunge_gen; /* counts what became EXPUNGED */

	uint32_t lazy_top; /* records up to it are not here; 0: all are */
	/* But for these, ascending, a few: they are being changed. */
	VEC(struct msg_rec) singles;
	uint64_t highest_modseq; /* 0: none was given yet */
	uint64_t told_modseq; /* somebody may know it: new mail is above it */
	struct derived *derived; /* NULL: not in the index */
};

struct view {
	struct list link;
	struct store *store;
	struct mailbox *m; /* NULL while it is not acquired */
	bool read_only;
	bool is_examined; /* the caller wanted that */
	bool is_writer; /* counted in m->n_writers */
	struct set32 uids; /* what the session knows */
	struct set32 changed; /* flags to tell */
	struct set32 recent;
	uint32_t top; /* the largest UID it was told of */
	uint32_t expunge_gen; /* of the mailbox, when last told */
	size_t keywords_told;
	unsigned rights_told;
	void (*listener)(void *arg);
	void *listener_arg;
	bool is_due; /* the listener is to be called */
	bool is_held; /* view_hold() */
	uint32_t gone_gen; /* as expunge_gen, of the sink's `gone` */
	/* Of a view_open or view_sync that is not at its end: */
	enum view_work {
		VIEW_IDLE, /* open; nothing under way */
		VIEW_OPENING, /* the mailbox */
		VIEW_FIRST_SYNC,
		VIEW_TELL,
	} work;
	struct sync_mark sync;
	bool is_linked; /* one of the mailbox's views */
	uint32_t finish_mark; /* of ops->finish */
	bool is_second_try; /* to open: the first found another mailbox */
	VEC(uint32_t) gone; /* UIDs to tell as expunged, ascending */
	uint64_t told_modseq; /* the mailbox's when nothing was kept back */
};

struct store {
	const struct store_ops *ops;
	struct ev_loop *loop;
	struct watch_hub *hub; /* NULL: poll */
	char *user, *home, *host;
	char *root; /* folder of the mailboxes, absolute */
	char *inbox; /* folder or file of INBOX, or NULL: in root */
	char *control; /* folder of the UID maps, or NULL: beside */
	char *state; /* folder of journals; may not exist yet */
	char *mbox_read_locks, *mbox_write_locks; /* or NULL */
	uint32_t mbox_lock_timeout_s, mbox_dotlock_stale_s;
	bool lists_bare; /* ops->list: marks are not wanted */
	bool is_fs_layout;
	bool is_utf8; /* CREATE writes UTF-8 names */
	bool folder_names_auto; /* the backend finds out which */
	bool is_courier; /* Courier's files are kept up to date */
	bool courier_auto; /* the backend finds out whether */
	bool warned_acl;
	char delimiter;
	bool poll_only;
	uint32_t poll_ms;
	struct list mailboxes; /* open ones, also those kept for later */
	struct tree *tree; /* of the head; NULL: nobody watches (tree.h) */
	struct notify *notify;
	struct quota *quota;
	uint32_t wait_ms; /* a lock is held: try again after that; 0: at once */
	uint64_t heard; /* of the head: the number in store_hear(); 0: never */
	struct dotlock subs_lock; /* what was seen of the subscriptions' lock */
	struct lock_wait subs_wait;
	struct derived_store *derived; /* NULL: no index */
	/* Of the head: modseq_floor.h. */
	uint64_t modseq_floor, modseq_ceiling;
	bool modseq_is_read;
	int64_t modseq_again_ms; /* it is locked: not tried before */
	/* Namespaces: space.h. */
	struct store *head; /* the user's own store; NULL: this is it */
	struct list spaces; /* of the head: the other stores */
	struct list meta_listeners; /* of the head: meta.h */
	struct list link;
	enum space_kind kind;
	char *prefix; /* of names, with the delimiter, or "" */
	char *others_location; /* or NULL */
	char *shares; /* the setting, or NULL */
	struct str shares_left; /* not yet looked for */
	void (*on_share)(void *arg, const struct store_shared *);
	void *on_share_arg;
	int64_t others_seen_ms; /* when others were last looked for */
	DIR *others_dir; /* being looked through, or NULL */
	unsigned others_n; /* names of it that were tried */
	bool is_searching;
	bool has_alias;
	struct viewer *viewer; /* rights.c; of the head */
	bool is_making; /* a mailbox, which has no rights yet */
	unsigned share_gen; /* of the head: counts changes of rights */
	void *impl;
};

/* What becomes of a message's flags; made from a wish, see mailbox.c. */
struct flag_change {
	enum store_op op;
	uint8_t system;
	uint32_t keywords;
	const uint16_t *more; /* sorted */
	size_t n_more;
};

/* An open message file. */
struct msg_file {
	int fd; /* -1: not open */
	uint64_t off, size; /* where the message lies in it */
	int64_t date_s; /* INTERNALDATE */
	/*
	 * Set by the caller: so many of its first bytes will be asked for. Who
	 * has to look at them anyway may leave as many here, on the heap; the
	 * caller frees them.
	 */
	size_t want;
	char *first; /* from msg_first_room() */
	size_t first_n, first_size;
	bool date_only; /* set by the caller of msg_stat: `size` is of no use */
	/*
	 * Set by the caller of msg_open: what need not be asked for to read the
	 * first bytes may be left to fstat() of `fd`. A size that is lacking
	 * stands as MSG_SIZE_LACKING.
	 */
	bool may_lack;
	bool lacks_size,
	    lacks_date; /* ...and was; the first only with the other */
	bool is_hint; /* of msg_stat: `size` may be wrong until it is opened */
	bool is_held; /* its bytes can be read without ops->ready */
	/*
	 * Set by the caller of msg_open: what takes long may be left to msg_look,
	 * until which `size` is not known and nothing may be read.
	 */
	bool in_steps;
	bool is_pending; /* ...and it was */
	void *impl; /* the backend's, which then reads and closes it */
};

#define MSG_SIZE_LACKING ((uint64_t)INT64_MAX)
/* Buffers of this size are used again and again. */
#define MSG_FIRST_SPARE ((size_t)16 * 1024)

/* Room for `n` first bytes, in the place of those that are there. */
char *msg_first_room(struct msg_file *f, size_t n);
void msg_first_drop(struct msg_file *f);

/* Facts about a message from the backend's own records; absent ones are 0. */
struct msg_facts {
	uint64_t size, wire_size; /* as the name claims */
	struct str uidl; /* stored POP3 UIDL; p NULL: none */
	uint32_t pop3_order;
	struct str base; /* its name without flags */
	struct str guid;
};

/* The phase of a backend's removal in which the mailbox is gone already. */
enum { REMOVE_GONE = 100 };

enum sync_how {
	SYNC_NORMAL, /* look when something may have changed */
	SYNC_FORCE, /* look in any case */
};

struct append;

/*
 * A backend. Functions get names that are valid UTF-8, without empty levels.
 * Those that return enum step follow the rules of store.h: a few milliseconds,
 * no sleeping. They keep what they need between the calls in m->impl; other
 * sessions may use the mailbox meanwhile.
 */
struct store_ops {
	const char *driver;
	/* Opens the place (store->root and so on are set). */
	int (*place_open)(struct store *s, struct err *e);
	void (*place_close)(struct store *s);
	/*
	 * Names on disk, in any order, with NOSELECT where that is known. *at
	 * begins as NULL; list_end frees it.
	 */
	enum step (*list)(struct store *s, struct arena *a, void **at,
	    struct mbox_entry **first, struct err *e);
	void (*list_end)(void **at);
	int (*create)(struct store *s, struct str name, struct err *e);
	/* Is there a mailbox of this name? */
	bool (*exists)(struct store *s, struct str name);
	/* *phase is the caller's, 0 at first; REMOVE_GONE: only work in the
	 * background is left. */
	enum step (*remove)(
	    struct store *s, struct str name, unsigned *phase, struct err *e);
	/* *run is the caller's, zeroed at first; rename_end frees it, and ends
	 * what was begun. */
	enum step (*rename)(struct store *s, struct str from, struct str to,
	    struct rename_run *run, struct err *e);
	void (*rename_end)(struct rename_run *run); /* may be NULL */
	/*
	 * Before what is kept of a name is changed: is none of them in the midst
	 * of being renamed by another process? ERR_IN_USE. NULL: never.
	 */
	enum step (*await_rename)(struct store *s, struct err *e);
	/* Where a mailbox, or a level, lies: rights.h. ERR_NOT_FOUND. */
	int (*rights_place)(struct store *s, struct str name,
	    struct rights_place *out, struct err *e);
	/* Where the subscriptions are: a directory descriptor to borrow. */
	int (*subs_dir)(struct store *s, const char **file);
	/* The file was changed; may be NULL. */
	void (*subs_changed)(struct store *s);
	/* A name as it stands in the subscriptions file. */
	bool (*storage_name)(struct store *s, struct str name, struct buf *out);
	bool (*name_of_storage)(
	    struct store *s, struct str storage, struct buf *out);

	/*
	 * For tree.h: the folders whose events tell of a mailbox, 1 or 2, or 0
	 * when there is no such mailbox; the folder of the names below `name`
	 * ("": the root), false when they lie where those above lie; whether an
	 * event there is about a name or the subscriptions.
	 */
	unsigned (*spots)(
	    struct store *s, struct str name, struct tree_spot *out);
	bool (*names_spot)(
	    struct store *s, struct str name, struct tree_spot *out);
	bool (*is_name)(struct store *s, uint32_t mask, struct str entry);

	/* Opens m->name and its UID map; reads no messages yet. */
	enum step (*open)(struct mailbox *m, struct err *e);
	void (*close)(struct mailbox *m);
	/*
	 * Nobody has used it for a while: is it still the mailbox of its name,
	 * and what it knows still true?
	 */
	bool (*is_current)(struct mailbox *m);
	/*
	 * Brings the records up to date with the disk and moves new mail where
	 * a writer's session wants it (m->n_writers). Several sessions may drive
	 * one sync; is_syncing tells whether one is under way. abandon: who
	 * drove it is gone; locks are let go, the next sync begins anew.
	 */
	enum step (*sync)(struct mailbox *m, enum sync_how how, struct err *e);
	bool (*is_syncing)(const struct mailbox *m);
	void (*abandon)(struct mailbox *m);
	/* What m->unsure_top speaks of; NULL: never set. */
	int (*freshen)(struct mailbox *m, struct err *e);
	/* The same in steps. What fails is left to freshen. */
	enum step (*freshen_some)(struct mailbox *m);
	/* May the disk have changed? Without a system call if possible. */
	bool (*may_have_news)(struct mailbox *m);
	/* Watch the disk while somebody listens; false: polling is needed. */
	bool (*watch)(struct mailbox *m, bool on);
	/* Number of a keyword, made if need be. ERR_LIMIT, ERR_BAD_NAME. */
	enum step (*keyword)(
	    struct mailbox *m, struct str name, size_t *number, struct err *e);
	/*
	 * Changes a LIVE message's flags on disk and in its record. ERR_GONE.
	 * *changed: it had other ones before; the caller tells the views.
	 */
	enum step (*set_flags)(struct mailbox *m, uint32_t uid,
	    const struct flag_change *c, bool *changed, struct err *e);
	/*
	 * So many messages are going to be changed, removed or moved, in this
	 * step and in those that follow; 0: no more. May be NULL.
	 */
	void (*expect)(struct mailbox *m, uint32_t n);
	/* Writes what set_flags and expunge left for the end of a group. */
	int (*flush)(struct mailbox *m, struct err *e);
	/*
	 * After the last flush of a STORE: until it is written, if that takes
	 * but a moment. NULL: it is.
	 */
	enum step (*settle)(struct mailbox *m, struct err *e);
	/*
	 * Removes what expunge has marked, where that is done for many at once;
	 * NULL: expunge does it. *mark is the caller's, 0 at first.
	 */
	enum step (*finish)(struct mailbox *m, uint32_t *mark, struct err *e);
	/* The last view that may write is being closed; may be NULL. */
	void (*leave)(struct mailbox *m);
	/* What is not written yet is now; it is being closed. NULL: all is. */
	void (*before_close)(struct mailbox *m);
	/*
	 * Nobody uses it, may it be closed? False: there is something to be
	 * written first (m->has_work). NULL: always.
	 */
	bool (*may_close)(struct mailbox *m);
	/*
	 * From the loop, some time after notify_work(): goes on with what no
	 * session waits for. *again_ms: when to be called next, 0: not before
	 * notify_work().
	 */
	void (*work)(struct mailbox *m, uint32_t *again_ms);
	/*
	 * Until messages can be read without waiting: callers who take steps
	 * say so before msg_open and msg_read. NULL: they always can.
	 */
	enum step (*ready)(struct mailbox *m, uint32_t uid, struct err *e);
	/* Removes the message, which is \Deleted if `only_deleted`. ERR_GONE. */
	enum step (*expunge)(
	    struct mailbox *m, uint32_t uid, bool only_deleted, struct err *e);
	/*
	 * UIDs of messages that are gone only because another process gave
	 * them other UIDs, since the mailbox was opened. NULL: never.
	 */
	const struct set32 *(*renumbered)(const struct mailbox *m);
	int (*msg_open)(struct mailbox *m, uint32_t uid, struct msg_file *out,
	    struct err *e);
	/* As msg_open with fd -1: size and date only. */
	int (*msg_stat)(struct mailbox *m, uint32_t uid, struct msg_file *out,
	    struct err *e);
	/*
	 * For a backend whose messages do not lie in one piece of a file of
	 * their own; NULL else. As msg_read(); `f` may be changed.
	 */
	int (*msg_read)(struct mailbox *m, struct msg_file *f, uint64_t off,
	    void *p, size_t n, size_t *got, struct err *e);
	void (*msg_close)(struct msg_file *f);
	/* The rest of msg_open, a piece; for what `is_pending`. */
	enum step (*msg_look)(struct msg_file *f, struct err *e);
	/*
	 * For what msg_read reads from its beginning only: goes to `off`, a
	 * piece of the way. NULL: that takes no time.
	 */
	enum step (*msg_seek)(struct msg_file *f, uint64_t off, struct err *e);
	/* Borrowed until the mailbox is used again. False: not there. */
	bool (*msg_facts)(
	    struct mailbox *m, uint32_t uid, struct msg_facts *out);
	/* A size that had to be counted; kept so that it is not done again. */
	void (*note_wire_size)(
	    struct mailbox *m, uint32_t uid, uint64_t size, uint64_t wire_size);
	/*
	 * A POP3 UIDL that another server could not make of what else is kept;
	 * written down at a flush. NULL: there is no place for it.
	 */
	void (*note_uidl)(struct mailbox *m, uint32_t uid, struct str uidl);
	/*
	 * A POP3 UIDL that is not of our making, for a message without one.
	 * Nothing in `out`: the setting decides. -1: that can not be told now.
	 * NULL: never.
	 */
	int (*own_uidl)(
	    struct mailbox *m, uint32_t uid, struct buf *out, struct err *e);
	/*
	 * For restantectl, after a sync: mends what sessions leave for the next
	 * change. May wait for locks; NULL: a sync does it all.
	 */
	int (*repair)(struct mailbox *m, struct err *e);
	/*
	 * For restantectl, after that: writes what is kept for other servers and
	 * only then written when it changes. NULL: nothing is.
	 */
	int (*give_back)(struct mailbox *m, struct err *e);
	/* Nothing has been asked for some time. NULL: nothing is to be done. */
	void (*rest)(struct mailbox *m);
	/*
	 * For the index (derived.h); all NULL: records are not kept there.
	 * Where it lies: its key there.
	 */
	bool (*index_place)(struct store *s, struct str name, struct buf *out);
	/*
	 * The same without a look at the disk, for index_is_true() to look: a
	 * name that may be spelt in several ways is where it is looked for
	 * first. NULL: index_place() does that.
	 */
	bool (*index_guess)(struct store *s, struct str name, struct buf *out);
	/* Can its records be written now? Not WAITING, with UIDs that last. */
	bool (*index_is_settled)(struct mailbox *m);
	/*
	 * The circumstances under which the records are true. False: they are
	 * not known. *again: better ones can be had a moment later.
	 */
	bool (*index_save)(struct mailbox *m, struct buf *out, bool *again);
	/* In open: takes them back. False: the disk says something else. */
	bool (*index_take)(struct mailbox *m, struct str saved);
	/* The same without opening the mailbox: nothing has changed there. */
	bool (*index_is_true)(struct store *s, struct str name,
	    struct str place, struct str saved);
	/* Appends what belongs to a record; returns the sum of its name. */
	uint64_t (*index_side)(
	    struct mailbox *m, const struct msg_rec *r, struct buf *out);
	/*
	 * Takes that back into a record that has its flags and `own`; empty: of
	 * a message that is gone. At the end: all records are there; `is_ours`:
	 * nobody else has written them meanwhile.
	 */
	bool (*index_load)(
	    struct mailbox *m, struct msg_rec *r, struct str side);
	void (*index_loaded)(struct mailbox *m, bool is_ours);
	/* Would the message be \Recent for a process that knows nothing? */
	bool (*index_is_recent)(struct mailbox *m, const struct msg_rec *r);
	/*
	 * A message may be another one at the same UID: then index_side returns
	 * a sum of its content, and what is known of a message with another sum
	 * goes. index_facts fills in sizes and date of a record.
	 */
	bool index_by_content;
	void (*index_facts)(
	    struct mailbox *m, const struct msg_rec *r, struct index_rec *out);
	/* Can records be loaded one by one? They must not refer to others. */
	bool index_single;
	/*
	 * The index has failed: makes records of m->live from what lies on disk.
	 * m->recs is empty.
	 */
	int (*reload)(struct mailbox *m, struct err *e);
	const struct append_ops *append;
	/* NULL: no quota is kept with such mail. */
	const struct quota_ops *quota;
};

/* The sum of a quota that is kept in a file with the mail. */
struct quota_ops {
	/* ERR_NOT_FOUND; ERR_CORRUPT: to be counted anew. */
	int (*load)(struct store *s, struct maildirsize *out, struct err *e);
	/* Counts all. *at begins as NULL; `end` frees it, at any time. */
	enum step (*count)(struct store *s, void **at, int64_t *bytes,
	    int64_t *n, struct err *e);
	void (*end)(void **at);
	/*
	 * Writes the count down. When something came or went meanwhile, the file
	 * goes again or, if the limits stand nowhere else, is made to look old.
	 */
	int (*save)(struct store *s, const struct quota_limits *limits,
	    int64_t bytes, int64_t n, bool may_go, void *at, struct err *e);
};

/*
 * New messages on their way into a mailbox: from a client's bytes, or from
 * another message of the same backend. Nothing is visible before commit.
 */
struct append_ops {
	/* Makes a->impl. */
	int (*begin)(struct append *a, struct err *e);
	/*
	 * Wishes are borrowed for the call; keywords become known to the
	 * mailbox in commit, not before. `system` may have FLAG_PASSED.
	 */
	int (*message)(struct append *a, const struct flag_wish *w,
	    int64_t date_s, struct err *e);
	int (*data)(struct append *a, struct str bytes, struct err *e);
	/* A descriptor of a new file without a name. */
	int (*scratch)(struct append *a, struct err *e);
	/*
	 * Adds message `uid` of `from` whole, without reading it when the file
	 * system can. `from` must stay open until the commit. ERR_UNSUPPORTED:
	 * the caller reads and uses data(). ERR_GONE.
	 */
	enum step (*copy)(struct append *a, struct mailbox *from, uint32_t uid,
	    const struct flag_wish *w, struct err *e);
	/* Fills a->uids; leaves it empty when UIDs could not be given. */
	enum step (*commit)(struct append *a, struct err *e);
	/* Also in the middle of a commit: then nothing of it stays. */
	void (*free)(struct append *a);
};

struct append {
	struct mailbox *m;
	void *impl;
	bool in_message;
	uint64_t left; /* bytes of the present message still to come */
	uint64_t bytes, count; /* of all messages, for the quota */
	uint64_t bytes_go, count_go; /* of messages that it replaces */
	struct set32 uids;
	struct set32 seen; /* which of them, from 1 on, with seen_is_own() */
	/* Of copies: may one be left out whose message is gone by the time of
	 * the commit? Then it stands here, by its number from 1 on. */
	bool may_drop;
	struct set32 dropped;
	/* A message of the same mailbox that goes with the commit, if the
	 * backend can do both at once; or 0. */
	uint32_t replaces;
	/* Set before the first copy: none is linked to its place at the end.
	 * A commit that fails with ERR_UNSUPPORTED asks for that. */
	bool no_links;
	/* Set before the first copy: what is copied vanishes from its mailbox
	 * by `expunge` behind the commit, so its file may move. */
	bool moves;
	/* Set by a commit that has STEP_MORE: let others have their turn. */
	bool yields;
};

/* The two backends. */
extern const struct store_ops maildir_ops;
extern const struct store_ops mbox_ops;

/*
 * Takes over the subscriptions of UW-IMAP, `home`/.mailboxlist, when the root
 * of the mbox files below it has none of its own yet.
 */
void mbox_uw_adopt(const char *home, struct str root);

/* Up to `n` bytes of an open message; *got 0 at its end. */
int msg_file_read(struct mailbox *m, struct msg_file *f, uint64_t off, void *p,
    size_t n, size_t *got, struct err *e);
void msg_file_close(struct mailbox *m, struct msg_file *f);

/* ---- mailboxes ----------------------------------------------------------- */

/*
 * The open instance of a mailbox, opened if need be; release it. The last few
 * are kept open for a minute after that: clients come back.
 */
enum step mailbox_acquire(
    struct store *s, struct str name, struct mailbox **out, struct err *e);
void mailbox_release(struct mailbox **m);
/* As mailbox_acquire; makes a special-use mailbox that is used first now. */
enum step mailbox_acquire_or_make(
    struct store *s, struct str name, struct mailbox **out, struct err *e);
/* The instance when it is open; borrowed. */
struct mailbox *mailbox_find_open(struct store *s, struct str name);

/*
 * A sync that began after the first call: one that was under way may have
 * looked before what the caller should see was there. `mark` is as new after
 * STEP_DONE and STEP_FAIL; mailbox_sync_end() when the caller gives up.
 */
enum step mailbox_sync(
    struct mailbox *m, struct sync_mark *mark, struct err *e);
void mailbox_sync_end(struct mailbox *m, struct sync_mark *mark);

/* ops->work has come to an end. */
void mailbox_work_done(struct mailbox *m);
/* Closes the instances that have been kept for too long, or all. */
void mailbox_close_idle(struct store *s, bool all);

/* Brings in the records that are in the index alone. */
int mailbox_load(struct mailbox *m, struct err *e);
/*
 * Before the flags of `uid` are looked at: the backend may have put off reading
 * those that are on disk, for all messages up to m->unsure_top. 0: of any.
 */
void mailbox_freshen(struct mailbox *m, uint32_t uid);
/* The same in steps, for who has some; never STEP_FAIL. */
enum step mailbox_freshen_some(struct mailbox *m, uint32_t uid);
/* Record of an UID in any state, or NULL; valid until records are added. */
struct msg_rec *mailbox_rec(struct mailbox *m, uint32_t uid);
/* Index of the first record with this UID or a larger one. */
size_t mailbox_rec_index(const struct mailbox *m, uint32_t uid);
/*
 * Adds a record. `uid` may be smaller than present ones only as long as no
 * message is LIVE.
 */
struct msg_rec *mailbox_add_rec(struct mailbox *m, uint32_t uid);
/* Numbers of keywords from 26 up of a record. */
const uint16_t *mailbox_more(
    const struct mailbox *m, const struct msg_rec *r, size_t *n);
void mailbox_set_more(
    struct mailbox *m, struct msg_rec *r, const uint16_t *more, size_t n);
/* Sets the name of a keyword number; views are told. */
void mailbox_set_keyword(struct mailbox *m, size_t number, struct str name);
/*
 * A record's flags after `c`. `more` has room for what it had and c->n_more
 * together. Returns true when they differ from what it has.
 */
bool mailbox_apply_change(const struct mailbox *m, const struct msg_rec *r,
    const struct flag_change *c, uint8_t *system, uint32_t *keywords,
    uint16_t *more, size_t *n_more);

/* The record has become LIVE. */
void mailbox_note_new(struct mailbox *m, struct msg_rec *r, bool is_recent);
/* The flags of a LIVE record have changed; `but` (or NULL) knows already. */
void mailbox_note_flags(
    struct mailbox *m, const struct msg_rec *r, const struct view *but);
/* The same for one that may not be loaded. */
void mailbox_note_flags_of(
    struct mailbox *m, uint32_t uid, const struct view *but);
/* The message of the record is gone. */
void mailbox_note_expunged(struct mailbox *m, struct msg_rec *r);
/* Something may be there to see: listeners are called from the loop. */
void mailbox_note_news(struct mailbox *m);
/* True when no view shows an EXPUNGED record: they may be removed. */
bool mailbox_is_all_told(struct mailbox *m);
/* All UIDs that the mailbox or a view of it has; set32_done() is the caller's. */
void mailbox_known_uids(const struct mailbox *m, struct set32 *out);
/* Never 0: a mailbox without one gets one now (view_modseq.h). */
uint64_t mailbox_highest_modseq(struct mailbox *m);

/*
 * A lock was not to be had (`e` says ERR_IN_USE): STEP_MORE, and the store must
 * wait, until `wait_ms` have passed in all; then, or for another reason,
 * STEP_FAIL, and `w` is as new.
 */
enum step store_lock_wait(
    struct store *s, struct lock_wait *w, int64_t wait_ms, const struct err *e);
/* The store whose caller waits and is told: the user's own. */
static inline struct store *
store_head(struct store *s)
{
	return s->head != NULL ? s->head : s;
}
/* At the beginning of each public step: nothing is to be waited for yet. */
static inline void
store_begin_step(struct store *s)
{
	store_head(s)->wait_ms = 0;
}
/* A lock of ours was let go: those who wait should try. */
void store_lock_free(struct store *s);

/* A line for the administrator about something odd that was dealt with. */
void store_warn(const struct store *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Keywords by name to a change; names that are unknown are made for SET, ADD. */
enum step mailbox_resolve(struct mailbox *m, enum store_op op,
    const struct flag_wish *w, struct arena *a, struct flag_change *out,
    struct err *e);

#endif
