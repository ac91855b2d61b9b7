/* SPDX-License-Identifier: ISC */
/* chan_test.c - a channel's table, queue, descriptors and end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/chan.h"
#include "ipc/chan_wait.h"
#include "os/fd.h"

struct seen {
	struct ev_loop *loop;
	struct chan *chan;
	unsigned n, lost;
	uint32_t last;
	int fd;
	bool free_in_handler, closed;
	struct err why;
};

static int
on_number(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct seen *s = arg;
	uint32_t v = msg_get_u32(&m->in);

	if (msg_end(&m->in, e) == -1)
		return -1;
	s->n++;
	s->last = v;
	chan_set_state(c, 2);
	if (s->free_in_handler)
		chan_free(&s->chan);
	return 0;
}

static int
on_fd(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct seen *s = arg;

	if (msg_end(&m->in, e) == -1)
		return -1;
	s->n++;
	s->fd = chan_take_fd(m, 0);
	return 0;
}

static void
on_close(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct seen *s = arg;

	s->closed = true;
	s->why = *why;
	chan_free(&s->chan);
}

static const struct chan_entry entries[] = {
    {1, 0, CHAN_ANY_STATE, 64, on_number},
    {2, 1, CHAN_ANY_STATE, 64, on_fd},
    {3, 0, 2, 64, on_number},
};
static const struct chan_def def = {.name = "test",
    .entries = entries,
    .n_entries = ARRAY_LEN(entries),
    .on_close = on_close,
    .queue_max_bytes = 300000};

static void
start_with(struct seen *s, int *peer, const struct chan_def *with)
{
	int fds[2];
	struct err e;

	*s = (struct seen){.loop = ev_default_loop(0), .fd = -1};
	assert_int_equal(fd_pair(fds, &e), 0);
	s->chan = chan_new(s->loop, fds[0], with, s);
	*peer = fds[1];
}

static void
start(struct seen *s, int *peer)
{
	start_with(s, peer, &def);
}

static void
turn(struct seen *s)
{
	for (int i = 0; i < 4; i++)
		ev_run(s->loop, EVRUN_NOWAIT);
}

static void
send_number(int fd, uint16_t type, uint32_t v)
{
	struct buf *b = chan_frame();
	struct err e;

	msg_begin(b, type, 0);
	msg_put_u32(b, v);
	assert_int_equal(
	    chan_send_wait(fd, b, NULL, 0, clock_mono_ms() + 1000, &e), 0);
}

static void
test_dispatch(UNUSED void **state)
{
	struct seen s;
	int peer;

	start(&s, &peer);
	send_number(peer, 1, 42);
	send_number(peer, 3, 43); /* allowed once the first one has come */
	turn(&s);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.last, 43);
	fd_close(&peer);
	turn(&s);
	assert_true(s.closed);
	assert_int_equal(s.why.code, ERR_CLOSED);
}

static void
expect_violation(const void *bytes, size_t n, const int *fds, size_t n_fds)
{
	struct seen s;
	struct err e;
	int peer;

	start(&s, &peer);
	assert_int_equal(
	    fd_send(peer, str_make(bytes, n), fds, n_fds, true, &e), STEP_DONE);
	turn(&s);
	assert_true(s.closed);
	assert_int_equal(s.why.code, ERR_VIOLATION);
	assert_int_equal(s.n, 0);
	fd_close(&peer);
}

static int
count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
test_violations(UNUSED void **state)
{
	int fds[MSG_MAX_FDS], before;
	char large[100] = "\1\0\0\1";

	expect_violation("\1\0\0\3\3\0\0\0\1", 9, NULL, 0); /* wrong state */
	expect_violation("\1\0\0\7\3\0\0\0\1", 9, NULL, 0); /* unknown */
	expect_violation("\1\0\0\1\2\0\1", 7, NULL, 0); /* wrong field */
	expect_violation("\2\0\0\1\3\0\0\0\1", 9, NULL, 0); /* version */
	expect_violation("\1\1\0\1\3\0\0\0\1", 9, NULL, 0); /* says one fd */
	expect_violation(large, sizeof(large), NULL, 0);
	for (size_t i = 0; i < MSG_MAX_FDS; i++)
		fds[i] = 2;
	before = count_fds();
	expect_violation("\1\1\0\1\3\0\0\0\1", 9, fds, 1);
	expect_violation("\1\1\0\2", 4, fds, MSG_MAX_FDS);
	expect_violation("\1\2\0\2", 4, fds, 2);
	assert_int_equal(count_fds(), before);
}

static void
test_fd(UNUSED void **state)
{
	struct seen s;
	struct buf *b;
	struct err e;
	int peer, pipes[2], before;
	char c = 0;

	start(&s, &peer);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	before = count_fds();
	b = chan_frame();
	msg_begin(b, 2, 1);
	assert_int_equal(
	    chan_send_wait(peer, b, &pipes[1], 1, clock_mono_ms() + 1000, &e),
	    0);
	turn(&s);
	assert_int_equal(s.n, 1);
	assert_int_equal(count_fds(), before + 1);
	assert_int_equal(fcntl(s.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(s.fd, "x", 1), 1);
	assert_int_equal(read(pipes[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	fd_close(&s.fd);
	fd_close(&pipes[0]);
	fd_close(&pipes[1]);
	chan_free(&s.chan);
	fd_close(&peer);
}

static void
test_free_in_handler(UNUSED void **state)
{
	struct seen s;
	int peer;

	start(&s, &peer);
	s.free_in_handler = true;
	send_number(peer, 1, 1);
	send_number(peer, 1, 2);
	turn(&s);
	assert_int_equal(s.n, 1);
	assert_null(s.chan);
	assert_false(s.closed);
	fd_close(&peer);
}

static int
on_lost(UNUSED struct chan *c, struct msg_in *in, void *arg, struct err *e)
{
	struct seen *s = arg;

	s->lost++;
	s->why = *e;
	s->last = msg_get_u32(in);
	return msg_end(in, e);
}

/* A message of a kind that brings no descriptor. */
static void
send_lie(int peer)
{
	struct err e;
	int fd = 2;

	assert_int_equal(
	    fd_send(peer, str_make("\1\1\0\1\3\0\0\0\1", 9), &fd, 1, true, &e),
	    STEP_DONE);
}

static void
send_with_fd(int peer, uint32_t v)
{
	struct buf *b = chan_frame();
	struct err e;
	int fd = 2;

	msg_begin(b, 2, 1);
	msg_put_u32(b, v);
	assert_int_equal(
	    chan_send_wait(peer, b, &fd, 1, clock_mono_ms() + 1000, &e), 0);
}

/* No number is left for a descriptor that comes: the sender has done nothing. */
static void
test_no_descriptors_left(UNUSED void **state)
{
	struct chan_def hears = def;
	struct rlimit had, none;
	struct seen s;
	int peer;

	hears.on_lost = on_lost;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = had.rlim_max};
	for (int with = 0; with < 2; with++) {
		start_with(&s, &peer, with ? &hears : &def);
		send_with_fd(peer, 7);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		turn(&s);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
		assert_int_equal(s.why.code, ERR_SYS);
		assert_int_equal(s.why.sys, EMFILE);
		assert_int_equal(s.n, 0);
		assert_int_equal(s.closed, !with);
		if (with) {
			assert_int_equal(s.lost, 1);
			assert_int_equal(s.last, 7);
			send_number(peer, 1, 42);
			turn(&s);
			assert_int_equal(s.n, 1);
			assert_int_equal(s.last, 42);
			chan_free(&s.chan);
		}
		fd_close(&peer);
	}
	/* A lie is one all the same. */
	start_with(&s, &peer, &hears);
	send_lie(peer);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turn(&s);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
	assert_true(s.closed);
	assert_int_equal(s.why.code, ERR_VIOLATION);
	assert_int_equal(s.lost, 0);
	fd_close(&peer);
}

/* Fills the peer's socket, then the queue; all arrives in order. */
static void
test_queue(UNUSED void **state)
{
	static char filler[3000];
	struct seen s;
	struct buf *b, room;
	struct err e;
	struct msg_in in;
	int peer, got_fd, pipes[2];
	uint32_t sent = 0, got = 0;

	start(&s, &peer);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	for (;; sent++) {
		b = chan_frame();
		msg_begin(b, 9, 1);
		msg_put_u32(b, sent);
		msg_put_blob(b, str_make(filler, sizeof(filler)));
		if (chan_send(s.chan, b, &pipes[0], 1, &e) == -1)
			break;
	}
	assert_int_equal(e.code, ERR_LIMIT);
	assert_true(chan_queued(s.chan) > 290000);
	buf_init(&room, MSG_MAX_BYTES);
	for (; got < sent; got++) {
		turn(&s);
		assert_int_equal(chan_recv_wait(peer, 9, &room, &in, &got_fd, 1,
				     clock_mono_ms() + 1000, &e),
		    0);
		assert_int_equal(msg_get_u32(&in), got);
		fd_close(&got_fd);
	}
	assert_int_equal(chan_queued(s.chan), 0);
	assert_int_equal(chan_recv_wait(peer, 9, &room, &in, NULL, 0,
			     clock_mono_ms() + 10, &e),
	    -1);
	assert_int_equal(e.code, ERR_TIMEOUT);
	/* Peer gone: the sender hears of it, from the loop. */
	fd_close(&peer);
	b = chan_frame();
	msg_begin(b, 9, 0);
	assert_int_equal(chan_send(s.chan, b, NULL, 0, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
	assert_false(s.closed);
	turn(&s);
	assert_true(s.closed);
	buf_done(&room);
	fd_close(&pipes[0]);
	fd_close(&pipes[1]);
}

/* A peer that ends with unread mail is still heard to its end. */
static void
test_last_words(UNUSED void **state)
{
	struct seen s;
	struct buf *b;
	struct err e;
	int peer;

	start(&s, &peer);
	b = chan_frame();
	msg_begin(b, 9, 0);
	assert_int_equal(chan_send(s.chan, b, NULL, 0, &e), 0);
	send_number(peer, 1, 42);
	fd_close(&peer);
	turn(&s);
	assert_int_equal(s.n, 1);
	assert_true(s.closed);
	assert_int_equal(s.why.code, ERR_CLOSED);
}

static void
test_recv_wait_refuses(UNUSED void **state)
{
	struct buf room;
	struct msg_in in;
	struct err e;
	int pair[2], fd = 2, before;

	assert_int_equal(fd_pair(pair, &e), 0);
	buf_init(&room, 100);
	before = count_fds();
	(void)fd_send(pair[0], STR("\1\1\0\5"), &fd, 1, true, &e);
	assert_int_equal(chan_recv_wait(pair[1], 5, &room, &in, NULL, 0,
			     clock_mono_ms() + 100, &e),
	    -1);
	assert_int_equal(e.code, ERR_VIOLATION);
	send_number(pair[0], 6, 1);
	assert_int_equal(chan_recv_wait(pair[1], 5, &room, &in, NULL, 0,
			     clock_mono_ms() + 100, &e),
	    -1);
	assert_int_equal(e.code, ERR_VIOLATION);
	send_number(pair[0], 6, 1);
	assert_int_equal(chan_recv_wait(pair[1], 0, &room, &in, NULL, 0,
			     clock_mono_ms() + 100, &e),
	    0);
	assert_int_equal(count_fds(), before);
	buf_done(&room);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_dispatch),
	    cmocka_unit_test(test_violations), cmocka_unit_test(test_fd),
	    cmocka_unit_test(test_no_descriptors_left),
	    cmocka_unit_test(test_free_in_handler),
	    cmocka_unit_test(test_queue), cmocka_unit_test(test_last_words),
	    cmocka_unit_test(test_recv_wait_refuses)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
