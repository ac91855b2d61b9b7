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
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/host_impl.h"
#include "ipc/chan_ctl.h"
#include "ipc/chan_wait.h"
#include "ipc/child.h"
#include "os/fd.h"
#include "os/file.h"

#define CONTROL_TOOL "restantectl"
#define RUN_DIR "/run/restante" /* the default of run_dir */
#define MASTER_WAIT_MS 10000

extern char **environ;

/* ---- settings ------------------------------------------------------------ */

/* The control tool beside this program, or where it is installed. */
static bool
find_tool(char *path, size_t size)
{
	char own[3000];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own));
	struct str dir = str_make(own, n < 0 ? 0 : (size_t)n);

	dir = str_head(dir, str_rfind(dir, '/'));
	(void)snprintf(path, size, "%.*s/" CONTROL_TOOL, STR_ARG(dir));
	if (access(path, X_OK) == 0)
		return true;
	(void)snprintf(path, size, "%s", BINDIR "/" CONTROL_TOOL);
	return access(path, X_OK) == 0;
}

/* Runs the tool; what it prints is in `out`. */
static int
run_tool(const char *path, char *const argv[], struct buf *out, struct err *e)
{
	posix_spawn_file_actions_t actions;
	int fds[2], status, rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_sys(e, "pipe");
	(void)posix_spawn_file_actions_init(&actions);
	/* It must not read what the client sends to us. */
	(void)posix_spawn_file_actions_addopen(
	    &actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	errno = posix_spawn(&pid, path, &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(fds[1]);
	if (errno != 0) {
		err_sys(e, "start %s", path);
		(void)close(fds[0]);
		return -1;
	}
	rc = fd_read_all(fds[0], out, e);
	(void)close(fds[0]);
	if (waitpid(pid, &status, 0) == -1)
		return err_sys(e, "waitpid");
	if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		return err_set(e, ERR_OTHER, "%s has failed", path);
	return rc;
}

/* ---- from a running master ---- */

static int
connect_to_master(const char *run_dir, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n, fd;

	n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", run_dir,
	    CTL_CONTROL_SOCKET);
	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return err_set(e, ERR_LIMIT, "run_dir is too long");
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_sys(e, "socket");
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == -1) {
		err_sys(e, "connect to %s", a.sun_path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* The answer: settings and a channel, or why not. */
static int
recv_settings(int fd, int64_t deadline_ms, int fds[2], struct err *e)
{
	struct buf room;
	struct msg_in in;
	int rc;

	buf_init(&room, CTL_FRAME_MAX);
	rc = chan_recv_wait(
	    fd, CTL_SETTINGS, &room, &in, fds, 2, deadline_ms, e);
	if (rc == 0 && ctl_settings_parse(&in, e) == -1) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		rc = -1;
	}
	buf_done(&room);
	return rc;
}

static int
ask_master(struct host *h, const char *run_dir, int fds[2], struct err *e)
{
	const char *user = getenv("USER");
	const struct ctl_request m = {
	    .verb = STR("settings"),
	    .args = {{STR("service"), str_of(h->ops->service)},
		{STR("user"), str_of(user == NULL ? "" : user)}},
	    .n_args = user == NULL ? 1 : 2,
	};
	int64_t deadline_ms = clock_mono_ms() + MASTER_WAIT_MS;
	int fd = connect_to_master(run_dir, e), rc;
	struct buf frame;

	if (fd == -1)
		return -1;
	buf_init(&frame, CTL_FRAME_MAX);
	ctl_request_write(&m, &frame);
	rc = chan_send_wait(fd, &frame, NULL, 0, deadline_ms, e);
	if (rc == 0)
		rc = recv_settings(fd, deadline_ms, fds, e);
	buf_done(&frame);
	(void)close(fd);
	return rc;
}

/*
 * Another home than the account's means other mail: index and state of the one
 * are nothing for the other.
 */
static void
check_home(struct host *h)
{
	const char *own = getenv("HOME"), *home = host_setting(h, "home");

	if (own == NULL || own[0] != '/' || home == NULL ||
	    strcmp(own, home) == 0)
		return;
	settings_put(&h->settings, STR("index_dir"), STR(""));
	settings_put(&h->settings, STR("state_dir"), STR(""));
}

static bool
master_settings(struct host *h, const char *run_dir)
{
	struct child_settings cs;
	struct err e;
	int fds[2], rc;

	if (ask_master(h, run_dir, fds, &e) == -1)
		goto none;
	rc = child_settings_load(fds[0], &cs, &e);
	(void)close(fds[0]);
	if (rc == -1) {
		(void)close(fds[1]);
		goto none;
	}
	intake_put_settings(h, &cs);
	MEM_FREE(h->filter);
	h->filter = mem_strdup(child_setting_or(&cs, "sandbox_filter", ""));
	child_settings_done(&cs);
	check_home(h);
	h->spool_fd = fds[1];
	return true;
none:
	log_debug("no settings of a running server: %s", e.text);
	return false;
}

/* ---- from the configuration ---- */

static void
file_settings(struct host *h, const char *conf_file)
{
	char path[3100], tool[] = CONTROL_TOOL, config[] = "config",
			 plain[] = "--plain", opt_c[] = "-c", service[16],
			 file[3000];
	char *argv[7], **at = argv;
	struct child_settings cs;
	struct buf out;
	struct err e;

	if (!find_tool(path, sizeof(path)))
		return;
	*at++ = tool;
	if (conf_file != NULL) {
		(void)snprintf(file, sizeof(file), "%s", conf_file);
		*at++ = opt_c;
		*at++ = file;
	}
	(void)snprintf(service, sizeof(service), "%s", h->ops->service);
	*at++ = config;
	*at++ = plain;
	*at++ = service;
	*at = NULL;
	buf_init(&out, CHILD_SETTINGS_MAX);
	/* It has said on standard error what is wrong with the file: better no
	 * mail than that of a place where it does not belong. */
	if (run_tool(path, argv, &out, &e) == -1 ||
	    child_settings_parse(buf_str(&out), &cs, &e) == -1)
		log_fatal("settings: %s", e.text);
	intake_put_settings(h, &cs);
	child_settings_done(&cs);
	buf_done(&out);
	/* These are master's to make. */
	settings_put(&h->settings, STR("index_dir"), STR(""));
	settings_put(&h->settings, STR("state_dir"), STR(""));
}

void
shell_settings(struct host *h, const char *conf_file)
{
	const char *run_dir;

	h->spool_fd = -1;
	if (conf_file == NULL && master_settings(h, RUN_DIR))
		return;
	file_settings(h, conf_file);
	/* Whoever serves by that file has more to give than the file. (A server
	 * at the usual place serves by the usual file.) */
	run_dir = host_setting(h, "run_dir");
	if (run_dir != NULL && strcmp(run_dir, RUN_DIR) != 0)
		(void)master_settings(h, run_dir);
}

void
shell_index_dir(struct host *h)
{
	const char *given = settings_get(&h->settings, "index_dir");
	const char *cache = getenv("XDG_CACHE_HOME");
	char dir[3000];
	struct err e;
	int n;

	if (given != NULL && *given != '\0')
		return;
	n = cache != NULL && cache[0] == '/'
	    ? snprintf(dir, sizeof(dir), "%s/restante/index", cache)
	    : snprintf(dir, sizeof(dir), "%s/.cache/restante/index", h->home);
	/* Where nothing can be made it is done without. */
	if (n < (int)sizeof(dir) && file_make_path(dir, &e) == 0)
		settings_put(&h->settings, STR("index_dir"), str_of(dir));
}

/* ---- the session --------------------------------------------------------- */

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
	struct conn *c = conn_new(
	    h->loop, h->shell_in, h->shell_out, &turns_no_handlers, NULL);

	(void)turns_add(h, &c, &p);
}
