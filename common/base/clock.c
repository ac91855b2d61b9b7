/* SPDX-License-Identifier: ISC */
/*
 * clock.c - the time, replaceable in tests.
 *
 * Owns:    nothing.
 * Runs in: every process.
 * Trusts:  the kernel.
 */
#include <time.h>

#include "base/clock.h"

static int64_t test_mono_ms = -1, test_wall_us = -1;

int64_t
clock_mono_ms(void)
{
	struct timespec ts;

	if (test_mono_ms >= 0)
		return test_mono_ms;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_wall_us(void)
{
	struct timespec ts;

	if (test_wall_us >= 0)
		return test_wall_us;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_s(void)
{
	return clock_wall_us() / 1000000;
}

void
clock_set_for_test(int64_t mono_ms, int64_t wall_us)
{
	test_mono_ms = mono_ms;
	test_wall_us = wall_us;
}
