/* SPDX-License-Identifier: ISC */
/*
 * acl.h - rights and whom they are given: the letters of RFC 4314, and the file
 * dovecot-acl (formats.md 2.11), of which this is a line each:
 *
 *	user=bob lrs
 *	-user=bob w
 *	"user=two words" lr
 *	group=staff lr :lookup read
 *	anyone l
 *
 * Pure: no file is touched here (rights.h does that).
 */
#ifndef STORE_ACL_H
#define STORE_ACL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

enum acl_right {
	ACL_LOOKUP = 1 << 0, /* l */
	ACL_READ = 1 << 1, /* r */
	ACL_WRITE = 1 << 2, /* w */
	ACL_SEEN = 1 << 3, /* s */
	ACL_DELETED = 1 << 4, /* t: set \Deleted */
	ACL_INSERT = 1 << 5, /* i */
	ACL_POST = 1 << 6, /* p: nothing here asks for it */
	ACL_EXPUNGE = 1 << 7, /* e */
	ACL_CREATE = 1 << 8, /* k: mailboxes below it */
	ACL_REMOVE = 1 << 9, /* x: the mailbox itself */
	ACL_ADMIN = 1 << 10, /* a */
	ACL_ALL = (1 << 11) - 1,
	ACL_NONE = 0,
	/* Each of these is enough for MYRIGHTS (RFC 4314 section 4). */
	ACL_ANY_OF = ACL_LOOKUP | ACL_READ | ACL_INSERT | ACL_CREATE |
	    ACL_REMOVE | ACL_ADMIN,
	ACL_CHANGES_FLAGS = ACL_WRITE | ACL_DELETED, /* those that all share */
};

/*
 * Letters to rights; "c" means kx, "d" means te (RFC 4314 section 2.1.1). False:
 * one is none of them.
 */
bool acl_rights_parse(struct str letters, unsigned *out);
/* "lrswitepkxacd": with the virtual c and d, as clients want them. */
void acl_rights_write(struct buf *b, unsigned rights);

/* In the order in which they count: what comes later overrides. */
enum acl_kind {
	ACL_ANYONE,
	ACL_AUTHENTICATED,
	ACL_GROUP,
	ACL_OWNER,
	ACL_USER,
	ACL_GROUP_OVERRIDE,
};

struct acl_id {
	enum acl_kind kind;
	bool is_negative; /* rights are taken away */
	struct str name; /* of a user or group */
};

/*
 * An identifier as clients write it: a user's name, "anyone", "authenticated",
 * "owner", "$staff" or "group=staff", "!$staff" or "group-override=staff",
 * "user=bob", each with "-" before it. False: empty, or with bytes that can not
 * be in the file. Borrows from `text`.
 */
bool acl_id_parse(struct str text, struct acl_id *out);
void acl_id_write(struct buf *b, const struct acl_id *id);
bool acl_id_eq(const struct acl_id *a, const struct acl_id *b);

struct acl_entry {
	struct acl_id id;
	unsigned rights;
	struct str named; /* rights by names that only others know, or empty */
};

struct acl {
	struct arena arena;
	VEC(struct acl_entry) v; /* sorted, each identifier once */
	VEC(struct str) remarks; /* lines that begin with "#" */
};

/* No entries; owned by the caller, until acl_done(). */
void acl_init(struct acl *l);
void acl_done(struct acl *l);
/*
 * The bytes of a file; at most ACL_ENTRIES_MAX lines count. ERR_CORRUPT when a
 * line is not understood: who may what is not known then, and nobody may
 * anything. `l` has just been initialised.
 */
int acl_parse(struct acl *l, struct str bytes, struct err *e);
void acl_write(const struct acl *l, struct buf *b);

/* The entry of an identifier, or NULL. */
struct acl_entry *acl_find(struct acl *l, const struct acl_id *id);
/*
 * Rights of an identifier: 0 and no named rights removes the entry. ERR_LIMIT.
 */
int acl_set(
    struct acl *l, const struct acl_id *id, unsigned rights, struct err *e);
/* Removes the entry; true when there was one. */
bool acl_remove(struct acl *l, const struct acl_id *id);

/* Somebody who is not the owner. */
struct acl_who {
	struct str user;
	const struct str *groups;
	size_t n_groups;
};

/*
 * What the list gives him: of the entries that are about him the last one in
 * the order above, less what the last negative one takes away. (So Dovecot
 * does.)
 */
unsigned acl_rights_of(const struct acl *l, const struct acl_who *who);

#endif
