/* SPDX-License-Identifier: ISC */
/*
 * notify.c - from a change to the sessions that wait for one.
 *
 * Owns:    five timers in the loop.
 * Runs in: imapd, pop3d.
 * Trusts:  nothing from outside comes here.
 *
 * Listeners are never called from inside a call of the store, only from the
 * loop: a session may thus close its view in one.
 */
#include <ev.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/notify.h"

struct notify {
	ev_timer soon, poll, idle, retry, work;
	struct list waiters; /* struct store_waiter */
	bool is_soon, is_calling;
};

static struct view *
next_due(struct store *s)
{
	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);

		LIST_EACH(&m->views, k) {
			struct view *v = LIST_OF(k, struct view, link);

			if (v->is_due && v->listener != NULL)
				return v;
		}
	}
	return NULL;
}

/* Those of one mailbox stand together, so a search that starts over after
 * each call still costs little: served views are no longer due. */
static void
on_soon(struct ev_loop *loop, ev_timer *t, int events)
{
	struct store *s = t->data;
	struct view *v;

	(void)events;
	ev_timer_stop(loop, t);
	s->notify->is_soon = false;
	while ((v = next_due(s)) != NULL) {
		v->is_due = false;
		v->listener(v->listener_arg);
	}
}

static bool
has_listener(const struct mailbox *m)
{
	for (const struct list *l = m->views.next; l != &m->views; l = l->next)
		if (LIST_OF(l, const struct view, link)->listener != NULL)
			return true;
	return false;
}

static void
on_poll(struct ev_loop *loop, ev_timer *t, int events)
{
	struct store *s = t->data;

	(void)loop;
	(void)events;
	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);

		if (has_listener(m) && s->ops->may_have_news(m))
			mailbox_note_news(m);
	}
	notify_update(s);
}

static void
on_idle(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)loop;
	(void)events;
	mailbox_close_idle(t->data, false);
}

static void
work_on(struct mailbox *m)
{
	uint32_t again_ms = 0;

	m->store->ops->work(m, &again_ms);
	if (again_ms > 0)
		notify_work(m->store, again_ms);
	if (!m->has_work)
		mailbox_work_done(m);
}

static void
on_work(struct ev_loop *loop, ev_timer *t, int events)
{
	struct store *s = t->data;

	(void)events;
	ev_timer_stop(loop, t);
	if (s->ops->work == NULL)
		return;
	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);

		if (m->impl != NULL)
			work_on(m);
	}
}

/* ---- waiting for locks --------------------------------------------------- */

static void
on_retry(struct ev_loop *loop, ev_timer *t, int events)
{
	struct store *s = t->data;
	struct list due;

	(void)events;
	ev_timer_stop(loop, t);
	list_init(&due);
	list_prepend_all(&due, &s->notify->waiters);
	while (!list_is_empty(&due)) {
		struct store_waiter *w =
		    LIST_OF(due.next, struct store_waiter, link);

		store_wait_end(w);
		w->fn(w->arg);
	}
}

/* The earliest of those that wait decides; others try with it. */
static void
retry_within(struct store *s, uint32_t ms)
{
	ev_timer *t = &s->notify->retry;

	if (ev_is_active(t) && ev_timer_remaining(s->loop, t) <= ms / 1000.)
		return;
	ev_timer_stop(s->loop, t);
	ev_timer_set(t, ms / 1000., 0.);
	ev_timer_start(s->loop, t);
}

bool
store_must_wait(const struct store *s)
{
	return (s->head != NULL ? s->head : s)->wait_ms > 0;
}

void
store_forget_wait(struct store *s)
{
	store_head(s)->wait_ms = 0;
}

bool
store_wait(struct store *s, struct store_waiter *w)
{
	s = store_head(s);
	if (s->wait_ms == 0 || s->notify == NULL)
		return false;
	if (!w->is_waiting)
		list_append(&s->notify->waiters, &w->link);
	w->is_waiting = true;
	retry_within(s, s->wait_ms);
	s->wait_ms = 0;
	return true;
}

void
store_wait_end(struct store_waiter *w)
{
	if (w->is_waiting)
		list_remove(&w->link);
	w->is_waiting = false;
}

void
store_pause(struct store *s)
{
	uint32_t ms = store_head(s)->wait_ms;
	const struct timespec ts = {
	    .tv_sec = ms / 1000,
	    .tv_nsec = (long)(ms % 1000) * 1000000,
	};

	if (ms > 0)
		(void)nanosleep(&ts, NULL);
	store_head(s)->wait_ms = 0;
}

#define PAUSE_MAX_MS 100

enum step
store_lock_wait(
    struct store *s, struct lock_wait *w, int64_t wait_ms, const struct err *e)
{
	int64_t now = clock_mono_ms();

	if (w->until_ms == 0)
		*w = (struct lock_wait){now + wait_ms, 1};
	if (e->code != ERR_IN_USE || now >= w->until_ms) {
		*w = (struct lock_wait){0};
		return STEP_FAIL;
	}
	/* Two that wait for one lock part because clocks differ. */
	store_head(s)->wait_ms = w->pause_ms + (uint32_t)(clock_wall_us() % 3);
	w->pause_ms = w->pause_ms * 3 / 2 + 1 < PAUSE_MAX_MS
	    ? w->pause_ms * 3 / 2 + 1
	    : PAUSE_MAX_MS;
	return STEP_MORE;
}

void
store_lock_free(struct store *s)
{
	s = store_head(s);
	if (s->notify != NULL && !list_is_empty(&s->notify->waiters))
		retry_within(s, 0);
}

void
notify_new(struct store *s)
{
	struct notify *n;

	if (s->loop == NULL)
		return;
	n = mem_new(1, sizeof(*n));
	ev_timer_init(&n->soon, on_soon, 0., 0.);
	ev_timer_init(&n->poll, on_poll, 0., 0.);
	ev_timer_init(&n->idle, on_idle, 0., 0.);
	ev_timer_init(&n->retry, on_retry, 0., 0.);
	ev_timer_init(&n->work, on_work, 0., 0.);
	n->work.data = s;
	list_init(&n->waiters);
	n->soon.data = n->poll.data = n->idle.data = n->retry.data = s;
	s->notify = n;
}

void
notify_free(struct store *s)
{
	if (s->notify == NULL)
		return;
	ev_timer_stop(s->loop, &s->notify->soon);
	ev_timer_stop(s->loop, &s->notify->poll);
	ev_timer_stop(s->loop, &s->notify->idle);
	ev_timer_stop(s->loop, &s->notify->retry);
	ev_timer_stop(s->loop, &s->notify->work);
	LIST_EACH(&s->notify->waiters, l)
		store_wait_end(LIST_OF(l, struct store_waiter, link));
	MEM_FREE(s->notify);
}

void
notify_soon(struct store *s)
{
	if (s->notify == NULL || s->notify->is_soon)
		return;
	s->notify->is_soon = true;
	ev_timer_set(&s->notify->soon, 0., 0.);
	ev_timer_start(s->loop, &s->notify->soon);
}

void
notify_idle(struct store *s, uint32_t ms)
{
	if (s->notify == NULL)
		return;
	/* The last one that was closed decides; earlier ones wait with it. */
	ev_timer_stop(s->loop, &s->notify->idle);
	ev_timer_set(&s->notify->idle, ms / 1000. + 0.01, 0.);
	ev_timer_start(s->loop, &s->notify->idle);
}

/* Not later than that; it may be on its way to come earlier. */
static void
be_within(struct ev_loop *loop, ev_timer *t, uint32_t ms)
{
	if (ev_is_active(t) && ev_timer_remaining(loop, t) <= ms / 1000.)
		return;
	ev_timer_stop(loop, t);
	ev_timer_set(t, ms / 1000., 0.);
	ev_timer_start(loop, t);
}

void
notify_work(struct store *s, uint32_t ms)
{
	if (s->notify != NULL)
		be_within(s->loop, &s->notify->work, ms);
}

void
notify_within(struct store *s, uint32_t ms)
{
	if (s->notify != NULL)
		be_within(s->loop, &s->notify->poll, ms);
}

void
notify_update(struct store *s)
{
	bool must_poll = false;

	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);

		if (!s->ops->watch(m, has_listener(m)) && has_listener(m))
			must_poll = true;
	}
	if (must_poll)
		notify_within(s, s->poll_ms);
}
