/* SPDX-License-Identifier: ISC */
/*
 * spool.c - locks in the mail spool through spoold.
 *
 * Owns:    the channel to spoold, the one lock that it makes for us.
 * Runs in: imapd and pop3d.
 * Trusts:  spoold's word; that the lock is there is looked at by the caller.
 *
 *	       ask master            channel
 * NONE ----------------> ASKED ----------> READY --closed: cut off--> NONE
 *
 * FREE --lock--> SENT --held--> HELD --unlock--> FREE
 *                SENT --busy, refused--> told once --> FREE
 *                SENT --no answer for long--> SENT again
 * The channel outlives spoold (master keeps its other end for the next one).
 * An answer may be lost with the old one, so it is asked for again.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/host_impl.h"
#include "ipc/chan.h"
#include "ipc/chan_spool.h"
#include "os/spool_lock.h"

#define ASK_AGAIN_MS 200
#define ANSWER_SOON_MS 2
#define ANSWER_WAIT_MS 300
#define START_WAIT_MS 500

struct host_spool {
	struct host *h;
	struct stat dir; /* the spool */
	struct chan *chan; /* NULL: none yet, or lost */
	int64_t asked_ms; /* for a channel */
	bool is_asked, is_needed;
	bool is_waiting; /* for master's answer, at the start */
	uint32_t ticket;
	bool is_sent, is_told; /* a request; its answer is in `answer` */
	int64_t sent_ms; /* first time, and again */
	int64_t resent_ms;
	bool is_held;
	uint64_t dev, ino; /* of the lock */
	struct spool_helper_answer answer;
};

/* ---- from spoold --------------------------------------------------------- */

static bool
is_current(const struct host_spool *s, uint32_t ticket)
{
	return s->is_sent && ticket == s->ticket;
}

static void
tell(struct host_spool *s, struct spool_helper_answer a)
{
	s->is_sent = false;
	s->is_told = true;
	s->answer = a;
}

static int
on_held(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct host_spool *s = arg;
	struct spool_held got;

	if (spool_held_parse(&m->in, &got, e) == -1)
		return -1;
	if (!is_current(s, got.ticket))
		return 0;
	s->is_sent = false;
	s->is_held = true;
	s->dev = got.dev;
	s->ino = got.ino;
	return 0;
}

static int
on_busy(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct spool_helper_answer a = {.step = LOCK_WAIT, .busy = true};
	struct spool_busy got;

	if (spool_busy_parse(&m->in, &got, e) == -1)
		return -1;
	a.retry_ms = got.retry_ms;
	(void)str_to_c(got.holder, a.holder, sizeof(a.holder));
	if (is_current(arg, got.ticket))
		tell(arg, a);
	return 0;
}

static int
on_refused(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct spool_helper_answer a = {.step = LOCK_FAIL};
	struct spool_refused got;

	if (spool_refused_parse(&m->in, &got, e) == -1)
		return -1;
	err_set(&a.why, got.code, "%.*s", STR_ARG(got.reason));
	if (is_current(arg, got.ticket))
		tell(arg, a);
	return 0;
}

static void
ask_for_channel(struct host_spool *s)
{
	int64_t now = clock_mono_ms();

	if (s->chan != NULL ||
	    (s->is_asked && now - s->asked_ms < ASK_AGAIN_MS))
		return;
	s->is_asked = intake_ask_spool(s->h);
	s->asked_ms = now;
}

static void
on_close(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct host_spool *s = arg;

	if (why->code == ERR_VIOLATION)
		log_error("channel to spoold: %s", why->text);
	chan_free(&s->chan);
	s->is_sent = false;
	s->is_asked = false;
}

static const struct chan_entry entries[] = {
    {SPOOL_HELD, 0, CHAN_ANY_STATE, SPOOL_FRAME_MAX, on_held},
    {SPOOL_BUSY, 0, CHAN_ANY_STATE, SPOOL_FRAME_MAX, on_busy},
    {SPOOL_REFUSED, 0, CHAN_ANY_STATE, SPOOL_FRAME_MAX, on_refused},
};
static const struct chan_def def = {.name = "spoold",
    .entries = entries,
    .n_entries = ARRAY_LEN(entries),
    .on_close = on_close};

/* ---- to spoold ----------------------------------------------------------- */

static void
send_frame(struct host_spool *s, const struct buf *frame)
{
	struct err e;

	/* When it has gone, on_close comes from the loop. */
	if (s->chan != NULL && chan_send(s->chan, frame, NULL, 0, &e) == -1 &&
	    e.code != ERR_CLOSED)
		log_warn("channel to spoold: %s", e.text);
}

static void
send_lock(struct host_spool *s, bool create)
{
	const struct spool_lock_msg m = {
	    .ticket = ++s->ticket, .create = create};
	struct buf *frame = chan_frame();

	spool_lock_write(&m, frame);
	s->resent_ms = clock_mono_ms();
	if (!s->is_sent)
		s->sent_ms = s->resent_ms;
	s->is_sent = true;
	s->is_told = false;
	send_frame(s, frame);
}

void
spool_channel(struct host *h, int fd)
{
	struct host_spool *s = h->spool;

	if (s == NULL)
		return;
	s->is_waiting = false;
	if (fd == -1)
		return;
	chan_free(&s->chan);
	s->is_sent = false;
	s->chan = chan_new(h->loop, fd, &def, s);
	chan_keeps_loop(s->chan, false);
}

/* ---- for os/spool_lock --------------------------------------------------- */

/* Our own name, in the spool by whatever path. */
static bool
serves(void *arg, const char *path)
{
	struct host_spool *s = arg;
	struct str dir = str_of(path), name;
	char at[4096];
	struct stat st;

	name = str_skip(dir, str_rfind(dir, '/') + 1);
	dir = str_head(dir, str_rfind(dir, '/'));
	return str_eq(name, str_of(s->h->user)) &&
	    str_to_c(dir, at, sizeof(at)) && stat(at, &st) == 0 &&
	    st.st_dev == s->dir.st_dev && st.st_ino == s->dir.st_ino;
}

/* No spoold runs, or none that answers: soon there will be one. */
static void
tell_waiting(const struct host_spool *s, struct spool_helper_answer *out)
{
	int64_t now = clock_mono_ms();
	int64_t since = s->chan == NULL ? s->asked_ms : s->sent_ms;

	if (now - since < ANSWER_WAIT_MS)
		return;
	out->busy = true;
	out->retry_ms = ASK_AGAIN_MS;
	(void)snprintf(
	    out->holder, sizeof(out->holder), "nobody: spoold does not answer");
}

static void
lock(void *arg, bool create, struct spool_helper_answer *out)
{
	struct host_spool *s = arg;

	*out = (struct spool_helper_answer){
	    .step = LOCK_WAIT, .retry_ms = ANSWER_SOON_MS};
	/* Its answer may be there already; a caller without a loop waits for
	 * nothing else. */
	if (s->chan != NULL && s->is_sent)
		chan_read_now(s->chan);
	if (s->is_held) {
		out->step = LOCK_DONE;
		out->dev = (dev_t)s->dev;
		out->ino = (ino_t)s->ino;
	} else if (s->is_told) {
		*out = s->answer;
		s->is_told = false;
	} else if (s->chan != NULL) {
		if (!s->is_sent ||
		    clock_mono_ms() - s->resent_ms >= ANSWER_WAIT_MS)
			send_lock(s, create);
		tell_waiting(s, out);
	} else {
		ask_for_channel(s);
		if (s->is_asked) {
			tell_waiting(s, out);
			return;
		}
		out->step = LOCK_FAIL;
		err_set(&out->why, ERR_PERM, "no spoold to lock the spool");
	}
}

static void
send_which(struct host_spool *s, uint16_t type)
{
	const struct spool_which m = {
	    .dev = s->is_held ? s->dev : 0, .ino = s->is_held ? s->ino : 0};
	struct buf *frame = chan_frame();

	spool_which_write(type, &m, frame);
	send_frame(s, frame);
}

static void
unlock(void *arg)
{
	struct host_spool *s = arg;

	if (s->is_held || s->is_sent)
		send_which(s, SPOOL_UNLOCK);
	s->is_held = s->is_sent = s->is_told = false;
}

static void
touch(void *arg)
{
	send_which(arg, SPOOL_TOUCH);
}

static void
wait_for_it(void *arg, int64_t ms)
{
	struct host_spool *s = arg;
	struct pollfd p = {.events = POLLIN};
	struct timespec ts = {
	    .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (s->chan == NULL || !s->is_sent) {
		(void)nanosleep(&ts, NULL);
		return;
	}
	p.fd = chan_fd(s->chan);
	if (poll(&p, 1, (int)ms) == 1)
		chan_read_now(s->chan);
}

static const struct spool_helper helper = {
    serves, lock, unlock, touch, wait_for_it};

/* ---- begin and end ------------------------------------------------------- */

void
spool_init(struct host *h)
{
	const char *dir = host_setting(h, "spool_dir");
	struct host_spool *s;
	struct stat st;

	if ((h->from_shell && h->spool_fd == -1) || dir == NULL ||
	    dir[0] != '/' || stat(dir, &st) == -1)
		return;
	s = mem_new(1, sizeof(*s));
	s->h = h;
	s->dir = st;
	h->spool = s;
	spool_lock_set_helper(&helper, s);
	if (h->from_shell) {
		spool_channel(h, h->spool_fd);
		h->spool_fd = -1;
	}
}

bool
spool_will_need(struct host *h, const char *path)
{
	struct stat st;

	if (h->spool == NULL || stat(path, &st) == -1)
		st = (struct stat){0};
	if (h->spool == NULL ||
	    !(serves(h->spool, path) ||
		(st.st_dev == h->spool->dir.st_dev &&
		    st.st_ino == h->spool->dir.st_ino)))
		return false;
	h->spool->is_needed = true;
	return true;
}

/*
 * The channel is there before the first session works: what locks without
 * coming back to the loop would not see it arrive.
 */
void
spool_open(struct host *h)
{
	struct host_spool *s = h->spool;
	int64_t until = clock_mono_ms() + START_WAIT_MS;
	struct pollfd p = {.events = POLLIN};

	if (s == NULL || !s->is_needed)
		return;
	ask_for_channel(s);
	s->is_waiting = s->is_asked;
	while (s->is_waiting && h->master != NULL && clock_mono_ms() < until) {
		p.fd = chan_fd(h->master);
		if (poll(&p, 1, 10) == 1)
			chan_read_now(h->master);
	}
}

void
spool_done(struct host *h)
{
	if (h->spool == NULL)
		return;
	spool_lock_set_helper(NULL, NULL);
	chan_free(&h->spool->chan);
	MEM_FREE(h->spool);
}
