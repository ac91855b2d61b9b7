/* SPDX-License-Identifier: ISC */
/*
 * posix_acl.h - access lists of files (acl(5)) as the kernel keeps them, in the
 * attributes system.posix_acl_access and _default (linux/posix_acl_xattr.h).
 * Not by libacl, which knows the default list by path alone.
 */
#ifndef OS_POSIX_ACL_H
#define OS_POSIX_ACL_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum { POSIX_ACL_MAX = 200 }; /* named users and groups */

/* Whom an entry is about, and which of a file's two lists. */
enum posix_acl_kind { POSIX_ACL_USER, POSIX_ACL_GROUP, POSIX_ACL_OTHER };
enum posix_acl_type { POSIX_ACL_ACCESS, POSIX_ACL_DEFAULT };

struct posix_acl_entry {
	enum posix_acl_kind kind; /* USER or GROUP */
	uint32_t number; /* uid or gid */
	uint8_t perm; /* 4 read, 2 write, 1 execute */
};

struct posix_acl {
	uint8_t owner, group, other; /* permissions */
	uint8_t mask; /* of all but owner and other; with entries */
	bool has_mask;
	struct posix_acl_entry v[POSIX_ACL_MAX];
	size_t n;
};

/* What a mode means. */
void posix_acl_of_mode(struct posix_acl *l, mode_t mode);
/* The attribute's value. False: not in the kernel's form, or too long. */
bool posix_acl_parse(struct posix_acl *l, struct str bytes);
void posix_acl_write(const struct posix_acl *l, struct buf *b);
/*
 * Gives `perm`, as it counts behind the mask; -1 removes the entry (of OTHER:
 * nothing is left). True when something changed. ERR_LIMIT is a false with
 * *full set.
 */
bool posix_acl_set(struct posix_acl *l, enum posix_acl_kind kind,
    uint32_t number, int perm, bool *full);
/* What the list lets a user who is in no group; -1: not named, others' then. */
int posix_acl_of(
    const struct posix_acl *l, enum posix_acl_kind kind, uint32_t number);

/*
 * Of an open file or folder; of a folder opened with O_PATH with `is_path`, from
 * within (the working directory is as before afterwards). Without a list: what
 * the mode says; of DEFAULT an empty one, *is_there false. ERR_UNSUPPORTED where
 * the file system keeps none.
 */
int posix_acl_load(int fd, bool is_path, enum posix_acl_type type,
    struct posix_acl *out, bool *is_there, struct err *e);
/* A list without entries becomes a mode; an empty DEFAULT goes. */
int posix_acl_save(int fd, bool is_path, enum posix_acl_type type,
    const struct posix_acl *l, struct err *e);

#endif
