/* SPDX-License-Identifier: ISC */
/*
 * maildir_look.c - from what was met in new/ and cur/ to what the records say.
 *
 * Owns:    the judgement of what is renamed, doubled, gone.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing on disk; every program of the user may change it at any
 *          moment without a lock, and between two steps our own sessions do.
 * Spec:    formats.md 1.8, 1.9, 2.6; security.md 7.2.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/maildir/maildir_scan.h"

#define LOOKS_MAX 4
#define LINKED_TWICE_S 30

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

bool
scan_stat(const struct maildir *md, const struct sighting *s, struct stat *st)
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
		u->base = maildir_base_of(u->name);
		u->hash = map_hash(u->base);
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

	if (!scan_stat(md, first, &a)) {
		take_sighting(m, second); /* it was renamed while we read */
		return;
	}
	if (!scan_stat(md, second, &b)) {
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
	own.base = maildir_base_of(own.name);
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
enliven(struct mailbox *m, uint32_t floor)
{
	struct maildir *md = maildir_of(m);

	for (size_t i = mailbox_rec_index(m, floor + 1); i < m->recs.n; i++) {
		struct msg_rec *r = &m->recs.v[i];

		if (r->state != REC_WAITING || !(r->own & OWN_SEEN))
			continue;
		md->n_new += (r->own & OWN_NEW) != 0;
		mailbox_note_new(m, r, (r->own & OWN_NEW) != 0);
	}
}

static bool
is_at_its_name(const struct mailbox *m, const struct msg_rec *r)
{
	char name[512];
	struct stat st;

	(void)maildir_file_name(m, r, name);
	return fstatat(maildir_dir_fd(maildir_of(m), r), name, &st,
		   AT_SYMLINK_NOFOLLOW) == 0;
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
				maildir_forget(m, r);
				again++;
			}
			continue;
		}
		if (s->dirs != BOTH_DIRS) {
			again += r->state == REC_WAITING ||
			    (s->dirs & 1u << dir) != 0;
			continue;
		}
		/* Renamed by us while we read, it was perhaps not met. */
		if (s->is_disturbed && is_at_its_name(m, r))
			continue;
		if (s->is_stable || r->own & OWN_MISSED) {
			maildir_forget(m, r);
			continue;
		}
		r->own |= OWN_MISSED;
		again++;
	}
	return again;
}

enum step
maildir_look(struct mailbox *m, struct scan *s, int64_t until_ms, struct err *e)
{
	struct maildir *md = maildir_of(m);
	enum step step;
	uint32_t floor;
	int looks = s->looks;

	if (!s->is_reading) {
		/* Messages that are not loaded lie in cur/, most of the time
		 * all of them: what came to new/ is no business of theirs. */
		if ((s->dirs & 1u << DIR_CUR || md->lazy_new > 0) &&
		    mailbox_load(m, e) == -1)
			return STEP_FAIL;
		md->must_scan = false;
		scan_begin(m, s);
	}
	step = scan_read_some(m, s, until_ms, e);
	if (step != STEP_DONE)
		return step;
	derived_note_state(m);
	if (s->needs_all && mailbox_load(m, e) == -1)
		return STEP_FAIL;
	if (s->needs_all || s->loads != md->loads) {
		scan_done(s);
		scan_init(s, BOTH_DIRS);
		s->looks = looks;
		return STEP_MORE;
	}
	floor = told_uid(m);
	take_names(m, s);
	enliven(m, floor);
	if (judge_missing(m, s, floor) == 0)
		return STEP_DONE;
	if (++looks == LOOKS_MAX) {
		md->must_scan = true; /* somebody keeps renaming: later */
		return STEP_DONE;
	}
	scan_done(s);
	scan_init(s, BOTH_DIRS);
	s->looks = looks;
	return STEP_MORE;
}
