/* SPDX-License-Identifier: ISC */
/*
 * broker.h - authd itself: between login workers, auth children and master.
 * What its parts share.
 */
#ifndef AUTH_BROKER_H
#define AUTH_BROKER_H

#include "auth/penalty.h"
#include "auth/queue.h"
#include "auth/sasl.h"
#include "auth/settings.h"
#include "base/list.h"
#include "ipc/chan.h"

struct ev_loop;
struct conv;

struct broker {
	const struct auth_settings *settings;
	const struct child_settings *confine;
	struct ev_loop *loop;
	struct chan *master, *spawner; /* spawner NULL: being started again */
	struct list workers;
	struct sasl_lib *sasl;
	struct penalty *penalty;
	/* Attempts (attempt.h) */
	struct queue queue;
	struct list attempts;
	struct list idle; /* children that wait for another question */
	size_t n_idle;
	size_t running, running_max;
	uint32_t last_attempt;
};

/* One login worker; `conv` is what it asks about at present, or NULL. */
struct broker_worker {
	struct list link;
	struct broker *b;
	struct chan *chan;
	struct conv *conv;
	uint32_t number, last_conv;
};

/* States of a worker's channel. */
#define BROKER_IDLE 1u
#define BROKER_JUDGING 2u
#define BROKER_WAITING 4u

/* Serves until master closes its channel; returns the exit status. */
int broker_run(
    const struct auth_settings *s, const struct child_settings *confine);
/* Sends what is in `frame` to the worker; a worker that is gone is fine. */
void broker_send(struct broker_worker *w, const struct buf *frame);

#endif
