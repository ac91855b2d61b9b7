/* SPDX-License-Identifier: ISC */
/*
 * maildir_save.c - new messages: from bytes, or from messages we have.
 *
 * Owns:    files in tmp/ until they are committed.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the bytes; they only pass through.
 * Spec:    formats.md 1.2, 1.4 to 1.6; security.md 7.2.
 *
 * A message that has come whole lies in tmp/, written and synced. Copies of what
 * is in a mailbox of ours need no such stage: commit links them where they go,
 * unless the file system or the rights of the file forbid it
 * (append->no_links): then they are linked to tmp/ one by one, and what can
 * not be is read and written by the caller. What is to vanish from its mailbox
 * (append->moves) is renamed to its place, where that can be done.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/maildir/maildir_save.h"
#include "text/crlf.h"

#define OUT_BYTES (64 * 1024)
#define TRIES 10

static int
begin(struct append *a, struct err *e)
{
	struct maildir *md = maildir_of(a->m);
	struct save *s;

	/* It may have been shared since it was opened. */
	if (file_perm_of(md->dirfd, &md->perm, e) == -1)
		return -1;
	if (!md->has_own_map)
		md->map_perm = md->perm;
	s = mem_new(1, sizeof(*s));
	arena_init(&s->arena);
	s->fd = -1;
	s->append = a;
	list_init(&s->ready);
	list_init(&s->taken);
	md->n_appends++;
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
	struct str piece;

	while (crlf_strip_next(&bytes, &s->has_cr, &piece))
		if (put(s, piece, e) == -1)
			return -1;
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

int
maildir_save_write(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct staged *st;

	if (s->fd == -1)
		return 0;
	st = &s->all.v[s->all.n - 1];
	if (s->has_cr && put(s, STR("\r"), e) == -1)
		return -1;
	s->has_cr = false;
	if (flush(s, e) == -1 || set_date(s, e) == -1)
		return -1;
	st->base =
	    arena_printf(&s->arena, "%.*s,S=%llu,W=%llu", STR_ARG(st->tmp),
		(unsigned long long)s->size, (unsigned long long)s->wire_size);
	return 0;
}

int
maildir_save_sync(struct append *a, struct err *e)
{
	struct save *s = save_of(a);

	if (s->fd == -1)
		return 0;
	return file_sync(s->fd, "message", e) == -1
	    ? -1
	    : file_close(&s->fd, "message", e);
}

static int
finish(struct append *a, struct err *e)
{
	return maildir_save_write(a, e) == -1 ? -1 : maildir_save_sync(a, e);
}

static struct staged *
stage(struct append *a, const struct flag_wish *w)
{
	struct save *s = save_of(a);
	struct staged *st = VEC_ADD(&s->all);

	st->system = w->system;
	st->n_names = w->n_keywords;
	if (w->n_keywords > 0)
		st->names =
		    arena_new(&s->arena, w->n_keywords, sizeof(*st->names));
	for (size_t i = 0; i < w->n_keywords; i++)
		st->names[i] = arena_str(&s->arena, w->keywords[i]);
	return st;
}

/* A name in tmp/, also as a C string. */
static int
name_tmp(struct append *a, struct staged *st, char out[MAILDIR_NAME_MAX + 1],
    struct err *e)
{
	struct buf b;
	bool is_over;

	buf_init(&b, MAILDIR_NAME_MAX);
	(void)maildir_name_new(&b, a->m->store->host);
	st->tmp = arena_str(&save_of(a)->arena, buf_str(&b));
	is_over = buf_is_over(&b) ||
	    !str_to_c(buf_str(&b), out, MAILDIR_NAME_MAX + 1);
	buf_done(&b);
	return is_over ? err_set(e, ERR_LIMIT, "host name too long") : 0;
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
	if (name_tmp(a, st, name, e) == -1) {
		s->all.n--;
		return -1;
	}
	s->fd = file_create(md->tmpfd, name, &md->perm, e);
	if (s->fd == -1) {
		s->all.n--;
		return -1;
	}
	if (s->out == NULL)
		s->out = mem_resize(NULL, 1, OUT_BYTES);
	s->date_s = date_s;
	s->n_out = 0;
	s->has_cr = false;
	s->last = '\0';
	s->size = s->wire_size = 0;
	return 0;
}

static int
scratch(struct append *a, struct err *e)
{
	struct maildir *md = maildir_of(a->m);
	char name[MAILDIR_NAME_MAX + 1];
	struct staged st;
	int fd;

	fd = openat(md->tmpfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd != -1 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd != -1 ? fd : err_sys(e, "scratch file in tmp");
	if (name_tmp(a, &st, name, e) == -1)
		return -1;
	fd = openat(md->tmpfd, name,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return err_sys(e, "scratch file in tmp");
	(void)unlinkat(md->tmpfd, name, 0);
	return fd;
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

/* Of the way in which one file gets where it is wanted. */
static enum step
bring_once(struct mailbox *from, const struct msg_rec *r, int dirfd,
    const char *name, bool moves, struct err *e)
{
	struct maildir *md = maildir_of(from);
	int source_fd = maildir_dir_fd(md, r);
	char source[512];

	(void)maildir_file_name(from, r, source);
	if (moves) {
		maildir_change_begin(md);
		if (renameat2(source_fd, source, dirfd, name,
			RENAME_NOREPLACE) == 0) {
			set32_add(&md->moved, r->uid);
			maildir_count(
			    from, maildir_base(from, r), dirfd, name, -1);
			return STEP_DONE;
		}
	}
	/* Where it can not be moved it may be that it can be linked. */
	if ((!moves || (errno != ENOENT && errno != EEXIST)) &&
	    linkat(source_fd, source, dirfd, name, 0) == 0)
		return STEP_DONE;
	if (errno == EXDEV || errno == EMLINK || errno == EPERM)
		(void)err_set(e, ERR_UNSUPPORTED, "no link");
	else
		(void)err_sys(e, "link %s", source);
	return STEP_FAIL;
}

/* Then it is not the message that is missing, and a look at its mailbox, which
 * may take many steps, helps nobody. */
static bool
is_removed(int dirfd)
{
	struct stat st;

	return fstat(dirfd, &st) == 0 && st.st_nlink == 0;
}

enum step
maildir_save_bring(struct mailbox *from, uint32_t uid, int dirfd,
    const char *name, bool moves, struct err *e)
{
	enum step step;

	for (int i = 0; i < TRIES; i++) {
		const struct msg_rec *r = mailbox_rec(from, uid);

		if (r == NULL || r->state != REC_LIVE) {
			(void)err_set(e, ERR_GONE, "message %u is gone", uid);
			return STEP_FAIL;
		}
		step = bring_once(from, r, dirfd, name, moves, e);
		if (step != STEP_FAIL || e->code != ERR_NOT_FOUND ||
		    is_removed(dirfd))
			return step;
		step = maildir_sync(from, SYNC_FORCE, e);
		if (step != STEP_DONE)
			return step;
	}
	(void)err_set(e, ERR_IN_USE, "message %u is renamed all the time", uid);
	return STEP_FAIL;
}

/* Base names in the target must be known to keep them unique. */
static enum step
sync_target(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	enum step step = STEP_DONE;

	if (!s->is_synced)
		step = mailbox_sync(a->m, &s->sync, e);
	s->is_synced = s->is_synced || step == STEP_DONE;
	return step;
}

/* Into tmp/; ERR_UNSUPPORTED when this message can not be linked. */
static enum step
copy_to_tmp(struct append *a, struct staged *st, struct mailbox *from,
    uint32_t uid, struct err *e)
{
	struct maildir *md = maildir_of(a->m);
	char name[MAILDIR_NAME_MAX + 1];
	enum step step;

	if (name_tmp(a, st, name, e) == -1)
		return STEP_FAIL;
	step = maildir_save_bring(from, uid, md->tmpfd, name, false, e);
	if (step != STEP_DONE || mailbox_rec(from, uid) != NULL)
		return step;
	/* Expunged between link and now. */
	(void)unlinkat(md->tmpfd, name, 0);
	(void)err_set(e, ERR_GONE, "message %u is gone", uid);
	return STEP_FAIL;
}

static enum step
copy(struct append *a, struct mailbox *from, uint32_t uid,
    const struct flag_wish *w, struct err *e)
{
	struct save *s = save_of(a);
	const struct msg_rec *r;
	struct staged *st;
	enum step step;

	if (from->store->ops != a->m->store->ops) {
		(void)err_set(e, ERR_UNSUPPORTED, "other kind of mailbox");
		return STEP_FAIL;
	}
	/* Who may read a file does not depend on the folder by which he came. */
	if (maildir_is_shared(a->m) || maildir_is_shared(from)) {
		(void)err_set(e, ERR_UNSUPPORTED, "shared with others");
		return STEP_FAIL;
	}
	step = sync_target(a, e);
	if (step != STEP_DONE)
		return step;
	if (finish(a, e) == -1)
		return STEP_FAIL;
	st = stage(a, w);
	if (s->from == NULL) {
		s->from = from;
		from->n_users++;
	}
	st->from_uid = uid;
	if (a->no_links)
		step = copy_to_tmp(a, st, from, uid, e);
	r = step == STEP_DONE ? mailbox_rec(from, uid) : NULL;
	if (step == STEP_DONE && (r == NULL || r->state != REC_LIVE)) {
		(void)err_set(e, ERR_GONE, "message %u is gone", uid);
		step = STEP_FAIL;
	}
	if (step != STEP_DONE) {
		s->all.n--;
		return step;
	}
	st->base = arena_str(&s->arena, maildir_base(from, r));
	st->guid = arena_str(&s->arena, guid_of(from, uid));
	return STEP_DONE;
}

static void
save_free(struct append *a)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);
	struct err ignored;

	maildir_commit_end(a);
	md->n_appends--;
	mailbox_sync_end(a->m, &s->sync);
	if (s->from != NULL && a->moves)
		(void)maildir_flush(s->from, &ignored);
	mailbox_release(&s->from);
	if (s->fd != -1)
		close(s->fd);
	VEC_EACH(&s->all, st)
		if (st->tmp.p != NULL)
			(void)unlinkat(
			    md->tmpfd, arena_c(&s->arena, st->tmp), 0);
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
    .scratch = scratch,
    .copy = copy,
    .commit = maildir_commit,
    .free = save_free,
};
