/* SPDX-License-Identifier: ISC */
/*
 * conn_in.c - what comes in: from the descriptor, through the filters, to
 * conn_peek().
 *
 * Owns:    conn's `in` and `packed`, the reader.
 * Runs in: imapd and pop3d, in their one event loop.
 * Trusts:  nothing that comes in; it only counts the bytes.
 */
#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/conn_impl.h"

#define READ_MOST_BYTES (64 * 1024)

static uint64_t n_reads;

uint64_t
conn_reads(void)
{
	return n_reads;
}

static bool
may_read(const struct conn *c)
{
	return c->want_input && !c->eof && !c->finishing && c->fail_code == 0 &&
	    c->packed.n == 0 && !c->inflate_more &&
	    conn_in_bytes(c) < IN_STOP_BYTES;
}

void
conn_update_reader(struct conn *c)
{
	if (may_read(c))
		ev_io_start(c->nl->loop, &c->reader);
	else
		ev_io_stop(c->nl->loop, &c->reader);
}

void
conn_in_drop(struct conn *c)
{
	if (c->in_off == 0)
		return;
	if (c->in_off == c->in.n) {
		buf_done(&c->in);
		c->in_off = 0;
	} else if (c->in_off >= conn_in_bytes(c)) {
		buf_drop(&c->in, c->in_off);
		c->in_off = 0;
	}
}

void
conn_in_inflate(struct conn *c)
{
	struct str packed = buf_str(&c->packed);
	size_t before = c->in.n;
	struct err e;

	if (conn_in_bytes(c) >= IN_STOP_BYTES)
		return;
	if (deflate_unpack(c->deflate, &packed,
		IN_STOP_BYTES - conn_in_bytes(c), &c->in, &c->inflate_more,
		&e) == -1) {
		conn_fail(c, ERR_VIOLATION, 0, "not a DEFLATE stream");
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
		conn_fail(c, ERR_VIOLATION, 0, "TLS record refused");
		conn_out_flush(c);
		return;
	}
	ASSERT(!buf_is_over(to));
	c->eof = c->eof || closed;
	if (c->deflate != NULL)
		conn_in_inflate(c);
	else
		c->stats->in += to->n - before;
	if (c->wire.n > 0)
		conn_mark_dirty(c);
}

void
conn_expect(struct conn *c, uint64_t n)
{
	while (c->read_bytes < n && c->read_bytes < READ_MOST_BYTES)
		c->read_bytes *= 4;
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

	if (!conn_has_filter(c)) {
		room = buf_room(&c->in, c->read_bytes);
		ASSERT(room != NULL);
		n_reads++;
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
	n_reads++;
	n = read(c->fd_in, room, c->read_bytes);
	if (n > 0)
		receive_wire(c, str_make(room, (size_t)n));
	buf_done(&raw);
	return n;
}

void
conn_on_readable(UNUSED struct ev_loop *loop, ev_io *w, UNUSED int revents)
{
	struct conn *c = w->data;
	size_t before = conn_in_bytes(c);
	ssize_t n;

	conn_in_drop(c);
	n = read_once(c);
	if (n == -1) {
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			return;
		conn_fail(c, ERR_CLOSED, errno, "read");
	} else if (n == 0) {
		c->eof = true;
	} else {
		conn_touch(c);
		adapt_read_size(c, (size_t)n);
	}
	conn_update_reader(c);
	if (c->fail_code != 0)
		conn_tell_close(c);
	else if (c->eof || conn_in_bytes(c) > before)
		c->h->on_input(c, c->arg);
}

void
conn_unread(struct conn *c, struct str plain)
{
	conn_in_drop(c);
	(void)buf_add_str(&c->in, plain);
	c->stats->in += plain.n;
	c->tell_input = true;
	conn_mark_dirty(c);
	conn_update_reader(c);
}

void
conn_unread_wire(struct conn *c, struct str wire)
{
	conn_in_drop(c);
	receive_wire(c, wire);
	c->tell_input = true;
	conn_mark_dirty(c);
	conn_update_reader(c);
}

struct str
conn_peek(struct conn *c)
{
	return str_make(
	    c->in.p == NULL ? "" : c->in.p + c->in_off, conn_in_bytes(c));
}

void
conn_consume(struct conn *c, size_t n)
{
	ASSERT(n <= conn_in_bytes(c));
	c->in_off += n;
	if (c->in_off == c->in.n)
		conn_in_drop(c);
	if ((c->packed.n > 0 || c->inflate_more) &&
	    conn_in_bytes(c) < IN_STOP_BYTES) {
		c->tell_input = true;
		conn_mark_dirty(c);
	}
	conn_update_reader(c);
}

bool
conn_at_eof(const struct conn *c)
{
	return c->eof && conn_in_bytes(c) == 0 && c->packed.n == 0 &&
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
	conn_update_reader(c);
}
