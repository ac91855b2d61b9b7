/* SPDX-License-Identifier: ISC */
/*
 * spawner.c - authd as root: forks a child per attempt, and knows nothing.
 *
 * Owns:    the channel to authd, the passwd-file's descriptor, its children
 *          until they end.
 * Runs in: the spawner, as root with all of the file system.
 * Trusts:  master. Of authd it believes that a child of one of three kinds is
 *          wanted, and gives it no more of them than the limits below; names
 *          and passwords go past it, straight to the child.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "auth/spawner.h"
#include "auth/try.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/chan.h"
#include "ipc/chan_child.h"
#include "os/fd.h"
#include "os/proc.h"
#include "os/sandbox.h"

/* Far above what authd asks for (2 x cores); holders live long. */
#define CHILDREN_MAX 1024
#define HOLDERS_MAX 65536

/* Descriptors of a child, behind 0, 1, 2 and the log. */
#define TRY_FD 3
#define TRY_EXTRA_FD 5

struct spawner {
	const struct auth_settings *settings;
	struct ev_loop *loop;
	struct chan *master, *authd;
	int passwd_fd;
	bool passwd_complained;
	size_t n_children, n_holders;
};

struct child {
	ev_child watcher;
	struct spawner *s;
	bool hold;
};

/* ---- the passwd-file ---- */

/* Words for the administrator when the file is not there or not safe. */
static void
complain(struct spawner *s, const char *why)
{
	if (!s->passwd_complained)
		log_error("passwd-file %s: %s", s->settings->passwd_file, why);
	s->passwd_complained = true;
}

static int
open_passwd(struct spawner *s)
{
	struct stat st;
	int fd = open(s->settings->passwd_file,
	    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1 || fstat(fd, &st) == -1) {
		complain(s, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		complain(s, "is not a regular file");
	} else if (st.st_mode & S_IWOTH) {
		complain(s, "everybody may write it (chmod o-w)");
	} else {
		s->passwd_complained = false;
		return fd;
	}
	fd_close(&fd);
	return -1;
}

/* The file of now: replaced by rename means another descriptor. */
static void
follow_passwd(struct spawner *s)
{
	struct stat here = {0}, there = {0};

	if (s->passwd_fd != -1 && fstat(s->passwd_fd, &here) == 0 &&
	    stat(s->settings->passwd_file, &there) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino &&
	    !(there.st_mode & S_IWOTH))
		return;
	fd_close(&s->passwd_fd);
	s->passwd_fd = open_passwd(s);
}

/* ---- a child ---- */

static void
default_signals(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int n = 1; n < 32; n++)
		if (n != SIGPIPE)
			(void)sigaction(n, &sa, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nothing of the spawner stays open but what the child is for. */
NORETURN static void
in_child(struct spawner *s, const struct chan_try_new *want, int fd, int hold)
{
	struct try_child c = {.kind = want->kind,
	    .settings = s->settings,
	    .fd = TRY_FD,
	    .hold_fd = -1,
	    .passwd_fd = -1};
	int extra = -1;

	default_signals();
	if (want->kind == CHAN_TRY_PASSWD_FILE) {
		extra = s->passwd_fd;
		c.passwd_fd = extra == -1 ? -1 : TRY_EXTRA_FD;
	} else if (want->hold) {
		extra = hold;
		c.hold_fd = TRY_EXTRA_FD;
	}
	/* Channel ends made in the spawner have numbers above these. */
	if (dup3(fd, TRY_FD, O_CLOEXEC) == -1 ||
	    (extra != -1 && extra != TRY_EXTRA_FD &&
		dup3(extra, TRY_EXTRA_FD, O_CLOEXEC) == -1) ||
	    syscall(SYS_close_range,
		(unsigned)(extra == -1 ? TRY_EXTRA_FD : TRY_EXTRA_FD + 1), ~0U,
		0) == -1)
		_exit(1);
	try_child_run(&c);
}

static void
on_child_end(struct ev_loop *loop, ev_child *w, UNUSED int events)
{
	struct child *c = w->data;
	int status = w->rstatus;
	char text[PROC_EXIT_TEXT_MAX];

	ev_child_stop(loop, w);
	if (status != 0)
		log_warn("auth child %s",
		    proc_exit_text(status, text, sizeof(text)));
	if (c->hold)
		c->s->n_holders--;
	else
		c->s->n_children--;
	MEM_FREE(c);
}

static void
watch_child(struct spawner *s, pid_t pid, bool hold)
{
	struct child *c = mem_new(1, sizeof(*c));

	c->s = s;
	c->hold = hold;
	c->watcher.data = c;
	ev_child_init(&c->watcher, on_child_end, pid, 0);
	ev_child_start(s->loop, &c->watcher);
	if (hold)
		s->n_holders++;
	else
		s->n_children++;
}

/*
 * Forks; far ends for authd in far[0] and, for a holder, far[1]. Pairs are
 * (far, near).
 */
static int
fork_child(struct spawner *s, const struct chan_try_new *want, int far[2],
    struct err *e)
{
	int pair[2] = {-1, -1}, hold[2] = {-1, -1}, rc = -1;
	pid_t pid;

	if (want->hold ? s->n_holders >= HOLDERS_MAX
		       : s->n_children >= CHILDREN_MAX)
		return err_set(e, ERR_LIMIT, "too many auth children");
	if (want->kind == CHAN_TRY_PASSWD_FILE)
		follow_passwd(s);
	if (fd_pair(pair, e) == -1 || (want->hold && fd_pair(hold, e) == -1))
		goto out;
	pid = fork();
	if (pid == -1) {
		err_sys(e, "fork");
		goto out;
	}
	if (pid == 0)
		in_child(s, want, pair[1], hold[1]);
	watch_child(s, pid, want->hold);
	far[0] = pair[0];
	far[1] = hold[0];
	pair[0] = hold[0] = -1;
	rc = 0;
out:
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd_close(&hold[0]);
	fd_close(&hold[1]);
	return rc;
}

/* ---- channels ---- */

static int
on_new(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct spawner *s = arg;
	struct chan_try_msg got, answer = {.type = CHAN_TRY_REFUSED};
	int far[2] = {-1, -1}, rc;
	struct buf *b = chan_frame();
	struct err why;

	if (chan_try_parse(&m->in, &got, e) == -1)
		return -1;
	answer.attempt = got.new.attempt;
	if (fork_child(s, &got.new, far, &why) == -1)
		log_error("no auth child: %s", why.text);
	else
		answer.type =
		    got.new.hold ? CHAN_TRY_CHILD_HOLD : CHAN_TRY_CHILD;
	chan_try_write(&answer, b);
	rc = chan_send(c, b, far,
	    answer.type == CHAN_TRY_REFUSED ? 0
		: got.new.hold              ? 2
					    : 1,
	    &why);
	if (rc == -1)
		log_error("authd does not listen: %s", why.text);
	fd_close(&far[0]);
	fd_close(&far[1]);
	return 0;
}

static void
authd_closed(struct chan *c, const struct err *why, void *arg)
{
	struct spawner *s = arg;

	if (why->code == ERR_VIOLATION)
		log_error("authd broke the rules: %s", why->text);
	chan_free(&c);
	s->authd = NULL; /* master brings the channel of the next one */
}

static const struct chan_entry authd_entries[] = {
    {CHAN_TRY_NEW, 0, CHAN_ANY_STATE, 256, on_new},
};
static const struct chan_def authd_def = {.name = "authd",
    .entries = authd_entries,
    .n_entries = ARRAY_LEN(authd_entries),
    .on_close = authd_closed};

static int
on_peer(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct spawner *s = arg;
	struct child_peer peer;

	if (child_peer_parse(&m->in, &peer, e) == -1)
		return -1;
	if (peer.kind != CHILD_KIND_AUTHD)
		return err_set(e, ERR_VIOLATION, "spawner: not its peer");
	if (s->authd != NULL)
		chan_free(&s->authd);
	s->authd = chan_new(s->loop, chan_take_fd(m, 0), &authd_def, s);
	return 0;
}

/* The file comes by its name, so that its successor can be opened, too. */
static int
on_file(
    UNUSED struct chan *c, struct chan_msg *m, UNUSED void *arg, struct err *e)
{
	struct child_file file;

	return child_file_parse(&m->in, &file, e);
}

static bool
uses_passwd_file(const struct auth_settings *s)
{
	for (size_t i = 0; i < s->n_sources; i++)
		if (s->sources[i] == CHAN_TRY_PASSWD_FILE)
			return true;
	return false;
}

static int
on_go(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct spawner *s = arg;
	struct buf *b = chan_frame();

	if (child_empty_parse(&m->in, e) == -1)
		return -1;
	if (uses_passwd_file(s->settings))
		follow_passwd(s);
	child_ready_write(b);
	return chan_send(c, b, NULL, 0, e);
}

static int
on_stop(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct spawner *s = arg;
	struct str why;

	if (child_text_parse(&m->in, &why, e) == -1)
		return -1;
	ev_break(s->loop, EVBREAK_ALL);
	return 0;
}

/*
 * The file is opened by its name. Who was to be the peer sees the end of the
 * channel: the spawner of after us brings him another.
 */
static int
on_lost(
    UNUSED struct chan *c, struct msg_in *in, UNUSED void *arg, struct err *e)
{
	struct err why = *e;
	struct child_file file;

	if (in->type != CHILD_FILE)
		return err_set(
		    e, ERR_SYS, "the channel of authd is lost: %s", why.text);
	return child_file_parse(in, &file, e);
}

static void
master_closed(struct chan *c, const struct err *why, void *arg)
{
	struct spawner *s = arg;

	if (why->code == ERR_VIOLATION)
		log_error("master broke the rules: %s", why->text);
	else if (why->code != ERR_CLOSED)
		log_error("master: %s", why->text);
	chan_free(&c);
	s->master = NULL;
	ev_break(s->loop, EVBREAK_ALL);
}

static const struct chan_entry master_entries[] = {
    {CHILD_PEER, 1, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_peer},
    {CHILD_FILE, 1, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_file},
    {CHILD_GO, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_go},
    {CHILD_STOP, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_stop},
};
static const struct chan_def master_def = {.name = "master",
    .entries = master_entries,
    .n_entries = ARRAY_LEN(master_entries),
    .on_close = master_closed,
    .on_lost = on_lost};

int
spawner_run(const struct auth_settings *settings)
{
	struct spawner s = {.settings = settings, .passwd_fd = -1};
	struct err e;

	if (proc_harden(&e) == -1)
		log_fatal("%s", e.text);
	if (uses_passwd_file(settings) && sandbox_prepare_pass(false, &e) == -1)
		log_fatal("%s", e.text);
	s.loop = ev_default_loop(0);
	s.master = chan_new(s.loop, CHILD_FD_MASTER, &master_def, &s);
	ev_run(s.loop, 0);
	return 0;
}
