/* SPDX-License-Identifier: ISC */
/* spool_test.c - a user's process and its channel to spoold, which the test
 * plays; the channel closes at every moment. */
#include <ev.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "host/host_impl.h"
#include "ipc/chan_spool.h"
#include "ipc/chan_wait.h"
#include "os/fd.h"
#include "os/spool_lock.h"

static char dir[64], box[80];
static struct stat lock_stat;
static struct host h;
static struct buf room;
static int peer = -1; /* spoold's end */
static bool is_other_process; /* which must not read our end */

#define MUST(cond)                                                             \
	do {                                                                   \
		if (!(cond)) {                                                 \
			(void)fprintf(                                         \
			    stderr, "line %d: %s\n", __LINE__, #cond);         \
			_exit(1);                                              \
		}                                                              \
	} while (0)

static void
new_channel(void)
{
	struct err e;
	int fds[2];

	fd_close(&peer);
	MUST(fd_pair(fds, &e) == 0);
	peer = fds[1];
	MUST(fd_set_nonblock(fds[0], true, &e) == 0);
	spool_channel(&h, fds[0]);
}

static struct spool_lock_msg
next_lock(void)
{
	struct spool_lock_msg m;
	struct msg_in in;
	struct err e;

	MUST(chan_recv_wait(peer, SPOOL_LOCK, &room, &in, NULL, 0,
		 clock_mono_ms() + 5000, &e) == 0);
	MUST(spool_lock_parse(&in, &m, &e) == 0);
	return m;
}

static void
expect(uint16_t type)
{
	struct msg_in in;
	struct err e;

	MUST(chan_recv_wait(peer, type, &room, &in, NULL, 0,
		 clock_mono_ms() + 5000, &e) == 0);
}

static void
say(const struct buf *frame)
{
	struct err e;

	MUST(chan_send_wait(peer, frame, NULL, 0, clock_mono_ms() + 5000, &e) ==
	    0);
	if (!is_other_process)
		ev_run(h.loop, EVRUN_NOWAIT);
}

static void
say_held(uint32_t ticket)
{
	const struct spool_held m = {
	    ticket, (uint64_t)lock_stat.st_dev, (uint64_t)lock_stat.st_ino};
	struct buf b;

	buf_init(&b, SPOOL_FRAME_MAX);
	spool_held_write(&m, &b);
	say(&b);
	buf_done(&b);
}

static void
say_busy(uint32_t ticket, const char *holder)
{
	const struct spool_busy m = {ticket, 70, str_of(holder)};
	struct buf b;

	buf_init(&b, SPOOL_FRAME_MAX);
	spool_busy_write(&m, &b);
	say(&b);
	buf_done(&b);
}

static void
say_refused(uint32_t ticket)
{
	const struct spool_refused m = {ticket, ERR_PERM, STR("not yours")};
	struct buf b;

	buf_init(&b, SPOOL_FRAME_MAX);
	spool_refused_write(&m, &b);
	say(&b);
	buf_done(&b);
}

static struct spool_lock l;
static int64_t retry;
static struct err why;

static enum lock_step
step(void)
{
	return spool_lock_step(&l, &retry, &why);
}

static void
begin(void)
{
	const struct spool_lock_options o = {.wait_ms = 60000, .create = true};

	MUST(spool_lock_begin(&l, box, &o, &why) == 0);
}

static void
test_lock(void)
{
	struct spool_lock_msg m;

	new_channel();
	begin();
	MUST(step() == LOCK_WAIT && !spool_lock_is_busy(&l) && retry <= 10);
	MUST(step() == LOCK_WAIT);
	m = next_lock();
	MUST(m.create);
	say_busy(m.ticket, "process 8");
	MUST(step() == LOCK_WAIT && spool_lock_is_busy(&l) && retry == 70);
	MUST(strcmp(l.holder, "process 8") == 0);
	MUST(step() == LOCK_WAIT && !spool_lock_is_busy(&l));
	m = next_lock();
	/* An answer to what was asked before means nothing. */
	say_held(m.ticket - 1);
	MUST(step() == LOCK_WAIT);
	say_held(m.ticket);
	MUST(step() == LOCK_DONE && spool_lock_is_ours(&l));
	spool_lock_end(&l);
	expect(SPOOL_UNLOCK);
}

static void
test_refused(void)
{
	struct spool_lock_msg m;

	begin();
	MUST(step() == LOCK_WAIT);
	m = next_lock();
	say_refused(m.ticket);
	MUST(step() == LOCK_FAIL && why.code == ERR_PERM);
	MUST(strcmp(why.text, "not yours") == 0);
	spool_lock_end(&l);
}

/* Taken back before the answer: the lock that comes is not kept. */
static void
test_taken_back(void)
{
	struct spool_lock_msg m;

	begin();
	MUST(step() == LOCK_WAIT);
	m = next_lock();
	spool_lock_end(&l);
	expect(SPOOL_UNLOCK);
	say_held(m.ticket);
	begin();
	MUST(step() == LOCK_WAIT);
	m = next_lock();
	say_held(m.ticket);
	MUST(step() == LOCK_DONE);
	spool_lock_end(&l);
	expect(SPOOL_UNLOCK);
}

/* The answer is lost with the spoold that had read the question. */
static void
test_asked_again(void)
{
	int64_t now = clock_mono_ms();
	struct spool_lock_msg first, m;

	begin();
	clock_set_for_test(now, -1);
	MUST(step() == LOCK_WAIT);
	first = next_lock();
	clock_set_for_test(now + 200, -1);
	MUST(step() == LOCK_WAIT && !spool_lock_is_busy(&l));
	clock_set_for_test(now + 400, -1);
	/* Who waits for it lets go of his other locks meanwhile. */
	MUST(step() == LOCK_WAIT && spool_lock_is_busy(&l));
	MUST(strstr(l.holder, "spoold") != NULL);
	clock_set_for_test(-1, -1);
	m = next_lock();
	MUST(m.ticket != first.ticket);
	say_held(m.ticket);
	MUST(step() == LOCK_DONE);
	spool_lock_end(&l);
	expect(SPOOL_UNLOCK);
}

/* Without the loop's help: steps see the answer. */
static void
test_without_loop(void)
{
	struct spool_lock_msg m;

	begin();
	MUST(step() == LOCK_WAIT);
	m = next_lock();
	is_other_process = true;
	say_held(m.ticket);
	is_other_process = false;
	MUST(step() == LOCK_DONE);
	spool_lock_end(&l);
	expect(SPOOL_UNLOCK);
}

/* We are cut off, and there is no master to ask for another channel. */
static void
test_gone(void)
{
	begin();
	MUST(step() == LOCK_WAIT);
	(void)next_lock();
	fd_close(&peer);
	ev_run(h.loop, EVRUN_NOWAIT);
	MUST(step() == LOCK_FAIL && why.code == ERR_PERM);
	spool_lock_end(&l);
	new_channel();
	begin();
	MUST(step() == LOCK_WAIT);
	say_held(next_lock().ticket);
	MUST(step() == LOCK_DONE);
	spool_lock_end(&l);
	expect(SPOOL_UNLOCK);
}

/* Nonsense from spoold ends the channel, not us. */
static void
test_nonsense(void)
{
	struct buf b;

	buf_init(&b, SPOOL_FRAME_MAX);
	msg_begin(&b, SPOOL_HELD, 0);
	msg_put_str(&b, STR("x"));
	begin();
	MUST(step() == LOCK_WAIT);
	(void)next_lock();
	say(&b);
	MUST(step() == LOCK_FAIL);
	spool_lock_end(&l);
	buf_done(&b);
}

/* A caller without a loop. */
static void
test_blocking(void)
{
	const struct spool_lock_options o = {.wait_ms = 5000};
	struct err e;
	pid_t pid;
	int status;

	new_channel();
	pid = fork();
	if (pid == 0) {
		is_other_process = true;
		say_held(next_lock().ticket);
		expect(SPOOL_UNLOCK);
		_exit(0);
	}
	MUST(spool_lock_take(&l, box, &o, &e) == 0);
	spool_lock_end(&l);
	MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Another file of the folder, and another folder, are nothing for it. */
static void
test_serves(void)
{
	const struct spool_lock_options o = {.wait_ms = 0};
	char other[100];

	(void)snprintf(other, sizeof(other), "%s/other", dir);
	MUST(spool_lock_take(&l, other, &o, &why) == -1);
	MUST(why.code == ERR_PERM);
	MUST(spool_lock_take(&l, "/etc/box", &o, &why) == -1);
	MUST(why.code == ERR_PERM);
	/* By another path to the same place. */
	(void)snprintf(
	    other, sizeof(other), "%s/../%s/box", dir, strrchr(dir, '/') + 1);
	MUST(spool_lock_take(&l, other, &o, &why) == -1);
	MUST(why.code == ERR_IN_USE);
	(void)next_lock();
}

static void
run_all(void)
{
	settings_init(&h.settings);
	settings_put(&h.settings, STR("spool_dir"), str_of(dir));
	h.user = (char[]){"box"};
	h.loop = ev_loop_new(EVFLAG_NOENV);
	spool_init(&h);
	MUST(h.spool != NULL);
	test_lock();
	test_refused();
	test_taken_back();
	test_asked_again();
	test_without_loop();
	test_gone();
	test_nonsense();
	test_blocking();
	test_serves();
	spool_done(&h);
}

static void
test_all(void **state)
{
	char lock[100];
	pid_t pid;
	FILE *f;
	int status;

	(void)state;
	buf_init(&room, SPOOL_FRAME_MAX);
	(void)snprintf(dir, sizeof(dir), "/tmp/restante-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(box, sizeof(box), "%s/box", dir);
	(void)snprintf(lock, sizeof(lock), "%s.lock", box);
	/* Made by spoold, so to speak. */
	f = fopen(lock, "w");
	assert_non_null(f);
	(void)fclose(f);
	assert_int_equal(stat(lock, &lock_stat), 0);
	assert_int_equal(chmod(dir, 0555), 0);
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 &&
		    (setgid(20001) == -1 || setuid(20001) == -1))
			_exit(3);
		run_all();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
