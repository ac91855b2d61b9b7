/* SPDX-License-Identifier: ISC */
/* steps.h - how long the steps of operations take, for unit tests. */
#ifndef TESTS_LIB_STEPS_H
#define TESTS_LIB_STEPS_H

#include "test_store.h"

#include <time.h>

/* Of the processor: who waits for a turn on a busy machine does nothing wrong. */
static inline int64_t
steps_cpu_us(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* What calls of one operation took, and what another session's did meanwhile. */
struct times {
	int64_t since_us; /* the step that runs */
	unsigned steps, waits;
	int64_t begun_us, longest_us, others_us;
};

static UNUSED void
times_begin(struct times *t)
{
	*t = (struct times){.begun_us = steps_cpu_us()};
}

static UNUSED enum step
times_add(struct times *t, struct store *s, enum step step)
{
	int64_t us = steps_cpu_us() - t->since_us;

	t->steps++;
	t->longest_us = us > t->longest_us ? us : t->longest_us;
	if (step == STEP_MORE && store_must_wait(s)) {
		t->waits++;
		store_pause(s);
	}
	return step;
}

/* The time is taken before the call: arguments have no order. */
#define STEP(t, s, call)                                                       \
	((t)->since_us = steps_cpu_us(), times_add((t), (s), (call)))

static UNUSED void
other_noop(struct times *t, struct view *v)
{
	int64_t us = steps_cpu_us();

	(void)box_sync(v, true);
	us = steps_cpu_us() - us;
	t->others_us = us > t->others_us ? us : t->others_us;
}

/*
 * Each step a small part of the whole, with much room for a busy machine: an
 * operation in one step fails whatever the machine.
 */
static UNUSED void
assert_short_steps(const struct times *t, unsigned min_steps)
{
	int64_t whole = steps_cpu_us() - t->begun_us;

	if (t->steps < min_steps ||
	    (t->longest_us > whole / 3 && t->longest_us > 50000) ||
	    (t->others_us > whole / 3 && t->others_us > 50000))
		fail_msg("%u steps, the longest %lld us, another session %lld "
			 "us, of %lld us",
		    t->steps, (long long)t->longest_us, (long long)t->others_us,
		    (long long)whole);
}

#endif
