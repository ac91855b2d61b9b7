/* SPDX-License-Identifier: ISC */
/*
 * mbox_rename.c - a mailbox gets another name, with all that belongs to it.
 *
 * Owns:    the file "renaming" in the folder "mbox" of the state folder, and
 *          the lock on it.
 * Runs in: imapd, as the mail user.
 * Trusts:  no name on disk; links below the root are not followed. What stands
 *          in "renaming" is checked as names of clients are.
 * Spec:    formats.md 7.1, 7.2; RFC 3501 section 6.3.5.
 *
 * Beside the file there are mailboxes below it, Dovecot's folder, the identity
 * that is kept, annotations. What is about to happen is written down first, so
 * that whoever comes after a kill completes it:
 *
 *	LOCK --> MOVE --> REST --> done
 *
 * LOCK is that of the mail file. MOVE is one step: file, folder below, and what
 * belongs to the mailbox itself. REST is what belongs to those below. While it
 * lasts the record is locked, and who opens a mailbox waits for its end.
 *
 *	restante-rename 1
 *	ino 4711
 *	from work
 *	to old/work
 *	end
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "store/mbox/mbox_impl.h"
#include "store/mbox/mbox_name.h"
#include "store/meta.h"

#define FOLDER "mbox"
#define RECORD "renaming"
#define FIRST_LINE "restante-rename 1\n"
#define RECORD_BYTES_MAX (2 * PATH_MAX + 100)
#define WAIT_MS 10000
#define FILES_PER_LOOK 8 /* at the clock */

struct mbox_renaming {
	enum { RENAME_LOCK, RENAME_MOVE, RENAME_REST } phase;
	struct store *s;
	char old[PATH_MAX], fresh[PATH_MAX]; /* below the root */
	enum mbox_kind kind;
	bool has_below;
	struct mailbox *locked; /* for its lock alone; or NULL */
	struct lock_wait wait;
	int record; /* locked; or -1 */
	bool is_stuck; /* something could not be done: it is tried again */
	DIR *all; /* of REST */
};

static int
rootfd_of(const struct store *s)
{
	return ((const struct mbox_place *)s->impl)->rootfd;
}

static void
below_of(const char *path, char out[PATH_MAX + 8])
{
	(void)snprintf(out, PATH_MAX + 8, "%s" MBOX_BELOW, path);
}

/* ---- the record ------------------------------------------------------------ */

static bool
record_path(const struct store *s, char out[PATH_MAX])
{
	return snprintf(out, PATH_MAX, "%s/" FOLDER "/" RECORD, s->state) <
	    PATH_MAX;
}

static bool
is_there(int fd, const char *path)
{
	struct stat st, now;

	return fstat(fd, &st) == 0 && lstat(path, &now) == 0 &&
	    st.st_ino == now.st_ino && st.st_dev == now.st_dev;
}

/*
 * The record, locked. -1: ERR_NOT_FOUND (not with `make`); ERR_IN_USE while
 * another one is at work.
 */
static int
open_record(const struct store *s, bool make, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	if (!record_path(s, path))
		return err_set(e, ERR_LIMIT, "the state folder's path");
	if (make && (fd = mbox_state_dir(s, FOLDER, true)) != -1)
		close(fd);
	fd = open(path,
	    (make ? O_CREAT : 0) | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
	    0600);
	if (fd == -1)
		return err_sys(e, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_there(fd, path))
		return fd;
	close(fd);
	return err_set(e, ERR_IN_USE, "another mailbox is being renamed");
}

static int
write_record(const struct mbox_renaming *r, struct err *e)
{
	struct stat st;
	struct buf b;
	int dir, rc;

	if (fstatat(rootfd_of(r->s), r->old, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return err_sys(e, "%s", r->old);
	buf_init(&b, RECORD_BYTES_MAX);
	(void)buf_addf(&b, FIRST_LINE "ino %llu\nfrom %s\nto %s\nend\n",
	    (unsigned long long)st.st_ino, r->old, r->fresh);
	rc = file_write(r->record, buf_str(&b), e);
	buf_done(&b);
	if (rc == 0)
		rc = file_sync(r->record, RECORD, e);
	dir = rc == 0 ? mbox_state_dir(r->s, FOLDER, false) : -1;
	if (dir != -1) {
		rc = file_sync(dir, FOLDER, e);
		close(dir);
	}
	return rc;
}

static void
end_record(struct mbox_renaming *r, bool is_done)
{
	char path[PATH_MAX];

	if (r->record == -1)
		return;
	if (is_done && !r->is_stuck && record_path(r->s, path))
		(void)unlinkat(AT_FDCWD, path, 0);
	close(r->record);
	r->record = -1;
}

/* A path as mbox_path_below() makes them, or one that is none of ours. */
static bool
is_path(struct str path)
{
	struct str level;

	if (path.n == 0 || path.n >= PATH_MAX)
		return false;
	while (str_next(&path, '/', &level))
		if (level.n == 0 || str_eq(level, STR(".")) ||
		    str_eq(level, STR("..")))
			return false;
	return true;
}

bool
mbox_rename_parse(
    struct str text, uint64_t *ino, struct str *from, struct str *to)
{
	struct str line, word;
	bool has_ino = false, is_whole = false;

	*from = *to = (struct str){0};
	if (!str_starts(text, STR(FIRST_LINE)))
		return false;
	text = str_skip(text, sizeof(FIRST_LINE) - 1);
	while (str_cut(&text, '\n', &line)) {
		if (str_eq(line, STR("end")))
			is_whole = true;
		(void)str_cut(&line, ' ', &word);
		if (str_eq(word, STR("ino")))
			has_ino = num_parse_u64(line, 0, UINT64_MAX, ino);
		else if (str_eq(word, STR("from")))
			*from = line;
		else if (str_eq(word, STR("to")))
			*to = line;
	}
	return is_whole && has_ino && is_path(*from) && is_path(*to);
}

/* ---- what belongs to it ---------------------------------------------------- */

/* Sessions of this process go on with what they have selected. */
static void
follow(struct store *s, const char *old, const char *fresh)
{
	char from[PATH_MAX], path[PATH_MAX], dir[PATH_MAX];
	size_t n;

	if (snprintf(from, sizeof(from), "%s/%s", s->root, old) >= PATH_MAX)
		return;
	n = strlen(from);
	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);
		struct mbox *mb = m->impl;
		struct err ignored;
		int fd;

		if (mb == NULL || strncmp(mb->path, from, n) != 0 ||
		    (mb->path[n] != '\0' && mb->path[n] != '/') ||
		    snprintf(path, sizeof(path), "%s/%s%s", s->root, fresh,
			mb->path + n) >= PATH_MAX)
			continue;
		(void)snprintf(dir, sizeof(dir), "%.*s",
		    (int)(strrchr(path, '/') - path), path);
		fd = file_open_dir(AT_FDCWD, dir, true, &ignored);
		if (fd == -1)
			continue;
		close(mb->dirfd);
		mb->dirfd = fd;
		mbox_pending_rename(m, path);
		memcpy(mb->path, path, sizeof(path));
		mb->name = strrchr(mb->path, '/') + 1;
		/* They are set again for the new place. */
		watch_remove(&mb->watch);
		watch_remove(&mb->watch_dir);
	}
}

static bool
full_paths(
    const struct mbox_renaming *r, char from[PATH_MAX], char to[PATH_MAX])
{
	return snprintf(from, PATH_MAX, "%s/%s", r->s->root, r->old) <
	    PATH_MAX &&
	    snprintf(to, PATH_MAX, "%s/%s", r->s->root, r->fresh) < PATH_MAX;
}

/* Dovecot's folder, and what is kept of the mailbox itself. */
static void
move_own(struct mbox_renaming *r)
{
	const struct mbox_place *p = r->s->impl;
	char from[PATH_MAX], to[PATH_MAX], dir[PATH_MAX];
	struct err ignored;

	if (mbox_imap_of(r->old, from) &&
	    faccessat(p->rootfd, from, F_OK, 0) == 0 &&
	    mbox_imap_of(r->fresh, to)) {
		(void)snprintf(
		    dir, sizeof(dir), "%.*s", (int)(strrchr(to, '/') - to), to);
		(void)file_make_dir(p->rootfd, dir, &p->perm, &ignored);
		/* What lies there is of one that was removed by hand. */
		if (file_rename_new(p->rootfd, from, p->rootfd, to, &ignored) ==
			-1 &&
		    (file_remove_tree(p->rootfd, to, &ignored) == -1 ||
			renameat(p->rootfd, from, p->rootfd, to) == -1))
			(void)file_remove_tree(p->rootfd, from, &ignored);
	}
	if (full_paths(r, from, to) &&
	    (!mbox_keep_rename_one(r->s, from, to) ||
		!meta_file_moved_one(r->s, from, to)))
		r->is_stuck = true;
}

static struct dirent *
next_file(struct mbox_renaming *r)
{
	struct dirent *d;

	errno = 0;
	d = readdir(r->all);
	if (d == NULL && errno != 0)
		r->is_stuck = true;
	return d;
}

/* What belongs to those below it. */
static enum step
move_rest(struct mbox_renaming *r)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	char from[PATH_MAX], to[PATH_MAX], own[MBOX_KEY_BYTES];
	struct dirent *d;

	if ((r->kind == MBOX_A_FILE && !r->has_below) ||
	    !full_paths(r, from, to))
		return STEP_DONE;
	if (r->all == NULL) {
		int fd = mbox_state_dir(r->s, FOLDER, false);

		r->all = fd == -1 ? NULL : fdopendir(fd);
		if (r->all == NULL && fd != -1)
			close(fd);
		/* The record is in it, so it is there. */
		if (r->all == NULL) {
			r->is_stuck = true;
			return STEP_DONE;
		}
	}
	mbox_key(from, own);
	for (unsigned n = 1; (d = next_file(r)) != NULL; n++) {
		/* move_own() has moved it; what is there now is another's. */
		if (strncmp(d->d_name, own, MBOX_KEY_BYTES - 1) == 0)
			continue;
		if (!mbox_keep_rename_file(r->s, d->d_name, from, to) ||
		    !meta_file_moved_file(r->s, d->d_name, from, to))
			r->is_stuck = true;
		if (n % FILES_PER_LOOK == 0 && clock_mono_ms() >= until)
			return STEP_MORE;
	}
	return STEP_DONE;
}

static void
free_renaming(struct mbox_renaming *r)
{
	end_record(r, false);
	if (r->all != NULL)
		closedir(r->all);
	if (r->locked != NULL)
		mbox_forget(&r->locked);
	free(r);
}

/* ---- after a kill ---------------------------------------------------------- */

/* Was it renamed, as the record says? */
static bool
has_moved(const struct mbox_renaming *r, uint64_t ino)
{
	struct stat st;

	return fstatat(rootfd_of(r->s), r->fresh, &st, AT_SYMLINK_NOFOLLOW) ==
	    0 &&
	    st.st_ino == ino;
}

/*
 * What has the old name by now is another one, and so is what is kept under
 * that name.
 */
static void
complete(struct mbox_renaming *r)
{
	char old_below[PATH_MAX + 8], fresh_below[PATH_MAX + 8];
	struct store *s = r->s;
	bool is_free = mbox_kind_of(s, r->old) == MBOX_NOTHING;
	struct err e;

	below_of(r->old, old_below);
	below_of(r->fresh, fresh_below);
	r->kind = mbox_kind_of(s, r->fresh);
	if (r->kind == MBOX_A_FILE &&
	    mbox_kind_of(s, old_below) == MBOX_A_DIR && is_free &&
	    file_rename_new(
		rootfd_of(s), old_below, rootfd_of(s), fresh_below, &e) == -1)
		store_warn(s, "%s: %s", old_below, e.text);
	r->has_below = mbox_kind_of(s, fresh_below) == MBOX_A_DIR;
	if (is_free)
		move_own(r);
	if (is_free ||
	    (r->kind == MBOX_A_FILE &&
		mbox_kind_of(s, old_below) == MBOX_NOTHING))
		while (move_rest(r) == STEP_MORE)
			;
	/* Another one may begin. */
	if (r->all != NULL)
		closedir(r->all);
	r->all = NULL;
}

/* What stands in the record that is open, and locked. */
static void
mend(struct mbox_renaming *r)
{
	struct str from, to;
	struct err e;
	struct buf b;
	uint64_t ino;

	buf_init(&b, RECORD_BYTES_MAX);
	if (file_read_rest(r->record, 0, &b, &e) == 0 &&
	    mbox_rename_parse(buf_str(&b), &ino, &from, &to) &&
	    str_to_c(from, r->old, PATH_MAX) &&
	    str_to_c(to, r->fresh, PATH_MAX) && has_moved(r, ino)) {
		store_warn(r->s, "finishing an interrupted rename of %s to %s",
		    r->old, r->fresh);
		complete(r);
	}
	buf_done(&b);
}

bool
mbox_rename_try_mend(struct store *s, struct err *e)
{
	struct mbox_renaming *r;
	char path[PATH_MAX];
	int fd;

	if (rootfd_of(s) == -1 || !record_path(s, path) ||
	    access(path, F_OK) == -1)
		return true;
	fd = open_record(s, false, e);
	/* One that is not to be had is no reason not to go on. */
	if (fd == -1)
		return e->code != ERR_IN_USE;
	r = mem_new(1, sizeof(*r));
	r->s = s;
	r->record = fd;
	mend(r);
	end_record(r, true);
	free_renaming(r);
	return true;
}

bool
mbox_rename_is_left(const struct store *s)
{
	char path[PATH_MAX];

	return record_path(s, path) && access(path, F_OK) == 0;
}

enum step
mbox_rename_mend(struct store *s, struct err *e)
{
	struct mbox_place *p = s->impl;

	/* Who waited last may have gone meanwhile. */
	if (clock_mono_ms() > p->rename_wait.until_ms + 1000)
		p->rename_wait = (struct lock_wait){0};
	if (!mbox_rename_try_mend(s, e))
		return store_lock_wait(s, &p->rename_wait, WAIT_MS, e);
	p->rename_wait = (struct lock_wait){0};
	return STEP_DONE;
}

/* ---- RENAME ---------------------------------------------------------------- */

static int
check_names(struct store *s, struct str from, struct str to,
    struct mbox_renaming *r, struct err *e)
{
	char old_below[PATH_MAX + 8], fresh_below[PATH_MAX + 8];
	enum mbox_kind target;

	if (mbox_path_below(s, from, false, r->old, &r->kind, e) == -1)
		return -1;
	if (r->kind == MBOX_NOTHING)
		return err_set(e, ERR_NOT_FOUND, "no such mailbox");
	if (mbox_path_below(s, to, true, r->fresh, &target, e) == -1)
		return -1;
	if (target != MBOX_NOTHING)
		return err_set(e, ERR_EXISTS, "mailbox exists");
	below_of(r->old, old_below);
	below_of(r->fresh, fresh_below);
	r->has_below =
	    r->kind == MBOX_A_FILE && mbox_kind_of(s, old_below) == MBOX_A_DIR;
	if (r->has_below && mbox_kind_of(s, fresh_below) != MBOX_NOTHING)
		return err_set(e, ERR_EXISTS, "mailbox exists");
	return mbox_drop_rights(s, r->fresh, e);
}

/* Whoever writes to the file, or locks it by its name, is waited for. */
static enum step
lock_file(struct mbox_renaming *r, struct str name, struct err *e)
{
	enum step step;

	if (r->kind != MBOX_A_FILE)
		return STEP_DONE;
	if (r->locked == NULL && mbox_only(r->s, name, &r->locked, e) == -1)
		return STEP_FAIL;
	step = mbox_lock(r->locked, r, MBOX_WRITE, &r->wait,
	    mbox_lock_ms(r->locked, MBOX_WRITE), e);
	/* Where nobody can write there is nothing to lock. */
	return step == STEP_FAIL &&
		(e->code == ERR_READ_ONLY || e->code == ERR_PERM)
	    ? STEP_DONE
	    : step;
}

static int
move_files(const struct mbox_renaming *r, struct err *e)
{
	char old_below[PATH_MAX + 8], fresh_below[PATH_MAX + 8];
	int fd = rootfd_of(r->s);
	struct err ignored;

	if (file_rename_new(fd, r->old, fd, r->fresh, e) == -1)
		return -1;
	below_of(r->old, old_below);
	below_of(r->fresh, fresh_below);
	if (!r->has_below ||
	    file_rename_new(fd, old_below, fd, fresh_below, e) == 0)
		return 0;
	(void)file_rename_new(fd, r->fresh, fd, r->old, &ignored);
	return -1;
}

/* All that must not be seen half done. */
static enum step
move(struct mbox_renaming *r, struct str from, struct str to, bool *is_moved,
    struct err *e)
{
	char old_below[PATH_MAX + 8], fresh_below[PATH_MAX + 8];
	struct store *s = r->s;

	if (r->record == -1)
		r->record = open_record(s, true, e);
	if (r->record == -1 && e->code == ERR_IN_USE)
		return store_lock_wait(s, &r->wait, WAIT_MS, e);
	if (r->record == -1)
		return STEP_FAIL;
	/* One that was killed; then what somebody did while we waited. */
	mend(r);
	if (r->is_stuck) {
		(void)err_set(
		    e, ERR_IN_USE, "an earlier rename can not be finished now");
		return STEP_FAIL;
	}
	if (ftruncate(r->record, 0) == -1 ||
	    lseek(r->record, 0, SEEK_SET) == -1) {
		(void)err_sys(e, RECORD);
		return STEP_FAIL;
	}
	if (check_names(s, from, to, r, e) == -1 || write_record(r, e) == -1 ||
	    move_files(r, e) == -1) {
		end_record(r, true);
		return STEP_FAIL;
	}
	*is_moved = true;
	follow(s, r->old, r->fresh);
	below_of(r->old, old_below);
	below_of(r->fresh, fresh_below);
	if (r->has_below)
		follow(s, old_below, fresh_below);
	move_own(r);
	if (r->locked != NULL)
		mbox_forget(&r->locked);
	return mbox_sync_folder(s, r->old, e) == -1 ||
		mbox_sync_folder(s, r->fresh, e) == -1
	    ? STEP_FAIL
	    : STEP_DONE;
}

enum step
mbox_rename(struct store *s, struct str from, struct str to,
    struct rename_run *run, struct err *e)
{
	struct mbox_renaming *r = run->at;
	enum step step = STEP_DONE;

	if (r == NULL) {
		r = run->at = mem_new(1, sizeof(*r));
		r->s = s;
		r->record = -1;
		step = check_names(s, from, to, r, e) == -1 ? STEP_FAIL
							    : STEP_DONE;
	}
	while (step == STEP_DONE) {
		switch (r->phase) {
		case RENAME_LOCK:
			step = lock_file(r, from, e);
			break;
		case RENAME_MOVE:
			step = move(r, from, to, &run->is_moved, e);
			break;
		case RENAME_REST:
			step = move_rest(r);
			if (step == STEP_DONE)
				end_record(r, true);
			return step;
		}
		if (step == STEP_DONE) {
			r->phase++;
			r->wait = (struct lock_wait){0};
		}
	}
	return step;
}

void
mbox_rename_end(struct rename_run *run)
{
	struct mbox_renaming *r = run->at;

	run->at = NULL;
	if (r == NULL)
		return;
	if (run->is_moved && r->record != -1) {
		while (move_rest(r) == STEP_MORE)
			;
		end_record(r, true);
	}
	free_renaming(r);
}
