/* SPDX-License-Identifier: ISC */
/*
 * chan_wait.c - messages for processes that wait instead of looping.
 *
 * Owns:    nothing.
 * Runs in: login workers, auth children, tools, tests.
 * Trusts:  nothing that arrives.
 */
#include "ipc/chan_wait.h"

#include "base/bounds.h"
#include "os/fd.h"

int
chan_send_wait(int fd, const struct buf *frame, const int *fds, size_t n_fds,
    int64_t deadline_ms, struct err *e)
{
	if (buf_is_over(frame))
		return err_set(e, ERR_LIMIT, "a message is too large");
	for (;;) {
		enum step step =
		    fd_send(fd, buf_str(frame), fds, n_fds, true, e);

		if (step == STEP_DONE)
			return 0;
		if (step == STEP_FAIL ||
		    fd_wait(fd, true, deadline_ms, e) == -1)
			return -1;
	}
}

static void
close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fd_close(&fds[i]);
}

static int
check(uint16_t type, size_t want_fds, size_t got_fds, const struct msg_in *in,
    struct err *e)
{
	if (type != 0 && in->type != type)
		return err_set(e, ERR_VIOLATION,
		    "message type %u where %u was due", in->type, type);
	if (got_fds != want_fds || in->n_fds != got_fds)
		return err_set(e, ERR_VIOLATION,
		    "message type %u has %zu descriptors, should be %zu",
		    in->type, got_fds, want_fds);
	return 0;
}

int
chan_recv_wait(int fd, uint16_t type, struct buf *room, struct msg_in *in,
    int *fds, size_t n_fds, int64_t deadline_ms, struct err *e)
{
	int got[MSG_MAX_FDS];
	size_t n, n_got;
	enum step step;
	char *p;

	buf_clear(room);
	p = buf_room(room, room->max_bytes);
	if (p == NULL)
		return err_set(e, ERR_LIMIT, "no room for a message");
	for (;;) {
		n_got = MSG_MAX_FDS;
		step =
		    fd_recv(fd, p, room->max_bytes, &n, got, &n_got, true, e);
		if (step == STEP_FAIL)
			return -1;
		if (step == STEP_DONE)
			break;
		if (fd_wait(fd, false, deadline_ms, e) == -1)
			return -1;
	}
	room->n = n;
	/* Messages are short: what lies behind need not be wiped. */
	buf_shrink(room);
	if (msg_parse(buf_str(room), in, e) == -1 ||
	    check(type, n_fds, n_got, in, e) == -1) {
		close_all(got, n_got);
		return -1;
	}
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = got[i];
	return 0;
}
