/* SPDX-License-Identifier: ISC */
/*
 * filter_job.h - while a session does nothing, filters are made for the mailbox
 * that it has selected (search/filterbuild.h).
 *
 * OFF --start, news--> WAITING --quiet for a moment--> BUILDING --all made--> OFF
 *                      WAITING <--another session builds the same--
 */
#ifndef IMAPD_FILTER_JOB_H
#define IMAPD_FILTER_JOB_H

#include <ev.h>

#include "base/list.h"
#include "search/filterbuild.h"

struct host;

struct filter_job {
	struct host *host;
	struct list link; /* of those that build; or in itself */
	ev_timer timer;
	struct view *view; /* NULL: OFF */
	struct filterbuild *build; /* NULL: not BUILDING */
	unsigned waits; /* how often it was not quiet */
};

/* OFF; its timer is in the host's loop. */
void filter_job_init(struct filter_job *j, struct host *h);
/* A mailbox has been selected. */
void filter_job_start(struct filter_job *j, struct view *v);
/* There are new messages in it. */
void filter_job_news(struct filter_job *j);
/* Before the view is closed. */
void filter_job_stop(struct filter_job *j);
/*
 * For `restantectl index`: a slice of the work now. False: there is more; or the
 * process is not there to build ahead.
 */
bool filter_job_is_done(struct filter_job *j);

#endif
