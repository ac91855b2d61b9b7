/* SPDX-License-Identifier: ISC */
/*
 * attempt.h - one question to one auth child.
 *
 *	attempt_start --> ASKED --TRY_CHILD--> WORKING --TRY_RESULT--> done
 *	attempt_start --an idle child--------> WORKING
 *	                  ASKED --spawner gone--> ASKED (the next one)
 *	                  ASKED --TRY_REFUSED, time-------------------> done
 *	                  ASKED <--EOF of one that was idle-- WORKING
 *	                                       WORKING --EOF, time----> done
 *
 * "Done" is called exactly once, unless attempt_forget() came before.
 */
#ifndef AUTH_ATTEMPT_H
#define AUTH_ATTEMPT_H

#include "auth/broker.h"

struct attempt;

/*
 * `r` is borrowed for the call. A child that failed gives UNAVAILABLE.
 * `hold_fd` is the channel of a holder for master, -1 where there is none; the
 * receiver closes it.
 */
typedef void attempt_done_fn(
    const struct chan_try_result *r, int hold_fd, void *arg);

struct attempt_question {
	enum chan_try_kind kind;
	bool hold;
	struct chan_try_work work; /* copied */
};

/* Never calls `done` before it returns. */
struct attempt *attempt_start(struct broker *b,
    const struct attempt_question *q, attempt_done_fn *done, void *arg);
/* The answer is not wanted any more; the child may go on for a while. */
void attempt_forget(struct attempt *a);

/* What the spawner says. */
extern const struct chan_def attempt_spawner_def;
/* There is a new spawner: who waits for a child asks it (again). */
void attempt_spawner_is_there(struct broker *b);

#endif
