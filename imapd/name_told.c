/* SPDX-License-Identifier: ISC */
/*
 * name_told.c - the LIST response of one name that other commands give.
 *
 * Owns:    the listing until the entry is found.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 9051 sections 6.3.2 (SELECT: LIST with accurate attributes),
 *          6.3.9.7 (OLDNAME), 7.3.1.
 */
#include "imapd/name_told.h"

#include "base/bounds.h"
#include "imapd/list_write.h"
#include "imapd/name.h"

void
name_told_done(struct name_told *t)
{
	list_job_free(&t->job);
}

static const struct mbox_entry *
find(const struct name_told *t, struct str name)
{
	const struct mbox_entry *m;

	for (m = t->first; m != NULL; m = m->next)
		if (str_eq(m->name, name) ||
		    (name.n == m->name.n + 1 && str_starts(name, m->name) &&
			name.p[m->name.n] == m->delimiter))
			return m;
	return NULL;
}

enum step
name_told_find(struct cmd *c, struct name_told *t, struct str name,
    const struct mbox_entry **out)
{
	struct store *store = c->s->store;
	struct str alias = store_alias(store);
	enum step step = STEP_DONE;
	struct err e;

	while (!t->is_read) {
		step = store_list_for(
		    store, name, c->arena, &t->job, &t->first, &e);
		t->is_read = step != STEP_MORE;
		if (step == STEP_FAIL)
			t->first = NULL;
		if (step == STEP_MORE && cmd_time_is_up(c))
			return STEP_MORE;
	}
	*out = find(t, name);
	if (*out == NULL && alias.n > 0 && str_starts(name, alias))
		*out = find(t, str_skip(name, alias.n));
	return STEP_DONE;
}

bool
name_told_is_other(struct cmd *c, struct str name, struct str wire)
{
	struct buf b;
	bool is_other;

	if (!session_has_utf8(c->s))
		return false;
	buf_init(&b, MAILBOX_NAME_MAX_BYTES * 16);
	name_wire(c->s, &b, name);
	is_other = !str_eq_nocase(buf_str(&b), wire);
	buf_done(&b);
	return is_other;
}

void
name_told_write(struct session *s, const struct mbox_entry *entry,
    struct str name, struct str old)
{
	static const struct mbox_entry unknown;
	struct list_line line = {
	    .word = "LIST",
	    .entry = entry != NULL ? entry : &unknown,
	    .is_bare = entry == NULL,
	    .delimiter = entry != NULL ? entry->delimiter
				       : store_delimiter_of(s->store, name),
	    .tells_nonexistent = true,
	};
	struct buf wire;

	buf_init(&wire, MAILBOX_NAME_MAX_BYTES * 16);
	name_wire(s, &wire, entry != NULL ? entry->name : name);
	line.wire = buf_str(&wire);
	if (old.p != NULL && !str_eq(old, line.wire))
		line.old_wire = old;
	list_write(s, &line);
	buf_done(&wire);
}
