/* SPDX-License-Identifier: ISC */
/*
 * users.c - the users' imapd and pop3d processes.
 *
 * Owns:    struct user_proc: channel, log feed, watchers, the holder's channel.
 * Runs in: master.
 * Trusts:  nothing a process says about anybody but its own sessions.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "users.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "grants.h"
#include "ipc/chan_session.h"
#include "ipc/chan_try.h"
#include "ipc/child.h"
#include "os/fd.h"
#include "os/proc.h"
#include "service.h"
#include "session.h"
#include "spools.h"
#include "os/user_dir.h"

#define LEAVE_PATIENCE_S 60
#define PATH_BYTES 4096

static enum program
program_of(enum service s)
{
	return s == SERVICE_IMAP ? PROGRAM_IMAPD : PROGRAM_POP3D;
}

static const char *
program_name(enum service s)
{
	return s == SERVICE_IMAP ? "imapd" : "pop3d";
}

/* ---- end ---- */

static void
leave_map(struct user_proc *p)
{
	if (p->in_map)
		(void)map_remove(
		    &p->m->users, str_make(p->identity, p->identity_n));
	p->in_map = false;
}

static void
free_if_gone(struct user_proc *p)
{
	struct master *m = p->m;

	if (p->chan != NULL || p->holder != NULL || p->pid != 0)
		return;
	leave_map(p);
	ev_child_stop(m->loop, &p->child);
	ev_timer_stop(m->loop, &p->timer);
	fd_close(&p->spool_fd);
	fd_close(&p->pidfd);
	logs_end(&m->logs, &p->feed);
	list_remove(&p->link);
	free(p->identity);
	free(p->user);
	free(p);
	master_stop_step(m);
}

static void
drop_sessions(struct user_proc *p)
{
	LIST_EACH(&p->sessions, it)
		session_process_gone(LIST_OF(it, struct session, link));
}

/* No session can come or go any more; the exit is awaited. */
static void
close_channel(struct user_proc *p)
{
	leave_map(p);
	drop_sessions(p);
	chan_free(&p->chan);
	if (!ev_is_active(&p->timer)) {
		ev_timer_set(&p->timer, LEAVE_PATIENCE_S, 0);
		ev_timer_start(p->m->loop, &p->timer);
	}
}

/*
 * The holder's channel came from authd, which could hold it itself and name any
 * number. It can not open a descriptor of a process; of those at the other end
 * of its channels it can get one (is_of_master()).
 */
static void
send_kill(struct user_proc *p)
{
	if (p->pid <= 0 || p->has_ended)
		return;
	if (!p->is_held)
		(void)kill(p->pid, SIGKILL);
	else if (p->pidfd == -1 ||
	    syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0) == -1)
		log_warn("process of a PAM session can not be ended pid=%d "
			 "user=<%s>",
		    (int)p->pid, p->user);
}

static void
kill_process(struct user_proc *p)
{
	send_kill(p);
	/* A holder ends its process when its channel closes. */
	chan_free(&p->holder);
	if (p->holder == NULL && !ev_is_active(&p->child))
		p->pid = 0;
}

static void
on_timer(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct user_proc *p = w->data;

	log_warn("%s pid=%d user=<%s> does not end, killed",
	    program_name(p->service), (int)p->pid, p->user);
	if (p->chan != NULL)
		close_channel(p);
	kill_process(p);
	free_if_gone(p);
}

static void
process_ended(struct user_proc *p, int status)
{
	char room[PROC_EXIT_TEXT_MAX];
	const char *text = proc_exit_text(status, room, sizeof(room));
	unsigned long n = p->n_sessions;

	if (status != 0 && !p->told_to_stop) {
		p->m->n_crashes++;
		limit_crashed(&p->m->limits,
		    str_make(p->identity, p->identity_n), clock_mono_ms());
		log_error(
		    "%s ended pid=%d user=<%s> status=\"%s\" sessions=%lu",
		    program_name(p->service), (int)p->pid, p->user, text, n);
	} else if (n > 0 && !p->told_to_stop) {
		log_error("%s left its sessions pid=%d user=<%s> sessions=%lu",
		    program_name(p->service), (int)p->pid, p->user, n);
	}
	p->pid = 0;
	leave_map(p);
	drop_sessions(p);
	chan_free(&p->chan);
}

static void
on_exit_seen(UNUSED struct ev_loop *loop, ev_child *w, UNUSED int events)
{
	struct user_proc *p = w->data;

	/*
	 * Sessions that it has ended are not lost. When what it has said last
	 * is nonsense, that alone does not free it: its pid is kept so long.
	 */
	p->has_ended = true;
	if (p->chan != NULL)
		chan_read_now(p->chan);
	ev_child_stop(p->m->loop, &p->child);
	process_ended(p, w->rstatus);
	free_if_gone(p);
}

/* ---- what the process says ---- */

static struct session *
own_session(struct user_proc *p, uint64_t number, struct err *e)
{
	struct session *s = session_find(p->m, number);

	if (s != NULL && s->proc == p)
		return s;
	err_set(e, ERR_VIOLATION, "speaks of a session that is not its own");
	return NULL;
}

/* The one that a message names which says no more than that. */
static struct session *
named_session(struct user_proc *p, struct chan_msg *m, struct err *e)
{
	uint64_t number;

	if (session_number_parse(&m->in, &number, e) == -1)
		return NULL;
	return own_session(p, number, e);
}

static int
on_have(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct session *s = named_session(arg, m, e);

	if (s == NULL)
		return -1;
	s->proc->has_served = true;
	session_taken(s);
	return 0;
}

static int
on_end(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct session *s = named_session(arg, m, e);

	if (s == NULL)
		return -1;
	session_ended(s);
	return 0;
}

static int
on_refuse(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct session_text got;
	char why[SESSION_TEXT_MAX + 1];
	struct user_proc *p = arg;
	struct session *s;

	if (session_text_parse(&m->in, &got, e) == -1)
		return -1;
	s = own_session(arg, got.session, e);
	if (s == NULL)
		return -1;
	(void)str_to_c(got.text, why, sizeof(why));
	session_refused(s, why);
	/* It has a broken mail place, perhaps, and is about to end: whoever
	 * comes now gets another one, and may find the place mended. */
	if (!p->has_served && list_is_empty(&p->sessions))
		close_channel(p);
	return 0;
}

static int
on_state(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct session_text got;
	struct session *s;

	if (session_text_parse(&m->in, &got, e) == -1)
		return -1;
	s = own_session(arg, got.session, e);
	if (s == NULL)
		return -1;
	free(s->text);
	s->text = str_to_heap(got.text);
	return 0;
}

/* Nothing on its way to it: it may go. Else it serves what comes. */
static int
on_leaving(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct user_proc *p = arg;

	if (session_leaving_parse(&m->in, e) == -1)
		return -1;
	if (list_is_empty(&p->sessions))
		close_channel(p);
	return 0;
}

static int
on_spool(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	if (session_spool_parse(&m->in, e) == -1)
		return -1;
	spools_give(arg);
	return 0;
}

static void
on_close(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct user_proc *p = arg;

	if (why->code != ERR_CLOSED) {
		p->m->n_violations++;
		log_error("%s pid=%d user=<%s> broke the protocol, killed: %s",
		    program_name(p->service), (int)p->pid, p->user, why->text);
		close_channel(p);
		kill_process(p);
	} else if (p->pid == 0 || p->holder != NULL) {
		close_channel(p);
	} else {
		/* Its exit comes next and says why; sessions wait for that
		 * only as long as it takes. */
		leave_map(p);
		chan_free(&p->chan);
		ev_timer_set(&p->timer, LEAVE_PATIENCE_S, 0);
		ev_timer_start(p->m->loop, &p->timer);
	}
	free_if_gone(p);
}

static int
on_share(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct user_proc *p = arg;
	struct share_record r = {
	    .owner_uid = p->sysuid, .owner = str_of(p->user)};

	if (session_share_parse(&m->in, &r, e) == -1)
		return -1;
	shares_take(
	    &p->m->shares, p->m->loop, p->m->now->settings->state_dir, &r);
	return 0;
}

static const struct chan_entry entries[] = {
    {SESSION_HAVE, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_have},
    {SESSION_STATE, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_state},
    {SESSION_END, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_end},
    {SESSION_REFUSE, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_refuse},
    {SESSION_LEAVING, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_leaving},
    {SESSION_SPOOL, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_spool},
    {SESSION_SHARE, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_share},
};
static const struct chan_def def = {.name = "user process",
    .entries = entries,
    .n_entries = ARRAY_LEN(entries),
    .on_close = on_close,
    .queue_max_bytes = (size_t)256 * 1024};

/* ---- the holder of a PAM session ---- */

/*
 * SO_PEERPIDFD (Linux 6.5) gives authd one of who has made its channel: us, and
 * all sessions would end with us.
 */
static bool
is_of_master(int pidfd)
{
	char path[64], text[1024], own[32];
	size_t n = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	(void)snprintf(own, sizeof(own), "\nPid:\t%d\n", (int)getpid());
	f = fopen(path, "re");
	if (f != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		(void)fclose(f);
	}
	text[n] = '\0';
	return strstr(text, own) != NULL;
}

static int
on_held(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct user_proc *p = arg;
	struct chan_try_msg got;

	if (chan_try_parse(&m->in, &got, e) == -1)
		return -1;
	if (got.type == CHAN_HOLD_STARTED) {
		/* Also not another one after its end. */
		if (p->is_named || got.pid == 0 || got.pid > INT32_MAX)
			return err_set(e, ERR_VIOLATION, "holder: process %u",
			    (unsigned)got.pid);
		if (m->n_fds > 0)
			p->pidfd = chan_take_fd(m, 0);
		if (p->pidfd != -1 && is_of_master(p->pidfd)) {
			fd_close(&p->pidfd);
			return err_set(
			    e, ERR_VIOLATION, "holder: names master");
		}
		p->is_named = true;
		p->pid = (pid_t)got.pid;
		logs_begin(&p->m->logs, p->feed, p->pid);
		spools_offer(p);
		return 0;
	}
	if (got.ended.text.n > 0)
		log_error("PAM session failed user=<%s> reason=\"%.*s\"",
		    p->user, STR_ARG(got.ended.text));
	process_ended(p, (int)got.ended.status);
	return 0;
}

static void
holder_closed(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct user_proc *p = arg;

	if (why->code != ERR_CLOSED || p->pid != 0)
		log_error("holder of the PAM session ended user=<%s>: %s",
		    p->user, why->text);
	chan_free(&p->holder);
	/* Without its holder the process must not go on. */
	send_kill(p);
	p->pid = 0;
	if (p->chan != NULL)
		close_channel(p);
	free_if_gone(p);
}

/* The process runs all the same, and its number says which it is. */
static int
on_held_lost(struct chan *c, struct msg_in *in, void *arg, struct err *e)
{
	struct chan_msg m = {.in = *in};

	log_warn("descriptor of a PAM session's process is lost reason=\"%s\"",
	    e->text);
	return on_held(c, &m, arg, e);
}

static const struct chan_entry holder_entries[] = {
    {CHAN_HOLD_STARTED, 1, CHAN_ANY_STATE, CHAN_HOLD_FRAME_MAX, on_held},
    {CHAN_HOLD_ENDED, 0, CHAN_ANY_STATE, CHAN_HOLD_FRAME_MAX, on_held},
};
static const struct chan_def holder_def = {.name = "holder",
    .entries = holder_entries,
    .n_entries = ARRAY_LEN(holder_entries),
    .on_close = holder_closed,
    .on_lost = on_held_lost};

/* ---- start ---- */

static void
add_extra(struct buf *b, const char *extra)
{
	struct str rest = str_of(extra), line, name;

	while (rest.n > 0 && str_cut(&rest, '\n', &line))
		if (str_cut(&line, '=', &name))
			buf_addf(
			    b, "%.*s = %.*s\n", STR_ARG(name), STR_ARG(line));
}

/* %u, %h and %%; what stands for nothing stays as it is. */
static bool
expand(const struct grant_entry *g, const char *from, char *out, size_t size)
{
	struct buf b;
	bool ok;

	buf_init(&b, size - 1);
	for (; *from != '\0'; from++) {
		if (from[0] != '%' || from[1] == '\0')
			(void)buf_add_byte(&b, *from);
		else if (*++from == 'u')
			(void)buf_add_c(&b, g->user);
		else if (*from == 'h')
			(void)buf_add_c(&b, g->home);
		else
			(void)buf_add(
			    &b, from - (*from != '%'), *from == '%' ? 1 : 2);
	}
	ok = !buf_is_over(&b) && str_to_c(buf_str(&b), out, size);
	buf_done(&b);
	return ok;
}

/*
 * The folder of the user's index. Below index_dir it is made here, for him; a
 * place of his own he makes himself, because nothing is done with more rights
 * than his where he may have put links.
 */
static int
index_place(const struct settings *s, const struct grant_entry *g, char *out,
    size_t size, struct err *e)
{
	struct str dir = str_of(s->index_dir);
	char root[PATH_BYTES];

	if (str_eq(dir, STR("none")) || str_eq(dir, STR("memory"))) {
		(void)snprintf(out, size, "none");
		return 0;
	}
	if (str_ends(dir, STR("/%u")))
		dir.n -= 3;
	if (str_find(dir, '%') == dir.n && str_to_c(dir, root, sizeof(root)))
		return user_dir_make(root, g->user, s->privileged, g->sysuid,
		    g->sysgid, out, size, e);
	if (expand(g, s->index_dir, out, size))
		return 0;
	return err_set(e, ERR_LIMIT, "the path of index_dir is too long");
}

/*
 * What is kept in the state directory: journals of mboxes, what a user has read
 * of others' mail, when he has logged in.
 */
static int
state_place(const struct settings *s, const struct grant_entry *g, char *out,
    size_t size, struct err *e)
{
	return user_dir_make(s->state_dir, g->user, s->privileged, g->sysuid,
	    g->sysgid, out, size, e);
}

/* The lines that come behind those of the configuration; it makes his places. */
static int
own_settings(const struct settings *s, const struct grant_entry *g,
    struct str shares, struct buf *b, struct err *e)
{
	char index[PATH_BYTES], state[PATH_BYTES];
	bool ok = true;

	if (index_place(s, g, index, sizeof(index), e) == -1 ||
	    state_place(s, g, state, sizeof(state), e) == -1)
		return -1;
	add_extra(b, g->extra);
	if (g->mail_location[0] != '\0')
		ok = child_settings_add(
		    b, "mail_location", str_of(g->mail_location));
	ok = ok &&
	    child_settings_add(
		b, "service", str_of(service_name(g->service))) &&
	    child_settings_add(b, "user", str_of(g->user)) &&
	    child_settings_add(b, "home", str_of(g->home)) &&
	    child_settings_add(b, "index_dir", str_of(index)) &&
	    child_settings_add(b, "state_dir", str_of(state));
	if (shares.n > 0)
		ok = ok && child_settings_add(b, "shares", shares);
	/*
	 * It becomes the user itself, as soon as it has read this: between
	 * here and the exec its user could stop it, and master with it.
	 */
	if (ok && s->privileged && !(s->pam_session && g->hold_fd != -1))
		ok = buf_addf(b, "self_uid = %u\nself_gid = %u\n",
		    (unsigned)g->sysuid, (unsigned)g->sysgid);
	if (!ok || buf_is_over(b))
		return err_set(
		    e, ERR_LIMIT, "the user's settings are too long");
	return 0;
}

static int
settings_file(const char *plain, struct str rest, struct err *e)
{
	struct buf b;
	int fd = -1;

	buf_init(&b, CHILD_SETTINGS_MAX);
	if (buf_add_c(&b, plain) && buf_add_str(&b, rest))
		fd = fd_memfile("settings", buf_str(&b), e);
	else
		err_set(e, ERR_LIMIT, "the user's settings are too long");
	buf_done(&b);
	return fd;
}

int
users_settings(const struct settings *s, const struct grant_entry *g,
    struct str shares, struct err *e)
{
	struct buf own;
	int fd = -1;

	buf_init(&own, CHILD_SETTINGS_MAX);
	if (own_settings(s, g, shares, &own, e) == 0)
		fd = settings_file(
		    s->plain[program_of(g->service)], buf_str(&own), e);
	buf_done(&own);
	return fd;
}

/*
 * What the configuration says is long, and the same for all users: they share
 * one sealed file, and each finds his own lines in his channel. Those that are
 * long themselves come in a file; *one_time is to be closed then.
 */
static int
give_settings(struct generation *g, const struct grant_entry *grant,
    struct str own, int chan_fd, int *one_time, struct err *e)
{
	const char *plain = g->settings->plain[program_of(grant->service)];
	int *shared = &g->settings_fds[grant->service];

	if (own.n > CHILD_SETTINGS_OWN_MAX) {
		*one_time = settings_file(plain, own, e);
		return *one_time;
	}
	if (*shared == -1)
		*shared = settings_file(plain, STR(CHILD_SETTINGS_FOLLOW), e);
	if (*shared == -1)
		return -1;
	switch (fd_send(chan_fd, own, NULL, 0, true, e)) {
	case STEP_DONE:
		return *shared;
	case STEP_MORE:
		return err_set(e, ERR_LIMIT, "no room for the settings");
	case STEP_FAIL:
		break;
	}
	return -1;
}

/*
 * The settings are long: hashed, by a key nobody outside knows, and once for
 * each generation, which never changes its own.
 */
static const uint64_t *
settings_sums(struct generation *g, enum service service, bool session)
{
	uint64_t *sums = g->identity_sums[service][session];
	const struct settings *s = g->settings;
	/* With the NULs no field can reach into the next. */
	const char *const parts[] = {s->plain[program_of(service)],
	    s->programs[program_of(service)], s->index_dir, s->state_dir,
	    session ? "session" : ""};
	struct buf all;

	if (sums[0] != 0 || sums[1] != 0)
		return sums;
	buf_init(&all, 4 * (size_t)CHILD_SETTINGS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		buf_add(&all, parts[i], strlen(parts[i]) + 1);
	sums[0] = map_hash(buf_str(&all));
	buf_add_byte(&all, 'x');
	sums[1] = map_hash(buf_str(&all));
	buf_done(&all);
	return sums;
}

/* All that must be equal for two sessions to share a process. */
static void
identity_of(struct generation *g, const struct grant_entry *grant,
    struct str shares, struct buf *out)
{
	const char *const parts[] = {
	    grant->user, grant->home, grant->mail_location, grant->extra};
	/*
	 * Not by the setting alone: authd of before a reload brings no
	 * holder, and the process it started must not be taken for one
	 * with a session.
	 */
	bool session = g->settings->pam_session && grant->hold_fd != -1;
	uint32_t ids[] = {
	    (uint32_t)grant->service, grant->sysuid, grant->sysgid};

	buf_add(out, ids, sizeof(ids));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		buf_add(out, parts[i], strlen(parts[i]) + 1);
	buf_add(out, settings_sums(g, grant->service, session),
	    sizeof(g->identity_sums[0][0]));
	buf_add_str(out, shares);
}

static int
spawn(struct user_proc *p, const struct settings *s, int chan_fd, int log_fd,
    int settings_fd, struct err *e)
{
	int fds[] = {-1, -1, 2, chan_fd, log_fd, settings_fd};
	struct proc_start start = {.path = s->programs[program_of(p->service)],
	    .name = program_name(p->service),
	    .env = service_environment(program_of(p->service)),
	    .fds = fds,
	    .n_fds = ARRAY_LEN(fds),
	    .new_session = true};

	if (proc_spawn(&start, &p->pid, e) == -1)
		return -1;
	logs_begin(&p->m->logs, p->feed, p->pid);
	ev_child_set(&p->child, p->pid, 0);
	ev_child_start(p->m->loop, &p->child);
	return 0;
}

/* The auth child that waits becomes the holder and starts the process. */
static int
spawn_held(struct user_proc *p, const struct settings *s, int hold_fd,
    int chan_fd, int log_fd, int settings_fd, struct err *e)
{
	const char *const *env = service_environment(program_of(p->service));
	struct chan_try_msg m = {.type = CHAN_HOLD_START};
	int fds[CHAN_HOLD_FDS] = {2, chan_fd, log_fd, settings_fd};
	struct buf *b = chan_frame();

	p->is_held = true;
	m.start.path = str_of(s->programs[program_of(p->service)]);
	m.start.args[m.start.n_args++] = str_of(program_name(p->service));
	for (; *env != NULL && m.start.n_env < CHAN_HOLD_ARGS_MAX; env++)
		m.start.env[m.start.n_env++] = str_of(*env);
	chan_try_write(&m, b);
	p->holder = chan_new(p->m->loop, hold_fd, &holder_def, p);
	return chan_send(p->holder, b, fds, CHAN_HOLD_FDS, e);
}

static struct user_proc *
user_new(struct master *m, const struct grant_entry *grant, struct str identity)
{
	struct user_proc *p = mem_new(1, sizeof(*p));

	p->m = m;
	p->service = grant->service;
	p->user = mem_strdup(grant->user);
	p->sysuid = grant->sysuid;
	p->sysgid = grant->sysgid;
	p->identity = mem_dup(identity.p, identity.n);
	p->identity_n = identity.n;
	p->started_wall_s = clock_wall_s();
	p->spool_fd = p->pidfd = -1;
	list_init(&p->sessions);
	list_append(&m->user_procs, &p->link);
	ev_child_init(&p->child, on_exit_seen, 0, 0);
	ev_timer_init(&p->timer, on_timer, 0, 0);
	p->child.data = p->timer.data = p;
	return p;
}

static struct user_proc *
start(struct generation *g, struct grant_entry *grant, struct str shares,
    struct str identity, struct err *e)
{
	const struct settings *s = g->settings;
	int pair[2] = {-1, -1}, log_fd = -1, settings_fd, one_time = -1;
	int rc = -1;
	struct buf own;
	char name[USER_NAME_MAX + 16];
	struct user_proc *p = user_new(g->m, grant, identity);

	(void)snprintf(
	    name, sizeof(name), "%s(%s)", program_name(p->service), p->user);
	buf_init(&own, CHILD_SETTINGS_MAX);
	if (own_settings(s, grant, shares, &own, e) == -1 ||
	    fd_pair(pair, e) == -1)
		goto out;
	settings_fd =
	    give_settings(g, grant, buf_str(&own), pair[0], &one_time, e);
	if (settings_fd == -1)
		goto out;
	p->feed = logs_new(&g->m->logs, name, &log_fd, e);
	if (p->feed == NULL)
		goto out;
	if (s->pam_session && grant->hold_fd != -1) {
		rc = spawn_held(
		    p, s, grant->hold_fd, pair[1], log_fd, settings_fd, e);
		grant->hold_fd = -1;
	} else {
		rc = spawn(p, s, pair[1], log_fd, settings_fd, e);
	}
	if (rc == -1)
		goto out;
	p->chan = chan_new(g->m->loop, pair[0], &def, p);
	pair[0] = -1;
	map_put(&g->m->users, str_make(p->identity, p->identity_n), p);
	p->in_map = true;
out:
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd_close(&log_fd);
	fd_close(&one_time);
	buf_done(&own);
	if (rc == 0)
		return p;
	chan_free(&p->holder);
	free_if_gone(p);
	return NULL;
}

/* POP3 has but the user's own mail. */
void
users_shares(
    struct generation *g, const struct grant_entry *grant, struct buf *out)
{
	if (grant->service != SERVICE_IMAP)
		return;
	shares_of(&g->m->shares, g->settings->state_dir, grant->sysuid,
	    grant->sysgid, out);
	if (buf_is_over(out))
		buf_clear(out);
}

struct user_proc *
users_find_or_start(
    struct generation *g, struct grant_entry *grant, struct err *e)
{
	struct user_proc *p;
	struct str identity;
	struct buf b, shares;

	buf_init(&shares, SHARES_MAX);
	users_shares(g, grant, &shares);
	buf_init(&b, 32768 + SHARES_MAX);
	identity_of(g, grant, buf_str(&shares), &b);
	identity = buf_str(&b);
	p = map_find(&g->m->users, identity);
	if (p == NULL) {
		if (limit_may_start(&g->m->limits, identity, clock_mono_ms()))
			p = start(g, grant, buf_str(&shares), identity, e);
		else
			err_set(e, ERR_TIMEOUT,
			    "its process crashed too often, waiting");
	}
	buf_done(&b);
	buf_done(&shares);
	return p;
}

int
users_send(struct user_proc *p, const struct buf *b, const int *fds,
    size_t n_fds, struct err *e)
{
	if (p->chan == NULL)
		return err_set(e, ERR_CLOSED, "the process has gone");
	return chan_send(p->chan, b, fds, n_fds, e);
}

void
users_kick(struct user_proc *p, uint64_t session, const char *why)
{
	struct session_text m = {.session = session, .text = str_of(why)};
	struct buf *b = chan_frame();
	struct err e;

	session_text_write(SESSION_KICK, &m, b);
	(void)users_send(p, b, NULL, 0, &e);
}

void
users_settings_changed(struct master *m, UNUSED const struct generation *g)
{
	/*
	 * The identity holds the settings, so a process that no longer fits is
	 * never found again; it leaves by itself when its sessions end.
	 */
	limit_sweep(&m->limits, clock_mono_ms());
}

void
users_stop_all(struct master *m, const char *why)
{
	struct err e;

	LIST_EACH(&m->user_procs, it) {
		struct user_proc *p = LIST_OF(it, struct user_proc, link);
		struct buf *b = chan_frame();

		p->told_to_stop = true;
		session_stop_write(str_of(why), b);
		(void)users_send(p, b, NULL, 0, &e);
	}
}

void
users_kill_all(struct master *m)
{
	LIST_EACH(&m->user_procs, it) {
		struct user_proc *p = LIST_OF(it, struct user_proc, link);

		p->told_to_stop = true;
		if (p->chan != NULL)
			close_channel(p);
		kill_process(p);
		free_if_gone(p);
	}
}
