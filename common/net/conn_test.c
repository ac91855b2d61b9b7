/* SPDX-License-Identifier: ISC */
/* conn_test.c - streams with slow, silent, rude and vanished peers. */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/deflate.h"
#include "net/tls_record.h"

struct fixture {
	struct ev_loop *loop;
	struct conn *c;
	int peer;
	ev_timer guard;
	ev_io peer_io;

	/* what the handlers saw */
	unsigned inputs, drains, closes;
	enum err_code why;
	struct buf got; /* by the owner */
	bool hold; /* leave input unconsumed */
	bool free_in_handler, stop_on_input, bye;
	size_t most_queued, most_in;

	/* a producer */
	size_t to_write;
	uint32_t next_byte;

	/* the peer's side */
	struct buf received;
	size_t peer_reads_at_most, peer_stops_at;
};

static void
on_guard(struct ev_loop *loop, UNUSED ev_timer *w, UNUSED int revents)
{
	fprintf(stderr, "the test hangs\n");
	ev_break(loop, EVBREAK_ALL);
	abort();
}

static void
on_input(struct conn *c, void *arg)
{
	struct fixture *f = arg;
	struct str in = conn_peek(c);

	f->inputs++;
	if (in.n > f->most_in)
		f->most_in = in.n;
	if (!f->hold) {
		buf_add_str(&f->got, in);
		conn_consume(c, in.n);
	}
	if (f->free_in_handler)
		conn_free(&f->c);
	if (f->stop_on_input)
		ev_break(f->loop, EVBREAK_ALL);
}

static void
produce(struct fixture *f)
{
	char *room;
	size_t i, n;

	while (f->to_write > 0 && !conn_is_full(f->c)) {
		n = f->to_write < 10000 ? f->to_write : 10000;
		room = conn_write_room(f->c, n);
		for (i = 0; i < n; i++)
			room[i] = (char)(f->next_byte++ * 2654435761U >> 24);
		conn_written(f->c, n);
		f->to_write -= n;
		if (conn_queued(f->c) > f->most_queued)
			f->most_queued = conn_queued(f->c);
	}
	if (f->to_write == 0)
		conn_finish(f->c);
}

static void
on_drain(UNUSED struct conn *c, void *arg)
{
	struct fixture *f = arg;

	f->drains++;
	produce(f);
}

static void
on_close(struct conn *c, const struct err *why, void *arg)
{
	struct fixture *f = arg;

	f->closes++;
	f->why = why->code;
	if (f->bye) {
		conn_write_str(c, STR("bye\r\n"));
		conn_flush(c);
	}
	conn_free(&f->c);
	ev_break(f->loop, EVBREAK_ALL);
}

static const struct conn_handlers handlers = {on_input, on_drain, on_close};

static void
on_peer(struct ev_loop *loop, ev_io *w, UNUSED int revents)
{
	struct fixture *f = w->data;
	char *room = buf_room(&f->received, f->peer_reads_at_most);
	ssize_t n = read(f->peer, room, f->peer_reads_at_most);

	if (n > 0)
		f->received.n += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		ev_io_stop(loop, w);
	if (f->received.n >= f->peer_stops_at)
		ev_break(loop, EVBREAK_ALL);
}

static void
peer_starts_reading(struct fixture *f, size_t at_once)
{
	f->peer_reads_at_most = at_once;
	ev_io_start(f->loop, &f->peer_io);
}

static int
setup(void **state)
{
	struct fixture *f = mem_new(1, sizeof(*f));
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	f->loop = ev_loop_new(EVFLAG_AUTO);
	f->peer = sv[1];
	assert_int_equal(fcntl(f->peer, F_SETFL, O_NONBLOCK), 0);
	f->peer_stops_at = SIZE_MAX;
	buf_init(&f->got, 1 << 30);
	buf_init(&f->received, 1 << 30);
	f->c = conn_new(f->loop, sv[0], sv[0], &handlers, f);
	ev_timer_init(&f->guard, on_guard, 20., 0.);
	ev_timer_start(f->loop, &f->guard);
	ev_io_init(&f->peer_io, on_peer, f->peer, EV_READ);
	f->peer_io.data = f;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ev_timer_stop(f->loop, &f->guard);
	ev_io_stop(f->loop, &f->peer_io);
	conn_free(&f->c);
	ev_loop_destroy(f->loop);
	close(f->peer);
	buf_done(&f->got);
	buf_done(&f->received);
	free(f);
	conn_trim();
	return 0;
}

static void
test_bytes_go_both_ways(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->peer, "hello", 5), 5);
	f->stop_on_input = true;
	ev_run(f->loop, 0);
	assert_true(str_eq(buf_str(&f->got), STR("hello")));
	assert_int_equal(conn_bytes_in(f->c), 5);
	conn_write_str(f->c, STR("one "));
	conn_write_str(f->c, STR("two"));
	f->peer_stops_at = 7;
	peer_starts_reading(f, 100);
	ev_run(f->loop, 0);
	assert_true(str_eq(buf_str(&f->received), STR("one two")));
	assert_int_equal(conn_bytes_out(f->c), 7);
	assert_int_equal(conn_queued(f->c), 0);
}

static void
test_partly_consumed_input_stays(void **state)
{
	struct fixture *f = *state;

	f->hold = f->stop_on_input = true;
	assert_int_equal(write(f->peer, "abcdef", 6), 6);
	ev_run(f->loop, 0);
	conn_consume(f->c, 4);
	assert_true(str_eq(conn_peek(f->c), STR("ef")));
	assert_int_equal(write(f->peer, "gh", 2), 2);
	ev_run(f->loop, 0);
	assert_true(str_eq(conn_peek(f->c), STR("efgh")));
}

/* 8 MiB to a reader of 1,000 bytes at a time. */
static void
test_slow_reader(void **state)
{
	struct fixture *f = *state;
	size_t i, total = 8 << 20;

	f->to_write = total;
	produce(f);
	assert_true(f->to_write > 0); /* or there is no back-pressure */
	assert_true(conn_is_full(f->c));
	peer_starts_reading(f, 1000);
	ev_run(f->loop, 0);
	assert_int_equal(f->why, ERR_CLOSED);
	/* What had been sent lies in the kernel still. */
	f->peer_stops_at = total;
	while (f->received.n < total)
		ev_run(f->loop, EVRUN_ONCE);
	assert_int_equal(f->received.n, total);
	for (i = 0; i < total; i++)
		assert_int_equal((unsigned char)f->received.p[i],
		    (uint32_t)i * 2654435761U >> 24);
	assert_true(f->most_queued < 300 * 1024);
	assert_true(f->drains > 10);
}

static void
test_input_nobody_wants_stays_in_the_kernel(void **state)
{
	struct fixture *f = *state;
	char block[4096] = {0};
	ssize_t n;
	size_t sent = 0;
	int i;

	f->hold = true;
	for (i = 0; i < 2000; i++) {
		n = write(f->peer, block, sizeof(block));
		if (n > 0)
			sent += (size_t)n;
		ev_run(f->loop, EVRUN_NOWAIT);
	}
	assert_true(sent > 128 * 1024);
	assert_true(f->most_in <= 192 * 1024);
	/* It goes on where it was. */
	f->hold = false;
	conn_consume(f->c, conn_peek(f->c).n);
	for (i = 0; i < 100; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(conn_bytes_in(f->c), sent);
}

static void
test_want_input_off(void **state)
{
	struct fixture *f = *state;
	int i;

	conn_want_input(f->c, false);
	assert_int_equal(write(f->peer, "x", 1), 1);
	for (i = 0; i < 5; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(f->inputs, 0);
	conn_want_input(f->c, true);
	f->stop_on_input = true;
	ev_run(f->loop, 0);
	assert_int_equal(f->inputs, 1);
}

static void
test_half_close(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->peer, "QUIT", 4), 4);
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	while (!conn_at_eof(f->c))
		ev_run(f->loop, EVRUN_ONCE);
	assert_true(str_eq(buf_str(&f->got), STR("QUIT")));
	/* The way back is open. */
	conn_write_str(f->c, STR("+OK\r\n"));
	conn_finish(f->c);
	ev_run(f->loop, 0);
	assert_int_equal(f->why, ERR_CLOSED);
	assert_int_equal(f->closes, 1);
	f->received.n = (size_t)read(f->peer, buf_room(&f->received, 10), 10);
	assert_true(str_eq(buf_str(&f->received), STR("+OK\r\n")));
}

static void
test_eof_is_not_lost_behind_held_input(void **state)
{
	struct fixture *f = *state;

	f->hold = true;
	assert_int_equal(write(f->peer, "abc", 3), 3);
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	while (f->inputs < 2)
		ev_run(f->loop, EVRUN_ONCE);
	assert_false(conn_at_eof(f->c));
	conn_consume(f->c, 3);
	assert_true(conn_at_eof(f->c));
}

static void
test_timeout_and_last_words(void **state)
{
	struct fixture *f = *state;

	f->bye = true;
	conn_set_timeout(f->c, 30);
	ev_run(f->loop, 0);
	assert_int_equal(f->why, ERR_TIMEOUT);
	f->received.n = (size_t)read(f->peer, buf_room(&f->received, 10), 10);
	assert_true(str_eq(buf_str(&f->received), STR("bye\r\n")));
}

static void
write_now(struct ev_loop *loop, ev_timer *w, UNUSED int revents)
{
	struct fixture *f = w->data;

	assert_int_equal(write(f->peer, ".", 1), 1);
	if (f->inputs >= 5)
		ev_timer_stop(loop, w);
}

static void
test_activity_puts_the_timeout_off(void **state)
{
	struct fixture *f = *state;
	ev_timer t;
	double begun = ev_time();

	/* Far apart: a busy machine may stop this program for a while. */
	ev_timer_init(&t, write_now, 0.3, 0.3);
	t.data = f;
	ev_timer_start(f->loop, &t);
	conn_set_timeout(f->c, 1200);
	ev_run(f->loop, 0);
	assert_int_equal(f->why, ERR_TIMEOUT);
	assert_true(f->inputs >= 5);
	assert_true(ev_time() - begun > 1.5);
}

static void
test_peer_vanishes(void **state)
{
	struct fixture *f = *state;
	char block[60000] = {0};

	close(f->peer);
	f->peer = -1;
	conn_write(f->c, block, sizeof(block));
	ev_run(f->loop, 0);
	assert_int_equal(f->why, ERR_CLOSED);
	assert_int_equal(f->closes, 1);
}

static void
test_free_inside_a_handler(void **state)
{
	struct fixture *f = *state;

	f->free_in_handler = f->stop_on_input = true;
	assert_int_equal(write(f->peer, "x", 1), 1);
	conn_write_str(f->c, STR("lost or not"));
	ev_run(f->loop, 0);
	assert_null(f->c);
}

static void
test_unread_comes_first(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->peer, " world", 6), 6);
	conn_unread(f->c, STR("hello"));
	while (f->got.n < 11)
		ev_run(f->loop, EVRUN_ONCE);
	assert_true(str_eq(buf_str(&f->got), STR("hello world")));
}

static void
test_expected_bytes_come_at_once(void **state)
{
	static const char block[20000];
	struct fixture *f = *state;

	conn_expect(f->c, sizeof(block));
	f->stop_on_input = true;
	for (unsigned i = 1; i <= 2; i++) {
		f->got.n = 0;
		assert_int_equal(
		    write(f->peer, block, sizeof(block)), sizeof(block));
		ev_run(f->loop, 0);
		assert_int_equal(f->inputs, i);
		/* It was said of the first ones alone. */
		assert_true((f->got.n == sizeof(block)) == (i == 1));
	}
}

static void
test_new_owner_hears_of_old_input(void **state)
{
	struct fixture *f = *state, other = *f;

	f->hold = f->stop_on_input = true;
	assert_int_equal(write(f->peer, "left", 4), 4);
	ev_run(f->loop, 0);
	other.stop_on_input = true;
	conn_set_handlers(f->c, &handlers, &other);
	ev_run(f->loop, 0);
	assert_true(str_eq(buf_str(&other.got), STR("left")));
	buf_done(&other.got);
}

/* ---- DEFLATE ------------------------------------------------------------- */

static struct str
peer_packs(struct deflate *d, struct str plain, struct buf *out)
{
	struct err e;

	assert_int_equal(deflate_pack(d, plain, true, out, &e), 0);
	return buf_str(out);
}

static void
test_deflate_begins_behind_the_reply(void **state)
{
	struct fixture *f = *state;
	struct deflate *d;
	struct buf packed, plain;
	struct str rest;
	struct err e;
	bool more;
	static const char reply[] = "a OK\r\n";

	buf_init(&packed, 1 << 20);
	buf_init(&plain, 1 << 20);
	assert_int_equal(deflate_new(&d, &e), 0);
	conn_write_str(f->c, STR("a OK\r\n"));
	assert_int_equal(conn_start_deflate(f->c, &e), 0);
	assert_true(conn_has_deflate(f->c));
	conn_write_str(f->c, STR("* compressed compressed compressed\r\n"));
	peer_packs(d, STR("b NOOP\r\n"), &packed);
	assert_int_equal(write(f->peer, packed.p, packed.n), packed.n);
	f->stop_on_input = true;
	ev_run(f->loop, 0);
	assert_true(str_eq(buf_str(&f->got), STR("b NOOP\r\n")));
	f->received.n = (size_t)read(f->peer, buf_room(&f->received, 999), 999);
	assert_true(str_starts(buf_str(&f->received), STR("a OK\r\n")));
	rest = str_skip(buf_str(&f->received), sizeof(reply) - 1);
	assert_int_equal(
	    deflate_unpack(d, &rest, 1 << 19, &plain, &more, &e), 0);
	assert_true(str_eq(
	    buf_str(&plain), STR("* compressed compressed compressed\r\n")));
	assert_int_equal(rest.n, 0);
	deflate_free(&d);
	buf_done(&packed);
	buf_done(&plain);
}

/* 32 MiB of zeros in 32 KiB: comes in pieces, as the owner takes them. */
static void
test_deflate_bomb_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct deflate *d;
	struct buf packed;
	struct err e;
	size_t total = 32 << 20, sent = 0;
	char *zeros = mem_new(total, 1);
	ssize_t n;

	buf_init(&packed, 1 << 20);
	assert_int_equal(deflate_new(&d, &e), 0);
	peer_packs(d, str_make(zeros, total), &packed);
	assert_int_equal(conn_start_deflate(f->c, &e), 0);
	while (conn_bytes_in(f->c) < total) {
		n = write(f->peer, packed.p + sent, packed.n - sent);
		if (n > 0)
			sent += (size_t)n;
		ev_run(f->loop, EVRUN_NOWAIT);
	}
	assert_int_equal(f->got.n, total);
	assert_true(f->most_in <= 128 * 1024);
	assert_memory_equal(f->got.p, zeros, total);
	free(zeros);
	deflate_free(&d);
	buf_done(&packed);
}

static void
test_broken_deflate_closes(void **state)
{
	struct fixture *f = *state;
	struct err e;

	assert_int_equal(conn_start_deflate(f->c, &e), 0);
	assert_int_equal(write(f->peer, "b NOOP\r\n", 8), 8);
	ev_run(f->loop, 0);
	assert_int_equal(f->why, ERR_VIOLATION);
}

/* ---- TLS ----------------------------------------------------------------- */

static struct tls_record *
tls_end(void)
{
	struct tls_state st = {.version = 0x0304, .suite = 0x1302};
	struct tls_record *t;
	struct err e;

	st.read.key_len = st.write.key_len = 32;
	st.read.secret_len = st.write.secret_len = 48;
	assert_int_equal(tls_record_new(&st, &t, &e), 0);
	return t;
}

/* Reads what the peer has got, and opens it. */
static void
peer_opens(
    struct fixture *f, struct tls_record *t, struct buf *plain, bool *closed)
{
	struct buf answer;
	struct err e;
	ssize_t n = read(f->peer, buf_room(&f->received, 100000), 100000);

	buf_init(&answer, 1000);
	if (n > 0)
		assert_int_equal(
		    tls_record_open(t, str_make(f->received.p, (size_t)n),
			plain, &answer, closed, &e),
		    0);
	assert_int_equal(answer.n, 0);
	buf_done(&answer);
}

static void
peer_seals(struct fixture *f, struct tls_record *t, struct str plain)
{
	struct buf wire;
	struct err e;

	buf_init(&wire, 1 << 20);
	assert_int_equal(tls_record_seal(t, plain, &wire, &e), 0);
	assert_int_equal(write(f->peer, wire.p, wire.n), wire.n);
	buf_done(&wire);
}

static void
test_tls_both_ways_and_the_end(void **state)
{
	struct fixture *f = *state;
	struct tls_record *peer = tls_end();
	struct buf plain;
	bool closed = false;

	buf_init(&plain, 1 << 20);
	conn_start_tls(f->c, tls_end());
	assert_true(conn_has_tls(f->c));
	peer_seals(f, peer, STR("a NOOP\r\n"));
	while (f->got.n < 8)
		ev_run(f->loop, EVRUN_ONCE);
	assert_true(str_eq(buf_str(&f->got), STR("a NOOP\r\n")));
	assert_int_equal(conn_bytes_in(f->c), 8);
	conn_write_str(f->c, STR("a OK\r\n"));
	conn_finish(f->c);
	ev_run(f->loop, 0);
	assert_int_equal(f->why, ERR_CLOSED);
	while (!closed)
		peer_opens(f, peer, &plain, &closed);
	assert_true(str_eq(buf_str(&plain), STR("a OK\r\n")));
	buf_done(&plain);
	tls_record_free(&peer);
}

static void
test_tls_close_notify_is_the_end_of_input(void **state)
{
	struct fixture *f = *state;
	struct tls_record *peer = tls_end();
	struct buf wire;

	buf_init(&wire, 1000);
	conn_start_tls(f->c, tls_end());
	tls_record_close(peer, &wire);
	assert_int_equal(write(f->peer, wire.p, wire.n), wire.n);
	while (!conn_at_eof(f->c))
		ev_run(f->loop, EVRUN_ONCE);
	buf_done(&wire);
	tls_record_free(&peer);
}

static void
test_tls_forgery_closes_with_an_alert(void **state)
{
	struct fixture *f = *state;
	struct tls_record *peer = tls_end();
	struct buf plain, answer;
	bool closed;
	struct err e;
	ssize_t n;

	buf_init(&plain, 1000);
	buf_init(&answer, 1000);
	conn_start_tls(f->c, tls_end());
	assert_int_equal(write(f->peer,
			     "\x17\x03\x03\0\x11"
			     "aaaaaaaaaaaaaaaaa",
			     22),
	    22);
	ev_run(f->loop, 0);
	assert_int_equal(f->why, ERR_VIOLATION);
	assert_int_equal(f->inputs, 0);
	n = read(f->peer, buf_room(&f->received, 1000), 1000);
	assert_true(n > 0);
	assert_int_equal(
	    tls_record_open(peer, str_make(f->received.p, (size_t)n), &plain,
		&answer, &closed, &e),
	    -1);
	assert_string_equal(e.text, "TLS: the peer sent alert 20");
	buf_done(&plain);
	buf_done(&answer);
	tls_record_free(&peer);
}

static void
test_wire_bytes_left_by_login(void **state)
{
	struct fixture *f = *state;
	struct tls_record *peer = tls_end();
	struct buf wire;
	struct err e;

	/* Half a record was read before us, half comes now. */
	buf_init(&wire, 1000);
	assert_int_equal(
	    tls_record_seal(peer, STR("b NOOP\r\n"), &wire, &e), 0);
	conn_start_tls(f->c, tls_end());
	conn_unread(f->c, STR("a NOOP\r\n"));
	conn_unread_wire(f->c, str_head(buf_str(&wire), 11));
	assert_int_equal(
	    write(f->peer, wire.p + 11, wire.n - 11), (ssize_t)wire.n - 11);
	while (f->got.n < 16)
		ev_run(f->loop, EVRUN_ONCE);
	assert_true(str_eq(buf_str(&f->got), STR("a NOOP\r\nb NOOP\r\n")));
	buf_done(&wire);
	tls_record_free(&peer);
}

static void
test_deflate_above_tls(void **state)
{
	struct fixture *f = *state;
	struct tls_record *peer = tls_end();
	struct deflate *d;
	struct buf packed, plain, text;
	struct str rest;
	bool closed, more;
	struct err e;
	size_t i;

	buf_init(&packed, 1 << 20);
	buf_init(&plain, 1 << 20);
	buf_init(&text, 1 << 20);
	assert_int_equal(deflate_new(&d, &e), 0);
	conn_start_tls(f->c, tls_end());
	conn_write_str(f->c, STR("a OK\r\n"));
	assert_int_equal(conn_start_deflate(f->c, &e), 0);
	for (i = 0; i < 2000; i++)
		conn_write_str(f->c, STR("* a line like all others\r\n"));
	peer_seals(f, peer, peer_packs(d, STR("b NOOP\r\n"), &packed));
	while (f->got.n < 8)
		ev_run(f->loop, EVRUN_ONCE);
	assert_true(str_eq(buf_str(&f->got), STR("b NOOP\r\n")));
	ev_run(f->loop, EVRUN_NOWAIT);
	peer_opens(f, peer, &plain, &closed);
	/* The reply as it is, then the rest packed. */
	assert_true(str_starts(buf_str(&plain), STR("a OK\r\n")));
	assert_true(plain.n < 2000);
	rest = str_skip(buf_str(&plain), 6);
	assert_int_equal(
	    deflate_unpack(d, &rest, 1 << 19, &text, &more, &e), 0);
	assert_int_equal(text.n, 2000 * 26);
	deflate_free(&d);
	tls_record_free(&peer);
	buf_done(&packed);
	buf_done(&plain);
	buf_done(&text);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_bytes_go_both_ways),
	    CASE(test_partly_consumed_input_stays),
	    CASE(test_slow_reader),
	    CASE(test_input_nobody_wants_stays_in_the_kernel),
	    CASE(test_want_input_off),
	    CASE(test_expected_bytes_come_at_once),
	    CASE(test_half_close),
	    CASE(test_eof_is_not_lost_behind_held_input),
	    CASE(test_timeout_and_last_words),
	    CASE(test_activity_puts_the_timeout_off),
	    CASE(test_peer_vanishes),
	    CASE(test_free_inside_a_handler),
	    CASE(test_unread_comes_first),
	    CASE(test_new_owner_hears_of_old_input),
	    CASE(test_deflate_begins_behind_the_reply),
	    CASE(test_deflate_bomb_is_bounded),
	    CASE(test_broken_deflate_closes),
	    CASE(test_tls_both_ways_and_the_end),
	    CASE(test_tls_close_notify_is_the_end_of_input),
	    CASE(test_tls_forgery_closes_with_an_alert),
	    CASE(test_wire_bytes_left_by_login),
	    CASE(test_deflate_above_tls),
	};

	(void)sigaction(
	    SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
