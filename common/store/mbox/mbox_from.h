/* SPDX-License-Identifier: ISC */
/* mbox_from.h - the line that begins a message in an mbox file. */
#ifndef STORE_MBOX_FROM_H
#define STORE_MBOX_FROM_H

#include "base/buf.h"

/* Longer lines are no From_ lines. */
#define MBOX_FROM_MAX 1000

struct mbox_from {
	struct str sender; /* a slice of the line; may be empty */
	int64_t date_s; /* 0 when no day of a calendar */
};

/*
 * Is `line` (with or without its line end) a From_ line (formats.md 6.2)?
 * `lenient`: it stands at the start of the file or behind an empty line, so
 * spaces in the sender are tolerated. `out` may be NULL.
 */
bool mbox_from_parse(struct str line, bool lenient, struct mbox_from *out);
/* The first line of a file that is no mbox: the name of the format of mailboxes
 * that begins so, or NULL. */
const char *mbox_other_format(struct str line);
/* Appends "From SENDER  Www Mmm dd hh:mm:ss yyyy\n", local time. */
void mbox_from_write(struct buf *out, struct str sender, int64_t date_s);

#endif
