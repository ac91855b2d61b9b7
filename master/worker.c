/* SPDX-License-Identifier: ISC */
/*
 * worker.c - login workers as master sees them.
 *
 * Owns:    struct worker, its channel and grants.
 * Runs in: master.
 * Trusts:  neither worker nor parent; the number is ours.
 */
#include <stdlib.h>
#include <string.h>

#include "worker.h"

#include "base/log.h"
#include "base/mem.h"
#include "generation.h"
#include "grants.h"
#include "ipc/chan_child.h"
#include "os/fd.h"
#include "service.h"
#include "session.h"

#define RETRY_S 1

/* The decoder has checked the length. */
static struct str
keep(struct str s, char *room)
{
	memcpy(room, s.p, s.n);
	return str_make(room, s.n);
}

static int
on_handoff(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct worker *w = arg;
	struct master *master = w->g->m;
	uint32_t number = w->number;
	char tag[LOGIN_TAG_MAX], remote[LOGIN_REMOTE_MAX];
	struct handoff_offer offer;

	if (handoff_offer_parse(&m->in, &offer, e) == -1)
		return -1;
	offer.tag = keep(offer.tag, tag);
	offer.remote = keep(offer.remote, remote);
	/* authd sent its grant before the worker could know, but the loop may
	 * have come to the worker's channel first. */
	if (w->g->authd.chan != NULL)
		chan_read_now(w->g->authd.chan);
	w = worker_find(master, number);
	if (w != NULL)
		session_handoff(w, &offer, chan_take_fd(m, 0),
		    m->n_fds == 2 ? chan_take_fd(m, 1) : -1);
	return 0;
}

/* It has the client still, who may try again. */
static int
on_lost(UNUSED struct chan *c, struct msg_in *in, void *arg, struct err *e)
{
	struct handoff_offer offer;
	struct err why = *e;

	if (handoff_offer_parse(in, &offer, e) == -1)
		return -1;
	log_error("connection can not be handed over reason=\"%s\"", why.text);
	session_refuse_handoff(arg, &offer);
	return 0;
}

static void
on_close(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct worker *w = arg;

	if (why->code == ERR_VIOLATION)
		worker_kill(&w, why->text);
	else
		worker_free(&w);
}

static const struct chan_entry entries[] = {
    {HANDOFF, 1, CHAN_ANY_STATE, LOGIN_FRAME_MAX, on_handoff},
    {HANDOFF, 2, CHAN_ANY_STATE, LOGIN_FRAME_MAX, on_handoff}};
static const struct chan_def def = {.name = "login worker",
    .entries = entries,
    .n_entries = ARRAY_LEN(entries),
    .on_close = on_close,
    .on_lost = on_lost,
    .queue_max_bytes = 4096};

static struct str
key_of(const struct worker *w)
{
	return str_make(&w->number, sizeof(w->number));
}

struct worker *
worker_find(struct master *m, uint32_t number)
{
	return map_find(&m->workers, str_make(&number, sizeof(number)));
}

void
worker_free(struct worker **wp)
{
	struct worker *w = *wp;
	struct generation *g = w->g;

	*wp = NULL;
	grants_drop_all(&w->grants);
	LIST_EACH(&w->sessions, it)
		session_worker_gone(LIST_OF(it, struct session, worker_link));
	(void)map_remove(&g->m->workers, key_of(w));
	list_remove(&w->link);
	chan_free(&w->chan);
	free(w);
	g->n_workers--;
	generation_check_retired(g);
}

static void
worker_end(struct worker **wp)
{
	struct worker *w = *wp;
	struct buf *b = chan_frame();

	login_kill_write(w->number, b);
	service_send(&w->g->login, b, NULL, 0);
	worker_free(wp);
}

void
worker_kill(struct worker **wp, const char *why)
{
	struct worker *w = *wp;

	w->g->m->n_violations++;
	log_error(
	    "login worker killed worker=%u reason=\"%s\"", w->number, why);
	worker_end(wp);
}

/* ---- making them ---- */

/* In turn; of those that are not being started again. NULL: none. */
static struct service_proc *
keyd_of(const struct generation *g, uint32_t number)
{
	for (uint32_t i = 0; i < g->n_keyd; i++) {
		const struct service_proc *p =
		    &g->keyd[(number + i) % g->n_keyd];

		if (p->state == SERVICE_RUNNING)
			return (struct service_proc *)(uintptr_t)p;
	}
	return NULL;
}

static bool
can_make(const struct generation *g)
{
	if (g->authd.state != SERVICE_RUNNING ||
	    g->spawner.state != SERVICE_RUNNING)
		return false;
	/* Before it is ready, login checks its certificates through keyd. */
	if (g->login.state != SERVICE_STARTING &&
	    g->login.state != SERVICE_RUNNING)
		return false;
	return g->n_keyd == 0 || keyd_of(g, 0) != NULL;
}

static void
send_peer(struct service_proc *p, enum child_kind kind, uint32_t number, int fd)
{
	struct child_peer m = {.kind = kind, .number = number};
	struct buf *b = chan_frame();

	child_peer_write(&m, b);
	service_send(p, b, &fd, 1);
}

static uint32_t
next_number(struct master *m)
{
	do
		m->last_worker++;
	while (m->last_worker == 0 || worker_find(m, m->last_worker) != NULL);
	return m->last_worker;
}

/* Each login parent checks its certificates through its first set. */
static enum child_kind
kind_for_keyd(struct generation *g)
{
	if (g->checking_pid == g->login.pid)
		return CHILD_KIND_WORKER;
	g->checking_pid = g->login.pid;
	return CHILD_KIND_FIRST_WORKER;
}

static int
make_one(struct generation *g, struct err *e)
{
	int authd[2] = {-1, -1}, keyd[2] = {-1, -1}, own[2] = {-1, -1};
	uint32_t number = next_number(g->m);
	struct service_proc *keeper = keyd_of(g, number);
	struct worker *w;
	struct buf *b;
	int rc = -1;

	if (fd_pair(authd, e) == -1 || fd_pair(keyd, e) == -1 ||
	    fd_pair(own, e) == -1)
		goto out;
	w = mem_new(1, sizeof(*w));
	w->g = g;
	w->number = number;
	list_init(&w->grants);
	list_init(&w->sessions);
	list_append(&g->workers, &w->link);
	g->n_workers++;
	map_put(&g->m->workers, key_of(w), w);
	w->chan = chan_new(g->m->loop, own[0], &def, w);
	own[0] = -1;
	send_peer(&g->authd, CHILD_KIND_WORKER, number, authd[0]);
	if (keeper != NULL)
		send_peer(keeper, kind_for_keyd(g), number, keyd[0]);
	b = chan_frame();
	login_worker_write(number, b);
	service_send(&g->login, b, (const int[]){authd[1], keyd[1], own[1]}, 3);
	rc = 0;
out:
	for (int i = 0; i < 2; i++) {
		fd_close(&authd[i]);
		fd_close(&keyd[i]);
		fd_close(&own[i]);
	}
	return rc;
}

void
worker_serve_needs(struct generation *g)
{
	struct err e;

	while (g->wanted_workers > 0 && !ev_is_active(&g->more_workers) &&
	    can_make(g)) {
		if (make_one(g, &e) == -1) {
			log_error("no channels for a login worker: %s", e.text);
			/* Login does not ask twice: without them it would wait
			 * for ever. */
			ev_timer_stop(g->m->loop, &g->more_workers);
			ev_timer_set(&g->more_workers, RETRY_S, 0);
			ev_timer_start(g->m->loop, &g->more_workers);
			return;
		}
		g->wanted_workers--;
	}
}

void
worker_needed(struct generation *g, const struct login_need *need)
{
	const struct settings *s = g->settings;
	uint32_t most = s->workers_max + s->workers_spare;

	g->spare = need->spare;
	g->serving = need->serving;
	if (g->retiring)
		return;
	/* Workers that are just ending may still be counted. */
	if (g->n_workers + g->wanted_workers + need->wanted > 2 * most + 16) {
		log_warn("login asks for more workers than its settings allow "
			 "workers=%u wanted=%u",
		    g->n_workers, need->wanted);
		return;
	}
	g->wanted_workers += need->wanted;
	worker_serve_needs(g);
}
