/* SPDX-License-Identifier: ISC */
/*
 * priv.h - give up rights, and prove that they are gone.
 */
#ifndef OS_PRIV_H
#define OS_PRIV_H

#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

/* Effective uid 0. */
bool priv_is_root(void);

/*
 * setgroups, setresgid, setresuid, then checks that nothing of the old identity
 * is left and that uid 0 can not be had again. Refuses sysuid 0.
 */
int priv_drop(uid_t sysuid, gid_t sysgid, const gid_t *groups, size_t n_groups,
    struct err *e);

/*
 * The same without groups, but the capabilities in `keep` stay, effective and
 * permitted (as far as they were there), and only they.
 */
int priv_drop_but(uid_t sysuid, gid_t sysgid, uint64_t keep, struct err *e);

/* Makes the directory the root; it must be root's and writable by nobody else. */
int priv_chroot(const char *path, struct err *e);

/* PR_SET_NO_NEW_PRIVS: no exec gains rights from here on. */
int priv_no_new_privs(struct err *e);

/*
 * Root keeps only the capabilities in the bit mask `keep` (1 << CAP_KILL) in
 * its effective and permitted sets; the bounding set stays, so that a program
 * executed as root has all again.
 */
int priv_keep_caps(uint64_t keep, struct err *e);
/* True when the effective and permitted sets are empty. */
bool priv_has_no_caps(void);

/* An account and its primary group, as numbers. */
struct priv_id {
	uid_t sysuid;
	gid_t sysgid;
};
/*
 * "name" by the name service, with its primary group; or "uid", "uid:gid" as
 * numbers (gid: the same number). ERR_NOT_FOUND when there is no such account.
 */
int priv_find_user(const char *text, struct priv_id *out, struct err *e);

#endif
