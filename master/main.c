/* SPDX-License-Identifier: ISC */
/*
 * main.c - restanted: options, configuration, the order of start and stop.
 *
 * Owns:    struct master.
 * Runs in: master. As root it keeps a few capabilities; started by an ordinary
 *          user, everything runs as that user.
 * Trusts:  the configuration's owner; nothing that comes over a network, which
 *          it never reads.
 *
 * START: logd -> spoold, spawner, authd, keyd -> login -> READY
 * STOP:  login, sessions -> authd, keyd, spawner -> spoold -> logd -> exit
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "config.h"
#include "control.h"
#include "generation.h"
#include "ipc/chan_log.h"
#include "notify.h"
#include "os/fd.h"
#include "os/priv.h"
#include "os/proc.h"
#include "reload.h"
#include "service.h"
#include "users.h"
#include "worker.h"

#define DEFAULT_CONF SYSCONFDIR "/restante/restante.conf"
#define STOP_PATIENCE_S 8

/* What master still needs as root; the processes it starts as root get all. */
#define CAPS                                                                   \
	(UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE |          \
	    UINT64_C(1) << CAP_FOWNER | UINT64_C(1) << CAP_KILL |              \
	    UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_SETUID |            \
	    UINT64_C(1) << CAP_NET_BIND_SERVICE |                              \
	    UINT64_C(1) << CAP_SYS_RESOURCE)

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: restanted [-F] [-c FILE] [-t]\n"
	    "  -F       stay in the foreground\n"
	    "  -c FILE  read this configuration instead of %s\n"
	    "  -t       check the configuration and exit\n"
	    "  -V       print the version\n",
	    DEFAULT_CONF);
}

/* ---- stop ---- */

static void
on_stop_timer(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct master *m = w->data;

	log_warn("processes do not end in time, killed");
	users_kill_all(m);
	LIST_EACH(&m->generations, it)
		generation_kill(LIST_OF(it, struct generation, link));
	ev_timer_again(m->loop, w);
	master_stop_step(m);
}

/*
 * A worker sees that its channel closes, whatever it waits for: it tells its
 * client, and ends.
 */
static void
close_workers(struct generation *g)
{
	for (uint32_t n = g->n_workers; n > 0; n--) {
		struct worker *w =
		    LIST_OF(g->workers.next, struct worker, link);

		worker_free(&w);
	}
}

void
master_stop(struct master *m, int exit_status)
{
	if (exit_status != 0)
		m->exit_status = exit_status;
	if (m->stopping)
		return;
	m->stopping = true;
	if (m->ready)
		log_info("stopping");
	notify_send("STOPPING=1");
	control_close(m);
	ev_timer_set(&m->stop_timer, STOP_PATIENCE_S, 1);
	ev_timer_start(m->loop, &m->stop_timer);
	users_stop_all(m, "The server is shutting down.");
	LIST_EACH(&m->generations, it) {
		struct generation *g = LIST_OF(it, struct generation, link);

		g->retiring = true;
		service_stop(&g->login, "shutdown", STOP_PATIENCE_S);
		close_workers(g);
		generation_check_retired(g);
	}
	master_stop_step(m);
}

void
master_stop_step(struct master *m)
{
	if (!m->stopping || !list_is_empty(&m->user_procs))
		return;
	LIST_EACH(&m->generations, it) {
		struct generation *g = LIST_OF(it, struct generation, link);

		if (g->login.state == SERVICE_DOWN)
			close_workers(g);
		if (generation_running(g) > 0) {
			if (g->login.state == SERVICE_DOWN)
				generation_kill(g);
			return;
		}
	}
	if (m->spoold.state != SERVICE_DOWN) {
		if (m->spoold.state == SERVICE_STOPPING)
			return;
		service_stop(&m->spoold, "shutdown", 2);
		return;
	}
	if (m->logd.state != SERVICE_DOWN) {
		/* It has our own last words to write before it ends. */
		if (m->logd.state != SERVICE_STOPPING) {
			if (m->ready)
				log_info("stopped");
			chan_log_use(-1);
			fd_close(&m->log_fd);
			service_stop(&m->logd, "shutdown", 5);
		}
		return;
	}
	ev_break(m->loop, EVBREAK_ALL);
}

/* ---- start ---- */

static int
write_pid_file(const struct settings *s, struct err *e)
{
	char path[4096], line[32];
	int fd, n, rc;

	(void)snprintf(path, sizeof(path), "%s/restanted.pid", s->run_dir);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd == -1)
		return err_sys(e, "make %s", path);
	n = snprintf(line, sizeof(line), "%d\n", (int)getpid());
	rc = fd_write_all(fd, line, (size_t)n, e);
	fd_close(&fd);
	return rc;
}

static void
remove_pid_file(const struct settings *s)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/restanted.pid", s->run_dir);
	(void)unlink(path);
}

void
master_is_ready(struct master *m)
{
	char status = 0;
	struct err e;

	/* The file is another's as long as the socket is. */
	if (control_open(m, &e) == -1 ||
	    write_pid_file(m->now->settings, &e) == -1) {
		log_error("%s", e.text);
		(void)dprintf(m->error_fd, "restanted: %s\n", e.text);
		master_stop(m, 1);
		return;
	}
	m->ready = true;
	reload_init(m);
	log_info("ready version=%s pid=%d tls=%s", PACKAGE_VERSION,
	    (int)getpid(), m->now->settings->certs.n > 0 ? "yes" : "no");
	if (m->now->settings->certs.n == 0)
		log_warn("no certificate is configured or found: TLS is not "
			 "offered");
	notify_send("READY=1\nMAINPID=%d", (int)getpid());
	if (m->ready_fd != -1)
		(void)!write(m->ready_fd, &status, 1);
	fd_close(&m->ready_fd);
	if (m->error_fd > 2)
		fd_close(&m->error_fd);
	if (m->reload_early)
		reload_begin(m, "SIGHUP before the start was over");
}

static void
on_signal(UNUSED struct ev_loop *loop, ev_signal *w, UNUSED int events)
{
	struct master *m = w->data;

	if (w->signum == SIGHUP)
		reload_begin(m, "SIGHUP");
	else if (m->stopping)
		on_stop_timer(m->loop, &m->stop_timer, 0);
	else
		master_stop(m, 0);
}

/* One that comes before we can hear it waits. */
static void
hold_hup(bool on)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void
watch_signals(struct master *m)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	(void)sigaction(SIGPIPE, &ignore, NULL);
	ev_signal_init(&m->on_term, on_signal, SIGTERM);
	ev_signal_init(&m->on_int, on_signal, SIGINT);
	ev_signal_init(&m->on_hup, on_signal, SIGHUP);
	m->on_term.data = m->on_int.data = m->on_hup.data = m;
	ev_signal_start(m->loop, &m->on_term);
	ev_signal_start(m->loop, &m->on_int);
	ev_signal_start(m->loop, &m->on_hup);
	hold_hup(false);
	ev_timer_init(&m->stop_timer, on_stop_timer, 0, 0);
	m->stop_timer.data = m;
}

static int
make_dir(const char *path, mode_t mode, struct err *e)
{
	if (mkdir(path, mode) == -1 && errno != EEXIST)
		return err_sys(e, "make the directory %s", path);
	return 0;
}

/* The run directory, and in it the empty one that becomes others' root. */
static int
make_run_dir(const struct settings *s, struct err *e)
{
	char empty[4096];

	(void)snprintf(empty, sizeof(empty), "%s/empty", s->run_dir);
	if (make_dir(s->run_dir, 0755, e) == -1 ||
	    make_dir(empty, 0555, e) == -1)
		return -1;
	if (!s->privileged)
		return 0;
	if (chown(empty, 0, 0) == -1 || chmod(empty, 0555) == -1)
		return err_sys(e, "make %s root's", empty);
	return 0;
}

/* Each worker and session is a few descriptors here. */
static void
raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

/*
 * The parent of a daemon waits until it is ready, so that its exit status says
 * whether the start worked.
 */
static void
point_to_null(bool keep_stderr)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd == -1)
		return;
	(void)dup2(fd, 0);
	(void)dup2(fd, 1);
	if (!keep_stderr)
		(void)dup2(fd, 2);
	fd_close(&fd);
}

static int
go_background(struct master *m, const struct settings *s, struct err *e)
{
	int fds[2], status;
	char ok;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_sys(e, "pipe");
	pid = fork();
	if (pid == -1)
		return err_sys(e, "fork");
	if (pid > 0) {
		fd_close(&fds[1]);
		status = read(fds[0], &ok, 1) == 1 ? 0 : 1;
		_exit(status);
	}
	fd_close(&fds[0]);
	(void)setsid();
	if (chdir("/") == -1)
		return err_sys(e, "chdir /");
	m->ready_fd = fds[1];
	/* What goes wrong before we are ready is still said where we began. */
	m->error_fd = fd_dup(2, e);
	if (m->error_fd == -1)
		return -1;
	point_to_null(strcmp(s->log, "stderr") == 0);
	return 0;
}

static int
use_logd(struct master *m, struct err *e)
{
	struct log_feed *own = logs_new(&m->logs, "restanted", &m->log_fd, e);

	if (own == NULL)
		return -1;
	logs_begin(&m->logs, own, getpid());
	service_init(&m->logd, m, NULL, PROGRAM_LOGD, 0);
	service_init(&m->spoold, m, NULL, PROGRAM_SPOOLD, 0);
	if (service_start(&m->logd, e) == -1)
		return -1;
	chan_log_use(m->log_fd);
	return 0;
}

static int
start(struct master *m, struct settings *s, struct err *e)
{
	m->loop = ev_default_loop(0);
	if (m->loop == NULL)
		return err_set(e, ERR_OTHER, "libev has no event loop here");
	raise_descriptors();
	watch_signals(m);
	if (make_run_dir(s, e) == -1 || listen_renew(&m->listeners, s, e) == -1)
		return -1;
	if (s->privileged && priv_keep_caps(CAPS, e) == -1)
		return -1;
	if (!m->foreground && go_background(m, s, e) == -1)
		return -1;
	if (proc_harden(e) == -1)
		return -1;
	/* Before the loop's first use in this process when it was forked. */
	ev_loop_fork(m->loop);
	m->now = generation_new(m, s);
	return use_logd(m, e);
}

static void
init(struct master *m)
{
	m->ready_fd = m->log_fd = -1;
	keep_init(&m->keep);
	shares_init(&m->shares);
	m->error_fd = 2;
	m->started_wall_s = clock_wall_s();
	list_init(&m->generations);
	list_init(&m->user_procs);
	map_init(&m->workers);
	map_init(&m->users);
	map_init(&m->sessions);
	limit_init(&m->limits);
	logs_init(&m->logs);
}

/* Also here: a logd that could not start has written no log. */
static void
tell_why(const struct master *m)
{
	const struct generation *g = m->now;

	(void)dprintf(m->error_fd, "restanted: %s\n",
	    g->why[0] != '\0' ? g->why : "a process did not start");
	(void)dprintf(m->error_fd,
	    "restanted: could not start, see the log (%s)\n", g->settings->log);
}

static int
run(struct master *m, struct settings *s)
{
	struct err e;

	if (start(m, s, &e) == -1) {
		(void)dprintf(m->error_fd, "restanted: %s\n", e.text);
		return 1;
	}
	ev_run(m->loop, 0);
	if (m->ready)
		remove_pid_file(m->now->settings);
	if (m->exit_status != 0 && !m->ready)
		tell_why(m);
	reload_done(m);
	shares_done(&m->shares);
	keep_done(&m->keep);
	listen_close_all(&m->listeners);
	logs_done(&m->logs);
	limit_done(&m->limits);
	return m->exit_status;
}

static const char *
absolute(const char *path)
{
	char *full = realpath(path, NULL);

	return full == NULL ? path : full;
}

static int
check_settings(const struct master *m, struct buf *problems)
{
	struct err e;
	int rc = settings_check(m->conf_path, m->conf_optional, problems, &e);

	(void)fprintf(stderr, "%.*s", STR_ARG(buf_str(problems)));
	if (rc == -1 && problems->n == 0)
		(void)fprintf(stderr, "restanted: %s\n", e.text);
	if (rc == 0)
		(void)printf("%s: the configuration is good\n", m->conf_path);
	buf_done(problems);
	return rc == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	static struct master m;
	struct settings *s;
	struct buf problems;
	struct err e;
	bool check_only = false;
	int c;

	hold_hup(true);
	init(&m);
	proc_title_init(argc, argv);
	log_set_process("restanted");
	m.conf_path = DEFAULT_CONF;
	m.conf_optional = true;
	while ((c = getopt(argc, argv, "Fc:tVh")) != -1) {
		switch (c) {
		case 'F':
			m.foreground = true;
			break;
		case 'c':
			m.conf_path = optarg;
			m.conf_optional = false;
			break;
		case 't':
			check_only = true;
			break;
		case 'V':
			(void)printf("restanted %s\n", PACKAGE_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	(void)umask(022);
	buf_init(&problems, (size_t)1024 * 1024);
	if (check_only)
		return check_settings(&m, &problems);
	if (settings_load(m.conf_path, m.conf_optional, &s, &problems, &e) ==
	    -1) {
		(void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&problems)));
		if (problems.n == 0)
			(void)fprintf(stderr, "restanted: %s\n", e.text);
		return 1;
	}
	buf_done(&problems);
	/* A daemon works in /, and reloads. */
	m.conf_path = absolute(m.conf_path);
	notify_init();
	if (listen_from_systemd(&m.listeners, &e) == -1) {
		(void)fprintf(stderr, "restanted: %s\n", e.text);
		return 1;
	}
	return run(&m, s);
}
