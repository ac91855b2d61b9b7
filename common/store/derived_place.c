/* SPDX-License-Identifier: ISC */
/*
 * derived_place.c - what the index has of mailboxes that were removed, renamed
 * or are long gone.
 *
 * Owns:    the marks of when a place was found missing; what becomes of boxes
 *          that nobody needs any more.
 * Runs in: imapd, pop3d, restantectl, as the mail user.
 * Trusts:  nothing that lies in the index: a place there is looked for, never
 *          opened.
 *
 * A head that is forgotten costs time and nothing else; one that stays costs
 * room. Hence nothing is hurried: some programs remove the spool file of an
 * empty INBOX, and a disk may be away for a while.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/derived_impl.h"

#define SWEEP_AFTER_S 20.
#define SWEEP_AGAIN_S 0.02
#define SWEEP_EVERY_S (24 * 3600)
#define MISSING_MAX_S (30 * 24 * 3600)
#define SWEEP_HEADS 64 /* in one step */
#define BURY_VALUES 2000 /* in one step: a millisecond or two */

/* ---- forgotten, renamed -------------------------------------------------- */

struct move {
	char *from, *to; /* to NULL: nowhere */
};

struct moves {
	VEC(struct move) v;
};

static void
moves_done(struct moves *moves)
{
	VEC_EACH(&moves->v, mv) {
		free(mv->from);
		free(mv->to);
	}
	VEC_DONE(&moves->v);
}

/* With a copy of its value: the first change makes that void. */
static bool
load_head(
    struct index *ix, struct str place, struct buf *copy, struct index_head *h)
{
	struct index_key k = index_key_head(place);
	struct str value;

	if (!index_get(ix, &k, &value))
		return false;
	(void)buf_add_str(copy, value);
	return index_head_parse(buf_str(copy), h) && str_eq(h->place, place);
}

static int
forget_head(struct index *ix, struct str place, struct err *e)
{
	struct index_key head = index_key_head(place);
	struct index_key mark = index_key_missing(&head);
	struct index_head h;
	struct buf copy;
	int rc = 0;

	buf_init(&copy, SIZE_MAX / 2);
	if (load_head(ix, place, &copy, &h) &&
	    (index_remove(ix, &head, e) == -1 ||
		index_remove(ix, &mark, e) == -1 ||
		index_box_kill(ix, h.box, e) == -1))
		rc = -1;
	buf_done(&copy);
	return rc;
}

static int
move_head(struct index *ix, const struct move *mv, struct err *e)
{
	struct str from = str_of(mv->from), to = str_of(mv->to);
	struct index_key head = index_key_head(from);
	struct index_head h;
	struct buf copy;
	int rc = 0;

	buf_init(&copy, SIZE_MAX / 2);
	if (load_head(ix, from, &copy, &h)) {
		h.place = to;
		if (forget_head(ix, to, e) == -1 ||
		    index_remove(ix, &head, e) == -1 ||
		    index_box_save_head(ix, &h, e) == -1)
			rc = -1;
	}
	buf_done(&copy);
	return rc;
}

static int
make_moves(struct index *ix, void *arg, struct err *e)
{
	struct moves *moves = arg;

	VEC_EACH(&moves->v, mv)
		if ((mv->to == NULL ? forget_head(ix, str_of(mv->from), e)
				    : move_head(ix, mv, e)) == -1)
			return -1;
	return 0;
}

static void
write_moves(struct store *s, struct index *ix, struct moves *moves)
{
	struct err e;

	/* What fails is in the log; the sweep has another try. */
	if (moves->v.n > 0)
		(void)index_write(ix, make_moves, moves, &e);
	derived_touch(s);
	derived_sweep_soon(s);
}

void
derived_forget(struct store *s, struct str place)
{
	struct index *ix = derived_index(s);
	struct moves moves = {0};

	if (ix == NULL)
		return;
	VEC_ADD(&moves.v)->from = str_to_heap(place);
	write_moves(s, ix, &moves);
	moves_done(&moves);
}

/* Is it that one, or below it? Below the file "a" lies the folder "a.sbd". */
static bool
is_within(const struct store *s, struct str place, struct str of)
{
	struct str rest;

	if (!str_starts(place, of))
		return false;
	rest = str_skip(place, of.n);
	return rest.n == 0 || *rest.p == '/' ||
	    (*rest.p == s->delimiter && s->ops == &maildir_ops) ||
	    (str_starts(rest, STR(".sbd/")) && s->ops == &mbox_ops);
}

static char *
moved(struct str place, struct str from, struct str to)
{
	struct buf b;
	char *out;

	buf_init(&b, SIZE_MAX / 2);
	(void)buf_add_str(&b, to);
	(void)buf_add_str(&b, str_skip(place, from.n));
	out = str_to_heap(buf_str(&b));
	buf_done(&b);
	return out;
}

void
derived_rename(struct store *s, struct str from, struct str to)
{
	struct index *ix = derived_index(s);
	struct index_key heads = index_key_heads();
	struct moves moves = {0};
	struct str key, value;
	struct index_head h;
	bool more;

	if (ix == NULL)
		return;
	more = index_seek(ix, &heads, &heads, &key, &value);
	for (; more; more = index_next(ix, &heads, &key, &value))
		if (index_head_parse(value, &h) && is_within(s, h.place, from))
			*VEC_ADD(&moves.v) = (struct move){
			    .from = str_to_heap(h.place),
			    .to = moved(h.place, from, to),
			};
	write_moves(s, ix, &moves);
	moves_done(&moves);
	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);
		char *fresh;

		if (m->derived == NULL ||
		    !is_within(s, str_of(m->derived->place), from))
			continue;
		fresh = moved(str_of(m->derived->place), from, to);
		free(m->derived->place);
		m->derived->place = fresh;
	}
}

/* ---- the sweep ----------------------------------------------------------- */

/* A head that was looked for. */
struct finding {
	struct index_key mark;
	char *place; /* NULL: is there, the mark goes */
	int64_t since_s; /* 0: missing since now */
};

struct look {
	VEC(struct finding) v;
	int64_t now_s;
	bool is_last;
};

static bool
time_at(struct index *ix, const struct index_key *k, int64_t *out)
{
	struct str value;

	if (!index_get(ix, k, &value) || value.n != sizeof(*out))
		return false;
	memcpy(out, value.p, sizeof(*out));
	return true;
}

static bool
is_missing(struct str place)
{
	char path[PATH_MAX];
	struct stat st;

	return *place.p == '/' && str_to_c(place, path, sizeof(path)) &&
	    lstat(path, &st) == -1 && (errno == ENOENT || errno == ENOTDIR);
}

/* Looks for a few of the places that the index knows. */
static void
look_for_some(struct derived_store *ds, struct look *l)
{
	struct index_key heads = index_key_heads();
	struct index_key marks[SWEEP_HEADS];
	bool gone[SWEEP_HEADS], more;
	struct str key, value;
	struct index_head h;
	char *places[SWEEP_HEADS];
	size_t n = 0;

	more = index_seek(ds->ix, &ds->sweep_at, &heads, &key, &value);
	for (; more && n < SWEEP_HEADS;
	     more = index_next(ds->ix, &heads, &key, &value)) {
		if (!index_head_parse(value, &h) || h.place.n == 0)
			continue;
		marks[n] = index_key_head(h.place);
		marks[n] = index_key_missing(&marks[n]);
		gone[n] = is_missing(h.place);
		places[n] = gone[n] ? str_to_heap(h.place) : NULL;
		n++;
	}
	l->is_last = !more;
	if (more && key.n <= sizeof(ds->sweep_at.bytes)) {
		memcpy(ds->sweep_at.bytes, key.p, key.n);
		ds->sweep_at.n = (uint8_t)key.n;
	}
	for (size_t i = 0; i < n; i++) {
		int64_t since_s = 0;
		bool has_mark = time_at(ds->ix, &marks[i], &since_s);

		/* Of the future: a clock was wrong. */
		if (since_s > l->now_s)
			since_s = 0;
		if (gone[i] || has_mark)
			*VEC_ADD(&l->v) =
			    (struct finding){marks[i], places[i], since_s};
	}
}

static int
write_findings(struct index *ix, void *arg, struct err *e)
{
	struct look *l = arg;
	struct index_key last = index_key_missing(NULL);
	struct str now = str_make(&l->now_s, sizeof(l->now_s));

	VEC_EACH(&l->v, f) {
		int rc = 0;

		if (f->place == NULL)
			rc = index_remove(ix, &f->mark, e);
		else if (f->since_s == 0)
			rc = index_put(ix, &f->mark, now, e);
		else if (l->now_s - f->since_s >= MISSING_MAX_S)
			rc = forget_head(ix, str_of(f->place), e);
		if (rc == -1)
			return -1;
	}
	return l->is_last ? index_put(ix, &last, now, e) : 0;
}

/* A few places; false: that was all, or it can not be written now. */
static bool
sweep_some(struct derived_store *ds)
{
	struct look l = {.now_s = clock_wall_s()};
	bool ok;
	struct err e;

	look_for_some(ds, &l);
	ok = (l.v.n == 0 && !l.is_last) ||
	    index_write(ds->ix, write_findings, &l, &e) == 0;
	VEC_EACH(&l.v, f)
		free(f->place);
	VEC_DONE(&l.v);
	return ok && !l.is_last;
}

/* Is it time again? */
static bool
is_due(struct derived_store *ds)
{
	struct index_key last = index_key_missing(NULL);
	int64_t then_s, now_s = clock_wall_s();

	return !time_at(ds->ix, &last, &then_s) || then_s > now_s ||
	    now_s - then_s >= SWEEP_EVERY_S;
}

static bool
bury(struct derived_store *ds)
{
	bool is_all = true;
	struct err e;

	return index_box_bury(ds->ix, BURY_VALUES, &is_all, &e) == 0 && !is_all;
}

/* One piece of work; false: there is none. */
static bool
sweep_step(struct derived_store *ds)
{
	bool more = false;

	if (ds->ix == NULL || !index_is_open(ds->ix) || index_is_stale(ds->ix))
		return false;
	if (ds->sweep_at.n == 0 && is_due(ds))
		ds->sweep_at = index_key_heads();
	if (ds->sweep_at.n > 0)
		more = sweep_some(ds);
	if (!more)
		ds->sweep_at.n = 0;
	return bury(ds) || more;
}

static void
arm(struct derived_store *ds, double after_s)
{
	if (ds->s->loop == NULL || ev_is_active(&ds->sweep))
		return;
	ev_timer_set(&ds->sweep, after_s, 0.);
	ev_timer_start(ds->s->loop, &ds->sweep);
	ev_unref(ds->s->loop);
}

static void
on_sweep(struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct derived_store *ds = w->data;
	bool more;

	ev_ref(loop);
	ev_timer_stop(loop, w);
	more = sweep_step(ds);
	derived_pause(ds->s);
	if (more)
		arm(ds, SWEEP_AGAIN_S);
}

void
derived_sweep_arm(struct store *s)
{
	struct derived_store *ds = s->derived;

	ev_timer_init(&ds->sweep, on_sweep, 0., 0.);
	ds->sweep.data = ds;
	arm(ds, SWEEP_AFTER_S);
}

void
derived_sweep_soon(struct store *s)
{
	struct derived_store *ds = s->derived;

	/* What was put off for long has its turn now. */
	derived_sweep_end(ds);
	arm(ds, SWEEP_AGAIN_S);
}

void
derived_sweep_end(struct derived_store *ds)
{
	if (!ev_is_active(&ds->sweep))
		return;
	ev_ref(ds->s->loop);
	ev_timer_stop(ds->s->loop, &ds->sweep);
}

void
derived_sweep(struct store *s)
{
	if (derived_index(s) == NULL)
		return;
	s->derived->sweep_at = index_key_heads();
	while (sweep_step(s->derived))
		;
	derived_pause(s);
}
