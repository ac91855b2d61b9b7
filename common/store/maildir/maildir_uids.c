/* SPDX-License-Identifier: ISC */
/*
 * maildir_uids.c - the UID map of a mailbox: reading, mending, giving UIDs.
 *
 * Owns:    dovecot-uidlist's lock while it is held.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing on disk.
 * Spec:    formats.md 1.4, 2.3, 2.5, 2.6; security.md 7.2.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_scan.h"
#include "store/maildir/uidvalidity.h"

#define VERIFY_MAX 64
/* UIDs for so many files at once: a write of a few milliseconds. */
#define GIVE_AT_ONCE 16384

/* ---- the lock ------------------------------------------------------------ */

#define COURIER_STALE_S 120

/*
 * Both locks at once, ours first. Courier has one of its own, in tmp/, while it
 * gives UIDs; where it can not be taken for another reason than that somebody
 * has it, Courier can not either.
 */
static int
take_locks(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	const struct dotlock_rules rules = {
	    .stale_s = COURIER_STALE_S,
	    .mode = md->perm.file_mode,
	    .temp_dir = -1,
	};

	if (uidlist_lock(&md->list, 0, e) == -1)
		return -1;
	if (!m->store->is_courier || md->tmpfd == -1 ||
	    dotlock_take(
		&md->courier_lock, md->tmpfd, "courier", &rules, 0, e) == 0 ||
	    e->code != ERR_IN_USE)
		return 0;
	uidlist_unlock(&md->list);
	return -1;
}

enum step
maildir_lock(struct mailbox *m, const void *owner, struct lock_wait *w,
    int64_t wait_ms, struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (!md->list.lock.held && take_locks(m, e) == 0) {
		md->lock_owner = owner;
		*w = (struct lock_wait){0};
		return STEP_DONE;
	}
	if (md->list.lock.held)
		(void)err_set(
		    e, ERR_IN_USE, "%s: held by another session", UIDLIST_FILE);
	return store_lock_wait(m->store, w, wait_ms, e);
}

void
maildir_unlock(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	maildir_journal_end(md);
	uidlist_unlock(&md->list);
	dotlock_release(&md->courier_lock);
	md->lock_owner = NULL;
	store_lock_free(m->store);
}

bool
maildir_lock_now(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	struct err e;

	if (md->list.lock.held || take_locks(m, &e) == -1)
		return false;
	md->lock_owner = m;
	return true;
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
	if (uid <= m->lazy_top ||
	    (m->lazy_top != 0 && !md->wants_load &&
		derived_may_have(m, index_sum(0, base)))) {
		md->wants_load = true;
		md->must_scan = true;
	}
	if (uid <= m->lazy_top)
		return;
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

void
maildir_forget(struct mailbox *m, struct msg_rec *r)
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
		maildir_forget(m, r);
		maildir_of(m)->must_scan = true;
	}
}

/*
 * Another UIDVALIDITY: nothing that is known here is true any more, so the
 * mailbox is opened anew. With the same one, UIDs that were given stay given,
 * even if an older list was put back.
 */
static int
check_identity(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (m->uidvalidity != 0 &&
	    m->uidvalidity != md->list.head.uidvalidity) {
		m->is_gone = true;
		return err_set(e, ERR_GONE, "%s: UIDVALIDITY changed", m->name);
	}
	m->uidvalidity = md->list.head.uidvalidity;
	if (md->list.head.uidnext > m->uidnext) {
		m->uidnext = md->list.head.uidnext;
	} else if (md->list.head.uidnext < m->uidnext) {
		md->list.head.uidnext = m->uidnext;
		md->list.must_rewrite = true;
	}
	memcpy(m->guid, md->list.head.guid, sizeof(m->guid));
	return 0;
}

enum step
maildir_read_list(struct mailbox *m, int64_t until_ms, struct err *e)
{
	struct maildir *md = maildir_of(m);
	enum step step;

	if (md->list.reading == NULL && !uidlist_has_changed(&md->list) &&
	    md->list.stamp.ino != 0)
		return STEP_DONE;
	/* From its beginning: against all records. */
	if (md->list.reading == NULL && !uidlist_is_longer(&md->list) &&
	    mailbox_load(m, e) == -1)
		return STEP_FAIL;
	step = uidlist_read_some(&md->list, on_record, m, until_ms, e);
	if (step != STEP_DONE)
		return step;
	derived_note_state(m);
	if (md->wants_load && mailbox_load(m, e) == -1)
		return STEP_FAIL;
	md->wants_load = false;
	forget_unlisted(m);
	return check_identity(m, e) == -1 ? STEP_FAIL : STEP_DONE;
}

int
maildir_read_list_now(struct mailbox *m, struct err *e)
{
	return maildir_read_list(m, INT64_MAX, e) == STEP_DONE ? 0 : -1;
}

bool
maildir_keep_record(void *arg, uint32_t uid, struct str base)
{
	struct mailbox *m = arg;
	size_t i = maildir_find(m, base);

	if (uid <= m->lazy_top)
		return true;
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

/* By the sync that opens it, which gives all messages their UIDs next? */
static bool
is_first_look(const struct mailbox *m)
{
	const struct maildir *md = maildir_of(m);

	return md->is_first_look && md->job != NULL &&
	    md->lock_owner == md->job && m->uidvalidity == 0 &&
	    m->recs.n == 0 && m->derived == NULL;
}

/* A mailbox that has no map, or one that can not be read: a new one, with a
 * larger UIDVALIDITY than any before. */
static int
make_list(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct maildir_place *place = m->store->impl;
	uint32_t uidvalidity;
	bool is_imported = false;

	if (m->recs.n == 0 && maildir_courier_import(m, &is_imported, e) == -1)
		return -1;
	if (is_imported)
		return maildir_read_list_now(m, e);
	/* Never that of the owner's map: those are times without the top bit. */
	if (md->has_own_map)
		uidvalidity = (uint32_t)clock_wall_s() | UINT32_C(1) << 31;
	else if (uidvalidity_next(
		     place->controlfd, &place->perm, &uidvalidity, e) == -1)
		return -1;
	if (is_first_look(m)) {
		uidlist_plan(&md->list, uidvalidity);
		if (check_identity(m, e) == -1)
			return -1;
		/* As of every mailbox, before it has messages. */
		derived_attach(m, str_of(md->path));
		return 0;
	}
	if (uidlist_create(&md->list, uidvalidity, 1, NULL, 0, e) == -1)
		return -1;
	if (mailbox_load(m, e) == -1)
		return -1;
	for (size_t i = 0; i < m->recs.n; i++)
		maildir_forget(m, &m->recs.v[i]);
	md->must_scan = true;
	return check_identity(m, e);
}

static int
mend(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	char told[200];
	int rc;

	if (e->code == ERR_NOT_FOUND)
		return make_list(m, e);
	if (e->code != ERR_CORRUPT || !md->list.is_broken)
		return -1;
	rc = uidlist_repair(&md->list, told, e);
	if (rc == 0 || e->code == ERR_CORRUPT)
		store_warn(
		    m->store, "dovecot-uidlist mailbox=%s %s", m->name, told);
	if (rc == 0)
		return maildir_read_list_now(m, e);
	return e->code == ERR_CORRUPT ? make_list(m, e) : -1;
}

enum step
maildir_mend_list(struct mailbox *m, int64_t until_ms, struct err *e)
{
	enum step step = maildir_read_list(m, until_ms, e);

	if (step == STEP_FAIL && mend(m, e) == 0)
		step = STEP_DONE;
	if (step == STEP_DONE && maildir_courier_adopt(m, e) == -1)
		step = STEP_FAIL;
	return step;
}

int
maildir_mend_list_now(struct mailbox *m, struct err *e)
{
	return maildir_mend_list(m, INT64_MAX, e) == STEP_DONE ? 0 : -1;
}

/* ---- giving UIDs --------------------------------------------------------- */

/* What decides most of the time; the sighting, when it does not. */
struct place {
	uint64_t s;
	uint32_t us; /* US_UNKNOWN: not below that, or none */
	uint32_t at;
};

#define US_UNKNOWN UINT32_MAX

static int
by_arrival(const void *a, const void *b, void *arg)
{
	const struct place *p = a, *q = b;
	const struct sighting *all = arg, *x = &all[p->at], *y = &all[q->at];
	int order;

	if (p->s != q->s)
		return p->s < q->s ? -1 : 1;
	if (p->us != q->us && p->us != US_UNKNOWN && q->us != US_UNKNOWN)
		return p->us < q->us ? -1 : 1;
	order = maildir_name_cmp(x->base, &x->time, y->base, &y->time);
	return order != 0 ? order : (int)x->dir - (int)y->dir;
}

/* Brings v[order[i].at] to v[i], for all i. */
static void
put_in_order(struct sighting *v, struct place *order, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sighting first = v[i];
		size_t to = i;

		while (order[to].at != i) {
			size_t from = order[to].at;

			v[to] = v[from];
			order[to].at = (uint32_t)to;
			to = from;
		}
		v[to] = first;
		order[to].at = (uint32_t)to;
	}
}

#define DIGIT_BITS 11
#define DIGITS_MAX 3 /* 272 years; what differs by more is compared */
#define DIGITS_WORTH 256 /* of fewer the tables cost more */

/* By the seconds since `min`, a digit at a time; false: they differ too much. */
static bool
sort_by_seconds(struct place *v, size_t n, uint64_t min, uint64_t max)
{
	uint32_t from[1 << DIGIT_BITS];
	struct place *a = v, *b, *spare;

	if (n < DIGITS_WORTH || (max - min) >> (DIGIT_BITS * DIGITS_MAX) != 0)
		return false;
	b = spare = mem_new(n, sizeof(*spare));
	for (unsigned shift = 0; (max - min) >> shift != 0;
	     shift += DIGIT_BITS) {
		const uint64_t mask = ARRAY_LEN(from) - 1;
		struct place *sorted = b;
		uint32_t at = 0;

		memset(from, 0, sizeof(from));
		for (size_t i = 0; i < n; i++)
			from[(a[i].s - min) >> shift & mask]++;
		for (size_t i = 0; i < ARRAY_LEN(from); i++) {
			uint32_t count = from[i];

			from[i] = at;
			at += count;
		}
		for (size_t i = 0; i < n; i++)
			b[from[(a[i].s - min) >> shift & mask]++] = a[i];
		b = a;
		a = sorted;
	}
	if (a != v)
		memcpy(v, a, n * sizeof(*v));
	free(spare);
	return true;
}

static void
sort_places(struct place *v, size_t n, uint64_t min, uint64_t max, void *all)
{
	if (!sort_by_seconds(v, n, min, max)) {
		qsort_r(v, n, sizeof(*v), by_arrival, all);
		return;
	}
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && v[end].s == v[i].s; end++)
			;
		if (end - i > 1)
			qsort_r(v + i, end - i, sizeof(*v), by_arrival, all);
	}
}

static void
sort_unknown(struct scan *s)
{
	size_t n = s->unknown.n;
	struct place *order = mem_new(n, sizeof(*order));
	uint64_t min = UINT64_MAX, max = 0;

	for (size_t i = 0; i < n; i++) {
		struct sighting *u = &s->unknown.v[i];

		u->time = maildir_name_time(u->base);
		order[i] = (struct place){u->time.s, US_UNKNOWN, (uint32_t)i};
		if (u->time.has_us && u->time.us < US_UNKNOWN)
			order[i].us = (uint32_t)u->time.us;
		if (u->time.s < min)
			min = u->time.s;
		if (u->time.s > max)
			max = u->time.s;
	}
	sort_places(order, n, min, max, s->unknown.v);
	put_in_order(s->unknown.v, order, n);
	free(order);
}

/* Leaves those that still have no UID and whose files are still there. */
void
maildir_sift_unknown(struct mailbox *m, struct scan *s)
{
	struct maildir *md = maildir_of(m);
	bool verify = s->unknown.n <= VERIFY_MAX;
	struct str last = {0};
	struct stat st;
	struct err e;
	size_t n = 0;

	if (s->unknown.n > MAILDIR_LOOKUPS_MAX && mailbox_load(m, &e) == -1)
		s->unknown.n = 0;
	if (s->unknown.n > 0)
		sort_unknown(s);
	VEC_EACH(&s->unknown, u) {
		struct str base = u->base;

		if (base.n > MAILDIR_NAME_MAX)
			continue;
		if (last.p != NULL && str_eq(base, last)) {
			md->dirs[u->dir].is_dirty = true; /* a twin: later */
			continue;
		}
		if (verify && !(scan_stat(md, u, &st) && S_ISREG(st.st_mode))) {
			md->dirs[u->dir].is_dirty = true;
			continue;
		}
		if (m->lazy_top != 0 && maildir_may_have(m, base) &&
		    mailbox_load(m, &e) == -1)
			continue;
		u->index = maildir_find_hashed(m, base, u->hash);
		if (u->index != NO_REC &&
		    m->recs.v[u->index].state != REC_EXPUNGED)
			continue;
		if (u->index != NO_REC && m->recs.v[u->index].own & OWN_IN_FILE)
			md->list.must_rewrite = true;
		last = base;
		s->unknown.v[n++] = *u;
	}
	s->unknown.n = n;
	maildir_courier_uids(m, s);
}

int
maildir_load_for_rewrite(struct mailbox *m, struct err *e)
{
	const struct uidlist *l = &maildir_of(m)->list;

	if (l->must_rewrite || l->is_torn || l->head.version != 3 ||
	    l->head.guid[0] == '\0')
		return mailbox_load(m, e);
	return 0;
}

void
maildir_note_rewritten(struct mailbox *m)
{
	for (size_t i = 0; i < m->recs.n; i++)
		if (m->recs.v[i].state == REC_EXPUNGED)
			m->recs.v[i].own &= (uint8_t)~OWN_IN_FILE & 0x3f;
	if (m->n_expunged > 0)
		maildir_of(m)->want_purge = true;
}

enum step
maildir_give_uids(struct mailbox *m, struct scan *s, struct err *e)
{
	struct maildir *md = maildir_of(m);
	size_t from = s->n_given, n = s->unknown.n - from;
	struct uidlist_new *v;
	uint32_t uid;
	bool rewritten = false;

	if (s->next_uid > md->list.head.uidnext) {
		md->list.head.uidnext = s->next_uid;
		md->list.must_rewrite = true;
	}
	uid = md->list.head.uidnext;
	if (n > GIVE_AT_ONCE)
		n = GIVE_AT_ONCE;
	if (maildir_load_for_rewrite(m, e) == -1)
		return STEP_FAIL;
	v = arena_new(&s->arena, n, sizeof(*v));
	if (n >= UINT32_MAX - 1 - uid) {
		(void)err_set(e, ERR_LIMIT, "%s: no UID left", m->name);
		return STEP_FAIL;
	}
	for (size_t i = 0; i < n; i++) {
		const struct sighting *u = &s->unknown.v[from + i];

		v[i] = (struct uidlist_new){
		    .uid = u->courier_uid != 0 ? u->courier_uid : uid++,
		    .base = u->base,
		};
	}
	if (!md->is_in_memory &&
	    uidlist_add(&md->list, v, n, maildir_dead_records(m),
		maildir_keep_record, m, &rewritten, e) == -1)
		return STEP_FAIL;
	maildir_reserve(m, s->unknown.n - from);
	VEC_RESERVE(&m->recs, m->recs.n + s->unknown.n - from);
	for (size_t i = 0; i < n; i++) {
		const struct sighting *it = &s->unknown.v[from + i];
		struct msg_rec *r =
		    maildir_add_hashed(m, v[i].uid, v[i].base, it->hash);
		struct maildir_name name;

		r->own |= OWN_IN_FILE | OWN_SEEN;
		if (maildir_name_parse(it->name, &name))
			(void)maildir_take_name(m, r, it->dir, &name);
		md->n_new += (r->own & OWN_NEW) != 0;
		mailbox_note_new(m, r, true);
	}
	if (md->is_in_memory)
		md->list.head.uidnext = uid;
	if (rewritten)
		maildir_note_rewritten(m);
	if (md->list.head.uidnext > m->uidnext)
		m->uidnext = md->list.head.uidnext;
	s->n_given += n;
	return s->n_given < s->unknown.n ? STEP_MORE : STEP_DONE;
}
