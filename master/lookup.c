/* SPDX-License-Identifier: ISC */
/*
 * lookup.c - whose uid it is: a child of ours asks the name service.
 *
 * Owns:    the child, its pipe.
 * Runs in: master; the child under the log user's ids, when there are others.
 * Trusts:  the system's name service.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lookup.h"

#include "base/mem.h"
#include "os/fd.h"
#include "os/priv.h"

#define PATIENCE_S 10

/* What the child writes, at once; a pipe keeps it whole. */
struct answer {
	uint32_t sysgid;
	uint32_t name_n, home_n;
	char text[PIPE_BUF - 12]; /* name, home */
};

struct lookup {
	struct master *m;
	pid_t pid;
	ev_io readable;
	ev_timer timer;
	lookup_fn *fn;
	void *arg;
};

NORETURN static void
ask(const struct settings *s, uid_t sysuid, int fd)
{
	struct answer a = {0};
	struct passwd *pw;
	struct err e;

	/* Sockets of clients, above all: they would not close in time. */
	if (dup2(fd, 3) == -1 || syscall(SYS_close_range, 4, ~0U, 0) == -1)
		_exit(1);
	fd = 3;
	for (int sig = 1; sig < 32; sig++)
		(void)sigaction(
		    sig, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	(void)alarm(PATIENCE_S);
	if (s->privileged &&
	    priv_drop(s->users[USER_LOG].sysuid, s->users[USER_LOG].sysgid,
		NULL, 0, &e) == -1)
		_exit(1);
	{
		sigset_t none;

		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
	}
	pw = getpwuid(sysuid);
	if (pw == NULL)
		_exit(0);
	a.sysgid = pw->pw_gid;
	a.name_n = (uint32_t)strlen(pw->pw_name);
	a.home_n = (uint32_t)strlen(pw->pw_dir);
	if (a.name_n > sizeof(a.text) || a.home_n > sizeof(a.text) - a.name_n)
		_exit(1);
	memcpy(a.text, pw->pw_name, a.name_n);
	memcpy(a.text + a.name_n, pw->pw_dir, a.home_n);
	(void)!write(fd, &a, sizeof(a));
	_exit(0);
}

void
lookup_free(struct lookup **lp)
{
	struct lookup *l = *lp;
	int fd;

	*lp = NULL;
	if (l == NULL)
		return;
	fd = l->readable.fd;
	ev_io_stop(l->m->loop, &l->readable);
	ev_timer_stop(l->m->loop, &l->timer);
	fd_close(&fd);
	/* The loop takes care of its exit. */
	(void)kill(l->pid, SIGKILL);
	free(l);
}

static void
end(struct lookup *l, const struct lookup_account *a)
{
	lookup_fn *fn = l->fn;
	void *arg = l->arg;

	lookup_free(&l);
	fn(arg, a);
}

static void
on_answer(UNUSED struct ev_loop *loop, ev_io *w, UNUSED int events)
{
	struct lookup_account account;
	struct answer a;
	ssize_t n = read(w->fd, &a, sizeof(a));

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n != (ssize_t)sizeof(a) || a.name_n > sizeof(a.text) ||
	    a.home_n > sizeof(a.text) - a.name_n) {
		end(w->data, NULL);
		return;
	}
	account.sysgid = a.sysgid;
	account.name = str_make(a.text, a.name_n);
	account.home = str_make(a.text + a.name_n, a.home_n);
	end(w->data, &account);
}

static void
on_late(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	end(w->data, NULL);
}

struct lookup *
lookup_uid(
    struct master *m, uid_t sysuid, lookup_fn *fn, void *arg, struct err *e)
{
	struct lookup *l;
	sigset_t all, old;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1) {
		err_sys(e, "pipe");
		return NULL;
	}
	/* A handler of ours must not run in the child. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		ask(m->now->settings, sysuid, fds[1]);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	fd_close(&fds[1]);
	if (pid == -1) {
		err_sys(e, "fork");
		fd_close(&fds[0]);
		return NULL;
	}
	l = mem_new(1, sizeof(*l));
	l->m = m;
	l->pid = pid;
	l->fn = fn;
	l->arg = arg;
	ev_io_init(&l->readable, on_answer, fds[0], EV_READ);
	ev_timer_init(&l->timer, on_late, PATIENCE_S, 0);
	l->readable.data = l->timer.data = l;
	ev_io_start(m->loop, &l->readable);
	ev_timer_start(m->loop, &l->timer);
	return l;
}
