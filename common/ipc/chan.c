/* SPDX-License-Identifier: ISC */
/*
 * chan.c - a channel between two processes in the event loop.
 *
 * Owns:    the descriptor, the queue and the descriptors waiting in it.
 * Runs in: every process with an event loop.
 * Trusts:  nothing that arrives.
 */
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/chan.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "os/fd.h"

#define QUEUE_MAX_BYTES (1024 * 1024)
/* Messages taken from one channel before the others get their turn. */
#define TURN_MESSAGES 16
/*
 * Most messages come alone, and looking for a second one is a system call: it
 * is done only where two have come together, and now and then.
 */
#define LOOK_AGAIN_TURNS 8
/* More than a socket's buffer holds. */
#define READ_NOW_MESSAGES 4096

struct waiting {
	struct list link;
	size_t n, n_fds;
	int fds[MSG_MAX_FDS];
	char bytes[];
};

struct chan {
	struct ev_loop *loop;
	const struct chan_def *def;
	void *arg;
	ev_io read, write;
	ev_timer failed; /* reports a failed send from the loop */
	int fd;
	uint32_t state;
	bool closed; /* on_close has been called or is about to be */
	bool unref; /* does not keep the loop alive */
	bool in_handler; /* chan_free must leave the struct to the reader */
	bool freed;
	uint8_t alone; /* turns in which a message came alone */
	struct err why;
	struct list queue;
	size_t queued_bytes;
};

static char *
recv_room(void)
{
	/* Not static: among small variables it would take a page more. */
	static char *room;

	if (room == NULL)
		room = mem_resize(NULL, 1, MSG_MAX_BYTES);
	return room;
}

struct buf *
chan_frame(void)
{
	static struct buf frame;

	if (frame.max_bytes == 0)
		buf_init(&frame, MSG_MAX_BYTES);
	return &frame;
}

/* ---- watchers; libev's reference count is kept right by one function ---- */

static void
start_io(struct chan *c, ev_io *w)
{
	if (ev_is_active(w))
		return;
	ev_io_start(c->loop, w);
	if (c->unref)
		ev_unref(c->loop);
}

static void
stop_io(struct chan *c, ev_io *w)
{
	if (!ev_is_active(w))
		return;
	if (c->unref)
		ev_ref(c->loop);
	ev_io_stop(c->loop, w);
}

/* Some channels carry passwords. */
static void
free_waiting(struct waiting *w)
{
	for (size_t i = 0; i < w->n_fds; i++)
		fd_close(&w->fds[i]);
	explicit_bzero(w->bytes, w->n);
	free(w);
}

static void
drop_queue(struct chan *c)
{
	LIST_EACH(&c->queue, l) {
		struct waiting *w = LIST_OF(l, struct waiting, link);

		list_remove(l);
		free_waiting(w);
	}
	c->queued_bytes = 0;
}

static void
stop(struct chan *c)
{
	stop_io(c, &c->read);
	stop_io(c, &c->write);
	drop_queue(c);
}

static void
report_close(struct chan *c, const struct err *why)
{
	struct err copy = *why;

	if (c->closed)
		return;
	c->closed = true;
	stop(c);
	ev_timer_stop(c->loop, &c->failed);
	c->def->on_close(c, &copy, c->arg);
}

static void
on_failed(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct chan *c = w->data;

	report_close(c, &c->why);
}

/* A send failed: the owner hears of it from the loop, not inside chan_send. */
static void
fail_later(struct chan *c, const struct err *why)
{
	if (c->closed || ev_is_active(&c->failed))
		return;
	c->why = *why;
	stop_io(c, &c->write);
	drop_queue(c);
	ev_timer_start(c->loop, &c->failed);
}

/* ---- receiving ---- */

static const struct chan_entry *
find_entry(const struct chan *c, uint16_t type, size_t n_fds)
{
	const struct chan_entry *found = NULL;

	for (size_t i = 0; i < c->def->n_entries; i++) {
		const struct chan_entry *entry = &c->def->entries[i];

		if (entry->type != type || (entry->states & c->state) == 0)
			continue;
		if (entry->n_fds == n_fds)
			return entry;
		found = entry;
	}
	return found;
}

static int
check(struct chan *c, struct str bytes, const struct msg_in *in, size_t n_fds,
    const struct chan_entry **out, struct err *e)
{
	const struct chan_entry *entry = find_entry(c, in->type, n_fds);

	if (entry == NULL)
		return err_set(e, ERR_VIOLATION,
		    "message type %u is not allowed in state %u", in->type,
		    c->state);
	if (bytes.n > entry->max_bytes)
		return err_set(e, ERR_VIOLATION,
		    "message type %u has %zu bytes, limit %u", in->type,
		    bytes.n, entry->max_bytes);
	*out = entry;
	return 0;
}

/* The descriptors of this message are lost: `e` says why. */
static int
dispatch_lost(struct chan *c, struct str bytes, struct err *e)
{
	const struct chan_entry *entry;
	struct msg_in in;
	struct err why;

	if (msg_parse(bytes, &in, &why) == -1 ||
	    check(c, bytes, &in, in.n_fds, &entry, &why) == -1) {
		*e = why;
		return -1;
	}
	if (in.n_fds == 0 || entry->n_fds != in.n_fds)
		return err_set(e, ERR_VIOLATION,
		    "message type %u has descriptors", in.type);
	if (c->def->on_lost == NULL)
		return -1;
	return c->def->on_lost(c, &in, c->arg, e);
}

static int
dispatch(struct chan *c, struct str bytes, struct chan_msg *m, struct err *e)
{
	const struct chan_entry *entry;

	if (msg_parse(bytes, &m->in, e) == -1 ||
	    check(c, bytes, &m->in, m->n_fds, &entry, e) == -1)
		return -1;
	if (m->n_fds != entry->n_fds || m->in.n_fds != m->n_fds)
		return err_set(e, ERR_VIOLATION,
		    "message type %u has %zu descriptors, should be %u",
		    m->in.type, m->n_fds, entry->n_fds);
	return entry->fn(c, m, c->arg, e);
}

/* False: stop reading for now. */
static bool
read_one(struct chan *c)
{
	int fds[MSG_MAX_FDS];
	struct chan_msg m = {.fds = fds, .n_fds = MSG_MAX_FDS};
	struct err e;
	size_t n = 0;
	enum step step;
	int rc;

	step = fd_recv(
	    c->fd, recv_room(), MSG_MAX_BYTES, &n, fds, &m.n_fds, true, &e);
	if (step == STEP_MORE)
		return false;
	/* Only where descriptors are lost has something been read. */
	if (step == STEP_FAIL && n == 0) {
		report_close(c, &e);
		return false;
	}
	rc = step == STEP_FAIL ? dispatch_lost(c, str_make(recv_room(), n), &e)
			       : dispatch(c, str_make(recv_room(), n), &m, &e);
	/* Some channels carry passwords. */
	explicit_bzero(recv_room(), n);
	for (size_t i = 0; i < m.n_fds; i++)
		fd_close(&fds[i]);
	if (c->freed)
		return false;
	if (rc == -1) {
		report_close(c, &e);
		return false;
	}
	return !c->closed && ev_is_active(&c->read);
}

static void
read_some(struct chan *c, size_t most)
{
	size_t n = 0;

	c->in_handler = true;
	while (n < most && read_one(c))
		n++;
	if (n > 1)
		c->alone = 0;
	else
		c->alone = (uint8_t)((c->alone + 1U) % LOOK_AGAIN_TURNS);
	c->in_handler = false;
	if (c->freed)
		free(c);
}

static void
on_read(UNUSED struct ev_loop *loop, ev_io *w, UNUSED int events)
{
	struct chan *c = w->data;

	/* What is not read now wakes the loop again. */
	read_some(c, c->alone == 0 ? TURN_MESSAGES : 1);
}

void
chan_read_now(struct chan *c)
{
	/* What arrives meanwhile may wait for the loop. */
	if (!c->closed && !c->in_handler && ev_is_active(&c->read))
		read_some(c, READ_NOW_MESSAGES);
}

int
chan_take_fd(struct chan_msg *m, size_t i)
{
	int fd = m->fds[i];

	ASSERT(i < m->n_fds && fd != -1);
	m->fds[i] = -1;
	return fd;
}

/* ---- sending ---- */

static void
on_write(UNUSED struct ev_loop *loop, ev_io *w, UNUSED int events)
{
	struct chan *c = w->data;

	while (!list_is_empty(&c->queue)) {
		struct waiting *first =
		    LIST_OF(c->queue.next, struct waiting, link);
		struct err e;
		enum step step =
		    fd_send(c->fd, str_make(first->bytes, first->n), first->fds,
			first->n_fds, true, &e);

		if (step == STEP_MORE)
			return;
		if (step == STEP_FAIL) {
			fail_later(c, &e);
			return;
		}
		c->queued_bytes -= first->n;
		list_remove(&first->link);
		free_waiting(first);
	}
	stop_io(c, &c->write);
}

static int
enqueue(struct chan *c, const struct buf *frame, const int *fds, size_t n_fds,
    struct err *e)
{
	size_t limit = c->def->queue_max_bytes != 0 ? c->def->queue_max_bytes
						    : QUEUE_MAX_BYTES;
	struct waiting *w;

	if (c->queued_bytes + frame->n > limit)
		return err_set(e, ERR_LIMIT, "%s does not read: %zu bytes wait",
		    c->def->name, c->queued_bytes);
	w = mem_new(1, sizeof(*w) + frame->n);
	for (; w->n_fds < n_fds; w->n_fds++) {
		w->fds[w->n_fds] = fd_dup(fds[w->n_fds], e);
		if (w->fds[w->n_fds] == -1)
			goto fail;
	}
	w->n = frame->n;
	memcpy(w->bytes, frame->p, frame->n);
	list_append(&c->queue, &w->link);
	c->queued_bytes += w->n;
	start_io(c, &c->write);
	return 0;
fail:
	free_waiting(w);
	return -1;
}

int
chan_send(struct chan *c, const struct buf *frame, const int *fds, size_t n_fds,
    struct err *e)
{
	if (buf_is_over(frame))
		return err_set(
		    e, ERR_LIMIT, "a message to %s is too large", c->def->name);
	ASSERT(frame->n >= MSG_HEADER_BYTES &&
	    (unsigned char)frame->p[1] == n_fds);
	if (c->closed || c->freed || ev_is_active(&c->failed))
		return err_set(e, ERR_CLOSED, "%s has gone", c->def->name);
	if (list_is_empty(&c->queue)) {
		enum step step =
		    fd_send(c->fd, buf_str(frame), fds, n_fds, true, e);

		if (step == STEP_DONE)
			return 0;
		if (step == STEP_FAIL) {
			/* Too large for us is the caller's fault alone. */
			if (e->code != ERR_LIMIT)
				fail_later(c, e);
			return -1;
		}
	}
	return enqueue(c, frame, fds, n_fds, e);
}

size_t
chan_queued(const struct chan *c)
{
	return c->queued_bytes;
}

/* ---- life ---- */

struct chan *
chan_new(struct ev_loop *loop, int fd, const struct chan_def *def, void *arg)
{
	struct chan *c = mem_new(1, sizeof(*c));

	c->loop = loop;
	c->def = def;
	c->arg = arg;
	c->fd = fd;
	c->state = 1;
	c->alone = 1;
	list_init(&c->queue);
	ev_io_init(&c->read, on_read, fd, EV_READ);
	ev_io_init(&c->write, on_write, fd, EV_WRITE);
	ev_timer_init(&c->failed, on_failed, 0, 0);
	c->read.data = c->write.data = c->failed.data = c;
	start_io(c, &c->read);
	return c;
}

void
chan_free(struct chan **cp)
{
	struct chan *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	stop(c);
	ev_timer_stop(c->loop, &c->failed);
	c->closed = true;
	c->freed = true;
	fd_close(&c->fd);
	if (!c->in_handler)
		free(c);
}

void
chan_set_state(struct chan *c, uint32_t state)
{
	c->state = state;
}

uint32_t
chan_state(const struct chan *c)
{
	return c->state;
}

int
chan_fd(const struct chan *c)
{
	return c->fd;
}

const char *
chan_name(const struct chan *c)
{
	return c->def->name;
}

void
chan_want_input(struct chan *c, bool on)
{
	if (c->closed)
		return;
	if (on)
		start_io(c, &c->read);
	else
		stop_io(c, &c->read);
}

void
chan_keeps_loop(struct chan *c, bool on)
{
	if (c->unref == !on)
		return;
	for (int i = 0; i < 2; i++) {
		ev_io *w = i == 0 ? &c->read : &c->write;

		if (ev_is_active(w) && on)
			ev_ref(c->loop);
		else if (ev_is_active(w))
			ev_unref(c->loop);
	}
	c->unref = !on;
}
