/* SPDX-License-Identifier: ISC */
/*
 * main.c - keyd: holds the private keys of TLS and signs handshakes for login
 * workers, which never see a key. A worker that asks for anything but the
 * signature of a TLS server's handshake, or for more of them than its
 * connections can need, is cut off.
 *
 * LOADING --CHILD_GO--> SERVING --CHILD_STOP--> LAST (until the last worker
 * has gone)
 *
 * Owns:    the keys, one channel for each worker.
 * Runs in: keyd, its own user, empty root, no system call that opens anything.
 * Trusts:  master; workers not at all.
 */
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/chan.h"
#include "ipc/chan_child.h"
#include "ipc/chan_key.h"
#include "ipc/child.h"
#include "key/key_store.h"
#include "os/fd.h"
#include "os/sandbox.h"

#define KEY_FILE_MAX ((size_t)256 * 1024)
/* The parent checks each certificate and shakes hands with itself. */
#define PARENT_SIGNATURES (3 * KEY_FILES_MAX)

enum { LOADING = 1, SERVING = 2, LAST = 4 };

struct keyd {
	struct ev_loop *loop;
	struct chan *master;
	struct key_store *store;
	struct child_settings settings;
	struct list workers;
	size_t n_workers;
	uint32_t signatures_max; /* of one worker */
};

struct worker {
	struct list link;
	struct keyd *keyd;
	struct chan *chan;
	uint32_t number, left;
};

/* ---- workers -------------------------------------------------------------- */

static void
worker_gone(struct worker *w)
{
	struct keyd *k = w->keyd;

	chan_free(&w->chan);
	list_remove(&w->link);
	free(w);
	k->n_workers--;
	if (k->n_workers == 0 && chan_state(k->master) == LAST)
		ev_break(k->loop, EVBREAK_ALL);
}

static void
on_worker_close(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct worker *w = arg;

	if (why->code == ERR_VIOLATION)
		log_error("login worker cut off number=%u reason=%s", w->number,
		    why->text);
	worker_gone(w);
}

static int
answer(struct worker *w, struct str signature, struct err *e)
{
	struct buf *frame = chan_frame();

	if (signature.n > 0)
		key_signed_write(signature, frame);
	else
		key_failed_write(frame);
	return chan_send(w->chan, frame, NULL, 0, e);
}

static int
on_sign(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct worker *w = arg;
	struct key_sign request;
	struct buf signature;
	int rc;

	if (key_sign_parse(&m->in, &request, e) == -1)
		return -1;
	if (w->left == 0)
		return err_set(e, ERR_VIOLATION, "more than %u signatures",
		    w->keyd->signatures_max);
	w->left--;
	buf_init(&signature, KEY_SIGNATURE_MAX);
	rc = key_store_sign(w->keyd->store, &request, &signature, e);
	if (rc == -1 && e->code != ERR_VIOLATION) {
		log_error("can not sign reason=%s", e->text);
		rc = 0;
	}
	/* A worker that has gone meanwhile is no violation. */
	if (rc == 0) {
		struct err ignored;

		(void)answer(w, buf_str(&signature), &ignored);
	}
	buf_done(&signature);
	return rc;
}

static const struct chan_entry worker_entries[] = {
    {KEY_SIGN, 0, CHAN_ANY_STATE, KEY_FRAME_MAX, on_sign},
};

static const struct chan_def worker_def = {
    .name = "login worker",
    .entries = worker_entries,
    .n_entries = ARRAY_LEN(worker_entries),
    .on_close = on_worker_close,
    .queue_max_bytes = 16 * 1024,
};

/* ---- master --------------------------------------------------------------- */

static int
on_peer(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct keyd *k = arg;
	struct child_peer peer;
	struct worker *w;

	if (child_peer_parse(&m->in, &peer, e) == -1)
		return -1;
	if (peer.kind != CHILD_KIND_WORKER &&
	    peer.kind != CHILD_KIND_FIRST_WORKER)
		return err_set(e, ERR_VIOLATION, "a channel to kind %u",
		    (unsigned)peer.kind);
	w = mem_new(1, sizeof(*w));
	w->keyd = k;
	w->number = peer.number;
	w->left = k->signatures_max;
	/* A login parent makes its checks through its first set of channels,
	 * before it hands that on to a worker. */
	if (peer.kind == CHILD_KIND_FIRST_WORKER)
		w->left += PARENT_SIGNATURES;
	list_append(&k->workers, &w->link);
	k->n_workers++;
	w->chan = chan_new(k->loop, chan_take_fd(m, 0), &worker_def, w);
	return 0;
}

/* In one piece of memory, so that no copy of it is left anywhere. */
static int
read_key(int fd, struct buf *pem, struct err *e)
{
	char *room = buf_room(pem, KEY_FILE_MAX);

	for (;;) {
		ssize_t n = read(fd, room + pem->n, KEY_FILE_MAX - pem->n);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(e, "read");
		if (n == 0)
			return 0;
		pem->n += (size_t)n;
		if (pem->n == KEY_FILE_MAX)
			return err_set(e, ERR_LIMIT, "not less than %zu bytes",
			    KEY_FILE_MAX);
	}
}

static int
on_file(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct keyd *k = arg;
	struct child_file file;
	struct buf pem;
	int rc;

	if (child_file_parse(&m->in, &file, e) == -1)
		return -1;
	if (!str_eq(file.role, STR("key")))
		return err_set(
		    e, ERR_VIOLATION, "a file for %.*s", STR_ARG(file.role));
	buf_init(&pem, KEY_FILE_MAX);
	rc = read_key(m->fds[0], &pem, e);
	if (rc == 0)
		rc = key_store_add(
		    k->store, file.number, file.path, buf_str(&pem), e);
	else
		(void)err_in(e, "%.*s", STR_ARG(file.path));
	buf_wipe(&pem);
	buf_done(&pem);
	return rc;
}

/*
 * Best effort: the keys, which are loaded by now, stay out of swap, where the
 * limit allows. Not MCL_FUTURE: it would have every further page counted against
 * the limit, which is that of a user once root's rights are gone, and is reached
 * already: with no memory for one more worker keyd would end.
 */
static void
keep_out_of_swap(void)
{
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

	/* The stack is locked as well, and may have to grow. */
	(void)setrlimit(RLIMIT_MEMLOCK, &none);
	(void)mlockall(MCL_CURRENT | MCL_ONFAULT);
}

static int
confine(struct keyd *k, struct err *e)
{
	struct sandbox_report report;

	keep_out_of_swap();
	if (child_confine(&k->settings, SANDBOX_KEYD, &report, e) == -1)
		return -1;
	if (report.text[0] != '\0')
		log_info("confined with less missing=<%s>", report.text);
	return 0;
}

static int
on_go(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct keyd *k = arg;
	struct buf *frame;

	if (child_empty_parse(&m->in, e) == -1 || confine(k, e) == -1)
		return -1;
	chan_set_state(c, SERVING);
	frame = chan_frame();
	child_ready_write(frame);
	return chan_send(c, frame, NULL, 0, e);
}

/* New keys are in a new keyd: this one serves the workers it has. */
static int
on_stop(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct keyd *k = arg;
	struct str why;

	if (child_text_parse(&m->in, &why, e) == -1)
		return -1;
	chan_set_state(c, LAST);
	if (k->n_workers == 0)
		ev_break(k->loop, EVBREAK_ALL);
	return 0;
}

static const struct chan_entry master_entries[] = {
    {CHILD_PEER, 1, LOADING | SERVING, CHILD_FRAME_MAX, on_peer},
    {CHILD_FILE, 1, LOADING, CHILD_FRAME_MAX, on_file},
    {CHILD_GO, 0, LOADING, CHILD_FRAME_MAX, on_go},
    {CHILD_STOP, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_stop},
};

static void
on_master_close(struct chan *c, const struct err *why, UNUSED void *arg)
{
	child_master_closed(c, why, "keyd");
}

/* A worker whose channel is lost sees its end and goes. */
static int
on_lost(struct chan *c, struct msg_in *in, UNUSED void *arg, struct err *e)
{
	if (chan_state(c) == LOADING)
		return -1;
	log_error("message of master is lost type=%u reason=\"%s\"", in->type,
	    e->text);
	return 0;
}

static const struct chan_def master_def = {
    .name = "master",
    .entries = master_entries,
    .n_entries = ARRAY_LEN(master_entries),
    .on_close = on_master_close,
    .on_lost = on_lost,
};

int
main(UNUSED int argc, UNUSED char **argv)
{
	struct keyd k = {0};
	struct err e;

	if (child_start("keyd", &k.settings, &e) == -1)
		log_fatal("can not start reason=%s", e.text);
	k.loop = ev_default_loop(0);
	k.store = key_store_new();
	k.signatures_max =
	    (uint32_t)child_setting_u64(&k.settings, "login_reuse", 1);
	list_init(&k.workers);
	k.master = chan_new(k.loop, CHILD_FD_MASTER, &master_def, &k);
	ev_run(k.loop, 0);
	LIST_EACH(&k.workers, l)
		worker_gone(LIST_OF(l, struct worker, link));
	key_store_free(&k.store);
	chan_free(&k.master);
	child_settings_done(&k.settings);
	return 0;
}
