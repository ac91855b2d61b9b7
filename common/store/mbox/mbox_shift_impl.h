/* SPDX-License-Identifier: ISC */
/*
 * mbox_shift_impl.h - the inside of mbox_shift.h: records of the journal, one
 * round, bytes. The invariants are in mbox_shift.c.
 */
#ifndef STORE_MBOX_SHIFT_IMPL_H
#define STORE_MBOX_SHIFT_IMPL_H

#include "store/mbox/mbox_shift.h"

#define MBOX_CHUNK_MAX (4 * 1024 * 1024) /* in a record; part of its layout */
#define MBOX_CHUNK_SMALL (16 * 1024)
#define MBOX_BLOCK 4096
#define MBOX_GUARD 256

enum mbox_record_kind {
	MBOX_IDLE = 0,
	MBOX_ROUND = 1,
	MBOX_HOLE = 2,
	MBOX_ROOM = 3, /* a hole that is being filled by bytes without a NUL */
};

/* One half of the journal begins with this; then come hashes, then data. */
struct mbox_record {
	char magic[8];
	uint64_t check; /* of all that follows */
	uint64_t seq, dev, ino;
	uint64_t kind;
	uint64_t data_off, data_len; /* what is written */
	uint64_t lines_off, lines_len; /* newlines */
	uint64_t hole_off, hole_len; /* afterwards */
	uint64_t before_off, before_len, before; /* what must be there */
	uint64_t after_off, after_len, after;
	uint64_t n_hashes; /* of the blocks of data_off.. as they were */
	uint64_t start_len;
	char start[MBOX_GUARD]; /* what may be found in the hole */
};

/* ---- mbox_bytes.c ---------------------------------------------------------- */

/* Much of a file goes through here. Of two pieces one after the other it is not
 * what it is of both together. */
uint64_t mbox_bytes_hash(uint64_t h, const char *p, size_t n);
int mbox_bytes_write(
    int fd, uint64_t off, const char *p, size_t n, struct err *e);
int mbox_bytes_newlines(int fd, uint64_t off, uint64_t n, struct err *e);
/* All of it; ERR_CORRUPT when there is less. */
int mbox_bytes_read(int fd, uint64_t off, char *p, size_t n, struct err *e);
int mbox_bytes_size(int fd, uint64_t *size, struct err *e);

/* ---- mbox_journal.c -------------------------------------------------------- */

/* `make`: with room for small rounds, so that those need no space later. */
int mbox_journal_open(struct mbox_shift *s, bool make, struct err *e);
/* Writes the record, which gets its number and sums, durably. */
int mbox_journal_save(struct mbox_shift *s, struct mbox_record *r,
    const uint64_t *hashes, const char *data, struct err *e);
/*
 * The last record, with what follows it in *text, for the caller to free; NULL
 * when there is none, or nothing to do. -1: nobody can say now whether there is
 * one, and the file must not be taken for whole.
 */
int mbox_journal_load(
    struct mbox_shift *s, struct mbox_record *out, char **text, struct err *e);
/* Nothing is under way any more; not synced. */
int mbox_journal_write_idle(struct mbox_shift *s, struct err *e);
/*
 * The same after a move; not looked at: what the record before says is compared
 * with the file before it is believed. Room that only large rounds need is
 * given back.
 */
void mbox_journal_end(struct mbox_shift *s);
/* Bytes that a round may move, of `bytes` in all; 0: failed. */
size_t mbox_journal_room(struct mbox_shift *s, uint64_t bytes, struct err *e);
/* For people who look what has become of it. */
void mbox_journal_put_aside(struct mbox_shift *s);

/* ---- mbox_round.c ---------------------------------------------------------- */

/*
 * A round, in two steps: first it stands in the journal, durably, with what is
 * there now in the file of `size` bytes; then `data` and the newlines of `r`
 * are written.
 */
int mbox_round_write(const struct mbox_shift *s, const struct mbox_record *r,
    const char *data, struct err *e);
int mbox_round_note(struct mbox_shift *s, struct mbox_record *r,
    struct str data, uint64_t size, struct err *e);
/* Says that here is a hole, or room, and nothing else is under way. */
int mbox_round_hole(struct mbox_shift *s, enum mbox_record_kind kind,
    uint64_t off, uint64_t n, struct str start, struct err *e);
/* Takes the hole off that the file ends with. */
int mbox_round_cut(
    struct mbox_shift *s, uint64_t off, uint64_t n, struct err *e);
/* Makes newlines of what an append that broke off has left in its hole. */
int mbox_round_blank(
    const struct mbox_shift *s, const struct mbox_record *r, struct err *e);
/*
 * Does the round of a record from mbox_journal_load() again. *lost: the file
 * is another one by now; *has_hole: one is left, to be taken out.
 */
int mbox_round_redo(struct mbox_shift *s, const struct mbox_record *r,
    const char *p, bool *lost, bool *has_hole, struct err *e);

#endif
