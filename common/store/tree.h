/* SPDX-License-Identifier: ISC */
/*
 * tree.h - what happens in mailboxes that are not open, and to their names: for
 * sessions that want to be told (RFC 5465). Each mailbox that somebody watches
 * has a place here, once for all sessions of the process; the kernel says when
 * something happens there, and where it does not (another machine's files, no
 * watches left) the folder's times are looked at now and then.
 *
 * A place only counts: whoever finds another number than the last time asks
 * store_status() or store_list() what there is now. So nothing is queued, and
 * nothing is lost when events are.
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include <limits.h>

#include "base/list.h"
#include "store/store.h"

struct mailbox;
struct tree;
struct tree_place;

/* A folder whose events tell of a mailbox, or of names; for backends. */
struct tree_spot {
	char path[PATH_MAX];
	char file[NAME_MAX + 1]; /* events of this entry alone; "": of all */
	uint32_t mask; /* IN_* */
};

/* Which file or folder this is, also under another name. Zero: not known. */
struct tree_id {
	uint64_t dev, ino;
};

/* Called from the loop, a moment after something has happened to any place. */
struct tree_listener {
	struct list link;
	void (*fn)(void *arg);
	void *arg;
	bool is_listening;
};

/* `l` is the caller's, filled in, and stays where it is until tree_listen_end(). */
void tree_listen(struct store *s, struct tree_listener *l);
void tree_listen_end(struct tree_listener *l);

/*
 * The place of a mailbox, by its name as clients have it; until tree_put().
 * ERR_NOT_FOUND; ERR_PERM: its messages can not be seen.
 */
int tree_get(
    struct store *s, struct str name, struct tree_place **out, struct err *e);
/*
 * The folder that holds the names below `name` ("": the uppermost ones).
 * ERR_NOT_FOUND: they lie where those above lie.
 */
int tree_get_names(
    struct store *s, struct str name, struct tree_place **out, struct err *e);
/* That of its annotations (meta.h); of the server's, with an empty name. */
int tree_get_meta(
    struct store *s, struct str name, struct tree_place **out, struct err *e);
/* What the kernel has said by now counts. */
void tree_catch_up(struct store *s);
void tree_put(struct tree_place **p);
/* Another number than before: something may have changed. */
uint32_t tree_count(const struct tree_place *p);
struct tree_id tree_id(const struct tree_place *p);
/* The same without a place. */
struct tree_id tree_id_of(struct store *s, struct str name);
/* Of an open mailbox, which may know before the disk shows it. */
void tree_note(struct mailbox *m);
/* With the store. */
void tree_free(struct store *s);

#endif
