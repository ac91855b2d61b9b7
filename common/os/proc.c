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

/* ---- start ---- */

/* What the child tells its parent when it can not become the program. */
struct failure {
	int sys;
	char step[28];
};

NORETURN static void
fail(int report_fd, const char *step)
{
	struct failure f = {.sys = errno};

	(void)snprintf(f.step, sizeof(f.step), "%s", step);
	(void)!write(report_fd, &f, sizeof(f));
	_exit(127);
}

/* Descriptor i of `fds` becomes i; the report descriptor comes behind them. */
static int
arrange_fds(const int *fds, size_t n, int report_fd)
{
	int moved[PROC_FDS_MAX];

	/* Above all targets first, so that no dup2 hits a source. */
	report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, PROC_FDS_MAX + 2);
	if (report_fd == -1)
		_exit(127);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] == -1)
			moved[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		else
			moved[i] = fds[i];
		if (moved[i] != -1)
			moved[i] =
			    fcntl(moved[i], F_DUPFD_CLOEXEC, PROC_FDS_MAX + 2);
		if (moved[i] == -1)
			fail(report_fd, "descriptors");
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(moved[i], (int)i) == -1)
			fail(report_fd, "descriptors");
	if (dup3(report_fd, (int)n, O_CLOEXEC) == -1)
		fail(report_fd, "descriptors");
	if (syscall(SYS_close_range, (unsigned)n + 1, ~0U, 0) == -1)
		fail(report_fd, "close_range");
	return (int)n;
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
become(const struct proc_start *start, int report_fd)
{
	char *argv[16] = {(char *)(uintptr_t)start->name};
	struct err e;
	size_t n = 1;

	default_signals();
	report_fd = arrange_fds(start->fds, start->n_fds, report_fd);
	if (start->new_session)
		(void)setsid();
	(void)umask(077);
	if (start->user != NULL &&
	    priv_drop(start->user->sysuid, start->user->sysgid,
		start->user->groups, start->user->n_groups, &e) == -1) {
		errno = e.sys != 0 ? e.sys : EPERM;
		fail(report_fd, "become the user");
	}
	for (size_t i = 0; start->args != NULL && start->args[i] != NULL; i++)
		if (n + 1 < ARRAY_LEN(argv))
			argv[n++] = (char *)(uintptr_t)start->args[i];
	(void)execve(start->path, argv, (char *const *)(uintptr_t)start->env);
	fail(report_fd, "exec");
}

int
proc_spawn_result(int report, const char *path, struct err *e)
{
	struct failure f;
	ssize_t got;

	do
		got = read(report, &f, sizeof(f));
	while (got == -1 && errno == EINTR);
	if (got == 0)
		return 0;
	if (got != sizeof(f))
		return err_set(e, ERR_OTHER, "start %s: no report", path);
	f.step[sizeof(f.step) - 1] = '\0';
	errno = f.sys;
	return err_sys(e, "start %s: %s", path, f.step);
}

int
proc_spawn_begin(
    const struct proc_start *start, pid_t *pid, int *report, struct err *e)
{
	sigset_t all, old;
	int fds[2];
	pid_t child;

	ASSERT(start->n_fds >= 3 && start->n_fds <= PROC_FDS_MAX);
	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_sys(e, "start %s: pipe", start->path);
	/* A handler of ours must not run in the child. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	child = fork();
	if (child == 0)
		become(start, fds[1]);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	fd_close(&fds[1]);
	if (child == -1) {
		fd_close(&fds[0]);
		return err_sys(e, "start %s: fork", start->path);
	}
	*report = fds[0];
	*pid = child;
	return 0;
}

int
proc_spawn(const struct proc_start *start, pid_t *pid, struct err *e)
{
	pid_t child;
	int report, rc;

	if (proc_spawn_begin(start, &child, &report, e) == -1)
		return -1;
	rc = proc_spawn_result(report, start->path, e);
	fd_close(&report);
	if (rc == -1)
		(void)waitpid(child, NULL, 0);
	else
		*pid = child;
	return rc;
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
