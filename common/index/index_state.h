/* SPDX-License-Identifier: ISC */
/*
 * index_state.h - the file "state" beside the database: whether what lies
 * there can be believed.
 */
#ifndef INDEX_INDEX_STATE_H
#define INDEX_INDEX_STATE_H

#include "base/err.h"

enum index_verdict {
	INDEX_STATE_GOOD,
	INDEX_STATE_NEW, /* nothing there, or of another version or boot */
	INDEX_STATE_DAMAGED, /* somebody met damage: keep it as data.bad */
};

/* The open and locked file; -1: there is none. */
struct index_state {
	int fd;
};

/* The kernel's id of this boot and an LF; "": it can not be had. */
const char *index_state_boot(void);

/* Opens or makes it and takes its lock, which is held while others open. */
int index_state_open(int dirfd, struct index_state *s, struct err *e);
void index_state_close(struct index_state *s);
/* Once more, of what is open; false: somebody holds it too long. */
bool index_state_lock(struct index_state *s);
void index_state_unlock(struct index_state *s);
enum index_verdict index_state_judge(struct index_state *s, int dirfd);
/* Seconds since 1970 of the last damage, 0: none. */
int64_t index_state_damaged_s(const struct index_state *s);
/* Begins anew: no database yet. `damaged_s`: when there was damage, or 0. */
int index_state_reset(struct index_state *s, int64_t damaged_s, struct err *e);
/* The database that belongs to it has been opened. */
int index_state_adopt(struct index_state *s, int dirfd, struct err *e);
/* Is the database that is open still the one in the folder? */
bool index_state_is_same(const struct index_state *s, int dirfd);
/* Before and after what a power cut could tear; durable. */
int index_state_set_clean(struct index_state *s, bool clean, struct err *e);
bool index_state_is_clean(const struct index_state *s);
/* The next one to open it begins anew. */
void index_state_mark_damaged(const struct index_state *s);
/*
 * A crash (SIGSEGV, SIGBUS, SIGABRT) between these two marks the index as
 * damaged; then the handler that was there before, or the end, has its turn.
 */
void index_state_enter(const struct index_state *s);
void index_state_leave(void);

#endif
