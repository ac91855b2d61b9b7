/* SPDX-License-Identifier: ISC */
/* maildir_scan.h - one look at new/ and cur/. */
#ifndef STORE_MAILDIR_SCAN_H
#define STORE_MAILDIR_SCAN_H

#include "store/maildir/maildir_impl.h"

/* A file that was met. */
struct sighting {
	size_t index; /* of its record, NO_REC */
	uint8_t dir;
	struct str name; /* in the arena */
	struct str base; /* its beginning */
	struct maildir_time time; /* for those without an UID */
};

struct scan {
	struct arena arena;
	unsigned dirs; /* which were read: bits 1 << DIR_* */
	bool is_stable; /* nothing changed while we read */
	VEC(struct sighting) unknown; /* no record, or one that is gone */
	VEC(struct sighting) renamed; /* other place or info than the record */
	VEC(struct sighting) again; /* second file of a record */
	VEC(struct sighting) nameless; /* empty base */
};

void scan_init(struct scan *s);
void scan_done(struct scan *s);
/*
 * Reads the directories in `dirs`, new/ first. Records whose file is met get
 * OWN_SEEN; WAITING ones take their name at once.
 */
int scan_read(struct mailbox *m, unsigned dirs, struct scan *s, struct err *e);
/* Is the directory unread, or may it have changed since? Two system calls. */
bool scan_is_needed(const struct maildir *md, enum maildir_dir dir);

#endif
