/* SPDX-License-Identifier: ISC */
/* conn_impl.h - the inside of struct conn, for conn*.c. */
#ifndef NET_CONN_IMPL_H
#define NET_CONN_IMPL_H

#include <ev.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/conn.h"
#include "net/deflate.h"
#include "net/outq.h"
#include "net/tls_record.h"

#define IN_STOP_BYTES (128 * 1024)
#define READ_FIRST_BYTES 4096

/* What the connections of one loop share. */
struct net_loop {
	struct net_loop *next;
	struct ev_loop *loop;
	ev_prepare prepare;
	ev_idle idle;
	struct list
	    dirty; /* connections with something to do, before waiting */
	unsigned users;
};

struct conn {
	struct list link; /* in net_loop.dirty, or in itself */
	struct net_loop *nl;
	const struct conn_handlers *h;
	void *arg;
	ev_io reader, writer;
	ev_timer timer;
	double last_active;
	int64_t idle_ms;
	int fd_in, fd_out;
	int flags_in, flags_out; /* as we found them; -1: leave */
	size_t read_bytes; /* how much to ask for next */

	struct buf in; /* plain; in_off bytes are consumed */
	size_t in_off;
	struct outq out;
	struct buf wire; /* protected; wire_off bytes are written */
	size_t wire_off;
	struct buf packed; /* received, not yet inflated */
	struct tls_record *tls;
	struct deflate *deflate;
	struct conn_stats own_stats, *stats;

	enum err_code fail_code; /* 0: fine */
	int fail_sys;
	const char *fail_text;
	bool want_input, eof, full, blocked, finishing, close_sent, failed_told;
	bool tell_input; /* on_input is due */
	bool inflate_more; /* the inflater has more output */
};

static inline size_t
conn_in_bytes(const struct conn *c)
{
	return c->in.n - c->in_off;
}

static inline bool
conn_has_filter(const struct conn *c)
{
	return c->tls != NULL || c->deflate != NULL;
}

static inline void
conn_touch(struct conn *c)
{
	c->last_active = ev_now(c->nl->loop);
}

/* ---- conn.c ---------------------------------------------------------------- */

/* Nothing more is read or written; `text` is a constant. The first reason counts. */
void conn_fail(struct conn *c, enum err_code code, int sys, const char *text);
/* Tells the owner that it has failed, once; he may free it. */
void conn_tell_close(struct conn *c);
/* What is due; calls one handler at most, which may free any connection. */
void conn_serve(struct conn *c);

/* ---- conn_loop.c ----------------------------------------------------------- */

/* The shared part for `loop`, made for its first connection. */
struct net_loop *net_loop_get(struct ev_loop *loop);
void net_loop_put(struct net_loop *nl);
/* conn_serve() is called before the loop waits again. */
void conn_mark_dirty(struct conn *c);

/* ---- conn_in.c ------------------------------------------------------------- */

/* libev's callback: reads what there is room for and tells the owner. */
void conn_on_readable(struct ev_loop *loop, ev_io *w, int revents);
/* Reads from now on, or no longer, by what there is room for. */
void conn_update_reader(struct conn *c);
/* Gives back the memory of what has been consumed. */
void conn_in_drop(struct conn *c);
/* Inflates what waits, as far as there is room. */
void conn_in_inflate(struct conn *c);

/* ---- conn_out.c ------------------------------------------------------------ */

/* Writes what is queued until the descriptor blocks. */
void conn_out_flush(struct conn *c);
/* Everything is out: tells the peer that nothing follows. True: told. */
bool conn_out_finish(struct conn *c);
/*
 * Before another filter comes on: what is queued goes out without it. Only
 * the reply that announces the filter is ever queued here, so this is small.
 */
void conn_out_settle(struct conn *c);

#endif
