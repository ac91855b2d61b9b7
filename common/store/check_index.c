/* SPDX-License-Identifier: ISC */
/*
 * check_index.c - the index of a user: can it be used, does it fit together,
 * and does it say of the mail what the mail says?
 *
 * Owns:    nothing.
 * Runs in: restantectl, as the mail user, beside sessions.
 * Trusts:  nothing in the index.
 *
 * What the index says is compared only where it claims to be true: as long as
 * nobody has touched the mailbox since. What has changed meanwhile is read anew
 * by the next session, as ever.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"
#include "index/index_check.h"
#include "store/check_impl.h"
#include "store/derived.h"

#define CURE                                                                   \
	"restantectl repair drops what the index has of this mailbox; it is "  \
	"read anew."
#define TOLD_MAX 50

struct index_look {
	struct check *c; /* NULL: for a repair, nothing is told */
	struct index *ix;
	struct store *s; /* without index */
	struct map names; /* of mailboxes by place */
	struct arena arena;
	VEC(char *) bad; /* places of which something is wrong */
	uint64_t n_told;
};

static struct str
name_of(const struct index_look *l, struct str place)
{
	const struct str *name = map_find(&l->names, place);

	return name == NULL ? place : *name;
}

static void
note_bad(struct index_look *l, struct str place)
{
	VEC_EACH(&l->bad, b)
		if (str_eq(str_of(*b), place))
			return;
	*VEC_ADD(&l->bad) = str_to_heap(place);
}

static void
on_fault(void *arg, struct str place, const char *text)
{
	struct index_look *l = arg;

	note_bad(l, place);
	if (l->c != NULL && l->n_told++ < TOLD_MAX)
		check_tell(l->c, CHECK_FAULT | CHECK_CAN_REPAIR, "index",
		    name_of(l, place), CURE, "In the index: %s.", text);
}

static void PRINTF_LIKE(3, 4)
    differs(struct index_look *l, struct str place, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	on_fault(l, place, text);
}

/* ---- against the mail ---------------------------------------------------- */

struct difference {
	uint32_t n, first; /* messages, the UID of the first */
};

static void
count(struct difference *d, uint32_t uid)
{
	if (d->n++ == 0)
		d->first = uid;
}

static bool
same_flags(struct mailbox *m, const struct msg_rec *rec,
    const struct index_rec *r, struct str side)
{
	static uint16_t more[1024];
	size_t n, n_own;
	const uint16_t *own = mailbox_more(m, rec, &n_own);
	struct str rest;

	n = index_side_parse(side, r->known, more, ARRAY_LEN(more), &rest);
	return ((r->system ^ rec->system) & FLAGS_STORED) == 0 &&
	    ((r->keywords ^ rec->keywords) & m->named_letters) == 0 &&
	    n == n_own && (n == 0 || memcmp(own, more, n * sizeof(*own)) == 0);
}

static bool
same_size(struct mailbox *m, const struct index_rec *r)
{
	struct msg_file f = {.fd = -1};
	struct err e;
	bool same;

	if (!(r->known & INDEX_HAS_SIZE) ||
	    m->store->ops->msg_stat(m, r->uid, &f, &e) == -1)
		return true;
	same = f.size == r->size;
	msg_file_close(m, &f);
	return same;
}

static void
compare_records(
    struct index_look *l, const struct index_head *h, struct mailbox *m)
{
	struct difference unknown = {0}, flags = {0}, sizes = {0};
	uint32_t unseen = 0, deleted = 0, n = 0;
	struct index_chunk c;
	bool more = index_box_chunk(l->ix, h->box, 1, true, &c);

	for (; more; more = index_box_next(l->ix, h->box, true, &c))
		for (uint32_t i = 0; i < c.n; i++, n++) {
			struct index_rec r = index_chunk_rec(&c, i);
			const struct msg_rec *rec = mailbox_rec(m, r.uid);

			if (rec == NULL || rec->state != REC_LIVE) {
				count(&unknown, r.uid);
				continue;
			}
			unseen += !(rec->system & FLAG_SEEN);
			deleted += (rec->system & FLAG_DELETED) != 0;
			if (!same_flags(m, rec, &r, index_chunk_side(&c, i)))
				count(&flags, r.uid);
			else if (!same_size(m, &r))
				count(&sizes, r.uid);
		}
	if (unknown.n > 0)
		differs(l, h->place,
		    "it has %u messages that the mail has not (UID %u)",
		    unknown.n, unknown.first);
	if (n - unknown.n < set32_count(&m->live))
		differs(l, h->place, "it lacks %u messages of the mail",
		    set32_count(&m->live) - (n - unknown.n));
	if (flags.n > 0)
		differs(l, h->place,
		    "%u messages have other flags than in the mail (UID %u)",
		    flags.n, flags.first);
	if (sizes.n > 0)
		differs(l, h->place,
		    "%u messages have another size than their files (UID %u)",
		    sizes.n, sizes.first);
	if (unseen != h->unseen || deleted != h->deleted)
		differs(l, h->place,
		    "%u unread and %u deleted messages, in the mail %u and %u",
		    h->unseen, h->deleted, unseen, deleted);
}

static void
compare_names(
    struct index_look *l, const struct index_head *h, const struct mailbox *m)
{
	struct str names = h->keywords;

	for (size_t i = 0; i < m->keywords.n || names.n > 0; i++) {
		struct str in_index = STR(""), in_mail = STR("");

		if (names.n > 0) {
			in_index = str_of(names.p);
			names = str_skip(names, in_index.n + 1);
		}
		if (i < m->keywords.n && m->keywords.v[i] != NULL)
			in_mail = str_of(m->keywords.v[i]);
		if (!str_eq(in_index, in_mail)) {
			differs(l, h->place,
			    "keyword %zu is \"%.*s\", in the mail \"%.*s\"", i,
			    STR_ARG(in_index), STR_ARG(in_mail));
			return;
		}
	}
}

/* Nobody has touched it since the index was written. */
static bool
is_true(struct index_look *l, struct str name, const struct index_head *h)
{
	return h->backend.n > 0 && l->s->ops->index_is_true != NULL &&
	    l->s->ops->index_is_true(l->s, name, h->place, h->backend);
}

static void
compare(struct index_look *l, struct str name, const struct index_head *h)
{
	struct view *v = NULL;
	struct mailbox *m;
	enum step step;
	struct err e;

	if (!is_true(l, name, h))
		return;
	do {
		step = view_open(l->s, name, true, &v, &e);
		if (step == STEP_MORE)
			store_pause(l->s);
	} while (step == STEP_MORE);
	if (step != STEP_DONE)
		return; /* the mail's own check says why */
	m = view_mailbox(v);
	if (!is_true(l, name, h))
		goto out; /* touched meanwhile */
	if (m->uidvalidity != h->uidvalidity || m->uidnext != h->uidnext) {
		differs(l, h->place,
		    "UIDVALIDITY %u and UIDNEXT %u, in the mail %u and %u",
		    h->uidvalidity, h->uidnext, m->uidvalidity, m->uidnext);
	} else {
		compare_names(l, h, m);
		compare_records(l, h, m);
	}
out:
	view_close(&v);
	mailbox_close_idle(l->s, true);
}

/* ---- all mailboxes ------------------------------------------------------- */

static void
take_names(struct index_look *l, const struct mbox_entry *all)
{
	for (const struct mbox_entry *m = all; m != NULL; m = m->next) {
		struct str *name;
		struct buf place;

		if (m->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT))
			continue;
		buf_init(&place, 16 * 1024);
		if (l->s->ops->index_place(l->s, m->name, &place)) {
			name = arena_new(&l->arena, 1, sizeof(*name));
			*name = m->name;
			map_put(&l->names,
			    arena_str(&l->arena, buf_str(&place)), name);
		}
		buf_done(&place);
	}
}

static int
list_names(struct index_look *l, struct err *e)
{
	struct mbox_entry *all = NULL;
	void *at = NULL;
	enum step step;

	do {
		step = l->s->ops->list(l->s, &l->arena, &at, &all, e);
		if (step == STEP_MORE)
			store_pause(l->s);
	} while (step == STEP_MORE);
	l->s->ops->list_end(&at);
	if (step == STEP_DONE)
		take_names(l, all);
	return step == STEP_DONE ? 0 : -1;
}

static void
compare_all(struct index_look *l)
{
	struct str place;
	void *name;
	size_t i = 0;

	while (map_next(&l->names, &i, &place, &name)) {
		struct index_head h;

		if (!index_is_stale(l->ix) && index_box_head(l->ix, place, &h))
			compare(l, *(const struct str *)name, &h);
	}
}

/* What it has of mailboxes that are nowhere. */
static void
count_missing(struct index_look *l)
{
	struct index_key heads = index_key_heads();
	struct str key, value;
	struct index_head h;
	unsigned n = 0;
	bool more = index_seek(l->ix, &heads, &heads, &key, &value);

	for (; more; more = index_next(l->ix, &heads, &key, &value)) {
		char path[4096];

		n += index_head_parse(value, &h) &&
		    map_find(&l->names, h.place) == NULL &&
		    str_to_c(h.place, path, sizeof(path)) &&
		    access(path, F_OK) == -1;
	}
	if (n > 0 && l->c != NULL)
		check_tell(l->c, CHECK_NOTE, "index", STR(""), NULL,
		    "The index still knows %u mailboxes that are gone; it "
		    "forgets them after a month.",
		    n);
}

static void
look_inside(struct index_look *l)
{
	struct index_check_sum sum;
	bool whole = index_check(l->ix, on_fault, l, &sum);

	if (whole && sum.orphans > 0 && l->c != NULL)
		check_tell(l->c, CHECK_FAULT | CHECK_CAN_REPAIR, "index",
		    STR(""), "restantectl repair makes room.",
		    "The index has records of %llu mailboxes that no mailbox "
		    "has.",
		    (unsigned long long)sum.orphans);
	if (whole) {
		compare_all(l);
		count_missing(l);
	}
	if (index_is_stale(l->ix) && l->c != NULL)
		check_tell(l->c, CHECK_FAULT | CHECK_CAN_REPAIR, "index",
		    STR(""), "The next session makes it anew; so does repair.",
		    "The index is damaged.");
	if (l->n_told > TOLD_MAX && l->c != NULL)
		check_tell(l->c, CHECK_NOTE, "index", STR(""), NULL,
		    "%llu more such findings in the index.",
		    (unsigned long long)(l->n_told - TOLD_MAX));
}

/* With the index and the mail open; then `fn`. */
static int
with_index(const struct store_settings *set, struct check *c,
    int (*fn)(struct index_look *l, struct err *e), struct err *e)
{
	struct store_settings plain = *set;
	struct index_look l = {.c = c};
	int rc = -1;

	if (index_open(set->index_dir, 0, &l.ix, e) == -1)
		return -1;
	plain.index_dir = NULL;
	plain.poll_only = true;
	plain.public_location = plain.others_location = NULL;
	arena_init(&l.arena);
	map_init(&l.names);
	if (store_open(&plain, NULL, &l.s, e) == 0) {
		rc = l.s->ops->index_place == NULL ? 0 : list_names(&l, e);
		if (rc == 0)
			look_inside(&l);
		if (rc == 0 && fn != NULL)
			rc = fn(&l, e);
		store_close(&l.s);
	}
	VEC_EACH(&l.bad, b)
		free(*b);
	VEC_DONE(&l.bad);
	map_done(&l.names);
	arena_done(&l.arena);
	index_close(&l.ix);
	return rc;
}

/* ---- outside ------------------------------------------------------------- */

static void
tell_unusable(struct check *c, const struct err *e)
{
	const char *cure =
	    "Sessions work without it, only slower; see what the system says.";

	if (e->code == ERR_CORRUPT)
		cure = "It was damaged twice within ten minutes; look at the "
		       "disk and the memory of this machine. It is tried again "
		       "later.";
	else if (e->code == ERR_UNSUPPORTED)
		cure = "Set index_dir to a folder on a disk of this host.";
	check_tell(c, CHECK_FAULT, "index", STR(""), cure,
	    "The index can not be used: %s.", e->text);
}

static void
tell_outside(struct check *c, const struct index_outside *out)
{
	if (!out->is_ours)
		check_tell(c, CHECK_FAULT, "index", STR(""),
		    "Give it to the user with mode 0700, or remove it: it is "
		    "made anew.",
		    "Others may write into the index at %s.",
		    c->set->index_dir);
	if (out->verdict == INDEX_STATE_DAMAGED)
		check_tell(c, CHECK_FAULT | CHECK_CAN_REPAIR, "index", STR(""),
		    "The next session makes it anew; so does repair.",
		    "The index was found damaged.");
	else if (out->verdict == INDEX_STATE_NEW && out->data_bytes > 0)
		check_tell(c, CHECK_NOTE, "index", STR(""), NULL,
		    "The index is of another version, or from before the last "
		    "start of this machine; the next session makes it anew.");
	if (out->bad_s != 0)
		check_tell(c, CHECK_NOTE, "index", STR(""),
		    "It can be removed.",
		    "An index that was damaged is kept as %s/data.bad.",
		    c->set->index_dir);
}

int
index_check_user(struct check *c, UNUSED struct err *e)
{
	struct index_outside out;
	char root[4096];
	struct err why;

	if (c->set->index_dir == NULL || *c->set->index_dir != '/' ||
	    !str_to_c(c->loc->root, root, sizeof(root)) ||
	    access(root, F_OK) == -1)
		return 0;
	index_look(c->set->index_dir, &out);
	if (!out.is_there)
		return 0;
	tell_outside(c, &out);
	/* Opening it would begin it anew. */
	if (out.is_ours && out.verdict == INDEX_STATE_GOOD &&
	    with_index(c->set, c, NULL, &why) == -1)
		tell_unusable(c, &why);
	return 0;
}

/* ---- repair -------------------------------------------------------------- */

static int
forget_places(struct index *ix, void *arg, struct err *e)
{
	struct index_look *l = arg;

	VEC_EACH(&l->bad, place) {
		struct index_head h;
		struct str p = str_of(*place);

		if (index_box_head(ix, p, &h) &&
		    (index_box_kill(ix, h.box, e) == -1 ||
			index_box_remove_head(ix, p, e) == -1))
			return -1;
	}
	return 0;
}

static int
drop_bad(struct index_look *l, struct err *e)
{
	if (index_is_stale(l->ix))
		return 0; /* begins anew when it is opened next */
	if (l->bad.n > 0 && index_write(l->ix, forget_places, l, e) == -1)
		return -1;
	return index_drop_orphans(l->ix, e);
}

int
index_repair_user(const struct store_settings *set, struct err *e)
{
	struct index_outside out;

	if (set->index_dir == NULL || *set->index_dir != '/')
		return 0;
	index_look(set->index_dir, &out);
	if (!out.is_there || !out.is_ours)
		return 0;
	return with_index(set, NULL, drop_bad, e);
}
