/* SPDX-License-Identifier: ISC */
/*
 * slow_session.h - a session in turns as short as can be, for unit tests of what
 * happens between them. Defines what clock.h declares: with `tick_ms` set each
 * look at the clock is that much later, so that any time is up at once.
 */
#ifndef TESTS_LIB_SLOW_SESSION_H
#define TESTS_LIB_SLOW_SESSION_H

#include "tests/lib/test_store.h"

#include "base/clock.h"
#include "tests/lib/fake_host.h"

#define WAIT_MS 10000

static int64_t now_ms = 1000000, tick_ms;

int64_t
clock_mono_ms(void)
{
	return now_ms += tick_ms;
}

int64_t
clock_wall_us(void)
{
	return INT64_C(1795300341000000);
}

int64_t
clock_wall_s(void)
{
	return 1795300341;
}

static struct box box;
static struct host host;
static struct buf heard;

static UNUSED struct session *
session(void)
{
	return (struct session *)(void *)host.client;
}

/* The test's: what there is before the store is opened. */
static void fill(struct box *b);

static UNUSED int
begin(UNUSED void **state)
{
	host = (struct host){0};
	tick_ms = 0;
	store_slice_ms = 4;
	box_init(&box);
	box.loop = ev_default_loop(EVFLAG_NOENV);
	fill(&box);
	box_open(&box);
	buf_init(&heard, 64 * 1024 * 1024);
	host_begin(&host, box.store, "");
	return 0;
}

static UNUSED int
end(UNUSED void **state)
{
	tick_ms = 0;
	host_end(&host);
	buf_done(&heard);
	box_done(&box);
	return 0;
}

static UNUSED void
turn(void)
{
	ev_run(host.loop, EVRUN_NOWAIT);
	if (host.client == NULL || !host.is_awake)
		return;
	host.is_awake = client_turn(host.client);
}

static UNUSED bool
has_heard(const char *text)
{
	return heard.n > 0 &&
	    memmem(heard.p, heard.n, text, strlen(text)) != NULL;
}

/* Until that has been told; in any case no longer than a test may take. */
static UNUSED void
run_until(const char *text)
{
	for (int i = 0; i < WAIT_MS && !has_heard(text); i++) {
		turn();
		(void)host_hear(&host, &heard);
		if (!host.is_awake) {
			now_ms++;
			usleep(1000);
		}
	}
	if (!has_heard(text))
		fail_msg("no %s in: %.*s", text,
		    (int)(heard.n > 2000 ? 2000 : heard.n), heard.p);
}

static UNUSED void
say(const char *text)
{
	assert_int_equal(
	    write(host.fd, text, strlen(text)), (ssize_t)strlen(text));
}

static UNUSED void
command(const char *text, const char *answer)
{
	say(text);
	run_until(answer);
	buf_clear(&heard);
}

#endif
