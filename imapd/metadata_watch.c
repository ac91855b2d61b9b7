/* SPDX-License-Identifier: ISC */
/*
 * metadata_watch.c - what of a mailbox's annotations a session knows.
 *
 * Owns:    struct metadata_watch.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the files; meta_load() reads them.
 * Spec:    RFC 5464 section 4.4.2, RFC 5465 sections 5.6 and 5.7.
 *
 * A change is what differs from the last look, so it does not matter who has
 * made it. What was told already when a session of this process made it is
 * noted as known, and is no difference when the kernel tells of it.
 */
#include "imapd/metadata_watch.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "os/file.h"

static uint64_t
sum_of(const struct meta_entry *e)
{
	return e->value.p == NULL ? 0 : map_hash(e->value) | 1;
}

static struct metadata_known *
find(struct metadata_watch *w, struct str entry)
{
	VEC_EACH(&w->known, k)
		if (str_eq_nocase(str_of(k->entry), entry))
			return k;
	return NULL;
}

static void
forget(struct metadata_watch *w, struct metadata_known *k)
{
	free(k->entry);
	VEC_REMOVE(&w->known, (size_t)(k - w->known.v));
}

/* True: it was another one. */
static bool
set(struct metadata_watch *w, const struct meta_entry *e)
{
	struct metadata_known *k = find(w, e->name);
	bool is_other = k == NULL || k->value != sum_of(e);

	if (k == NULL) {
		k = VEC_ADD(&w->known);
		k->entry = str_to_heap(e->name);
	}
	k->value = sum_of(e);
	return is_other;
}

/* What is not there has nothing. False: what it has can not be read now. */
static bool
load(struct store *s, struct str mailbox, struct arena *a,
    struct meta_entry **first)
{
	struct err e;

	if (meta_load(s, mailbox, a, first, &e) == 0)
		return true;
	*first = NULL;
	return !file_is_unread(&e);
}

void
metadata_watch_begin(
    struct metadata_watch *w, struct store *s, struct str mailbox)
{
	struct meta_entry *first;
	struct arena a;
	struct err e;

	if (w->place != NULL || tree_get_meta(s, mailbox, &w->place, &e) == -1)
		return;
	w->seen = tree_count(w->place);
	arena_init(&a);
	(void)load(s, mailbox, &a, &first);
	for (const struct meta_entry *x = first; x != NULL; x = x->next)
		(void)set(w, x);
	arena_done(&a);
}

void
metadata_watch_end(struct metadata_watch *w)
{
	tree_put(&w->place);
	VEC_EACH(&w->known, k)
		free(k->entry);
	VEC_DONE(&w->known);
}

bool
metadata_watch_is_due(const struct metadata_watch *w)
{
	return w->place != NULL && w->seen != tree_count(w->place);
}

void
metadata_watch_look(struct metadata_watch *w, struct store *s,
    struct str mailbox, void (*fn)(void *arg, struct str entry), void *arg)
{
	struct meta_entry *first;
	struct arena a;

	if (!metadata_watch_is_due(w))
		return;
	w->seen = tree_count(w->place);
	arena_init(&a);
	/* Nothing is told to be gone that is not: its next change tells. */
	if (!load(s, mailbox, &a, &first)) {
		arena_done(&a);
		return;
	}
	for (size_t i = w->known.n; i > 0; i--) {
		struct metadata_known *k = &w->known.v[i - 1];

		if (meta_find(first, str_of(k->entry)) != NULL)
			continue;
		fn(arg, str_of(k->entry));
		forget(w, k);
	}
	for (const struct meta_entry *x = first; x != NULL; x = x->next)
		if (set(w, x))
			fn(arg, x->name);
	arena_done(&a);
}

void
metadata_watch_told(struct metadata_watch *w, struct store *s,
    struct str mailbox, const struct meta_entry *entries)
{
	struct metadata_known *k;
	const struct meta_entry *x;
	struct meta_entry *all;
	struct arena a;

	if (w->place == NULL)
		return;
	arena_init(&a);
	/* Once for all of them: the file may be long, and the list, too. */
	if (!load(s, mailbox, &a, &all))
		entries = NULL;
	for (; entries != NULL; entries = entries->next) {
		x = meta_find(all, entries->name);
		k = find(w, entries->name);
		if (x != NULL)
			(void)set(w, x);
		else if (k != NULL)
			forget(w, k);
	}
	arena_done(&a);
}
