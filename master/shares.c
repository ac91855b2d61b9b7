/* SPDX-License-Identifier: ISC */
/*
 * shares.c - the list of who shares what with whom.
 *
 * Owns:    state_dir/.shares; what restantectl has added in .shares.add.
 * Runs in: master.
 * Trusts:  of a user's process that it speaks of its user, whose name and uid
 *          are master's own; nothing in paths, which share_record.c has looked
 *          at and which a process of the other user looks at again, with his
 *          rights (confine.c). Master opens none of them.
 */
#include "shares.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/file.h"

#define FILE_MAX ((size_t)32 * 1024 * 1024)
#define ALL_MAX 20000
#define OWNER_SHARES_MAX 500
#define TOLD_MAX 64 /* to one user's process */
#define TOLD_OF_ONE 8 /* so many of one owner, before others had their turn */
#define SAVE_S 1.

/* ---- the list ---- */

static void
drop(struct shares *s, size_t i)
{
	s->bytes -= strlen(s->v.v[i].line) + 1;
	free(s->v.v[i].line);
	VEC_REMOVE(&s->v, i);
	s->is_dirty = true;
}

static bool
is_same(const struct share_record *a, const struct share_record *b)
{
	return a->owner_uid == b->owner_uid && str_eq(a->owner, b->owner) &&
	    str_eq(a->folder, b->folder) &&
	    (b->kind == SHARE_ALL ||
		(a->kind == b->kind && a->number == b->number));
}

/* His oldest, when there are too many. */
static void
make_room(struct shares *s, uint32_t owner_uid)
{
	size_t n = 0, first = s->v.n;

	for (size_t i = s->v.n; i > 0; i--)
		if (s->v.v[i - 1].r.owner_uid == owner_uid) {
			n++;
			first = i - 1;
		}
	if (n >= OWNER_SHARES_MAX)
		drop(s, first);
}

static void
add(struct shares *s, const struct share_record *r)
{
	struct share_entry *e;
	struct buf b;

	buf_init(&b, 16384);
	share_record_write(&b, r);
	if (s->v.n >= ALL_MAX || s->bytes + b.n > FILE_MAX) {
		log_warn("too many shares: user=<%.*s> folder=<%.*s> will not "
			 "appear to others",
		    STR_ARG(r->owner), STR_ARG(r->folder));
		buf_done(&b);
		return;
	}
	e = VEC_ADD(&s->v);
	e->line = str_to_heap(str_make(b.p, b.n > 0 ? b.n - 1 : 0));
	if (!share_record_parse(str_of(e->line), &e->r)) {
		free(e->line);
		s->v.n--;
	} else {
		s->bytes += b.n;
		s->is_dirty = true;
	}
	buf_done(&b);
}

static void
apply(struct shares *s, const struct share_record *r)
{
	bool is_there = false;

	for (size_t i = s->v.n; i > 0; i--) {
		struct share_record *had = &s->v.v[i - 1].r;

		if (!is_same(had, r))
			continue;
		if (r->gives && str_eq(had->location, r->location))
			is_there = true;
		else
			drop(s, i - 1);
	}
	if (!r->gives || is_there)
		return;
	make_room(s, r->owner_uid);
	add(s, r);
}

/* ---- files ---- */

static void
apply_lines(struct shares *s, struct str text)
{
	struct share_record r;
	struct str line;

	while (str_cut(&text, '\n', &line))
		if (share_record_parse(line, &r))
			apply(s, &r);
}

/* The list as it was kept: of different ones, no more than there may be. */
static void
add_lines(struct shares *s, struct str text)
{
	struct share_record r;
	struct str line;

	while (s->v.n < ALL_MAX && str_cut(&text, '\n', &line))
		if (share_record_parse(line, &r) && r.gives)
			add(s, &r);
}

static void
save_soon(struct shares *s)
{
	if (!s->is_dirty || ev_is_active(&s->save))
		return;
	ev_timer_set(&s->save, SAVE_S, 0.);
	ev_timer_start(s->loop, &s->save);
}

/* False: it is there, and can not be read now: it must not be written anew. */
static bool
load(struct shares *s, const char *state_dir)
{
	struct buf b;
	struct err e;
	int fd, rc = -1;

	if (s->is_loaded)
		return true;
	if (s->dir == NULL)
		s->dir = mem_strdup(state_dir);
	buf_init(&b, FILE_MAX);
	fd = file_open_dir(AT_FDCWD, s->dir, true, &e);
	if (fd != -1)
		rc = file_load(fd, SHARE_FILE, &b, NULL, &e);
	if (rc == 0)
		add_lines(s, buf_str(&b));
	else if (e.code != ERR_NOT_FOUND)
		log_warn("shares can not be read reason=\"%s\"", e.text);
	buf_done(&b);
	fd_close(&fd);
	if (rc == -1 && file_is_unread(&e))
		return false;
	s->is_loaded = true;
	s->is_dirty = false;
	apply_lines(s, buf_str(&s->later));
	buf_done(&s->later);
	if (s->loop != NULL)
		save_soon(s);
	return true;
}

/* False: what there is only here stays to be saved. */
static bool
save_now(struct shares *s)
{
	static const struct file_perm perm = {
	    .dir_mode = 0700, .file_mode = 0600, .gid = (gid_t)-1};
	struct buf b;
	struct err e;
	int fd = -1;

	if (!s->is_dirty || !s->is_loaded)
		return true;
	buf_init(&b, FILE_MAX);
	VEC_EACH(&s->v, x)
		share_record_write(&b, &x->r);
	if (buf_is_over(&b))
		(void)err_set(&e, ERR_LIMIT, "longer than %zu bytes", FILE_MAX);
	else
		fd = file_open_dir(AT_FDCWD, s->dir, true, &e);
	s->is_dirty = fd == -1 ||
	    file_replace(fd, SHARE_FILE, SHARE_FILE ".new", buf_str(&b), &perm,
		NULL, &e) == -1;
	if (s->is_dirty)
		log_warn("shares can not be kept reason=\"%s\"", e.text);
	buf_done(&b);
	fd_close(&fd);
	return !s->is_dirty;
}

static void
on_save(struct ev_loop *loop, ev_timer *t, UNUSED int events)
{
	ev_timer_stop(loop, t);
	(void)save_now(t->data);
}

/* Lines that restantectl has appended below its lock. */
static void
take_added(struct shares *s)
{
	struct buf b;
	struct err e;
	int dir = file_open_dir(AT_FDCWD, s->dir, true, &e), fd;

	if (dir == -1)
		return;
	fd = openat(dir, SHARE_ADD_FILE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	/* Who has the lock is about to write: the next one takes it in. */
	if (fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1)
		goto out;
	buf_init(&b, FILE_MAX);
	if (file_read_rest(fd, 0, &b, &e) == -1) {
		log_warn("shares: %s: %s", SHARE_ADD_FILE, e.text);
		buf_done(&b);
		goto out;
	}
	apply_lines(s, buf_str(&b));
	buf_done(&b);
	/* Else they are taken in once more, which changes nothing. */
	if (save_now(s) &&
	    (ftruncate(fd, 0) == -1 || unlinkat(dir, SHARE_ADD_FILE, 0) == -1))
		log_warn("shares: %s: %s", SHARE_ADD_FILE, strerror(errno));
out:
	fd_close(&fd);
	close(dir);
}

/* ---- for the rest of master ---- */

void
shares_init(struct shares *s)
{
	*s = (struct shares){0};
	buf_init(&s->later, FILE_MAX);
	ev_timer_init(&s->save, on_save, SAVE_S, 0.);
	s->save.data = s;
}

void
shares_done(struct shares *s)
{
	if (s->dir != NULL && load(s, s->dir))
		(void)save_now(s);
	if (s->loop != NULL)
		ev_timer_stop(s->loop, &s->save);
	buf_done(&s->later);
	VEC_EACH(&s->v, x)
		free(x->line);
	VEC_DONE(&s->v);
	MEM_FREE(s->dir);
}

void
shares_take(struct shares *s, struct ev_loop *loop, const char *state_dir,
    const struct share_record *r)
{
	s->loop = loop;
	if (!load(s, state_dir)) {
		share_record_write(&s->later, r);
		return;
	}
	apply(s, r);
	save_soon(s);
}

static bool
concerns(const struct share_record *r, uint32_t sysuid, uint32_t sysgid,
    enum share_kind kind)
{
	return r->kind == kind && r->owner_uid != sysuid &&
	    (kind == SHARE_ANYONE ||
		r->number == (kind == SHARE_USER ? sysuid : sysgid));
}

struct told {
	const struct share_entry *v[TOLD_MAX];
	size_t n;
};

/* Those of this owner, or all when this one was told already. */
static size_t
of_owner(const struct told *t, const struct share_entry *x)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i] == x)
			return SIZE_MAX;
		n += t->v[i]->r.owner_uid == x->r.owner_uid;
	}
	return n;
}

static void
choose(const struct shares *s, uint32_t sysuid, uint32_t sysgid,
    size_t of_one_max, struct told *t)
{
	/* Nobody's share with all hides one with him. */
	static const enum share_kind kinds[] = {
	    SHARE_USER, SHARE_GROUP, SHARE_ANYONE};

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		VEC_EACH(&s->v, x) {
			if (t->n == TOLD_MAX)
				return;
			if (concerns(&x->r, sysuid, sysgid, kinds[k]) &&
			    of_owner(t, x) < of_one_max)
				t->v[t->n++] = x;
		}
}

void
shares_of(struct shares *s, const char *state_dir, uint32_t sysuid,
    uint32_t sysgid, struct buf *out)
{
	struct told t = {.n = 0};

	if (load(s, state_dir))
		take_added(s);
	/* Nor do the many of one owner hide those of another. */
	choose(s, sysuid, sysgid, TOLD_OF_ONE, &t);
	choose(s, sysuid, sysgid, TOLD_MAX, &t);
	for (size_t i = 0; i < t.n; i++) {
		const struct share_record *r = &t.v[i]->r;

		(void)buf_addf(out, "%s%u\t%.*s\t%.*s\t%.*s", i > 0 ? "\t" : "",
		    r->owner_uid, STR_ARG(r->owner), STR_ARG(r->location),
		    STR_ARG(r->folder));
	}
}
