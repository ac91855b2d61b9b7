/* SPDX-License-Identifier: ISC */
/*
 * generation.c - one set of service processes made from one configuration.
 *
 * Owns:    struct generation, its settings and service processes.
 * Runs in: master.
 * Trusts:  nothing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "generation.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control.h"
#include "limit.h"
#include "os/fd.h"
#include "os/rng.h"
#include "reload.h"
#include "service.h"
#include "spools.h"
#include "worker.h"

#define STOP_PATIENCE_S 10
#define TICKET_KEY_LIFE_MS (INT64_C(24) * 60 * 60 * 1000)

static void
on_deadline(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct generation *g = w->data;

	if (!g->m->stopping && g->n_workers > 0)
		log_warn("login workers of the old configuration are ended "
			 "workers=%u",
		    g->n_workers);
	generation_kill(g);
	/* With the last one, the generation may be freed. */
	for (uint32_t n = g->n_workers; n > 0; n--) {
		struct worker *first =
		    LIST_OF(g->workers.next, struct worker, link);

		worker_free(&first);
	}
}

static void
on_more_workers(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	worker_serve_needs(w->data);
}

struct generation *
generation_new(struct master *m, struct settings *s)
{
	struct generation *g = mem_new(1, sizeof(*g));

	g->m = m;
	g->settings = s;
	for (size_t i = 0; i < SERVICES; i++)
		g->settings_fds[i] = -1;
	list_init(&g->workers);
	service_init(&g->spawner, m, g, PROGRAM_SPAWNER, 0);
	service_init(&g->authd, m, g, PROGRAM_AUTHD, 0);
	service_init(&g->login, m, g, PROGRAM_LOGIN, 0);
	if (s->certs.n > 0)
		g->n_keyd =
		    s->key_processes > KEYD_MAX ? KEYD_MAX : s->key_processes;
	for (uint32_t i = 0; i < g->n_keyd; i++)
		service_init(&g->keyd[i], m, g, PROGRAM_KEYD, i);
	ev_timer_init(&g->deadline, on_deadline, 0, 0);
	ev_timer_init(&g->more_workers, on_more_workers, 0, 0);
	g->deadline.data = g->more_workers.data = g;
	list_append(&m->generations, &g->link);
	return g;
}

void
generation_each(struct generation *g,
    void (*fn)(struct service_proc *p, void *arg), void *arg)
{
	fn(&g->spawner, arg);
	fn(&g->authd, arg);
	for (uint32_t i = 0; i < g->n_keyd; i++)
		fn(&g->keyd[i], arg);
	fn(&g->login, arg);
}

static void
count_running(struct service_proc *p, void *arg)
{
	unsigned *n = arg;

	*n += p->state != SERVICE_DOWN;
}

unsigned
generation_running(const struct generation *g)
{
	unsigned n = 0;

	generation_each((struct generation *)(uintptr_t)g, count_running, &n);
	return n;
}

static void
done_one(struct service_proc *p, UNUSED void *arg)
{
	service_done(p);
}

static void
generation_free(struct generation *g)
{
	struct master *m = g->m;

	ASSERT(list_is_empty(&g->workers));
	generation_each(g, done_one, NULL);
	ev_timer_stop(m->loop, &g->deadline);
	ev_timer_stop(m->loop, &g->more_workers);
	list_remove(&g->link);
	for (size_t i = 0; i < SERVICES; i++)
		fd_close(&g->settings_fds[i]);
	settings_free(&g->settings);
	if (m->now == g)
		m->now = NULL;
	if (m->next == g)
		m->next = NULL;
	free(g);
}

/* ---- start ---- */

/* GnuTLS derives its rotating keys from this one; it is renewed each day. */
static void
renew_ticket_key(struct master *m)
{
	int64_t now = clock_mono_ms();

	if (m->ticket_key_ms != 0 &&
	    now - m->ticket_key_ms < TICKET_KEY_LIFE_MS)
		return;
	rng_bytes(m->ticket_key, sizeof(m->ticket_key));
	m->ticket_key_ms = now;
}

int
generation_start(struct generation *g, struct err *e)
{
	renew_ticket_key(g->m);
	if (service_start(&g->spawner, e) == -1 ||
	    service_start(&g->authd, e) == -1)
		return -1;
	for (uint32_t i = 0; i < g->n_keyd; i++)
		if (service_start(&g->keyd[i], e) == -1)
			return -1;
	return 0;
}

static bool
others_run(const struct generation *g)
{
	if (g->spawner.state != SERVICE_RUNNING ||
	    g->authd.state != SERVICE_RUNNING)
		return false;
	for (uint32_t i = 0; i < g->n_keyd; i++)
		if (g->keyd[i].state != SERVICE_RUNNING)
			return false;
	return true;
}

void
generation_blame(struct generation *g, const char *fmt, ...)
{
	va_list ap;

	if (g->why[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(g->why, sizeof(g->why), fmt, ap);
	va_end(ap);
}

static void
failed(struct generation *g)
{
	struct master *m = g->m;

	if (m->next == g) {
		m->next = NULL;
		listen_settle(&m->listeners, false);
		g->retiring = true;
		generation_kill(g);
		reload_ended(m, false,
		    g->why[0] != '\0' ? g->why : "a process did not start");
		generation_check_retired(g);
	} else {
		master_stop(m, 1);
	}
}

static void
became_ready(struct generation *g)
{
	struct master *m = g->m;
	struct generation *old = m->now;

	g->was_ready = true;
	if (m->next == g) {
		m->next = NULL;
		m->now = g;
		listen_settle(&m->listeners, true);
		reload_switched(m, old);
		generation_retire(old, "reload", 600);
	} else if (!m->ready) {
		listen_settle(&m->listeners, true);
		master_is_ready(m);
	}
}

static void
advance(struct generation *g)
{
	struct err e;

	if (!others_run(g) || g->retiring)
		return;
	/* Its back-off, when it has one, is kept. */
	if (g->login.state == SERVICE_DOWN && !g->was_ready &&
	    service_start(&g->login, &e) == -1) {
		log_error("%s", e.text);
		failed(g);
		return;
	}
	if (g->login.state != SERVICE_RUNNING)
		return;
	if (!g->was_ready)
		became_ready(g);
	worker_serve_needs(g);
}

/* Nobody waits for it: without it there are no locks in the spool. */
static void
spoold_changed(struct service_proc *p)
{
	if (p->state == SERVICE_RUNNING)
		spools_running(p->m);
	if (p->state != SERVICE_DOWN)
		return;
	if (p->m->stopping)
		master_stop_step(p->m);
	else if (p->m->now->settings->spool_dir[0] != '\0')
		service_start_later(p, limit_backoff_ms(p->failures));
}

static void
logd_changed(struct service_proc *p)
{
	struct master *m = p->m;
	struct err e;

	if (p->state == SERVICE_DOWN) {
		if (m->stopping)
			master_stop_step(m);
		else if (!m->ready)
			master_stop(m, 1);
		else
			service_start_later(p, limit_backoff_ms(p->failures));
		return;
	}
	if (m->ready || m->stopping || m->now->spawner.state != SERVICE_DOWN)
		return;
	if (generation_start(m->now, &e) == -1) {
		log_error("%s", e.text);
		failed(m->now);
	}
	spools_start(m);
}

void
generation_service_changed(struct service_proc *p, UNUSED const char *text)
{
	struct generation *g = p->g;

	if (g == NULL) {
		if (p->program == PROGRAM_SPOOLD)
			spoold_changed(p);
		else
			logd_changed(p);
		return;
	}
	if (p->state == SERVICE_RUNNING) {
		advance(g);
		return;
	}
	if (p == &g->login && g->retiring)
		reload_spares_gone(g);
	if (g->m->stopping)
		master_stop_step(g->m);
	else if (g->retiring)
		generation_check_retired(g);
	else if (!g->was_ready)
		failed(g);
	else
		service_start_later(p, limit_backoff_ms(p->failures));
}

/* ---- end ---- */

static void
stop_one(struct service_proc *p, void *arg)
{
	service_stop(p, arg, STOP_PATIENCE_S);
}

static void
kill_one(struct service_proc *p, UNUSED void *arg)
{
	service_stop(p, "killed", STOP_PATIENCE_S);
	service_kill(p);
}

void
generation_kill(struct generation *g)
{
	generation_each(g, kill_one, NULL);
}

void
generation_retire(struct generation *g, const char *why, unsigned patience_s)
{
	g->retiring = true;
	g->wanted_workers = 0;
	service_stop(&g->login, why, patience_s);
	ev_timer_stop(g->m->loop, &g->deadline);
	ev_timer_set(&g->deadline, patience_s, 0);
	ev_timer_start(g->m->loop, &g->deadline);
	generation_check_retired(g);
}

void
generation_check_retired(struct generation *g)
{
	char why[] = "no more workers";

	if (!g->retiring || g->n_workers > 0 || g->login.state != SERVICE_DOWN)
		return;
	if (generation_running(g) > 0) {
		generation_each(g, stop_one, why);
		return;
	}
	if (g->m->stopping)
		master_stop_step(g->m);
	else if (g != g->m->now)
		generation_free(g);
}
