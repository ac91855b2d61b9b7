/* SPDX-License-Identifier: ISC */
/*
 * turns.c - the sessions of this process, each with work in its turn.
 *
 * Owns:    struct host_session.
 * Runs in: imapd and pop3d.
 * Trusts:  the services, which keep a turn to a few milliseconds.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/host_impl.h"

/* Turns are given for so long before the loop looks at the network again. */
#define ROUND_MS 5
/* After so long without much to do memory goes back to the kernel; changed
 * states are told that often at most. */
#define TRIM_AFTER_S 1.5
#define BUSY_ITERATIONS 30

static struct str
key_of(void *const *session)
{
	return str_make(session, sizeof(*session));
}

static struct host_session *
find(struct host *h, void *session)
{
	return map_find(&h->by_session, key_of(&session));
}

static void
free_ended(struct host *h)
{
	LIST_EACH(&h->ended, l) {
		struct host_session *hs = LIST_OF(l, struct host_session, all);

		list_remove(l);
		free(hs->remote_ip);
		free(hs->state);
		free(hs);
	}
}

static void
give_turns(struct host *h)
{
	struct list round;
	int64_t until = clock_mono_ms() + ROUND_MS;

	h->turns_ms = until - ROUND_MS;
	/* Each session once: who is woken meanwhile comes in the next round. */
	list_init(&round);
	list_prepend_all(&round, &h->ready);
	while (!list_is_empty(&round) && clock_mono_ms() <= until) {
		struct host_session *hs =
		    LIST_OF(round.next, struct host_session, link);
		bool more;

		list_remove(&hs->link);
		h->running = hs;
		more = h->ops->session_turn(hs->session);
		if (h->running == hs && more && hs->link.next == &hs->link)
			list_append(&h->ready, &hs->link);
		h->running = NULL;
	}
	/* Those without a turn keep their place before the others. */
	list_prepend_all(&h->ready, &round);
}

static void
on_check(struct ev_loop *loop, ev_check *w, UNUSED int revents)
{
	struct host *h = w->data;

	if (!list_is_empty(&h->ready))
		give_turns(h);
	free_ended(h);
	if (list_is_empty(&h->ready))
		ev_idle_stop(loop, &h->idle);
	if (!ev_is_active(&h->trim) && h->trimmed_at != ev_iteration(loop)) {
		h->trim_armed_at = ev_iteration(loop);
		ev_timer_set(&h->trim, TRIM_AFTER_S, 0.);
		ev_timer_start(loop, &h->trim);
	}
}

static void
on_idle(UNUSED struct ev_loop *loop, UNUSED ev_idle *w, UNUSED int revents)
{
	/* Exists so that the loop does not wait while there is work. */
}

static void
on_trim(struct ev_loop *loop, ev_timer *w, UNUSED int revents)
{
	struct host *h = w->data;

	ev_timer_stop(loop, w);
	host_tell_states(h);
	if (ev_iteration(loop) - h->trim_armed_at > BUSY_ITERATIONS)
		return; /* on_check of this iteration arms it anew */
	host_trim(h);
	/* That there is nothing to do is nothing that has been done: who is
	 * idle is not woken for it again. */
	h->trimmed_at = ev_iteration(loop);
}

void
turns_init(struct host *h)
{
	list_init(&h->sessions);
	list_init(&h->ready);
	list_init(&h->ended);
	map_init(&h->by_session);
	ev_check_init(&h->check, on_check);
	/* Behind the network's events of the same iteration. */
	ev_set_priority(&h->check, EV_MINPRI);
	ev_idle_init(&h->idle, on_idle);
	ev_timer_init(&h->trim, on_trim, TRIM_AFTER_S, 0.);
	h->check.data = h->idle.data = h->trim.data = h;
	ev_check_start(h->loop, &h->check);
}

void
turns_done(struct host *h)
{
	ev_check_stop(h->loop, &h->check);
	ev_idle_stop(h->loop, &h->idle);
	ev_timer_stop(h->loop, &h->trim);
	free_ended(h);
	map_done(&h->by_session);
}

/* ---- a service refused: send what it wrote, then close ------------------- */

static void
refused_input(struct conn *c, UNUSED void *arg)
{
	conn_consume(c, conn_peek(c).n);
}

static void
refused_drain(UNUSED struct conn *c, UNUSED void *arg)
{
}

static void
refused_close(struct conn *c, UNUSED const struct err *why, void *arg)
{
	struct host *h = arg;

	conn_free(&c);
	host_session_count_changed(h, NULL);
}

static void
nothing(UNUSED struct conn *c, UNUSED void *arg)
{
}

static void
nothing_more(UNUSED struct conn *c, UNUSED const struct err *e, UNUSED void *a)
{
}

const struct conn_handlers turns_no_handlers = {nothing, nothing, nothing_more};

static const struct conn_handlers refused_handlers = {
    refused_input, refused_drain, refused_close};

bool
turns_add(struct host *h, struct conn **conn, const struct host_peer *p)
{
	struct host_session *hs = mem_new(1, sizeof(*hs));

	list_init(&hs->link);
	list_init(&hs->all);
	hs->session_id = p->session_id;
	hs->remote_ip = str_to_heap(p->remote_ip);
	hs->begun_ms = clock_mono_ms();
	conn_set_handlers(*conn, &refused_handlers, h);
	h->woken_early = false;
	hs->session = h->ops->session_new(h, *conn, p);
	if (hs->session == NULL) {
		log_warn(
		    "session refused user=<%s> rip=%s", h->user, hs->remote_ip);
		list_append(&h->ended, &hs->all);
		conn_finish(*conn);
		*conn = NULL;
		return false;
	}
	conn_set_stats(*conn, &hs->stats);
	*conn = NULL;
	list_append(&h->sessions, &hs->all);
	map_put(&h->by_session, key_of(&hs->session), hs);
	h->n_sessions++;
	if (!h->from_shell)
		log_info("session begun user=<%s> session=%llu rip=%s lip=%.*s"
			 " tls=%.*s",
		    h->user, (unsigned long long)hs->session_id, hs->remote_ip,
		    STR_ARG(p->local_ip),
		    STR_ARG(p->tls.n > 0 ? p->tls : STR("no")));
	if (h->woken_early)
		host_wake(h, hs->session);
	return true;
}

void
turns_end(struct host *h, uint64_t session_id, const char *why)
{
	bool found = true;

	/* Each call may end that session, or any other. */
	while (found) {
		found = false;
		LIST_EACH(&h->sessions, l) {
			struct host_session *hs =
			    LIST_OF(l, struct host_session, all);

			if (hs->told_to_end ||
			    (session_id != 0 && hs->session_id != session_id))
				continue;
			hs->told_to_end = found = true;
			h->ops->session_end(hs->session, why);
			break;
		}
	}
}

/* ---- for services -------------------------------------------------------- */

void
host_wake(struct host *h, void *session)
{
	struct host_session *hs = find(h, session);

	if (hs == NULL) {
		/* In session_new: the session is not known here yet. */
		h->woken_early = true;
		return;
	}
	if (hs->link.next == &hs->link)
		list_append(&h->ready, &hs->link);
	ev_idle_start(h->loop, &h->idle);
}

bool
host_is_busy(const struct host *h)
{
	return !list_is_empty(&h->ready);
}

int64_t
host_idle_ms(const struct host *h)
{
	return host_is_busy(h) ? 0 : clock_mono_ms() - h->turns_ms;
}

void
host_session_note(struct host *h, void *session, const char *fmt, ...)
{
	struct host_session *hs = find(h, session);
	va_list ap;

	if (hs == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(hs->note, sizeof(hs->note), fmt, ap);
	va_end(ap);
}

void
host_session_ended(struct host *h, void *session)
{
	struct host_session *hs = find(h, session);

	ASSERT(hs != NULL);
	(void)map_remove(&h->by_session, key_of(&session));
	list_remove(&hs->link);
	list_remove(&hs->all);
	if (h->running == hs)
		h->running = NULL;
	h->n_sessions--;
	/* The connection may count into hs->stats until its owner, who is just
	 * now ending it, has freed it. */
	list_append(&h->ended, &hs->all);
	host_session_count_changed(h, hs);
}
