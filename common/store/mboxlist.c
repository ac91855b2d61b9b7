/* SPDX-License-Identifier: ISC */
/*
 * mboxlist.c - the list of mailboxes as clients see it.
 *
 * Owns:    nothing that lasts; entries live in the caller's arena.
 * Runs in: imapd.
 * Trusts:  nothing; names come from disk.
 * Spec:    RFC 3501 section 6.3.8, RFC 5258, RFC 6154.
 */
#include <stdlib.h>

#include "store/mboxlist.h"
#include "store/special.h"

void
mboxlist_add(
    struct arena *a, struct mbox_entry **first, struct str name, unsigned attrs)
{
	struct mbox_entry *e = arena_new(a, 1, sizeof(*e));

	e->name = arena_str(a, name);
	e->attrs = attrs;
	e->next = *first;
	*first = e;
}

static struct mbox_entry *
find(const struct mboxlist *l, struct str name)
{
	return map_find(&l->by_name, name);
}

static struct mbox_entry *
add(struct mboxlist *l, struct str name, unsigned attrs)
{
	struct mbox_entry *e = arena_new(l->a, 1, sizeof(*e));

	e->name = arena_str(l->a, name);
	e->attrs = attrs;
	e->delimiter = l->delimiter;
	map_put(&l->by_name, e->name, e);
	l->n++;
	return e;
}

void
mboxlist_init(struct mboxlist *l, struct arena *a, char delimiter,
    struct mbox_entry *first)
{
	*l = (struct mboxlist){.a = a, .delimiter = delimiter};
	map_init(&l->by_name);
	for (; first != NULL; first = first->next) {
		if (find(l, first->name) != NULL)
			continue;
		first->delimiter = delimiter;
		map_put(&l->by_name, first->name, first);
		l->n++;
	}
}

void
mboxlist_subscribe(struct mboxlist *l, struct str name)
{
	struct mbox_entry *e = find(l, name);

	if (e == NULL)
		e = add(l, name, MBOX_NONEXISTENT | MBOX_NOSELECT);
	e->attrs |= MBOX_SUBSCRIBED;
}

/*
 * Levels above a name, made if need be; they have children if it exists. With
 * `all` also above what does not.
 */
static void
add_parents(struct mboxlist *l, const struct mbox_entry *e, bool all)
{
	bool exists = !(e->attrs & MBOX_NONEXISTENT);

	for (size_t n = e->name.n; n > 0; n--) {
		struct str parent = str_head(e->name, n - 1);
		struct mbox_entry *p;

		if (e->name.p[n - 1] != l->delimiter)
			continue;
		p = find(l, parent);
		if (p == NULL && (exists || all))
			p = add(l, parent, MBOX_NONEXISTENT | MBOX_NOSELECT);
		if (p != NULL && exists)
			p->attrs |= MBOX_HAS_CHILDREN;
	}
}

static struct mbox_entry **
collect(const struct mboxlist *l, struct arena *a, size_t *n)
{
	struct mbox_entry **v = arena_new(a, l->n, sizeof(struct mbox_entry *));
	size_t i = 0;
	void *value;
	struct str key;

	*n = 0;
	while (map_next(&l->by_name, &i, &key, &value))
		v[(*n)++] = value;
	return v;
}

/* A special mailbox lies at the top, or directly below INBOX. */
static bool
last_level(const struct mboxlist *l, struct str name, struct str *out)
{
	if (str_starts(name, STR("INBOX")) && name.n > 6 &&
	    name.p[5] == l->delimiter)
		name = str_skip(name, 6);
	*out = name;
	return str_find(name, l->delimiter) == name.n;
}

/* What mailboxes were given goes before what their names say. */
static unsigned
take_given(struct mboxlist *l)
{
	unsigned uses = 0;

	for (const struct meta_use *u = l->given; u != NULL; u = u->next) {
		struct mbox_entry *m = find(l, u->name);

		if (m == NULL || (m->attrs & MBOX_NONEXISTENT) != 0)
			continue;
		m->attrs |= MBOX_USE_GIVEN;
		m->uses = u->uses;
		uses |= u->uses;
	}
	return uses;
}

/* For each use the mailbox with the best of its names; NULL: none. */
static void
find_by_name(const struct mboxlist *l, struct mbox_entry **v, size_t n,
    struct mbox_entry *best[SPECIAL_USES + 1])
{
	unsigned best_rank[SPECIAL_USES + 1] = {0}, rank = 0;

	for (size_t i = 0; i < n; i++) {
		struct str level;
		enum special_use use;

		if ((v[i]->attrs &
			(MBOX_NONEXISTENT | MBOX_NOSELECT | MBOX_USE_GIVEN)) !=
			0 ||
		    !last_level(l, v[i]->name, &level))
			continue;
		use = special_of_name(level, &rank);
		/* At the top is better than below INBOX. */
		rank = rank * 2 + (level.n != v[i]->name.n);
		if (use == USE_NONE ||
		    (best[use] != NULL && best_rank[use] <= rank))
			continue;
		best[use] = v[i];
		best_rank[use] = rank;
	}
}

static void
find_special(struct mboxlist *l, struct mbox_entry **v, size_t n)
{
	struct mbox_entry *best[SPECIAL_USES + 1] = {0};
	unsigned given = take_given(l);

	find_by_name(l, v, n, best);
	for (unsigned use = USE_DRAFTS; use <= USE_ARCHIVE; use++) {
		struct str name = arena_printf(l->a, "%.*s%.*s",
		    STR_ARG(l->prefix), STR_ARG(special_default_name(use)));

		if ((given & 1u << use) != 0)
			continue;
		if (best[use] == NULL)
			best[use] = find(l, name);
		if (best[use] == NULL)
			best[use] = add(l, name, MBOX_NONEXISTENT);
		/* Its own word is that it has none. */
		if ((best[use]->attrs & MBOX_USE_GIVEN) != 0)
			continue;
		if (best[use]->attrs & MBOX_NONEXISTENT)
			best[use]->attrs |= MBOX_ON_FIRST_USE;
		best[use]->attrs &=
		    (unsigned)~(MBOX_NONEXISTENT | MBOX_NOSELECT);
		best[use]->uses |= 1u << use;
	}
}

/* INBOX first; a level's end sorts before every byte of a name. */
static char sort_delimiter;

static int
by_tree(const void *a, const void *b)
{
	const struct mbox_entry *x = *(struct mbox_entry *const *)a;
	const struct mbox_entry *y = *(struct mbox_entry *const *)b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	bool x_inbox = str_starts(x->name, STR("INBOX")) &&
	    (x->name.n == 5 || x->name.p[5] == sort_delimiter);
	bool y_inbox = str_starts(y->name, STR("INBOX")) &&
	    (y->name.n == 5 || y->name.p[5] == sort_delimiter);

	if (x_inbox != y_inbox)
		return x_inbox ? -1 : 1;
	for (size_t i = 0; i < n; i++) {
		int p = (unsigned char)x->name.p[i];
		int q = (unsigned char)y->name.p[i];

		if (p == q)
			continue;
		if (p == sort_delimiter)
			return -1;
		return q == sort_delimiter ? 1 : p - q;
	}
	return x->name.n < y->name.n ? -1 : x->name.n > y->name.n;
}

static bool
is_wanted(const struct mbox_entry *m, enum list_what what)
{
	switch (what) {
	case LIST_SUBSCRIBED:
		return (m->attrs & MBOX_SUBSCRIBED) != 0;
	case LIST_BOTH:
		return true;
	case LIST_EXISTING:
	default:
		/* A subscribed name that is nowhere belongs to LSUB only. */
		return (m->attrs & MBOX_NONEXISTENT) == 0 ||
		    (m->attrs & MBOX_HAS_CHILDREN) != 0;
	}
}

struct mbox_entry *
mboxlist_finish(struct mboxlist *l, enum list_what what)
{
	struct mbox_entry **v, *first = NULL, **tail = &first;
	size_t n;

	v = collect(l, l->a, &n);
	if (l->has_special)
		find_special(l, v, n);
	v = collect(l, l->a, &n);
	for (size_t i = 0; i < n; i++)
		add_parents(l, v[i], what == LIST_BOTH);
	v = collect(l, l->a, &n);
	sort_delimiter = l->delimiter;
	qsort(v, n, sizeof(struct mbox_entry *), by_tree);
	for (size_t i = 0; i < n; i++) {
		if (!is_wanted(v[i], what))
			continue;
		*tail = v[i];
		tail = &v[i]->next;
		v[i]->next = NULL;
	}
	map_done(&l->by_name);
	return first;
}
