/* SPDX-License-Identifier: ISC */
/*
 * mbox_scan.h - from the bytes of an mbox file to its messages, one after the
 * other, with bounded memory however large the file and its messages are.
 */
#ifndef STORE_MBOX_SCAN_H
#define STORE_MBOX_SCAN_H

#include "base/err.h"
#include "store/mbox/mbox_from.h"
#include "store/mbox/mbox_state.h"
#include "store/mbox/mbox_sum.h"

/* What lies behind is served, but not looked at for hidden fields. */
#define MBOX_HEADER_MAX (1024 * 1024)

/* Up to `n` bytes at `off`; *got is less only at the end. */
typedef int mbox_read_fn(
    void *arg, uint64_t off, void *p, size_t n, size_t *got, struct err *e);

/* One message; slices live until the next call. */
struct mbox_msg {
	uint64_t off; /* of its From_ line */
	uint32_t from_len; /* with its line end */
	uint32_t head_len; /* behind the From_ line, with the blank line */
	uint64_t body_off, body_len; /* without the separator */
	uint64_t end; /* of all, where the next one begins */
	uint64_t size, wire_size; /* as clients see it: formats.md 6.8 */
	uint64_t sum; /* of that, line ends as stored */
	uint64_t raw; /* of `header`, hidden fields and all: never 0 */
	int64_t date_s;
	bool crlf; /* its first header line ends so */
	bool has_blank; /* a blank line ends its header */
	struct str sender;
	struct str header; /* at most MBOX_HEADER_MAX of it */
	struct mbox_state state;
};

struct mbox_scan {
	mbox_read_fn *read;
	void *arg;
	uint64_t size; /* nothing behind it is looked at */
	uint64_t next; /* where the next message begins */
	bool is_begun;
	struct buf window, header;
	struct mbox_sum sum; /* of the present message */
	uint64_t window_off;
	char sender[MBOX_FROM_MAX];
};

/* `off`: 0, or where a message is known to begin. */
void mbox_scan_init(struct mbox_scan *s, mbox_read_fn *read, void *arg,
    uint64_t size, uint64_t off);
void mbox_scan_done(struct mbox_scan *s);
/*
 * The next message; *found false at the end. ERR_CORRUPT when no message
 * begins where the first one should: this is no mbox file.
 */
int mbox_scan_next(
    struct mbox_scan *s, struct mbox_msg *out, bool *found, struct err *e);

/* ---- hidden fields --------------------------------------------------------- */

struct mbox_range {
	uint32_t off, len; /* in the header */
};

/* The next run of hidden lines at or behind *at; false when there is none. */
bool mbox_hidden_next(struct str header, uint32_t *at, struct mbox_range *out);
/* The sum of a whole header block, hidden fields and all; never 0. */
uint64_t mbox_header_sum(struct str header);
/* Reads a file: for mbox_scan_init; `arg` is an int *. */
mbox_read_fn mbox_read_fd;

#endif
