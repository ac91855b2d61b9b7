/* SPDX-License-Identifier: ISC */
/* proc.h - start programs, say how they ended, process titles. */
#ifndef OS_PROC_H
#define OS_PROC_H

#include <sys/types.h>

#include "base/err.h"

#define PROC_FDS_MAX 16
#define PROC_EXIT_TEXT_MAX 80

/* Identity and limits taken on between fork and exec. */
struct proc_user {
	uid_t sysuid;
	gid_t sysgid;
	const gid_t *groups; /* supplementary ones */
	size_t n_groups;
};

struct proc_start {
	const char *path;
	const char *name; /* argv[0] */
	const char *const
	    *args; /* behind argv[0], ends with NULL; NULL: none */
	const char *const *env; /* ends with NULL */
	const int *fds; /* becomes 0, 1, 2, ... in the child */
	size_t n_fds; /* at least 3, at most PROC_FDS_MAX */
	const struct proc_user *user; /* NULL: stays what we are */
	bool new_session; /* setsid */
};

/*
 * Starts a program; every descriptor but those in `fds` is closed. An entry of
 * -1 becomes /dev/null. Signals are set to their defaults and unblocked. A
 * failure in the child (no such file, can not become the user) is reported here.
 *
 * Without `user` nothing is copied: the child shares our memory until the exec,
 * and we wait for that. It can not be held up: it is whoever we are. With
 * `user` it is forked, and its user can stop it before the exec; callers have
 * nobody else to serve.
 */
int proc_spawn(const struct proc_start *start, pid_t *pid, struct err *e);

/* "exited with status 1", "killed by signal 11 (Segmentation fault)". */
const char *proc_exit_text(int status, char *room, size_t size);

/*
 * Remembers where argv lies; call first in main(). Copies the environment
 * away, so that its room can be used for the title.
 */
void proc_title_init(int argc, char **argv);
/* What ps shows. */
void proc_title(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* An environment entry that makes room for the title of a child. */
extern const char proc_title_room[];

/* Core dumps off, not dumpable. */
int proc_harden(struct err *e);

#endif
