/* SPDX-License-Identifier: ISC */
/*
 * conn_out.c - what goes out: queued, through the filters, to the descriptor.
 *
 * Owns:    conn's `out` and `wire`, the writer.
 * Runs in: imapd and pop3d, in their one event loop.
 * Trusts:  nothing; it only counts the bytes.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/conn_impl.h"

#define OUT_HIGH_BYTES (256 * 1024)
/*
 * So much is written at once instead of waiting for the end of the turn. Each
 * write may wake the peer, and most of what a write costs is that.
 */
#define OUT_FLUSH_BYTES (192 * 1024)
#define PUMP_BYTES (128 * 1024)
#define BUF_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define IOV_MAX_HERE 16

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
			conn_fail(c, e.code, 0, "can not protect the output");
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
			conn_fail(c, ERR_CLOSED, errno, "write");
		}
		return errno == EINTR && c->fail_code == 0;
	}
	if (n > 0)
		conn_touch(c);
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

void
conn_out_flush(struct conn *c)
{
	while (c->fail_code == 0 && !c->blocked) {
		if (c->wire.n == 0 && conn_has_filter(c))
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

bool
conn_out_finish(struct conn *c)
{
	if (c->tls != NULL && !c->close_sent) {
		c->close_sent = true;
		tls_record_close(c->tls, &c->wire);
		conn_out_flush(c);
	}
	if (conn_queued(c) > 0 || c->fail_code != 0)
		return false;
	(void)shutdown(c->fd_out, SHUT_WR);
	/* Unread input would turn our close into a reset, and the peer might
	 * lose our last words; TCP can throw it away without a copy. */
	(void)recv(c->fd_in, NULL, 1 << 20, MSG_DONTWAIT | MSG_TRUNC);
	conn_fail(c, ERR_CLOSED, 0, "finished");
	return true;
}

void
conn_out_settle(struct conn *c)
{
	struct str head;
	struct err e;

	while (c->out.n > 0) {
		head = outq_head(&c->out);
		if (!conn_has_filter(c)) {
			(void)buf_add_str(&c->wire, head);
		} else if (protect(c, head, head.n == c->out.n, &e) == -1) {
			conn_fail(c, e.code, 0, "can not protect the output");
			return;
		}
		outq_drop(&c->out, head.n);
	}
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
	conn_mark_dirty(c);
	if (c->out.n >= OUT_FLUSH_BYTES)
		conn_out_flush(c);
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
	conn_out_flush(c);
	if (code == ERR_TIMEOUT)
		c->fail_code = code;
}
