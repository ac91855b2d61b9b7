/* SPDX-License-Identifier: ISC */
/*
 * broker.c - authd itself: between login workers, auth children and master.
 *
 * Owns:    struct broker, the channels.
 * Runs in: authd, as the auth user in an empty root.
 * Trusts:  master; the spawner and its children as attempt.h says. Login
 *          workers not at all: one that breaks the rules is cut off.
 */
#include <errno.h>
#include <ev.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auth/attempt.h"
#include "auth/broker.h"
#include "auth/conv.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/chan_child.h"
#include "ipc/chan_grant.h"

#define QUEUE_MAX 1000

/* ---- login workers ---- */

void
broker_send(struct broker_worker *w, const struct buf *frame)
{
	struct err e;

	if (chan_send(w->chan, frame, NULL, 0, &e) == -1)
		log_debug("login worker %u: %s", w->number, e.text);
}

static int
get(struct chan_msg *m, struct chan_auth_msg *out, struct err *e)
{
	return chan_auth_parse(&m->in, out, e);
}

static int
on_start(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct broker_worker *w = arg;
	struct chan_auth_msg got;

	if (get(m, &got, e) == -1)
		return -1;
	if (got.start.conv <= w->last_conv)
		return err_set(e, ERR_VIOLATION, "a conversation used twice");
	w->last_conv = got.start.conv;
	conv_start(w, &got.start);
	return 0;
}

static int
on_more(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct broker_worker *w = arg;
	struct chan_auth_msg got;

	if (get(m, &got, e) == -1)
		return -1;
	if (w->conv == NULL || got.more.conv != w->last_conv)
		return err_set(e, ERR_VIOLATION, "another conversation");
	conv_more(w->conv, got.more.data);
	return 0;
}

static int
on_cancel(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct broker_worker *w = arg;
	struct chan_auth_msg got;

	if (get(m, &got, e) == -1)
		return -1;
	/* It may have crossed the answer on its way. */
	if (w->conv != NULL && got.conv == w->last_conv)
		conv_cancel(w->conv);
	return 0;
}

static void
worker_free(struct broker_worker *w)
{
	if (w->conv != NULL)
		conv_worker_gone(w->conv);
	list_remove(&w->link);
	chan_free(&w->chan);
	MEM_FREE(w);
}

static void
worker_closed(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct broker_worker *w = arg;

	if (why->code == ERR_VIOLATION)
		log_error("ALERT login worker broke the rules worker=%u "
			  "reason=%s",
		    w->number, why->text);
	worker_free(w);
}

static const struct chan_entry worker_entries[] = {
    {CHAN_AUTH_START, 0, BROKER_IDLE, CHAN_AUTH_FRAME_MAX, on_start},
    {CHAN_AUTH_MORE, 0, BROKER_WAITING, CHAN_AUTH_FRAME_MAX, on_more},
    {CHAN_AUTH_CANCEL, 0, CHAN_ANY_STATE, 64, on_cancel},
};
static const struct chan_def worker_def = {.name = "login worker",
    .entries = worker_entries,
    .n_entries = ARRAY_LEN(worker_entries),
    .on_close = worker_closed,
    .queue_max_bytes = 64 * 1024};

static void
add_worker(struct broker *b, uint32_t number, int fd)
{
	struct broker_worker *w;

	LIST_EACH(&b->workers, l) {
		w = LIST_OF(l, struct broker_worker, link);
		if (w->number == number) {
			worker_free(w);
			break;
		}
	}
	w = mem_new(1, sizeof(*w));
	w->b = b;
	w->number = number;
	list_append(&b->workers, &w->link);
	w->chan = chan_new(b->loop, fd, &worker_def, w);
	chan_set_state(w->chan, BROKER_IDLE);
}

/* ---- master ---- */

static int
on_peer(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct broker *b = arg;
	struct child_peer peer;

	if (child_peer_parse(&m->in, &peer, e) == -1)
		return -1;
	switch (peer.kind) {
	case CHILD_KIND_WORKER:
		add_worker(b, peer.number, chan_take_fd(m, 0));
		return 0;
	case CHILD_KIND_SPAWNER:
		if (b->spawner != NULL)
			chan_free(&b->spawner);
		b->spawner = chan_new(
		    b->loop, chan_take_fd(m, 0), &attempt_spawner_def, b);
		attempt_spawner_is_there(b);
		conv_pump(b);
		return 0;
	default:
		return err_set(e, ERR_VIOLATION, "authd: not its peer");
	}
}

/* Memory in which an authd before us has noted who fails. */
static int
on_file(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct broker *b = arg;
	struct penalty *kept;
	struct child_file file;
	struct err why;

	if (child_file_parse(&m->in, &file, e) == -1)
		return -1;
	/* Keys of the memory before are in use where there are workers. */
	if (!str_eq(file.role, STR("penalty")) || !list_is_empty(&b->workers))
		return err_set(e, ERR_VIOLATION, "authd: not its file");
	if (penalty_open(m->fds[0], &kept, &why) == -1) {
		log_error("authd begins without knowing who failed before "
			  "reason=\"%s\"",
		    why.text);
		return 0;
	}
	penalty_free(&b->penalty);
	b->penalty = kept;
	return 0;
}

/* As many descriptors as we may have: one for each login worker. */
static void
raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int
on_go(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct broker *b = arg;
	struct buf *frame = chan_frame();
	struct sandbox_report report;
	struct err why;

	if (child_empty_parse(&m->in, e) == -1)
		return -1;
	raise_descriptors();
	if (child_confine(b->confine, SANDBOX_AUTHD, &report, &why) == -1) {
		log_error("authd can not confine itself: %s", why.text);
		child_failed_write(str_of(why.text), frame);
		(void)chan_send(c, frame, NULL, 0, e);
		ev_break(b->loop, EVBREAK_ALL);
		return 0;
	}
	if (report.text[0] != '\0')
		log_info("authd sandbox: %s", report.text);
	child_ready_write(frame);
	return chan_send(c, frame, NULL, 0, e);
}

static int
on_stop(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct broker *b = arg;
	struct str why;

	if (child_text_parse(&m->in, &why, e) == -1)
		return -1;
	ev_break(b->loop, EVBREAK_ALL);
	return 0;
}

/*
 * A login worker whose channel is lost sees its end and goes; without the
 * spawner's there is nothing to do here, and another authd gets a new one.
 */
static int
on_lost(
    UNUSED struct chan *c, struct msg_in *in, UNUSED void *arg, struct err *e)
{
	struct err why = *e;
	struct child_peer peer;

	if (in->type == CHILD_PEER) {
		if (child_peer_parse(in, &peer, e) == -1)
			return -1;
		*e = why;
		if (peer.kind == CHILD_KIND_SPAWNER)
			return -1;
	}
	log_error("message of master is lost type=%u reason=\"%s\"", in->type,
	    why.text);
	return 0;
}

static void
master_closed(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct broker *b = arg;

	if (why->code != ERR_CLOSED)
		log_error("master: %s", why->text);
	/* Whom should we tell who somebody is? Workers answer UNAVAILABLE. */
	ev_break(b->loop, EVBREAK_ALL);
}

static const struct chan_entry master_entries[] = {
    {CHILD_PEER, 1, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_peer},
    {CHILD_FILE, 1, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_file},
    {CHILD_GO, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_go},
    {CHILD_STOP, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_stop},
};
static const struct chan_def master_def = {.name = "master",
    .entries = master_entries,
    .n_entries = ARRAY_LEN(master_entries),
    .on_close = master_closed,
    .on_lost = on_lost};

static size_t
cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (size_t)n;
}

int
broker_run(const struct auth_settings *s, const struct child_settings *confine)
{
	struct broker b = {.settings = s, .confine = confine};
	struct err e;

	list_init(&b.workers);
	list_init(&b.attempts);
	list_init(&b.idle);
	queue_init(&b.queue, QUEUE_MAX);
	b.running_max = 2 * cores();
	b.penalty = penalty_new();
	if (sasl_lib_init(&b.sasl, &e) == -1)
		log_fatal("%s", e.text);
	b.loop = ev_default_loop(0);
	b.master = chan_new(b.loop, CHILD_FD_MASTER, &master_def, &b);
	ev_run(b.loop, 0);
	/* The kernel takes back the rest; nothing here outlives the process. */
	penalty_free(&b.penalty);
	sasl_lib_free(&b.sasl);
	return 0;
}
