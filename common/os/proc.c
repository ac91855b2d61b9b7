/* SPDX-License-Identifier: ISC */
/*
 * proc.c - start programs, say how they ended, process titles.
 *
 * Owns:    the memory of argv and environ for the title.
 * Runs in: every process; proc_spawn in master and the login parent's kin.
 * Trusts:  its caller.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/proc.h"

#include "base/assert.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/priv.h"

extern char **environ;

#define STACK_BYTES ((size_t)64 * 1024)

/* ---- start ---- */

/* Why the child could not become the program. */
struct failure {
	int sys;
	char step[28];
};

/* In the child; with a report descriptor the parent reads it from there. */
struct trouble {
	struct failure *shared;
	int report_fd;
};

NORETURN static void
fail(const struct trouble *t, const char *step)
{
	struct failure f = {.sys = errno};

	(void)snprintf(f.step, sizeof(f.step), "%s", step);
	if (t->shared != NULL)
		*t->shared = f;
	else
		(void)!write(t->report_fd, &f, sizeof(f));
	_exit(127);
}

/*
 * Descriptor i of `fds`, all of them above PROC_FDS_MAX, becomes i; a report
 * descriptor comes behind them.
 */
static void
arrange_fds(const int *fds, size_t n, struct trouble *t)
{
	unsigned keep = (unsigned)n;

	for (size_t i = 0; i < n; i++)
		if (dup2(fds[i], (int)i) == -1)
			fail(t, "descriptors");
	if (t->report_fd != -1) {
		if (dup3(t->report_fd, (int)n, O_CLOEXEC) == -1)
			fail(t, "descriptors");
		t->report_fd = (int)n;
		keep++;
	}
	if (syscall(SYS_close_range, keep, ~0U, 0) == -1)
		fail(t, "close_range");
}

/* Those that somebody handles or ignores; the rest is as at our own start. */
static void
default_signals(void)
{
	static const int set[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM,
	    SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU};
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LEN(set); i++)
		(void)sigaction(set[i], &sa, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

NORETURN static void
become(const struct proc_start *start, const int *fds, struct trouble *t)
{
	char *argv[16] = {(char *)(uintptr_t)start->name};
	struct err e;
	size_t n = 1;

	default_signals();
	arrange_fds(fds, start->n_fds, t);
	if (start->new_session)
		(void)setsid();
	(void)umask(077);
	if (start->user != NULL &&
	    priv_drop(start->user->sysuid, start->user->sysgid,
		start->user->groups, start->user->n_groups, &e) == -1) {
		errno = e.sys != 0 ? e.sys : EPERM;
		fail(t, "become the user");
	}
	for (size_t i = 0; start->args != NULL && start->args[i] != NULL; i++)
		if (n + 1 < ARRAY_LEN(argv))
			argv[n++] = (char *)(uintptr_t)start->args[i];
	(void)execve(start->path, argv, (char *const *)(uintptr_t)start->env);
	fail(t, "exec");
}

static int
failed(const struct failure *f, const char *path, struct err *e)
{
	errno = f->sys;
	return err_sys(e, "start %s: %s", path, f->step);
}

/* Above all targets first, so that no dup2 hits a source. */
static void
become_forked(const struct proc_start *start, int report_fd)
{
	struct trouble t = {.report_fd = report_fd};
	int moved[PROC_FDS_MAX];

	t.report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, PROC_FDS_MAX + 2);
	if (t.report_fd == -1)
		_exit(127);
	for (size_t i = 0; i < start->n_fds; i++) {
		int fd = start->fds[i];

		if (fd == -1)
			fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd != -1)
			fd = fcntl(fd, F_DUPFD_CLOEXEC, PROC_FDS_MAX + 2);
		if (fd == -1)
			fail(&t, "descriptors");
		moved[i] = fd;
	}
	become(start, moved, &t);
}

static pid_t
spawn_forked(const struct proc_start *start, struct err *e)
{
	struct failure f;
	pid_t child;
	ssize_t got;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1) {
		err_sys(e, "start %s: pipe", start->path);
		return -1;
	}
	child = fork();
	if (child == 0)
		become_forked(start, fds[1]);
	fd_close(&fds[1]);
	if (child == -1) {
		err_sys(e, "start %s: fork", start->path);
		fd_close(&fds[0]);
		return -1;
	}
	do
		got = read(fds[0], &f, sizeof(f));
	while (got == -1 && errno == EINTR);
	fd_close(&fds[0]);
	if (got == 0)
		return child;
	if (got == sizeof(f))
		(void)failed(&f, start->path, e);
	else
		err_set(e, ERR_OTHER, "start %s: no report", start->path);
	(void)waitpid(child, NULL, 0);
	return -1;
}

#ifndef RESTANTE_SANITIZE

/*
 * Low descriptors that are always taken. What a child gets is put there for
 * the moment, so that its table need not be copied beyond them: that of a
 * master with thousands of users is long.
 */
static int slots[PROC_FDS_MAX];
static int slot_null = -1;
static unsigned slot_end;

static int
open_slots(struct err *e)
{
	int null;

	if (slot_null != -1)
		return 0;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null == -1)
		return err_sys(e, "/dev/null");
	for (size_t i = 0; i < PROC_FDS_MAX; i++) {
		slots[i] = fcntl(null, F_DUPFD_CLOEXEC, PROC_FDS_MAX);
		if (slots[i] == -1) {
			err_sys(e, "descriptors");
			while (i > 0)
				fd_close(&slots[--i]);
			fd_close(&null);
			return -1;
		}
		if ((unsigned)slots[i] >= slot_end)
			slot_end = (unsigned)slots[i] + 1;
	}
	slot_null = null;
	return 0;
}

struct shared_start {
	const struct proc_start *start;
	struct failure failure;
};

/* Shares memory with the parent, which waits: nothing is allocated here, and
 * nobody but root can send it a signal. */
static int
become_shared(void *arg)
{
	struct shared_start *s = arg;
	struct trouble t = {.shared = &s->failure, .report_fd = -1};

	/* From here on the table of descriptors is its own. */
	if (syscall(SYS_close_range, slot_end, ~0U, CLOSE_RANGE_UNSHARE) == -1)
		fail(&t, "close_range");
	become(s->start, slots, &t);
}

static pid_t
spawn_shared(const struct proc_start *start, struct err *e)
{
	static char *stack;
	struct shared_start s = {.start = start};
	pid_t child = -1;
	size_t i;

	if (open_slots(e) == -1)
		return -1;
	if (stack == NULL)
		stack = mem_resize(NULL, 1, STACK_BYTES);
	for (i = 0; i < start->n_fds; i++)
		if (start->fds[i] != -1 &&
		    dup3(start->fds[i], slots[i], O_CLOEXEC) == -1)
			break;
	if (i == start->n_fds)
		child = clone(become_shared, stack + STACK_BYTES,
		    CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &s);
	if (child == -1)
		err_sys(e, "start %s: clone", start->path);
	/* Nothing of the child's stays open here. */
	for (i = 0; i < start->n_fds; i++)
		if (start->fds[i] != -1)
			(void)dup3(slot_null, slots[i], O_CLOEXEC);
	if (child == -1 || s.failure.sys == 0)
		return child;
	(void)failed(&s.failure, start->path, e);
	(void)waitpid(child, NULL, 0);
	return -1;
}

#else

/* A sanitizer's shadow can not be shared with a child. */
static pid_t
spawn_shared(const struct proc_start *start, struct err *e)
{
	return spawn_forked(start, e);
}

#endif

int
proc_spawn(const struct proc_start *start, pid_t *pid, struct err *e)
{
	sigset_t all, old;
	pid_t child;

	ASSERT(start->n_fds >= 3 && start->n_fds <= PROC_FDS_MAX);
	/* A handler of ours must not run in the child. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	child = start->user != NULL ? spawn_forked(start, e)
				    : spawn_shared(start, e);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (child == -1)
		return -1;
	*pid = child;
	return 0;
}

const char *
proc_exit_text(int status, char *room, size_t size)
{
	if (WIFEXITED(status))
		(void)snprintf(
		    room, size, "exited with status %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		(void)snprintf(room, size, "killed by signal %d (%s)%s",
		    WTERMSIG(status), strsignal(WTERMSIG(status)),
		    WCOREDUMP(status) ? ", core dumped" : "");
	else
		(void)snprintf(room, size, "wait status %d", status);
	return room;
}

/* ---- title ---- */

#define ROOM_32 "                                "
const char proc_title_room[] =
    "TITLE_ROOM=" ROOM_32 ROOM_32 ROOM_32 ROOM_32 ROOM_32;

static char *title_start;
static size_t title_size;

void
proc_title_init(int argc, char **argv)
{
	char *end, **copy;
	size_t n = 0;

	if (argc < 1)
		return;
	end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
	for (; environ != NULL && environ[n] != NULL; n++)
		if (environ[n] == end)
			end += strlen(end) + 1;
	copy = mem_new(n + 1, sizeof(*copy));
	for (size_t i = 0, to = 0; i < n; i++)
		if (strncmp(environ[i], "TITLE_ROOM=", 11) != 0)
			copy[to++] = mem_strdup(environ[i]);
	environ = copy;
	title_start = argv[0];
	title_size = (size_t)(end - argv[0]);
}

void
proc_title(const char *fmt, ...)
{
	char text[256];
	va_list ap;
	size_t n;

	if (title_size < 2)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = strlen(text);
	if (n > title_size - 1)
		n = title_size - 1;
	memcpy(title_start, text, n);
	memset(title_start + n, 0, title_size - n);
}

int
proc_harden(struct err *e)
{
	struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return err_sys(e, "setrlimit RLIMIT_CORE");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return err_sys(e, "prctl PR_SET_DUMPABLE");
	return 0;
}
