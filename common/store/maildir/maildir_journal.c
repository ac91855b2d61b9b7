/* SPDX-License-Identifier: ISC */
/*
 * maildir_journal.c - several messages come together or not at all.
 *
 * Owns:    "restante-journal" beside the UID map, under its lock.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  a journal of ours or of the folder's owner; of others only that it
 *          brings in what they have put into tmp/ themselves.
 * Spec:    RFC 3502 section 6.3.11, RFC 3501 section 6.4.7, RFC 8508.
 *
 * Before the first of several messages is seen, a journal names them all; when
 * they are there, it goes. So a journal that is met under the lock is one whose
 * writer was killed:
 *  - messages that came as bytes lie in tmp/, whole and synced: those that are
 *    there still are moved to their places;
 *  - copies, which are links, are taken back, unless the last name of a message
 *    would go. After a power cut they stay: their journal is not synced, nor is
 *    its removal;
 *  - what REPLACE replaces goes when the new one is found.
 *
 *	READ --> REDO --> SYNC --> SCAN --> REMOVE --> journal removed
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "index/index_state.h"
#include "store/maildir/journal.h"
#include "store/maildir/maildir_save.h"
#include "store/maildir/maildir_scan.h"

struct journal_run {
	enum { READ, REDO, SYNC, SCAN, REMOVE } phase;
	struct buf text;
	struct str lines, rest;
	uid_t uid; /* whose it is */
	bool is_trusted, takes_back;
	bool is_stuck; /* a file would not go */
	bool is_void; /* not a journal */
	/* SCAN: bases looked for, ascending; of REPLACE: what was found. */
	VEC(struct str) bases;
	DIR *dir;
	enum maildir_dir in;
	struct str come, go;
	bool is_come;
	char go_name[NAME_MAX + 1];
	enum maildir_dir go_in;
};

static struct str
boot(void)
{
	struct str id = str_of(index_state_boot());

	return str_head(id, str_find(id, '\n'));
}

bool
maildir_journal_is_there(const struct maildir *md)
{
	/* One that can not be looked at is there: it must not be lost. */
	return !md->has_own_map &&
	    (faccessat(
		 md->controlfd, JOURNAL_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
		errno != ENOENT);
}

/* ---- writing --------------------------------------------------------------- */

bool
maildir_journal_is_wanted(const struct append *a)
{
	const struct save *s = save_of(a);

	/* What moves is whole at any time, each message by itself (RFC 6851
	 * section 3.3). */
	return s->is_locked && !a->moves && list_is_empty(&s->taken) &&
	    !maildir_of(a->m)->has_own_map &&
	    (s->all.n > 1 || (s->all.n == 1 && a->replaces != 0));
}

/* Are all messages in tmp/, or none? */
static bool
are_alike(const struct save *s)
{
	for (size_t i = 1; i < s->all.n; i++)
		if ((s->all.v[i].tmp.p == NULL) != (s->all.v[0].tmp.p == NULL))
			return false;
	return true;
}

static void
add_replaced(const struct append *a, struct buf *b)
{
	const struct msg_rec *r;

	if (a->replaces == 0 || save_of(a)->all.n != 1)
		return;
	mailbox_freshen(a->m, a->replaces);
	r = mailbox_rec(a->m, a->replaces);
	if (r != NULL && r->state == REC_LIVE)
		journal_add(b,
		    &(struct journal_line){
			.kind = '-', .name = maildir_base(a->m, r)});
}

static int
put(struct maildir *md, struct str text, bool is_durable, struct err *e)
{
	int fd, rc;

	fd = file_create(md->controlfd, JOURNAL_FILE, &md->map_perm, e);
	if (fd == -1)
		return -1;
	rc = file_write(fd, text, e);
	if (rc == 0 && is_durable)
		rc = file_sync(fd, JOURNAL_FILE, e);
	if (rc == 0)
		rc = file_close(&fd, JOURNAL_FILE, e);
	else
		close(fd);
	if (rc == 0 && is_durable)
		rc = file_sync(md->controlfd, "folder of the UID map", e);
	if (rc == -1)
		(void)unlinkat(md->controlfd, JOURNAL_FILE, 0);
	return rc;
}

int
maildir_journal_write(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	bool is_copy = s->all.v[0].tmp.p == NULL;
	struct buf b;
	int rc = 0;

	if (!are_alike(s) || (is_copy && boot().n == 0))
		return 0;
	buf_init(&b, JOURNAL_MAX);
	journal_begin(&b, boot());
	VEC_EACH(&s->all, st)
		journal_add(&b,
		    &(struct journal_line){
			.kind = is_copy ? '=' : '+',
			.in_new = st->in_new,
			.tmp = st->tmp,
			.name = is_copy ? st->base : st->name,
		    });
	if (!is_copy)
		add_replaced(a, &b);
	/* What no journal can say comes without one. */
	if (journal_end(&b)) {
		rc = put(maildir_of(a->m), buf_str(&b), !is_copy, e);
		s->has_journal = rc == 0;
	}
	buf_done(&b);
	return rc;
}

int
maildir_journal_remove(struct append *a, struct err *e)
{
	struct save *s = save_of(a);

	if (!s->has_journal)
		return 0;
	if (unlinkat(maildir_of(a->m)->controlfd, JOURNAL_FILE, 0) == -1)
		return errno == ENOENT
		    ? err_set(e, ERR_IN_USE,
			  "%s: somebody took our journal for a dead one's",
			  a->m->name)
		    : err_sys(e, JOURNAL_FILE);
	s->has_journal = false;
	return 0;
}

/* ---- reading --------------------------------------------------------------- */

static int
by_bytes(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	int cmp = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return cmp != 0 ? cmp : (x->n > y->n) - (x->n < y->n);
}

/* What is to be looked for in new/ and cur/. */
static void
collect(struct journal_run *run)
{
	struct str rest = run->lines;
	struct journal_line l;

	while (journal_next(&rest, &l)) {
		if (l.kind == '+')
			run->come = maildir_base_of(l.name);
		else if (l.kind == '-')
			run->go = l.name;
		if (l.kind != '+')
			*VEC_ADD(&run->bases) = l.name;
	}
	if (run->go.n > 0)
		*VEC_ADD(&run->bases) = run->come;
	if (run->bases.n > 0)
		qsort(run->bases.v, run->bases.n, sizeof(*run->bases.v),
		    by_bytes);
}

/* False: it can not be read, or means nothing. */
static bool
read_it(struct mailbox *m, struct journal_run *run)
{
	const struct maildir *md = maildir_of(m);
	struct str written_in;
	struct stat st;
	struct err e = {0};

	buf_init(&run->text, JOURNAL_MAX);
	if (file_load(md->controlfd, JOURNAL_FILE, &run->text, &st, &e) == -1) {
		if (e.code != ERR_NOT_FOUND)
			store_warn(m->store, "%s: %s", m->name, e.text);
		/* No file, or larger than any of ours. */
		run->is_void = e.code == ERR_CORRUPT || e.code == ERR_LIMIT ||
		    e.sys == ELOOP;
		return false;
	}
	if (!journal_parse(buf_str(&run->text), &written_in, &run->lines)) {
		store_warn(m->store, "%s: %s is not whole: nothing was begun",
		    m->name, JOURNAL_FILE);
		run->is_void = true;
		return false;
	}
	run->rest = run->lines;
	run->uid = st.st_uid;
	run->is_trusted = st.st_uid == md->euid || st.st_uid == md->perm.owner;
	run->takes_back = boot().n > 0 && str_eq(written_in, boot());
	if (run->is_trusted)
		collect(run);
	return true;
}

/* From tmp/ to its place, when it is there still. False: try again. */
static bool
redo_one(
    struct mailbox *m, const struct journal_run *run, struct journal_line *l)
{
	struct maildir *md = maildir_of(m);
	char tmp[NAME_MAX + 1], name[NAME_MAX + 1];
	int to = l->in_new ? md->newfd : md->curfd;
	struct stat st, there;
	struct err e;

	if (!str_to_c(l->tmp, tmp, sizeof(tmp)) ||
	    !str_to_c(l->name, name, sizeof(name)) ||
	    fstatat(md->tmpfd, tmp, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode) || (!run->is_trusted && st.st_uid != run->uid))
		return true;
	if (file_rename_new(md->tmpfd, tmp, to, name, &e) == 0)
		return true;
	/* Where a rename is a link and an unlink, both names may be left. */
	if (e.code == ERR_EXISTS &&
	    fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    there.st_ino == st.st_ino && there.st_dev == st.st_dev)
		return unlinkat(md->tmpfd, tmp, 0) == 0;
	store_warn(m->store, "%s: %s: %s", m->name, tmp, e.text);
	/* A name that is another message's stays so. */
	return e.code == ERR_EXISTS;
}

/* STEP_FAIL: nothing can be done here. */
static enum step
redo(struct mailbox *m, struct journal_run *run, int64_t until_ms)
{
	struct maildir *md = maildir_of(m);
	struct journal_line l;

	while (journal_next(&run->rest, &l)) {
		if (l.kind == '+' && !redo_one(m, run, &l))
			return STEP_FAIL;
		md->own_changes++;
		dotlock_keep(&md->list.lock);
		if (clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* A file whose base is among those looked for. */
static void
meet(struct mailbox *m, struct journal_run *run, const char *name)
{
	struct maildir *md = maildir_of(m);
	int fd = run->in == DIR_NEW ? md->newfd : md->curfd;
	struct str base = maildir_base_of(str_of(name));
	struct stat st;

	if (bsearch(&base, run->bases.v, run->bases.n, sizeof(base),
		by_bytes) == NULL)
		return;
	if (run->go.n > 0) {
		run->is_come = run->is_come || str_eq(base, run->come);
		if (str_eq(base, run->go)) {
			(void)snprintf(
			    run->go_name, sizeof(run->go_name), "%s", name);
			run->go_in = run->in;
		}
		return;
	}
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_nlink > 1)
		run->is_stuck |= unlinkat(fd, name, 0) == -1;
	md->own_changes++;
}

static enum step
scan(struct mailbox *m, struct journal_run *run, int64_t until_ms)
{
	struct maildir *md = maildir_of(m);
	struct dirent *d;
	struct err e;
	int fd;

	if (run->bases.n == 0 || (run->go.n == 0 && !run->takes_back))
		return STEP_DONE;
	for (; run->in <= DIR_CUR; run->in++) {
		if (run->dir == NULL) {
			fd = file_open_dir(
			    run->in == DIR_NEW ? md->newfd : md->curfd, ".",
			    false, &e);
			run->dir = fd == -1 ? NULL : fdopendir(fd);
			if (run->dir == NULL && fd != -1)
				close(fd);
			if (run->dir == NULL)
				return STEP_FAIL;
		}
		while ((d = readdir(run->dir)) != NULL) {
			meet(m, run, d->d_name);
			if (clock_mono_ms() >= until_ms)
				return STEP_MORE;
		}
		closedir(run->dir);
		run->dir = NULL;
		dotlock_keep(&md->list.lock);
	}
	return STEP_DONE;
}

static enum step
advance(struct mailbox *m, struct journal_run *run, int64_t until_ms)
{
	struct maildir *md = maildir_of(m);
	struct err e;

	switch (run->phase) {
	case READ:
		return read_it(m, run) ? STEP_DONE : STEP_FAIL;
	case REDO:
		return redo(m, run, until_ms);
	case SYNC:
		/* Seen, then the journal goes. */
		return file_sync(md->newfd, "new", &e) == 0 &&
			file_sync(md->curfd, "cur", &e) == 0
		    ? STEP_DONE
		    : STEP_FAIL;
	case SCAN:
		return scan(m, run, until_ms);
	case REMOVE:
		break;
	}
	if (run->is_come && run->go_name[0] != '\0' &&
	    unlinkat(run->go_in == DIR_NEW ? md->newfd : md->curfd,
		run->go_name, 0) == -1)
		run->is_stuck = true;
	return run->is_stuck ? STEP_FAIL : STEP_DONE;
}

static void
take_away(const struct maildir *md)
{
	if (unlinkat(md->controlfd, JOURNAL_FILE, 0) == -1 && errno == EISDIR)
		(void)unlinkat(md->controlfd, JOURNAL_FILE, AT_REMOVEDIR);
}

bool
maildir_journal_complete(struct mailbox *m, int64_t until_ms)
{
	struct maildir *md = maildir_of(m);
	struct journal_run *run = md->journal;
	enum step step;

	if (run == NULL && !maildir_journal_is_there(md)) {
		md->has_journal = false;
		return true;
	}
	if (run == NULL)
		run = md->journal = mem_new(1, sizeof(*run));
	do {
		step = advance(m, run, until_ms);
		if (step == STEP_MORE)
			return false;
	} while (step == STEP_DONE && run->phase++ < REMOVE);
	/* What could not be done is tried again by who opens it next. */
	if (step == STEP_DONE || run->is_void)
		take_away(md);
	else
		store_warn(m->store, "%s: %s can not be finished now", m->name,
		    JOURNAL_FILE);
	md->has_journal = false;
	md->must_scan = true;
	md->own_changes++;
	maildir_journal_end(md);
	return true;
}

void
maildir_journal_end(struct maildir *md)
{
	struct journal_run *run = md->journal;

	md->journal = NULL;
	if (run == NULL)
		return;
	if (run->dir != NULL)
		closedir(run->dir);
	VEC_DONE(&run->bases);
	buf_done(&run->text);
	free(run);
}
