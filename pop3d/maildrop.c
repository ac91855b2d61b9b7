/* SPDX-License-Identifier: ISC */
/*
 * maildrop.c - a user's INBOX, or another mailbox, as one POP3 session sees it.
 *
 * Owns:    the lock, the numbers, the marks.
 * Runs in: pop3d, as the mail user.
 * Trusts:  nothing in the mail.
 * Spec:    RFC 1939 sections 4 to 6, 8 (maildrop locked exclusively; nothing
 *          is removed before the UPDATE state), RFC 2449 section 6.7 (EXPIRE).
 *
 * The lock is flock() on the folder of the mail: it leaves no file behind, is
 * gone with its process, and disturbs neither deliveries nor IMAP sessions.
 * It does not hold across hosts. Another mailbox than INBOX has a lock of its
 * own, on an empty file in the state folder.
 *
 * OPENED --maildrop_load--> LOADED --maildrop_update--> UPDATED
 * any --maildrop_close--> CLOSED
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pop3d/maildrop.h"
#include "store/msg.h"
#include "store/object.h"
#include "text/md5.h"

/* Look at the clock once in so many messages. */
#define MESSAGES_PER_LOOK 16

/* All sessions of this process are of one user: one maildrop at a time. */
static bool is_open;

static int
open_lock(const struct maildrop_way *way)
{
	char path[PATH_MAX], key[2 * MD5_BYTES + 1];
	struct md5 sum;

	/* The place itself may be a link; nothing is read or written through
	 * this descriptor. */
	if (strcmp(way->folder, "INBOX") == 0 || way->state_dir == NULL)
		return open(way->place, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	md5_init(&sum);
	md5_add(&sum, str_of(way->folder));
	md5_end_hex(&sum, key);
	if (snprintf(path, sizeof(path), "%s/pop3-lock-%s", way->state_dir,
		key) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int
lock(struct maildrop *d, const char *place, struct err *e)
{
	int rc;

	d->lock_fd = open_lock(d->way);
	/* An INBOX in the spool and no folder for others: master has one process
	 * for each user. */
	if (d->lock_fd == -1 && errno == ENOENT)
		return 0;
	if (d->lock_fd == -1)
		return err_sys(e, "open %s", place);
	do
		rc = flock(d->lock_fd, LOCK_EX | LOCK_NB);
	while (rc == -1 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		err_set(e, ERR_IN_USE, "%s: locked by another process", place);
	else if (errno == EBADF || errno == ENOLCK || errno == EOPNOTSUPP)
		return 0; /* a network file system without such locks */
	else
		err_sys(e, "lock %s", place);
	close(d->lock_fd);
	d->lock_fd = -1;
	return -1;
}

int
maildrop_open(struct maildrop *d, struct store *s,
    const struct maildrop_way *way, struct err *e)
{
	if (is_open)
		return err_set(e, ERR_IN_USE, "open in this process");
	*d = (struct maildrop){.way = way};
	if (lock(d, way->place, e) == -1)
		return -1;
	d->store = s;
	arena_init(&d->arena);
	is_open = d->is_locked = true;
	return 0;
}

/* ---- flags --------------------------------------------------------------- */

/* The flag that stands for deleted, as a wish. */
static struct flag_wish
deleted_wish(const struct maildrop *d, struct str *name)
{
	*name = str_of(d->way->deleted_flag);
	if (str_eq_nocase(*name, STR("\\Deleted")))
		return (struct flag_wish){.system = FLAG_DELETED};
	return (struct flag_wish){.keywords = name, .n_keywords = 1};
}

static bool
has_keyword(const struct flags *f, size_t number)
{
	if (number < 26)
		return (f->keywords & 1u << number) != 0;
	for (size_t i = 0; i < f->n_more; i++) {
		if (f->more[i] == number)
			return true;
	}
	return false;
}

/* Deleted by an earlier session, where that is but a flag. */
static bool
is_hidden(struct maildrop *d, const struct flags *f)
{
	struct str name;
	struct flag_wish w = deleted_wish(d, &name);
	size_t number;

	if (d->way->deleted_flag[0] == '\0')
		return false;
	if (w.system != 0)
		return (f->system & w.system) != 0;
	return mailbox_keyword_find(view_mailbox(d->view), name, &number) &&
	    has_keyword(f, number);
}

/* ---- numbers and sizes --------------------------------------------------- */

/* A few megabytes of counting at a time. STEP_FAIL: gone, it gets no number. */
static enum step
load_message(
    struct maildrop *d, uint32_t uid, struct maildrop_msg *out, struct err *e)
{
	enum step step;

	struct flags f;

	*out = (struct maildrop_msg){.uid = uid};
	if (!view_flags(d->view, uid, &f) || is_hidden(d, &f))
		return err_set(e, ERR_NOT_FOUND, "hidden"), STEP_FAIL;
	out->seen = (f.system & FLAG_SEEN) != 0;
	if (d->loading == NULL && msg_open(d->view, uid, &d->loading, e) == -1)
		return STEP_FAIL;
	step = msg_ready(d->loading, e);
	if (step == STEP_DONE)
		step = msg_wire_size_step(d->loading, e);
	if (step == STEP_MORE)
		return step;
	if (step == STEP_DONE &&
	    (msg_wire_size(d->loading, &out->size, e) == -1 ||
		msg_pop3_uidl(d->loading, d->way->uidl_format, &d->arena,
		    &out->uidl, &out->order, e) == -1))
		step = STEP_FAIL;
	msg_close(&d->loading);
	return step;
}

/* All messages, from d->at on. */
static enum step
load_messages(struct maildrop *d, int64_t deadline_ms, struct err *e)
{
	uint32_t count = view_count(d->view);

	while (d->at < count) {
		struct maildrop_msg *m = &d->v[d->n];
		enum step step =
		    load_message(d, view_uid(d->view, d->at + 1), m, e);

		if (step == STEP_FAIL && e->code != ERR_GONE &&
		    e->code != ERR_NOT_FOUND)
			return STEP_FAIL;
		if (step == STEP_DONE) {
			d->size += m->size;
			d->n++;
		}
		d->at += step != STEP_MORE;
		if (step == STEP_MORE && store_must_wait(d->store))
			return STEP_MORE;
		if ((step == STEP_MORE || d->at % MESSAGES_PER_LOOK == 0) &&
		    clock_mono_ms() >= deadline_ms)
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* Messages with an order come first, ascending, then the rest by UID. */
static int
compare(const void *a, const void *b)
{
	const struct maildrop_msg *x = a, *y = b;
	uint32_t ox = x->order == 0 ? UINT32_MAX : x->order;
	uint32_t oy = y->order == 0 ? UINT32_MAX : y->order;

	if (ox != oy)
		return ox < oy ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

enum step
maildrop_load(struct maildrop *d, int64_t deadline_ms, struct err *e)
{
	bool ordered = false;
	enum step step;

	if (d->v == NULL) {
		do
			step = view_open(d->store, str_of(d->way->folder),
			    false, &d->view, e);
		while (step == STEP_MORE && clock_mono_ms() < deadline_ms &&
		    !store_must_wait(d->store));
		if (step != STEP_DONE)
			return step;
		d->v = mem_new((size_t)view_count(d->view) + 1, sizeof(*d->v));
	}
	step = load_messages(d, deadline_ms, e);
	if (step != STEP_DONE)
		return step;
	for (uint32_t i = 0; i < d->n; i++)
		ordered = ordered || d->v[i].order != 0;
	if (ordered)
		qsort(d->v, d->n, sizeof(*d->v), compare);
	for (uint32_t i = 0; i < d->n; i++) {
		if (d->v[i].seen)
			d->last_before = i + 1;
	}
	d->last = d->last_before;
	return STEP_DONE;
}

void
maildrop_note_access(struct maildrop *d, uint32_t number)
{
	if (number > d->last)
		d->last = number;
}

struct maildrop_msg *
maildrop_get(struct maildrop *d, uint32_t number)
{
	if (number == 0 || number > d->n || d->v[number - 1].deleted)
		return NULL;
	return &d->v[number - 1];
}

void
maildrop_delete(struct maildrop *d, struct maildrop_msg *m)
{
	ASSERT(!m->deleted);
	m->deleted = true;
	d->n_deleted++;
	d->deleted_size += m->size;
}

void
maildrop_reset(struct maildrop *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		d->v[i].deleted = d->v[i].retrieved = false;
	d->n_deleted = 0;
	d->deleted_size = 0;
	d->last = d->last_before;
}

/* ---- UPDATE -------------------------------------------------------------- */

enum { UPDATE_EXPIRE, UPDATE_SEEN, UPDATE_DELETED, UPDATE_END };

/*
 * Since when it has been here, and not before it was written: of a copy the
 * day of the copying, where that is known.
 */
static bool
is_old(struct maildrop *d, uint32_t uid)
{
	int64_t since, saved;
	struct msg *m = NULL;
	struct err e;
	bool known;

	if (msg_open(d->view, uid, &m, &e) == -1)
		return false;
	known = msg_internal_date(m, &since, &e) == 0;
	msg_close(&m);
	if (view_save_date(d->view, uid, &saved) && saved > since)
		since = saved;
	return known &&
	    clock_wall_s() - since >= (int64_t)d->way->expire_days * 86400;
}

/* RFC 2449 section 6.7: with 0 days what was retrieved may not stay. */
static enum step
expire(struct maildrop *d, int64_t deadline_ms)
{
	bool at_once = d->way->expire_days == 0;

	while (d->way->expire_days >= 0 && d->expire_at < d->n) {
		struct maildrop_msg *m = &d->v[d->expire_at++];

		if (m->deleted || !(m->retrieved || (m->seen && !at_once)))
			continue;
		if (at_once || is_old(d, m->uid))
			maildrop_delete(d, m);
		if (clock_mono_ms() >= deadline_ms)
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* The UIDs that a phase is about. */
static void
collect(struct maildrop *d)
{
	set32_done(&d->set);
	for (uint32_t i = 0; i < d->n; i++) {
		const struct maildrop_msg *m = &d->v[i];

		if (d->phase == UPDATE_SEEN ? m->retrieved && !m->deleted
					    : m->deleted)
			set32_add(&d->set, m->uid);
	}
	d->at_uid = 0;
}

/*
 * \Deleted has no part in a removal: an IMAP session that sets all flags of a
 * message anew would take it back, and the message would stay.
 */
static enum step
run_phase(struct maildrop *d, struct err *e)
{
	struct flag_wish w = {.system = FLAG_SEEN};
	struct str name;

	if (d->phase == UPDATE_DELETED && d->way->deleted_flag[0] == '\0')
		return view_remove(d->view, &d->set, &d->at_uid, e);
	if (d->phase == UPDATE_DELETED)
		w = deleted_wish(d, &name);
	return view_store(
	    d->view, &d->set, STORE_ADD, &w, true, &d->at_uid, NULL, e);
}

enum step
maildrop_update(struct maildrop *d, int64_t deadline_ms, struct err *e)
{
	enum step step;

	if (d->phase == UPDATE_EXPIRE) {
		if (expire(d, deadline_ms) == STEP_MORE)
			return STEP_MORE;
		d->phase += d->way->mark_seen ? 1 : 2;
	}
	while (d->phase < UPDATE_END) {
		if (d->at_uid == 0)
			collect(d);
		step = set32_is_empty(&d->set) ? STEP_DONE : run_phase(d, e);
		if (step == STEP_FAIL)
			return STEP_FAIL;
		if (step == STEP_DONE) {
			d->phase++;
			d->at_uid = 0;
		}
		if (d->phase < UPDATE_END &&
		    (clock_mono_ms() >= deadline_ms ||
			store_must_wait(d->store)))
			return STEP_MORE;
	}
	return STEP_DONE;
}

void
maildrop_close(struct maildrop *d)
{
	if (!d->is_locked)
		return;
	msg_close(&d->loading);
	view_close(&d->view);
	if (d->lock_fd != -1)
		close(d->lock_fd);
	set32_done(&d->set);
	free(d->v);
	arena_done(&d->arena);
	*d = (struct maildrop){0};
	is_open = false;
}
