/* SPDX-License-Identifier: ISC */
/*
 * conn.c - a client's nonblocking byte stream with back-pressure.
 *
 * Owns:    the descriptors, the buffers, the TLS and DEFLATE state; conn_in.c
 *          and conn_out.c fill and empty the buffers, conn_loop.c calls us.
 * Runs in: imapd and pop3d, in their one event loop.
 * Trusts:  nothing that comes in; it only counts the bytes.
 * Spec:    tls-handover for what lies below, RFC 4978 for DEFLATE.
 *
 * Input:   read -> TLS -> inflate -> `in` -> conn_peek
 * Output:  conn_write -> `out` -> deflate -> TLS -> `wire` -> write
 *
 * Without TLS and DEFLATE `wire` stays empty and `out` goes to writev as it
 * is. Owners are called from the loop only, never from inside their own calls,
 * and at most one handler per event, as the last thing done: a handler may
 * free this or any other connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/conn_impl.h"

#define OUT_LOW_BYTES (64 * 1024)
#define BUF_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define FINISH_TIMEOUT_MS 30000

/* ---- state --------------------------------------------------------------- */

void
conn_fail(struct conn *c, enum err_code code, int sys, const char *text)
{
	if (c->fail_code != 0)
		return;
	c->fail_code = code;
	c->fail_sys = sys;
	c->fail_text = text;
	ev_io_stop(c->nl->loop, &c->reader);
	ev_io_stop(c->nl->loop, &c->writer);
	conn_mark_dirty(c);
}

void
conn_tell_close(struct conn *c)
{
	struct err why;

	if (c->failed_told)
		return;
	c->failed_told = true;
	ev_timer_stop(c->nl->loop, &c->timer);
	if (c->fail_sys != 0) {
		errno = c->fail_sys;
		(void)err_sys(&why, "%s", c->fail_text);
		why.code = c->fail_code;
	} else {
		(void)err_set(&why, c->fail_code, "%s", c->fail_text);
	}
	c->h->on_close(c, &why, c->arg);
}

/* ---- events -------------------------------------------------------------- */

/* What is due, one handler at most. */
void
conn_serve(struct conn *c)
{
	if (c->failed_told)
		return;
	conn_out_flush(c);
	if (c->fail_code == 0 && c->finishing && conn_queued(c) == 0)
		(void)conn_out_finish(c);
	if (c->fail_code != 0) {
		conn_tell_close(c);
		return;
	}
	if (c->finishing)
		return;
	if (c->full && conn_queued(c) <= OUT_LOW_BYTES) {
		c->full = false;
		if (c->tell_input)
			conn_mark_dirty(c);
		c->h->on_drain(c, c->arg);
		return;
	}
	if (c->tell_input) {
		c->tell_input = false;
		if (c->packed.n > 0 || c->inflate_more) {
			conn_in_drop(c);
			conn_in_inflate(c);
		}
		conn_update_reader(c);
		if (c->fail_code != 0)
			conn_tell_close(c);
		else
			c->h->on_input(c, c->arg);
	}
}

static void
on_writable(struct ev_loop *loop, ev_io *w, UNUSED int revents)
{
	struct conn *c = w->data;

	c->blocked = false;
	ev_io_stop(loop, w);
	conn_serve(c);
}

static void
arm_timer(struct conn *c, double after_s)
{
	ev_timer_stop(c->nl->loop, &c->timer);
	ev_timer_set(&c->timer, after_s, 0.);
	ev_timer_start(c->nl->loop, &c->timer);
}

static void
on_timer(struct ev_loop *loop, UNUSED ev_timer *w, UNUSED int revents)
{
	struct conn *c = w->data;
	double left =
	    c->last_active + (double)c->idle_ms / 1000. - ev_now(loop);

	/* Armed anew only here: activity costs nothing. */
	if (left > 0.0005) {
		arm_timer(c, left);
		return;
	}
	if (c->fail_code == 0) {
		ev_io_stop(loop, &c->reader);
		c->fail_code = ERR_TIMEOUT;
		c->fail_text = "idle for too long";
	}
	conn_tell_close(c);
}

/* ---- for owners ---------------------------------------------------------- */

static int
set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || (flags & O_NONBLOCK) != 0)
		return -1;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? -1 : flags;
}

struct conn *
conn_new(struct ev_loop *loop, int fd_in, int fd_out,
    const struct conn_handlers *h, void *arg)
{
	struct conn *c = mem_new(1, sizeof(*c));
	int on = 1;

	list_init(&c->link);
	c->stats = &c->own_stats;
	c->nl = net_loop_get(loop);
	c->h = h;
	c->arg = arg;
	c->fd_in = fd_in;
	c->fd_out = fd_out;
	c->flags_in = set_nonblocking(fd_in);
	c->flags_out = fd_out == fd_in ? -1 : set_nonblocking(fd_out);
	/* We gather what belongs together ourselves. */
	(void)setsockopt(fd_out, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->read_bytes = READ_FIRST_BYTES;
	c->want_input = true;
	buf_init(&c->in, BUF_MAX_BYTES);
	buf_init(&c->wire, BUF_MAX_BYTES);
	buf_init(&c->packed, BUF_MAX_BYTES);
	outq_init(&c->out);
	ev_io_init(&c->reader, conn_on_readable, fd_in, EV_READ);
	ev_io_init(&c->writer, on_writable, fd_out, EV_WRITE);
	ev_init(&c->timer, on_timer);
	c->reader.data = c->writer.data = c->timer.data = c;
	conn_touch(c);
	conn_update_reader(c);
	return c;
}

void
conn_set_handlers(struct conn *c, const struct conn_handlers *h, void *arg)
{
	c->h = h;
	c->arg = arg;
	if (conn_in_bytes(c) > 0 || c->eof) {
		c->tell_input = true;
		conn_mark_dirty(c);
	}
	if (c->fail_code != 0)
		conn_mark_dirty(c);
}

void
conn_free(struct conn **cp)
{
	struct conn *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	list_remove(&c->link);
	ev_io_stop(c->nl->loop, &c->reader);
	ev_io_stop(c->nl->loop, &c->writer);
	ev_timer_stop(c->nl->loop, &c->timer);
	/* Terminals and pipes are shared with whoever started us. */
	if (c->flags_in != -1)
		(void)fcntl(c->fd_in, F_SETFL, c->flags_in);
	if (c->flags_out != -1)
		(void)fcntl(c->fd_out, F_SETFL, c->flags_out);
	(void)close(c->fd_in);
	if (c->fd_out != c->fd_in)
		(void)close(c->fd_out);
	tls_record_free(&c->tls);
	deflate_free(&c->deflate);
	buf_done(&c->in);
	buf_done(&c->wire);
	buf_done(&c->packed);
	outq_done(&c->out);
	net_loop_put(c->nl);
	free(c);
}

void
conn_finish(struct conn *c)
{
	if (c->finishing)
		return;
	c->finishing = true;
	conn_update_reader(c);
	conn_mark_dirty(c);
	if (c->idle_ms == 0 || c->idle_ms > FINISH_TIMEOUT_MS)
		conn_set_timeout(c, FINISH_TIMEOUT_MS);
}

void
conn_set_timeout(struct conn *c, int64_t idle_ms)
{
	c->idle_ms = idle_ms;
	conn_touch(c);
	if (idle_ms > 0 && !c->failed_told)
		arm_timer(c, (double)idle_ms / 1000.);
	else
		ev_timer_stop(c->nl->loop, &c->timer);
}

void
conn_start_tls(struct conn *c, struct tls_record *t)
{
	ASSERT(c->tls == NULL && c->deflate == NULL);
	conn_out_settle(c);
	c->tls = t;
}

int
conn_start_deflate(struct conn *c, struct err *e)
{
	struct deflate *d;

	ASSERT(c->deflate == NULL);
	if (deflate_new(&d, e) == -1)
		return -1;
	conn_out_settle(c);
	c->deflate = d;
	/* What came in behind the command is compressed already. */
	if (conn_in_bytes(c) > 0) {
		(void)buf_add(
		    &c->packed, c->in.p + c->in_off, conn_in_bytes(c));
		c->stats->in -= conn_in_bytes(c);
		c->in_off = c->in.n;
		conn_in_drop(c);
		c->tell_input = true;
		conn_mark_dirty(c);
		conn_update_reader(c);
	}
	return 0;
}

bool
conn_has_tls(const struct conn *c)
{
	return c->tls != NULL;
}

bool
conn_has_deflate(const struct conn *c)
{
	return c->deflate != NULL;
}

uint64_t
conn_bytes_in(const struct conn *c)
{
	return c->stats->in;
}

uint64_t
conn_bytes_out(const struct conn *c)
{
	return c->stats->out;
}

void
conn_set_stats(struct conn *c, struct conn_stats *stats)
{
	*stats = *c->stats;
	c->stats = stats;
}

void
conn_trim(void)
{
	outq_trim();
	tls_record_trim();
}
