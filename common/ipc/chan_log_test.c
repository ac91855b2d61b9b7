/* SPDX-License-Identifier: ISC */
/* chan_log_test.c - lines on their way to logd: bursts, and one that hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "ipc/chan_log.h"
#include "ipc/chan_wait.h"
#include "os/fd.h"

#define BURST 5000
#define PATIENCE_MS 20000

/* The next line; its text lies in `room`. */
static struct str
read_line(int fd, struct buf *room)
{
	struct log_line m = {0};
	struct msg_in in;
	struct err e;

	if (chan_recv_wait(fd, LOG_LINE, room, &in, NULL, 0,
		clock_mono_ms() + PATIENCE_MS, &e) == -1 ||
	    log_line_parse(&in, &m, &e) == -1)
		return (struct str){0};
	return m.line;
}

/* logd: reads as quickly as it can. True: all of them, in their order. */
static bool
reads_all(int fd)
{
	char want[40];
	struct buf room;

	buf_init(&room, LOG_FRAME_MAX);
	for (int i = 0; i < BURST; i++) {
		(void)snprintf(want, sizeof(want), "line=%d", i);
		if (!str_eq(read_line(fd, &room), str_of(want)))
			return false;
	}
	return true;
}

static void
test_burst(UNUSED void **state)
{
	int fds[2], status;
	struct err e;
	pid_t pid;

	assert_int_equal(fd_pair(fds, &e), 0);
	pid = fork();
	if (pid == 0) {
		fd_close(&fds[1]);
		_exit(reads_all(fds[0]) ? 0 : 1);
	}
	fd_close(&fds[0]);
	chan_log_use(fds[1]);
	for (int i = 0; i < BURST; i++)
		log_info("line=%d", i);
	chan_log_use(-1);
	fd_close(&fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* One that hangs holds nobody up twice; what is lost is told once, by whoever
 * has lost it. */
static void
test_hangs(UNUSED void **state)
{
	int fds[2], sent = 0, got = 0, status;
	int64_t begun = clock_mono_ms();
	struct str line = STR("");
	uint64_t lost;
	struct buf room;
	struct err e;
	pid_t pid;

	assert_int_equal(fd_pair(fds, &e), 0);
	chan_log_use(fds[1]);
	for (; sent < BURST; sent++)
		log_info("line=%d", sent);
	assert_true(clock_mono_ms() - begun < PATIENCE_MS);
	buf_init(&room, LOG_FRAME_MAX);
	while (got < 100)
		assert_true(
		    str_starts(read_line(fds[0], &room), STR("line=")) &&
		    got++ < BURST);
	pid = fork();
	if (pid == 0) {
		log_info("child");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	log_info("last");
	chan_log_use(-1);
	fd_close(&fds[1]);
	while (str_starts((line = read_line(fds[0], &room)), STR("line=")))
		got++;
	assert_true(str_eq(line, STR("child")));
	line = read_line(fds[0], &room);
	assert_true(str_starts(line, STR("log lines lost count=")));
	line = str_skip(line, strlen("log lines lost count="));
	assert_true(num_parse_u64(line, 1, BURST, &lost));
	assert_int_equal(lost, sent - got);
	assert_true(str_eq(read_line(fds[0], &room), STR("last")));
	buf_done(&room);
	fd_close(&fds[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_burst),
	    cmocka_unit_test(test_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
