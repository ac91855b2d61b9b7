/* SPDX-License-Identifier: ISC */
/*
 * control.c - answers the control tool.
 *
 * Owns:    the listening socket, the connections of tools.
 * Runs in: master.
 * Trusts:  the kernel for who asks (SO_PEERCRED), nothing in the request.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "config.h"
#include "generation.h"
#include "grants.h"
#include "ipc/chan_ctl.h"
#include "lookup.h"
#include "os/fd.h"
#include "reload.h"
#include "service.h"
#include "session.h"
#include "spools.h"
#include "users.h"

#define CLIENTS_MAX 32
/* Of one user who is no administrator, and of all of them. */
#define OTHERS_OF_ONE_MAX 6
#define OTHERS_MAX 24
/* When there are no descriptors: the queue keeps for so long who comes. */
#define ACCEPT_PAUSE_S 1

struct client {
	struct list link;
	struct master *m;
	struct chan *chan;
	struct ucred who;
	struct lookup *lookup; /* a shell's, or NULL */
	enum service shell_service;
	/* For the one under way, or the one that will follow it. */
	enum { WAITS_NOT, WAITS_FOR_THIS, WAITS_FOR_NEXT } reload;
};

struct control {
	struct master *m;
	int fd;
	ev_io accept;
	ev_timer pause;
	struct list clients;
	unsigned n_clients;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static bool
is_admin_uid(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static bool
is_admin(const struct client *c)
{
	return is_admin_uid(c->who.uid);
}

static void
client_free(struct client *c)
{
	struct control *ctl = c->m->control;

	list_remove(&c->link);
	lookup_free(&c->lookup);
	chan_free(&c->chan);
	ctl->n_clients--;
	free(c);
}

static void send_end(struct client *c, bool ok, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void
send_end(struct client *c, bool ok, const char *fmt, ...)
{
	char text[400];
	struct ctl_end m = {.ok = ok};
	struct buf *b = chan_frame();
	struct err e;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m.text = str_of(text);
	ctl_end_write(&m, b);
	(void)chan_send(c->chan, b, NULL, 0, &e);
}

/* ---- rows ---- */

/* A row while it is put together; numbers are written into `room`. */
struct row {
	struct ctl_row m;
	char room[CTL_FIELDS_MAX][24];
};

static void
add_text(struct row *r, const char *name, const char *value)
{
	r->m.fields[r->m.n_fields++] = (struct ctl_value){
	    .name = str_of(name), .value = str_of(value == NULL ? "" : value)};
}

static void
add_number(struct row *r, const char *name, uint64_t value)
{
	char *room = r->room[r->m.n_fields];

	(void)snprintf(
	    room, sizeof(r->room[0]), "%llu", (unsigned long long)value);
	r->m.fields[r->m.n_fields++] = (struct ctl_value){
	    .name = str_of(name), .value = str_of(room), .is_number = true};
}

static void
send_row(struct client *c, const struct row *r)
{
	struct buf *b = chan_frame();
	struct err e;

	ctl_row_write(&r->m, b);
	(void)chan_send(c->chan, b, NULL, 0, &e);
}

/* ---- who, kick ---- */

static bool
matches(const struct session *s, const struct ctl_request *r)
{
	struct str user = ctl_arg(r, STR("user"));
	struct str service = ctl_arg(r, STR("service"));
	struct str ip = ctl_arg(r, STR("ip"));
	struct str number = ctl_arg(r, STR("session"));
	uint64_t n;

	if (user.n > 0 && !str_eq(user, str_of(s->proc->user)))
		return false;
	if (service.n > 0 && !str_eq(service, str_of(service_name(s->service))))
		return false;
	if (ip.n > 0 && !str_eq(ip, str_of(s->remote_ip)))
		return false;
	if (number.n > 0 &&
	    (!num_parse_u64(number, 1, UINT64_MAX, &n) || n != s->number))
		return false;
	return true;
}

static bool
may_see(const struct client *c, const struct session *s)
{
	return is_admin(c) || c->who.uid == s->proc->sysuid;
}

static void
send_session(struct client *c, const struct session *s)
{
	struct row r = {0};

	add_number(&r, "session", s->number);
	add_text(&r, "user", s->proc->user);
	add_text(&r, "service", service_name(s->service));
	add_text(&r, "remote_ip", s->remote_ip);
	add_number(&r, "remote_port", s->remote_port);
	add_text(&r, "local_ip", s->local_ip);
	add_number(&r, "local_port", s->local_port);
	add_number(&r, "pid", (uint64_t)s->proc->pid);
	add_number(&r, "since", (uint64_t)s->begun_wall_s);
	add_text(&r, "state", s->text);
	send_row(c, &r);
}

static void
do_who(struct client *c, const struct ctl_request *r)
{
	struct master *m = c->m;
	unsigned n = 0;

	LIST_EACH(&m->user_procs, pit) {
		struct user_proc *p = LIST_OF(pit, struct user_proc, link);

		LIST_EACH(&p->sessions, it) {
			struct session *s = LIST_OF(it, struct session, link);

			if (s->state == SESSION_IS_TAKEN && matches(s, r) &&
			    may_see(c, s)) {
				send_session(c, s);
				n++;
			}
		}
	}
	send_end(c, true, "%u session%s", n, n == 1 ? "" : "s");
}

static void
do_kick(struct client *c, const struct ctl_request *r)
{
	struct master *m = c->m;
	unsigned n = 0;

	if (r->n_args == 0) {
		send_end(c, false, "say whom: user, session, service or ip");
		return;
	}
	LIST_EACH(&m->user_procs, pit) {
		struct user_proc *p = LIST_OF(pit, struct user_proc, link);

		LIST_EACH(&p->sessions, it) {
			struct session *s = LIST_OF(it, struct session, link);

			if (s->state == SESSION_IS_TAKEN && matches(s, r)) {
				users_kick(p, s->number,
				    "Session ended by the administrator.");
				n++;
			}
		}
	}
	if (n == 0)
		send_end(c, false, "there is no such session, none has ended");
	else
		send_end(
		    c, true, "%u session%s told to end", n, n == 1 ? "" : "s");
}

/* ---- status ---- */

static void
send_service(struct service_proc *p, void *arg)
{
	static const char *const states[] = {[SERVICE_DOWN] = "down",
	    [SERVICE_STARTING] = "starting",
	    [SERVICE_RUNNING] = "running",
	    [SERVICE_STOPPING] = "stopping"};
	struct client *c = arg;
	struct row r = {0};

	add_text(&r, "kind", "process");
	add_text(&r, "name", service_title(p));
	add_number(&r, "pid", (uint64_t)p->pid);
	add_text(&r, "state", states[p->state]);
	add_number(&r, "running_s",
	    p->state == SERVICE_DOWN
		? 0
		: (uint64_t)(clock_mono_ms() - p->started_ms) / 1000);
	add_number(&r, "failures", p->failures);
	send_row(c, &r);
}

static void
send_server(struct client *c)
{
	struct master *m = c->m;
	struct row r = {0};
	uint64_t processes = 0;

	LIST_EACH(&m->user_procs, it)
		processes++;
	add_text(&r, "kind", "server");
	add_text(&r, "version", PACKAGE_VERSION);
	add_number(&r, "pid", (uint64_t)getpid());
	add_number(&r, "since", (uint64_t)m->started_wall_s);
	add_text(&r, "configuration", m->conf_path);
	add_number(&r, "sessions", m->limits.total);
	add_number(&r, "sessions_max", m->now->settings->max_connections);
	add_number(&r, "user_processes", processes);
	add_number(&r, "login_workers", m->now->n_workers);
	add_number(&r, "login_spare", m->now->spare);
	add_number(&r, "login_serving", m->now->serving);
	add_number(&r, "sessions_begun", m->n_sessions_begun);
	add_number(&r, "handoffs_refused", m->n_handoffs_refused);
	add_number(&r, "violations", m->n_violations);
	add_number(&r, "crashes", m->n_crashes);
	send_row(c, &r);
}

static void
send_listeners(struct client *c)
{
	VEC_EACH(&c->m->listeners.v, l) {
		struct row r = {0};

		add_text(&r, "kind", "listener");
		add_text(&r, "name", l->name);
		add_text(&r, "address", l->address);
		add_number(&r, "port", l->port);
		send_row(c, &r);
	}
}

static void
do_status(struct client *c, UNUSED const struct ctl_request *r)
{
	struct master *m = c->m;

	if (m->now == NULL) {
		send_end(c, false, "the server is not ready");
		return;
	}
	send_server(c);
	send_listeners(c);
	send_service(&m->logd, c);
	if (m->now->settings->spool_dir[0] != '\0')
		send_service(&m->spoold, c);
	LIST_EACH(&m->generations, it)
		generation_each(
		    LIST_OF(it, struct generation, link), send_service, c);
	send_end(c, true, "running");
}

static void
do_reload(struct client *c, UNUSED const struct ctl_request *r)
{
	if (c->m->stopping) {
		send_end(c, false, "stopping");
		return;
	}
	/* What is under way may have read an older configuration. */
	c->reload = reload_is_under_way(c->m) ? WAITS_FOR_NEXT : WAITS_FOR_THIS;
	reload_begin(c->m, "asked for by restantectl");
}

static void
do_stop(struct client *c, UNUSED const struct ctl_request *r)
{
	send_end(c, true, "stopping");
	master_stop(c->m, 0);
}

/* ---- an imapd or pop3d from a shell ---- */

/* Settings, and a channel to spoold (closed at its other end when there is none). */
static void
send_settings(struct client *c, const struct grant_entry *g)
{
	int fds[2] = {-1, -1}, closed[2];
	struct buf *b, shares;
	struct err e;

	buf_init(&shares, SHARES_MAX);
	users_shares(c->m->now, g, &shares);
	fds[0] = users_settings(c->m->now->settings, g, buf_str(&shares), &e);
	buf_done(&shares);
	if (fds[0] == -1) {
		log_error(
		    "settings for a shell user=<%s>: %s", g->user, e.text);
		send_end(c, false, "%s", e.text);
		return;
	}
	fds[1] =
	    spools_channel(c->m, c->who.pid, g->sysuid, g->sysgid, g->user);
	if (fds[1] == -1 && fd_pair(closed, &e) == 0) {
		fds[1] = closed[0];
		fd_close(&closed[1]);
	}
	if (fds[1] != -1) {
		b = chan_frame();
		ctl_settings_write(b);
		(void)chan_send(c->chan, b, fds, 2, &e);
		send_end(c, true, "%s", g->user);
	} else {
		send_end(c, false, "%s", e.text);
	}
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

static void
on_account(void *arg, const struct lookup_account *a)
{
	struct client *c = arg;
	struct grant_entry entry = {.service = c->shell_service,
	    .sysuid = c->who.uid,
	    .mail_location = (char[]){""},
	    .extra = (char[]){""}};
	struct grant g = {.service = str_of(service_name(c->shell_service)),
	    .sysuid = c->who.uid};
	struct err e;

	c->lookup = NULL;
	if (a == NULL) {
		send_end(
		    c, false, "uid %u is no account", (unsigned)c->who.uid);
		return;
	}
	g.user = a->name;
	g.home = a->home;
	g.sysgid = entry.sysgid = a->sysgid;
	if (grants_judge(&g, c->m->now->settings, &e) == -1) {
		send_end(c, false, "%s", e.text);
		return;
	}
	entry.user = str_to_heap(a->name);
	entry.home = str_to_heap(a->home);
	send_settings(c, &entry);
	free(entry.user);
	free(entry.home);
}

/*
 * The kernel says which uid asks; whose name that is, the system's accounts
 * say. (Master without root is that user, and believes him every name.)
 */
static void
do_settings(struct client *c, const struct ctl_request *r)
{
	const struct settings *s = c->m->now->settings;
	struct str user = ctl_arg(r, STR("user"));
	struct lookup_account own = {.name = user, .sysgid = c->who.gid};
	struct err e;

	if (!service_find(ctl_arg(r, STR("service")), &c->shell_service)) {
		send_end(c, false, "unknown service");
	} else if (c->lookup != NULL) {
		send_end(c, false, "one at a time");
	} else if (!s->privileged && c->who.uid != geteuid()) {
		send_end(c, false, "this server runs for uid %u alone",
		    (unsigned)geteuid());
	} else if (!s->privileged && user.n > 0) {
		on_account(c, &own);
	} else {
		c->lookup = lookup_uid(c->m, c->who.uid, on_account, c, &e);
		if (c->lookup == NULL)
			send_end(c, false, "%s", e.text);
	}
}

static const struct {
	const char *verb;
	void (*fn)(struct client *c, const struct ctl_request *r);
	bool for_all;
} verbs[] = {
    {"who", do_who, true},
    {"kick", do_kick, false},
    {"status", do_status, false},
    {"reload", do_reload, false},
    {"stop", do_stop, false},
    {"settings", do_settings, true},
};

static int
on_request(
    UNUSED struct chan *chan, struct chan_msg *m, void *arg, struct err *e)
{
	struct client *c = arg;
	struct ctl_request r;

	if (ctl_request_parse(&m->in, &r, e) == -1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!str_eq(r.verb, str_of(verbs[i].verb)))
			continue;
		if (verbs[i].for_all || is_admin(c))
			verbs[i].fn(c, &r);
		else
			send_end(c, false, "only for the administrator");
		return 0;
	}
	send_end(c, false, "unknown request");
	return 0;
}

static void
on_close(UNUSED struct chan *chan, UNUSED const struct err *why, void *arg)
{
	client_free(arg);
}

static const struct chan_entry entries[] = {
    {CTL_REQUEST, 0, CHAN_ANY_STATE, CTL_FRAME_MAX, on_request}};
static const struct chan_def def = {.name = "control tool",
    .entries = entries,
    .n_entries = ARRAY_LEN(entries),
    .on_close = on_close,
    .queue_max_bytes = (size_t)16 * 1024 * 1024};

void
control_reload_ended(struct master *m, bool ok, const char *text)
{
	if (m->control == NULL)
		return;
	LIST_EACH(&m->control->clients, it) {
		struct client *c = LIST_OF(it, struct client, link);

		if (c->reload == WAITS_FOR_THIS)
			send_end(c, ok, "%s", text);
		c->reload =
		    c->reload == WAITS_FOR_NEXT ? WAITS_FOR_THIS : WAITS_NOT;
	}
}

/* ---- the socket ---- */

static void
on_pause(struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct control *ctl = w->data;

	ev_timer_stop(loop, w);
	ev_io_start(loop, &ctl->accept);
}

/* Nobody else can keep the administrator out. */
static bool
has_room(const struct control *ctl, uid_t uid)
{
	unsigned others = 0, own = 0;

	if (ctl->n_clients >= CLIENTS_MAX)
		return false;
	if (is_admin_uid(uid))
		return true;
	LIST_EACH(&ctl->clients, it) {
		const struct client *c = LIST_OF(it, struct client, link);

		others += !is_admin(c);
		own += c->who.uid == uid;
	}
	return others < OTHERS_MAX && own < OTHERS_OF_ONE_MAX;
}

static void
on_accept(struct ev_loop *loop, ev_io *w, UNUSED int events)
{
	struct control *ctl = w->data;
	struct ucred who;
	socklen_t n = sizeof(who);
	struct client *c;
	int fd = accept4(ctl->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd == -1) {
		if (errno != EAGAIN && errno != EINTR &&
		    errno != ECONNABORTED) {
			ev_io_stop(loop, w);
			ev_timer_set(&ctl->pause, ACCEPT_PAUSE_S, 0);
			ev_timer_start(loop, &ctl->pause);
		}
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == -1 ||
	    !has_room(ctl, who.uid)) {
		fd_close(&fd);
		return;
	}
	c = mem_new(1, sizeof(*c));
	c->m = ctl->m;
	c->who = who;
	list_append(&ctl->clients, &c->link);
	ctl->n_clients++;
	c->chan = chan_new(ctl->m->loop, fd, &def, c);
}

/* True when somebody answers there already. */
static bool
is_taken(const struct sockaddr_un *a)
{
	int fd =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool taken;

	if (fd == -1)
		return false;
	/* EAGAIN: one that is held up, with a full queue. */
	taken = connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 ||
	    errno == EAGAIN;
	fd_close(&fd);
	return taken;
}

int
control_open(struct master *m, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct control *ctl;
	int n, fd;

	n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s",
	    m->now->settings->run_dir, CTL_CONTROL_SOCKET);
	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return err_set(e, ERR_LIMIT,
		    "run_dir: the path of the control socket is too long");
	if (is_taken(&a))
		return err_set(e, ERR_IN_USE, "another restanted uses %s",
		    m->now->settings->run_dir);
	(void)unlink(a.sun_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_sys(e, "socket");
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 ||
	    chmod(a.sun_path, 0666) == -1 || listen(fd, 16) == -1) {
		err_sys(e, "bind %s", a.sun_path);
		fd_close(&fd);
		return -1;
	}
	ctl = mem_new(1, sizeof(*ctl));
	ctl->m = m;
	ctl->fd = fd;
	memcpy(ctl->path, a.sun_path, sizeof(ctl->path));
	list_init(&ctl->clients);
	ev_io_init(&ctl->accept, on_accept, fd, EV_READ);
	ev_timer_init(&ctl->pause, on_pause, 0, 0);
	ctl->accept.data = ctl->pause.data = ctl;
	ev_io_start(m->loop, &ctl->accept);
	m->control = ctl;
	return 0;
}

void
control_close(struct master *m)
{
	struct control *ctl = m->control;

	if (ctl == NULL)
		return;
	LIST_EACH(&ctl->clients, it)
		client_free(LIST_OF(it, struct client, link));
	ev_io_stop(m->loop, &ctl->accept);
	ev_timer_stop(m->loop, &ctl->pause);
	fd_close(&ctl->fd);
	(void)unlink(ctl->path);
	free(ctl);
	m->control = NULL;
}
