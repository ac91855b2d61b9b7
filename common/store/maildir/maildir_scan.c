/* SPDX-License-Identifier: ISC */
/*
 * maildir_scan.c - reads new/ and cur/ and compares with the records.
 *
 * Owns:    nothing that lasts.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no name; directories and special files are no messages.
 * Spec:    formats.md 1.2, 1.9; security.md 7.2.
 *
 * A scan decides nothing: a file that is renamed meanwhile may be met twice
 * or not at all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/maildir/maildir_scan.h"

#define READ_BYTES (64 * 1024)
#define READ_BYTES_SMALL 320 /* where tests want the smallest steps */
/*
 * How coarse times of directories are, with room to spare: the kernel's tick is
 * 10 ms at most, but what stores whole seconds or milliseconds is coarser.
 */
#define SETTLE_FINE_US 50000
#define SETTLE_LOCAL_US 1000000
#define SETTLE_REMOTE_US 2000000

void
scan_init(struct scan *s, unsigned dirs)
{
	*s = (struct scan){.dirs = dirs};
	arena_init(&s->arena);
}

void
scan_done(struct scan *s)
{
	VEC_DONE(&s->unknown);
	VEC_DONE(&s->renamed);
	VEC_DONE(&s->again);
	VEC_DONE(&s->nameless);
	free(s->bytes);
	arena_done(&s->arena);
}

static int
dir_fd(const struct maildir *md, enum maildir_dir dir)
{
	return dir == DIR_NEW ? md->newfd : md->curfd;
}

static int64_t
time_us(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000;
}

static int64_t
settle_us(bool is_local, const struct timespec *mtime)
{
	if (!is_local)
		return SETTLE_REMOTE_US;
	return mtime->tv_nsec % 1000 != 0 ? SETTLE_FINE_US : SETTLE_LOCAL_US;
}

bool
scan_is_racy(bool is_local, const struct timespec *mtime, int64_t read_us)
{
	return time_us(mtime) + settle_us(is_local, mtime) > read_us;
}

bool
scan_is_watched(const struct maildir *md)
{
	return md->is_local && md->watch_new != NULL && md->watch_cur != NULL;
}

bool
scan_is_needed(const struct maildir *md, enum maildir_dir dir)
{
	const struct dir_state *d = &md->dirs[dir];
	struct stat st;

	if (!d->is_read || d->is_dirty)
		return true;
	if (fstat(dir_fd(md, dir), &st) == -1 || st.st_nlink == 0 ||
	    file_time_cmp(&st.st_mtim, &d->mtime) != 0)
		return true;
	/* A change in the same tick of the file system's clock as the last
	 * one leaves no trace in the time: look once more when it is over. */
	return !scan_is_watched(md) &&
	    scan_is_racy(md->is_local, &d->mtime, d->read_us) &&
	    clock_wall_us() >= d->read_us + settle_us(md->is_local, &d->mtime);
}

static void
note(struct scan *s, struct sighting *v, size_t index, enum maildir_dir dir,
    struct str name, struct str base)
{
	v->index = index;
	v->dir = (uint8_t)dir;
	v->name = arena_str(&s->arena, name);
	v->base = str_head(v->name, base.n);
}

/* Place and info as the record has them? */
static bool
is_same(const struct mailbox *m, const struct msg_rec *r, enum maildir_dir dir,
    const struct maildir_name *name)
{
	char plain[MAILDIR_INFO_MAX];

	return ((r->own & OWN_NEW) != 0) == (dir == DIR_NEW) &&
	    str_eq(maildir_info(m, r, plain), name->info);
}

static void
meet(struct mailbox *m, struct scan *s, enum maildir_dir dir, struct str whole)
{
	struct maildir *md = maildir_of(m);
	struct maildir_name name;
	struct sighting *new;
	struct msg_rec *r;
	uint64_t hash;
	size_t i;

	if (!maildir_name_parse(whole, &name)) {
		if (whole.p[0] != '.' && !md->warned_name)
			store_warn(m->store,
			    "file name with line end ignored mailbox=%s",
			    m->name);
		md->warned_name = md->warned_name || whole.p[0] != '.';
		return;
	}
	if (name.base.n == 0) {
		note(s, VEC_ADD(&s->nameless), NO_REC, dir, whole, name.base);
		return;
	}
	hash = map_hash(name.base);
	i = maildir_find_hashed(m, name.base, hash);
	if (i == NO_REC && m->lazy_top != 0 &&
	    (++s->lookups > MAILDIR_LOOKUPS_MAX ||
		maildir_may_have(m, name.base))) {
		s->needs_all = true;
		return;
	}
	if (i == NO_REC || m->recs.v[i].state == REC_EXPUNGED) {
		new = VEC_ADD(&s->unknown);
		note(s, new, i, dir, whole, name.base);
		new->hash = hash;
		return;
	}
	r = &m->recs.v[i];
	if (r->own & OWN_SEEN) {
		note(s, VEC_ADD(&s->again), i, dir, whole, name.base);
		return;
	}
	r->own |= OWN_SEEN;
	if (r->state == REC_WAITING)
		(void)maildir_take_name(m, r, dir, &name);
	else if (!is_same(m, r, dir, &name))
		note(s, VEC_ADD(&s->renamed), i, dir, whole, name.base);
}

/* Subfolders and the like are no messages; never given an UID. */
static bool
is_file(int fd, const struct dirent64 *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == DT_REG;
	return fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode);
}

/* A buffer full of names at a time. */
static enum step
read_dir(struct mailbox *m, struct scan *s, int64_t until_ms, struct err *e)
{
	int fd = dir_fd(maildir_of(m), s->dir);
	size_t room = STEP_SLICE_MS == 0 ? READ_BYTES_SMALL : READ_BYTES;
	ssize_t n = 0;
	enum step step = STEP_DONE;

	if (s->bytes == NULL)
		s->bytes = mem_resize(NULL, READ_BYTES, 1);
	while (step == STEP_DONE && (n = getdents64(fd, s->bytes, room)) > 0) {
		for (char *p = s->bytes; p < s->bytes + n;) {
			const struct dirent64 *d =
			    (const struct dirent64 *)(void *)p;

			p += d->d_reclen;
			if (d->d_name[0] != '.' && is_file(fd, d))
				meet(m, s, s->dir, str_of(d->d_name));
		}
		if (clock_mono_ms() >= until_ms)
			step = STEP_MORE;
	}
	if (n != -1 || errno == ENOENT)
		return step;
	(void)err_sys(e, "read folder");
	return STEP_FAIL;
}

#define ENTRY_BYTES 40 /* of a directory, at the least, as most are kept */
#define EXPECTED_MAX 100000

/* Where no file is known yet, all will be met for the first time. */
static void
expect_files(const struct mailbox *m, struct scan *s, const struct stat *st)
{
	size_t n = st->st_size > 0 ? (size_t)st->st_size / ENTRY_BYTES : 0;

	if (m->recs.n == 0 && m->lazy_top == 0)
		VEC_RESERVE(&s->unknown,
		    s->unknown.n + (n < EXPECTED_MAX ? n : EXPECTED_MAX));
}

static int
dir_begin(struct mailbox *m, struct scan *s, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct dir_state *d = &md->dirs[s->dir];
	struct stat st;

	if (fstat(dir_fd(md, s->dir), &st) == -1)
		return err_sys(e, "fstat folder");
	if (st.st_nlink == 0) {
		m->is_gone = true;
		return err_set(e, ERR_GONE, "%s: folder removed", m->name);
	}
	if (lseek(dir_fd(md, s->dir), 0, SEEK_SET) == -1)
		return err_sys(e, "rewind folder");
	expect_files(m, s, &st);
	s->dir_mtime = st.st_mtim;
	s->is_in_dir = true;
	d->read_us = clock_wall_us();
	d->is_dirty = false;
	return 0;
}

static int
dir_end(struct mailbox *m, struct scan *s, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct dir_state *d = &md->dirs[s->dir];
	struct stat st;

	if (fstat(dir_fd(md, s->dir), &st) == -1)
		return err_sys(e, "fstat folder");
	d->mtime = s->dir_mtime;
	d->is_read = true;
	s->is_in_dir = false;
	if (file_time_cmp(&s->dir_mtime, &st.st_mtim) != 0 ||
	    scan_is_racy(md->is_local, &s->dir_mtime, d->read_us))
		s->is_stable = false;
	return 0;
}

static enum step
read_one(struct mailbox *m, struct scan *s, int64_t until_ms, struct err *e)
{
	enum step step;

	if (!s->is_in_dir && dir_begin(m, s, e) == -1)
		return STEP_FAIL;
	step = read_dir(m, s, until_ms, e);
	if (step == STEP_FAIL)
		maildir_of(m)->dirs[s->dir].is_read = false;
	if (step != STEP_DONE)
		return step;
	return dir_end(m, s, e) == -1 ? STEP_FAIL : STEP_DONE;
}

void
scan_begin(struct mailbox *m, struct scan *s)
{
	for (size_t i = 0; i < m->recs.n; i++)
		m->recs.v[i].own &= (uint8_t)~OWN_SEEN & 0x3f;
	s->is_reading = true;
	s->is_stable = true;
	s->own_changes = maildir_of(m)->own_changes;
	s->loads = maildir_of(m)->loads;
	s->dir = s->dirs & 1u << DIR_NEW ? DIR_NEW : DIR_CUR;
}

enum step
scan_read_some(
    struct mailbox *m, struct scan *s, int64_t until_ms, struct err *e)
{
	struct maildir *md = maildir_of(m);
	enum step step = read_one(m, s, until_ms, e);

	if (step == STEP_DONE && s->dir == DIR_NEW && s->dirs & 1u << DIR_CUR) {
		s->dir = DIR_CUR;
		step = read_one(m, s, until_ms, e);
	}
	if (step != STEP_DONE)
		return step;
	if (scan_is_watched(md)) {
		/* Whatever happened while we read has left an event. */
		watch_drain(m->store->hub);
		s->is_stable =
		    !md->dirs[DIR_NEW].is_dirty && !md->dirs[DIR_CUR].is_dirty;
	}
	if (s->own_changes != md->own_changes) {
		s->is_stable = false;
		s->is_disturbed = true;
	}
	return STEP_DONE;
}
