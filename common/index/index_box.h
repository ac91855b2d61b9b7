/* SPDX-License-Identifier: ISC */
/*
 * index_box.h - one mailbox in the index: its head, its records in chunks.
 *
 * Records stand in the order of their UIDs, a few hundred to a value. Beside
 * each chunk lie side bytes of its records: keywords from 26 up and what the
 * backend wants (a file's name, a place in an mbox).
 */
#ifndef INDEX_INDEX_BOX_H
#define INDEX_INDEX_BOX_H

#include "index/index.h"

/* The head of the mailbox at `place`; slices are borrowed. */
bool index_box_head(struct index *ix, struct str place, struct index_head *out);

/* ---- reading ------------------------------------------------------------- */

/*
 * The chunk where `uid` would be, or the first behind it. Borrowed until
 * index_pause() or index_write(). `with_side`: fills c->side too.
 */
bool index_box_chunk(struct index *ix, uint32_t box, uint32_t uid,
    bool with_side, struct index_chunk *c);
/* The chunk behind `c`. */
bool index_box_next(
    struct index *ix, uint32_t box, bool with_side, struct index_chunk *c);
bool index_box_side(struct index *ix, uint32_t box, struct index_chunk *c);
/* One record. False: none with this UID. */
bool index_box_rec(
    struct index *ix, uint32_t box, uint32_t uid, struct index_rec *out);
/* Is there a record whose name has this sum? Looks at all of them. */
bool index_box_has_hash(struct index *ix, uint32_t box, uint64_t hash);

/* ---- side bytes ---------------------------------------------------------- */

/* Keywords from 26 up (n may be 0), then what the backend wants. */
void index_side_write(
    struct buf *b, const uint16_t *more, size_t n, struct str own);
/*
 * Splits them; `known` is the record's. `more` has room for `max` numbers;
 * returns how many there are, in ascending order.
 */
size_t index_side_parse(struct str side, unsigned known, uint16_t *more,
    size_t max, struct str *own);

/* ---- writing, inside index_write() --------------------------------------- */

/* A new number for a mailbox. */
int index_box_new(struct index *ix, uint32_t *box, struct err *e);
int index_box_save_head(
    struct index *ix, const struct index_head *h, struct err *e);
/* Nobody needs this number any more: what it has goes bit by bit. */
int index_box_kill(struct index *ix, uint32_t box, struct err *e);
/*
 * Up to `max` values of a box that was killed, outside of index_write().
 * *is_all: nothing of any such box is left.
 */
int index_box_bury(struct index *ix, size_t max, bool *is_all, struct err *e);
int index_box_remove_head(struct index *ix, struct str place, struct err *e);

/* Sums that the head has of all chunks. */
struct index_sums {
	uint64_t wire_sum;
	uint32_t unknown_sizes, n_chunks, n;
};

enum index_edit {
	INDEX_EDIT_KEEP, /* nothing was changed */
	INDEX_EDIT_CHANGED,
	INDEX_EDIT_DROP, /* the record goes */
};

/*
 * Told a record that stands at one of the UIDs asked for. *side are its side
 * bytes; may be set to others, which live until the call returns.
 */
typedef enum index_edit index_edit_fn(
    void *arg, struct index_rec *r, struct str *side);

/*
 * Edits the records of `uids`, which ascend. UIDs without a record are passed
 * over. `sums` are brought up to date.
 */
int index_box_edit(struct index *ix, uint32_t box, const uint32_t *uids,
    size_t n, index_edit_fn *fn, void *arg, struct index_sums *sums,
    struct err *e);

/* Gives the next record to append, its side bytes borrowed; false: no more. */
typedef bool index_source_fn(void *arg, struct index_rec *r, struct str *side);
/* Appends records whose UIDs are above all that are there. */
int index_box_append(struct index *ix, uint32_t box, index_source_fn *fn,
    void *arg, struct index_sums *sums, struct err *e);

#endif
