/* SPDX-License-Identifier: ISC */
/*
 * meta.h - annotations of mailboxes and of the server (RFC 5464), and the
 * special uses that are one of them (RFC 6154 section 4).
 *
 * In files of their own (meta_file.h), which no other program looks at:
 *
 *	Maildir	restante-metadata	/shared, in the mailbox's folder
 *		restante-private	/private of the owner, mode 0600, likewise
 *	mbox	mbox/KEY.metadata, mbox/KEY.private	in the state folder, KEY is
 *		the MD5 of the file's path
 *	others'	meta-KEY	/private of a viewer, in his state folder
 *	server	restante-server	/private, in INBOX's folder; or mbox/server.private
 *
 * So in a Maildir they go where the folder goes, whoever renames or removes it.
 * Which of the user's mailboxes have a special use is in a list beside INBOX's
 * files (restante-special, mbox/special): a hint, their own files decide.
 *
 * Each file is changed below a dotlock and replaced as a whole.
 */
#ifndef STORE_META_H
#define STORE_META_H

#include "store/meta_file.h"
#include "os/lock.h"
#include "store/mailbox_impl.h"
#include "store/store.h"

/* ---- entries --------------------------------------------------------------- */

/* RFC 5464 section 3.2: may it stand in a command? */
bool meta_name_is_valid(struct str name);
/* May it be set: has it as many levels as it must? */
bool meta_name_is_complete(struct str name);
bool meta_name_is_private(struct str name);

/*
 * All entries of a mailbox, of the server with an empty name, in `a`.
 * ERR_NOT_FOUND, ERR_PERM (RFC 5464 section 3.3).
 */
int meta_load(struct store *s, struct str mailbox, struct arena *a,
    struct meta_entry **first, struct err *e);

/* One change; zeroed: not yet begun. */
struct meta_job {
	struct dotlock locks[2];
	struct dotlock uses; /* of the list of special uses */
	struct lock_wait wait, take_wait;
	bool is_written; /* others are to give up what it has now */
	bool has_uses; /* who calls has that list */
	uint32_t too_large; /* ERR_LIMIT: 0 for too many, or the most bytes */
};

/*
 * Sets entries, or removes those without a value: all or none. `by` is who is
 * not to be told. ERR_LIMIT: see job->too_large; ERR_PERM: these can not be
 * changed; ERR_UNSUPPORTED: such a special use can not be had.
 */
enum step meta_change(struct store *s, struct meta_job *job, struct str mailbox,
    const struct meta_entry *changes, const void *by, struct err *e);

/* ---- who is told ----------------------------------------------------------- */

/*
 * Hears of each change that a session of this process makes, but for those
 * that it has made itself (`by`).
 */
struct meta_listener {
	struct list link;
	const void *self;
	void (*changed)(
	    void *arg, struct str mailbox, const struct meta_entry *entries);
	void *arg;
};

/* `l` is the caller's, filled in, and stays where it is until meta_unlisten(). */
void meta_listen(struct store *s, struct meta_listener *l);
void meta_unlisten(struct meta_listener *l);

struct tree_spot;
/* The folders of both files of a mailbox of this store ("": of the server's). */
unsigned meta_spots(struct store *s, struct str name, struct tree_spot *out);

/* ---- what becomes of a mailbox; for store.c and backends ------------------- */

/* INBOX was renamed to `to`: what it has is copied, RFC 5464 section 4.1. */
void meta_copy_inbox(struct store *s, struct str to);
/*
 * Names of this store: a mailbox and those below it are about to get other ones,
 * and they have them, or that has failed. Until the first is STEP_DONE they must
 * not get them. ERR_IN_USE.
 */
enum step meta_renaming(struct store *s, struct str from, struct str to,
    struct lock_wait *wait, struct err *e);
void meta_not_renamed(struct store *s, struct str from, struct str to);
void meta_renamed(struct store *s, struct str from, struct str to);
/* The same of an mbox file by its path, without those below it; `to` NULL:
 * removed. False: it can not be done now. */
bool meta_file_moved_one(
    const struct store *s, const char *from, const char *to);
/* One file `name` of the state's, if it is about `from` or what is below it. */
bool meta_file_moved_file(
    const struct store *s, const char *name, const char *from, const char *to);

/* ---- special uses ---------------------------------------------------------- */

/* "\\Sent \\Junk" to bits 1 << enum special_use. False: not to be had. */
bool meta_uses_parse(struct str value, unsigned *uses);
void meta_uses_write(unsigned uses, struct buf *out);

struct meta_use {
	struct str name; /* of the store's */
	unsigned uses;
	struct meta_use *next;
};
/* Those of the user's own mailboxes that have been given one. */
struct meta_use *meta_uses(struct store *s, struct arena *a);

#endif
