/* SPDX-License-Identifier: ISC */
/*
 * wire.c - a client's socket, with or without TLS.
 *
 * Owns:    nothing; the worker owns socket and TLS session.
 * Runs in: login workers.
 * Trusts:  nothing from the peer.
 */
#include <errno.h>
#include <sys/socket.h>

#include "login/wire.h"

#include "base/clock.h"
#include "net/tls.h"
#include "os/fd.h"

static int
recv_plain(struct wire *w, char *p, size_t size, size_t *n, struct err *e)
{
	for (;;) {
		ssize_t r;

		/* Also one who never lets us wait has no more time. */
		if (clock_mono_ms() >= w->deadline_ms)
			return err_set(e, ERR_TIMEOUT, "took too long");
		r = recv(w->fd, p, size, MSG_DONTWAIT);
		if (r >= 0) {
			*n = (size_t)r;
			return 0;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_set(e, ERR_CLOSED, "peer is gone");
		if (fd_wait_unless(
			w->fd, false, w->stop_fd, w->deadline_ms, e) == -1)
			return -1;
	}
}

int
wire_recv(struct wire *w, char *p, size_t size, size_t *n, struct err *e)
{
	return w->tls != NULL ? tls_recv(w->tls, p, size, n, e)
			      : recv_plain(w, p, size, n, e);
}

static int
send_plain(struct wire *w, struct str s, struct err *e)
{
	while (s.n > 0) {
		ssize_t r = send(w->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r >= 0) {
			s = str_skip(s, (size_t)r);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_set(e, ERR_CLOSED, "peer is gone");
		if (fd_wait_unless(
			w->fd, true, w->stop_fd, w->deadline_ms, e) == -1)
			return -1;
	}
	return 0;
}

int
wire_send(struct wire *w, struct str s, struct err *e)
{
	if (s.n == 0)
		return 0;
	if (w->tls == NULL)
		return send_plain(w, s, e);
	return tls_send(w->tls, s, e) == -1 ? -1 : tls_flush(w->tls, e);
}

bool
wire_is_empty(const struct wire *w)
{
	char byte;

	return recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

void
wire_set_deadline(struct wire *w, int64_t mono_ms)
{
	w->deadline_ms = mono_ms;
	if (w->tls != NULL)
		tls_set_deadline(w->tls, mono_ms);
}
