/* SPDX-License-Identifier: ISC */
/*
 * main.c - spoold: dotlocks in the mail spool, for users' processes, which have
 * no right to write to that directory. It opens no mailbox and reads no mail.
 *
 * STARTING --CHILD_GO--> SERVING --CHILD_STOP--> exit
 * SERVING --master has gone, then the last mail process--> exit
 *
 * A lock goes when its process says so, or ends, or gives no sign of life for
 * five minutes. When spoold itself ends, locks stay: their processes still work
 * under them, and the next spoold takes them over.
 *
 * Owns:    the descriptor of the spool, a channel and at most one lock for each
 *          mail process.
 * Runs in: spoold: its own user, the group of the spool (mail), CAP_CHOWN to
 *          give away what it has just made, an empty root; Landlock with the
 *          spool alone.
 * Trusts:  master; mail processes not at all.
 */
#include <ev.h>
#include <linux/capability.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/chan.h"
#include "ipc/chan_child.h"
#include "ipc/chan_spool.h"
#include "ipc/child.h"
#include "os/fd.h"
#include "os/priv.h"
#include "os/proc.h"
#include "os/sandbox.h"
#include "spool/place.h"

#define LOOK_S 10.

enum { STARTING = 1, SERVING = 2, LAST = 4 };

struct spoold {
	struct ev_loop *loop;
	struct chan *master; /* NULL: has gone */
	struct child_settings settings;
	struct place place;
	struct list clients;
	ev_timer look; /* for locks without a sign of life */
	bool ending;
};

struct client {
	struct list link;
	struct spoold *d;
	struct chan *chan;
	struct place_user user;
};

/* ---- mail processes ------------------------------------------------------ */

static void
leave_when_done(struct spoold *d)
{
	if (d->ending && list_is_empty(&d->clients))
		ev_break(d->loop, EVBREAK_ALL);
}

/* Its process has ended: the lock goes with it. */
static void
client_free(struct client *c)
{
	struct spoold *d = c->d;

	if (place_leave(&d->place, &c->user))
		log_info("lock left behind user=<%s> pid=%ld removed",
		    c->user.name, (long)c->user.pid);
	list_remove(&c->link);
	chan_free(&c->chan);
	free(c);
	leave_when_done(d);
}

/* Master keeps the channel alive: it must let go of it. */
static void
tell_cut(struct client *c)
{
	struct buf *frame = chan_frame();
	struct err e;

	if (c->d->master == NULL)
		return;
	spool_cut_write((uint32_t)c->user.pid, frame);
	(void)chan_send(c->d->master, frame, NULL, 0, &e);
}

static void
on_client_close(UNUSED struct chan *chan, const struct err *why, void *arg)
{
	struct client *c = arg;

	if (why->code == ERR_VIOLATION) {
		log_error("mail process cut off user=<%s> pid=%ld reason=%s",
		    c->user.name, (long)c->user.pid, why->text);
		tell_cut(c);
	}
	client_free(c);
}

static void
answer_busy(struct client *c, uint32_t ticket, int64_t retry_ms,
    const char *holder, struct buf *frame)
{
	const struct spool_busy m = {.ticket = ticket,
	    .retry_ms = (uint32_t)retry_ms,
	    .holder = str_of(holder)};

	(void)c;
	spool_busy_write(&m, frame);
}

static void
answer_refused(
    struct client *c, uint32_t ticket, const struct err *why, struct buf *frame)
{
	const struct spool_refused m = {
	    .ticket = ticket, .code = why->code, .reason = str_of(why->text)};

	log_warn("no lock user=<%s> pid=%ld reason=%s", c->user.name,
	    (long)c->user.pid, why->text);
	spool_refused_write(&m, frame);
}

static void
answer_held(struct client *c, uint32_t ticket, struct buf *frame)
{
	const struct spool_held m = {.ticket = ticket,
	    .dev = (uint64_t)c->user.lock.dev,
	    .ino = (uint64_t)c->user.lock.ino};

	spool_held_write(&m, frame);
}

static int
on_lock(UNUSED struct chan *chan, struct chan_msg *m, void *arg, struct err *e)
{
	struct client *c = arg;
	struct spool_lock_msg got;
	struct buf *frame = chan_frame();
	char holder[DOTLOCK_HOLDER_MAX];
	int64_t retry_ms;
	struct err why;

	if (spool_lock_parse(&m->in, &got, e) == -1)
		return -1;
	switch (
	    place_lock(&c->d->place, &c->user, &got, &retry_ms, holder, &why)) {
	case LOCK_DONE:
		answer_held(c, got.ticket, frame);
		break;
	case LOCK_WAIT:
		answer_busy(c, got.ticket, retry_ms, holder, frame);
		break;
	case LOCK_FAIL:
		answer_refused(c, got.ticket, &why, frame);
		break;
	}
	/* One that does not read is cut off; one that has gone is seen next. */
	if (chan_send(c->chan, frame, NULL, 0, &why) == -1 &&
	    why.code != ERR_CLOSED)
		return err_set(e, ERR_VIOLATION, "does not read answers");
	return 0;
}

static int
on_unlock(
    UNUSED struct chan *chan, struct chan_msg *m, void *arg, struct err *e)
{
	struct client *c = arg;
	struct spool_which which;

	if (spool_which_parse(&m->in, &which, e) == -1)
		return -1;
	place_unlock(&c->d->place, &c->user, &which);
	return 0;
}

static int
on_touch(UNUSED struct chan *chan, struct chan_msg *m, void *arg, struct err *e)
{
	struct client *c = arg;
	struct spool_which which;

	if (spool_which_parse(&m->in, &which, e) == -1)
		return -1;
	place_touch(&c->d->place, &c->user, &which);
	return 0;
}

static const struct chan_entry client_entries[] = {
    {SPOOL_LOCK, 0, CHAN_ANY_STATE, SPOOL_FRAME_MAX, on_lock},
    {SPOOL_UNLOCK, 0, CHAN_ANY_STATE, SPOOL_FRAME_MAX, on_unlock},
    {SPOOL_TOUCH, 0, CHAN_ANY_STATE, SPOOL_FRAME_MAX, on_touch},
};
static const struct chan_def client_def = {.name = "mail process",
    .entries = client_entries,
    .n_entries = ARRAY_LEN(client_entries),
    .on_close = on_client_close,
    .queue_max_bytes = 16384};

static void
on_look(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct spoold *d = w->data;

	LIST_EACH(&d->clients, it) {
		struct client *c = LIST_OF(it, struct client, link);

		if (!place_is_overdue(&c->user))
			continue;
		log_warn("lock taken away user=<%s> pid=%ld reason=\"no sign "
			 "of life for %lld s\"",
		    c->user.name, (long)c->user.pid,
		    (long long)PLACE_HOLD_MAX_MS / 1000);
		place_take_away(&c->user);
	}
}

/* ---- master -------------------------------------------------------------- */

static struct client *
find_client(struct spoold *d, pid_t pid)
{
	LIST_EACH(&d->clients, it) {
		struct client *c = LIST_OF(it, struct client, link);

		if (c->user.pid == pid)
			return c;
	}
	return NULL;
}

static int
on_client(
    UNUSED struct chan *chan, struct chan_msg *m, void *arg, struct err *e)
{
	struct spoold *d = arg;
	struct spool_client_msg got;
	struct client *c;

	if (spool_client_parse(&m->in, &got, e) == -1)
		return -1;
	c = find_client(d, (pid_t)got.pid);
	if (c != NULL)
		client_free(c);
	c = mem_new(1, sizeof(*c));
	c->d = d;
	place_user_init(&c->user, &got);
	list_append(&d->clients, &c->link);
	c->chan = chan_new(d->loop, chan_take_fd(m, 0), &client_def, c);
	return 0;
}

static int
on_file(UNUSED struct chan *chan, struct chan_msg *m, void *arg, struct err *e)
{
	struct spoold *d = arg;
	struct child_file file;

	if (child_file_parse(&m->in, &file, e) == -1)
		return -1;
	if (!str_eq(file.role, STR("spool")))
		return err_set(
		    e, ERR_VIOLATION, "a file for %.*s", STR_ARG(file.role));
	fd_close(&d->place.dirfd);
	return place_open(&d->place, chan_take_fd(m, 0), e);
}

static int
confine(struct spoold *d, struct err *e)
{
	const struct child_settings *s = &d->settings;
	struct sandbox_path path = {
	    .fd = d->place.dirfd, .access = SANDBOX_LOCK};
	struct sandbox sb = {.profile = SANDBOX_SPOOLD,
	    .root = child_setting_or(s, "self_root", NULL),
	    .paths = &path,
	    .n_paths = d->place.dirfd == -1 ? 0 : 1};
	uint64_t uid = child_setting_u64(s, "self_uid", UINT64_MAX);
	uint64_t gid = child_setting_u64(s, "self_gid", UINT64_MAX);
	struct sandbox_report report;

	if (uid < UINT32_MAX && gid < UINT32_MAX) {
		sb.change_ids = true;
		sb.sysuid = (uid_t)uid;
		/* The directory's group, but never root's. */
		sb.sysgid = d->place.dirfd != -1 && d->place.group != 0
		    ? d->place.group
		    : (gid_t)gid;
		sb.caps = UINT64_C(1) << CAP_CHOWN;
		d->place.gives = true;
	}
	if (sandbox_enter(&sb, &report, e) == -1)
		return -1;
	if (report.text[0] != '\0')
		log_info("confined with less missing=<%s>", report.text);
	return 0;
}

static int
on_go(struct chan *chan, struct chan_msg *m, void *arg, struct err *e)
{
	struct buf *frame;

	if (child_empty_parse(&m->in, e) == -1 || confine(arg, e) == -1)
		return -1;
	chan_set_state(chan, SERVING);
	frame = chan_frame();
	child_ready_write(frame);
	return chan_send(chan, frame, NULL, 0, e);
}

static int
on_stop(struct chan *chan, struct chan_msg *m, void *arg, struct err *e)
{
	struct spoold *d = arg;
	struct str why;

	if (child_text_parse(&m->in, &why, e) == -1)
		return -1;
	chan_set_state(chan, LAST);
	/* Locks stay: another one may follow. */
	ev_break(d->loop, EVBREAK_ALL);
	return 0;
}

/* Sessions go on without master, and lock. */
static void
on_master_close(struct chan *chan, const struct err *why, void *arg)
{
	struct spoold *d = arg;
	struct buf frame;
	struct err ignored;

	if (why->code != ERR_CLOSED) {
		buf_init(&frame, CHILD_FRAME_MAX);
		child_failed_write(str_of(why->text), &frame);
		(void)fd_send(
		    chan_fd(chan), buf_str(&frame), NULL, 0, true, &ignored);
		log_fatal("spoold ends reason=%s", why->text);
	}
	chan_free(&d->master);
	d->ending = true;
	leave_when_done(d);
}

/* The mail process sees the end of its channel, and asks for another. */
static int
on_lost(struct chan *chan, struct msg_in *in, UNUSED void *arg, struct err *e)
{
	if (chan_state(chan) != SERVING)
		return -1;
	log_error("message of master is lost type=%u reason=\"%s\"", in->type,
	    e->text);
	return 0;
}

static const struct chan_entry master_entries[] = {
    {SPOOL_CLIENT, 1, SERVING, SPOOL_FRAME_MAX, on_client},
    {CHILD_FILE, 1, STARTING, CHILD_FRAME_MAX, on_file},
    {CHILD_GO, 0, STARTING, CHILD_FRAME_MAX, on_go},
    {CHILD_STOP, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_stop},
};
static const struct chan_def master_def = {.name = "master",
    .entries = master_entries,
    .n_entries = ARRAY_LEN(master_entries),
    .on_close = on_master_close,
    .on_lost = on_lost};

int
main(int argc, char **argv)
{
	struct spoold d = {.place = {.dirfd = -1}};
	struct err e;

	proc_title_init(argc, argv);
	if (child_start("spoold", &d.settings, &e) == -1)
		log_fatal("can not start reason=%s", e.text);
	proc_title("spoold");
	list_init(&d.clients);
	d.loop = ev_default_loop(0);
	ev_timer_init(&d.look, on_look, LOOK_S, LOOK_S);
	d.look.data = &d;
	ev_timer_start(d.loop, &d.look);
	d.master = chan_new(d.loop, CHILD_FD_MASTER, &master_def, &d);
	ev_run(d.loop, 0);
	chan_free(&d.master);
	child_settings_done(&d.settings);
	return 0;
}
