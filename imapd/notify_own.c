/* SPDX-License-Identifier: ISC */
/*
 * notify_own.c - what a client does itself is not told it by NOTIFY.
 *
 * Owns:    nothing; it changes the list of notify_tree.c.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; names come from commands that have succeeded.
 * Spec:    RFC 5465 sections 5 and 6.
 */
#include "imapd/notify_impl.h"

void
notify_own_messages(
    struct session *s, struct str name, const struct set32 *uids)
{
	struct notify *n = s->notify;
	struct watched *w;
	struct arena a;

	if (n == NULL || set32_is_empty(uids))
		return;
	arena_init(&a);
	if (str_eq(name, notify_selected_name(n, &a)))
		for (size_t i = 0; i < uids->n; i++)
			set32_add_range(
			    &n->own, uids->r[i].first, uids->r[i].last);
	arena_done(&a);
	w = notify_find(n, name);
	if (w == NULL)
		return;
	w->own += set32_count(uids);
	w->own_top = uids->r[uids->n - 1].last;
}

/* As the list has it. */
static struct str
own_name(const struct session *s, struct str name)
{
	struct str alias = store_alias(s->store);

	if (name.n > 1 &&
	    name.p[name.n - 1] == store_delimiter_of(s->store, name))
		name.n--;
	return alias.n > 0 && str_starts(name, alias) ? str_skip(name, alias.n)
						      : name;
}

void
notify_own_create(struct session *s, struct str name)
{
	struct notify *n = s->notify;
	struct watched *w;

	if (n == NULL || !n->wants_names)
		return;
	name = own_name(s, name);
	w = notify_find(n, name);
	if (w != NULL) {
		w->is_new = true;
		w->attrs &= ~(unsigned)(MBOX_NONEXISTENT | MBOX_NOSELECT);
		return;
	}
	w = VEC_ADD(&n->boxes);
	*w = (struct watched){.name = arena_str(&n->box_arena, name),
	    .delimiter = store_delimiter_of(s->store, name)};
	w->is_new = true;
	map_put(&n->by_name, w->name, (void *)(uintptr_t)n->boxes.n);
}

void
notify_own_delete(struct session *s, struct str name)
{
	struct notify *n = s->notify;
	struct watched *w = n == NULL ? NULL : notify_find(n, name);

	if (w == NULL)
		return;
	w->attrs |= MBOX_NONEXISTENT;
	notify_let_go(w);
	w->is_known = false;
}

static void
rename_one(struct notify *n, size_t i, struct str from, struct str to)
{
	struct watched *w = &n->boxes.v[i];
	struct str name = arena_printf(&n->box_arena, "%.*s%.*s", STR_ARG(to),
	    STR_ARG(str_skip(w->name, from.n)));

	(void)map_remove(&n->by_name, w->name);
	(void)map_remove(&n->by_name, name);
	w->name = name;
	w->is_renamed = true;
	map_put(&n->by_name, name, (void *)(uintptr_t)(i + 1));
}

void
notify_own_rename(struct session *s, struct str from, struct str to)
{
	struct notify *n = s->notify;

	if (n == NULL)
		return;
	/* RFC 3501 section 6.3.5: INBOX stays. */
	if (str_eq(from, STR("INBOX"))) {
		notify_own_create(s, to);
		return;
	}
	for (size_t i = 0; i < n->boxes.n; i++) {
		struct str name = n->boxes.v[i].name;

		if (str_starts(name, from) &&
		    (name.n == from.n ||
			name.p[from.n] == n->boxes.v[i].delimiter))
			rename_one(n, i, from, to);
	}
}

void
notify_own_subscribe(struct session *s, struct str name, bool on)
{
	struct notify *n = s->notify;
	struct watched *w;

	if (n == NULL || !n->wants_names)
		return;
	w = notify_find(n, name);
	if (w == NULL && on) {
		w = VEC_ADD(&n->boxes);
		*w = (struct watched){.name = arena_str(&n->box_arena, name),
		    .attrs = MBOX_NONEXISTENT,
		    .delimiter = store_delimiter_of(s->store, name)};
		map_put(&n->by_name, w->name, (void *)(uintptr_t)n->boxes.n);
	}
	if (w == NULL)
		return;
	w->attrs &= ~(unsigned)MBOX_SUBSCRIBED;
	w->attrs |= on ? MBOX_SUBSCRIBED : 0;
}
