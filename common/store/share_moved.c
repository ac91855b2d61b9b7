/* SPDX-License-Identifier: ISC */
/*
 * share_moved.c - mailboxes that go along with a renamed one, and are shared.
 *
 * Owns:    struct share_moved.
 * Runs in: imapd, as the mail user.
 * Trusts:  no name.
 * Spec:    RFC 9051 section 6.3.6.
 *
 * The list of shares (master/shares.c) knows mailboxes by their places. Those
 * below a renamed one have others, too; which, and that they are shared, is
 * looked up before the names are gone.
 */
#include <stdlib.h>

#include "base/bounds.h"
#include "base/mem.h"
#include "base/vec.h"
#include "store/mailbox_impl.h"
#include "store/rights.h"
#include "store/share.h"

/* Names between two returns. */
#define LOOKS 50

/* What `struct rights_place` needs of one, for share_tell_gone(). */
struct moved {
	struct str name; /* behind the renamed one's */
	struct str path;
};

struct share_moved {
	struct store *s;
	struct arena arena;
	void *list_at;
	bool is_listed;
	struct mbox_entry *next;
	VEC(struct moved) v;
};

static bool
is_below(const struct store *s, struct str name, struct str from)
{
	return name.n > from.n && str_starts(name, from) &&
	    name.p[from.n] == s->delimiter;
}

static void
look_at(struct share_moved *m, struct str name, struct str from)
{
	struct rights_place p = {0};
	struct acl l;
	struct err e;

	if (m->s->ops->rights_place(m->s, name, &p, &e) == -1 || p.is_level)
		return;
	acl_init(&l);
	if (rights_load(&p, &l, &e) == 0 && l.v.n > 0)
		*VEC_ADD(&m->v) = (struct moved){
		    .name = arena_str(&m->arena, str_skip(name, from.n)),
		    .path = arena_str(&m->arena, str_of(p.path))};
	acl_done(&l);
}

enum step
share_moved_find(struct store *s, struct str from, struct share_moved **mp)
{
	struct share_moved *m = *mp;
	struct err e;
	enum step step;

	if (s->head != NULL || s->on_share == NULL || !share_has_uids(s))
		return STEP_DONE;
	if (m == NULL) {
		m = *mp = mem_new(1, sizeof(*m));
		m->s = s;
		arena_init(&m->arena);
	}
	if (!m->is_listed) {
		step = s->ops->list(s, &m->arena, &m->list_at, &m->next, &e);
		if (step == STEP_MORE)
			return STEP_MORE;
		m->is_listed = true;
		if (step == STEP_FAIL)
			m->next = NULL;
	}
	for (int i = 0; m->next != NULL; m->next = m->next->next) {
		if (!is_below(s, m->next->name, from))
			continue;
		if (++i > LOOKS)
			return STEP_MORE;
		look_at(m, m->next->name, from);
	}
	return STEP_DONE;
}

void
share_moved_tell(struct share_moved *m, struct str to)
{
	if (m == NULL)
		return;
	VEC_EACH(&m->v, x) {
		struct rights_place p = {0};
		struct buf name;

		if (str_to_c(x->path, p.path, sizeof(p.path)))
			share_tell_gone(m->s, &p);
		buf_init(&name, 2 * MAILBOX_NAME_MAX_BYTES);
		buf_add_str(&name, to);
		buf_add_str(&name, x->name);
		share_tell_again(m->s, buf_str(&name));
		buf_done(&name);
	}
}

void
share_moved_free(struct share_moved **mp)
{
	struct share_moved *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	if (m->list_at != NULL)
		m->s->ops->list_end(&m->list_at);
	VEC_DONE(&m->v);
	arena_done(&m->arena);
	free(m);
}
