/* SPDX-License-Identifier: ISC */
/*
 * share.h - gives others rights on a mailbox, and takes them: in its dovecot-acl
 * and, where users have uids of their own, in the access lists of its files
 * (posix_acl.h), so that the kernel says the same to every program.
 *
 * What the kernel can tell apart is less than what RFC 4314 names:
 *
 *	l		the folder can be passed, dovecot-acl be read
 *	r		its messages can be read
 *	w t i e		its files can be made, renamed and removed: all or none,
 *			and not without r
 *	s p		nothing: \Seen is each viewer's own
 *	k x a		can not be given: whoever may make or remove mailboxes may
 *			do so with all others beside it
 *
 * The folders above are made passable for those who are named, and the root of
 * the mail readable: they see the names of its mailboxes.
 */
#ifndef STORE_SHARE_H
#define STORE_SHARE_H

#include "store/rights.h"

/* Names here are those of clients; `s` is the user's own store. */

/* ERR_NOT_FOUND also for those who have no right at all. */
int store_my_rights(
    struct store *s, struct str name, unsigned *out, struct err *e);
/*
 * Who has rights beside the owner. `l` has just been initialised; *owner: his
 * name, or empty (public mail), in the store. ERR_NOT_FOUND, ERR_PERM.
 */
int store_acl(struct store *s, struct str name, struct acl *l,
    struct str *owner, struct err *e);

/* Rights that an identifier always has, and sets of which it can have each. */
struct acl_sets {
	unsigned required, v[16];
	size_t n;
};

/* For LISTRIGHTS (RFC 4314 section 3.7). ERR_NOT_FOUND, ERR_PERM. */
int store_acl_sets(struct store *s, struct str name, const struct acl_id *id,
    struct acl_sets *out, struct err *e);

/* SETACL without a sign, with "+", with "-"; DELETEACL (RFC 4314). */
enum acl_op { ACL_REPLACE, ACL_ADD, ACL_TAKE, ACL_DELETE };

/* `rights` are bits of acl.h. */
struct acl_change {
	struct acl_id id;
	enum acl_op op;
	unsigned rights;
};

struct share_result {
	unsigned left_out; /* rights that come only with others */
	char note[300]; /* what still keeps them out, in words; or "" */
};

/*
 * *job begins as NULL; share_job_free() at the end or to give up: a later call
 * completes what was begun. ERR_UNSUPPORTED: the rights can not be given, with a
 * sentence for the client in e->text.
 */
struct share_job;
enum step store_acl_change(struct store *s, struct str name,
    const struct acl_change *c, struct share_job **job,
    struct share_result *out, struct err *e);
void share_job_free(struct share_job **job);
/*
 * A mailbox that has just been made in the store `s` gets the rights of the one
 * above it. What can not be done is left.
 */
void share_inherit(struct store *s, struct str name);

/*
 * For store_on_share(): the mailbox that had this place is no more, and the one
 * of this name has come to another with its rights.
 */
void share_tell_gone(struct store *s, const struct rights_place *p);
void share_tell_again(struct store *s, struct str name);

/* ---- share_moved.c --------------------------------------------------------- */

/*
 * The shared mailboxes below one that is about to be renamed, in steps; *m begins
 * as NULL. When it has its new name, that is told of each.
 */
struct share_moved;
enum step share_moved_find(
    struct store *s, struct str from, struct share_moved **m);
/* `to`: the new name of what was `from`. */
void share_moved_tell(struct share_moved *m, struct str to);
/* At the end, or to give up; nothing is told then. */
void share_moved_free(struct share_moved **m);

/* ---- share_ids.c ----------------------------------------------------------- */

/* Do users have uids of their own, as far as can be seen? */
bool share_has_uids(struct store *s);
/* The uid of a user, by the owner of his home; false: not known. */
bool share_uid_of(struct store *s, struct str user, uint32_t *sysuid);
bool share_gid_of(struct str group, uint32_t *sysgid);

/* ---- share_posix.c --------------------------------------------------------- */

/* What of a mailbox the file system opens; each has those before it. */
enum share_level { SHARE_NONE, SHARE_LOOK, SHARE_READ, SHARE_CHANGE };

struct share_target {
	struct acl_id id; /* borrowed */
	int kind; /* enum posix_acl_kind */
	uint32_t number; /* uid or gid */
	enum share_level level;
	bool is_changed; /* it is what was asked for */
	bool is_denied; /* even what all others may */
};

#define ACL_TIED (ACL_WRITE | ACL_DELETED | ACL_INSERT | ACL_EXPUNGE)

/* The most of what the kernel can tell apart that these rights have whole. */
enum share_level share_level_of(unsigned rights);
/* What those may who are in no list, by the modes and the folders above. */
unsigned share_rights_of_others(const struct rights_place *p);
/* Has the file system access lists? */
bool share_can_list(const struct rights_place *p);

/*
 * Brings the files of a place to what the targets may; files in steps, *at is
 * the caller's, NULL at first, freed at the end or by share_files_end(). `note`
 * says which folder above keeps them out.
 */
struct share_files;
enum step share_files(const struct store *s, const struct rights_place *p,
    const struct share_target *t, size_t n, struct share_files **at,
    char note[300], struct err *e);
void share_files_end(struct share_files **at);
/* The folders above are closed again for a target that has no other mailbox. */
void share_close_way(const struct store *s, const struct rights_place *p,
    const struct share_target *t);

#endif
