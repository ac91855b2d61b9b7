/* SPDX-License-Identifier: ISC */
/*
 * fetch_cache.c - the message a client is reading in pieces.
 *
 * Owns:    at most one open message per session.
 * Runs in: imapd.
 * Trusts:  the caller to drop it before the view goes away.
 */
#include "imapd/fetch_cache.h"

#include "base/bounds.h"

static void
on_timer(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int revents)
{
	fetch_cache_drop(w->data);
}

void
fetch_cache_init(struct fetch_cache *fc, struct ev_loop *loop)
{
	*fc = (struct fetch_cache){.loop = loop};
	ev_timer_init(&fc->timer, on_timer, FETCH_CACHE_S, 0.);
	fc->timer.data = fc;
}

static void
stop_timer(struct fetch_cache *fc)
{
	ev_timer_stop(fc->loop, &fc->timer);
	ev_timer_set(&fc->timer, FETCH_CACHE_S, 0.);
}

void
fetch_cache_drop(struct fetch_cache *fc)
{
	if (fc->msg == NULL)
		return;
	stop_timer(fc);
	msg_close(&fc->msg);
	fc->has_place = fc->has_binary = false;
}

struct msg *
fetch_cache_take(struct fetch_cache *fc, uint32_t uid)
{
	struct msg *m = fc->msg;

	if (m == NULL || fc->uid != uid)
		return NULL;
	stop_timer(fc);
	fc->msg = NULL;
	return m;
}

void
fetch_cache_keep(struct fetch_cache *fc, uint32_t uid, struct msg *m)
{
	msg_close(&fc->msg);
	stop_timer(fc);
	ev_timer_start(fc->loop, &fc->timer);
	if (fc->uid != uid)
		fc->has_place = fc->has_binary = false;
	fc->msg = m;
	fc->uid = uid;
}
