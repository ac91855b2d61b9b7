/* SPDX-License-Identifier: ISC */
/*
 * uidlist.h - "dovecot-uidlist": which UID each message file has, for ever.
 *
 * What the file says is handed out record by record; who keeps it in memory
 * is the caller's business (maildir_map.c).
 */
#ifndef STORE_UIDLIST_H
#define STORE_UIDLIST_H

#include "os/lock.h"

#define UIDLIST_FILE "dovecot-uidlist"
#define UIDLIST_MAX_BYTES (UINT64_C(1) << 30)

/* What the header and the records together say. */
struct uidlist_head {
	unsigned version; /* 0: no readable header */
	uint32_t uidvalidity;
	uint32_t uidnext; /* above every UID ever given */
	uint32_t last_uid;
	uint32_t n_records;
	char guid[33]; /* "" when there is none */
	char other[256]; /* header fields we do not know, " Zfoo" */
};

/*
 * A record: `fields` is what stands between UID and base ("Puidl O3"). With
 * uid 0: all that was told before is void, records begin anew.
 */
typedef void uidlist_record_fn(
    void *arg, uint32_t uid, struct str base, struct str fields);

enum uidlist_verdict {
	UIDLIST_FINE,
	UIDLIST_TORN, /* the last line has no LF */
	UIDLIST_BROKEN, /* a line that can not be; reading stopped there */
};

/*
 * Parses `bytes`; with `is_start` they begin with the header. Pure. *used: bytes
 * of whole lines. `lenient`: lines that can not be are passed over, UIDs need
 * not ascend. *line: where it stopped, counted from 1.
 */
enum uidlist_verdict uidlist_parse(struct uidlist_head *h, struct str bytes,
    bool is_start, bool lenient, uidlist_record_fn *fn, void *arg, size_t *used,
    unsigned *line);
/* The next field of a record's fields; false at the end. */
bool uidlist_field(struct str *fields, char *key, struct str *value);

/* Fields to write for a record; empty: those that it has. */
typedef struct str uidlist_fields_fn(void *arg, uint32_t uid);

struct uidlist {
	int dirfd;
	uidlist_fields_fn *fields; /* for a rewrite; may be NULL */
	/* The file was written and the lock is about to be given back. */
	void (*written)(void *arg);
	void *arg; /* of both */
	bool was_written;
	const struct file_perm *perm;
	struct dotlock_rules rules;
	struct dotlock lock;
	char guid[33]; /* for a new file; "": one of its own */
	struct uidlist_head head;
	struct file_stamp stamp; /* of what was read; zeroed: nothing */
	uint64_t read_to; /* whole lines read so far */
	struct file_tail tail; /* what ends there */
	bool is_torn; /* seen under the lock */
	bool is_broken; /* the file needs uidlist_repair() */
	bool must_rewrite; /* the next change is a rewrite */
	bool is_planned; /* begun by uidlist_plan(), and not on disk yet */
	struct uidlist_reading *reading; /* of uidlist_read_some() */
};

/*
 * Nothing is read yet. Both descriptors stay the caller's and must live on, as
 * must `perm`; what is written anew is made in `tmp_dirfd`.
 */
void uidlist_init(
    struct uidlist *l, int dirfd, int tmp_dirfd, const struct file_perm *perm);
void uidlist_done(struct uidlist *l);

/*
 * A new list that is written, and created, with its first records: whoever has
 * the lock adds them before he gives it back, and nobody hears of `uidvalidity`
 * before that. uidlist_unplan() forgets one that did not get that far.
 */
void uidlist_plan(struct uidlist *l, uint32_t uidvalidity);
void uidlist_unplan(struct uidlist *l);

/* Takes the lock; ERR_IN_USE after `wait_ms`. */
int uidlist_lock(struct uidlist *l, int64_t wait_ms, struct err *e);
void uidlist_unlock(struct uidlist *l);

/* Has the file changed since it was last read? */
bool uidlist_has_changed(const struct uidlist *l);
/* Was it only appended to? */
bool uidlist_is_longer(const struct uidlist *l);
/*
 * Reads what is new. ERR_NOT_FOUND: no file. ERR_CORRUPT: repair it (see
 * is_broken). Without the lock a last line without LF is left for later.
 */
int uidlist_read(
    struct uidlist *l, uidlist_record_fn *fn, void *arg, struct err *e);
/*
 * The same until clock_mono_ms() says `until_ms`; STEP_MORE: call again. Of a
 * broken file nothing is told, a file that is good is told in pieces.
 */
enum step uidlist_read_some(struct uidlist *l, uidlist_record_fn *fn, void *arg,
    int64_t until_ms, struct err *e);
/* Gives up on what uidlist_read_some() has begun. */
void uidlist_read_end(struct uidlist *l);

/* A record to write. */
struct uidlist_new {
	uint32_t uid;
	struct str base;
	struct str fields; /* "Gxyz", may be empty */
};

/* Is a record still needed? */
typedef bool uidlist_keep_fn(void *arg, uint32_t uid, struct str base);

/*
 * Adds records, durably, under the lock: by one write at the end, or, when the
 * file must be rewritten or `n_dead` of its records is a quarter, whole, without
 * those that `keep` does not want. uidnext is raised above all of them.
 */
int uidlist_add(struct uidlist *l, const struct uidlist_new *v, size_t n,
    uint32_t n_dead, uidlist_keep_fn *keep, void *arg, bool *rewritten,
    struct err *e);
/* Writes the file anew, under the lock. */
int uidlist_rewrite(struct uidlist *l, const struct uidlist_new *v, size_t n,
    uidlist_keep_fn *keep, void *arg, struct err *e);
/*
 * Makes a readable file of a broken one, under the lock, and keeps the old
 * one as dovecot-uidlist.broken.SECS. ERR_CORRUPT: nothing could be read, the
 * file is out of the way. `told`: a line for the administrator.
 */
int uidlist_repair(struct uidlist *l, char told[200], struct err *e);
/* The fields of a record that is made for this base. */
typedef struct str uidlist_base_fn(void *arg, struct str base);

/*
 * Makes the file from one of an older version or of Courier's
 * "courierimapuiddb", under the lock. ERR_CORRUPT: no header.
 */
int uidlist_import(struct uidlist *l, struct str bytes, uidlist_base_fn *fields,
    void *arg, struct err *e);
/* The first file of a mailbox, under the lock. */
int uidlist_create(struct uidlist *l, uint32_t uidvalidity, uint32_t uidnext,
    const struct uidlist_new *v, size_t n, struct err *e);

#endif
