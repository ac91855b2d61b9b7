/* SPDX-License-Identifier: ISC */
/*
 * attempt.c - one question to one auth child.
 *
 * A child that has found a passwd-file's password right stays for the next
 * question (try.h); one that does not want another has closed its channel, and
 * the question goes to a new one.
 *
 * Owns:    struct attempt, the children's channels.
 * Runs in: authd.
 * Trusts:  the spawner and the children, which are where the truth is found.
 */
#include <ev.h>

#include "auth/attempt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "os/fd.h"

/* The child ends itself after 30 s. */
#define WALL_S 35.0

struct child {
	struct list link; /* while it is idle */
	struct broker *b;
	struct chan *chan;
	struct attempt *attempt; /* NULL: idle */
	bool has_answered; /* an attempt before this one */
};

struct attempt {
	struct list link;
	struct broker *b;
	uint32_t number;
	enum chan_try_kind kind;
	enum chan_try_want want;
	bool hold;
	struct child *child; /* NULL: asked, not there yet */
	int hold_fd;
	struct buf work; /* the frame, until it is sure who judges it */
	ev_timer timer;
	attempt_done_fn *done; /* NULL: forgotten */
	void *arg;
};

static void ask_spawner(struct attempt *a);

static void
child_free(struct child *c)
{
	if (c->attempt == NULL) {
		list_remove(&c->link);
		c->b->n_idle--;
	}
	chan_free(&c->chan);
	MEM_FREE(c);
}

/* It waits for the next question, or will say that it does not. */
static void
let_idle(struct child *c)
{
	c->attempt->child = NULL;
	c->attempt = NULL;
	c->has_answered = true;
	/* The latest first: what it needs is in the caches. */
	list_prepend(&c->b->idle, &c->link);
	c->b->n_idle++;
}

static void
attempt_free(struct attempt *a)
{
	ev_timer_stop(a->b->loop, &a->timer);
	list_remove(&a->link);
	if (a->child != NULL)
		child_free(a->child);
	fd_close(&a->hold_fd);
	buf_wipe(&a->work);
	buf_done(&a->work);
	MEM_FREE(a);
}

/* Tells the owner and ends the attempt. */
static void
finish(struct attempt *a, const struct chan_try_result *r)
{
	attempt_done_fn *done = a->done;
	void *arg = a->arg;
	int hold_fd = -1;

	if (r->holding) {
		hold_fd = a->hold_fd;
		a->hold_fd = -1;
	}
	/* The slices of `r` may lie in the channel's room, not in `a`. */
	attempt_free(a);
	if (done != NULL)
		done(r, hold_fd, arg);
	else
		fd_close(&hold_fd);
}

static void
fail(struct attempt *a, const char *why)
{
	finish(a,
	    &(struct chan_try_result){
		.outcome = CHAN_TRY_UNAVAILABLE, .text = str_of(why)});
}

static void
on_time(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct attempt *a = w->data;

	fail(a,
	    a->child != NULL ? "auth child took too long"
			     : "no auth child could be had");
}

/* ---- the child ---- */

static int
on_result(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct child *child = arg;
	struct attempt *a = child->attempt;
	struct chan_try_msg got;

	if (chan_try_parse(&m->in, &got, e) == -1)
		return -1;
	if (a == NULL)
		return err_set(e, ERR_VIOLATION, "answers what was not asked");
	if (got.result.holding && a->hold_fd == -1)
		return err_set(e, ERR_VIOLATION, "holds what was not asked");
	if (a->kind == CHAN_TRY_PASSWD_FILE && a->want == CHAN_TRY_VERIFY &&
	    got.result.outcome == CHAN_TRY_OK &&
	    a->b->n_idle < a->b->running_max && a->b->spawner != NULL)
		let_idle(child);
	finish(a, &got.result);
	return 0;
}

static void
on_child_closed(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct child *child = arg;
	struct attempt *a = child->attempt;

	if (why->code == ERR_VIOLATION)
		log_error("auth child broke the rules: %s", why->text);
	if (a == NULL) {
		child_free(child);
	} else if (child->has_answered && why->code != ERR_VIOLATION) {
		/* The question has crossed its end. */
		a->child = NULL;
		child_free(child);
		if (a->b->spawner != NULL)
			ask_spawner(a);
	} else {
		fail(a, "auth child ended without an answer");
	}
}

static const struct chan_entry child_entries[] = {
    {CHAN_TRY_RESULT, 0, CHAN_ANY_STATE, CHAN_TRY_FRAME_MAX, on_result},
};
static const struct chan_def child_def = {.name = "auth child",
    .entries = child_entries,
    .n_entries = ARRAY_LEN(child_entries),
    .on_close = on_child_closed};

static void
send_work(struct attempt *a, struct child *child)
{
	struct err ignored;

	a->child = child;
	child->attempt = a;
	/* A send that fails is reported by on_child_closed, from the loop. */
	(void)chan_send(child->chan, &a->work, NULL, 0, &ignored);
	if (!child->has_answered)
		buf_wipe(&a->work);
}

static struct child *
take_idle(struct broker *b)
{
	struct child *c = LIST_OF(b->idle.next, struct child, link);

	list_remove(&c->link);
	b->n_idle--;
	return c;
}

static void
drop_idle(struct broker *b)
{
	LIST_EACH(&b->idle, l)
		child_free(LIST_OF(l, struct child, link));
}

/* ---- the spawner ---- */

static struct attempt *
find(struct broker *b, uint32_t number)
{
	struct attempt *a;

	LIST_EACH(&b->attempts, l) {
		a = LIST_OF(l, struct attempt, link);
		if (a->number == number && a->child == NULL)
			return a;
	}
	return NULL;
}

static int
on_child(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct broker *b = arg;
	struct chan_try_msg got;
	struct child *child;
	struct attempt *a;

	if (chan_try_parse(&m->in, &got, e) == -1)
		return -1;
	a = find(b, got.attempt);
	if (a == NULL)
		return 0; /* given up meanwhile; the child sees EOF */
	if (got.type == CHAN_TRY_REFUSED) {
		fail(a, "the spawner has no child");
		return 0;
	}
	if (got.type == CHAN_TRY_CHILD_HOLD)
		a->hold_fd = chan_take_fd(m, 1);
	child = mem_new(1, sizeof(*child));
	child->b = b;
	child->chan = chan_new(b->loop, chan_take_fd(m, 0), &child_def, child);
	send_work(a, child);
	return 0;
}

/* No room for one more child here; the child sees the end of its channel. */
static int
on_child_lost(
    UNUSED struct chan *c, struct msg_in *in, void *arg, struct err *e)
{
	struct broker *b = arg;
	struct err why = *e;
	struct chan_try_msg got;
	struct attempt *a;

	if (chan_try_parse(in, &got, e) == -1)
		return -1;
	a = find(b, got.attempt);
	if (a != NULL)
		fail(a, why.text);
	return 0;
}

static void
on_spawner_closed(struct chan *c, const struct err *why, void *arg)
{
	struct broker *b = arg;

	if (why->code == ERR_VIOLATION)
		log_error("spawner broke the rules: %s", why->text);
	/* Master brings the next one; who waits for a child waits on. */
	chan_free(&c);
	b->spawner = NULL;
	drop_idle(b);
}

static const struct chan_entry spawner_entries[] = {
    {CHAN_TRY_CHILD, 1, CHAN_ANY_STATE, 256, on_child},
    {CHAN_TRY_CHILD_HOLD, 2, CHAN_ANY_STATE, 256, on_child},
    {CHAN_TRY_REFUSED, 0, CHAN_ANY_STATE, 256, on_child},
};
const struct chan_def attempt_spawner_def = {.name = "spawner",
    .entries = spawner_entries,
    .n_entries = ARRAY_LEN(spawner_entries),
    .on_close = on_spawner_closed,
    .on_lost = on_child_lost};

/* ---- start ---- */

static void
set_timer(struct attempt *a, double wait_s)
{
	ev_timer_stop(a->b->loop, &a->timer);
	ev_now_update(a->b->loop);
	ev_timer_set(&a->timer, wait_s, 0);
	ev_timer_start(a->b->loop, &a->timer);
}

static void
ask_spawner(struct attempt *a)
{
	struct chan_try_msg m = {.type = CHAN_TRY_NEW,
	    .new = {.attempt = a->number, .kind = a->kind, .hold = a->hold}};
	struct buf *b = chan_frame();
	struct err e;

	chan_try_write(&m, b);
	if (chan_send(a->b->spawner, b, NULL, 0, &e) == 0)
		return;
	/* It has died, and we have not heard of it yet: the next one is asked,
	 * see attempt_spawner_is_there(). */
	if (e.code == ERR_CLOSED)
		return;
	/* Fails from the loop, not in here. */
	log_error("the spawner does not listen: %s", e.text);
	set_timer(a, 0);
}

void
attempt_spawner_is_there(struct broker *b)
{
	LIST_EACH(&b->attempts, l) {
		struct attempt *a = LIST_OF(l, struct attempt, link);

		if (a->child == NULL)
			ask_spawner(a);
	}
}

struct attempt *
attempt_start(struct broker *b, const struct attempt_question *q,
    attempt_done_fn *done, void *arg)
{
	struct chan_try_msg m = {.type = CHAN_TRY_WORK, .work = q->work};
	struct attempt *a = mem_new(1, sizeof(*a));

	a->b = b;
	a->kind = q->kind;
	a->want = q->work.want;
	a->hold = q->hold;
	a->number = ++b->last_attempt;
	a->hold_fd = -1;
	a->done = done;
	a->arg = arg;
	list_append(&b->attempts, &a->link);
	buf_init(&a->work, CHAN_TRY_FRAME_MAX);
	chan_try_write(&m, &a->work);
	ev_timer_init(&a->timer, on_time, 0, 0);
	a->timer.data = a;
	set_timer(a, WALL_S);
	if (a->kind == CHAN_TRY_PASSWD_FILE && !list_is_empty(&b->idle))
		send_work(a, take_idle(b));
	else if (b->spawner != NULL)
		ask_spawner(a);
	return a;
}

void
attempt_forget(struct attempt *a)
{
	a->done = NULL;
}
