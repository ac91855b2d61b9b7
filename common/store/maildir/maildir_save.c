/* SPDX-License-Identifier: ISC */
/*
 * maildir_save.c - new messages: from bytes, or from messages we have.
 *
 * Owns:    files in tmp/ until they are committed.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the bytes; they only pass through.
 * Spec:    formats.md 1.2, 1.4 to 1.6; security.md 7.2.
 *
 * Order, so that a crash at any point leaves either nothing or a whole message:
 * file in tmp/ written and synced; under the UID lock renamed to new/ or cur/
 * (replacing nothing); directory synced; UID record appended and synced. All
 * messages of one append share the lock, the directory sync and the write.
 *
 *	FINISH --> LOCK --> LIST --> NAMES --> PLACE --> DIRS --> UIDS --> RECORDS
 *	           LOCK --busy for very long--> NAMES --> PLACE --> DIRS --+
 *	PLACE, DIRS, UIDS --failure--> TAKE_BACK --> FAILED                |
 *	                                         RECORDS --> COUNT <-------+
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_impl.h"

#define OUT_BYTES (64 * 1024)
#define LOCK_WAIT_MS 30000
#define TRIES 10

struct staged {
	struct str tmp; /* name in tmp/ */
	struct str base; /* final */
	struct str fields; /* of the UID record */
	struct str guid; /* of the source, when it is not its base */
	struct str name; /* final, with info; NULL: not placed yet */
	bool is_copy, in_new, is_recent;
	uint8_t system;
	struct str *names; /* of keywords; numbers only when it is placed */
	size_t n_names;
	uint32_t keywords;
	const uint16_t *more;
	size_t n_more;
	uint32_t uid;
};

enum commit_phase {
	FINISH,
	LOCK,
	LIST,
	NAMES,
	PLACE,
	DIRS,
	UIDS,
	RECORDS,
	COUNT,
	TAKE_BACK,
	FAILED,
};

struct save {
	struct arena arena;
	VEC(struct staged) all;
	bool is_synced;
	struct sync_mark sync;
	/* The commit. */
	enum commit_phase phase;
	struct lock_wait wait;
	bool is_locked;
	size_t at; /* message of the present phase */
	struct dir_touch t_new, t_cur;
	struct err why; /* it failed */
	/* The message that is being written. */
	int fd;
	int64_t date_s;
	char *out;
	size_t n_out;
	bool has_cr; /* a CR waits for what follows */
	char last; /* byte written last */
	uint64_t size, wire_size;
};

static struct save *
save_of(const struct append *a)
{
	return a->impl;
}

static int
begin(struct append *a, struct err *e)
{
	struct save *s = mem_new(1, sizeof(*s));

	(void)e;
	arena_init(&s->arena);
	s->fd = -1;
	a->impl = s;
	return 0;
}

/* ---- bytes --------------------------------------------------------------- */

static int
flush(struct save *s, struct err *e)
{
	size_t n = s->n_out;

	s->n_out = 0;
	return file_write(s->fd, str_make(s->out, n), e);
}

static int
put(struct save *s, struct str bytes, struct err *e)
{
	const char *end = bytes.p + bytes.n, *lf = bytes.p;

	if (bytes.n == 0)
		return 0;
	s->size += bytes.n;
	s->wire_size += bytes.n;
	while ((lf = memchr(lf, '\n', (size_t)(end - lf))) != NULL) {
		s->wire_size += (lf > bytes.p ? lf[-1] : s->last) != '\r';
		if (++lf == end)
			break;
	}
	s->last = end[-1];
	while (bytes.n > 0) {
		size_t n = OUT_BYTES - s->n_out;

		if (n > bytes.n)
			n = bytes.n;
		memcpy(s->out + s->n_out, bytes.p, n);
		s->n_out += n;
		bytes = str_skip(bytes, n);
		if (s->n_out == OUT_BYTES && flush(s, e) == -1)
			return -1;
	}
	return 0;
}

static int
data(struct append *a, struct str bytes, struct err *e)
{
	struct save *s = save_of(a);

	if (s->has_cr && bytes.n > 0) {
		s->has_cr = false;
		if (*bytes.p != '\n' && put(s, STR("\r"), e) == -1)
			return -1;
	}
	while (bytes.n > 0) {
		size_t n = str_find(bytes, '\r');

		if (put(s, str_head(bytes, n), e) == -1)
			return -1;
		if (n == bytes.n)
			return 0;
		if (n + 1 == bytes.n) {
			s->has_cr = true;
			return 0;
		}
		/* A CR before LF goes. */
		if (bytes.p[n + 1] != '\n' && put(s, STR("\r"), e) == -1)
			return -1;
		bytes = str_skip(bytes, n + 1);
	}
	return 0;
}

static int
set_date(struct save *s, struct err *e)
{
	struct timespec ts[2] = {
	    {.tv_nsec = UTIME_NOW},
	    {.tv_sec = (time_t)s->date_s},
	};

	if (s->date_s != -1 && futimens(s->fd, ts) == -1)
		return err_sys(e, "set time of message");
	return 0;
}

/* Ends the message that is being written: durable, sizes in its name. */
static int
finish(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct staged *st;

	if (s->fd == -1)
		return 0;
	st = &s->all.v[s->all.n - 1];
	if (s->has_cr && put(s, STR("\r"), e) == -1)
		return -1;
	s->has_cr = false;
	if (flush(s, e) == -1 || set_date(s, e) == -1 ||
	    file_sync(s->fd, "message", e) == -1 ||
	    file_close(&s->fd, "message", e) == -1)
		return -1;
	st->base =
	    arena_printf(&s->arena, "%.*s,S=%llu,W=%llu", STR_ARG(st->tmp),
		(unsigned long long)s->size, (unsigned long long)s->wire_size);
	return 0;
}

static struct staged *
stage(struct append *a, const struct flag_wish *w)
{
	struct save *s = save_of(a);
	struct staged *st = VEC_ADD(&s->all);
	struct buf b;

	buf_init(&b, MAILDIR_NAME_MAX);
	(void)maildir_name_new(&b, a->m->store->host);
	st->tmp = arena_str(&s->arena, buf_str(&b));
	buf_done(&b);
	st->system = w->system;
	st->n_names = w->n_keywords;
	if (w->n_keywords > 0)
		st->names =
		    arena_new(&s->arena, w->n_keywords, sizeof(*st->names));
	for (size_t i = 0; i < w->n_keywords; i++)
		st->names[i] = arena_str(&s->arena, w->keywords[i]);
	return st;
}

static int
message(
    struct append *a, const struct flag_wish *w, int64_t date_s, struct err *e)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	struct staged *st;
	char name[MAILDIR_NAME_MAX + 1];

	if (finish(a, e) == -1)
		return -1;
	st = stage(a, w);
	if (!str_to_c(st->tmp, name, sizeof(name))) {
		s->all.n--;
		return err_set(e, ERR_LIMIT, "host name too long");
	}
	s->fd = file_create(md->tmpfd, name, &md->perm, e);
	if (s->fd == -1) {
		s->all.n--;
		return -1;
	}
	if (s->out == NULL)
		s->out = mem_new(1, OUT_BYTES);
	s->date_s = date_s;
	s->n_out = 0;
	s->has_cr = false;
	s->last = '\0';
	s->size = s->wire_size = 0;
	return 0;
}

/* ---- links --------------------------------------------------------------- */

static struct str
guid_of(const struct mailbox *m, uint32_t uid)
{
	struct str fields = maildir_extra(m, uid), value;
	char key;

	while (uidlist_field(&fields, &key, &value))
		if (key == 'G')
			return value;
	return STR("");
}

static enum step
link_source(struct mailbox *from, uint32_t uid, int tmpfd, const char *tmp,
    struct err *e)
{
	char name[512];
	enum step step;

	for (int i = 0; i < TRIES; i++) {
		const struct msg_rec *r = mailbox_rec(from, uid);

		if (r == NULL || r->state != REC_LIVE) {
			(void)err_set(e, ERR_GONE, "message %u is gone", uid);
			return STEP_FAIL;
		}
		(void)maildir_file_name(from, r, name);
		if (linkat(maildir_dir_fd(maildir_of(from), r), name, tmpfd,
			tmp, 0) == 0)
			return STEP_DONE;
		if (errno == EXDEV || errno == EMLINK || errno == EPERM) {
			(void)err_set(e, ERR_UNSUPPORTED, "no link");
			return STEP_FAIL;
		}
		if (errno != ENOENT) {
			(void)err_sys(e, "link %s", name);
			return STEP_FAIL;
		}
		step = maildir_sync(from, SYNC_FORCE, e);
		if (step != STEP_DONE)
			return step;
	}
	(void)err_set(e, ERR_IN_USE, "message %u is renamed all the time", uid);
	return STEP_FAIL;
}

static enum step
copy(struct append *a, struct mailbox *from, uint32_t uid,
    const struct flag_wish *w, struct err *e)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	const struct msg_rec *r;
	struct staged *st;
	char name[MAILDIR_NAME_MAX + 1];
	enum step step;

	/* Base names in the target must be known to keep them unique. */
	if (!s->is_synced) {
		step = mailbox_sync(a->m, &s->sync, e);
		if (step != STEP_DONE)
			return step;
	}
	s->is_synced = true;
	if (finish(a, e) == -1)
		return STEP_FAIL;
	st = stage(a, w);
	step = STEP_FAIL;
	if (!str_to_c(st->tmp, name, sizeof(name)))
		(void)err_set(e, ERR_LIMIT, "host name too long");
	else
		step = link_source(from, uid, md->tmpfd, name, e);
	if (step != STEP_DONE) {
		s->all.n--;
		return step;
	}
	st->is_copy = true;
	r = mailbox_rec(from, uid);
	if (r == NULL) { /* expunged between link and now */
		s->all.n--;
		(void)unlinkat(md->tmpfd, name, 0);
		(void)err_set(e, ERR_GONE, "message %u is gone", uid);
		return STEP_FAIL;
	}
	st->base = arena_str(&s->arena, maildir_base(from, r));
	st->guid = arena_str(&s->arena, guid_of(from, uid));
	return STEP_DONE;
}

/* ---- commit -------------------------------------------------------------- */

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

/* Renames one file from tmp/ to where it is seen. */
static int
place(struct append *a, struct staged *st, struct err *e)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	char plain[MAILDIR_INFO_MAX], *name;
	struct str tmp = st->tmp;

	st->is_recent = (st->system & ~FLAG_PASSED) == 0 && st->keywords == 0 &&
	    st->n_more == 0;
	/* Courier gives an UID of its own to whatever it finds in new/. */
	st->in_new = st->is_recent && !a->m->store->is_courier;
	for (int i = 0; i < TRIES; i++) {
		struct str info = STR("");

		if (!st->in_new || st->system != 0)
			info = str_make(plain,
			    maildir_name_info(plain, st->system, st->keywords));
		st->name = arena_printf(
		    &s->arena, "%.*s%.*s", STR_ARG(st->base), STR_ARG(info));
		name = arena_c(&s->arena, st->name);
		if (file_rename_new(md->tmpfd, arena_c(&s->arena, tmp),
			st->in_new ? md->newfd : md->curfd, name, e) == 0)
			return 0;
		st->name = (struct str){0};
		if (e->code != ERR_EXISTS)
			return -1;
		take_fresh_base(a, st);
	}
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

	while (s->at > 0) {
		struct staged *st = &s->all.v[--s->at];

		if (st->name.n == 0)
			continue;
		(void)unlinkat(st->in_new ? md->newfd : md->curfd,
		    arena_c(&s->arena, st->name), 0);
		st->name = (struct str){0};
		md->own_changes++;
		if (clock_mono_ms() >= until_ms)
			break;
	}
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

static enum step
place_some(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);

	if (s->all.n > MAILDIR_LOOKUPS_MAX && mailbox_load(a->m, e) == -1)
		return STEP_FAIL;
	while (s->at < s->all.n) {
		struct staged *st = &s->all.v[s->at];

		if (maildir_may_have(a->m, st->base))
			take_fresh_base(a, st);
		if (place(a, st, e) == -1)
			return STEP_FAIL;
		md->own_changes++;
		if (st->guid.n > 0)
			st->fields =
			    arena_printf(&s->arena, "G%.*s", STR_ARG(st->guid));
		dotlock_keep(&md->list.lock);
		s->at++;
		if (clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
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
	struct msg_rec *r = maildir_add(m, st->uid, st->base);

	r->own |= OWN_IN_FILE;
	maildir_set_extra(m, st->uid, st->fields);
	set32_add(&a->uids, st->uid);
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

/* Somebody holds the lock for very long: deliver, UIDs come later. */
static enum step
lock(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	enum step step = maildir_lock(a->m, a, &s->wait, LOCK_WAIT_MS, e);

	s->is_locked = step == STEP_DONE;
	return step == STEP_FAIL && e->code == ERR_IN_USE ? STEP_DONE : step;
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
		return of_int(finish(a, e));
	case LOCK:
		return s->all.n == 0 ? STEP_DONE : lock(a, e);
	case LIST:
		return read_list(a, until_ms, e);
	case NAMES:
		return name_keywords(a, until_ms, e);
	case PLACE:
		return place_some(a, until_ms, e);
	case DIRS:
		return of_int(sync_dirs(a, e));
	case UIDS:
		return s->is_locked ? of_int(give_uids(a, e)) : STEP_DONE;
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

static enum step
commit(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step;
	struct err ignored;

	do
		step = commit_step(a, until, e);
	while (step == STEP_MORE && !store_must_wait(a->m->store) &&
	    clock_mono_ms() < until);
	if (step == STEP_DONE) {
		(void)maildir_flush(a->m, &ignored);
		s->all.n = 0;
		s->phase = FINISH;
	}
	return step;
}

/* Given up in the middle: back, or, when UIDs are given, to the end. */
static void
end_commit(struct append *a)
{
	struct save *s = save_of(a);
	struct err ignored;

	if (s->phase == RECORDS || s->phase == COUNT) {
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

static void
save_free(struct append *a)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);

	end_commit(a);
	mailbox_sync_end(a->m, &s->sync);
	if (s->fd != -1)
		close(s->fd);
	VEC_EACH(&s->all, st)
		(void)unlinkat(md->tmpfd, arena_c(&s->arena, st->tmp), 0);
	VEC_DONE(&s->all);
	free(s->out);
	arena_done(&s->arena);
	free(s);
	a->impl = NULL;
}

const struct append_ops maildir_append = {
    .begin = begin,
    .message = message,
    .data = data,
    .copy = copy,
    .commit = commit,
    .free = save_free,
};
