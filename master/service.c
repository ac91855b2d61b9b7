/* SPDX-License-Identifier: ISC */
/*
 * service.c - one service process.
 *
 * Owns:    its channel, its log feed, its watchers.
 * Runs in: master.
 * Trusts:  nothing a service says beyond what its table allows.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service.h"

#include "base/clock.h"
#include "base/log.h"
#include "generation.h"
#include "ipc/chan_child.h"
#include "ipc/chan_grant.h"
#include "ipc/chan_log.h"
#include "ipc/chan_login.h"
#include "ipc/chan_spool.h"
#include "ipc/child.h"
#include "os/exec_env.h"
#include "os/fd.h"
#include "os/proc.h"
#include "reload.h"
#include "session.h"
#include "spools.h"
#include "text/hex.h"
#include "worker.h"

#define START_PATIENCE_S 20
#define REOPEN_PAUSE_S 1

static const struct {
	const char *name;
	enum service_user user;
	bool stays_root;
} services[] = {
    [PROGRAM_LOGD] = {"logd", USER_LOG, false},
    [PROGRAM_SPAWNER] = {"spawner", USER_AUTH, true},
    [PROGRAM_AUTHD] = {"authd", USER_AUTH, false},
    [PROGRAM_KEYD] = {"keyd", USER_KEY, false},
    [PROGRAM_LOGIN] = {"login", USER_LOGIN, false},
    [PROGRAM_SPOOLD] = {"spoold", USER_SPOOL, false},
};

const char *
service_title(const struct service_proc *p)
{
	return services[p->program].name;
}

/*
 * Why it did not start, for the one who waits for the start or the reload.
 * Without logd master itself does not start; nobody waits for spoold.
 */
#define BLAME(p, ...)                                                          \
	do {                                                                   \
		if ((p)->g != NULL)                                            \
			generation_blame((p)->g, __VA_ARGS__);                 \
		else if ((p)->program == PROGRAM_LOGD)                         \
			generation_blame((p)->m->now, __VA_ARGS__);            \
	} while (0)

static struct settings *
settings_of(const struct service_proc *p)
{
	return p->g != NULL ? p->g->settings : p->m->now->settings;
}

/* ---- what comes from it ---- */

static void
set_timer(struct service_proc *p, double seconds)
{
	ev_timer_stop(p->m->loop, &p->timer);
	ev_timer_set(&p->timer, seconds, 0);
	ev_timer_start(p->m->loop, &p->timer);
}

static int
on_ready(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct service_proc *p = arg;

	if (child_empty_parse(&m->in, e) == -1)
		return -1;
	/* It was told to stop while it said so. */
	if (p->state == SERVICE_STOPPING)
		return 0;
	if (p->state != SERVICE_STARTING)
		return err_set(e, ERR_VIOLATION, "ready twice");
	ev_timer_stop(p->m->loop, &p->timer);
	p->state = SERVICE_RUNNING;
	if (p->asks_file)
		set_timer(p, REOPEN_PAUSE_S);
	p->asks_file = false;
	generation_service_changed(p, "");
	return 0;
}

static int
on_failed(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct service_proc *p = arg;
	struct str text;

	if (child_text_parse(&m->in, &text, e) == -1)
		return -1;
	log_error("%s can not start: %.*s", service_title(p), STR_ARG(text));
	BLAME(p, "%s can not start: %.*s", service_title(p), STR_ARG(text));
	return 0;
}

static int
on_grant(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct service_proc *p = arg;
	struct grant g;

	if (grant_parse(&m->in, &g, e) == -1)
		return -1;
	session_grant(p->g, &g, m->n_fds == 1 ? chan_take_fd(m, 0) : -1);
	return 0;
}

static int
on_need(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct service_proc *p = arg;
	struct login_need need;

	if (login_need_parse(&m->in, &need, e) == -1)
		return -1;
	worker_needed(p->g, &need);
	return 0;
}

static int
on_retired(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct service_proc *p = arg;

	if (login_retired_parse(&m->in, e) == -1)
		return -1;
	if (p->state != SERVICE_STOPPING)
		return err_set(e, ERR_VIOLATION, "retired, but not asked to");
	reload_spares_gone(p->g);
	return 0;
}

static int
on_cut(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct service_proc *p = arg;
	uint32_t pid;

	if (spool_cut_parse(&m->in, &pid, e) == -1)
		return -1;
	spools_cut(p->m, (pid_t)pid);
	return 0;
}

static int
on_reopen(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct service_proc *p = arg;

	if (log_reopen_parse(&m->in, e) == -1)
		return -1;
	/* A full disk would make this a busy loop. Before it is ready the
	 * timer waits for that. */
	if (p->state == SERVICE_STARTING)
		p->asks_file = true;
	else if (!ev_is_active(&p->timer))
		set_timer(p, REOPEN_PAUSE_S);
	return 0;
}

#define COMMON_ENTRIES                                                         \
	{CHILD_READY, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_ready},           \
	{                                                                      \
		CHILD_FAILED, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_failed    \
	}

static const struct chan_entry plain_entries[] = {COMMON_ENTRIES};
static const struct chan_entry spoold_entries[] = {
    COMMON_ENTRIES, {SPOOL_CUT, 0, CHAN_ANY_STATE, SPOOL_FRAME_MAX, on_cut}};
static const struct chan_entry logd_entries[] = {
    COMMON_ENTRIES, {LOG_REOPEN, 0, CHAN_ANY_STATE, LOG_FRAME_MAX, on_reopen}};
static const struct chan_entry authd_entries[] = {COMMON_ENTRIES,
    {GRANT, 0, CHAN_ANY_STATE, GRANT_FRAME_MAX, on_grant},
    {GRANT_HELD, 1, CHAN_ANY_STATE, GRANT_FRAME_MAX, on_grant}};
static const struct chan_entry login_entries[] = {COMMON_ENTRIES,
    {LOGIN_NEED, 0, CHAN_ANY_STATE, LOGIN_FRAME_MAX, on_need},
    {LOGIN_RETIRED, 0, CHAN_ANY_STATE, LOGIN_FRAME_MAX, on_retired}};

static void on_close(struct chan *c, const struct err *why, void *arg);

/* A grant with an auth child behind it: the handoff will find none. */
static int
on_lost(UNUSED struct chan *c, struct msg_in *in, void *arg, struct err *e)
{
	struct service_proc *p = arg;

	log_error("message of %s is lost type=%u reason=\"%s\"",
	    service_title(p), in->type, e->text);
	return 0;
}

#define DEF(title, table)                                                      \
	{                                                                      \
		.name = (title), .entries = (table),                           \
		.n_entries = ARRAY_LEN(table), .on_close = on_close,           \
		.on_lost = on_lost, .queue_max_bytes = (size_t)4 * 1024 * 1024 \
	}

static const struct chan_def defs[] = {
    [PROGRAM_LOGD] = DEF("logd", logd_entries),
    [PROGRAM_SPAWNER] = DEF("spawner", plain_entries),
    [PROGRAM_AUTHD] = DEF("authd", authd_entries),
    [PROGRAM_KEYD] = DEF("keyd", plain_entries),
    [PROGRAM_LOGIN] = DEF("login", login_entries),
    [PROGRAM_SPOOLD] = DEF("spoold", spoold_entries),
};

/* The channel is over; the process's exit decides what happens. */
static void
on_close(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct service_proc *p = arg;

	if (p->program == PROGRAM_LOGD)
		logs_set_logd(&p->m->logs, NULL);
	chan_free(&p->chan);
	if (why->code == ERR_CLOSED)
		return;
	p->m->n_violations++;
	log_error("%s pid=%d broke the protocol, killed: %s", service_title(p),
	    (int)p->pid, why->text);
	service_kill(p);
}

void
service_send(
    struct service_proc *p, const struct buf *b, const int *fds, size_t n_fds)
{
	struct err e;

	if (p->chan == NULL || chan_send(p->chan, b, fds, n_fds, &e) == 0)
		return;
	if (e.code == ERR_CLOSED)
		return;
	log_error("%s pid=%d does not take messages, killed: %s",
	    service_title(p), (int)p->pid, e.text);
	service_kill(p);
}

/* ---- what it is given ---- */

static int
send_file(struct service_proc *p, const char *role, uint32_t number,
    const char *path, int fd)
{
	struct child_file m = {
	    .role = str_of(role), .number = number, .path = str_of(path)};
	struct buf *b = chan_frame();

	child_file_write(&m, b);
	service_send(p, b, &fd, 1);
	return 0;
}

static bool
send_log_target(struct service_proc *p)
{
	const struct settings *s = settings_of(p);
	const char *role;
	struct err e;
	int fd = logs_open_target(s, &role, &e);

	if (fd == -1) {
		log_error("%s", e.text);
		if (!p->m->ready)
			(void)dprintf(
			    p->m->error_fd, "restanted: %s\n", e.text);
		return false;
	}
	(void)send_file(p, role, 0, s->log, fd);
	fd_close(&fd);
	return true;
}

/*
 * A file of the configuration, to be read by somebody else; -1 with the reason. A
 * FIFO would make us wait here, and its reader there, for whoever writes to it.
 */
static int
open_file(const char *what, const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		(void)err_sys(e, "open the %s %s", what, path);
	else if (!S_ISREG(st.st_mode))
		(void)err_set(e, ERR_OTHER,
		    "open the %s %s: it is not a regular file", what, path);
	else
		return fd;
	fd_close(&fd);
	return -1;
}

static int
send_keys(struct service_proc *p, struct err *e)
{
	const struct settings *s = settings_of(p);

	for (size_t i = 0; i < s->certs.n; i++) {
		const char *path = s->certs.v[i].key;
		int fd = open_file("private key", path, e);

		if (fd == -1)
			return -1;
		(void)send_file(p, "key", (uint32_t)i, path, fd);
		fd_close(&fd);
	}
	return 0;
}

static int
send_cert(struct service_proc *p, uint32_t number,
    const struct setting_cert *cert, struct err *e)
{
	struct login_cert m = {.number = number, .path = str_of(cert->cert)};
	struct buf *b = chan_frame();
	int fds[2] = {-1, -1};
	struct err why;

	fds[0] = open_file("certificate", cert->cert, e);
	if (fds[0] == -1)
		return -1;
	if (cert->ocsp != NULL && cert->ocsp[0] != '\0') {
		fds[1] = open_file("OCSP response", cert->ocsp, &why);
		/* Only stapling is lost. */
		if (fds[1] == -1)
			log_warn("%s", why.text);
	}
	m.ocsp = fds[1] != -1;
	login_cert_write(&m, b);
	service_send(p, b, fds, m.ocsp ? 2 : 1);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	return 0;
}

static int
send_login(struct service_proc *p, struct err *e)
{
	const struct settings *s = settings_of(p);
	struct master *m = p->m;
	struct buf *b;

	VEC_EACH(&m->listeners.v, l) {
		struct login_listener msg = {
		    .service =
			l->service == SERVICE_IMAP ? LOGIN_IMAP : LOGIN_POP3,
		    .tls = l->tls,
		    .proxy = s->proxy,
		    .name = str_of(l->name)};

		if (!l->wanted || (l->tls && s->certs.n == 0))
			continue;
		b = chan_frame();
		login_listener_write(&msg, b);
		service_send(p, b, &l->fd, 1);
	}
	for (size_t i = 0; i < s->certs.n; i++)
		if (send_cert(p, (uint32_t)i, &s->certs.v[i], e) == -1)
			return -1;
	if (s->certs.n > 0) {
		b = chan_frame();
		login_tickets_write(
		    str_make(m->ticket_key, sizeof(m->ticket_key)), b);
		service_send(p, b, NULL, 0);
		buf_wipe(b);
	}
	return 0;
}

/* Without it the new authd begins with nobody to delay. */
static void
send_penalty(struct service_proc *p)
{
	struct err e;
	int fd = keep_penalty_fd(&p->m->keep, &e);

	if (fd == -1)
		log_error("%s", e.text);
	else
		(void)send_file(p, "penalty", 0, "penalty", fd);
}

/* A new channel between authd and its spawner, when both are there. */
static int
join_auth(struct generation *g, struct err *e)
{
	struct child_peer to_authd = {.kind = CHILD_KIND_SPAWNER};
	struct child_peer to_spawner = {.kind = CHILD_KIND_AUTHD};
	struct buf *b;
	int fds[2];

	if (g->authd.chan == NULL || g->spawner.chan == NULL)
		return 0;
	if (fd_pair(fds, e) == -1)
		return -1;
	b = chan_frame();
	child_peer_write(&to_spawner, b);
	service_send(&g->spawner, b, &fds[1], 1);
	b = chan_frame();
	child_peer_write(&to_authd, b);
	service_send(&g->authd, b, &fds[0], 1);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	return 0;
}

/* A spool that is not there (yet) stops nobody: no mail is locked in it. */
static void
send_spool(struct service_proc *p)
{
	const struct settings *s = settings_of(p);
	int fd = open(s->spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1) {
		log_warn(
		    "open spool_dir %s: %s", s->spool_dir, strerror(errno));
		return;
	}
	(void)send_file(p, "spool", 0, s->spool_dir, fd);
	fd_close(&fd);
}

static int
send_setup(struct service_proc *p, struct err *e)
{
	struct buf *b;
	int rc = 0;

	switch (p->program) {
	case PROGRAM_LOGD:
		(void)send_log_target(p);
		logs_set_logd(&p->m->logs, p->chan);
		break;
	case PROGRAM_AUTHD:
		send_penalty(p);
		rc = join_auth(p->g, e);
		break;
	case PROGRAM_SPAWNER:
		rc = join_auth(p->g, e);
		break;
	case PROGRAM_KEYD:
		rc = send_keys(p, e);
		break;
	case PROGRAM_LOGIN:
		rc = send_login(p, e);
		break;
	case PROGRAM_SPOOLD:
		send_spool(p);
		break;
	case PROGRAM_IMAPD:
	case PROGRAM_POP3D:
		break;
	}
	if (rc == -1)
		return -1;
	b = chan_frame();
	child_go_write(b);
	service_send(p, b, NULL, 0);
	return 0;
}

static void
add_id(struct buf *b, const char *prefix, const struct priv_id *id)
{
	buf_addf(b, "%s_uid = %u\n%s_gid = %u\n", prefix, (unsigned)id->sysuid,
	    prefix, (unsigned)id->sysgid);
}

static int
settings_file(const struct service_proc *p, struct err *e)
{
	const struct settings *s = settings_of(p);
	struct buf b;
	int fd;

	buf_init(&b, CHILD_SETTINGS_MAX);
	buf_add_c(&b, s->plain[p->program]);
	if (s->privileged && !services[p->program].stays_root) {
		add_id(&b, "self", &s->users[services[p->program].user]);
		buf_addf(&b, "self_root = %s/empty\n", s->run_dir);
	}
	if (s->privileged && p->program == PROGRAM_SPAWNER)
		add_id(&b, "pass", &s->users[USER_PASS]);
	if (p->program == PROGRAM_SPAWNER) {
		buf_add_c(&b, "salt_key = ");
		(void)hex_encode(&b, keep_salt(&p->m->keep, s->state_dir));
		buf_add_c(&b, "\n");
	}
	if (p->program == PROGRAM_SPAWNER || p->program == PROGRAM_AUTHD)
		buf_addf(&b, "role = %s\n",
		    p->program == PROGRAM_SPAWNER ? "spawner" : "broker");
	if (p->program == PROGRAM_LOGIN)
		buf_addf(&b, "tls_on = %s\n", s->certs.n > 0 ? "yes" : "no");
	if (buf_is_over(&b)) {
		buf_done(&b);
		return err_set(e, ERR_LIMIT, "the settings are too long");
	}
	fd = fd_memfile("settings", buf_str(&b), e);
	buf_wipe(&b);
	buf_done(&b);
	return fd;
}

static bool
is_of_users(enum program program)
{
	return program == PROGRAM_IMAPD || program == PROGRAM_POP3D;
}

const char *const *
service_environment(enum program program)
{
	static char zone[300], nettle[EXEC_ENV_BYTES];
	static bool has_nettle, is_known;
	/* Without the per-thread cache freed memory goes back in whole pages:
	 * 35 KiB less for each idle mail process. */
	static const char *env[11] = {"PATH=/usr/bin:/bin", "LANG=C",
	    "GLIBC_TUNABLES=glibc.malloc.tcache_count=0", proc_title_room};
	const char *tz = getenv("TZ");
	size_t n = 4;

	if (!is_known) {
		has_nettle = exec_env_nettle(nettle, sizeof(nettle));
		is_known = true;
	}
	/* Once for each user: what every one would find out anew. */
	if (has_nettle && is_of_users(program))
		env[n++] = nettle;
	/* Then its workers can do without the tables (login/lean.c). */
	if (program == PROGRAM_LOGIN)
		env[n++] = "LD_BIND_NOW=1";
	if (tz != NULL && strlen(tz) + 4 <= sizeof(zone)) {
		(void)snprintf(zone, sizeof(zone), "TZ=%s", tz);
		env[n++] = zone;
	}
#ifdef RESTANTE_SANITIZE
	static char options[2][300];
	static const char *const names[2] = {"ASAN_OPTIONS", "UBSAN_OPTIONS"};

	for (int i = 0; i < 2; i++)
		if (getenv(names[i]) != NULL) {
			(void)snprintf(options[i], sizeof(options[i]), "%s=%s",
			    names[i], getenv(names[i]));
			env[n++] = options[i];
		}
#endif
	env[n] = NULL;
	return env;
}

/* ---- start and end ---- */

static void
forget_process(struct service_proc *p)
{
	ev_child_stop(p->m->loop, &p->child);
	ev_timer_stop(p->m->loop, &p->timer);
	if (p->chan != NULL && p->program == PROGRAM_LOGD)
		logs_set_logd(&p->m->logs, NULL);
	chan_free(&p->chan);
	logs_end(&p->m->logs, &p->feed);
	p->pid = 0;
}

static void
on_exit_seen(UNUSED struct ev_loop *loop, ev_child *w, UNUSED int events)
{
	struct service_proc *p = w->data;
	char room[PROC_EXIT_TEXT_MAX];
	const char *text = proc_exit_text(w->rstatus, room, sizeof(room));
	bool expected = p->state == SERVICE_STOPPING;
	pid_t pid = p->pid;

	/* From now on the pid is nobody's. */
	ev_child_stop(p->m->loop, &p->child);
	/* Its last words say why. */
	if (p->chan != NULL)
		chan_read_now(p->chan);
	if (clock_mono_ms() - p->started_ms > 60000)
		p->failures = 0;
	if (!expected) {
		p->failures++;
		p->m->n_crashes++;
	}
	forget_process(p);
	p->state = SERVICE_DOWN;
	if (!expected && !p->given_up) {
		log_error("%s ended pid=%d status=\"%s\"", service_title(p),
		    (int)pid, text);
		BLAME(p, "%s ended: %s", service_title(p), text);
	}
	p->given_up = false;
	generation_service_changed(p, text);
}

static void
on_timer(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct service_proc *p = w->data;
	struct err e;

	switch (p->state) {
	case SERVICE_DOWN:
		if (service_start(p, &e) == -1) {
			log_error("%s", e.text);
			p->failures++;
			generation_service_changed(p, e.text);
		}
		break;
	case SERVICE_STARTING:
		log_error("%s pid=%d is not ready after %d s, killed",
		    service_title(p), (int)p->pid, START_PATIENCE_S);
		service_kill(p);
		break;
	case SERVICE_RUNNING:
		/* logd asks once: what can not be opened yet is tried again. */
		if (p->program == PROGRAM_LOGD && !send_log_target(p))
			set_timer(p, REOPEN_PAUSE_S);
		break;
	case SERVICE_STOPPING:
		log_warn("%s pid=%d does not end, killed", service_title(p),
		    (int)p->pid);
		service_kill(p);
		break;
	}
}

void
service_init(struct service_proc *p, struct master *m, struct generation *g,
    enum program program, uint32_t index)
{
	*p = (struct service_proc){
	    .m = m, .g = g, .program = program, .index = index};
	ev_child_init(&p->child, on_exit_seen, 0, 0);
	ev_timer_init(&p->timer, on_timer, 0, 0);
	p->child.data = p->timer.data = p;
}

static int
spawn(struct service_proc *p, int chan_fd, int log_fd, struct err *e)
{
	int settings_fd = settings_file(p, e);
	int fds[] = {-1, -1, 2, chan_fd, log_fd, settings_fd};
	const struct settings *s = settings_of(p);
	struct proc_start start = {.path = s->programs[p->program],
	    .name = services[p->program].name,
	    .env = service_environment(p->program),
	    .fds = fds,
	    .n_fds = ARRAY_LEN(fds),
	    .new_session = true};
	int rc;

	if (settings_fd == -1)
		return -1;
	rc = proc_spawn(&start, &p->pid, e);
	fd_close(&settings_fd);
	return rc;
}

int
service_start(struct service_proc *p, struct err *e)
{
	int pair[2] = {-1, -1}, log_fd = -1;

	if (fd_pair(pair, e) == -1)
		return -1;
	p->feed = logs_new(&p->m->logs, services[p->program].name, &log_fd, e);
	if (p->feed == NULL)
		goto fail;
	if (spawn(p, pair[1], log_fd, e) == -1)
		goto fail;
	fd_close(&pair[1]);
	fd_close(&log_fd);
	p->started_ms = clock_mono_ms();
	p->state = SERVICE_STARTING;
	p->asks_file = false;
	p->chan = chan_new(p->m->loop, pair[0], &defs[p->program], p);
	/* Login workers write to their parent's log channel. */
	logs_begin(
	    &p->m->logs, p->feed, p->program == PROGRAM_LOGIN ? 0 : p->pid);
	ev_child_set(&p->child, p->pid, 0);
	ev_child_start(p->m->loop, &p->child);
	set_timer(p, START_PATIENCE_S);
	if (send_setup(p, e) == -1) {
		/* Its exit is seen later and ends the attempt. */
		log_error("%s can not start: %s", service_title(p), e->text);
		BLAME(p, "%s can not start: %s", service_title(p), e->text);
		p->given_up = true;
		service_kill(p);
	}
	return 0;
fail:
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd_close(&log_fd);
	logs_end(&p->m->logs, &p->feed);
	return -1;
}

void
service_start_later(struct service_proc *p, int64_t delay_ms)
{
	set_timer(p, (double)delay_ms / 1000);
}

void
service_stop(struct service_proc *p, const char *why, unsigned patience_s)
{
	struct buf *b;

	if (p->state == SERVICE_DOWN) {
		ev_timer_stop(p->m->loop, &p->timer);
		return;
	}
	if (p->state == SERVICE_STOPPING)
		return;
	p->state = SERVICE_STOPPING;
	b = chan_frame();
	child_stop_write(str_of(why), b);
	service_send(p, b, NULL, 0);
	set_timer(p, patience_s);
}

void
service_kill(struct service_proc *p)
{
	if (p->pid > 0 && ev_is_active(&p->child))
		(void)kill(p->pid, SIGKILL);
}

void
service_done(struct service_proc *p)
{
	forget_process(p);
	p->state = SERVICE_DOWN;
}
