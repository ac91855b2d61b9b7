/* SPDX-License-Identifier: ISC */
/*
 * maildir_courier.c - mail that Courier has served: its UIDs, keywords, POP3 ids
 * and subscriptions are taken over once; with store->is_courier its files are
 * kept up to date, so that it can be put back the next minute.
 *
 * Owns:    courierimapuiddb, courierimapkeywords/:list, courierimapsubscribed,
 *          where store->is_courier.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the files.
 * Spec:    formats.md section 4.
 *
 * dovecot-uidlist is the one that counts. Each write of it is followed, under
 * its lock, by courierimapuiddb. When Courier was used meanwhile its file knows
 * larger UIDs than ours: these are taken for the files that have none.
 *
 * Keywords are Courier's when its folder was changed after dovecot-keywords,
 * whose time runs ahead of the clock when keywords are added (Dovecot compares
 * whole seconds). When we have read or written there the folder gets a time that
 * is past and whose fraction of a second tells that it was us.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/derived.h"
#include "store/maildir/courier.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_scan.h"
#include "store/maildir/uidvalidity.h"
#include "store/subs.h"
#include "text/utf8.h"

#define FILE_MAX (UINT64_C(64) * 1024 * 1024)
#define CHANGES_MAX 100000
#define SETTLED_NS 777777777
#define AHEAD_S 64
/* A list that is not written in a moment takes a twentieth of the time. */
#define EXPORT_CHEAP_MS 5
#define EXPORT_SHARE 20

bool
maildir_courier_is_there(int dirfd)
{
	static const char *const files[] = {
	    COURIER_UIDS, COURIER_SUBS, COURIER_POP3};

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (faccessat(dirfd, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

/* ---- UIDs and POP3 ids, in ----------------------------------------------- */

struct pop3_import {
	struct arena arena;
	struct map fields; /* base -> struct str: "PUID2-17 O1" */
	VEC(struct str) bases;
};

static void
on_pop3(void *arg, const struct courier_pop3 *entry)
{
	struct pop3_import *p = arg;
	struct str *fields;
	struct buf b;

	if (entry->base.n > MAILDIR_NAME_MAX ||
	    map_find(&p->fields, entry->base) != NULL)
		return;
	buf_init(&b, 1024);
	(void)buf_add_byte(&b, 'P');
	if (courier_pop3_uidl(&b, entry) && b.n - 1 <= MAILDIR_NAME_MAX) {
		(void)buf_addf(&b, " O%zu", p->bases.n + 1);
		fields = arena_new(&p->arena, 1, sizeof(*fields));
		*fields = arena_str(&p->arena, buf_str(&b));
		*VEC_ADD(&p->bases) = arena_str(&p->arena, entry->base);
		map_put(&p->fields, p->bases.v[p->bases.n - 1], fields);
	}
	buf_done(&b);
}

static void
pop3_import_init(struct pop3_import *p, struct mailbox *m)
{
	struct buf b;
	struct err e;

	*p = (struct pop3_import){0};
	arena_init(&p->arena);
	map_init(&p->fields);
	buf_init(&b, FILE_MAX);
	if (strcmp(m->name, "INBOX") == 0 &&
	    file_load(maildir_of(m)->dirfd, COURIER_POP3, &b, NULL, &e) == 0)
		courier_pop3_parse(buf_str(&b), on_pop3, p);
	buf_done(&b);
}

static void
pop3_import_done(struct pop3_import *p)
{
	VEC_DONE(&p->bases);
	map_done(&p->fields);
	arena_done(&p->arena);
}

static struct str
fields_of(void *arg, struct str base)
{
	const struct pop3_import *p = arg;
	const struct str *fields = map_find(&p->fields, base);

	return fields == NULL ? (struct str){0} : *fields;
}

static int
by_arrival(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	struct maildir_time tx = maildir_name_time(*x),
			    ty = maildir_name_time(*y);

	return maildir_name_cmp(*x, &tx, *y, &ty);
}

/* Courier served POP3 only: its list tells the ids, UIDs are given now. */
static bool
make_map(
    struct mailbox *m, struct pop3_import *p, struct buf *out, struct err *e)
{
	const struct maildir_place *place = m->store->impl;
	uint32_t uidvalidity;
	struct str *sorted;

	if (p->bases.n == 0 ||
	    uidvalidity_next(place->controlfd, &place->perm, &uidvalidity, e) ==
		-1)
		return false;
	sorted = arena_new(&p->arena, p->bases.n, sizeof(*sorted));
	memcpy(sorted, p->bases.v, p->bases.n * sizeof(*sorted));
	qsort(sorted, p->bases.n, sizeof(*sorted), by_arrival);
	(void)buf_addf(out, "1 %u %zu\n", uidvalidity, p->bases.n + 1);
	for (size_t i = 0; i < p->bases.n; i++)
		(void)buf_addf(out, "%zu %.*s\n", i + 1, STR_ARG(sorted[i]));
	return !buf_is_over(out);
}

bool
maildir_courier_import(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	struct pop3_import p;
	struct buf b;
	struct err e;
	bool ok;

	pop3_import_init(&p, m);
	buf_init(&b, UIDLIST_MAX_BYTES);
	ok = (file_load(md->dirfd, COURIER_UIDS, &b, NULL, &e) == 0 ||
		 make_map(m, &p, &b, &e)) &&
	    uidlist_import(&md->list, buf_str(&b), fields_of, &p, &e) == 0;
	buf_done(&b);
	pop3_import_done(&p);
	return ok;
}

/* ---- UIDs, out ------------------------------------------------------------- */

/* A whole new file; not synced: it can be made again from dovecot-uidlist. */
int
maildir_courier_put(int dirfd, const char *name, struct str bytes,
    const struct file_perm *perm, struct file_stamp *stamp, struct err *e)
{
	static const char temp[] = "restante-courier.tmp";
	int fd;

	(void)unlinkat(dirfd, temp, 0);
	fd = file_create(dirfd, temp, perm, e);
	if (fd == -1)
		return -1;
	if (file_write(fd, bytes, e) == -1 || file_close(&fd, temp, e) == -1) {
		if (fd != -1)
			close(fd);
		(void)unlinkat(dirfd, temp, 0);
		return -1;
	}
	if (renameat(dirfd, temp, dirfd, name) == -1) {
		(void)err_sys(e, "rename to %s", name);
		(void)unlinkat(dirfd, temp, 0);
		return -1;
	}
	if (stamp != NULL)
		(void)file_stamp_at(dirfd, name, stamp);
	return 0;
}

static void
warn_once(struct mailbox *m, const char *what, const char *why)
{
	struct maildir *md = maildir_of(m);

	if (!md->warned_courier)
		store_warn(m->store, "%s mailbox=%s %s", what, m->name, why);
	md->warned_courier = true;
}

void
maildir_courier_written(void *arg)
{
	struct mailbox *m = arg;
	struct maildir *md = maildir_of(m);
	struct buf b;
	struct err e;

	if (!m->store->is_courier || m->is_read_only || m->is_broken)
		return;
	buf_init(&b, UIDLIST_MAX_BYTES);
	(void)buf_addf(
	    &b, "1 %u %u\n", md->list.head.uidvalidity, md->list.head.uidnext);
	for (size_t i = 0; i < m->recs.n; i++)
		if (m->recs.v[i].state != REC_EXPUNGED)
			(void)buf_addf(&b, "%u %.*s\n", m->recs.v[i].uid,
			    STR_ARG(maildir_base(m, &m->recs.v[i])));
	if (buf_is_over(&b))
		(void)err_set(&e, ERR_LIMIT, "too large");
	else if (maildir_courier_put(md->dirfd, COURIER_UIDS, buf_str(&b),
		     &md->perm, &md->courier_uids, &e) == 0)
		e.text[0] = '\0';
	if (e.text[0] != '\0')
		warn_once(m, COURIER_UIDS " can not be written", e.text);
	buf_done(&b);
}

/* ---- UIDs that Courier gave since ------------------------------------------ */

struct later {
	struct map uids; /* base -> UID in a pointer */
	struct arena arena;
};

static void
on_later(void *arg, uint32_t uid, struct str base, struct str fields)
{
	struct later *l = arg;

	(void)fields;
	if (uid != 0)
		map_put(&l->uids, base, (void *)(uintptr_t)uid);
}

static int
by_courier(const void *a, const void *b)
{
	const struct sighting *x = a, *y = b;

	uint32_t a_uid = x->courier_uid, b_uid = y->courier_uid;

	/* Those without one come last. */
	if (a_uid != b_uid)
		return a_uid - 1 < b_uid - 1 ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static void
take_later(
    struct mailbox *m, struct scan *s, const struct later *l, uint32_t next)
{
	struct maildir *md = maildir_of(m);
	uint32_t floor = md->list.head.uidnext;
	size_t n = 0, late = 0;

	VEC_EACH(&s->unknown, u) {
		uint32_t uid = (uint32_t)(uintptr_t)map_find(&l->uids, u->base);

		u->order = n++;
		late += uid != 0 && uid < floor;
		u->courier_uid = uid >= floor && uid < next ? uid : 0;
	}
	if (late > 0)
		store_warn(m->store,
		    "mailbox=%s: %zu messages get new UIDs: those that "
		    "Courier gave them belong to others",
		    m->name, late);
	if (s->unknown.n > 1)
		qsort(s->unknown.v, s->unknown.n, sizeof(*s->unknown.v),
		    by_courier);
}

void
maildir_courier_uids(struct mailbox *m, struct scan *s)
{
	struct maildir *md = maildir_of(m);
	struct uidlist_head head = {0};
	struct later l;
	struct file_stamp now;
	struct buf b;
	struct err e;
	size_t used;
	unsigned line;

	VEC_EACH(&s->unknown, u)
		u->courier_uid = 0;
	if (!m->store->is_courier || s->unknown.n == 0 || md->is_in_memory ||
	    !file_stamp_at(md->dirfd, COURIER_UIDS, &now) || now.ino == 0 ||
	    file_stamp_eq(&now, &md->courier_uids))
		return;
	arena_init(&l.arena);
	map_init(&l.uids);
	buf_init(&b, UIDLIST_MAX_BYTES);
	if (file_load(md->dirfd, COURIER_UIDS, &b, NULL, &e) == 0)
		(void)uidlist_parse(
		    &head, buf_str(&b), true, true, on_later, &l, &used, &line);
	if (head.version != 0 && head.uidvalidity != md->list.head.uidvalidity)
		warn_once(m, COURIER_UIDS,
		    "has another UIDVALIDITY than dovecot-uidlist, which "
		    "counts");
	else if (head.version != 0) {
		take_later(m, s, &l, head.uidnext);
		s->next_uid = head.uidnext;
	}
	buf_done(&b);
	map_done(&l.uids);
	arena_done(&l.arena);
}

struct adopting {
	struct mailbox *m;
	struct arena arena;
	VEC(struct uidlist_new) v;
};

/* What it gave above all UIDs of ours, to files that we have not met. */
static void
on_adopt(void *arg, uint32_t uid, struct str base, struct str fields)
{
	struct adopting *a = arg;

	(void)fields;
	if (uid >= maildir_of(a->m)->list.head.uidnext &&
	    (a->v.n == 0 || uid > a->v.v[a->v.n - 1].uid) &&
	    base.n <= MAILDIR_NAME_MAX && maildir_find(a->m, base) == NO_REC)
		*VEC_ADD(&a->v) = (struct uidlist_new){
		    .uid = uid,
		    .base = arena_str(&a->arena, base),
		};
}

static int
adopt(struct adopting *a, uint32_t next, struct err *e)
{
	struct mailbox *m = a->m;
	struct maildir *md = maildir_of(m);
	bool rewritten;

	if (next > md->list.head.uidnext &&
	    (a->v.n == 0 || next - 1 > a->v.v[a->v.n - 1].uid)) {
		md->list.head.uidnext = next;
		md->list.must_rewrite = true;
	}
	if (a->v.n == 0)
		return 0;
	if (maildir_load_for_rewrite(m, e) == -1 ||
	    uidlist_add(&md->list, a->v.v, a->v.n, maildir_dead_records(m),
		maildir_keep_record, m, &rewritten, e) == -1)
		return -1;
	if (rewritten)
		maildir_note_rewritten(m);
	VEC_EACH(&a->v, n)
		maildir_add(m, n->uid, n->base)->own |= OWN_IN_FILE;
	/* Their files are found by the next look. */
	md->must_scan = true;
	if (md->list.head.uidnext > m->uidnext)
		m->uidnext = md->list.head.uidnext;
	return 0;
}

int
maildir_courier_adopt(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct adopting a = {.m = m};
	struct uidlist_head head = {0};
	struct file_stamp now;
	struct buf b;
	struct err ignored;
	size_t used;
	unsigned line;
	int rc = 0;

	if (!m->store->is_courier || md->is_in_memory ||
	    !file_stamp_at(md->dirfd, COURIER_UIDS, &now) || now.ino == 0 ||
	    file_stamp_eq(&now, &md->courier_uids))
		return 0;
	if (mailbox_load(m, e) == -1)
		return -1;
	arena_init(&a.arena);
	buf_init(&b, UIDLIST_MAX_BYTES);
	if (file_load(md->dirfd, COURIER_UIDS, &b, NULL, &ignored) == 0)
		(void)uidlist_parse(
		    &head, buf_str(&b), true, true, on_adopt, &a, &used, &line);
	if (head.version != 0 && head.uidvalidity == md->list.head.uidvalidity)
		rc = adopt(&a, head.uidnext, e);
	buf_done(&b);
	VEC_DONE(&a.v);
	arena_done(&a.arena);
	return rc;
}

/* ---- keywords, in ------------------------------------------------------------ */

struct kw_set {
	uint64_t age; /* of the change; 0: from ":list" */
	VEC(struct str) names;
};

struct kw_import {
	struct arena arena;
	struct map sets; /* base -> struct kw_set */
	VEC(struct str) names;
	VEC(struct kw_set *) all;
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

/* A file of changes: the whole set of one message, a name on each line. */
static void
read_change(struct kw_import *k, int dirfd, const char *file, uint64_t age,
    struct str base)
{
	struct kw_set *set = set_of(k, base);
	struct str text, line;
	struct buf b;
	struct err e;

	if (set->age > age)
		return;
	buf_init(&b, 64 * 1024);
	if (file_load(dirfd, file, &b, NULL, &e) == 0) {
		set->age = age;
		set->names.n = 0;
		text = arena_str(&k->arena, buf_str(&b));
		while (str_next(&text, '\n', &line))
			if (line.n > 0)
				*VEC_ADD(&set->names) = line;
	}
	buf_done(&b);
}

static void
kw_import_read(struct kw_import *k, int dirfd)
{
	struct dirent *d;
	struct buf b;
	struct err e;
	DIR *dir;
	int fd = file_open_dir(dirfd, ".", false, &e);

	*k = (struct kw_import){0};
	arena_init(&k->arena);
	map_init(&k->sets);
	buf_init(&b, FILE_MAX);
	if (file_load(dirfd, COURIER_KEYWORD_LIST, &b, NULL, &e) == 0)
		courier_keywords_parse(buf_str(&b), on_name, on_list_set, k);
	buf_done(&b);
	dir = fd == -1 ? NULL : fdopendir(fd);
	if (dir == NULL && fd != -1)
		close(fd);
	for (int n = 0;
	     dir != NULL && n < CHANGES_MAX && (d = readdir(dir)) != NULL;
	     n++) {
		struct str base;
		uint64_t age;

		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0 &&
		    courier_change_name(str_of(d->d_name), &age, &base))
			read_change(k, dirfd, d->d_name, age, base);
	}
	if (dir != NULL)
		closedir(dir);
}

static void
kw_import_done(struct kw_import *k)
{
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
		if (!keywords_is_name(set->names.v[i]) ||
		    maildir_keyword(m, set->names.v[i], &number, &e) !=
			STEP_DONE)
			continue;
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
		return e.code != ERR_NOT_FOUND && e.code != ERR_EXISTS;
	r = mailbox_rec(m, uid);
	if (changed && r != NULL)
		mailbox_note_flags(m, r, NULL);
	return true;
}

/* Did Courier know all that we know? Then its silence means: none. */
static bool
is_complete(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	char head[64];
	struct uidlist_head h = {0};
	struct err e;
	size_t got, used;
	unsigned line;
	int fd;

	if (!m->store->is_courier)
		return false;
	fd = file_open(md->dirfd, COURIER_UIDS, NULL, &e);
	if (fd == -1)
		return false;
	if (file_read_at(fd, 0, head, sizeof(head), &got, &e) == 0) {
		struct str s = str_make(head, got);

		s = str_head(s, str_find(s, '\n') + 1);
		(void)uidlist_parse(
		    &h, s, true, true, on_later, NULL, &used, &line);
	}
	close(fd);
	return h.version != 0 && h.uidvalidity == md->list.head.uidvalidity &&
	    h.uidnext >= md->list.head.uidnext;
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
};

static void
begin_taking(struct mailbox *m, int dirfd, bool only_lost)
{
	struct maildir *md = maildir_of(m);
	struct courier_taking *t = mem_new(1, sizeof(*t));

	md->taking = t;
	t->only_lost = only_lost;
	t->complete = !only_lost && is_complete(m);
	t->all = true;
	t->at = 1;
	kw_import_read(&t->k, dirfd);
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
	return (*set != NULL || t->complete) &&
	    !(t->only_lost && (r->keywords != 0 || r->more != 0)) &&
	    derived_modseq(m, uid) <= t->modseq;
}

/* Under the lock. */
static enum step
take_some(struct mailbox *m, struct courier_taking *t, int64_t until_ms)
{
	struct kw_set *set;

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
	if (all) {
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

static void
export_keywords(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	struct buf b;
	struct err e;
	int fd;

	if (file_make_dir(md->dirfd, COURIER_KEYWORDS, &md->perm, &e) == -1 &&
	    e.code != ERR_EXISTS)
		return;
	fd = file_open_dir(md->dirfd, COURIER_KEYWORDS, false, &e);
	if (fd == -1)
		return;
	buf_init(&b, FILE_MAX);
	put_sets(m, &b);
	if (!buf_is_over(&b) &&
	    maildir_courier_put(fd, COURIER_KEYWORD_LIST, buf_str(&b),
		&md->perm, NULL, &e) == 0)
		remove_changes(fd);
	buf_done(&b);
	close(fd);
	settle_time(m);
}

void
maildir_courier_flush(struct mailbox *m, bool is_last)
{
	struct maildir *md = maildir_of(m);
	int64_t now = clock_mono_ms();

	if (!md->courier_is_dirty || !m->store->is_courier || m->is_read_only ||
	    md->is_in_memory || m->is_broken || m->is_gone ||
	    (!is_last && now < md->courier_next_ms))
		return;
	md->courier_is_dirty = false;
	export_keywords(m);
	now = clock_mono_ms() - now;
	md->courier_next_ms =
	    now < EXPORT_CHEAP_MS ? 0 : clock_mono_ms() + EXPORT_SHARE * now;
}

int
maildir_courier_give_back(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (!m->store->is_courier)
		return 0;
	/* courierimapuiddb was written with dovecot-uidlist. */
	md->courier_is_dirty = true;
	maildir_courier_flush(m, true);
	md->courier_drop_is_dirty = true;
	maildir_courier_pop3_flush(m, true);
	if (md->warned_courier)
		return err_set(e, ERR_OTHER, "Courier's files, see the log");
	return 0;
}

/* ---- subscriptions ----------------------------------------------------------- */

/* Courier's list as dovecot's, in the order that it has. */
static bool
convert_subs(struct store *s, struct str bytes, struct buf *out)
{
	struct buf name, storage;
	struct str line;

	buf_init(&name, 4 * MAILBOX_NAME_MAX_BYTES);
	buf_init(&storage, 4 * MAILBOX_NAME_MAX_BYTES);
	(void)buf_add_c(out, SUBS_HEADER);
	while (str_next(&bytes, '\n', &line)) {
		buf_clear(&name);
		buf_clear(&storage);
		if (courier_sub_name(line, &name) && !buf_is_over(&name) &&
		    maildir_storage_name(s, buf_str(&name), &storage))
			subs_put_line(out, buf_str(&storage), s->delimiter);
	}
	buf_done(&name);
	buf_done(&storage);
	return !buf_is_over(out);
}

void
maildir_courier_subs(struct store *s)
{
	const struct maildir_place *p = s->impl;
	struct file_stamp own, theirs;
	struct buf b, out;
	struct err e;

	if (s->is_fs_layout ||
	    !file_stamp_at(p->rootfd, COURIER_SUBS, &theirs) ||
	    theirs.ino == 0 || !file_stamp_at(p->controlfd, SUBS_FILE, &own))
		return;
	if (own.ino != 0 &&
	    (!s->is_courier || file_time_cmp(&theirs.mtime, &own.mtime) <= 0))
		return;
	buf_init(&b, FILE_MAX);
	buf_init(&out, FILE_MAX);
	if (file_load(p->rootfd, COURIER_SUBS, &b, NULL, &e) == 0 &&
	    convert_subs(s, buf_str(&b), &out) &&
	    subs_replace(
		p->controlfd, SUBS_FILE, &p->perm, buf_str(&out), &e) == -1)
		store_warn(s,
		    SUBS_FILE " can not be made from " COURIER_SUBS ": %s",
		    e.text);
	buf_done(&b);
	buf_done(&out);
}

struct subs_export {
	struct store *s;
	struct buf out;
};

static void
on_sub(void *arg, struct str storage)
{
	struct subs_export *x = arg;
	struct buf name;

	buf_init(&name, 4 * MAILBOX_NAME_MAX_BYTES);
	if (maildir_name_of_storage(x->s, storage, &name) &&
	    utf8_is_valid(buf_str(&name)))
		(void)courier_sub_line(buf_str(&name), &x->out);
	buf_done(&name);
}

void
maildir_courier_subs_changed(struct store *s)
{
	const struct maildir_place *p = s->impl;
	struct subs_export x = {.s = s};
	struct timespec ts[2];
	struct stat st;
	struct err e;

	if (!s->is_courier || s->is_fs_layout)
		return;
	buf_init(&x.out, FILE_MAX);
	if (subs_load(p->controlfd, SUBS_FILE, s->delimiter, on_sub, &x, &e) ==
		0 &&
	    !buf_is_over(&x.out) &&
	    maildir_courier_put(p->rootfd, COURIER_SUBS, buf_str(&x.out),
		&p->perm, NULL, &e) == 0 &&
	    fstatat(p->controlfd, SUBS_FILE, &st, 0) == 0) {
		ts[0] = ts[1] = st.st_mtim;
		(void)utimensat(p->rootfd, COURIER_SUBS, ts, 0);
	}
	buf_done(&x.out);
}
