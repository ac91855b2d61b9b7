/* SPDX-License-Identifier: ISC */
/*
 * shell.c - one session on standard input and output, for a person at a
 * terminal, a tunnel through ssh, and tests.
 *
 * Owns:    nothing.
 * Runs in: imapd and pop3d that were started by hand, as the caller.
 * Trusts:  the caller: the mail is his own, the kernel decides on the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/host_impl.h"

static void
nothing(UNUSED struct conn *c, UNUSED void *arg)
{
}

static void
nothing_more(UNUSED struct conn *c, UNUSED const struct err *e, UNUSED void *a)
{
}

static const struct conn_handlers no_handlers = {
    nothing, nothing, nothing_more};

/*
 * The descriptors of the connection must not be 0 and 1: they are closed with
 * it, and whatever is opened next would become standard output.
 */
static int
move_away(int fd, int flags, struct err *e)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3), null;

	if (moved == -1)
		return err_sys(e, "standard input or output");
	null = open("/dev/null", flags | O_CLOEXEC);
	if (null == -1 || dup2(null, fd) == -1)
		return err_sys(e, "/dev/null");
	(void)close(null);
	return moved;
}

int
shell_prepare(struct host *h, struct err *e)
{
	h->shell_in = move_away(STDIN_FILENO, O_RDONLY, e);
	if (h->shell_in == -1)
		return -1;
	h->shell_out = move_away(STDOUT_FILENO, O_WRONLY, e);
	return h->shell_out == -1 ? -1 : 0;
}

void
shell_start(struct host *h)
{
	struct host_peer p = {
	    .session_id = 1,
	    .user = str_of(h->user),
	    .from_shell = true,
	};
	struct conn *c =
	    conn_new(h->loop, h->shell_in, h->shell_out, &no_handlers, NULL);

	(void)turns_add(h, &c, &p);
}
