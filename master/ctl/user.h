/* SPDX-License-Identifier: ISC */
/*
 * user.h - the user whose mail a command is about, and a process that is he:
 * restantectl never touches a user's files as root.
 */
#ifndef CTL_USER_H
#define CTL_USER_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "ctl.h"
#include "store/store.h"

struct ctl_user {
	const char *name, *home, *mail_location;
	const char *folder_names, *courier_compat;
	const char *mbox_read_locks, *mbox_write_locks;
	uint32_t mbox_lock_timeout_s, mbox_dotlock_stale_s;
	const char *pop3_uidl;
	bool reuse_xuidl;
	const char *index_dir, *state_dir; /* the settings */
	const char *other_users_location; /* the setting, too */
	bool serves_others; /* set it: others' mail is of interest */
	const char *index; /* the folder of his index, NULL: none is kept */
	const char *state; /* of his state, for ctl_user_run(); or NULL */
	uid_t sysuid;
	gid_t sysgid;
};

/*
 * As logins find him: in the passwd-file, if `auth` says so, then among the
 * accounts. Root may name anybody whose uid may log in, others themselves.
 * ERR_NOT_FOUND, ERR_PERM.
 */
int ctl_user_find(const struct ctl_options *o, const char *name,
    struct arena *a, struct ctl_user *out, struct err *e);

/* In a child: takes his ids. */
int ctl_user_become(const struct ctl_user *u, struct err *e);
/* The folder of his state, made if need be. ERR_PERM. */
int ctl_user_state(
    const struct ctl_user *u, char *out, size_t size, struct err *e);
/*
 * The program that serves him, and the folder of his index, made if need be;
 * both have room for `size` bytes. ERR_NOT_FOUND, ERR_PERM, ERR_UNSUPPORTED.
 */
int ctl_user_imapd(const struct ctl_options *o, const struct ctl_user *u,
    char *program, char *index, size_t size, struct err *e);

/* For what such a process tells: a field of a line, and what ends it. */
void ctl_add_field(struct buf *out, struct str s, char end);

/* Runs in a process of the user; returns its exit status. */
typedef int ctl_user_fn(
    const struct store_settings *set, struct buf *out, void *arg);

/*
 * Calls fn in a child that has become the user and is confined to his mail; what
 * it writes into `out` is in `out` here. With `read_only` its mail place is not
 * made when it is missing. Returns fn's status, -1 with *e when there is none.
 */
int ctl_user_run(const struct ctl_user *u, bool read_only, ctl_user_fn *fn,
    void *arg, struct buf *out, struct err *e);

#endif
