/* SPDX-License-Identifier: ISC */
/*
 * maildir_quota.c - counts all messages of a Maildir, in steps.
 *
 * Owns:    struct counting.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  sizes in names, as every program does that keeps this sum.
 * Spec:    formats.md 1.12; Courier's maildirquota(7).
 *
 * FOLDERS (a list of all) --> FILES (of new and cur of each) --> done
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/maildir/maildir_impl.h"
#include "store/maildir/maildirsize.h"

/* Looking at the clock after each file would cost more than the files. */
#define FILES_PER_LOOK 64

struct seen_dir {
	char *path;
	struct file_stamp stamp; /* before it was read */
};

struct counting {
	struct arena arena;
	void *list; /* of maildir_list */
	struct mbox_entry *next;
	bool is_listed;
	char folder[PATH_MAX];
	unsigned dir_of_folder; /* 0: none, 1: new is next, 2: cur is next */
	DIR *dir;
	VEC(struct seen_dir) seen;
	int64_t bytes, count;
};

static const struct maildir_place *
place_of(const struct store *s)
{
	return s->impl;
}

/* What others may write to the trash is no matter of the limits. */
bool
maildir_is_counted(struct str name)
{
	return !str_eq(name, STR("Trash"));
}

static enum step
list_folders(struct store *s, struct counting *c, struct err *e)
{
	enum step step = maildir_list(s, &c->arena, &c->list, &c->next, e);

	c->is_listed = step == STEP_DONE;
	return step;
}

/*
 * Is this a folder without mail that counts? What can not be read just now has
 * some: the sum that others rely on must not be written without it.
 */
static bool
is_without_mail(const struct err *e)
{
	return e->code == ERR_NOT_FOUND || e->code == ERR_PERM ||
	    (e->code == ERR_SYS && (e->sys == ENOTDIR || e->sys == ELOOP));
}

/* Opens the next directory to count in; STEP_DONE: there is none. */
static enum step
next_dir(struct store *s, struct counting *c, struct err *e)
{
	static const char *const names[] = {NULL, "new", "cur"};
	struct seen_dir *seen;
	struct stat st;
	struct err ignored;
	char path[PATH_MAX + 8];
	int fd;

	for (;;) {
		while (c->dir_of_folder == 0) {
			const struct mbox_entry *f = c->next;

			if (f == NULL)
				return STEP_DONE;
			c->next = f->next;
			if ((f->attrs & MBOX_NOSELECT) == 0 &&
			    maildir_is_counted(f->name) &&
			    maildir_path(s, f->name, c->folder, &ignored) == 0)
				c->dir_of_folder = 1;
		}
		(void)snprintf(path, sizeof(path), "%s/%s", c->folder,
		    names[c->dir_of_folder]);
		c->dir_of_folder = (c->dir_of_folder + 1) % 3;
		fd = file_open_dir(place_of(s)->rootfd, path, true, e);
		if (fd == -1 && is_without_mail(e))
			continue;
		if (fd == -1)
			return STEP_FAIL;
		c->dir = fstat(fd, &st) == 0 ? fdopendir(fd) : NULL;
		if (c->dir == NULL) {
			(void)err_sys(e, "read %s", path);
			close(fd);
			return STEP_FAIL;
		}
		seen = VEC_ADD(&c->seen);
		seen->path = mem_strdup(path);
		seen->stamp = file_stamp_of(&st);
		return STEP_MORE;
	}
}

static void
count_file(struct counting *c, const char *name)
{
	struct str base = str_of(name);
	uint64_t size;
	struct stat st;

	if (name[0] == '.')
		return;
	base = str_head(base, str_find(base, ':'));
	if (!maildir_name_size(base, 'S', &size)) {
		if (fstatat(dirfd(c->dir), name, &st, AT_SYMLINK_NOFOLLOW) ==
			-1 ||
		    !S_ISREG(st.st_mode))
			return;
		size = (uint64_t)st.st_size;
	}
	if (size > INT64_MAX / 2 ||
	    __builtin_add_overflow(c->bytes, (int64_t)size, &c->bytes))
		return;
	c->count++;
}

static enum step
count_files(
    struct store *s, struct counting *c, int64_t until_ms, struct err *e)
{
	enum step step = STEP_MORE;
	const struct dirent *d;
	unsigned n = 0;

	for (;;) {
		if (c->dir == NULL)
			step = next_dir(s, c, e);
		if (step != STEP_MORE)
			return step;
		errno = 0;
		d = readdir(c->dir);
		if (d == NULL && errno != 0)
			return err_sys(e, "read a folder"), STEP_FAIL;
		if (d != NULL) {
			count_file(c, d->d_name);
		} else {
			closedir(c->dir);
			c->dir = NULL;
		}
		if (++n % FILES_PER_LOOK == 0 && clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
}

static enum step
count(struct store *s, void **at, int64_t *bytes, int64_t *n, struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	struct counting *c = *at;
	enum step step;

	if (c == NULL) {
		c = *at = mem_new(1, sizeof(*c));
		arena_init(&c->arena);
	}
	if (!c->is_listed) {
		step = list_folders(s, c, e);
		return step == STEP_FAIL ? STEP_FAIL : STEP_MORE;
	}
	step = count_files(s, c, until, e);
	if (step == STEP_DONE) {
		*bytes = c->bytes;
		*n = c->count;
	}
	return step;
}

/* Has nothing come or gone since a directory was read? */
static bool
is_unchanged(struct store *s, void *at)
{
	const struct counting *c = at;
	struct file_stamp now;

	VEC_EACH(&c->seen, d)
		if (!file_stamp_at(place_of(s)->rootfd, d->path, &now) ||
		    file_time_cmp(&now.mtime, &d->stamp.mtime) != 0)
			return false;
	return true;
}

static void
end(void **at)
{
	struct counting *c = *at;

	*at = NULL;
	if (c == NULL)
		return;
	maildir_list_end(&c->list);
	if (c->dir != NULL)
		closedir(c->dir);
	VEC_EACH(&c->seen, d)
		free(d->path);
	VEC_DONE(&c->seen);
	arena_done(&c->arena);
	free(c);
}

static int
load(struct store *s, struct maildirsize *out, struct err *e)
{
	return maildirsize_load(place_of(s)->rootfd, out, e);
}

static int
save(struct store *s, const struct quota_limits *limits, int64_t bytes,
    int64_t n, bool may_go, void *at, struct err *e)
{
	int rootfd = place_of(s)->rootfd;
	char temp[64];

	(void)snprintf(
	    temp, sizeof(temp), "maildirsize.%ld.tmp", (long)getpid());
	if (maildirsize_save(
		rootfd, temp, limits, bytes, n, &place_of(s)->perm, e) == -1)
		return -1;
	/* What came meanwhile stood in the old file, or in none. */
	if (!is_unchanged(s, at))
		maildirsize_doubt(rootfd, may_go);
	return 0;
}

const struct quota_ops maildir_quota = {
    .load = load,
    .count = count,
    .end = end,
    .save = save,
};
