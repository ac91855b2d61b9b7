/* SPDX-License-Identifier: ISC */
/*
 * hold.c - the holder of a PAM session.
 *
 * Owns:    the session, the user's process as its parent.
 * Runs in: an auth child that has authenticated the user, as root.
 * Trusts:  master for the program to start; who the user is it knows itself.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/hold.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "ipc/chan_wait.h"
#include "os/fd.h"
#include "os/proc.h"

/* A grant lives 15 s; after this nobody will come any more. */
#define START_WAIT_MS 60000

static struct {
	int which;
	rlim_t value, remembered;
} limits[] = {
#ifndef RESTANTE_SANITIZE /* its shadow takes terabytes */
    {RLIMIT_AS, 256 * 1024 * 1024, 0},
#endif
    {RLIMIT_CPU, 10, 0},
    {RLIMIT_NOFILE, 64, 0},
    {RLIMIT_CORE, 0, 0},
};

static int
set_soft(int which, rlim_t value, rlim_t *old, struct err *e)
{
	struct rlimit l;

	if (getrlimit((__rlimit_resource_t)which, &l) == -1)
		return err_sys(e, "getrlimit");
	*old = l.rlim_cur;
	l.rlim_cur = l.rlim_max < value ? l.rlim_max : value;
	if (setrlimit((__rlimit_resource_t)which, &l) == -1)
		return err_sys(e, "setrlimit");
	return 0;
}

int
hold_limit(struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (set_soft(limits[i].which, limits[i].value,
			&limits[i].remembered, e) == -1)
			return -1;
	return 0;
}

static int
restore_limits(struct err *e)
{
	rlim_t ours;

	(void)alarm(0);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (set_soft(limits[i].which, limits[i].remembered, &ours, e) ==
		    -1)
			return -1;
	return 0;
}

/* NUL-terminated copies in an array that ends with NULL. */
static const char **
copy_list(const struct str *v, size_t n)
{
	const char **out = mem_new(n + 1, sizeof(*out));

	for (size_t i = 0; i < n; i++)
		out[i] = str_to_heap(v[i]);
	return out;
}

static int
start(const struct chan_hold_start *s, const int fds[CHAN_HOLD_FDS],
    uid_t sysuid, gid_t sysgid, pid_t *pid, struct err *e)
{
	/* The list is as long as the process; what leaks here ends with it. */
	const char **args = copy_list(s->args, s->n_args);
	const char **env = copy_list(s->env, s->n_env);
	const int map[] = {fds[0], fds[0], fds[0], fds[1], fds[2], fds[3]};
	const struct proc_user user = {.sysuid = sysuid, .sysgid = sysgid};
	const struct proc_start how = {.path = str_to_heap(s->path),
	    .name = args[0],
	    .args = args + 1,
	    .env = env,
	    .fds = map,
	    .n_fds = ARRAY_LEN(map),
	    .user = &user,
	    .new_session = true};

	return proc_spawn(&how, pid, e);
}

static void
send_started(int fd, pid_t pid)
{
	struct chan_try_msg m = {
	    .type = CHAN_HOLD_STARTED, .pid = (uint32_t)pid};
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct buf frame;
	struct err e;

	buf_init(&frame, CHAN_HOLD_FRAME_MAX);
	chan_try_write(&m, &frame);
	if (pidfd == -1 ||
	    chan_send_wait(fd, &frame, &pidfd, 1, clock_mono_ms() + 5000, &e) ==
		-1)
		log_warn("holder can not tell master of process %d", (int)pid);
	fd_close(&pidfd);
	buf_done(&frame);
}

static void
send_ended(int fd, int status, const char *text)
{
	struct chan_try_msg m = {
	    .type = CHAN_HOLD_ENDED, .ended = {(uint32_t)status, str_of(text)}};
	struct buf frame;
	struct err ignored;

	buf_init(&frame, CHAN_HOLD_FRAME_MAX);
	chan_try_write(&m, &frame);
	(void)chan_send_wait(
	    fd, &frame, NULL, 0, clock_mono_ms() + 5000, &ignored);
	buf_done(&frame);
}

static int
wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return status;
}

/* Opens the session, runs the process in it, closes it. */
static int
run(struct pam_try *pam, const char *name, uid_t sysuid, gid_t sysgid,
    const struct chan_hold_start *s, const int *fds, int fd, struct err *e)
{
	int status = 0, rc;
	pid_t pid;

	if (restore_limits(e) == -1)
		return -1;
	/* PAM modules look at the groups; the process itself gets none. */
	if (initgroups(name, sysgid) == -1)
		return err_sys(e, "initgroups");
	if (pam_try_open_session(pam, e) == -1)
		return -1;
	rc = start(s, fds, sysuid, sysgid, &pid, e);
	if (rc == 0) {
		send_started(fd, pid);
		for (int i = 0; i < CHAN_HOLD_FDS; i++)
			(void)close(fds[i]);
		status = wait_for(pid);
	}
	pam_try_close_session(pam);
	if (rc == 0)
		send_ended(fd, status, "");
	return rc;
}

void
hold_session(
    struct pam_try *pam, const char *name, uid_t sysuid, gid_t sysgid, int fd)
{
	int fds[CHAN_HOLD_FDS];
	struct chan_try_msg *m;
	struct msg_in in;
	struct buf room;
	struct err e;

	(void)alarm(0);
	proc_title("holder: %s", name);
	buf_init(&room, CHAN_HOLD_FRAME_MAX);
	m = mem_new(1, sizeof(*m));
	if (chan_recv_wait(fd, CHAN_HOLD_START, &room, &in, fds, CHAN_HOLD_FDS,
		clock_mono_ms() + START_WAIT_MS, &e) == 0) {
		if (chan_try_parse(&in, m, &e) == -1 ||
		    run(pam, name, sysuid, sysgid, &m->start, fds, fd, &e) ==
			-1) {
			log_error("PAM session of user=<%s>: %s", name, e.text);
			send_ended(fd, 0, e.text);
		}
	}
	MEM_FREE(m);
	buf_done(&room);
}
