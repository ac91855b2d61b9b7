/* SPDX-License-Identifier: ISC */
/*
 * maildir_commit.c - what was staged becomes messages with UIDs.
 *
 * Owns:    the UID lock while it places them.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no source of a copy to be there still.
 * Spec:    formats.md 1.2, 1.4 to 1.6; security.md 7.2.
 *
 * Order, so that a crash at any point leaves either nothing or a whole message:
 * file in tmp/ written and synced; under the UID lock renamed to new/ or cur/
 * (replacing nothing); directory synced; UID record appended and synced. All
 * messages of one append share the lock, the directory sync and the write.
 *
 *	FINISH --> GATHER --> SYNC_FILES --> LOCK (maildir_group.c)
 *	           LOCK --> LIST --> NAMES --> PLACE --> DIRS --> UIDS --> RECORDS
 *	           LOCK --busy for very long--> NAMES --> PLACE --> DIRS --+
 *	           (of several that come together: failed)
 *	of several, under the lock: NAMES --> JOURNAL --> PLACE --> DIRS -->
 *	CLOSE_JOURNAL --> UIDS (maildir_journal.c); of one that replaces another
 *	the journal is closed behind UIDS, when that is removed
 *	PLACE, DIRS, UIDS --failure--> TAKE_BACK --> FAILED                |
 *	                                         RECORDS --> COUNT <-------+
 *
 * A copy, whose bytes are durable already, is linked to its place; a message that
 * moves is renamed to it, so that at no time it is nowhere, nor there twice.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_save.h"

#define LOCK_WAIT_MS 30000
#define TRIES 10

/* ---- placing ------------------------------------------------------------- */

/* Another base for a copy whose base the target knows already; the old one
 * stays as the GUID of the record. */
static void
take_fresh_base(struct append *a, struct staged *st)
{
	struct save *s = save_of(a);
	uint64_t size;
	struct buf b;

	if (st->guid.n == 0)
		st->guid = st->base;
	buf_init(&b, MAILDIR_NAME_MAX);
	(void)maildir_name_new(&b, a->m->store->host);
	if (maildir_name_size(st->base, 'S', &size))
		(void)buf_addf(&b, ",S=%llu", (unsigned long long)size);
	if (maildir_name_size(st->base, 'W', &size))
		(void)buf_addf(&b, ",W=%llu", (unsigned long long)size);
	st->base = arena_str(&s->arena, buf_str(&b));
	buf_done(&b);
}

/* Its final name, for the base that it has now. */
static char *
final_name(struct append *a, struct staged *st)
{
	struct save *s = save_of(a);
	char plain[MAILDIR_INFO_MAX], *name;
	size_t n = 0;

	if (!st->in_new || st->system != 0)
		n = maildir_name_info(plain, st->system, st->keywords);
	name = arena_new(&s->arena, st->base.n + n + 1, 1);
	memcpy(name, st->base.p, st->base.n);
	if (n > 0)
		memcpy(name + st->base.n, plain, n);
	name[st->base.n + n] = '\0';
	st->name = str_make(name, st->base.n + n);
	return name;
}

static void
choose_dir(const struct append *a, struct staged *st)
{
	st->is_recent = (st->system & ~FLAG_PASSED) == 0 && st->keywords == 0 &&
	    st->n_more == 0;
	/* Courier gives an UID of its own to whatever it finds in new/. */
	st->in_new = st->is_recent && !a->m->store->is_courier;
}

static enum step
bring(struct append *a, struct staged *st, int dirfd, const char *name,
    struct err *e)
{
	struct mailbox *from = save_of(a)->from;
	enum step step = maildir_save_bring(
	    from, st->from_uid, dirfd, name, a->moves && from != a->m, e);

	st->is_moved = step == STEP_DONE &&
	    set32_has(&maildir_of(from)->moved, st->from_uid);
	return step;
}

/* Brings one file to where it is seen: from tmp/, or from its mailbox. */
static enum step
place(struct append *a, struct staged *st, struct err *e)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	enum step step = STEP_FAIL;
	int dirfd;

	choose_dir(a, st);
	dirfd = st->in_new ? md->newfd : md->curfd;
	for (int i = 0; i < TRIES; i++) {
		const char *name = final_name(a, st);

		if (st->tmp.p == NULL)
			step = bring(a, st, dirfd, name, e);
		else if (file_rename_new(md->tmpfd, arena_c(&s->arena, st->tmp),
			     dirfd, name, e) == 0)
			step = STEP_DONE;
		if (step == STEP_DONE)
			break;
		st->name = (struct str){0};
		if (step == STEP_MORE || e->code != ERR_EXISTS)
			break;
		/* It stands in the journal: once more, by way of tmp/. */
		if (st->tmp.p == NULL && s->has_journal) {
			(void)err_set(e, ERR_UNSUPPORTED, "name is taken");
			break;
		}
		take_fresh_base(a, st);
	}
	return step;
}

/*
 * To where it came from. When its record is gone there it keeps the name that
 * it has, and gets a new UID.
 */
static void
move_back(struct append *a, struct staged *st, int dirfd, const char *name)
{
	struct mailbox *from = save_of(a)->from;
	struct maildir *md = maildir_of(from);
	const struct msg_rec *r = mailbox_rec(from, st->from_uid);
	int to_fd = md->curfd;
	const char *to = name;
	char old[512];
	struct err ignored;

	set32_remove(&md->moved, st->from_uid);
	if (r != NULL && r->state == REC_LIVE) {
		to_fd = maildir_dir_fd(md, r);
		(void)maildir_file_name(from, r, old);
		to = old;
	}
	maildir_change_begin(md);
	if (file_rename_new(dirfd, name, to_fd, to, &ignored) == 0)
		maildir_count(from, st->base, to_fd, to, 1);
}

/* To where the journal says that it is; else away. */
static void
take_back_one(struct append *a, struct staged *st)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	int dirfd = st->in_new ? md->newfd : md->curfd;
	const char *name = arena_c(&s->arena, st->name);
	struct err ignored;

	s->was_in_new = s->was_in_new || st->in_new;
	s->was_in_cur = s->was_in_cur || !st->in_new;
	s->was_moved = s->was_moved || st->is_moved;
	if (st->is_moved)
		move_back(a, st, dirfd, name);
	else if (st->tmp.p == NULL || !s->has_journal ||
	    file_rename_new(dirfd, name, md->tmpfd, arena_c(&s->arena, st->tmp),
		&ignored) == -1)
		(void)unlinkat(dirfd, name, 0);
	st->is_moved = false;
}

/*
 * Before the client is told that nothing was done, and before the journal goes:
 * else a power cut could leave some of it.
 */
static int
sync_taken_back(const struct append *a)
{
	const struct save *s = save_of(a);
	const struct maildir *md = maildir_of(a->m);
	struct err e;

	/* First where it is: at no time it is nowhere. */
	if (s->was_moved &&
	    (file_sync(maildir_of(s->from)->curfd, "cur", &e) == -1 ||
		file_sync(maildir_of(s->from)->newfd, "new", &e) == -1))
		goto fail;
	if ((s->was_in_new && file_sync(md->newfd, "new", &e) == -1) ||
	    (s->was_in_cur && file_sync(md->curfd, "cur", &e) == -1))
		goto fail;
	return 0;
fail:
	store_warn(
	    a->m->store, "mailbox=%s: taken back: %s", a->m->name, e.text);
	return -1;
}

/*
 * Takes back what was placed; others may have seen it, it is gone for them.
 * False: there is more.
 */
static bool
take_back(struct append *a, int64_t until_ms)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	struct err ignored;

	while (s->at > 0) {
		struct staged *st = &s->all.v[--s->at];

		if (st->name.n == 0)
			continue;
		take_back_one(a, st);
		st->name = (struct str){0};
		md->own_changes++;
		if (clock_mono_ms() >= until_ms)
			break;
	}
	/* One that stays says what is done already. */
	if (s->at == 0 && sync_taken_back(a) == 0)
		(void)maildir_journal_remove(a, &ignored);
	return s->at == 0;
}

/* Numbers for the names of its keywords. */
static int
resolve(struct append *a, struct staged *st, struct err *e)
{
	struct save *s = save_of(a);
	struct flag_wish w = {0, st->names, st->n_names};
	struct flag_change c;
	size_t number;

	/* Without the lock only those that there are, below 26. */
	for (size_t i = 0; i < st->n_names && !s->is_locked; i++)
		if (!mailbox_keyword_find(a->m, st->names[i], &number) ||
		    number >= KEYWORD_LETTERS)
			return err_set(e, ERR_IN_USE,
			    "%s: locked, and a keyword is new", a->m->name);
	if (st->n_names == 0)
		return 0;
	if (mailbox_resolve(a->m, STORE_SET, &w, &s->arena, &c, e) != STEP_DONE)
		return -1;
	st->keywords = c.keywords;
	st->more = c.more;
	st->n_more = c.n_more;
	return 0;
}

/* Takes those out that were gone before they could be placed. */
static void
forget_dropped(struct append *a)
{
	struct save *s = save_of(a);
	size_t n = 0;

	for (size_t i = 0; i < s->all.n; i++) {
		if (s->all.v[i].is_dropped)
			set32_add(&a->dropped, (uint32_t)i + 1);
		else
			s->all.v[n++] = s->all.v[i];
	}
	s->all.n = n;
}

/* Tells the journal of all of them, by the names that they will have. */
static enum step
tell_journal(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);

	if (!maildir_journal_is_wanted(a))
		return STEP_DONE;
	if (!maildir_journal_complete(a->m, until_ms))
		return STEP_MORE;
	/* What it says is not done yet: ours must not take its place. */
	if (maildir_journal_is_there(maildir_of(a->m)))
		return err_set(e, ERR_IN_USE,
			   "%s: an earlier change is not finished", a->m->name),
		       STEP_FAIL;
	if (s->all.n > MAILDIR_LOOKUPS_MAX && mailbox_load(a->m, e) == -1)
		return STEP_FAIL;
	VEC_EACH(&s->all, st) {
		if (maildir_may_have(a->m, st->base))
			take_fresh_base(a, st);
		choose_dir(a, st);
		if (st->tmp.p != NULL)
			(void)final_name(a, st);
	}
	if (maildir_journal_write(a, e) == -1)
		return STEP_FAIL;
	/* Not there yet. */
	VEC_EACH(&s->all, st)
		st->name = (struct str){0};
	return STEP_DONE;
}

/* What goes for the one that came; if not now, then by view_remove(). */
static int
replace_old(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct msg_rec *r = NULL;

	if (!s->has_journal)
		return 0;
	mailbox_freshen(a->m, a->replaces);
	r = mailbox_rec(a->m, a->replaces);
	if (r != NULL && r->state == REC_LIVE)
		(void)maildir_expunge_once(a->m, r, e);
	/* Left over, it would only do once more what is done. */
	(void)maildir_journal_remove(a, e);
	return 0;
}

static enum step
place_some(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);

	if (s->all.n > MAILDIR_LOOKUPS_MAX && mailbox_load(a->m, e) == -1)
		return STEP_FAIL;
	while (s->at < s->all.n) {
		struct staged *st = &s->all.v[s->at];
		enum step step;

		if (maildir_may_have(a->m, st->base))
			take_fresh_base(a, st);
		step = place(a, st, e);
		if (step == STEP_FAIL && e->code == ERR_GONE && a->may_drop) {
			st->is_dropped = true;
			step = STEP_DONE;
		}
		if (step != STEP_DONE)
			return step;
		md->own_changes++;
		if (st->guid.n > 0)
			st->fields =
			    arena_printf(&s->arena, "G%.*s", STR_ARG(st->guid));
		dotlock_keep(&md->list.lock);
		s->at++;
		if (clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
	forget_dropped(a);
	return STEP_DONE;
}

static int
sync_dirs(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	bool in_new = false, in_cur = false;

	VEC_EACH(&s->all, st) {
		in_new = in_new || st->in_new;
		in_cur = in_cur || !st->in_new;
	}
	if ((in_new && file_sync(md->newfd, "new", e) == -1) ||
	    (in_cur && file_sync(md->curfd, "cur", e) == -1)) {
		a->m->is_broken = true;
		return -1;
	}
	return 0;
}

/* Sets of keywords from 26 up, in the file before the message is seen. */
static int
write_more(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct buf b;
	int rc = 0;

	buf_init(&b, 64 * 1024 * 1024);
	VEC_EACH(&s->all, st)
		if (st->n_more > 0)
			(void)keywords_put_set(
			    &b, st->base, st->more, st->n_more);
	if (b.n > 0)
		rc = maildir_save_more(a->m, buf_str(&b), e);
	buf_done(&b);
	return rc;
}

static int
give_uids(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct mailbox *m = a->m;
	struct maildir *md = maildir_of(m);
	struct uidlist_new *v = arena_new(&s->arena, s->all.n, sizeof(*v));
	uint32_t uid = md->list.head.uidnext;
	bool rewritten;

	if (s->all.n >= UINT32_MAX - 1 - uid)
		return err_set(e, ERR_LIMIT, "%s: no UID left", m->name);
	for (size_t i = 0; i < s->all.n; i++) {
		s->all.v[i].uid = uid + (uint32_t)i;
		v[i] = (struct uidlist_new){
		    .uid = s->all.v[i].uid,
		    .base = s->all.v[i].base,
		    .fields = s->all.v[i].fields,
		};
	}
	if (maildir_load_for_rewrite(m, e) == -1)
		return -1;
	if (uidlist_add(&md->list, v, s->all.n, maildir_dead_records(m),
		maildir_keep_record, m, &rewritten, e) == -1) {
		/* A failed sync is final (security.md 7.1). */
		if (e->sys != 0 && e->code != ERR_NO_SPACE)
			m->is_broken = true;
		return -1;
	}
	if (rewritten)
		maildir_note_rewritten(m);
	if (md->list.head.uidnext > m->uidnext)
		m->uidnext = md->list.head.uidnext;
	return 0;
}

/* A record for what was saved; LIVE at once when the mailbox is up to date. */
static void
add_record(struct append *a, const struct staged *st)
{
	struct mailbox *m = a->m;
	struct maildir *md = maildir_of(m);
	bool is_current = md->dirs[DIR_NEW].is_read &&
	    md->dirs[DIR_CUR].is_read && !md->must_scan;
	struct maildir_name name;
	struct msg_rec *r;

	set32_add(st->of != NULL ? &st->of->uids : &a->uids, st->uid);
	/* Somebody has written the map in spite of the lock, and it was read
	 * again: the record is there, its file is found by a look. */
	if (m->recs.n > 0 && m->recs.v[m->recs.n - 1].uid >= st->uid) {
		md->must_scan = true;
		return;
	}
	r = maildir_add(m, st->uid, st->base);
	r->own |= OWN_IN_FILE;
	derived_note_put(m, st->uid);
	maildir_set_extra(m, st->uid, st->fields);
	md->courier_is_dirty |= st->keywords != 0 || st->n_more > 0;
	mailbox_set_more(m, r, st->more, st->n_more);
	if (!is_current || !maildir_name_parse(st->name, &name)) {
		md->must_scan = true;
		return;
	}
	(void)maildir_take_name(m, r, st->in_new ? DIR_NEW : DIR_CUR, &name);
	md->n_new += st->in_new;
	mailbox_note_new(m, r, st->is_recent);
}

/* What is done message by message; STEP_DONE: with all. */
static enum step
for_each(struct append *a, void (*fn)(struct append *, const struct staged *),
    int64_t until_ms)
{
	struct save *s = save_of(a);

	maildir_of(a->m)->counts = COUNTS_UNKNOWN;
	while (s->at < s->all.n) {
		fn(a, &s->all.v[s->at++]);
		if (s->at < s->all.n && clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
	return STEP_DONE;
}

static void
count_one(struct append *a, const struct staged *st)
{
	const struct maildir *md = maildir_of(a->m);

	maildir_count(a->m, st->base, st->in_new ? md->newfd : md->curfd,
	    arena_c(&save_of(a)->arena, st->name), 1);
}

static void
unlock(struct append *a)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);

	if (!s->is_locked)
		return;
	s->is_locked = false;
	maildir_touch_end(md, DIR_NEW, &s->t_new);
	maildir_touch_end(md, DIR_CUR, &s->t_cur);
	maildir_unlock(a->m);
}

/* ---- the order ----------------------------------------------------------- */

/* Without a journal, which has its place under the lock, a kill would leave some
 * of them. Of those that move each is whole by itself. */
static bool
must_come_together(const struct append *a)
{
	const struct save *s = save_of(a);

	return s->all.n > 1 && !a->moves && list_is_empty(&s->taken);
}

/* Somebody holds the lock for very long: deliver, UIDs come later. */
static enum step
lock(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	enum step step = maildir_lock(a->m, a, &s->wait, LOCK_WAIT_MS, e);

	s->is_locked = step == STEP_DONE;
	return step == STEP_FAIL && e->code == ERR_IN_USE &&
		!must_come_together(a)
	    ? STEP_DONE
	    : step;
}

static enum step
read_list(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	enum step step;

	if (!s->is_locked)
		return STEP_DONE;
	step = maildir_mend_list(a->m, until_ms, e);
	if (step == STEP_DONE) {
		maildir_change_end(md);
		maildir_touch_begin(md, DIR_NEW, &s->t_new);
		maildir_touch_begin(md, DIR_CUR, &s->t_cur);
	}
	return step;
}

static enum step
name_keywords(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);

	for (; s->at < s->all.n; s->at++) {
		if (resolve(a, &s->all.v[s->at], e) == -1)
			return STEP_FAIL;
		if (s->at % 64 == 63 && clock_mono_ms() >= until_ms) {
			s->at++;
			return STEP_MORE;
		}
	}
	return s->is_locked && write_more(a, e) == -1 ? STEP_FAIL : STEP_DONE;
}

static enum step
of_int(int rc)
{
	return rc == -1 ? STEP_FAIL : STEP_DONE;
}

static enum step
advance(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);

	switch (s->phase) {
	case FINISH:
		return of_int(maildir_save_write(a, e));
	case GATHER:
		return maildir_group_gather(a) ? STEP_MORE : STEP_DONE;
	case SYNC_FILES:
		maildir_group_take(a);
		return of_int(maildir_group_sync(a, e));
	case LOCK:
		return s->all.n == 0 ? STEP_DONE : lock(a, e);
	case LIST:
		return read_list(a, until_ms, e);
	case NAMES:
		return name_keywords(a, until_ms, e);
	case JOURNAL:
		return tell_journal(a, until_ms, e);
	case PLACE:
		return place_some(a, until_ms, e);
	case DIRS:
		return of_int(sync_dirs(a, e));
	case CLOSE_JOURNAL:
		return a->replaces != 0 ? STEP_DONE
					: of_int(maildir_journal_remove(a, e));
	case UIDS:
		return s->is_locked && s->all.n > 0 ? of_int(give_uids(a, e))
						    : STEP_DONE;
	case REPLACE_OLD:
		return of_int(replace_old(a, e));
	case RECORDS:
		return s->is_locked ? for_each(a, add_record, until_ms)
				    : STEP_DONE;
	case COUNT:
		unlock(a);
		return for_each(a, count_one, until_ms);
	case TAKE_BACK:
		return take_back(a, until_ms) ? STEP_DONE : STEP_MORE;
	case FAILED:
		break;
	}
	return STEP_DONE;
}

/* One phase's step; STEP_DONE only at the end of all. */
static enum step
commit_step(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);
	enum step step = advance(a, until_ms, e);

	if (step == STEP_MORE)
		return step;
	if (step == STEP_FAIL) {
		if (s->phase < LIST)
			return step;
		s->why = *e;
		if (s->phase < PLACE)
			s->at = 0;
		else
			s->at = s->all.n;
		s->phase = TAKE_BACK;
		return STEP_MORE;
	}
	if (s->phase == TAKE_BACK) {
		unlock(a);
		*e = s->why;
		s->phase = FAILED;
		return STEP_FAIL;
	}
	s->at = 0;
	return s->phase++ == COUNT ? STEP_DONE : STEP_MORE;
}

/* STEP_DONE, STEP_FAIL: and all who are with it. */
static enum step
drive(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);
	enum step step;
	struct err ignored;

	do
		step = commit_step(a, until_ms, e);
	while (step == STEP_MORE && !a->yields &&
	    !store_must_wait(a->m->store) && clock_mono_ms() < until_ms);
	if (step == STEP_MORE)
		return step;
	if (step == STEP_DONE) {
		(void)maildir_flush(a->m, &ignored);
		s->all.n = 0;
		s->phase = FINISH;
		s->result = COMMIT_DONE;
	} else {
		s->why = *e;
		s->result = COMMIT_FAILED;
	}
	maildir_group_end(a, step, &s->why);
	return step;
}

enum step
maildir_commit(struct append *a, struct err *e)
{
	struct save *s = save_of(a);

	a->yields = false;
	if (s->result == COMMIT_OPEN)
		(void)drive(s->leader != NULL ? s->leader : a,
		    clock_mono_ms() + STEP_SLICE_MS, e);
	switch (s->result) {
	case COMMIT_OPEN:
		return STEP_MORE;
	case COMMIT_DONE:
		s->all.n = 0;
		s->result = COMMIT_OPEN;
		return STEP_DONE;
	case COMMIT_FAILED:
		break;
	}
	*e = s->why;
	return STEP_FAIL;
}

void
maildir_commit_end(struct append *a)
{
	struct save *s = save_of(a);
	struct err ignored;

	if (!maildir_group_leave(a))
		while (drive(s->leader != NULL ? s->leader : a, INT64_MAX,
			   &ignored) == STEP_MORE)
			;
	if (s->phase >= REPLACE_OLD && s->phase <= COUNT) {
		while (commit_step(a, INT64_MAX, &ignored) == STEP_MORE)
			;
		s->all.n = 0;
	} else if (s->phase >= PLACE && s->phase < FAILED) {
		if (s->phase != TAKE_BACK)
			s->at = s->all.n;
		(void)take_back(a, INT64_MAX);
	}
	unlock(a);
}
