/* SPDX-License-Identifier: ISC */
/*
 * mbox_told.h - the bytes of KEY.told, where UIDs stand that clients were told
 * of and that the mail file does not say yet (mbox_agree.c).
 */
#ifndef STORE_MBOX_TOLD_H
#define STORE_MBOX_TOLD_H

#include "base/err.h"
#include "base/vec.h"

#define MBOX_TOLD_FRONT 64 /* bytes before the first entry */

struct mbox_told_entry {
	uint32_t uid;
	uint32_t key[2]; /* of the content */
};

/* Zeroed but for `fd`, which is the caller's; VEC_DONE(&v) is his, too. */
struct mbox_told {
	int fd;
	uint64_t n; /* entries in the file */
	bool is_front_good; /* false: it is to be begun anew */
	bool is_of_this_boot;
	uint32_t last; /* UID in the file; 0: none */
	VEC(struct mbox_told_entry) v; /* those from the floor on, ascending */
};

/*
 * Reads what was told from UID `floor` on. A file that is damaged, or of another
 * UIDVALIDITY, is as an empty one. ERR_LIMIT: too long to be looked at; other
 * errors: it can not be read now, which must not seem to be an empty one.
 */
int mbox_told_read(
    struct mbox_told *t, uint32_t uidvalidity, uint32_t floor, struct err *e);
/* What makes the file count, with the boot that it is of. */
bool mbox_told_write_front(const struct mbox_told *t, uint32_t uidvalidity);
/* Behind those that are there. False: not all of it was written. */
bool mbox_told_add(
    struct mbox_told *t, const struct mbox_told_entry *v, size_t n);

#endif
