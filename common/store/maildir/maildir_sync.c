/* SPDX-License-Identifier: ISC */
/*
 * maildir_sync.c - from what lies on disk to records with UIDs.
 *
 * Owns:    the order of reading, giving UIDs and moving to cur/.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing on disk; every program of the user may change it at any
 *          moment without a lock.
 * Spec:    formats.md 1.4, 1.8, 1.9, 2.5, 2.6; security.md 7.2.
 *
 * Rules:
 *  1. The UID map is read before the directories: a file whose record we have
 *     read was there before.
 *  2. A file that is missing is looked for again before its message counts as
 *     expunged.
 *  3. UIDs are given under the lock, after reading what others gave, and are
 *     on disk before any view hears of them.
 *  4. A message never becomes LIVE below an UID that a view was told of; it
 *     gets a new UID then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_scan.h"
#include "store/maildir/uidvalidity.h"
#include "store/notify.h"

#define LOOKS_MAX 4
#define LOCK_WAIT_MS 250 /* while other sessions wait */
#define LOCK_WAIT_OPEN_MS 5000
#define RETRY_MS 100
#define VERIFY_MAX 64
#define LINKED_TWICE_S 30
#define BOTH_DIRS (1u << DIR_NEW | 1u << DIR_CUR)

static struct str
base_of(struct str name)
{
	return str_head(name, str_find(name, ':'));
}

/* ---- the UID map --------------------------------------------------------- */

static void
on_record(void *arg, uint32_t uid, struct str base, struct str fields)
{
	struct mailbox *m = arg;
	struct maildir *md = m->impl;
	struct msg_rec *r;
	size_t i;

	if (uid == 0) { /* read from its beginning */
		for (i = 0; i < m->recs.n; i++)
			m->recs.v[i].own &= (uint8_t)~OWN_IN_FILE & 0x3f;
		return;
	}
	i = maildir_find(m, base);
	if (i != NO_REC && m->recs.v[i].uid == uid) {
		m->recs.v[i].own |= OWN_IN_FILE;
		maildir_set_extra(m, uid, fields);
		return;
	}
	if (m->recs.n > 0 && uid <= m->recs.v[m->recs.n - 1].uid) {
		/* Between UIDs that we know: its file, if there is one, gets
		 * a new UID, and the record goes. */
		if (mailbox_rec(m, uid) == NULL)
			md->list.must_rewrite = true;
		return;
	}
	if (i != NO_REC) {
		/* The same file again, later in the list: the later wins. */
		if (m->recs.v[i].own & OWN_IN_FILE)
			md->list.must_rewrite = true;
		if (m->recs.v[i].state == REC_LIVE)
			md->n_new -= (m->recs.v[i].own & OWN_NEW) != 0;
		mailbox_note_expunged(m, &m->recs.v[i]);
	}
	r = maildir_add(m, uid, base);
	r->own |= OWN_IN_FILE;
	maildir_set_extra(m, uid, fields);
	md->must_scan = true;
}

static void
forget(struct mailbox *m, struct msg_rec *r)
{
	if (r->state == REC_LIVE)
		maildir_of(m)->n_new -= (r->own & OWN_NEW) != 0;
	mailbox_note_expunged(m, r);
}

/* Messages whose records somebody has taken from the map: their files, if they
 * are still there, get new UIDs. */
static void
forget_unlisted(struct mailbox *m)
{
	for (size_t i = 0; i < m->recs.n; i++) {
		struct msg_rec *r = &m->recs.v[i];

		if (r->state == REC_EXPUNGED || r->own & OWN_IN_FILE)
			continue;
		forget(m, r);
		maildir_of(m)->must_scan = true;
	}
}

/* Another UIDVALIDITY: nothing that views know is true any more. */
static int
check_identity(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (m->uidvalidity != 0 &&
	    m->uidvalidity != md->list.head.uidvalidity &&
	    !list_is_empty(&m->views)) {
		m->is_gone = true;
		return err_set(e, ERR_GONE, "%s: UIDVALIDITY changed", m->name);
	}
	m->uidvalidity = md->list.head.uidvalidity;
	if (md->list.head.uidnext > m->uidnext)
		m->uidnext = md->list.head.uidnext;
	memcpy(m->guid, md->list.head.guid, sizeof(m->guid));
	return 0;
}

int
maildir_read_list(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (!uidlist_has_changed(&md->list) && md->list.stamp.ino != 0)
		return 0;
	if (uidlist_read(&md->list, on_record, m, e) == -1)
		return -1;
	forget_unlisted(m);
	return check_identity(m, e);
}

bool
maildir_keep_record(void *arg, uint32_t uid, struct str base)
{
	struct mailbox *m = arg;
	size_t i = maildir_find(m, base);

	return i == NO_REC
	    ? mailbox_rec_index(m, uid) == m->recs.n
	    : m->recs.v[i].uid == uid && m->recs.v[i].state != REC_EXPUNGED;
}

uint32_t
maildir_dead_records(const struct mailbox *m)
{
	uint32_t n = 0;

	if (m->n_expunged == 0)
		return 0;
	for (size_t i = 0; i < m->recs.n; i++)
		n += m->recs.v[i].state == REC_EXPUNGED &&
		    m->recs.v[i].own & OWN_IN_FILE;
	return n;
}

/* Courier's map, where there never was another. False: there is none. */
static bool
import_courier(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	struct buf b;
	struct err e;
	bool ok;

	buf_init(&b, UIDLIST_MAX_BYTES);
	ok = file_load(md->dirfd, "courierimapuiddb", &b, NULL, &e) == 0 &&
	    uidlist_import(&md->list, buf_str(&b), &e) == 0;
	buf_done(&b);
	return ok;
}

/* A mailbox that has no map, or one that can not be read: a new one, with a
 * larger UIDVALIDITY than any before. */
static int
make_list(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct maildir_place *place = m->store->impl;
	uint32_t uidvalidity;

	if (m->recs.n == 0 && import_courier(m))
		return maildir_read_list(m, e);
	if (uidvalidity_next(place->controlfd, &place->perm, &uidvalidity, e) ==
	    -1)
		return -1;
	if (uidlist_create(&md->list, uidvalidity, 1, NULL, 0, e) == -1)
		return -1;
	for (size_t i = 0; i < m->recs.n; i++)
		forget(m, &m->recs.v[i]);
	md->must_scan = true;
	return check_identity(m, e);
}

int
maildir_mend_list(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	char told[200];
	int rc;

	if (maildir_read_list(m, e) == 0)
		return 0;
	if (e->code == ERR_NOT_FOUND)
		return make_list(m, e);
	if (e->code != ERR_CORRUPT || !md->list.is_broken)
		return -1;
	rc = uidlist_repair(&md->list, told, e);
	if (rc == 0 || e->code == ERR_CORRUPT)
		store_warn(
		    m->store, "dovecot-uidlist mailbox=%s %s", m->name, told);
	if (rc == 0)
		return maildir_read_list(m, e);
	return e->code == ERR_CORRUPT ? make_list(m, e) : -1;
}

/* ---- looking ------------------------------------------------------------- */

/* No new message may get an UID up to this one. */
static uint32_t
told_uid(struct mailbox *m)
{
	uint32_t top = 0;

	LIST_EACH(&m->views, l) {
		const struct view *v = LIST_OF(l, struct view, link);

		if (v->top > top)
			top = v->top;
	}
	return top;
}

static void
take_sighting(struct mailbox *m, const struct sighting *s)
{
	struct msg_rec *r = &m->recs.v[s->index];
	struct maildir_name name;

	if (maildir_name_parse(s->name, &name) &&
	    maildir_take_name(m, r, s->dir, &name) && r->state == REC_LIVE)
		mailbox_note_flags(m, r, NULL);
}

static bool
stat_sighting(
    const struct maildir *md, const struct sighting *s, struct stat *st)
{
	char name[512];

	return str_to_c(s->name, name, sizeof(name)) &&
	    fstatat(s->dir == DIR_NEW ? md->newfd : md->curfd, name, st,
		AT_SYMLINK_NOFOLLOW) == 0;
}

/* Gives a file another base, keeping its flags and the sizes in its name. */
static void
rename_to_fresh(struct mailbox *m, struct scan *s, const struct sighting *old)
{
	struct maildir *md = maildir_of(m);
	struct maildir_name name;
	struct buf b;
	char from[512], to[512];
	uint64_t size;
	struct err e;
	enum maildir_dir dir = old->dir;

	if (!maildir_name_parse(old->name, &name))
		return;
	if (name.base.n == 0 && name.info.n > 0 && name.system == 0 &&
	    name.keywords == 0)
		dir = DIR_NEW;
	buf_init(&b, MAILDIR_NAME_MAX);
	(void)maildir_name_new(&b, m->store->host);
	if (maildir_name_size(name.base, 'S', &size))
		(void)buf_addf(&b, ",S=%llu", (unsigned long long)size);
	if (maildir_name_size(name.base, 'W', &size))
		(void)buf_addf(&b, ",W=%llu", (unsigned long long)size);
	if (dir == DIR_CUR || name.system != 0)
		(void)buf_add_str(&b, name.info);
	if (str_to_c(old->name, from, sizeof(from)) &&
	    str_to_c(buf_str(&b), to, sizeof(to)) && !buf_is_over(&b) &&
	    file_rename_free(old->dir == DIR_NEW ? md->newfd : md->curfd, from,
		dir == DIR_NEW ? md->newfd : md->curfd, to, &e) == 0) {
		struct sighting *u = VEC_ADD(&s->unknown);

		u->index = NO_REC;
		u->dir = (uint8_t)dir;
		u->name = arena_str(&s->arena, buf_str(&b));
		u->base = base_of(u->name);
		md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
		store_warn(m->store, "file name mended mailbox=%s %.*s -> %s",
		    m->name, STR_ARG(old->name), to);
	}
	buf_done(&b);
}

/*
 * Two names with one base were met (formats.md 1.8). `first` is the one that
 * the record would take, `second` the other.
 */
static void
settle_twins(struct mailbox *m, struct scan *s, const struct sighting *first,
    const struct sighting *second)
{
	const struct maildir *md = maildir_of(m);
	const struct sighting *keep = first, *other = second;
	struct stat a, b;
	char name[512];

	if (!stat_sighting(md, first, &a)) {
		take_sighting(m, second); /* it was renamed while we read */
		return;
	}
	if (!stat_sighting(md, second, &b)) {
		take_sighting(m, first);
		return;
	}
	if (a.st_ino == b.st_ino && a.st_dev == b.st_dev) {
		take_sighting(m, first);
		if (a.st_nlink > 1 &&
		    clock_wall_s() - a.st_ctim.tv_sec > LINKED_TWICE_S &&
		    str_to_c(second->name, name, sizeof(name)))
			(void)unlinkat(
			    second->dir == DIR_NEW ? md->newfd : md->curfd,
			    name, 0);
		return;
	}
	/* The record's own name, if one of them is, stays. */
	if (m->recs.v[first->index].state == REC_LIVE) {
		char own[512];
		struct str own_name =
		    maildir_file_name(m, &m->recs.v[first->index], own);
		enum maildir_dir dir =
		    m->recs.v[first->index].own & OWN_NEW ? DIR_NEW : DIR_CUR;

		if (second->dir == dir && str_eq(second->name, own_name)) {
			keep = second;
			other = first;
		} else if (!(first->dir == dir &&
			       str_eq(first->name, own_name)) &&
		    file_time_cmp(&b.st_mtim, &a.st_mtim) > 0) {
			keep = second;
			other = first;
		}
	} else if (file_time_cmp(&b.st_mtim, &a.st_mtim) > 0) {
		keep = second;
		other = first;
	}
	take_sighting(m, keep);
	if (!m->is_read_only)
		rename_to_fresh(m, s, other);
}

/* What a record would be called by the scan, twins aside. */
static struct sighting
first_sighting(struct mailbox *m, struct scan *s, size_t index)
{
	struct sighting own = {.index = index};
	char name[512];
	const struct msg_rec *r = &m->recs.v[index];

	VEC_EACH(&s->renamed, it)
		if (it->index == index)
			return *it;
	own.dir = r->own & OWN_NEW ? DIR_NEW : DIR_CUR;
	own.name = arena_str(&s->arena, maildir_file_name(m, r, name));
	own.base = base_of(own.name);
	return own;
}

static bool
has_twin(struct scan *s, size_t index)
{
	VEC_EACH(&s->again, it)
		if (it->index == index)
			return true;
	return false;
}

static void
take_names(struct mailbox *m, struct scan *s)
{
	VEC_EACH(&s->renamed, it)
		if (!has_twin(s, it->index))
			take_sighting(m, it);
	for (size_t i = 0; i < s->again.n; i++) {
		struct sighting second = s->again.v[i];
		struct sighting first = first_sighting(m, s, second.index);

		settle_twins(m, s, &first, &second);
	}
	if (!m->is_read_only)
		for (size_t i = 0; i < s->nameless.n; i++)
			rename_to_fresh(m, s, &s->nameless.v[i]);
}

/* WAITING records whose files were met become LIVE, if no view is past them. */
static void
enliven(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	uint32_t floor = told_uid(m);

	for (size_t i = mailbox_rec_index(m, floor + 1); i < m->recs.n; i++) {
		struct msg_rec *r = &m->recs.v[i];

		if (r->state != REC_WAITING || !(r->own & OWN_SEEN))
			continue;
		md->n_new += (r->own & OWN_NEW) != 0;
		mailbox_note_new(m, r, (r->own & OWN_NEW) != 0);
	}
}

/*
 * Records that this scan should have met and did not. Returns how many need
 * another look; the others are gone.
 */
static size_t
judge_missing(struct mailbox *m, const struct scan *s, uint32_t floor)
{
	size_t again = 0;

	for (size_t i = 0; i < m->recs.n; i++) {
		struct msg_rec *r = &m->recs.v[i];
		unsigned dir = r->own & OWN_NEW ? DIR_NEW : DIR_CUR;

		if (r->state == REC_EXPUNGED)
			continue;
		if (r->own & OWN_SEEN) {
			r->own &= (uint8_t)~OWN_MISSED & 0x3f;
			/* Seen, but too late for its UID (rule 4). */
			if (r->state == REC_WAITING && r->uid <= floor) {
				forget(m, r);
				again++;
			}
			continue;
		}
		if (s->dirs != BOTH_DIRS) {
			again += r->state == REC_WAITING ||
			    (s->dirs & 1u << dir) != 0;
			continue;
		}
		if (s->is_stable || r->own & OWN_MISSED) {
			forget(m, r);
			continue;
		}
		r->own |= OWN_MISSED;
		again++;
	}
	return again;
}

/* Reads the directories until it is clear what is there. */
static int
look(struct mailbox *m, unsigned dirs, struct scan *s, struct err *e)
{
	struct maildir *md = maildir_of(m);
	uint32_t floor = told_uid(m);
	size_t again = 0;

	for (int i = 0; i < LOOKS_MAX; i++) {
		if (i > 0) {
			scan_done(s);
			scan_init(s);
		}
		md->must_scan = false;
		if (scan_read(m, dirs, s, e) == -1)
			return -1;
		take_names(m, s);
		enliven(m);
		again = judge_missing(m, s, floor);
		if (again == 0)
			return 0;
		dirs = BOTH_DIRS;
	}
	md->must_scan = true; /* somebody keeps renaming: later */
	return 0;
}

/* ---- giving UIDs --------------------------------------------------------- */

static int
by_arrival(const void *a, const void *b)
{
	const struct sighting *x = a, *y = b;
	int order = maildir_name_cmp(x->base, &x->time, y->base, &y->time);

	return order != 0 ? order : (int)x->dir - (int)y->dir;
}

/* Leaves those that still have no UID and whose files are still there. */
static void
sift_unknown(struct mailbox *m, struct scan *s)
{
	struct maildir *md = maildir_of(m);
	bool verify = s->unknown.n <= VERIFY_MAX;
	struct str last = {0};
	struct stat st;
	size_t n = 0;

	VEC_EACH(&s->unknown, u)
		u->time = maildir_name_time(u->base);
	if (s->unknown.n > 1)
		qsort(s->unknown.v, s->unknown.n, sizeof(*s->unknown.v),
		    by_arrival);
	VEC_EACH(&s->unknown, u) {
		struct str base = u->base;

		if (base.n > MAILDIR_NAME_MAX)
			continue;
		if (last.p != NULL && str_eq(base, last)) {
			md->dirs[u->dir].is_dirty = true; /* a twin: later */
			continue;
		}
		if (verify &&
		    !(stat_sighting(md, u, &st) && S_ISREG(st.st_mode))) {
			md->dirs[u->dir].is_dirty = true;
			continue;
		}
		u->index = maildir_find(m, base);
		if (u->index != NO_REC &&
		    m->recs.v[u->index].state != REC_EXPUNGED)
			continue;
		if (u->index != NO_REC && m->recs.v[u->index].own & OWN_IN_FILE)
			md->list.must_rewrite = true;
		last = base;
		s->unknown.v[n++] = *u;
	}
	s->unknown.n = n;
}

void
maildir_note_rewritten(struct mailbox *m)
{
	for (size_t i = 0; i < m->recs.n; i++)
		if (m->recs.v[i].state == REC_EXPUNGED)
			m->recs.v[i].own &= (uint8_t)~OWN_IN_FILE & 0x3f;
	maildir_of(m)->want_purge = true;
}

static int
give_uids(struct mailbox *m, struct scan *s, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct uidlist_new *v = arena_new(&s->arena, s->unknown.n, sizeof(*v));
	uint32_t uid = md->list.head.uidnext;
	bool rewritten = false;

	if (s->unknown.n >= UINT32_MAX - 1 - uid)
		return err_set(e, ERR_LIMIT, "%s: no UID left", m->name);
	for (size_t i = 0; i < s->unknown.n; i++)
		v[i] = (struct uidlist_new){
		    .uid = uid + (uint32_t)i,
		    .base = s->unknown.v[i].base,
		};
	if (!md->is_in_memory &&
	    uidlist_add(&md->list, v, s->unknown.n, maildir_dead_records(m),
		maildir_keep_record, m, &rewritten, e) == -1)
		return -1;
	for (size_t i = 0; i < s->unknown.n; i++) {
		struct msg_rec *r = maildir_add(m, v[i].uid, v[i].base);
		struct maildir_name name;

		r->own |= OWN_IN_FILE | OWN_SEEN;
		if (maildir_name_parse(s->unknown.v[i].name, &name))
			(void)maildir_take_name(
			    m, r, s->unknown.v[i].dir, &name);
		md->n_new += (r->own & OWN_NEW) != 0;
		mailbox_note_new(m, r, true);
	}
	if (md->is_in_memory)
		md->list.head.uidnext += (uint32_t)s->unknown.n;
	if (rewritten)
		maildir_note_rewritten(m);
	if (md->list.head.uidnext > m->uidnext)
		m->uidnext = md->list.head.uidnext;
	return 0;
}

static void
retry_later(struct mailbox *m)
{
	maildir_of(m)->retry_ms = clock_mono_ms() + RETRY_MS;
	notify_within(m->store, RETRY_MS);
}

/* Without the lock nothing gets an UID: known messages are served. */
static int
no_lock(struct mailbox *m, struct err *e)
{
	switch (e->code) {
	case ERR_PERM:
	case ERR_READ_ONLY:
		m->is_read_only = true;
		return 0;
	case ERR_IN_USE:
	case ERR_NO_SPACE:
		retry_later(m);
		return 0;
	default:
		return -1;
	}
}

static int
assign_locked(struct mailbox *m, struct scan *s, struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (!md->is_in_memory) {
		if (maildir_mend_list(m, e) == -1)
			return -1;
		/* Others gave UIDs meanwhile: find their files first. */
		if (md->must_scan) {
			scan_done(s);
			scan_init(s);
			if (look(m, BOTH_DIRS, s, e) == -1)
				return -1;
		}
	}
	sift_unknown(m, s);
	if (s->unknown.n == 0 && !md->list.must_rewrite && !md->list.is_torn)
		return 0;
	return give_uids(m, s, e);
}

static int
assign(struct mailbox *m, struct scan *s, struct err *e)
{
	struct maildir *md = maildir_of(m);
	bool is_open = !list_is_empty(&m->views) && m->live.n > 0;
	int rc;

	if (md->is_in_memory)
		return assign_locked(m, s, e);
	if (m->is_read_only)
		return 0;
	if (uidlist_lock(&md->list, is_open ? LOCK_WAIT_MS : LOCK_WAIT_OPEN_MS,
		e) == -1) {
		md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
		return no_lock(m, e);
	}
	md->retry_ms = 0;
	rc = assign_locked(m, s, e);
	uidlist_unlock(&md->list);
	if (rc == -1 && e->code == ERR_NO_SPACE) {
		md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
		retry_later(m);
		return 0;
	}
	if (rc == -1 && e->sys != 0)
		m->is_broken = true;
	return rc;
}

/* ---- new/ to cur/ -------------------------------------------------------- */

/* Moves one message; false when there is no use in going on. */
static bool
move_to_cur(struct mailbox *m, struct msg_rec *r)
{
	struct maildir *md = maildir_of(m);
	char from[512], to[520];
	struct maildir_name name;
	struct str whole = maildir_file_name(m, r, from);
	struct err e;

	memcpy(to, whole.p, whole.n);
	if (r->own & OWN_NO_INFO) {
		memcpy(to + whole.n, ":2,", 3);
		whole.n += 3;
	}
	to[whole.n] = '\0';
	if (file_rename_free(md->newfd, from, md->curfd, to, &e) == -1) {
		md->dirs[DIR_NEW].is_dirty = true;
		return e.code == ERR_NOT_FOUND || e.code == ERR_EXISTS;
	}
	if (maildir_name_parse(str_make(to, whole.n), &name))
		(void)maildir_take_name(m, r, DIR_CUR, &name);
	return true;
}

static void
move_new(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	struct dir_touch from, to;

	if (md->n_new == 0 || m->n_writers == 0 || m->is_read_only ||
	    m->is_broken)
		return;
	maildir_touch_begin(md, DIR_NEW, &from);
	maildir_touch_begin(md, DIR_CUR, &to);
	for (size_t i = m->recs.n; i > 0 && md->n_new > 0; i--) {
		struct msg_rec *r = &m->recs.v[i - 1];

		if (r->state == REC_LIVE && r->own & OWN_NEW &&
		    !move_to_cur(m, r))
			break;
	}
	maildir_touch_end(md, DIR_NEW, &from);
	maildir_touch_end(md, DIR_CUR, &to);
}

/* ---- the whole ----------------------------------------------------------- */

static unsigned
dirs_to_read(const struct mailbox *m, enum sync_how how)
{
	const struct maildir *md = maildir_of(m);
	unsigned dirs = 0;

	if (how == SYNC_FORCE || md->must_scan)
		return BOTH_DIRS;
	if (md->retry_ms != 0 && clock_mono_ms() < md->retry_ms)
		return 0;
	if (scan_is_needed(md, DIR_NEW))
		dirs |= 1u << DIR_NEW;
	if (scan_is_needed(md, DIR_CUR))
		dirs |= 1u << DIR_CUR;
	return dirs;
}

static int
read_disk(struct mailbox *m, enum sync_how how, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct scan s;
	unsigned dirs;
	int rc = 0;

	if (!md->is_in_memory && maildir_read_list(m, e) == -1) {
		if (e->code != ERR_NOT_FOUND && e->code != ERR_CORRUPT)
			return -1;
		/* Made anew or mended under the lock. */
		md->list.must_rewrite = true;
		how = SYNC_FORCE;
	}
	dirs = dirs_to_read(m, how);
	if (dirs == 0)
		return 0;
	scan_init(&s);
	rc = look(m, dirs, &s, e);
	if (rc == 0 && (s.unknown.n > 0 || md->list.must_rewrite))
		rc = assign(m, &s, e);
	scan_done(&s);
	return rc;
}

int
maildir_sync(struct mailbox *m, enum sync_how how, struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (m->is_gone)
		return err_set(e, ERR_GONE, "%s: folder removed", m->name);
	if (!list_is_empty(&m->views))
		(void)maildir_watch(m, true);
	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	if (read_disk(m, how, e) == -1)
		return -1;
	if (maildir_read_keywords(m, e) == -1)
		return -1;
	move_new(m);
	if ((md->want_purge && mailbox_is_all_told(m)) ||
	    maildir_has_garbage(md)) {
		md->want_purge = md->want_purge && !mailbox_is_all_told(m);
		maildir_compact(m);
	}
	return 0;
}

bool
maildir_may_have_news(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	return dirs_to_read(m, SYNC_NORMAL) != 0 ||
	    (!md->is_in_memory && uidlist_has_changed(&md->list));
}

/* ---- events -------------------------------------------------------------- */

void
maildir_touch_begin(
    struct maildir *md, enum maildir_dir dir, struct dir_touch *t)
{
	const struct dir_state *d = &md->dirs[dir];
	struct stat st;

	/* Only while events tell of what others do between begin and end. */
	t->was_current = d->is_read && !d->is_dirty && md->is_local &&
	    md->watch_new != NULL && md->watch_cur != NULL &&
	    fstat(dir == DIR_NEW ? md->newfd : md->curfd, &st) == 0 &&
	    file_time_cmp(&st.st_mtim, &d->mtime) == 0;
}

void
maildir_touch_end(
    struct maildir *md, enum maildir_dir dir, const struct dir_touch *t)
{
	struct stat st;

	if (t->was_current &&
	    fstat(dir == DIR_NEW ? md->newfd : md->curfd, &st) == 0)
		md->dirs[dir].mtime = st.st_mtim;
}

/* Does this event tell something that the records do not say already? */
static bool
is_news(const struct mailbox *m, enum maildir_dir dir, uint32_t mask,
    struct str name)
{
	size_t i;
	char own[512];
	bool is_ours;

	if (name.n == 0 || *name.p == '.')
		return false;
	i = maildir_find(m, base_of(name));
	is_ours = i != NO_REC && m->recs.v[i].state == REC_LIVE &&
	    ((m->recs.v[i].own & OWN_NEW) != 0) == (dir == DIR_NEW) &&
	    str_eq(maildir_file_name(m, &m->recs.v[i], own), name);
	return (mask & (IN_MOVED_TO | IN_CREATE)) != 0 ? !is_ours : is_ours;
}

static void
on_event(
    struct mailbox *m, enum maildir_dir dir, uint32_t mask, struct str name)
{
	struct maildir *md = maildir_of(m);

	if (mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF))
		md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
	else if (is_news(m, dir, mask, name))
		md->dirs[dir].is_dirty = true;
	else
		return;
	mailbox_note_news(m);
}

static void
on_new(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	(void)cookie;
	on_event(arg, DIR_NEW, mask, name);
}

static void
on_cur(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	(void)cookie;
	on_event(arg, DIR_CUR, mask, name);
}

bool
maildir_watch(struct mailbox *m, bool on)
{
	const uint32_t mask = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
	    IN_DELETE | IN_DELETE_SELF;
	struct maildir *md = maildir_of(m);
	char path[PATH_MAX + 8];
	struct err e;

	/* Watched as long as it is open, not only while somebody listens. */
	if (!on || m->store->hub == NULL || md->watch_failed)
		return false;
	if (md->watch_new != NULL && md->watch_cur != NULL)
		return md->is_local;
	(void)snprintf(path, sizeof(path), "%s/new", md->path);
	if (watch_add(
		m->store->hub, path, mask, on_new, m, &md->watch_new, &e) == -1)
		goto fail;
	(void)snprintf(path, sizeof(path), "%s/cur", md->path);
	if (watch_add(
		m->store->hub, path, mask, on_cur, m, &md->watch_cur, &e) == -1)
		goto fail;
	/* What happened before the watch left no event. */
	md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
	return md->is_local;
fail:
	watch_remove(&md->watch_new);
	md->watch_failed = true;
	return false;
}
