/* SPDX-License-Identifier: ISC */
/*
 * spool_lock.h - the dotlock of one mbox file, wherever it lies: made by this
 * process where it may write to the folder, else by the helper that may (spoold,
 * for the user's own file in the spool).
 *
 * Nothing here waits: a step says what is so now, and when to come again, so
 * that the other sessions of the process have their turn. Beside it the caller
 * holds its fcntl lock (formats.md 8.2): while the step says LOCK_WAIT and
 * spool_lock_is_busy(), he lets go of that until the next step; while it only
 * waits for the helper's word, a moment, he keeps it.
 *
 *	     begin            step: LOCK_DONE           end
 * (zeroed) ---> wanted -----------------------> held ----> (zeroed)
 *	            | step: LOCK_FAIL (deadline, no right)
 *	            `------------------------------------- end --> (zeroed)
 */
#ifndef OS_SPOOL_LOCK_H
#define OS_SPOOL_LOCK_H

#include "os/lock.h"

/* A dotlock of somebody else is broken when nothing changed for so long. */
#define SPOOL_LOCK_STALE_S 300

struct spool_helper_answer {
	enum lock_step step;
	dev_t dev; /* LOCK_DONE: of the lock file */
	ino_t ino;
	bool busy; /* LOCK_WAIT: somebody else has it */
	int64_t retry_ms; /* LOCK_WAIT */
	char holder[DOTLOCK_HOLDER_MAX];
	struct err why; /* LOCK_FAIL */
};

/*
 * What a helper offers; all calls return at once. Only one lock at a time: two
 * of one file would mean that this process competes with itself.
 */
struct spool_helper {
	/* Is `path` the file that it locks for us? */
	bool (*serves)(void *arg, const char *path);
	/* Asks (again), or tells what has been answered meanwhile. `create`:
	 * the file itself is made when it is not there. */
	void (*lock)(void *arg, bool create, struct spool_helper_answer *out);
	/* Lets go of it, or takes the request back. */
	void (*unlock)(void *arg);
	void (*touch)(void *arg);
	/* Waits up to `ms` for an answer, for a caller without a loop. */
	void (*wait)(void *arg, int64_t ms);
};

/* For the life of the process; NULL: none. */
void spool_lock_set_helper(const struct spool_helper *h, void *arg);

/* Zeroed: nothing wanted, nothing held. */
struct spool_lock {
	char *path;
	const char *name; /* its last component */
	int dirfd;
	bool held, busy, create, exclusive;
	bool by_helper;
	uint32_t stale_s;
	int n_tries;
	int64_t deadline_ms;
	struct dotlock dot;
	dev_t dev; /* by_helper: of the lock file */
	ino_t ino;
	int64_t touched_ms;
	char holder[DOTLOCK_HOLDER_MAX]; /* "process 12 of host mx, ..." */
};

struct spool_lock_options {
	int64_t wait_ms; /* from begin to LOCK_FAIL with ERR_IN_USE */
	uint32_t stale_s; /* 0: SPOOL_LOCK_STALE_S */
	bool create; /* an empty file is made if there is none */
	bool exclusive; /* O_EXCL in place of link(2) */
};

/*
 * Wants the lock of the file `path` (absolute; it need not exist). Takes
 * nothing yet. -1: the folder can not be opened.
 */
int spool_lock_begin(struct spool_lock *l, const char *path,
    const struct spool_lock_options *o, struct err *e);
/*
 * LOCK_DONE: we have it. LOCK_WAIT: come again after *retry_ms. LOCK_FAIL:
 * ERR_IN_USE when the time is over (the text names the holder), ERR_PERM or
 * ERR_READ_ONLY when neither we nor a helper may make the lock there (the
 * caller may go on with fcntl alone, and says so in the log), ERR_NO_SPACE, ...
 */
enum lock_step spool_lock_step(
    struct spool_lock *l, int64_t *retry_ms, struct err *e);
/* Sleeps for so long, or until the helper says something. */
void spool_lock_wait(const struct spool_lock *l, int64_t ms);
/* After LOCK_WAIT: somebody else has the lock. */
bool spool_lock_is_busy(const struct spool_lock *l);
/* False when somebody broke it: then nothing may be written any more. */
bool spool_lock_is_ours(const struct spool_lock *l);
/* Long work calls this now and then; touches the lock each 10 s. */
void spool_lock_keep(struct spool_lock *l);
/* Lets go of it, if we have it, and of the wish. */
void spool_lock_end(struct spool_lock *l);
/*
 * Begin and all steps, sleeping: for programs that serve nobody else
 * meanwhile. 0, or -1 as LOCK_FAIL.
 */
int spool_lock_take(struct spool_lock *l, const char *path,
    const struct spool_lock_options *o, struct err *e);

#endif
