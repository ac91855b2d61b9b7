/* SPDX-License-Identifier: ISC */
/*
 * mbox_shift.h - changes bytes in the midst of an mbox file so that, whenever
 * we are killed, nothing is lost or doubled, and what a delivery agent appends
 * meanwhile is kept.
 *
 * What moves, moves in rounds, past a hole of newlines: between two messages,
 * or at the end of one, that is still an mbox file. Each round is in a journal,
 * durably, before the file is touched; whoever opens the file next does the
 * round again and takes the hole out.
 */
#ifndef STORE_MBOX_SHIFT_H
#define STORE_MBOX_SHIFT_H

#include "base/buf.h"
#include "base/err.h"

struct mbox_shift_work;

/* Replaces `del` bytes at `off` by `ins`. */
struct mbox_edit {
	uint64_t off, del;
	struct str ins;
};

struct mbox_shift {
	int fd; /* the mbox file, locked for writing */
	const char *dir; /* of the journals, absolute; made if need be */
	const char *path; /* of the mbox file, for people */
	void (*keep)(void *arg); /* called now and then; may be NULL */
	void *arg;
	size_t chunk_bytes; /* 0: as the code thinks best */
	int journal; /* -1: not open yet */
	struct mbox_shift_work *work; /* what is under way, or NULL */
	uint64_t seq;
	uint64_t dev, ino;
	bool is_room; /* what is being appended has no NUL */
};

/* Zeroes all but fd, dir, path, keep, arg, chunk_bytes. */
void mbox_shift_init(struct mbox_shift *s);
void mbox_shift_done(struct mbox_shift *s);
/*
 * Makes the changes, which ascend, do not overlap and are borrowed until the
 * end: by steps of some milliseconds each, between which the lock is kept.
 * Afterwards the file is whole and durable. On failure nothing is lost: what
 * was done stays, what was not is not; the caller reads the file again.
 * ERR_NO_SPACE. mbox_shift_done() in the midst leaves the rest to recovery.
 */
int mbox_shift_begin(
    struct mbox_shift *s, const struct mbox_edit *v, size_t n, struct err *e);
/* Can they be made by moving every byte once? */
bool mbox_shift_is_one_way(const struct mbox_edit *v, size_t n);
enum step mbox_shift_step(struct mbox_shift *s, struct err *e);
bool mbox_shift_is_busy(const struct mbox_shift *s);
/* All steps at once. */
int mbox_shift_apply(
    struct mbox_shift *s, const struct mbox_edit *v, size_t n, struct err *e);
/*
 * Makes room of `n` bytes at the end for a message, which begins with `start`
 * (256 bytes at most are looked at). The caller fills it, then calls
 * mbox_shift_end(), or after a failure mbox_shift_cut(). `has_nul`: there are
 * NULs among the bytes, which costs a sync more.
 */
int mbox_shift_extend(struct mbox_shift *s, uint64_t n, struct str start,
    bool has_nul, uint64_t *off, struct err *e);
int mbox_shift_end(struct mbox_shift *s, struct err *e);
void mbox_shift_cut(struct mbox_shift *s, uint64_t off);
/*
 * Is there a round that was not finished? -1: that can not be told now (no more
 * descriptors, a bad disk): the file must be left alone.
 */
int mbox_shift_look(struct mbox_shift *s, bool *is_pending, struct err *e);
/*
 * When the journal was written last, in nanoseconds; 0: there is none. It is
 * another time whenever one who writes has got on, also for who has no lock.
 */
int64_t mbox_shift_written_ns(const struct mbox_shift *s);
/*
 * Finishes what somebody has begun, or leaves the rest to mbox_shift_step();
 * *lost says that the file had been rewritten meanwhile, so that its journal
 * was put aside.
 */
int mbox_shift_recover_begin(struct mbox_shift *s, bool *lost, struct err *e);
/* And all of its steps at once. */
int mbox_shift_recover(struct mbox_shift *s, bool *lost, struct err *e);

#endif
