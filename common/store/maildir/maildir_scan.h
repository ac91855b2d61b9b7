/* SPDX-License-Identifier: ISC */
/* maildir_scan.h - one look at new/ and cur/. */
#ifndef STORE_MAILDIR_SCAN_H
#define STORE_MAILDIR_SCAN_H

#include "store/maildir/maildir_impl.h"

/* A file that was met. */
struct sighting {
	size_t index; /* of its record, NO_REC */
	uint8_t dir;
	struct str name; /* in the arena */
	struct str base; /* its beginning */
	uint64_t hash; /* of that */
	struct maildir_time time; /* for those without an UID */
	uint32_t courier_uid; /* that Courier gave it, or 0 */
	size_t order;
};

struct scan {
	struct arena arena;
	unsigned dirs; /* which are read: bits 1 << DIR_* */
	bool is_stable; /* nothing changed while we read */
	bool is_disturbed; /* we have changed something ourselves meanwhile */
	int looks; /* before this one */
	size_t n_given; /* of `unknown`: those that have their UIDs */
	uint32_t next_uid; /* for those that Courier did not know, or 0 */
	/* How far it is. */
	bool is_reading, is_in_dir;
	enum maildir_dir dir;
	struct timespec dir_mtime;
	uint32_t own_changes;
	uint32_t loads; /* of the mailbox when the reading began */
	char *bytes; /* as read */
	unsigned lookups; /* of files that no loaded record knows */
	bool needs_all; /* a file of a message that is not loaded was met */
	VEC(struct sighting) unknown; /* no record, or one that is gone */
	VEC(struct sighting) renamed; /* other place or info than the record */
	VEC(struct sighting) again; /* second file of a record */
	VEC(struct sighting) nameless; /* empty base */
};

#define BOTH_DIRS (1u << DIR_NEW | 1u << DIR_CUR)

/* `dirs`: bits 1 << enum maildir_dir. scan_done() closes what is open. */
void scan_init(struct scan *s, unsigned dirs);
void scan_done(struct scan *s);
/*
 * Reads the directories in s->dirs, new/ first. Records whose file is met get
 * OWN_SEEN; WAITING ones take their name at once.
 */
void scan_begin(struct mailbox *m, struct scan *s);
enum step scan_read_some(
    struct mailbox *m, struct scan *s, int64_t until_ms, struct err *e);
bool scan_stat(
    const struct maildir *md, const struct sighting *s, struct stat *st);
/* Is the directory unread, or may it have changed since? Two system calls. */
bool scan_is_needed(const struct maildir *md, enum maildir_dir dir);
/* Can events be relied on to tell of every change in the directories? */
bool scan_is_watched(const struct maildir *md);
/*
 * Could a change after a look at `read_us` have left the time as it is?
 * `is_local`: the file system has its times from this host's clock.
 */
bool scan_is_racy(bool is_local, const struct timespec *mtime, int64_t read_us);

/* ---- maildir_look.c, maildir_uids.c -------------------------------------- */

/* Reads the directories until it is clear what is there. */
enum step maildir_look(
    struct mailbox *m, struct scan *s, int64_t until_ms, struct err *e);
/* Leaves in s->unknown what still has no UID, in the order of arrival. */
void maildir_sift_unknown(struct mailbox *m, struct scan *s);
/* Gives UIDs to some of them, under the lock. */
enum step maildir_give_uids(struct mailbox *m, struct scan *s, struct err *e);
/* The record's message is gone. */
void maildir_forget(struct mailbox *m, struct msg_rec *r);

static inline struct str
maildir_base_of(struct str name)
{
	return str_head(name, str_find(name, ':'));
}

#endif
