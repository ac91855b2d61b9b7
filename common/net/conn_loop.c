/* SPDX-License-Identifier: ISC */
/*
 * conn_loop.c - what the connections of one loop share: before the loop waits,
 * those with something to do are served.
 *
 * Owns:    struct net_loop, one for each event loop with connections.
 * Runs in: imapd and pop3d, in their one event loop.
 * Trusts:  nobody is asked.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn_impl.h"

static struct net_loop *net_loops;

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents);

static void
on_idle(UNUSED struct ev_loop *loop, UNUSED ev_idle *w, UNUSED int revents)
{
	/* Exists so that the loop does not wait; on_prepare does the work. */
}

struct net_loop *
net_loop_get(struct ev_loop *loop)
{
	struct net_loop *nl;

	for (nl = net_loops; nl != NULL; nl = nl->next) {
		if (nl->loop == loop) {
			nl->users++;
			return nl;
		}
	}
	nl = mem_new(1, sizeof(*nl));
	nl->loop = loop;
	nl->users = 1;
	list_init(&nl->dirty);
	ev_prepare_init(&nl->prepare, on_prepare);
	/* Last of all, so that it sends what the others have written. */
	ev_set_priority(&nl->prepare, EV_MINPRI);
	nl->prepare.data = nl;
	ev_prepare_start(loop, &nl->prepare);
	ev_unref(loop);
	ev_idle_init(&nl->idle, on_idle);
	nl->next = net_loops;
	net_loops = nl;
	return nl;
}

void
net_loop_put(struct net_loop *nl)
{
	struct net_loop **at = &net_loops;

	if (--nl->users > 0)
		return;
	while (*at != nl)
		at = &(*at)->next;
	*at = nl->next;
	ev_ref(nl->loop);
	ev_prepare_stop(nl->loop, &nl->prepare);
	ev_idle_stop(nl->loop, &nl->idle);
	free(nl);
}

void
conn_mark_dirty(struct conn *c)
{
	if (c->link.next == &c->link)
		list_append(&c->nl->dirty, &c->link);
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, UNUSED int revents)
{
	struct net_loop *nl = w->data;
	struct list now;

	/* What becomes dirty meanwhile has to wait for the next round, or two
	 * connections could keep the loop here for ever. */
	list_init(&now);
	list_prepend_all(&now, &nl->dirty);
	nl->users++; /* a handler may free the last connection */
	while (!list_is_empty(&now)) {
		struct conn *c = LIST_OF(now.next, struct conn, link);

		list_remove(&c->link);
		conn_serve(c);
	}
	if (list_is_empty(&nl->dirty))
		ev_idle_stop(loop, &nl->idle);
	else
		ev_idle_start(loop, &nl->idle);
	net_loop_put(nl);
}
