/* SPDX-License-Identifier: ISC */
/*
 * mbox_save.h - an append to an mbox file that is under way.
 */
#ifndef STORE_MBOX_SAVE_H
#define STORE_MBOX_SAVE_H

#include "store/mbox/mbox_impl.h"

#define MBOX_COPY_BYTES (256 * 1024)

struct mbox_staged {
	uint64_t head_off, head_len, body_off, body_len; /* in the stage */
	int64_t date_s;
	struct flag_wish wish; /* in the arena */
	struct flag_change flags; /* once keywords have numbers */
	uint32_t uid;
	struct str from, block; /* written around the header */
};

struct mbox_save {
	struct arena arena;
	VEC(struct mbox_staged) all;
	struct buf stage;
	int fd; /* what came before the buffer, or -1 */
	uint64_t n_file;
	/* The message that is being taken. */
	bool in_message, in_body, is_copy;
	bool is_dropped; /* the field that we are in */
	bool in_line; /* part of this line has been staged */
	bool has_cr;
	struct buf line;
	/* The one that is being copied. */
	struct mailbox *copied_from;
	struct msg_file copied;
	uint64_t copied_to;
	char *piece;
	bool has_nul; /* in what is staged */
	/* The commit. */
	enum mbox_save_phase {
		SAVE_FINISH,
		SAVE_LOCK,
		SAVE_LOOK,
		SAVE_NAMES,
		SAVE_BASE, /* new keywords come there first */
		SAVE_EXTEND,
		SAVE_WRITE,
		SAVE_END, /* durable */
		SAVE_TAIL, /* what was written is read as mail that has come */
		SAVE_DONE,
	} phase;
	struct lock_wait wait;
	struct mbox_writing writing;
	bool is_writing;
	uint64_t off; /* of the first in the file */
	uint64_t at; /* where `out` goes */
	char *out; /* bytes that are next, in one write if possible */
	size_t n_out;
	struct str lead;
	size_t msg; /* being written */
	enum { PART_FROM, PART_HEAD, PART_BLOCK, PART_BODY, PART_END } part;
	uint64_t part_at;
};

static inline struct mbox_save *
mbox_save_of(const struct append *a)
{
	return a->impl;
}

/* ---- mbox_stage.c: see append_ops ------------------------------------------ */

/* Messages are collected in their mbox form: in memory, large ones in a file. */
int mbox_stage_begin(struct append *a, struct err *e);
int mbox_stage_scratch(struct append *a, struct err *e);
int mbox_stage_message(struct append *a, const struct flag_wish *wish,
    int64_t date_s, struct err *e);
int mbox_stage_data(struct append *a, struct str bytes, struct err *e);
enum step mbox_stage_copy(struct append *a, struct mailbox *from, uint32_t uid,
    const struct flag_wish *wish, struct err *e);
void mbox_stage_end_copy(struct mbox_save *s);
/* The end of the last message, if there is one. */
int mbox_stage_finish(struct append *a, struct err *e);
/* Bytes of what was staged, `n` at most; their number, or -1. */
int mbox_stage_read(
    struct mbox_save *s, uint64_t off, char *p, size_t n, struct err *e);

#endif
