/* SPDX-License-Identifier: ISC */
/*
 * conn.c - a client's nonblocking byte stream with back-pressure.
 *
 * Owns:    the descriptors, the buffers, the TLS and DEFLATE state.
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
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/deflate.h"
#include "net/outq.h"
#include "net/tls_record.h"

#define OUT_HIGH_BYTES (256 * 1024)
#define OUT_LOW_BYTES (64 * 1024)
/*
 * So much is written at once instead of waiting for the end of the turn. Each
 * write may wake the peer, and most of what a write costs is that.
 */
#define OUT_FLUSH_BYTES (192 * 1024)
#define PUMP_BYTES (64 * 1024)
#define IN_STOP_BYTES (128 * 1024)
#define READ_FIRST_BYTES 4096
#define READ_MOST_BYTES (64 * 1024)
#define BUF_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define FINISH_TIMEOUT_MS 30000
#define IOV_MAX_HERE 16

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

static struct net_loop *net_loops;

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents);
static void on_readable(struct ev_loop *loop, ev_io *w, int revents);
static void on_writable(struct ev_loop *loop, ev_io *w, int revents);
static void on_timer(struct ev_loop *loop, ev_timer *w, int revents);

/* ---- the loop ------------------------------------------------------------ */

static void
on_idle(UNUSED struct ev_loop *loop, UNUSED ev_idle *w, UNUSED int revents)
{
	/* Exists so that the loop does not wait; on_prepare does the work. */
}

static struct net_loop *
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

static void
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

static void
mark_dirty(struct conn *c)
{
	if (c->link.next == &c->link)
		list_append(&c->nl->dirty, &c->link);
}

/* ---- state --------------------------------------------------------------- */

static void
fail(struct conn *c, enum err_code code, int sys, const char *text)
{
	if (c->fail_code != 0)
		return;
	c->fail_code = code;
	c->fail_sys = sys;
	c->fail_text = text;
	ev_io_stop(c->nl->loop, &c->reader);
	ev_io_stop(c->nl->loop, &c->writer);
	mark_dirty(c);
}

static void
tell_close(struct conn *c)
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

static size_t
in_bytes(const struct conn *c)
{
	return c->in.n - c->in_off;
}

static bool
may_read(const struct conn *c)
{
	return c->want_input && !c->eof && !c->finishing && c->fail_code == 0 &&
	    c->packed.n == 0 && !c->inflate_more && in_bytes(c) < IN_STOP_BYTES;
}

static void
update_reader(struct conn *c)
{
	if (may_read(c))
		ev_io_start(c->nl->loop, &c->reader);
	else
		ev_io_stop(c->nl->loop, &c->reader);
}

static bool
has_filter(const struct conn *c)
{
	return c->tls != NULL || c->deflate != NULL;
}

static void
touch(struct conn *c)
{
	c->last_active = ev_now(c->nl->loop);
}

/* ---- output -------------------------------------------------------------- */

/* Appends plain bytes to `wire`, through the filters that are on. */
static int
protect(struct conn *c, struct str plain, bool flush, struct err *e)
{
	struct buf packed;
	int rc;

	if (c->deflate == NULL)
		return tls_record_seal(c->tls, plain, &c->wire, e);
	if (c->tls == NULL)
		return deflate_pack(c->deflate, plain, flush, &c->wire, e);
	buf_init(&packed, BUF_MAX_BYTES);
	rc = deflate_pack(c->deflate, plain, flush, &packed, e);
	if (rc == 0)
		rc = tls_record_seal(c->tls, buf_str(&packed), &c->wire, e);
	buf_done(&packed);
	return rc;
}

/* Fills `wire`, which is empty, with the next part of `out`. */
static void
pump(struct conn *c)
{
	size_t n = c->out.n < PUMP_BYTES ? c->out.n : PUMP_BYTES;
	struct str head;
	struct err e;

	/* Once, instead of growing there record by record. */
	if (n > 0 && c->deflate == NULL)
		(void)buf_room(&c->wire, n + n / 16 + 128);
	while (c->out.n > 0 && c->wire.n < PUMP_BYTES) {
		head = str_head(outq_head(&c->out), PUMP_BYTES - c->wire.n);
		if (protect(c, head, head.n == c->out.n, &e) == -1) {
			fail(c, e.code, 0, "can not protect the output");
			return;
		}
		outq_drop(&c->out, head.n);
	}
}

/* True: all was taken. False: blocked or failed. */
static bool
written(struct conn *c, ssize_t n, size_t of)
{
	if (n == -1) {
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			c->blocked = true;
			ev_io_start(c->nl->loop, &c->writer);
		} else if (errno != EINTR) {
			fail(c, ERR_CLOSED, errno, "write");
		}
		return errno == EINTR && c->fail_code == 0;
	}
	if (n > 0)
		touch(c);
	if ((size_t)n == of)
		return true;
	c->blocked = true;
	ev_io_start(c->nl->loop, &c->writer);
	return false;
}

static bool
write_wire(struct conn *c)
{
	size_t left = c->wire.n - c->wire_off;
	ssize_t n = write(c->fd_out, c->wire.p + c->wire_off, left);
	bool rc = written(c, n, left);

	if (n > 0)
		c->wire_off += (size_t)n;
	if (c->wire_off == c->wire.n) {
		buf_clear(&c->wire);
		c->wire_off = 0;
	}
	return rc;
}

static bool
write_out(struct conn *c)
{
	struct iovec iov[IOV_MAX_HERE];
	int i, n_iov = outq_iov(&c->out, iov, IOV_MAX_HERE);
	size_t of = 0;
	ssize_t n;
	bool rc;

	for (i = 0; i < n_iov; i++)
		of += iov[i].iov_len;
	n = writev(c->fd_out, iov, n_iov);
	rc = written(c, n, of);
	if (n > 0)
		outq_drop(&c->out, (size_t)n);
	return rc;
}

static void
flush(struct conn *c)
{
	while (c->fail_code == 0 && !c->blocked) {
		if (c->wire.n == 0 && has_filter(c))
			pump(c);
		if (c->fail_code != 0)
			break;
		if (c->wire.n > 0) {
			if (!write_wire(c))
				break;
		} else if (c->out.n > 0) {
			if (!write_out(c))
				break;
		} else {
			break;
		}
	}
	/* A fatal alert should get out even though the rest is lost. */
	if (c->fail_code == ERR_VIOLATION && c->wire.n > 0) {
		(void)!write(c->fd_out, c->wire.p + c->wire_off,
		    c->wire.n - c->wire_off);
		buf_clear(&c->wire);
		c->wire_off = 0;
	}
	if (conn_queued(c) == 0) {
		buf_done(&c->wire);
		outq_done(&c->out);
	}
}

/* Everything is out: tell the peer that nothing follows. */
static bool
finish(struct conn *c)
{
	if (c->tls != NULL && !c->close_sent) {
		c->close_sent = true;
		tls_record_close(c->tls, &c->wire);
		flush(c);
	}
	if (conn_queued(c) > 0 || c->fail_code != 0)
		return false;
	(void)shutdown(c->fd_out, SHUT_WR);
	/* Unread input would turn our close into a reset, and the peer might
	 * lose our last words; TCP can throw it away without a copy. */
	(void)recv(c->fd_in, NULL, 1 << 20, MSG_DONTWAIT | MSG_TRUNC);
	fail(c, ERR_CLOSED, 0, "finished");
	return true;
}

/* ---- input --------------------------------------------------------------- */

static void
drop_consumed(struct conn *c)
{
	if (c->in_off == 0)
		return;
	if (c->in_off == c->in.n) {
		buf_done(&c->in);
		c->in_off = 0;
	} else if (c->in_off >= in_bytes(c)) {
		buf_drop(&c->in, c->in_off);
		c->in_off = 0;
	}
}

/* Inflates what waits, as far as there is room. */
static void
inflate_some(struct conn *c)
{
	struct str packed = buf_str(&c->packed);
	size_t before = c->in.n;
	struct err e;

	if (in_bytes(c) >= IN_STOP_BYTES)
		return;
	if (deflate_unpack(c->deflate, &packed, IN_STOP_BYTES - in_bytes(c),
		&c->in, &c->inflate_more, &e) == -1) {
		fail(c, ERR_VIOLATION, 0, "not a DEFLATE stream");
		return;
	}
	c->stats->in += c->in.n - before;
	if (packed.n == 0)
		buf_done(&c->packed);
	else
		buf_drop(&c->packed, c->packed.n - packed.n);
}

/* Bytes from the wire, on their way to `in`. */
static void
receive_wire(struct conn *c, struct str bytes)
{
	struct buf *to = c->deflate != NULL ? &c->packed : &c->in;
	size_t before = to->n;
	bool closed = false;
	struct err e;

	if (c->tls == NULL) {
		(void)buf_add_str(to, bytes);
	} else if (tls_record_open(c->tls, bytes, to, &c->wire, &closed, &e) ==
	    -1) {
		fail(c, ERR_VIOLATION, 0, "TLS record refused");
		flush(c);
		return;
	}
	ASSERT(!buf_is_over(to));
	c->eof = c->eof || closed;
	if (c->deflate != NULL)
		inflate_some(c);
	else
		c->stats->in += to->n - before;
	if (c->wire.n > 0)
		mark_dirty(c);
}

static void
adapt_read_size(struct conn *c, size_t got)
{
	if (got < c->read_bytes)
		c->read_bytes = READ_FIRST_BYTES;
	else if (c->read_bytes < READ_MOST_BYTES)
		c->read_bytes *= 4;
}

static ssize_t
read_once(struct conn *c)
{
	struct buf raw;
	ssize_t n;
	char *room;

	if (!has_filter(c)) {
		room = buf_room(&c->in, c->read_bytes);
		ASSERT(room != NULL);
		n = read(c->fd_in, room, c->read_bytes);
		if (n > 0) {
			c->in.n += (size_t)n;
			c->stats->in += (uint64_t)n;
		} else if (c->in.n == 0) {
			buf_done(&c->in);
		}
		return n;
	}
	buf_init(&raw, READ_MOST_BYTES);
	room = buf_room(&raw, c->read_bytes);
	ASSERT(room != NULL);
	n = read(c->fd_in, room, c->read_bytes);
	if (n > 0)
		receive_wire(c, str_make(room, (size_t)n));
	buf_done(&raw);
	return n;
}

static void
on_readable(UNUSED struct ev_loop *loop, ev_io *w, UNUSED int revents)
{
	struct conn *c = w->data;
	size_t before = in_bytes(c);
	ssize_t n;

	drop_consumed(c);
	n = read_once(c);
	if (n == -1) {
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			return;
		fail(c, ERR_CLOSED, errno, "read");
	} else if (n == 0) {
		c->eof = true;
	} else {
		touch(c);
		adapt_read_size(c, (size_t)n);
	}
	update_reader(c);
	if (c->fail_code != 0)
		tell_close(c);
	else if (c->eof || in_bytes(c) > before)
		c->h->on_input(c, c->arg);
}

/* ---- events -------------------------------------------------------------- */

/* What is due, one handler at most. */
static void
serve(struct conn *c)
{
	if (c->failed_told)
		return;
	flush(c);
	if (c->fail_code == 0 && c->finishing && conn_queued(c) == 0)
		(void)finish(c);
	if (c->fail_code != 0) {
		tell_close(c);
		return;
	}
	if (c->finishing)
		return;
	if (c->full && conn_queued(c) <= OUT_LOW_BYTES) {
		c->full = false;
		if (c->tell_input)
			mark_dirty(c);
		c->h->on_drain(c, c->arg);
		return;
	}
	if (c->tell_input) {
		c->tell_input = false;
		if (c->packed.n > 0 || c->inflate_more) {
			drop_consumed(c);
			inflate_some(c);
		}
		update_reader(c);
		if (c->fail_code != 0)
			tell_close(c);
		else
			c->h->on_input(c, c->arg);
	}
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
		serve(c);
	}
	if (list_is_empty(&nl->dirty))
		ev_idle_stop(loop, &nl->idle);
	else
		ev_idle_start(loop, &nl->idle);
	net_loop_put(nl);
}

static void
on_writable(struct ev_loop *loop, ev_io *w, UNUSED int revents)
{
	struct conn *c = w->data;

	c->blocked = false;
	ev_io_stop(loop, w);
	serve(c);
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
	tell_close(c);
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
	ev_io_init(&c->reader, on_readable, fd_in, EV_READ);
	ev_io_init(&c->writer, on_writable, fd_out, EV_WRITE);
	ev_init(&c->timer, on_timer);
	c->reader.data = c->writer.data = c->timer.data = c;
	touch(c);
	update_reader(c);
	return c;
}

void
conn_set_handlers(struct conn *c, const struct conn_handlers *h, void *arg)
{
	c->h = h;
	c->arg = arg;
	if (in_bytes(c) > 0 || c->eof) {
		c->tell_input = true;
		mark_dirty(c);
	}
	if (c->fail_code != 0)
		mark_dirty(c);
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
conn_unread(struct conn *c, struct str plain)
{
	drop_consumed(c);
	(void)buf_add_str(&c->in, plain);
	c->stats->in += plain.n;
	c->tell_input = true;
	mark_dirty(c);
	update_reader(c);
}

void
conn_unread_wire(struct conn *c, struct str wire)
{
	drop_consumed(c);
	receive_wire(c, wire);
	c->tell_input = true;
	mark_dirty(c);
	update_reader(c);
}

struct str
conn_peek(struct conn *c)
{
	return str_make(
	    c->in.p == NULL ? "" : c->in.p + c->in_off, in_bytes(c));
}

void
conn_consume(struct conn *c, size_t n)
{
	ASSERT(n <= in_bytes(c));
	c->in_off += n;
	if (c->in_off == c->in.n)
		drop_consumed(c);
	if ((c->packed.n > 0 || c->inflate_more) &&
	    in_bytes(c) < IN_STOP_BYTES) {
		c->tell_input = true;
		mark_dirty(c);
	}
	update_reader(c);
}

bool
conn_at_eof(const struct conn *c)
{
	return c->eof && in_bytes(c) == 0 && c->packed.n == 0 &&
	    !c->inflate_more;
}

bool
conn_saw_eof(const struct conn *c)
{
	return c->eof && c->packed.n == 0 && !c->inflate_more;
}

void
conn_want_input(struct conn *c, bool on)
{
	c->want_input = on;
	update_reader(c);
}

/* After new output of `n` bytes. */
static void
queued(struct conn *c, size_t n)
{
	c->stats->out += n;
	if (c->fail_code != 0) {
		if (c->fail_code != ERR_TIMEOUT)
			outq_done(&c->out); /* nobody will ever read it */
		return;
	}
	mark_dirty(c);
	if (c->out.n >= OUT_FLUSH_BYTES)
		flush(c);
	if (conn_queued(c) >= OUT_HIGH_BYTES)
		c->full = true;
}

void
conn_write(struct conn *c, const void *p, size_t n)
{
	if (n == 0)
		return;
	outq_add(&c->out, p, n);
	queued(c, n);
}

char *
conn_write_room(struct conn *c, size_t n)
{
	return outq_room(&c->out, n);
}

void
conn_written(struct conn *c, size_t n)
{
	outq_filled(&c->out, n);
	if (n > 0)
		queued(c, n);
	else if (c->out.n == 0)
		outq_done(&c->out);
}

bool
conn_is_full(const struct conn *c)
{
	return c->full;
}

size_t
conn_queued(const struct conn *c)
{
	return c->out.n + c->wire.n - c->wire_off;
}

void
conn_flush(struct conn *c)
{
	enum err_code code = c->fail_code;

	/* The owner's last words after a timeout. */
	if (code == ERR_TIMEOUT)
		c->fail_code = 0;
	flush(c);
	if (code == ERR_TIMEOUT)
		c->fail_code = code;
}

void
conn_finish(struct conn *c)
{
	if (c->finishing)
		return;
	c->finishing = true;
	update_reader(c);
	mark_dirty(c);
	if (c->idle_ms == 0 || c->idle_ms > FINISH_TIMEOUT_MS)
		conn_set_timeout(c, FINISH_TIMEOUT_MS);
}

void
conn_set_timeout(struct conn *c, int64_t idle_ms)
{
	c->idle_ms = idle_ms;
	touch(c);
	if (idle_ms > 0 && !c->failed_told)
		arm_timer(c, (double)idle_ms / 1000.);
	else
		ev_timer_stop(c->nl->loop, &c->timer);
}

/*
 * Before another filter comes on: what is queued goes out without it. Only
 * the reply that announces the filter is ever queued here, so this is small.
 */
static void
settle_output(struct conn *c)
{
	struct str head;
	struct err e;

	while (c->out.n > 0) {
		head = outq_head(&c->out);
		if (!has_filter(c)) {
			(void)buf_add_str(&c->wire, head);
		} else if (protect(c, head, head.n == c->out.n, &e) == -1) {
			fail(c, e.code, 0, "can not protect the output");
			return;
		}
		outq_drop(&c->out, head.n);
	}
}

void
conn_start_tls(struct conn *c, struct tls_record *t)
{
	ASSERT(c->tls == NULL && c->deflate == NULL);
	settle_output(c);
	c->tls = t;
}

int
conn_start_deflate(struct conn *c, struct err *e)
{
	struct deflate *d;

	ASSERT(c->deflate == NULL);
	if (deflate_new(&d, e) == -1)
		return -1;
	settle_output(c);
	c->deflate = d;
	/* What came in behind the command is compressed already. */
	if (in_bytes(c) > 0) {
		(void)buf_add(&c->packed, c->in.p + c->in_off, in_bytes(c));
		c->stats->in -= in_bytes(c);
		c->in_off = c->in.n;
		drop_consumed(c);
		c->tell_input = true;
		mark_dirty(c);
		update_reader(c);
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
