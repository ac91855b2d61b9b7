/* SPDX-License-Identifier: ISC */
/*
 * maildir_list.c - folders: list, create, remove, rename.
 *
 * Owns:    the folders' directories; "..DOVECOT-TRASHED" while it is emptied.
 * Runs in: imapd, as the mail user.
 * Trusts:  no name on disk; what can not be a mailbox name is not listed.
 * Spec:    formats.md 1.10, 1.11; RFC 3501 sections 6.3.3 to 6.3.5.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/maildir/maildir_impl.h"
#include "store/maildir/maildir_quiet.h"
#include "store/mboxlist.h"

#define TRASH "..DOVECOT-TRASHED"
#define TRASH_OLD_S 3600
#define DEPTH_MAX 32

static const struct maildir_place *
place_of(const struct store *s)
{
	return s->impl;
}

static bool
is_dir(int dirfd, const char *name, struct stat *st)
{
	return fstatat(dirfd, name, st, 0) == 0 && S_ISDIR(st->st_mode);
}

/* ---- list ---------------------------------------------------------------- */

/*
 * MBOX_MARKED when something lies in new/: no session that would have moved it
 * has looked since. A read of the folder's first entries.
 */
static unsigned
look_for_mark(int dirfd, const char *folder)
{
	char path[PATH_MAX + 8], bytes[512];
	int fd;
	ssize_t n;
	unsigned mark = MBOX_UNMARKED;

	(void)snprintf(path, sizeof(path), "%s/new", folder);
	fd = openat(
	    dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return 0;
	while (mark == MBOX_UNMARKED &&
	    (n = getdents64(fd, bytes, sizeof(bytes))) > 0) {
		for (char *p = bytes; p < bytes + n;) {
			const struct dirent64 *d =
			    (const struct dirent64 *)(void *)p;

			p += d->d_reclen;
			if (d->d_name[0] != '.')
				mark = MBOX_MARKED;
		}
	}
	close(fd);
	return mark;
}

static unsigned
mark_of(struct store *s, const char *folder)
{
	struct quiet_folder *quiet = quiet_of(s, folder);
	unsigned mark = quiet != NULL ? quiet_mark(quiet) : 0;

	if (mark != 0)
		return mark;
	mark = look_for_mark(place_of(s)->rootfd, folder);
	if (quiet != NULL)
		quiet_found_mark(quiet, mark);
	return mark;
}

/* One directory of Maildir++, or one path of the fs layout. */
static void
list_dir(struct store *s, struct arena *a, struct mbox_entry **first,
    struct str path, unsigned attrs)
{
	struct buf name;

	if (!(attrs & MBOX_NOSELECT) && !s->lists_bare)
		attrs |= mark_of(s, path.p);
	buf_init(&name, 4 * PATH_MAX);
	if (maildir_name_of_dir(s, path, &name)) {
		/* Both spellings of one name: the UTF-8 one gets a mark. */
		bool is_raw = false;

		for (size_t i = 0; i < path.n; i++)
			is_raw = is_raw || (unsigned char)path.p[i] >= 0x80;
		if (is_raw && !s->is_utf8) {
			char other[PATH_MAX];
			struct err e;

			if (maildir_path(s, buf_str(&name), other, &e) == 0 &&
			    !str_eq(str_of(other), path))
				(void)buf_add_c(&name, "?utf8");
		}
		if (!str_eq_nocase(buf_str(&name), STR("INBOX")))
			mboxlist_add(a, first, buf_str(&name), attrs);
	}
	buf_done(&name);
}

static void
remove_old_trash(int rootfd, const struct stat *st, int64_t until_ms)
{
	struct err e;

	if (st->st_ctim.tv_sec < clock_wall_s() - TRASH_OLD_S)
		(void)file_remove_some(rootfd, TRASH, until_ms, &e);
}

/* A directory that is being read, and where it is below the root. */
struct level {
	DIR *dir;
	char *prefix;
};

struct listing {
	VEC(struct level) levels; /* from the root down; Maildir++ has one */
};

static int
push_level(struct listing *l, int dirfd, const char *name, bool nofollow,
    const char *prefix, struct err *e)
{
	int fd = file_open_dir(dirfd, name, nofollow, e);
	DIR *dir;

	if (fd == -1)
		return -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return err_sys(e, "read folder");
	}
	*VEC_ADD(&l->levels) = (struct level){dir, mem_strdup(prefix)};
	return 0;
}

static void
pop_level(struct listing *l)
{
	struct level *top = &l->levels.v[--l->levels.n];

	closedir(top->dir);
	free(top->prefix);
}

void
maildir_list_end(void **at)
{
	struct listing *l = *at;

	*at = NULL;
	if (l == NULL)
		return;
	while (l->levels.n > 0)
		pop_level(l);
	VEC_DONE(&l->levels);
	free(l);
}

static void
list_plus_plus(struct store *s, struct arena *a, struct mbox_entry **first,
    const struct dirent *d, int64_t until_ms)
{
	int rootfd = place_of(s)->rootfd;
	struct stat st;

	if (d->d_name[0] != '.' || strcmp(d->d_name, ".") == 0 ||
	    strcmp(d->d_name, "..") == 0)
		return;
	if (strcmp(d->d_name, TRASH) == 0 && is_dir(rootfd, TRASH, &st))
		remove_old_trash(rootfd, &st, until_ms);
	else if (d->d_type == DT_DIR || is_dir(rootfd, d->d_name, &st))
		list_dir(s, a, first, str_of(d->d_name), 0);
}

static void
list_fs(struct store *s, struct listing *l, struct arena *a,
    struct mbox_entry **first, const struct dirent *d)
{
	const struct level *top = &l->levels.v[l->levels.n - 1];
	int fd = dirfd(top->dir);
	char path[PATH_MAX];
	struct stat st;
	struct err e;

	if (d->d_name[0] == '.' || strcmp(d->d_name, "cur") == 0 ||
	    strcmp(d->d_name, "new") == 0 || strcmp(d->d_name, "tmp") == 0 ||
	    !is_dir(fd, d->d_name, &st) || l->levels.n > DEPTH_MAX ||
	    snprintf(path, sizeof(path), "%s%s%s", top->prefix,
		*top->prefix == '\0' ? "" : "/",
		d->d_name) >= (int)sizeof(path) ||
	    push_level(l, fd, d->d_name, true, path, &e) == -1)
		return;
	top = &l->levels.v[l->levels.n - 1];
	list_dir(s, a, first, str_of(path),
	    faccessat(dirfd(top->dir), "cur", F_OK, 0) == 0 ? 0
							    : MBOX_NOSELECT);
}

enum step
maildir_list(struct store *s, struct arena *a, void **at,
    struct mbox_entry **first, struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	struct listing *l = *at;
	const struct dirent *d;

	if (l == NULL) {
		char inbox[PATH_MAX];

		*first = NULL;
		mboxlist_add(a, first, STR("INBOX"),
		    maildir_path(s, STR("INBOX"), inbox, e) == 0
			? mark_of(s, inbox)
			: 0);
		l = *at = mem_new(1, sizeof(*l));
		if (push_level(l, place_of(s)->rootfd, ".", false, "", e) == -1)
			return STEP_FAIL;
	}
	while (l->levels.n > 0) {
		d = readdir(l->levels.v[l->levels.n - 1].dir);
		if (d == NULL)
			pop_level(l);
		else if (s->is_fs_layout)
			list_fs(s, l, a, first, d);
		else
			list_plus_plus(s, a, first, d, until);
		if (clock_mono_ms() >= until && l->levels.n > 0)
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* ---- create -------------------------------------------------------------- */

/* Makes the directory and, in the fs layout, the levels above it. */
static int
make_dirs(struct store *s, char path[PATH_MAX], struct err *e)
{
	const struct maildir_place *p = place_of(s);

	for (char *c = path; s->is_fs_layout && *c != '\0'; c++) {
		int rc;

		if (*c != '/')
			continue;
		*c = '\0';
		rc = file_make_dir(p->rootfd, path, &p->perm, e);
		*c = '/';
		if (rc == -1 && e->code != ERR_EXISTS)
			return -1;
	}
	return file_make_dir(p->rootfd, path, &p->perm, e);
}

static int
fill_folder(struct store *s, const char *path, struct err *e)
{
	const struct maildir_place *p = place_of(s);
	int dirfd = file_open_dir(p->rootfd, path, true, e), fd, rc;

	if (dirfd == -1)
		return -1;
	rc = maildir_make_folder(dirfd, &p->perm, e);
	if (rc == 0 && !s->is_fs_layout) {
		fd = file_create(dirfd, "maildirfolder", &p->perm, e);
		if (fd != -1)
			close(fd);
		else if (e->code != ERR_EXISTS)
			rc = -1;
	}
	if (rc == 0)
		rc = file_sync(dirfd, path, e);
	close(dirfd);
	return rc == 0 ? file_sync(p->rootfd, "root folder", e) : -1;
}

int
maildir_create(struct store *s, struct str name, struct err *e)
{
	char path[PATH_MAX];
	struct mailbox *m = NULL;
	enum step step;

	if (maildir_path(s, name, path, e) == 0) {
		struct stat st;
		char cur[PATH_MAX + 8];

		(void)snprintf(cur, sizeof(cur), "%s/cur", path);
		if (!s->is_fs_layout || is_dir(place_of(s)->rootfd, cur, &st))
			return err_set(e, ERR_EXISTS, "mailbox exists");
	} else if (e->code != ERR_NOT_FOUND) {
		return -1;
	} else if (maildir_new_path(s, name, path, e) == -1 ||
	    make_dirs(s, path, e) == -1) {
		return -1;
	}
	if (fill_folder(s, path, e) == -1)
		return -1;
	/* Opening it gives it its UIDVALIDITY; where somebody is quicker and
	 * has the lock of the new folder already, he does that. */
	do
		step = mailbox_acquire(s, name, &m, e);
	while (step == STEP_MORE && !store_must_wait(s));
	if (step == STEP_FAIL)
		return -1;
	mailbox_release(&m);
	return 0;
}

/* ---- remove -------------------------------------------------------------- */

/* Is there a mailbox below this one? Only in the fs layout in its folder. */
static bool
has_subfolder(int dirfd)
{
	struct err e;
	struct dirent *d;
	struct stat st;
	DIR *dir;
	bool found = false;
	int fd = file_open_dir(dirfd, ".", false, &e);

	dir = fd == -1 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return false;
	}
	while (!found && (d = readdir(dir)) != NULL)
		found = d->d_name[0] != '.' && strcmp(d->d_name, "cur") != 0 &&
		    strcmp(d->d_name, "new") != 0 &&
		    strcmp(d->d_name, "tmp") != 0 && is_dir(fd, d->d_name, &st);
	closedir(dir);
	return found;
}

/* Moves everything but subfolders into the trash. */
static int
hollow_out(struct store *s, const char *path, struct err *e)
{
	const struct maildir_place *p = place_of(s);
	int dirfd, trashfd = -1, fd, rc = -1;
	struct dirent *d;
	struct stat st;
	DIR *dir = NULL;

	dirfd = file_open_dir(p->rootfd, path, true, e);
	if (dirfd == -1)
		return -1;
	if (file_make_dir(p->rootfd, TRASH, &p->perm, e) == -1)
		goto out;
	trashfd = file_open_dir(p->rootfd, TRASH, false, e);
	if (trashfd == -1)
		goto out;
	/* cur first: without it the folder is no mailbox any more. */
	if (renameat(dirfd, "cur", trashfd, "cur") == -1) {
		(void)err_sys(e, "remove cur");
		goto out;
	}
	fd = file_open_dir(dirfd, ".", false, e);
	dir = fd == -1 ? NULL : fdopendir(fd);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		bool is_ours = strcmp(d->d_name, "new") == 0 ||
		    strcmp(d->d_name, "tmp") == 0;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (is_ours || !is_dir(fd, d->d_name, &st))
			(void)renameat(dirfd, d->d_name, trashfd, d->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	rc = file_sync(dirfd, path, e);
out:
	if (trashfd != -1)
		close(trashfd);
	close(dirfd);
	return rc;
}

static int
remove_whole(struct store *s, const char *path, struct err *e)
{
	const struct maildir_place *p = place_of(s);

	if (renameat(p->rootfd, path, p->rootfd, TRASH) == -1)
		return err_sys(e, "remove folder");
	if (file_sync(p->rootfd, "root folder", e) == -1)
		return -1;
	if (p->controlfd != p->rootfd)
		(void)file_remove_tree(p->controlfd, path, e);
	return 0;
}

static int
move_away(struct store *s, struct str name, struct err *e)
{
	char path[PATH_MAX];
	bool has_children, is_mailbox;
	int dirfd;

	if (str_eq(name, STR("INBOX")))
		return err_set(e, ERR_PERM, "INBOX can not be removed");
	if (maildir_path(s, name, path, e) == -1)
		return -1;
	dirfd = file_open_dir(place_of(s)->rootfd, path, true, e);
	if (dirfd == -1)
		return -1;
	is_mailbox = faccessat(dirfd, "cur", F_OK, 0) == 0;
	has_children = s->is_fs_layout && has_subfolder(dirfd);
	close(dirfd);
	if (!has_children)
		return remove_whole(s, path, e);
	if (!is_mailbox)
		return err_set(e, ERR_HAS_CHILDREN, "has mailboxes below it");
	return hollow_out(s, path, e);
}

enum step
maildir_remove(struct store *s, struct str name, unsigned *phase, struct err *e)
{
	enum { OLD_TRASH, MOVE, TRASH_NOW = REMOVE_GONE };
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	int rootfd = place_of(s)->rootfd;
	enum step step;

	if (*phase == OLD_TRASH) {
		step = file_remove_some(rootfd, TRASH, until, e);
		if (step != STEP_DONE)
			return step;
		*phase = MOVE;
	}
	if (*phase == MOVE) {
		if (move_away(s, name, e) == -1) {
			if (e->code != ERR_EXISTS && e->sys != ENOTEMPTY)
				return STEP_FAIL;
			*phase = OLD_TRASH; /* another session's */
			return STEP_MORE;
		}
		*phase = TRASH_NOW;
	}
	/* What does not go now goes with a later LIST or DELETE. */
	step = file_remove_some(rootfd, TRASH, until, e);
	return step == STEP_FAIL ? STEP_DONE : step;
}

/* ---- rename -------------------------------------------------------------- */

struct move {
	struct str from, to; /* directory names or paths, in the arena */
	bool done;
};

struct moves {
	VEC(struct move) v;
};

/* Collects the directory of `name` and, in Maildir++, those below it. */
static int
plan(struct store *s, struct arena *a, struct str from, struct str to,
    struct moves *out, struct err *e)
{
	struct mbox_entry *all, *it;
	char path[PATH_MAX];
	void *at = NULL;
	enum step step;

	/* Also when only a level is renamed, whose mailboxes would fit in. */
	if (maildir_path(s, to, path, e) == 0)
		return err_set(e, ERR_EXISTS, "mailbox exists");
	do
		step = maildir_list(s, a, &at, &all, e);
	while (step == STEP_MORE);
	maildir_list_end(&at);
	if (step == STEP_FAIL)
		return -1;
	for (it = all; it != NULL; it = it->next) {
		bool is_it = str_eq(it->name, from);
		bool is_below = !s->is_fs_layout && it->name.n > from.n &&
		    str_starts(it->name, from) &&
		    it->name.p[from.n] == s->delimiter;
		struct str target;
		struct move *mv;

		if (!is_it && !is_below)
			continue;
		target = arena_printf(a, "%.*s%.*s", STR_ARG(to),
		    STR_ARG(str_skip(it->name, from.n)));
		if (maildir_path(s, target, path, e) == 0)
			return err_set(e, ERR_EXISTS, "mailbox exists");
		if (e->code != ERR_NOT_FOUND ||
		    maildir_new_path(s, target, path, e) == -1)
			return -1;
		mv = VEC_ADD(&out->v);
		mv->to = arena_str(a, str_of(path));
		if (maildir_path(s, it->name, path, e) == -1)
			return -1;
		mv->from = arena_str(a, str_of(path));
	}
	if (out->v.n == 0)
		return err_set(e, ERR_NOT_FOUND, "no such mailbox");
	return 0;
}

static int
move_all(struct store *s, struct moves *moves, struct err *e)
{
	const struct maildir_place *p = place_of(s);

	VEC_EACH(&moves->v, mv) {
		if (file_rename_free(
			p->rootfd, mv->from.p, p->rootfd, mv->to.p, e) == -1)
			goto back;
		mv->done = true;
		if (p->controlfd != p->rootfd)
			(void)renameat(
			    p->controlfd, mv->from.p, p->controlfd, mv->to.p);
	}
	return file_sync(p->rootfd, "root folder", e);
back:
	VEC_EACH(&moves->v, mv) {
		if (!mv->done)
			continue;
		(void)renameat(p->rootfd, mv->to.p, p->rootfd, mv->from.p);
		if (p->controlfd != p->rootfd)
			(void)renameat(
			    p->controlfd, mv->to.p, p->controlfd, mv->from.p);
	}
	return -1;
}

/* Makes the levels above a path of the fs layout. */
static int
make_parents(struct store *s, struct str path, struct err *e)
{
	char parent[PATH_MAX];
	size_t n = str_rfind(path, '/');

	if (!s->is_fs_layout || n == path.n ||
	    !str_to_c(str_head(path, n), parent, sizeof(parent)))
		return 0;
	return make_dirs(s, parent, e) == -1 && e->code != ERR_EXISTS ? -1 : 0;
}

int
maildir_rename(struct store *s, struct str from, struct str to, struct err *e)
{
	struct moves moves = {0};
	struct arena a;
	int rc = -1;

	arena_init(&a);
	if (plan(s, &a, from, to, &moves, e) == 0 &&
	    make_parents(s, moves.v.v[0].to, e) == 0)
		rc = move_all(s, &moves, e);
	VEC_DONE(&moves.v);
	arena_done(&a);
	return rc;
}
