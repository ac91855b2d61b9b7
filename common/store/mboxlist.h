/* SPDX-License-Identifier: ISC */
/* mboxlist.h - names to a sorted tree with attributes. */
#ifndef STORE_MBOXLIST_H
#define STORE_MBOXLIST_H

#include "base/map.h"
#include "store/meta.h"
#include "store/store.h"

struct mboxlist {
	struct arena *a;
	char delimiter;
	struct str prefix; /* of every name but INBOX */
	bool has_special; /* special-use mailboxes belong into it */
	const struct meta_use *given; /* special uses that were asked for */
	struct map by_name; /* to struct mbox_entry */
	size_t n;
};

/* For backends: one more name that is there, before the others. */
void mboxlist_add(struct arena *a, struct mbox_entry **first, struct str name,
    unsigned attrs);

/*
 * Takes the entries of a backend; the list lives in `a`. Set the fields prefix,
 * has_special and given behind it.
 */
void mboxlist_init(struct mboxlist *l, struct arena *a, char delimiter,
    struct mbox_entry *first);
/* Marks a name as subscribed, adding it when it does not exist. */
void mboxlist_subscribe(struct mboxlist *l, struct str name);
/*
 * Adds missing levels and special-use mailboxes, finds who has children, sorts
 * (INBOX first, children behind their parent). Frees what is not in the arena.
 */
struct mbox_entry *mboxlist_finish(struct mboxlist *l, enum list_what what);

#endif
