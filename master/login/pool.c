/* SPDX-License-Identifier: ISC */
/*
 * pool.c - keeps forked spares waiting, one worker for each connection.
 *
 *   set of channels (from master) --fork--> SPARE --LOGIN_SEES_CLIENT--> CLIENT
 *   CLIENT --LOGIN_SEES_DONE--> DONE     CLIENT, DONE --LOGIN_SEES_IDLE--> SPARE
 *   any --exit--> gone
 *
 * A worker wakes the parent as little as can be. Once it has said that it has a
 * client nothing it says is urgent: that it is DONE is read before it would be
 * dropped, its exit is noticed with the next event, or after a second. Where
 * workers become spares again or a proxy tells addresses, all is read at once.
 *
 * CLIENTs are strangers: past login_workers_max of them the one that has waited
 * longest from the address block with the most of them is ended, so that a
 * flood costs the one who makes it; while others wait in the queue behind them,
 * that block's new ones are not even served (shed.h).
 *
 * Owns:    the sets of channels not yet in use, the sockets, the children.
 * Runs in: login parent, confined; reads nothing but the workers' sockets.
 * Trusts:  master; workers only with their own place in the pool.
 */
#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "login/lean.h"
#include "login/pool.h"
#include "net/addr.h"
#include "os/fd.h"
#include "os/proc.h"

/* A spare that dies without a client this often in a second is a fault that
 * more forks will not mend. */
#define SPARE_DEATHS_MAX 20

/* After the end of a spare's socket its exit comes soon. */
#define REAP_SOON_S 0.005
#define REAP_S 1.0
#define REAP_STOP_S 0.1
/* Between what master is told without being asked for anything. */
#define TELL_MS 1000
#define EVENTS_MAX 64

/* A block with fewer has no part in a flood. */
#define SHED_MIN 5

enum worker_state { SPARE, CLIENT, DONE };

struct set {
	uint32_t number;
	int fds[3]; /* authd, keyd, master */
};

struct block {
	struct addr addr; /* key of the map */
	struct list clients; /* in the order of their coming */
	size_t n;
};

struct worker {
	struct list link; /* all workers */
	struct list in_block;
	struct pool *pool;
	struct block *block; /* of a CLIENT */
	uint32_t number;
	pid_t pid;
	enum worker_state state;
	bool killed; /* by us, so its end is no news */
	bool ended; /* its exit comes next, or has come */
	int pipe;
	struct buf seen; /* part of a LOGIN_SEES */
};

struct pool {
	struct pool_settings s;
	struct ev_loop *loop;
	int ep; /* the workers' pipes: each wakes us once, then is set again */
	ev_io pipes;
	ev_timer again, reaper;
	VEC(struct set) sets;
	struct list workers;
	struct map blocks;
	size_t n_workers, n_spare, n_client;
	uint32_t asked; /* sets that master has not sent yet */
	uint32_t told; /* so many serve, says what master has heard... */
	int64_t told_ms; /* ...then */
	uint32_t spare_deaths;
	int64_t death_second;
	struct shed *shed; /* NULL: there is none */
	int64_t dropped_s; /* the second of the last line about it */
	uint32_t dropped; /* not in the log yet */
	bool started, stopping;
	bool reads_all; /* also what a worker with a client says */
	bool retired; /* stopping, and on_retired has been called */
};

/* ---- blocks --------------------------------------------------------------- */

static struct str
block_key(const struct block *b)
{
	return str_make(&b->addr, offsetof(struct addr, port));
}

static void
leave_block(struct worker *w)
{
	struct pool *p = w->pool;
	struct block *b = w->block;

	if (b == NULL)
		return;
	list_remove(&w->in_block);
	w->block = NULL;
	if (--b->n == 0) {
		(void)map_remove(&p->blocks, block_key(b));
		free(b);
	}
}

static void
enter_block(struct worker *w, const struct addr *a)
{
	struct pool *p = w->pool;
	struct block key = {0}, *b;

	addr_block(a, &key.addr);
	b = map_find(&p->blocks, block_key(&key));
	if (b == NULL) {
		b = mem_new(1, sizeof(*b));
		b->addr = key.addr;
		list_init(&b->clients);
		map_put(&p->blocks, block_key(b), b);
	}
	leave_block(w);
	w->block = b;
	b->n++;
	list_append(&b->clients, &w->in_block);
}

static void
reap_in(struct pool *p, double s)
{
	if (ev_is_active(&p->reaper) &&
	    ev_timer_remaining(p->loop, &p->reaper) <= s)
		return;
	ev_timer_stop(p->loop, &p->reaper);
	ev_timer_set(&p->reaper, s, 0.0);
	ev_timer_start(p->loop, &p->reaper);
}

static void
end_worker(struct worker *w)
{
	w->killed = true;
	(void)kill(w->pid, SIGKILL);
	reap_in(w->pool, REAP_SOON_S);
}

/*
 * A spare sees the end of its socket and goes. If it has a client at this very
 * moment, it says so and serves it first: no client is lost by a reload. One
 * with a client takes no other, whatever login_reuse says.
 */
static void
retire(struct worker *w)
{
	(void)shutdown(w->pipe, SHUT_WR);
}

/* ---- workers -------------------------------------------------------------- */

static void fill(struct pool *p);

static void
count(struct pool *p, enum worker_state state, int by)
{
	if (state == SPARE)
		p->n_spare += (size_t)by;
	else if (state == CLIENT)
		p->n_client += (size_t)by;
}

static void
set_worker_state(struct worker *w, enum worker_state state)
{
	count(w->pool, w->state, -1);
	w->state = state;
	count(w->pool, state, 1);
	if (state != CLIENT)
		leave_block(w);
}

static void
forget(struct worker *w)
{
	struct pool *p = w->pool;

	count(p, w->state, -1);
	leave_block(w);
	/* A child just forked may hold a copy: closing alone is not enough. */
	(void)epoll_ctl(p->ep, EPOLL_CTL_DEL, w->pipe, NULL);
	fd_close(&w->pipe);
	list_remove(&w->link);
	buf_done(&w->seen);
	free(w);
	p->n_workers--;
	if (p->shed != NULL &&
	    p->n_client < p->s.settings->workers_max * 9 / 10)
		shed_set(p->shed, NULL);
}

static struct worker *
find(struct pool *p, pid_t pid, uint32_t number)
{
	LIST_EACH(&p->workers, l) {
		struct worker *w = LIST_OF(l, struct worker, link);

		if ((pid != 0 && w->pid == pid) ||
		    (pid == 0 && w->number == number))
			return w;
	}
	return NULL;
}

static void drop_one(struct pool *p);

static void
saw(struct worker *w, const struct login_seen *m)
{
	struct pool *p = w->pool;
	struct addr a = {.n = m->family == 4 ? 4 : m->family == 6 ? 16 : 0};

	if (w->killed)
		return;
	memcpy(a.ip, m->address, sizeof(a.ip));
	switch (m->state) {
	case LOGIN_SEES_CLIENT:
		set_worker_state(w, CLIENT);
		enter_block(w, &a);
		drop_one(p);
		break;
	case LOGIN_SEES_DONE:
		set_worker_state(w, DONE);
		break;
	case LOGIN_SEES_IDLE:
		set_worker_state(w, SPARE);
		break;
	}
}

/* Whatever the socket says, it says about this one worker. */
static void
read_pipe(struct worker *w)
{
	char bytes[8 * LOGIN_SEES_BYTES];
	ssize_t n = recv(w->pipe, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (n == 0 && w->state == CLIENT)
			set_worker_state(w, DONE);
		w->ended = true;
		return;
	}
	(void)buf_add(&w->seen, bytes, (size_t)n);
	while (w->seen.n >= LOGIN_SEES_BYTES) {
		struct login_seen m;
		struct msg_in in;
		struct err e;

		if (msg_parse(str_head(buf_str(&w->seen), LOGIN_SEES_BYTES),
			&in, &e) == -1 ||
		    in.type != LOGIN_SEES ||
		    login_seen_parse(&in, &m, &e) == -1) {
			log_error("login worker ended number=%u reason="
				  "what it says makes no sense",
			    w->number);
			end_worker(w);
			buf_clear(&w->seen);
			break;
		}
		buf_drop(&w->seen, LOGIN_SEES_BYTES);
		saw(w, &m);
	}
}

/* From now on nobody comes to a worker of ours. */
static void
check_retired(struct pool *p)
{
	if (!p->stopping || p->retired || p->n_spare > 0)
		return;
	p->retired = true;
	p->s.on_retired(p->s.arg);
}

/* Wakes us when it says more, or ends. */
static void
listen_to(struct worker *w)
{
	struct epoll_event ev = {
	    .events = EPOLLIN | EPOLLONESHOT, .data.ptr = w};

	(void)epoll_ctl(w->pool->ep, EPOLL_CTL_MOD, w->pipe, &ev);
}

static void
hear(struct worker *w)
{
	struct pool *p = w->pool;

	read_pipe(w);
	if (w->ended)
		reap_in(p, REAP_SOON_S);
	else if (p->reads_all || w->state == SPARE)
		listen_to(w);
	else
		reap_in(p, REAP_S);
}

static void bury_the_dead(struct pool *p);

static void
on_pipes(UNUSED struct ev_loop *loop, ev_io *io, UNUSED int events)
{
	struct epoll_event ev[EVENTS_MAX];
	struct pool *p = io->data;
	int n = epoll_wait(p->ep, ev, EVENTS_MAX, 0);

	for (int i = 0; i < n; i++)
		hear(ev[i].data.ptr);
	/* Only now: it frees workers. */
	bury_the_dead(p);
}

static void
close_set(struct set *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->fds); i++)
		fd_close(&s->fds[i]);
}

/*
 * An end of it may have gone while it lay here. Without certificates there is
 * no keyd, and nobody at the other end of its channel from the beginning.
 */
static bool
is_alive(const struct pool *p, const struct set *s)
{
	struct pollfd v[3] = {{.fd = s->fds[0], .events = POLLRDHUP},
	    {.fd = p->s.tls == NULL ? -1 : s->fds[1], .events = POLLRDHUP},
	    {.fd = s->fds[2], .events = POLLRDHUP}};

	return poll(v, ARRAY_LEN(v), 0) == 0;
}

NORETURN static void
be_worker(struct pool *p, const struct set *s, int fd_parent)
{
	struct worker_start start = {.login = {.settings = p->s.settings,
					 .tls = p->s.tls,
					 .fd_auth = s->fds[0],
					 .fd_key = s->fds[1],
					 .fd_master = s->fds[2],
					 .fd_parent = fd_parent},
	    .listeners = p->s.listeners,
	    .n_listeners = p->s.n_listeners,
	    .shed = p->shed};

	worker_run(&start);
}

/* False: no fork is possible now. */
static bool
fork_worker(struct pool *p, struct set *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};
	struct worker *w;
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) {
		log_error("no more workers reason=socketpair");
		return false;
	}
	pid = fork();
	if (pid == 0)
		be_worker(p, s, ends[1]);
	fd_close(&ends[1]);
	if (pid == -1) {
		fd_close(&ends[0]);
		log_error("no more workers reason=fork");
		return false;
	}
	w = mem_new(1, sizeof(*w));
	w->pool = p;
	w->number = s->number;
	w->pid = pid;
	buf_init(&w->seen, 16 * LOGIN_SEES_BYTES);
	list_init(&w->in_block);
	list_append(&p->workers, &w->link);
	w->pipe = ends[0];
	ev.data.ptr = w;
	/* No memory for it: then nothing of this one is heard but its exit. */
	if (epoll_ctl(p->ep, EPOLL_CTL_ADD, w->pipe, &ev) == -1)
		reap_in(p, REAP_S);
	p->n_workers++;
	p->n_spare++;
	return true;
}

/* ---- the size of the pool ------------------------------------------------- */

static uint32_t
n_serving(const struct pool *p)
{
	return (uint32_t)(p->n_workers - p->n_spare);
}

static void
tell(struct pool *p, uint32_t wanted)
{
	p->told = n_serving(p);
	p->told_ms = clock_mono_ms();
	p->s.need(wanted, (uint32_t)p->n_spare, p->told, p->s.arg);
}

static void
ask(struct pool *p)
{
	uint32_t target = p->s.settings->workers_spare;
	uint32_t have = (uint32_t)p->sets.n + p->asked, wanted;

	/* A few at a time: each message wakes three processes. */
	if (have > target / 2 && (have > 0 || !p->started))
		return;
	wanted = target + (p->n_spare < target ? target : 0) + 1;
	if (wanted > LOGIN_NEED_MAX)
		wanted = LOGIN_NEED_MAX;
	p->asked += wanted;
	tell(p, wanted);
}

static void
on_again(UNUSED struct ev_loop *loop, ev_timer *t, UNUSED int events)
{
	fill(t->data);
}

static void
try_later(struct pool *p)
{
	if (ev_is_active(&p->again))
		return;
	ev_timer_set(&p->again, 1.0, 0.0);
	ev_timer_start(p->loop, &p->again);
}

static void
fill(struct pool *p)
{
	if (!p->started || p->stopping || ev_is_active(&p->again))
		return;
	if (p->spare_deaths >= SPARE_DEATHS_MAX &&
	    clock_mono_ms() / 1000 == p->death_second) {
		log_error("login workers die as soon as they are made");
		try_later(p);
		return;
	}
	while (p->n_spare < p->s.settings->workers_spare && p->sets.n > 0) {
		struct set s = p->sets.v[0];
		bool ok = true;

		VEC_REMOVE(&p->sets, 0);
		if (is_alive(p, &s))
			ok = fork_worker(p, &s);
		close_set(&s);
		if (!ok) {
			try_later(p);
			return;
		}
	}
	ask(p);
}

static void
bury(struct pool *p, pid_t pid, int status)
{
	struct worker *w = find(p, pid, 0);
	char text[PROC_EXIT_TEXT_MAX];
	int64_t now = clock_mono_ms() / 1000;

	if (w == NULL)
		return;
	if (status != 0 && !w->killed)
		log_error("login worker %s number=%u",
		    proc_exit_text(status, text, sizeof(text)), w->number);
	/* Once, and for good: it may have missed what was left out. */
	if (WIFSIGNALED(status) &&
	    (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS) &&
	    lean_undo() > 0)
		log_warn("login workers get all of the libraries from now on");
	/* It may have had a client so short that we have not heard of it. */
	read_pipe(w);
	if (w->state == SPARE && !w->killed && !p->stopping) {
		if (p->death_second != now)
			p->spare_deaths = 0;
		p->death_second = now;
		p->spare_deaths++;
	}
	forget(w);
}

/* All who have ended by now; and what follows from that. */
static void
bury_the_dead(struct pool *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		bury(p, pid, status);
	check_retired(p);
	if (p->stopping && p->n_workers == 0)
		p->s.on_empty(p->s.arg);
	else
		fill(p);
}

static void
on_reaper(UNUSED struct ev_loop *loop, ev_timer *t, UNUSED int events)
{
	struct pool *p = t->data;
	double next = 0;

	bury_the_dead(p);
	LIST_EACH(&p->workers, l) {
		const struct worker *w = LIST_OF(l, struct worker, link);

		if (w->ended || w->killed)
			next = REAP_SOON_S;
		else if (w->state != SPARE && next == 0)
			next = p->stopping ? REAP_STOP_S : REAP_S;
	}
	/* Many may have gone since anything was asked for. */
	if (n_serving(p) != p->told && p->started && !p->stopping) {
		if (clock_mono_ms() - p->told_ms >= TELL_MS)
			tell(p, 0);
		else if (next == 0)
			next = REAP_S;
	}
	if (next > 0)
		reap_in(p, next);
}

static struct block *
busiest_block(struct pool *p)
{
	struct block *busiest = NULL;
	struct str key;
	void *value;
	size_t i = 0;

	while (map_next(&p->blocks, &i, &key, &value)) {
		struct block *b = value;

		if (busiest == NULL || b->n > busiest->n)
			busiest = b;
	}
	return busiest;
}

static void
log_drop(struct pool *p, const struct block *busiest)
{
	char text[ADDR_TEXT_MAX];

	p->dropped++;
	if (clock_mono_ms() / 1000 == p->dropped_s)
		return;
	addr_text(&busiest->addr, text);
	log_warn("too many connections before login dropped=%s "
		 "from_there=%zu in_all=%zu times=%u",
	    text, busiest->n, p->n_client, p->dropped);
	p->dropped_s = clock_mono_ms() / 1000;
	p->dropped = 0;
}

/*
 * The busiest block gives up its oldest stranger. Who is past the login
 * meanwhile, or has gone, is none.
 */
static void
drop_one(struct pool *p)
{
	struct block *busiest;
	struct worker *oldest;

	while (p->n_client > p->s.settings->workers_max) {
		busiest = busiest_block(p);
		if (busiest == NULL)
			return;
		oldest =
		    LIST_OF(busiest->clients.next, struct worker, in_block);
		if (!p->reads_all)
			read_pipe(oldest);
		if (oldest->state != CLIENT)
			continue;
		log_drop(p, busiest);
		if (p->shed != NULL && busiest->n >= SHED_MIN)
			shed_set(p->shed, &busiest->addr);
		set_worker_state(oldest, DONE);
		end_worker(oldest);
	}
}

/* ---- the rest of the interface -------------------------------------------- */

struct pool *
pool_new(struct ev_loop *loop, const struct pool_settings *s)
{
	struct pool *p = mem_new(1, sizeof(*p));
	struct err e;

	p->s = *s;
	p->loop = loop;
	if (shed_new(&p->shed, &e) == -1)
		log_warn("a flood will make others wait reason=\"%s\"", e.text);
	list_init(&p->workers);
	map_init(&p->blocks);
	p->reads_all = s->settings->reuse > 1 || s->settings->n_proxies > 0;
	ev_timer_init(&p->again, on_again, 0.0, 0.0);
	ev_timer_init(&p->reaper, on_reaper, 0.0, 0.0);
	p->again.data = p->reaper.data = p->pipes.data = p;
	p->ep = epoll_create1(EPOLL_CLOEXEC);
	if (p->ep == -1)
		log_fatal("can not watch workers reason=epoll_create1");
	ev_io_init(&p->pipes, on_pipes, p->ep, EV_READ);
	p->pipes.data = p;
	ev_io_start(loop, &p->pipes);
	ask(p);
	return p;
}

void
pool_start(struct pool *p)
{
	p->started = true;
	fill(p);
}

void
pool_add_set(struct pool *p, uint32_t number, const int fds[3])
{
	*VEC_ADD(&p->sets) = (struct set){number, {fds[0], fds[1], fds[2]}};
	if (p->asked > 0)
		p->asked--;
	fill(p);
}

void
pool_lost_set(struct pool *p, const char *why)
{
	if (p->asked > 0)
		p->asked--;
	if (p->stopping || ev_is_active(&p->again))
		return;
	log_error("no more workers reason=\"%s\"", why);
	try_later(p);
}

int
pool_key_fd(const struct pool *p)
{
	return p->sets.n > 0 ? p->sets.v[0].fds[1] : -1;
}

void
pool_kill(struct pool *p, uint32_t number)
{
	struct worker *w = find(p, 0, number);

	if (w != NULL && !w->killed)
		end_worker(w);
}

void
pool_stop(struct pool *p)
{
	p->stopping = true;
	ev_timer_stop(p->loop, &p->again);
	VEC_EACH(&p->sets, s)
		close_set(s);
	VEC_DONE(&p->sets);
	LIST_EACH(&p->workers, l) {
		struct worker *w = LIST_OF(l, struct worker, link);

		retire(w);
		/* Only now: one that was ready for the next has said so. */
		read_pipe(w);
	}
	reap_in(p, REAP_SOON_S);
	check_retired(p);
	if (p->n_workers == 0)
		p->s.on_empty(p->s.arg);
}
