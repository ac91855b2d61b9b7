/* SPDX-License-Identifier: ISC */
/*
 * metadata_watch.h - what of a mailbox's annotations a session knows, and
 * what others, also other processes, change in them.
 */
#ifndef IMAPD_METADATA_WATCH_H
#define IMAPD_METADATA_WATCH_H

#include "base/vec.h"
#include "store/meta.h"
#include "store/tree.h"

/* Zeroed: watches nothing. */
struct metadata_watch {
	struct tree_place *place; /* of its files; NULL: not watched */
	uint32_t seen; /* tree_count() at the last look */
	VEC(struct metadata_known {
		char *entry;
		uint64_t value; /* a sum of it */
	})
	known;
};

/* `mailbox` as clients have it; the empty one is the server. */
void metadata_watch_begin(
    struct metadata_watch *w, struct store *s, struct str mailbox);
void metadata_watch_end(struct metadata_watch *w);
/* May something have changed? Costs nothing. */
bool metadata_watch_is_due(const struct metadata_watch *w);
/*
 * When it is due: calls fn for each entry that has come, changed or gone since
 * the last look.
 */
void metadata_watch_look(struct metadata_watch *w, struct store *s,
    struct str mailbox, void (*fn)(void *arg, struct str entry), void *arg);
/* These entries were changed, and all who want to know have been told. */
void metadata_watch_told(struct metadata_watch *w, struct store *s,
    struct str mailbox, const struct meta_entry *entries);

#endif
