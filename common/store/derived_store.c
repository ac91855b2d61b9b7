/* SPDX-License-Identifier: ISC */
/*
 * derived_store.c - a store's index: when it is opened, read and written.
 *
 * Owns:    struct derived_store; its timers.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; what can not be opened is done without.
 */
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "store/derived_impl.h"

#define SAVE_AFTER_MS 1500
/* Each write costs as much as hundreds of facts in it. */
#define FACTS_AFTER_MS 100
/* While a listing goes on there come more: they are written with one. */
#define FACTS_WITHIN_MS 1000

struct mailbox *
derived_next_open(struct derived_store *ds, struct mailbox *m)
{
	struct store *s = m == NULL ? ds->s : m->store;
	struct list *at = m == NULL ? &s->mailboxes : &m->link;

	while (at->next == &s->mailboxes) {
		struct list *next =
		    s == ds->s ? ds->s->spaces.next : s->link.next;

		if (next == &ds->s->spaces)
			return NULL;
		s = LIST_OF(next, struct store, link);
		at = &s->mailboxes;
	}
	return LIST_OF(at->next, struct mailbox, link);
}

/*
 * The index is about to begin anew; those whose records are there alone take
 * them from what is still open.
 */
static void
load_all_lazy(struct derived_store *ds)
{
	struct err e;

	for (struct mailbox *m = NULL; (m = derived_next_open(ds, m)) != NULL;)
		if (m->lazy_top != 0 && mailbox_load(m, &e) == -1)
			store_warn(m->store, "mailbox=%s: %s", m->name, e.text);
}

/* Nothing is held any more. */
static void
end_step(struct derived_store *ds)
{
	uint64_t epoch;

	if (ds->ix == NULL)
		return;
	if (index_is_stale(ds->ix))
		load_all_lazy(ds);
	epoch = index_epoch(ds->ix);
	index_pause(ds->ix);
	if (epoch == index_epoch(ds->ix))
		return;
	for (struct mailbox *m = NULL; (m = derived_next_open(ds, m)) != NULL;)
		if (m->derived != NULL)
			derived_note_state(m);
}

static void
arm(struct derived_store *ds, ev_timer *t, double after_s)
{
	if (ds->s->loop == NULL || ev_is_active(t))
		return;
	ev_timer_set(t, after_s, 0.);
	ev_timer_start(ds->s->loop, t);
	ev_unref(ds->s->loop);
}

static void
disarm(struct derived_store *ds, ev_timer *t)
{
	if (!ev_is_active(t))
		return;
	ev_ref(ds->s->loop);
	ev_timer_stop(ds->s->loop, t);
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, UNUSED int events)
{
	struct derived_store *ds = w->data;

	ev_ref(loop);
	ev_prepare_stop(loop, w);
	if (ds->is_urgent)
		derived_pause(ds->s);
	else
		end_step(ds);
}

static void
on_facts(struct ev_loop *loop, ev_timer *t, UNUSED int events)
{
	struct derived_store *ds = t->data;

	ev_ref(loop); /* libev has stopped it */
	if (ds->n_noted != ds->n_noted_then &&
	    clock_mono_ms() - ds->facts_since_ms < FACTS_WITHIN_MS) {
		ds->n_noted_then = ds->n_noted;
		arm(ds, &ds->facts, FACTS_AFTER_MS / 1000.);
		return;
	}
	derived_pause(ds->s);
}

static bool
is_due(const struct derived *d, int64_t now_ms)
{
	return d->is_dirty && now_ms - d->changed_ms >= SAVE_AFTER_MS;
}

static void
on_save(struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct derived_store *ds = w->data;
	int64_t now_ms = clock_mono_ms();
	double again_s = -1.;

	ev_ref(loop); /* libev has stopped it */
	for (struct mailbox *m = NULL;
	     (m = derived_next_open(ds, m)) != NULL;) {
		if (m->derived == NULL || !m->derived->is_dirty)
			continue;
		if (!is_due(m->derived, now_ms))
			again_s = again_s < 0 ? SAVE_AFTER_MS / 1000. : again_s;
		else if (derived_save(m) == STEP_MORE)
			again_s = 0.002;
	}
	derived_pause(ds->s);
	if (again_s >= 0)
		arm(ds, &ds->save, again_s);
}

void
derived_store_open(struct store *s, const char *dir)
{
	struct derived_store *ds;

	/* What the user knows of others' mail lies in his own index. */
	if (s->head != NULL)
		s->derived = s->head->derived;
	if (s->head != NULL || dir == NULL || *dir == '\0' ||
	    strcasecmp(dir, "none") == 0 || strcasecmp(dir, "memory") == 0)
		return;
	ds = mem_new(1, sizeof(*ds));
	ds->s = s;
	ds->dir = mem_strdup(dir);
	ev_prepare_init(&ds->prepare, on_prepare);
	ev_timer_init(&ds->save, on_save, 0., 0.);
	ev_timer_init(&ds->facts, on_facts, 0., 0.);
	ds->prepare.data = ds->save.data = ds->facts.data = ds;
	s->derived = ds;
}

struct index *
derived_index(struct store *s)
{
	struct derived_store *ds = s->derived;
	struct err e;

	if (ds == NULL)
		return NULL;
	if (!ds->was_tried) {
		ds->was_tried = true;
		if (index_open(ds->dir, 0, &ds->ix, &e) == -1)
			store_warn(ds->s, "working without index: %s", e.text);
		else
			derived_sweep_arm(ds->s);
	}
	return ds->ix != NULL && index_is_open(ds->ix) ? ds->ix : NULL;
}

void
derived_touch(struct store *s)
{
	struct derived_store *ds = s->derived;

	if (s->loop == NULL || ev_is_active(&ds->prepare))
		return;
	ev_prepare_start(s->loop, &ds->prepare);
	ev_unref(s->loop);
}

void
derived_rest(struct store *s)
{
	struct derived_store *ds = s->derived;

	if (ds == NULL || ds->ix == NULL || ev_is_active(&ds->prepare) ||
	    ev_is_active(&ds->save) || ev_is_active(&ds->facts))
		return;
	index_rest(ds->ix);
}

void
derived_pause(struct store *s)
{
	struct derived_store *ds = s->derived;

	if (ds == NULL || ds->ix == NULL)
		return;
	ds->is_urgent = false;
	for (struct mailbox *m = NULL; (m = derived_next_open(ds, m)) != NULL;)
		if (m->derived != NULL && !m->is_gone &&
		    derived_facts_wait(m->derived))
			derived_write_facts(m);
	end_step(ds);
}

void
derived_flush(struct store *s)
{
	struct mailbox *m = NULL;

	if (s->derived == NULL)
		return;
	while ((m = derived_next_open(s->derived, m)) != NULL)
		while (m->derived != NULL && m->derived->is_dirty &&
		    derived_save(m) == STEP_MORE)
			;
	derived_pause(s);
}

void
derived_store_close(struct store *s)
{
	struct derived_store *ds = s->derived;

	s->derived = NULL;
	if (ds == NULL || s->head != NULL)
		return;
	if (ev_is_active(&ds->prepare)) {
		ev_ref(s->loop);
		ev_prepare_stop(s->loop, &ds->prepare);
	}
	disarm(ds, &ds->save);
	disarm(ds, &ds->facts);
	derived_sweep_end(ds);
	if (ds->ix != NULL)
		index_close(&ds->ix);
	free(ds->dir);
	free(ds);
}

void
derived_arm_save(struct store *s)
{
	arm(s->derived, &s->derived->save, SAVE_AFTER_MS / 1000.);
}

void
derived_arm_facts(struct store *s)
{
	struct derived_store *ds = s->derived;

	ds->n_noted++;
	if (s->loop == NULL || ev_is_active(&ds->facts))
		return;
	ds->n_noted_then = ds->n_noted;
	ds->facts_since_ms = clock_mono_ms();
	arm(ds, &ds->facts, FACTS_AFTER_MS / 1000.);
}
