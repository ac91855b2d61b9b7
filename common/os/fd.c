/* SPDX-License-Identifier: ISC */
/*
 * fd.c - descriptors: flags, whole reads and writes, passing.
 *
 * Owns:    nothing; descriptors belong to the caller.
 * Runs in: every process.
 * Trusts:  nothing that arrives: counts and sizes are checked, what does not
 *          fit is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/fd.h"

#include "base/bounds.h"
#include "base/clock.h"

#define READ_STEP_BYTES 4096

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

int
fd_set_cloexec(int fd, bool on, struct err *e)
{
	if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) == -1)
		return err_sys(e, "fcntl F_SETFD");
	return 0;
}

int
fd_set_nonblock(int fd, bool on, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return err_sys(e, "fcntl F_GETFL");
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (fcntl(fd, F_SETFL, flags) == -1)
		return err_sys(e, "fcntl F_SETFL");
	return 0;
}

int
fd_dup(int fd, struct err *e)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy == -1)
		return err_sys(e, "duplicate a descriptor");
	return copy;
}

int
fd_write_all(int fd, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return err_sys(e, "write");
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

static int
read_to_end(int fd, bool is_file, struct buf *b, struct err *e)
{
	for (off_t at = 0;;) {
		char part[READ_STEP_BYTES];
		ssize_t got = is_file ? pread(fd, part, sizeof(part), at)
				      : read(fd, part, sizeof(part));

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return err_sys(e, "read");
		if (got == 0)
			return 0;
		if (!buf_add(b, part, (size_t)got))
			return err_set(e, ERR_LIMIT, "longer than %zu bytes",
			    b->max_bytes);
		at += got;
	}
}

int
fd_read_all(int fd, struct buf *b, struct err *e)
{
	return read_to_end(fd, false, b, e);
}

int
fd_read_file(int fd, struct buf *b, struct err *e)
{
	return read_to_end(fd, true, b, e);
}

int
fd_pair(int fds[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return err_sys(e, "socketpair");
	return 0;
}

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(MSG_MAX_FDS * sizeof(int))];
};

enum step
fd_send(int fd, struct str bytes, const int *fds, size_t n_fds, bool now,
    struct err *e)
{
	union control control;
	struct iovec io = {
	    .iov_base = (void *)(uintptr_t)bytes.p, .iov_len = bytes.n};
	struct msghdr mh = {.msg_iov = &io, .msg_iovlen = 1};
	int flags = MSG_NOSIGNAL | (now ? MSG_DONTWAIT : 0);
	struct cmsghdr *c;
	ssize_t done;

	if (n_fds > MSG_MAX_FDS || bytes.n == 0 || bytes.n > MSG_MAX_BYTES) {
		err_set(e, ERR_LIMIT, "packet of %zu bytes, %zu descriptors",
		    bytes.n, n_fds);
		return STEP_FAIL;
	}
	if (n_fds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.room;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do
		done = sendmsg(fd, &mh, flags);
	while (done == -1 && errno == EINTR);
	if (done >= 0)
		return STEP_DONE;
	/* ETOOMANYREFS: too many descriptors in flight; they drain. */
	if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
		return STEP_MORE;
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		err_set(e, ERR_CLOSED, "the peer has closed");
	else
		err_sys(e, "sendmsg");
	return STEP_FAIL;
}

/* Copies received descriptors out; closes those there is no room for. */
static bool
take_fds(struct msghdr *mh, int *fds, size_t room, size_t *n_fds)
{
	bool fits = true;
	struct cmsghdr *c;

	*n_fds = 0;
	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int got;

			memcpy(
			    &got, CMSG_DATA(c) + i * sizeof(int), sizeof(got));
			if (*n_fds < room) {
				fds[(*n_fds)++] = got;
			} else {
				(void)close(got);
				fits = false;
			}
		}
	}
	return fits;
}

enum step
fd_recv(int fd, void *p, size_t size, size_t *n, int *fds, size_t *n_fds,
    bool now, struct err *e)
{
	union control control;
	struct iovec io = {.iov_base = p, .iov_len = size};
	struct msghdr mh = {.msg_iov = &io,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room)};
	int flags = MSG_CMSG_CLOEXEC | (now ? MSG_DONTWAIT : 0);
	size_t count;
	ssize_t got;
	bool fits, reset = false;

	got = recvmsg(fd, &mh, flags);
	/* A peer that closes without having read all leaves this error before
	 * its last packets, not instead of them. */
	while (
	    got == -1 && (errno == EINTR || (errno == ECONNRESET && !reset))) {
		reset = reset || errno == ECONNRESET;
		mh.msg_controllen = sizeof(control.room);
		got = recvmsg(fd, &mh, flags);
	}
	if (got == -1) {
		if (errno == EAGAIN)
			return STEP_MORE;
		if (errno == ECONNRESET || errno == ENOTCONN)
			err_set(e, ERR_CLOSED, "the peer has closed");
		else
			err_sys(e, "recvmsg");
		return STEP_FAIL;
	}
	fits = take_fds(&mh, fds, *n_fds, &count);
	if (got == 0 && count == 0 && fits) {
		err_set(e, ERR_CLOSED, "the peer has closed");
		return STEP_FAIL;
	}
	if (!fits || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		for (size_t i = 0; i < count; i++)
			(void)close(fds[i]);
		*n_fds = 0;
		/* The kernel fills the room unless it runs out of numbers. */
		if (fits && (mh.msg_flags & MSG_TRUNC) == 0 &&
		    count < MSG_MAX_FDS) {
			*n = (size_t)got;
			errno = EMFILE;
			err_sys(e, "a packet's descriptors are lost");
			return STEP_FAIL;
		}
		err_set(e, ERR_VIOLATION,
		    "a packet with too many bytes or descriptors");
		return STEP_FAIL;
	}
	*n = (size_t)got;
	*n_fds = count;
	return STEP_DONE;
}

int
fd_wait(int fd, bool to_write, int64_t deadline_ms, struct err *e)
{
	return fd_wait_unless(fd, to_write, -1, deadline_ms, e);
}

int
fd_wait_unless(
    int fd, bool to_write, int stop_fd, int64_t deadline_ms, struct err *e)
{
	for (;;) {
		struct pollfd p[2] = {
		    {.fd = fd, .events = to_write ? POLLOUT : POLLIN},
		    {.fd = stop_fd, .events = POLLRDHUP}};
		int64_t left = deadline_ms - clock_mono_ms();
		int got;

		if (left < 0)
			left = 0;
		got = poll(p, 2, left > 3600000 ? 3600000 : (int)left);
		if (got > 0 && p[0].revents != 0)
			return 0;
		if (got > 0)
			return err_set(e, ERR_TIMEOUT, "not waited any longer");
		if (got == -1 && errno != EINTR)
			return err_sys(e, "poll");
		if (got == 0 && left == 0)
			return err_set(e, ERR_TIMEOUT, "no answer in time");
	}
}

int
fd_memfile(const char *name, struct str bytes, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return err_sys(e, "memfd_create");
	if (fd_write_all(fd, bytes.p, bytes.n, e) == -1)
		goto fail;
	if (lseek(fd, 0, SEEK_SET) == -1 ||
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ==
		-1) {
		err_sys(e, "seal a memory file");
		goto fail;
	}
	return fd;
fail:
	fd_close(&fd);
	return -1;
}
