/* SPDX-License-Identifier: ISC */
/*
 * lock.h - dotlocks: a file NAME.lock beside NAME says who changes NAME.
 * The same rules as Dovecot's, so that both agree when a lock is stale.
 */
#ifndef OS_LOCK_H
#define OS_LOCK_H

#include "os/file.h"

/* What came of one attempt to take a lock. */
enum lock_step {
	LOCK_DONE,
	LOCK_WAIT, /* somebody else has it, or an answer is outstanding */
	LOCK_FAIL,
};

struct dotlock_rules {
	uint32_t stale_s; /* break when nothing changed for so long */
	mode_t mode; /* of the lock file */
	int temp_dir; /* descriptor of a folder for a temporary name; -1: none */
	bool exclusive; /* make it with O_EXCL in place of link(2) */
	/* For a process that locks in the name of another one: */
	pid_t pid; /* who is named as the holder; 0: this process */
	bool give; /* the file becomes that of `owner` and `group` */
	uid_t owner;
	gid_t group;
};

#define DOTLOCK_NAME_MAX 264
#define DOTLOCK_HOLDER_MAX 160

/*
 * Zeroed: free. What was seen of somebody else's lock stays between two
 * attempts, so a stale one is broken even by callers who wait briefly.
 */
struct dotlock {
	bool held;
	int dirfd;
	char name[DOTLOCK_NAME_MAX]; /* "NAME.lock" */
	int fd; /* our lock file: while it is open, no other has its number */
	dev_t dev;
	ino_t ino;
	char first; /* byte of its content, to write it again */
	int64_t taken_ms, touched_ms;
	struct file_stamp seen_lock, seen_file;
	int64_t seen_since_ms;
	/* Of a lock that is taken again and again the file is kept. */
	unsigned n_soon; /* so often in a row, each soon after the last */
	bool has_spare; /* `fd`, called `spare` in `spare_dir` */
	int spare_dir;
	mode_t spare_mode;
	char spare[64];
};

/*
 * Takes the lock for `name` in `dirfd`, sleeping between attempts, for at most
 * `wait_ms` (0: one attempt, never sleeping; one that found a stale lock
 * removes it and leaves the taking to the next). ERR_IN_USE when somebody has it; ERR_PERM,
 * ERR_READ_ONLY, ERR_NO_SPACE when the folder can not be written.
 */
int dotlock_take(struct dotlock *l, int dirfd, const char *name,
    const struct dotlock_rules *rules, int64_t wait_ms, struct err *e);
/*
 * One attempt that does not sleep. LOCK_WAIT: somebody has it (dotlock_holder
 * says who); it is worth coming back after *retry_ms.
 */
enum lock_step dotlock_try(struct dotlock *l, int dirfd, const char *name,
    const struct dotlock_rules *rules, int64_t *retry_ms, struct err *e);
/*
 * Takes over the lock file of this number (ino 0: any), made by an earlier
 * process like this one for `pid` of this host. False: it is not there.
 */
bool dotlock_adopt(struct dotlock *l, int dirfd, const char *name, dev_t dev,
    ino_t ino, pid_t pid);
/* "process 12 of host mx since 3 s", for people; "" when it is not held. */
void dotlock_holder(int dirfd, const char *name, char out[DOTLOCK_HOLDER_MAX]);
/* False when somebody broke it: then nothing may be written any more. */
bool dotlock_is_ours(const struct dotlock *l);
/* Long work calls this now and then; touches the file each 10 s. */
void dotlock_keep(struct dotlock *l);
/* Touches it now. False when it is not ours any more. */
bool dotlock_touch(struct dotlock *l);
/*
 * Removes the lock file if it is still ours. One in a folder with a temporary
 * name that is taken many times in a row is put aside for the next time.
 */
void dotlock_release(struct dotlock *l);
/* Removes what was put aside: to be called at the end, and when nothing comes. */
void dotlock_rest(struct dotlock *l);
/* The longest time that this process has held one, in milliseconds. */
int64_t dotlock_longest_ms(void);
/* Host name as it stands in lock files. */
const char *dotlock_host(void);

#endif
