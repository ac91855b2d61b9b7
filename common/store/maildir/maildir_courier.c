/* SPDX-License-Identifier: ISC */
/*
 * maildir_courier.c - mail that Courier has served: its UIDs and POP3 ids (here),
 * keywords and subscriptions (maildir_courier_*.c) are taken over once; with
 * store->is_courier its files are kept up to date, so that it can be put back
 * the next minute.
 *
 * Owns:    courierimapuiddb, where store->is_courier.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the files.
 * Spec:    formats.md section 4.
 *
 * dovecot-uidlist is the one that counts. Each write of it is followed, under
 * its lock, by courierimapuiddb. When Courier was used meanwhile its file knows
 * larger UIDs than ours: these are taken for the files that have none.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/maildir/courier.h"
#include "store/maildir/maildir_scan.h"
#include "store/maildir/uidvalidity.h"

#define FILE_MAX (UINT64_C(64) * 1024 * 1024)

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

/*
 * It is taken over once, so that what is only not to be read just now (no more
 * descriptors, a bad disk) must not be taken for missing: then clients would see
 * all messages anew. What is no file of Courier's is as good as missing.
 */
static int
load_once(int dirfd, const char *name, struct buf *b, struct err *e)
{
	if (file_load(dirfd, name, b, NULL, e) == 0)
		return 0;
	buf_clear(b);
	return file_is_unread(e) ? -1 : 0;
}

static int
pop3_import_read(struct pop3_import *p, struct mailbox *m, struct err *e)
{
	struct buf b;
	int rc = 0;

	buf_init(&b, FILE_MAX);
	if (strcmp(m->name, "INBOX") == 0)
		rc = load_once(maildir_of(m)->dirfd, COURIER_POP3, &b, e);
	if (rc == 0)
		courier_pop3_parse(buf_str(&b), on_pop3, p);
	buf_done(&b);
	return rc;
}

static void
pop3_import_init(struct pop3_import *p)
{
	*p = (struct pop3_import){0};
	arena_init(&p->arena);
	map_init(&p->fields);
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

int
maildir_courier_import(struct mailbox *m, bool *done, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct pop3_import p;
	struct err why;
	struct buf b;
	int rc = -1;

	*done = false;
	pop3_import_init(&p);
	buf_init(&b, UIDLIST_MAX_BYTES);
	if (pop3_import_read(&p, m, e) == -1 ||
	    load_once(md->dirfd, COURIER_UIDS, &b, e) == -1)
		goto out;
	rc = 0;
	if (b.n > 0 || make_map(m, &p, &b, &why))
		*done = uidlist_import(
			    &md->list, buf_str(&b), fields_of, &p, &why) == 0;
out:
	buf_done(&b);
	pop3_import_done(&p);
	return rc;
}

/* ---- UIDs, out ------------------------------------------------------------- */

/* A whole new file; not synced: it can be made again from dovecot-uidlist. */
int
maildir_courier_put(int dirfd, const char *name, struct str bytes,
    const struct file_perm *perm, struct file_stamp *stamp, struct err *e)
{
	char temp[NAME_MAX + 1];
	int fd;

	/* Lists in one folder are under different locks. */
	(void)snprintf(temp, sizeof(temp), "restante-%s.tmp",
	    name[0] == ':' ? name + 1 : name);

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
	size_t used;
	unsigned line;
	int rc;

	if (!m->store->is_courier || md->is_in_memory ||
	    !file_stamp_at(md->dirfd, COURIER_UIDS, &now) || now.ino == 0 ||
	    file_stamp_eq(&now, &md->courier_uids))
		return 0;
	if (mailbox_load(m, e) == -1)
		return -1;
	arena_init(&a.arena);
	buf_init(&b, UIDLIST_MAX_BYTES);
	/* Else what Courier gave would be written over. */
	rc = load_once(md->dirfd, COURIER_UIDS, &b, e);
	if (rc == 0)
		(void)uidlist_parse(
		    &head, buf_str(&b), true, true, on_adopt, &a, &used, &line);
	if (head.version != 0 && head.uidvalidity == md->list.head.uidvalidity)
		rc = adopt(&a, head.uidnext, e);
	buf_done(&b);
	VEC_DONE(&a.v);
	arena_done(&a.arena);
	return rc;
}

bool
maildir_courier_is_complete(struct mailbox *m)
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
