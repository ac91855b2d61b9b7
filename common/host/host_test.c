/* SPDX-License-Identifier: ISC */
/*
 * host_test.c - a process with a service that echoes lines; the test plays
 * master, and the clients.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/host.h"
#include "ipc/chan_session.h"
#include "ipc/chan_wait.h"
#include "ipc/child.h"
#include "ipc/handoff.h"
#include "os/fd.h"

#define WAIT_MS 10000

/* ---- instead of the real store ------------------------------------------- */

int
store_open(const struct store_settings *set, UNUSED struct ev_loop *loop,
    struct store **out, struct err *e)
{
	if (strcmp(set->mail_location, "broken") == 0)
		return err_set(e, ERR_PERM, "no such luck");
	*out = NULL;
	return 0;
}

void
store_rest(UNUSED struct store *s)
{
}

void
store_close(UNUSED struct store **s)
{
}

bool
store_share_next(UNUSED struct str *rest, UNUSED struct store_share *out)
{
	return false;
}

void
store_on_share(UNUSED struct store *s,
    UNUSED void (*fn)(void *arg, const struct store_shared *), UNUSED void *arg)
{
}

int
store_places(const struct store_settings *set,
    int (*fn)(const char *path, void *arg, struct err *e), void *arg,
    struct err *e)
{
	return fn(set->home, arg, e);
}

/* ---- a service ----------------------------------------------------------- */

struct echo {
	struct host *h;
	struct conn *c;
	unsigned count; /* lines to count out, a turn each */
	char state[32];
};

static void
echo_end(struct echo *s)
{
	host_session_note(s->h, s, "why=test");
	host_session_ended(s->h, s);
	conn_free(&s->c);
	free(s);
}

static void
echo_line(struct echo *s, struct str line)
{
	char path[200], byte;
	int fd;

	(void)snprintf(
	    s->state, sizeof(s->state), "%.*s", STR_ARG(str_head(line, 20)));
	if (str_eq(line, STR("count"))) {
		s->count = 3;
		host_wake(s->h, s);
		return;
	}
	if (str_starts(line, STR("read "))) {
		if (!str_to_c(str_skip(line, 5), path, sizeof(path)))
			return;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd == -1 || read(fd, &byte, 1) == -1)
			conn_write_str(s->c, str_of(strerrorname_np(errno)));
		else
			conn_write_str(s->c, STR("fine"));
		conn_write_str(s->c, STR("\n"));
		if (fd != -1)
			close(fd);
		return;
	}
	conn_write_str(s->c, line);
	conn_write_str(s->c, STR("\n"));
}

static void
echo_input(struct conn *c, void *arg)
{
	struct echo *s = arg;
	struct str in = conn_peek(c), line;

	while (str_find(in, '\n') != in.n) {
		size_t n = str_find(in, '\n');

		line = str_head(in, n);
		if (str_eq(line, STR("quit"))) {
			echo_end(s);
			return;
		}
		echo_line(s, line);
		conn_consume(c, n + 1);
		in = conn_peek(c);
	}
	if (conn_at_eof(c))
		echo_end(s);
}

static void
echo_drain(UNUSED struct conn *c, UNUSED void *arg)
{
}

static void
echo_close(UNUSED struct conn *c, UNUSED const struct err *why, void *arg)
{
	echo_end(arg);
}

static const struct conn_handlers echo_handlers = {
    echo_input, echo_drain, echo_close};

static void *
echo_new(struct host *h, struct conn *c, const struct host_peer *p)
{
	struct echo *s;

	if (str_eq(p->tag, STR("refuse"))) {
		conn_write_str(c, STR("no\n"));
		return NULL;
	}
	s = mem_new(1, sizeof(*s));
	s->h = h;
	s->c = c;
	conn_set_handlers(c, &echo_handlers, s);
	conn_write_str(c, STR("hello "));
	conn_write_str(c, p->tag);
	conn_write_str(c, STR(" "));
	conn_write_str(c, p->user);
	conn_write_str(c, STR("\n"));
	return s;
}

static bool
echo_turn(void *session)
{
	struct echo *s = session;
	char line[20];

	(void)snprintf(line, sizeof(line), "%u\n", s->count);
	conn_write_str(s->c, str_of(line));
	return s->count-- > 1;
}

static void
echo_say_bye(void *session, const char *why)
{
	struct echo *s = session;

	conn_write_str(s->c, STR("bye "));
	conn_write_str(s->c, str_of(why));
	conn_write_str(s->c, STR("\n"));
	conn_finish(s->c);
}

static const char *
echo_state(void *session)
{
	return ((struct echo *)session)->state;
}

static const struct host_ops echo_ops = {
    .service = "echo",
    .session_new = echo_new,
    .session_turn = echo_turn,
    .session_end = echo_say_bye,
    .session_state = echo_state,
};

/* ---- the process, and master's side of it -------------------------------- */

struct fixture {
	char home[64];
	pid_t pid;
	int master, log;
	struct buf room;
};

static int
start(struct fixture *f, const char *more_settings)
{
	char settings[400];
	int master[2], log[2], fd;
	struct err e;

	(void)snprintf(f->home, sizeof(f->home), "/tmp/host_test.XXXXXX");
	assert_non_null(mkdtemp(f->home));
	(void)snprintf(settings, sizeof(settings),
	    "user = joe\nhome = %s\nlog_level = debug\n%s", f->home,
	    more_settings);
	assert_int_equal(fd_pair(master, &e), 0);
	assert_int_equal(fd_pair(log, &e), 0);
	fd = fd_memfile("settings", str_of(settings), &e);
	assert_true(fd != -1);
	f->pid = fork();
	assert_true(f->pid != -1);
	if (f->pid == 0) {
		static char name[] = "echod";
		char *argv[] = {name, NULL};

		(void)dup2(master[1], 103);
		(void)dup2(log[1], 104);
		(void)dup2(fd, 105);
		(void)dup2(103, CHILD_FD_MASTER);
		(void)dup2(104, CHILD_FD_LOG);
		(void)dup2(105, CHILD_FD_SETTINGS);
		for (fd = 6; fd < 110; fd++)
			(void)close(fd);
		_exit(host_main(1, argv, &echo_ops));
	}
	close(master[1]);
	close(log[1]);
	close(fd);
	f->master = master[0];
	f->log = log[0];
	buf_init(&f->room, MSG_MAX_BYTES);
	return 0;
}

static void
finish(struct fixture *f, bool may_be_alive)
{
	int status;

	if (may_be_alive)
		(void)kill(f->pid, SIGKILL);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	if (!may_be_alive)
		assert_int_equal(status, 0);
	if (f->master != -1)
		close(f->master);
	close(f->log);
	buf_done(&f->room);
	(void)rmdir(f->home);
}

/* Sends a connection; returns the client's end. */
static int
connect_as(struct fixture *f, uint64_t session, const char *tag,
    const struct handoff *ho)
{
	struct session_connection m = {
	    .session = session,
	    .tag = str_of(tag),
	    .user = STR("joe"),
	    .remote_ip = STR("192.0.2.7"),
	    .local_ip = STR("192.0.2.1"),
	};
	int client[2], left[2], fds[2];
	struct buf frame;
	struct err e;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, client), 0);
	assert_int_equal(fd_pair(left, &e), 0);
	buf_init(&frame, MSG_MAX_BYTES);
	if (ho != NULL) {
		handoff_write(ho, &frame);
		assert_int_equal(
		    fd_send(left[0], buf_str(&frame), NULL, 0, true, &e),
		    STEP_DONE);
		buf_clear(&frame);
	}
	session_connection_write(&m, &frame);
	fds[0] = client[1];
	fds[1] = left[1];
	assert_int_equal(chan_send_wait(f->master, &frame, fds, 2,
			     clock_mono_ms() + WAIT_MS, &e),
	    0);
	buf_done(&frame);
	close(client[1]);
	close(left[0]);
	close(left[1]);
	return client[0];
}

static void
expect_number(struct fixture *f, uint16_t type, uint64_t session)
{
	struct msg_in in;
	uint64_t got;
	struct err e;

	if (chan_recv_wait(f->master, type, &f->room, &in, NULL, 0,
		clock_mono_ms() + WAIT_MS, &e) == -1)
		fail_msg("waiting for %u: %s", type, e.text);
	assert_int_equal(session_number_parse(&in, &got, &e), 0);
	assert_int_equal(got, session);
}

static void
expect_text(
    struct fixture *f, uint16_t type, uint64_t session, const char *text)
{
	struct session_text m;
	struct msg_in in;
	struct err e;

	if (chan_recv_wait(f->master, type, &f->room, &in, NULL, 0,
		clock_mono_ms() + WAIT_MS, &e) == -1)
		fail_msg("waiting for %u: %s", type, e.text);
	assert_int_equal(session_text_parse(&in, &m, &e), 0);
	assert_int_equal(m.session, session);
	if (!str_eq(m.text, str_of(text)))
		fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(m.text), text);
}

static void
expect_leaving(struct fixture *f)
{
	struct msg_in in;
	struct err e;

	if (chan_recv_wait(f->master, SESSION_LEAVING, &f->room, &in, NULL, 0,
		clock_mono_ms() + WAIT_MS, &e) == -1)
		fail_msg("waiting for LEAVING: %s", e.text);
}

/* Reads exactly these bytes; "" for the end. */
static void
expect_bytes(int fd, const char *want)
{
	char got[200];
	size_t n = 0, len = strlen(want);
	struct err e;
	ssize_t r;

	do {
		assert_int_equal(
		    fd_wait(fd, false, clock_mono_ms() + WAIT_MS, &e), 0);
		r = read(fd, got + n, len == 0 ? 1 : len - n);
		assert_true(r >= 0);
		n += (size_t)r;
	} while (n < len && r > 0);
	got[n] = '\0';
	assert_string_equal(got, want);
}

static void
say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static const struct handoff plain = {.version = 0};

/* ---- tests --------------------------------------------------------------- */

static void
test_sessions_come_and_go(UNUSED void **state)
{
	struct handoff ahead = {.unread = STR("already here\n")};
	struct fixture f;
	int a, b;

	start(&f, "process_linger = 0\n");
	expect_leaving(&f);
	/* It waits for master all the same. */
	a = connect_as(&f, 7, "a1", &plain);
	expect_number(&f, SESSION_HAVE, 7);
	expect_bytes(a, "hello a1 joe\n");
	b = connect_as(&f, 8, "b1", &ahead);
	expect_number(&f, SESSION_HAVE, 8);
	expect_bytes(b, "hello b1 joe\nalready here\n");
	say(a, "one\n");
	expect_bytes(a, "one\n");
	say(a, "count\n");
	expect_bytes(a, "3\n2\n1\n");
	say(b, "quit\n");
	expect_bytes(b, "");
	expect_number(&f, SESSION_END, 8);
	expect_text(&f, SESSION_STATE, 7, "count");
	close(a);
	expect_number(&f, SESSION_END, 7);
	expect_leaving(&f);
	close(b);
	close(f.master);
	f.master = -1;
	finish(&f, false);
}

static void
test_kick_and_stop(UNUSED void **state)
{
	struct buf frame;
	struct fixture f;
	struct err e;
	int a, b;

	buf_init(&frame, MSG_MAX_BYTES);
	start(&f, "");
	a = connect_as(&f, 1, "a", &plain);
	b = connect_as(&f, 2, "b", &plain);
	expect_number(&f, SESSION_HAVE, 1);
	expect_number(&f, SESSION_HAVE, 2);
	expect_bytes(a, "hello a joe\n");
	expect_bytes(b, "hello b joe\n");
	session_text_write(SESSION_KICK,
	    &(struct session_text){.session = 2, .text = STR("out")}, &frame);
	assert_int_equal(chan_send_wait(f.master, &frame, NULL, 0,
			     clock_mono_ms() + WAIT_MS, &e),
	    0);
	expect_bytes(b, "bye out\n");
	expect_number(&f, SESSION_END, 2);
	say(a, "still here\n");
	expect_bytes(a, "still here\n");
	session_stop_write(STR("over"), &frame);
	assert_int_equal(chan_send_wait(f.master, &frame, NULL, 0,
			     clock_mono_ms() + WAIT_MS, &e),
	    0);
	expect_bytes(a, "bye over\n");
	expect_bytes(a, "");
	finish(&f, false);
	close(a);
	close(b);
	buf_done(&frame);
}

static void
test_sessions_outlive_master(UNUSED void **state)
{
	struct fixture f;
	int a;

	start(&f, "");
	a = connect_as(&f, 1, "a", &plain);
	expect_number(&f, SESSION_HAVE, 1);
	expect_bytes(a, "hello a joe\n");
	close(f.master);
	f.master = -1;
	say(a, "one\n");
	expect_bytes(a, "one\n");
	say(a, "quit\n");
	expect_bytes(a, "");
	finish(&f, false);
	close(a);
}

static void
test_term_says_bye(UNUSED void **state)
{
	struct fixture f;
	int a;

	start(&f, "");
	a = connect_as(&f, 1, "a", &plain);
	expect_number(&f, SESSION_HAVE, 1);
	expect_bytes(a, "hello a joe\n");
	assert_int_equal(kill(f.pid, SIGTERM), 0);
	expect_bytes(a, "bye Server is shutting down\n");
	finish(&f, false);
	close(a);
}

static void
test_what_can_not_be_served_is_refused(UNUSED void **state)
{
	struct handoff tls = {
	    .version = 0x0304, .suite = 0x1304, /* AES-128-CCM: not ours */
	};
	uint8_t bytes[32] = {0};
	struct fixture f;
	int a;

	tls.read.key = tls.write.key = str_make(bytes, 16);
	tls.read.iv = tls.write.iv = str_make(bytes, 12);
	tls.read.secret = tls.write.secret = str_make(bytes, 32);
	start(&f, "");
	a = connect_as(&f, 1, "a", NULL);
	expect_text(&f, SESSION_REFUSE, 1, "the peer has closed");
	expect_bytes(a, ""); /* not a byte went to the client */
	close(a);
	a = connect_as(&f, 2, "a", &tls);
	expect_text(&f, SESSION_REFUSE, 2, "TLS version 0304 suite 1304");
	expect_bytes(a, "");
	close(a);
	/* The service itself may say no. */
	a = connect_as(&f, 3, "refuse", &plain);
	expect_number(&f, SESSION_HAVE, 3);
	expect_number(&f, SESSION_END, 3);
	expect_bytes(a, "no\n");
	expect_bytes(a, "");
	close(a);
	a = connect_as(&f, 4, "a", &plain);
	expect_number(&f, SESSION_HAVE, 4);
	close(a);
	finish(&f, true);
}

static void
test_broken_mail_place(UNUSED void **state)
{
	struct fixture f;
	int a;

	start(&f, "mail_location = broken\n");
	a = connect_as(&f, 1, "a", &plain);
	expect_text(&f, SESSION_REFUSE, 1,
	    "can not open the mail of joe: no such luck");
	expect_bytes(a, "");
	close(a);
	finish(&f, false); /* the next connection finds a new process */
}

static void
test_only_the_users_places(UNUSED void **state)
{
	char line[200];
	struct fixture f;
	int a, fd;

	start(&f, "");
	(void)snprintf(line, sizeof(line), "%s/x", f.home);
	fd = open(line, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	close(fd);
	a = connect_as(&f, 1, "a", &plain);
	expect_number(&f, SESSION_HAVE, 1);
	expect_bytes(a, "hello a joe\n");
	(void)snprintf(line, sizeof(line), "read %s/x\n", f.home);
	say(a, line);
	expect_bytes(a, "fine\n");
	say(a, "read /etc/passwd\n");
	expect_bytes(a, "EACCES\n");
	say(a, "read /proc/self/maps\n");
	expect_bytes(a, "EACCES\n");
	(void)snprintf(line, sizeof(line), "%s/x", f.home);
	assert_int_equal(unlink(line), 0);
	finish(&f, true);
	close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sessions_come_and_go),
	    cmocka_unit_test(test_kick_and_stop),
	    cmocka_unit_test(test_sessions_outlive_master),
	    cmocka_unit_test(test_term_says_bye),
	    cmocka_unit_test(test_what_can_not_be_served_is_refused),
	    cmocka_unit_test(test_broken_mail_place),
	    cmocka_unit_test(test_only_the_users_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
