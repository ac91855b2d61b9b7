/* SPDX-License-Identifier: ISC */
/*
 * worker.c - a forked login worker. It has one epoll with all listening sockets
 * in it, EPOLLEXCLUSIVE, so that a connection wakes one spare and not all.
 *
 * SPARE --connection--> SERVING --login_reuse left--> SPARE
 *                       SERVING ------------------> exit
 * SPARE --authd, keyd, master gone, or sent away by the parent--> exit
 *
 * Owns:    its own end of three channels and a pipe.
 * Runs in: login workers, from the first line after fork().
 * Trusts:  the parent for the listening sockets.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/child.h"
#include "login/worker.h"
#include "net/addr.h"
#include "net/tls.h"
#include "os/fd.h"
#include "os/sandbox.h"

#define KEEP_MAX (LOGIN_LISTENERS_MAX + 8)
#define EVENTS_MAX 4
#define FULL_PAUSE_MS 50

static int
by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Everything the parent has is closed, but what is named here. */
static void
close_others(int *keep, size_t n)
{
	unsigned from = 0;

	qsort(keep, n, sizeof(*keep), by_number);
	for (size_t i = 0; i < n; i++) {
		unsigned fd = (unsigned)keep[i];

		if (fd > from)
			(void)syscall(SYS_close_range, from, fd - 1, 0);
		from = fd + 1;
	}
	(void)syscall(SYS_close_range, from, ~0u, 0);
}

static void
keep_own(const struct worker_start *w)
{
	int keep[KEEP_MAX] = {0, 1, 2, CHILD_FD_LOG, w->login.fd_auth,
	    w->login.fd_key, w->login.fd_master, w->login.fd_parent};
	size_t n = 8;

	for (size_t i = 0; i < w->n_listeners; i++)
		keep[n++] = w->listeners[i].fd;
	close_others(keep, n);
}

static void
confine(void)
{
	struct sandbox s = {.profile = SANDBOX_WORKER};
	struct sandbox_report report;
	struct err e;

	if (sandbox_enter(&s, &report, &e) == -1)
		log_fatal("worker can not be confined reason=%s", e.text);
}

static void
watch(int ep, int fd, uint32_t events, uint64_t value)
{
	struct epoll_event ev = {.events = events, .data.u64 = value};

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1)
		log_fatal("worker can not wait errno=%d", errno);
}

/*
 * Values below LOGIN_LISTENERS_MAX are listeners, the others channels. What has
 * been added first is told first: each worker begins with another listener, so
 * that a flood of one does not hold up those of the others.
 */
static int
open_epoll(const struct worker_start *w)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep == -1)
		log_fatal("worker can not wait errno=%d", errno);
	for (size_t i = 0; i < w->n_listeners; i++) {
		size_t at = ((size_t)getpid() + i) % w->n_listeners;

		watch(ep, w->listeners[at].fd, EPOLLIN | EPOLLEXCLUSIVE, at);
	}
	watch(ep, w->login.fd_auth, EPOLLRDHUP, LOGIN_LISTENERS_MAX);
	if (w->login.tls != NULL)
		watch(ep, w->login.fd_key, EPOLLRDHUP, LOGIN_LISTENERS_MAX);
	watch(ep, w->login.fd_master, EPOLLRDHUP, LOGIN_LISTENERS_MAX);
	/* The parent shuts its end when it needs no more spares. */
	watch(ep, w->login.fd_parent, EPOLLRDHUP, LOGIN_LISTENERS_MAX);
	return ep;
}

/*
 * Of the one who fills the pool, while others wait behind it. A proxy's address
 * says nothing of its client.
 */
static bool
is_shed(const struct worker_start *w, const struct login_listening *l, int fd)
{
	struct pollfd queue = {.fd = l->fd, .events = POLLIN};
	struct addr peer;
	struct err e;

	return !l->from.proxy && addr_peer(fd, &peer, &e) == 0 &&
	    shed_has(w->shed, &peer) && poll(&queue, 1, 0) == 1;
}

/*
 * Has gone without a word, while others wait behind it: then nothing has been
 * read of it that this worker could not serve another one after.
 */
static bool
has_left(const struct login_listening *l, int fd)
{
	struct pollfd queue = {.fd = l->fd, .events = POLLIN};
	char byte;
	ssize_t n;

	if (poll(&queue, 1, 0) != 1)
		return false;
	n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR);
}

/*
 * The system has no room for one more, and the client stays in the queue: trying
 * again at once, as all spares would, only keeps busy who might make room.
 */
static void
rest_if_full(int sys)
{
	if (sys == EMFILE || sys == ENFILE || sys == ENOBUFS || sys == ENOMEM)
		(void)poll(NULL, 0, FULL_PAUSE_MS);
}

/* -1: another spare was faster, or the client has left. */
static int
accept_from(const struct worker_start *w, const struct login_listening *l,
    struct login_from *from)
{
	for (;;) {
		int fd =
		    accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1 || (!is_shed(w, l, fd) && !has_left(l, fd))) {
			*from = l->from;
			if (fd == -1)
				rest_if_full(errno);
			return fd;
		}
		(void)close(fd);
	}
}

/* Of whichever socket has one. */
static int
accept_any(const struct worker_start *w, struct login_from *from)
{
	int fd = -1;

	for (size_t i = 0; i < w->n_listeners && fd == -1; i++)
		fd = accept_from(w, &w->listeners[i], from);
	return fd;
}

/* The next client; -1 when a channel has ended and there will be none. */
static int
next_client(const struct worker_start *w, int ep, struct login_from *from)
{
	struct epoll_event ev[EVENTS_MAX];

	for (;;) {
		int n = epoll_wait(ep, ev, EVENTS_MAX, -1), fd = -1;
		bool is_over = false;

		for (int i = 0; i < n && fd == -1; i++) {
			if (ev[i].data.u64 >= LOGIN_LISTENERS_MAX)
				is_over = true;
			else
				fd = accept_from(
				    w, &w->listeners[ev[i].data.u64], from);
		}
		/* A client that woke us alone must not be left waiting. */
		if (fd == -1 && is_over)
			return accept_any(w, from);
		if (fd != -1)
			return fd;
	}
}

static void
close_listeners(const struct worker_start *w, int *ep)
{
	fd_close(ep);
	for (size_t i = 0; i < w->n_listeners; i++)
		(void)close(w->listeners[i].fd);
}

static bool
is_wanted(const struct worker_start *w)
{
	struct pollfd parent = {.fd = w->login.fd_parent, .events = POLLRDHUP};

	return poll(&parent, 1, 0) == 0;
}

/*
 * False: the parent is being replaced. It is told first and asked then, and
 * the parent does it the other way round, so that one of the two notices.
 */
static bool
be_spare_again(const struct worker_start *w)
{
	struct login_seen seen = {.state = LOGIN_SEES_IDLE};
	struct buf b;

	buf_init(&b, LOGIN_SEES_BYTES);
	login_seen_write(&seen, &b);
	(void)!write(w->login.fd_parent, b.p, b.n);
	buf_done(&b);
	return is_wanted(w);
}

void
worker_run(const struct worker_start *w)
{
	struct login login = w->login;
	struct login_from from;
	int ep, fd;

	/* The parent's end, for whatever reason, is ours; also when it came
	 * just now, which its end of the socket tells. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || !is_wanted(w))
		_exit(1);
	keep_own(w);
	if (login.tls != NULL)
		tls_server_set_signer(login.tls, login_sign, &login);
	ep = open_epoll(w);
	confine();
	for (uint32_t i = 0; i < login.settings->reuse; i++) {
		if (i > 0 && !be_spare_again(w))
			break;
		fd = next_client(w, ep, &from);
		if (fd == -1)
			break;
		/* The last one: nobody else is to wait for us. */
		if (i + 1 >= login.settings->reuse)
			close_listeners(w, &ep);
		if (!login_serve(&login, &from, fd))
			break;
	}
	_exit(0);
}
