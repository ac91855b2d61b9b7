/* SPDX-License-Identifier: ISC */
/*
 * mbox_filter.c - which mailboxes NOTIFY and ESEARCH are about.
 *
 * Owns:    nothing; names lie in the caller's arena.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 5465 sections 6 and 8, RFC 7377 sections 2.2 and 4.
 *
 * Mail may be put into any mailbox here, so "inboxes" is "personal", as RFC
 * 5465 section 6.3 wants it then. There are no wildcards.
 */
#include "imapd/mbox_filter.h"

#include "imapd/name.h"
#include "imapd/session.h"

static const struct {
	const char *word;
	enum mbox_filter_kind kind;
	bool has_names;
} words[] = {
    {"SELECTED", FILTER_SELECTED, false},
    {"SELECTED-DELAYED", FILTER_SELECTED_DELAYED, false},
    {"INBOXES", FILTER_INBOXES, false},
    {"PERSONAL", FILTER_PERSONAL, false},
    {"SUBSCRIBED", FILTER_SUBSCRIBED, false},
    {"SUBTREE", FILTER_SUBTREE, true},
    {"SUBTREE-ONE", FILTER_SUBTREE_ONE, true},
    {"MAILBOXES", FILTER_MAILBOXES, true},
};

static void
add_name(const struct session *s, struct arena *arena, struct str wire,
    struct mbox_filter *f)
{
	struct str name;
	struct err e;

	if (name_decode(s, arena, wire, &name, &e) == -1)
		return;
	if (name.n > 1 &&
	    name.p[name.n - 1] == store_delimiter_of(s->store, name))
		name.n--;
	f->names[f->n++] = name;
}

/* one-or-more-mailbox */
static bool
names_parse(const struct session *s, struct arena *arena,
    const struct imap_arg **a, struct mbox_filter *f)
{
	const struct imap_arg *list;
	struct str wire;
	size_t n = 0;

	if (imap_arg_astring(a, &wire)) {
		f->names = arena_new(arena, 1, sizeof(*f->names));
		add_name(s, arena, wire, f);
		return true;
	}
	if (!imap_arg_list(a, &list) || imap_arg_end(list))
		return false;
	for (const struct imap_arg *i = list; !imap_arg_end(i); i++)
		n++;
	f->names = arena_new(arena, n, sizeof(*f->names));
	while (!imap_arg_end(list)) {
		if (!imap_arg_astring(&list, &wire))
			return false;
		add_name(s, arena, wire, f);
	}
	return true;
}

bool
mbox_filter_parse(const struct session *s, struct arena *arena,
    const struct imap_arg **a, unsigned allowed, struct mbox_filter *out)
{
	*out = (struct mbox_filter){0};
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if ((words[i].kind & allowed) == 0 ||
		    !imap_arg_word(a, words[i].word))
			continue;
		out->kind = words[i].kind;
		return !words[i].has_names || names_parse(s, arena, a, out);
	}
	return false;
}

bool
mbox_filter_selectable(const struct mbox_entry *m)
{
	return (m->attrs &
		   (MBOX_NOSELECT | MBOX_NONEXISTENT | MBOX_ON_FIRST_USE)) == 0;
}

static bool
is_personal(const struct session *s, struct str name)
{
	struct space sp;

	for (size_t i = 0; store_space(s->store, i, &sp); i++)
		if (sp.kind != SPACE_PERSONAL && str_starts(name, sp.prefix))
			return false;
	return true;
}

static bool
is_below(struct str name, struct str top, char delimiter, bool one_level)
{
	struct str rest;

	if (name.n <= top.n || !str_starts(name, top) ||
	    name.p[top.n] != delimiter)
		return false;
	rest = str_skip(name, top.n + 1);
	return !one_level || str_find(rest, delimiter) == rest.n;
}

static bool
named(const struct mbox_filter *f, struct str name, char delimiter)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eq(name, f->names[i]) ||
		    (f->kind != FILTER_MAILBOXES &&
			is_below(name, f->names[i], delimiter,
			    f->kind == FILTER_SUBTREE_ONE)))
			return true;
	return false;
}

/* "INBOX.Sent" where that means Sent (store_alias()). */
static bool
named_by_alias(const struct session *s, const struct mbox_filter *f,
    const struct mbox_entry *m, struct str *as)
{
	struct str alias = store_alias(s->store), name, rest;

	if (alias.n == 0 || m->delimiter != '.')
		return false;
	for (size_t i = 0; i < f->n; i++) {
		name = f->names[i];
		if (!str_starts(name, alias))
			continue;
		rest = str_skip(name, alias.n);
		if (!str_eq(m->name, rest))
			continue;
		if (as != NULL)
			*as = name;
		return true;
	}
	return false;
}

bool
mbox_filter_matches(const struct session *s, const struct mbox_filter *f,
    const struct mbox_entry *m, struct str *as)
{
	if (as != NULL)
		*as = m->name;
	switch (f->kind) {
	case FILTER_INBOXES:
	case FILTER_PERSONAL:
		return is_personal(s, m->name);
	case FILTER_SUBSCRIBED:
		return (m->attrs & MBOX_SUBSCRIBED) != 0;
	case FILTER_SUBTREE:
	case FILTER_SUBTREE_ONE:
	case FILTER_MAILBOXES:
		return named(f, m->name, m->delimiter) ||
		    named_by_alias(s, f, m, as);
	case FILTER_SELECTED:
	case FILTER_SELECTED_DELAYED:
	case FILTER_OTHERS:
	default:
		return false;
	}
}
