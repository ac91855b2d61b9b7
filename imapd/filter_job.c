/* SPDX-License-Identifier: ISC */
/*
 * filter_job.c - filters are made in the pauses of a session.
 *
 * Owns:    the timer of each session's job, the list of those that build.
 * Runs in: imapd, between the turns of all sessions, and never when one of them
 *          has work.
 * Trusts:  nothing.
 *
 * A slice is as short as a turn, and a pause behind it is several times as long:
 * one process takes no more than a sixth of a processor for it.
 */
#include "imapd/filter_job.h"

#include "base/clock.h"
#include "base/log.h"
#include "host/host.h"
#include "store/mailbox.h"

/* A client that lists first and searches then should not find us at work. */
#define QUIET_MS 600
/* But where somebody is always at work it is not put off for ever. */
#define WAITS_MAX 30
#define SLICE_MS 3
#define PAUSE_S 0.015
/* Somebody has work, or the same mailbox is being done. */
#define LATER_S 0.3
/* There was no room. */
#define AGAIN_AFTER_MS (10 * 60 * 1000)

static struct list building = {&building, &building};
static int64_t no_room_until_ms;

/* The loop does not live for it. */
static void
disarm(struct filter_job *j)
{
	if (!ev_is_active(&j->timer))
		return;
	ev_ref(host_loop(j->host));
	ev_timer_stop(host_loop(j->host), &j->timer);
}

static void
arm(struct filter_job *j, double after_s)
{
	disarm(j);
	ev_timer_set(&j->timer, after_s, 0.);
	ev_timer_start(host_loop(j->host), &j->timer);
	ev_unref(host_loop(j->host));
}

static void
end_build(struct filter_job *j)
{
	filterbuild_free(&j->build);
	list_remove(&j->link);
	list_init(&j->link);
}

static bool
is_being_done(const struct filter_job *j)
{
	for (const struct list *l = building.next; l != &building; l = l->next)
		if (view_mailbox(LIST_OF(l, struct filter_job, link)->view) ==
		    view_mailbox(j->view))
			return true;
	return false;
}

/* False: there is nothing to be made, or no room for it. */
static bool
begin_build(struct filter_job *j)
{
	if (clock_mono_ms() < no_room_until_ms)
		return false;
	j->build = filterbuild_new(
	    j->view, host_setting_number(j->host, "search_filter_percent", 10));
	if (j->build != NULL)
		list_append(&building, &j->link);
	return j->build != NULL;
}

/* STEP_MORE: it is not at its end. */
static enum step
build(struct filter_job *j, int64_t slice_ms)
{
	struct err e;
	enum step step;

	step = filterbuild_step(j->build, clock_mono_ms() + slice_ms, &e);
	if (step == STEP_MORE)
		return step;
	if (step == STEP_FAIL) {
		log_info("no search filters user=<%s> reason=%s",
		    host_user(j->host), e.text);
		no_room_until_ms = clock_mono_ms() + AGAIN_AFTER_MS;
	}
	end_build(j);
	return step;
}

/* Milliseconds until it may begin, 0: now. */
static int64_t
still_to_wait(struct filter_job *j)
{
	int64_t idle_ms = host_idle_ms(j->host);

	if (idle_ms >= QUIET_MS || j->waits++ >= WAITS_MAX)
		return 0;
	return QUIET_MS - idle_ms;
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, UNUSED int revents)
{
	struct filter_job *j = w->data;
	int64_t wait_ms;

	ev_ref(loop); /* libev has stopped it */
	if (j->build == NULL && (wait_ms = still_to_wait(j)) > 0) {
		arm(j, (double)wait_ms / 1000.);
	} else if (host_is_busy(j->host)) {
		arm(j, LATER_S);
	} else if (j->build == NULL && is_being_done(j)) {
		arm(j, LATER_S);
	} else if (j->build != NULL || begin_build(j)) {
		if (build(j, SLICE_MS) == STEP_MORE)
			arm(j, PAUSE_S);
	}
}

void
filter_job_init(struct filter_job *j, struct host *h)
{
	*j = (struct filter_job){.host = h};
	list_init(&j->link);
	ev_timer_init(&j->timer, on_timer, 0., 0.);
	j->timer.data = j;
}

void
filter_job_start(struct filter_job *j, struct view *v)
{
	filter_job_stop(j);
	j->view = v;
	j->waits = 0;
	arm(j, QUIET_MS / 1000.);
}

void
filter_job_news(struct filter_job *j)
{
	if (j->view != NULL && j->build == NULL && !ev_is_active(&j->timer)) {
		j->waits = 0;
		arm(j, QUIET_MS / 1000.);
	}
}

void
filter_job_stop(struct filter_job *j)
{
	if (j->view == NULL)
		return;
	disarm(j);
	if (j->build != NULL)
		end_build(j);
	j->view = NULL;
}

bool
filter_job_is_done(struct filter_job *j)
{
	if (j->view == NULL ||
	    !host_setting_bool(j->host, "search_filter_now", false) ||
	    (j->build == NULL && !begin_build(j)))
		return true;
	disarm(j);
	return build(j, SLICE_MS) != STEP_MORE;
}
