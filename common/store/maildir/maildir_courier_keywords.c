/* SPDX-License-Identifier: ISC */
/*
 * maildir_courier_keywords.c - Courier's keywords, in and out.
 *
 * Owns:    courierimapkeywords/:list, where store->is_courier.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the files.
 * Spec:    formats.md section 4.
 *
 * Keywords are Courier's when its folder was changed after dovecot-keywords,
 * whose time runs ahead of the clock when keywords are added (Dovecot compares
 * whole seconds). When we have read or written there the folder gets a time that
 * is past and whose fraction of a second tells that it was us.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/derived.h"
#include "store/maildir/courier.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_impl.h"

#define FILE_MAX (UINT64_C(64) * 1024 * 1024)
#define CHANGES_MAX 100000
#define CHANGES_PER_LOOK 16 /* at the clock */
#define SETTLED_NS 777777777
#define AHEAD_S 64
/* A list that is not written in a moment takes a twentieth of the time. */
#define EXPORT_CHEAP_MS 5
#define EXPORT_SHARE 20

struct kw_set {
	uint64_t age; /* of the change; 0: from ":list" */
	bool is_unread; /* a change that can not be read now */
	VEC(struct str) names;
};

struct kw_import {
	struct arena arena;
	struct map sets; /* base -> struct kw_set */
	VEC(struct str) names;
	VEC(struct kw_set *) all;
	bool is_partial; /* not all that is there was read... */
	bool is_unread; /* ...and some of it only not just now */
	DIR *dir; /* of the changes, while they are being read */
	int n_changes;
	bool has_paused;
};

static struct kw_set *
set_of(struct kw_import *k, struct str base)
{
	struct kw_set *set = map_find(&k->sets, base);

	if (set == NULL) {
		set = arena_new(&k->arena, 1, sizeof(*set));
		map_put(&k->sets, arena_str(&k->arena, base), set);
		*VEC_ADD(&k->all) = set;
	}
	return set;
}

static void
on_name(void *arg, size_t number, struct str name)
{
	struct kw_import *k = arg;

	(void)number;
	*VEC_ADD(&k->names) = arena_str(&k->arena, name);
}

static void
on_list_set(void *arg, struct str base, size_t number)
{
	struct kw_import *k = arg;
	struct kw_set *set = set_of(k, base);

	if (number < k->names.n)
		*VEC_ADD(&set->names) = k->names.v[number];
}

/* Not "none": what messages have stays. */
static void
note_unread(struct kw_import *k, const struct err *e)
{
	if (e->code == ERR_NOT_FOUND)
		return;
	k->is_partial = true;
	k->is_unread = k->is_unread || (e->code == ERR_SYS && e->sys != ELOOP);
}

/* A file of changes: the whole set of one message, a name on each line. */
static void
read_change(struct kw_import *k, int dirfd, const char *file, uint64_t age,
    struct str base)
{
	struct kw_set *set = map_find(&k->sets, base);
	struct str text, line;
	struct buf b;
	struct err e;

	if (set != NULL && set->age > age)
		return;
	e = (struct err){0};
	buf_init(&b, 64 * 1024);
	if (file_load(dirfd, file, &b, NULL, &e) == -1) {
		note_unread(k, &e);
		if (e.code != ERR_NOT_FOUND)
			set_of(k, base)->is_unread = true;
	} else {
		set = set_of(k, base);
		set->is_unread = false;
		set->age = age;
		set->names.n = 0;
		text = arena_str(&k->arena, buf_str(&b));
		while (str_next(&text, '\n', &line))
			if (line.n > 0)
				*VEC_ADD(&set->names) = line;
	}
	buf_done(&b);
}

/* The list; changes are read by kw_import_some(). */
static void
kw_import_begin(struct kw_import *k, int dirfd)
{
	struct buf b;
	struct err e = {0};
	int fd;

	*k = (struct kw_import){0};
	arena_init(&k->arena);
	map_init(&k->sets);
	buf_init(&b, FILE_MAX);
	if (file_load(dirfd, COURIER_KEYWORD_LIST, &b, NULL, &e) == 0)
		courier_keywords_parse(buf_str(&b), on_name, on_list_set, k);
	else
		note_unread(k, &e);
	buf_done(&b);
	fd = file_open_dir(dirfd, ".", false, &e);
	k->dir = fd == -1 ? NULL : fdopendir(fd);
	if (k->dir == NULL && fd != -1)
		close(fd);
	if (k->dir == NULL)
		k->is_partial = k->is_unread = true;
}

/* Some of the changes. False: there is more. */
static bool
kw_import_some(struct kw_import *k, int64_t until_ms)
{
	struct dirent *d = NULL;

	for (; k->dir != NULL && k->n_changes < CHANGES_MAX; k->n_changes++) {
		struct str base;
		uint64_t age;

		if (k->n_changes % CHANGES_PER_LOOK == CHANGES_PER_LOOK - 1 &&
		    !k->has_paused && clock_mono_ms() >= until_ms) {
			k->has_paused = true;
			return false;
		}
		k->has_paused = false;
		errno = 0;
		d = readdir(k->dir);
		if (d == NULL)
			break;
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0 &&
		    courier_change_name(str_of(d->d_name), &age, &base))
			read_change(k, dirfd(k->dir), d->d_name, age, base);
	}
	if (k->dir != NULL && (d != NULL || errno != 0))
		k->is_partial = true;
	if (k->dir != NULL)
		closedir(k->dir);
	k->dir = NULL;
	return true;
}

static void
kw_import_done(struct kw_import *k)
{
	if (k->dir != NULL)
		closedir(k->dir);
	VEC_EACH(&k->all, set)
		VEC_DONE(&(*set)->names);
	VEC_DONE(&k->all);
	VEC_DONE(&k->names);
	map_done(&k->sets);
	arena_done(&k->arena);
}

static int
by_number(const void *a, const void *b)
{
	const uint16_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * Gives a message these keywords, and no others that have a name; under the
 * lock. False: its file has another name now.
 */
static bool
set_keywords(struct mailbox *m, uint32_t uid, const struct kw_set *set)
{
	struct msg_rec *r = mailbox_rec(m, uid);
	struct flag_change c = {
	    .op = STORE_SET,
	    .system = r->system & FLAGS_STORED,
	};
	uint16_t more[256];
	size_t number, n = 0;
	bool changed = false;
	struct err e;

	for (size_t i = 0; set != NULL && i < set->names.n; i++) {
		if (!keywords_is_name(set->names.v[i]))
			continue;
		if (maildir_keyword(m, set->names.v[i], &number, &e) !=
		    STEP_DONE) {
			/* No room for more names, or only not now? */
			if (e.code == ERR_LIMIT)
				continue;
			return false;
		}
		if (number < KEYWORD_LETTERS)
			c.keywords |= 1u << number;
		else if (n < ARRAY_LEN(more))
			more[n++] = (uint16_t)number;
	}
	if (n > 0)
		qsort(more, n, sizeof(*more), by_number);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || more[i] != more[i - 1])
			more[c.n_more++] = more[i];
	c.more = more;
	r = mailbox_rec(m, uid);
	if (maildir_change_once(m, r, &c, &changed, &e) != STEP_DONE)
		return e.code != ERR_NOT_FOUND && e.code != ERR_EXISTS &&
		    e.code != ERR_SYS && e.code != ERR_NO_SPACE;
	r = mailbox_rec(m, uid);
	if (changed && r != NULL)
		mailbox_note_flags(m, r, NULL);
	return true;
}

/* Keywords that are being taken, some in each step. */
struct courier_taking {
	struct kw_import k;
	struct set32 uids;
	uint32_t at; /* the next UID */
	uint64_t modseq; /* when it began */
	bool only_lost; /* for messages without keywords alone */
	bool complete; /* those that are not named have none */
	bool all;
	bool is_read; /* all that Courier has */
};

static void
begin_taking(struct mailbox *m, int dirfd, bool only_lost)
{
	struct maildir *md = maildir_of(m);
	struct courier_taking *t = mem_new(1, sizeof(*t));

	md->taking = t;
	t->only_lost = only_lost;
	t->complete = !only_lost && maildir_courier_is_complete(m);
	t->all = true;
	t->at = 1;
	kw_import_begin(&t->k, dirfd);
	/* Names in the order of the list: the first ones become letters. */
	for (size_t i = 0; i < t->k.names.n; i++) {
		size_t number;
		struct err e;

		if (keywords_is_name(t->k.names.v[i]))
			(void)maildir_keyword(m, t->k.names.v[i], &number, &e);
	}
	set32_init(&t->uids);
	set32_copy(&t->uids, &m->live);
	t->modseq = m->highest_modseq;
}

void
maildir_courier_end(struct maildir *md)
{
	struct courier_taking *t = md->taking;

	md->taking = NULL;
	if (t == NULL)
		return;
	set32_done(&t->uids);
	kw_import_done(&t->k);
	free(t);
}

/* Is there something to be taken for this message? */
static bool
is_wanted(struct mailbox *m, const struct courier_taking *t, uint32_t uid,
    struct kw_set **set)
{
	const struct msg_rec *r = mailbox_rec(m, uid);

	if (r == NULL || r->state != REC_LIVE)
		return false;
	*set = map_find(&t->k.sets, maildir_base(m, r));
	/* Somebody has changed it since we began: that is newer. */
	return (*set != NULL ? !(*set)->is_unread : t->complete) &&
	    !(t->only_lost && (r->keywords != 0 || r->more != 0)) &&
	    derived_modseq(m, uid) <= t->modseq;
}

/* Under the lock. */
static enum step
take_some(struct mailbox *m, struct courier_taking *t, int64_t until_ms)
{
	struct kw_set *set;

	if (!t->is_read) {
		if (!kw_import_some(&t->k, until_ms))
			return STEP_MORE;
		t->is_read = true;
		t->complete = t->complete && !t->k.is_partial;
		t->all = !t->k.is_unread;
	}
	for (; set32_next(&t->uids, t->at, &t->at); t->at++) {
		if (!is_wanted(m, t, t->at, &set))
			continue;
		t->all = set_keywords(m, t->at, set) && t->all;
		if (clock_mono_ms() >= until_ms) {
			t->at++;
			return STEP_MORE;
		}
	}
	return STEP_DONE;
}

/* Marks the folder: nothing new in it. */
static void
settle_time(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	struct timespec ts[2];
	struct stat st;

	if (fstatat(md->controlfd, KEYWORDS_FILE, &st, AT_SYMLINK_NOFOLLOW) ==
	    0) {
		ts[0] = ts[1] = (struct timespec){
		    .tv_sec = st.st_mtim.tv_sec - 2 * AHEAD_S,
		    .tv_nsec = SETTLED_NS,
		};
		(void)utimensat(
		    md->dirfd, COURIER_KEYWORDS, ts, AT_SYMLINK_NOFOLLOW);
	}
	if (fstatat(md->dirfd, COURIER_KEYWORDS, &st, AT_SYMLINK_NOFOLLOW) == 0)
		md->courier_keywords = st.st_mtim;
}

/* Has Courier written there since we did, or since Dovecot was used? */
static bool
has_news(const struct maildir *md, const struct stat *folder)
{
	struct stat own;

	if (fstatat(md->controlfd, KEYWORDS_FILE, &own, AT_SYMLINK_NOFOLLOW) ==
	    -1)
		return true;
	return folder->st_mtim.tv_nsec != SETTLED_NS &&
	    folder->st_mtim.tv_sec > own.st_mtim.tv_sec - AHEAD_S;
}

/* Is there something new, and may it be taken? *only_lost as above. */
static bool
wants_keywords(struct mailbox *m, bool *only_lost)
{
	struct maildir *md = maildir_of(m);
	struct stat st;

	if (m->is_read_only || md->is_in_memory || m->is_broken ||
	    (!m->store->is_courier && md->has_keywords_file) ||
	    fstatat(md->dirfd, COURIER_KEYWORDS, &st, AT_SYMLINK_NOFOLLOW) ==
		-1 ||
	    !S_ISDIR(st.st_mode) ||
	    file_time_cmp(&st.st_mtim, &md->courier_keywords) == 0)
		return false;
	md->courier_keywords = st.st_mtim;
	/* Courier changes flags without keeping the letters: give them back. */
	*only_lost = !has_news(md, &st);
	if (*only_lost && (!m->store->is_courier || md->courier_looked))
		return false;
	md->courier_looked = true;
	return true;
}

/* Courier has written nothing since it was looked at. */
static bool
is_as_begun(const struct maildir *md)
{
	struct stat st;

	return fstatat(md->dirfd, COURIER_KEYWORDS, &st, AT_SYMLINK_NOFOLLOW) ==
	    0 &&
	    file_time_cmp(&st.st_mtim, &md->courier_keywords) == 0;
}

enum step
maildir_courier_keywords(struct mailbox *m, int64_t until_ms)
{
	struct maildir *md = maildir_of(m);
	enum step step = STEP_DONE;
	bool all = false, only_lost = false;
	struct err e;
	int fd = -1;

	if (md->taking == NULL) {
		if (!wants_keywords(m, &only_lost) ||
		    (fd = file_open_dir(
			 md->dirfd, COURIER_KEYWORDS, false, &e)) == -1)
			return STEP_DONE;
	}
	if (maildir_lock_now(m)) {
		if (md->taking == NULL)
			begin_taking(m, fd, only_lost);
		step = take_some(m, md->taking, until_ms);
		all = md->taking->all;
		maildir_unlock(m);
	}
	if (fd != -1)
		close(fd);
	if (step == STEP_MORE)
		return step;
	maildir_courier_end(md);
	/* What has not been read is not written over. */
	md->courier_is_unread = !all;
	if (all && is_as_begun(md)) {
		md->courier_is_dirty = false;
		settle_time(m);
	} else {
		/* At the next look. */
		md->courier_keywords = (struct timespec){0};
		md->must_scan = true;
	}
	return STEP_DONE;
}

/* ---- keywords, out --------------------------------------------------------- */

static void
put_sets(struct mailbox *m, struct buf *out)
{
	size_t *place = mem_new(m->keywords.n + 1, sizeof(*place)), n = 0;

	for (size_t i = 0; i < m->keywords.n; i++)
		if (m->keywords.v[i] != NULL) {
			place[i] = n++;
			(void)buf_addf(out, "%s\n", m->keywords.v[i]);
		}
	(void)buf_add_byte(out, '\n');
	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];
		size_t n_more;
		const uint16_t *more = mailbox_more(m, r, &n_more);
		uint32_t letters = r->keywords & m->named_letters;
		char sep = ':';

		if (r->state != REC_LIVE || (letters == 0 && n_more == 0))
			continue;
		(void)buf_add_str(out, maildir_base(m, r));
		for (size_t j = 0; j < KEYWORD_LETTERS; j++)
			if (letters & 1u << j) {
				(void)buf_addf(out, "%c%zu", sep, place[j]);
				sep = ' ';
			}
		for (size_t j = 0; j < n_more; j++)
			if (more[j] < m->keywords.n) {
				(void)buf_addf(
				    out, "%c%zu", sep, place[more[j]]);
				sep = ' ';
			}
		(void)buf_add_byte(out, '\n');
	}
	free(place);
}

/* Files of changes: the list says it all now. */
static void
remove_changes(int dirfd)
{
	struct dirent *d;
	struct err e;
	DIR *dir;
	int fd = file_open_dir(dirfd, ".", false, &e);

	dir = fd == -1 ? NULL : fdopendir(fd);
	if (dir == NULL && fd != -1)
		close(fd);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		struct str base;
		uint64_t age;

		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0 &&
		    courier_change_name(str_of(d->d_name), &age, &base))
			(void)unlinkat(dirfd, d->d_name, 0);
	}
	if (dir != NULL)
		closedir(dir);
}

/* False: Courier's are still the old ones. */
static bool
export_keywords(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	struct buf b;
	struct err e;
	bool ok;
	int fd;

	if (file_make_dir(md->dirfd, COURIER_KEYWORDS, &md->perm, &e) == -1 &&
	    e.code != ERR_EXISTS)
		return false;
	fd = file_open_dir(md->dirfd, COURIER_KEYWORDS, false, &e);
	if (fd == -1)
		return false;
	buf_init(&b, FILE_MAX);
	put_sets(m, &b);
	ok = !buf_is_over(&b) &&
	    maildir_courier_put(fd, COURIER_KEYWORD_LIST, buf_str(&b),
		&md->perm, NULL, &e) == 0;
	if (ok)
		remove_changes(fd);
	buf_done(&b);
	close(fd);
	if (ok)
		settle_time(m);
	return ok;
}

void
maildir_courier_flush(struct mailbox *m, bool is_last)
{
	struct maildir *md = maildir_of(m);
	int64_t now = clock_mono_ms();

	if (!md->courier_is_dirty || md->courier_is_unread ||
	    !m->store->is_courier || m->is_read_only || md->is_in_memory ||
	    m->is_broken || m->is_gone ||
	    (!is_last && now < md->courier_next_ms))
		return;
	md->courier_is_dirty = !export_keywords(m);
	now = clock_mono_ms() - now;
	md->courier_next_ms =
	    now < EXPORT_CHEAP_MS ? 0 : clock_mono_ms() + EXPORT_SHARE * now;
}
