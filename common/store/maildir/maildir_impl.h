/* SPDX-License-Identifier: ISC */
/*
 * maildir_impl.h - the inside of an open Maildir mailbox, for maildir_*.c.
 *
 *	maildir.c        operations table, open, close
 *	maildir_msg.c    a message's file
 *	maildir_place.c  the user's place, folder names to paths
 *	maildir_map.c    base name -> record, names of files
 *	maildir_scan.c   what lies in new/ and cur/
 *	maildir_look.c   from there to records: renamed, doubled, gone
 *	maildir_uids.c   dovecot-uidlist: reading, its lock, giving UIDs
 *	maildir_sync.c   the order of all that, in steps; new -> cur
 *	maildir_watch.c  inotify, our own changes
 *	maildir_flags.c  flags, keywords, expunge
 *	maildir_save.c   append and copy: what comes, until it is whole
 *	maildir_commit.c  the same: what makes it seen
 *	maildir_group.c  what several sessions append at the same time
 *	maildir_journal.c  several at once, all or none
 *	maildir_list.c   folders
 *	maildir_courier.c  Courier's UIDs, in and out
 *	maildir_courier_keywords.c  its keywords
 *	maildir_courier_pop3.c  its POP3 ids
 *	maildir_courier_subs.c  its subscriptions
 *	maildir_check.c  for restantectl: what is wrong here, repair
 *	maildir_index.c  what of all that lies in the index
 */
#ifndef STORE_MAILDIR_IMPL_H
#define STORE_MAILDIR_IMPL_H

#include <limits.h>

#include "os/watch.h"
#include "store/mailbox_impl.h"
#include "store/maildir/maildir_name.h"
#include "store/maildir/uidlist.h"

#define SUBS_FILE "subscriptions"

/* Which of the two folders a message lies in. */
enum maildir_dir { DIR_NEW, DIR_CUR };

/* Bits of msg_rec.own. */
enum {
	OWN_NEW = 1 << 0, /* the file is in new/ */
	OWN_SEEN = 1 << 1, /* met in the present scan */
	OWN_NO_INFO = 1 << 2, /* the name has no info part */
	OWN_INFO = 1 << 3, /* the info part is kept in names */
	OWN_IN_FILE = 1 << 4, /* has a record in dovecot-uidlist */
	OWN_MISSED = 1 << 5, /* not met in the last scan */
};

/* A directory as last read. */
struct dir_state {
	struct timespec mtime;
	int64_t read_us; /* wall clock when reading began */
	bool is_read;
	bool is_dirty; /* told by inotify */
};

/* A change of ours in a directory that was up to date: stays so. */
struct dir_touch {
	bool was_current;
};

struct extra {
	uint32_t uid;
	uint32_t off, n; /* fields of the record, in names */
};

/* An inotify event that waits for the next look. */
struct hint {
	uint8_t dir;
	uint32_t name; /* in hint_names */
};

struct maildir {
	int dirfd, newfd, curfd, tmpfd;
	int controlfd; /* of the UID map; dirfd when there is no CONTROL= */
	int wordsfd; /* of the keywords: the same, but for has_own_map */
	/*
	 * The mail is somebody else's and may only be read: the UID map is the
	 * viewer's own, below his state folder, so that what is new there has
	 * an UID at once and for ever, whether its owner looks or not.
	 */
	bool has_own_map;
	bool has_others; /* messages that are not ours */
	/* maildir_share.c: is_shared is as of this number of changes. */
	unsigned share_gen;
	bool is_shared;
	struct file_perm map_perm; /* of the UID map */
	char *path; /* absolute, of the folder */
	struct file_perm perm;
	uid_t euid; /* ours */
	struct dir_state dirs[2];
	bool is_local; /* the file system tells inotify everything */
	struct uidlist list;
	struct file_stamp keywords_stamp, more_stamp;
	struct file_tail more_read;
	uint32_t more_sets_in_file;
	bool has_keywords_file;
	bool has_stray_sets; /* restante-keywords names bases we do not know */
	bool has_new_recs; /* records came since the keywords were read */
	uint32_t letters; /* keyword letters met in file names */

	/* Bytes of names, infos, record fields; NUL-terminated pieces. */
	char *names;
	size_t names_n, names_size;
	size_t garbage; /* bytes of them that nothing refers to */
	/*
	 * Base name to index in recs + 1; open addressing, 0: free. A byte of
	 * the hash beside it saves looking at most of the wrong names.
	 */
	uint32_t *slots;
	uint8_t *tags;
	size_t n_slots, n_used;
	VEC(struct extra) extras; /* ascending by UID */

	struct set32 plain; /* UIDs whose files are known not to be packed */
	struct set32 moved; /* UIDs whose files a MOVE has taken elsewhere */
	uint32_t n_counted; /* sizes counted and not yet in dovecot-uidlist */
	bool has_new_uidls; /* P fields not yet in dovecot-uidlist */
	int64_t quota_bytes, quota_count; /* to be added to maildirsize */
	/* Courier's files as last written or read; see maildir_courier*.c */
	struct file_stamp courier_uids;
	struct timespec courier_keywords;
	int64_t courier_next_ms; /* its keywords are not written before */
	bool courier_is_dirty; /* keywords that its files do not have */
	bool courier_is_unread; /* its files have some that we have not */
	bool courier_looked, warned_courier;
	struct courier_taking *taking; /* of keywords, or NULL */
	struct dotlock courier_lock;
	struct courier_drop *courier_drop; /* maildir_courier_pop3.c */
	bool courier_drop_is_dirty;

	bool must_scan; /* records came without their files */
	bool is_first_look, was_first_look; /* maildir.c: first_look() */
	bool is_in_memory; /* no UID map can be written here */
	bool want_purge;
	uint32_t n_new; /* LIVE records in new/ */
	uint32_t lazy_new; /* the same, of those that are not loaded */
	uint32_t loads; /* counts how often indices of records moved */
	bool wants_load; /* dovecot-uidlist names one of those again */
	int64_t retry_ms; /* the lock was busy: look again then; or 0 */
	int64_t tmp_checked_s;
	bool warned_name;
	struct sync_job *job; /* the sync that is under way, or NULL */
	bool has_journal; /* was met, and is not dealt with */
	struct journal_run *journal; /* is being dealt with, or NULL */
	const void *lock_owner; /* who has list.lock between two steps */
	struct lock_wait open_wait, keyword_wait;
	uint32_t own_changes; /* counts renames and so on of ours */
	unsigned n_appends; /* that are under way */
	struct list ready; /* of them, for a commit; next NULL: not used yet */
	/* A group of changes, until the next flush or sync. */
	bool is_changing;
	struct dir_touch changing[2];
	enum {
		COUNTS_UNKNOWN,
		COUNTS_YES,
		COUNTS_NO,
	} counts; /* does anybody count for a quota? Until the next flush */
	struct watch *watch_new, *watch_cur;
	struct watch *watch_home; /* of the folder itself, for its files */
	bool watch_failed, home_failed;
	bool is_deaf; /* maildir_expect() has ended the two of the messages */
	unsigned n_syncs; /* that came to their end; stops at a few */
	/* Nothing has happened since a sync below watches has seen all. */
	bool is_quiet;
};

/* ---- maildir_quota.c ----------------------------------------------------- */

/* Maildir++ quota: the file maildirsize. */
extern const struct quota_ops maildir_quota;
/* Does the mailbox of this name count for a quota? Trash does not. */
bool maildir_is_counted(struct str name);

/* ---- maildir_place.c ----------------------------------------------------- */

struct maildir_place {
	int rootfd; /* of store->root */
	int controlfd; /* of store->control, or rootfd */
	struct file_perm perm;
	uid_t euid; /* ours */
	struct quiet *quiet; /* maildir_quiet.h, or NULL */
};

/* The root's folders and how files are made there; -1: no Maildir can be had. */
int maildir_place_open(struct store *s, struct err *e);
void maildir_place_close(struct store *s);
/* Where it is looked for first. False: maildir_path() has to look. */
bool maildir_path_guess(struct store *s, struct str name, char out[PATH_MAX]);
/*
 * Path of a mailbox that exists, relative to the root ("." for INBOX), in any
 * of the spellings; ERR_NOT_FOUND, ERR_BAD_NAME.
 */
int maildir_path(
    struct store *s, struct str name, char out[PATH_MAX], struct err *e);
bool maildir_exists(struct store *s, struct str name);
/* The path that CREATE would make. */
int maildir_new_path(
    struct store *s, struct str name, char out[PATH_MAX], struct err *e);
/* UTF-8 name of one directory name below the root; false: hidden. */
bool maildir_name_of_dir(
    const struct store *s, struct str dir, struct buf *out);
bool maildir_storage_name(struct store *s, struct str name, struct buf *out);
bool maildir_name_of_storage(
    struct store *s, struct str storage, struct buf *out);
int maildir_subs_dir(struct store *s, const char **file);

/* store_ops: the folder of a mailbox, and where its dovecot-acl is. */
int maildir_rights_place(
    struct store *s, struct str name, struct rights_place *out, struct err *e);

/* ---- maildir_share.c ----------------------------------------------------- */

/*
 * A new message that its owner's session has found: programs that deliver with
 * mode 0600 keep it from those whom the folder is shared with (share.h).
 */
void maildir_open_up(struct mailbox *m, int dirfd, const char *name);
/* Do files get an access list here? Then none is linked to or from elsewhere. */
bool maildir_is_shared(struct mailbox *m);

/* ---- maildir_msg.c ------------------------------------------------------- */

/* As struct store_ops has them. */
int maildir_msg_open(
    struct mailbox *m, uint32_t uid, struct msg_file *out, struct err *e);
int maildir_msg_stat(
    struct mailbox *m, uint32_t uid, struct msg_file *out, struct err *e);
int maildir_msg_read(struct mailbox *m, struct msg_file *f, uint64_t off,
    void *p, size_t n, size_t *got, struct err *e);
enum step maildir_msg_look(struct msg_file *f, struct err *e);
enum step maildir_msg_seek(struct msg_file *f, uint64_t off, struct err *e);
void maildir_msg_close(struct msg_file *f);
bool maildir_msg_facts(struct mailbox *m, uint32_t uid, struct msg_facts *out);

/* ---- maildir_map.c ------------------------------------------------------- */

#define NO_REC SIZE_MAX
/* Index of the newest record with this base, NO_REC. */
size_t maildir_find(const struct mailbox *m, struct str base);
/* Adds a record with a base that has none, or replaces the older one. */
struct msg_rec *maildir_add(struct mailbox *m, uint32_t uid, struct str base);
/* The same for those who have map_hash(base) already. */
size_t maildir_find_hashed(
    const struct mailbox *m, struct str base, uint64_t hash);
struct msg_rec *maildir_add_hashed(
    struct mailbox *m, uint32_t uid, struct str base, uint64_t hash);
/* So many more are going to be added. */
void maildir_reserve(struct mailbox *m, size_t n);
struct str maildir_base(const struct mailbox *m, const struct msg_rec *r);
/* The whole file name; `out` gets a NUL. */
struct str maildir_file_name(
    const struct mailbox *m, const struct msg_rec *r, char out[512]);
struct str maildir_info(const struct mailbox *m, const struct msg_rec *r,
    char plain[MAILDIR_INFO_MAX]);
/* Takes place and info from a name that was met; true: flags are others. */
bool maildir_take_name(struct mailbox *m, struct msg_rec *r,
    enum maildir_dir dir, const struct maildir_name *name);
/* The fields of the record in dovecot-uidlist. */
struct str maildir_extra(const struct mailbox *m, uint32_t uid);
void maildir_set_extra(struct mailbox *m, uint32_t uid, struct str fields);
/* The same with what the index says; true: they were others. */
bool maildir_load_extra(struct mailbox *m, uint32_t uid, struct str fields);
/*
 * Removes what is not needed from memory: names that changed and, when no view
 * shows them, EXPUNGED records. Indices of records change.
 */
void maildir_compact(struct mailbox *m);
bool maildir_has_garbage(const struct maildir *md);
/*
 * Is there, or may there be, a record with this base? Also looks at those that
 * are not loaded, which maildir_find() does not.
 */
bool maildir_may_have(struct mailbox *m, struct str base);
/* Who has more to look for loads the mailbox: each costs a walk over all. */
#define MAILDIR_LOOKUPS_MAX 16
/* Gives a record its name; it is found after maildir_rehash(). */
void maildir_load_name(
    struct mailbox *m, struct msg_rec *r, struct str base, struct str info);
void maildir_rehash(struct mailbox *m);
void maildir_forget_map(struct mailbox *m);
void maildir_map_done(struct maildir *md);

/* ---- maildir_scan.c, maildir_sync.c -------------------------------------- */

/* store_ops: brings the records up to date with new/ and cur/. */
enum step maildir_sync(struct mailbox *m, enum sync_how how, struct err *e);
/* SYNC_FORCE to its end, waiting for no lock. */
int maildir_sync_now(struct mailbox *m, struct err *e);
bool maildir_is_syncing(const struct mailbox *m);
void maildir_abandon(struct mailbox *m);
bool maildir_may_have_news(struct mailbox *m);
bool maildir_watch(struct mailbox *m, bool on);
/*
 * Before very many changes of ours: the kernel would tell us of each, which
 * costs more than to look what is there when they are made. For a mailbox that
 * one session has.
 */
void maildir_expect(struct mailbox *m, uint32_t n);
/* For tree.h. */
unsigned maildir_spots(struct store *s, struct str name, struct tree_spot *out);
bool maildir_names_spot(
    struct store *s, struct str name, struct tree_spot *out);
bool maildir_is_name(struct store *s, uint32_t mask, struct str entry);
/* At the beginning of a sync: watches what is worth it. */
void maildir_watch_more(struct mailbox *m);
/* Are all changes by others told by events that can be relied on? */
bool maildir_is_watched(const struct mailbox *m);
/* Has nothing happened since the last sync, and is nothing left to do? */
bool maildir_is_quiet(const struct mailbox *m);
/* Takes in what dovecot-uidlist says; ERR_NOT_FOUND, ERR_CORRUPT. */
enum step maildir_read_list(struct mailbox *m, int64_t until_ms, struct err *e);
int maildir_read_list_now(struct mailbox *m, struct err *e);
/*
 * Takes the lock of dovecot-uidlist for `owner`, who keeps it between steps:
 * STEP_MORE while somebody, perhaps another owner of this process, has it;
 * ERR_IN_USE after `wait_ms`.
 */
enum step maildir_lock(struct mailbox *m, const void *owner,
    struct lock_wait *w, int64_t wait_ms, struct err *e);
void maildir_unlock(struct mailbox *m);
/* One attempt, for what is done before the step ends. */
bool maildir_lock_now(struct mailbox *m);
/* Takes in what both keyword files say. */
int maildir_read_keywords(struct mailbox *m, struct err *e);
/* For uidlist_add(): is the message of a record not gone for good? */
bool maildir_keep_record(void *arg, uint32_t uid, struct str base);
/* Makes or repairs dovecot-uidlist, under the lock, when it needs it. */
enum step maildir_mend_list(struct mailbox *m, int64_t until_ms, struct err *e);
int maildir_mend_list_now(struct mailbox *m, struct err *e);
/* Before uidlist_add(): all records are needed when it would write anew. */
int maildir_load_for_rewrite(struct mailbox *m, struct err *e);
/* The file was written anew: records that are gone are out of it. */
void maildir_note_rewritten(struct mailbox *m);
/* Number of records in the file whose messages are gone. */
uint32_t maildir_dead_records(const struct mailbox *m);

/* ---- maildir_courier.c --------------------------------------------------- */

struct scan;
/* Has Courier served the mail whose root this is? */
bool maildir_courier_is_there(int dirfd);
/*
 * Makes dovecot-uidlist from Courier's files, if they are there (*done), under
 * the lock. -1: they can not be read now, and no other list is to be made.
 */
int maildir_courier_import(struct mailbox *m, bool *done, struct err *e);
/* For struct uidlist: brings courierimapuiddb up to date. */
void maildir_courier_written(void *arg);
/*
 * Looks whether Courier has given UIDs since: sets courier_uid of the unknown
 * files and sorts them by it, and the UID for the first of the others.
 */
void maildir_courier_uids(struct mailbox *m, struct scan *s);
/* Did Courier know all that we know? Then its silence means: none. */
bool maildir_courier_is_complete(struct mailbox *m);
/* All of Courier's files of the mailbox as they should be, now. */
int maildir_courier_give_back(struct mailbox *m, struct err *e);
/*
 * Under our lock, when Courier has given UIDs since: those that are ours to keep
 * become records, so that no other message gets them.
 */
int maildir_courier_adopt(struct mailbox *m, struct err *e);
/* One of Courier's files, whole. */
int maildir_courier_put(int dirfd, const char *name, struct str bytes,
    const struct file_perm *perm, struct file_stamp *stamp, struct err *e);

/* ---- maildir_courier_keywords.c ------------------------------------------ */

/* Takes over keywords when Courier's are newer. */
enum step maildir_courier_keywords(struct mailbox *m, int64_t until_ms);
/* Forgets what was being taken. */
void maildir_courier_end(struct maildir *md);
/* Writes keywords for Courier when they have changed; `is_last`: at once. */
void maildir_courier_flush(struct mailbox *m, bool is_last);

/* ---- maildir_courier_pop3.c ----------------------------------------------- */

/* The id of a message that has none yet, as Courier would number it. */
int maildir_courier_uidl(
    struct mailbox *m, uint32_t uid, struct buf *out, struct err *e);
/* Writes its list when it has to be; `is_last`: also for removals alone. */
void maildir_courier_pop3_flush(struct mailbox *m, bool is_last);
void maildir_courier_pop3_done(struct mailbox *m);

/* ---- maildir_courier_subs.c ---------------------------------------------- */

/* Takes over subscriptions when there are none yet, or Courier's are newer. */
void maildir_courier_subs(struct store *s);
/* Writes them for Courier. */
void maildir_courier_subs_changed(struct store *s);

/* ---- maildir_journal.c --------------------------------------------------- */

/* Has somebody been killed among the messages of an append? One system call. */
bool maildir_journal_is_there(const struct maildir *md);
/* Under the lock: does what he could not. False: there is more. */
bool maildir_journal_complete(struct mailbox *m, int64_t until_ms);
/* Forgets how far that is. */
void maildir_journal_end(struct maildir *md);

/* ---- maildir_check.c ----------------------------------------------------- */

/* Writes anew what only a change would, waiting for the lock. */
int maildir_repair(struct mailbox *m, struct err *e);

/* ---- the rest ------------------------------------------------------------ */

/* store_ops: the number of a keyword, made below the lock if need be. */
enum step maildir_keyword(
    struct mailbox *m, struct str name, size_t *number, struct err *e);
/* One attempt; ERR_NOT_FOUND: the file has another name now. */
enum step maildir_change_once(struct mailbox *m, struct msg_rec *r,
    const struct flag_change *c, bool *changed, struct err *e);
enum step maildir_set_flags(struct mailbox *m, uint32_t uid,
    const struct flag_change *c, bool *changed, struct err *e);
/* One attempt to remove the file of a LIVE record; ERR_NOT_FOUND: as above. */
int maildir_expunge_once(struct mailbox *m, struct msg_rec *r, struct err *e);
enum step maildir_expunge(
    struct mailbox *m, uint32_t uid, bool only_deleted, struct err *e);
/* Notes a message that came (sign 1) or goes (-1), for the quota. */
void maildir_count(
    struct mailbox *m, struct str base, int dirfd, const char *name, int sign);
int maildir_flush(struct mailbox *m, struct err *e);
void maildir_note_wire_size(
    struct mailbox *m, uint32_t uid, uint64_t size, uint64_t wire_size);
void maildir_note_uidl(struct mailbox *m, uint32_t uid, struct str uidl);
/* Whole sets of keywords from 26 up, under the lock. */
int maildir_save_more(struct mailbox *m, struct str lines, struct err *e);
/* Both keyword files as they should be, under the lock. */
int maildir_rewrite_keywords(struct mailbox *m, struct err *e);
int maildir_dir_fd(const struct maildir *md, const struct msg_rec *r);
void maildir_touch_begin(
    struct maildir *md, enum maildir_dir dir, struct dir_touch *t);
void maildir_touch_end(
    struct maildir *md, enum maildir_dir dir, const struct dir_touch *t);
/*
 * The same for a group of changes in both directories: begin before each, end
 * when there are no more, or somebody wants to know what the directories are.
 */
void maildir_change_begin(struct maildir *md);
void maildir_change_end(struct maildir *md);

/* ---- maildir_index.c ----------------------------------------------------- */

/* For store_ops, whose comments say what each of them does. */
bool maildir_index_place(struct store *s, struct str name, struct buf *out);
bool maildir_index_guess(struct store *s, struct str name, struct buf *out);
bool maildir_index_is_settled(struct mailbox *m);
bool maildir_index_save(struct mailbox *m, struct buf *out, bool *again);
bool maildir_index_take(struct mailbox *m, struct str saved);
bool maildir_index_is_true(
    struct store *s, struct str name, struct str place, struct str saved);
uint64_t maildir_index_side(
    struct mailbox *m, const struct msg_rec *r, struct buf *out);
bool maildir_index_load(struct mailbox *m, struct msg_rec *r, struct str side);
void maildir_index_loaded(struct mailbox *m, bool is_ours);
bool maildir_index_is_recent(struct mailbox *m, const struct msg_rec *r);
int maildir_reload(struct mailbox *m, struct err *e);
/* Where the file of a message that is not loaded lies. */
bool maildir_lazy_name(
    struct mailbox *m, uint32_t uid, enum maildir_dir *dir, char out[512]);
/* Its base and the fields of its record; good until the next call. */
bool maildir_lazy_parts(
    struct mailbox *m, uint32_t uid, struct str *base, struct str *fields);

/* APPEND and COPY into a Maildir. */
extern const struct append_ops maildir_append;

/* For store_ops: folders by their names. */
enum step maildir_list(struct store *s, struct arena *a, void **at,
    struct mbox_entry **first, struct err *e);
void maildir_list_end(void **at);
int maildir_create(struct store *s, struct str name, struct err *e);
enum step maildir_remove(
    struct store *s, struct str name, unsigned *phase, struct err *e);
int maildir_rename(
    struct store *s, struct str from, struct str to, struct err *e);
/* Makes cur, new, tmp and the UID map of a folder. */
int maildir_make_folder(int dirfd, const struct file_perm *perm, struct err *e);

static inline struct maildir *
maildir_of(const struct mailbox *m)
{
	return m->impl;
}

#endif
