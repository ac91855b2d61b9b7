/* SPDX-License-Identifier: ISC */
/*
 * share_posix.c - rights on a mailbox as access lists of its files.
 *
 * Owns:    struct share_files.
 * Runs in: imapd, restantectl, as the owner of the files.
 * Trusts:  the folders above the mail as far as they are the owner's; nothing
 *          is followed below.
 * Spec:    acl(5).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/posix_acl.h"
#include "store/share.h"

/* Permissions by level; -1: none at all. */
struct perms {
	int access[4],
	    later[4]; /* `later`: the default for what is made there */
	bool has_later;
};

#define NO -1
static const struct perms of_folder = {{NO, 5, 5, 7}, {NO, NO, 5, 7}, true};
static const struct perms of_messages = {{NO, NO, 5, 7}, {NO, NO, 5, 7}, true};
static const struct perms of_tmp = {{NO, NO, NO, 7}, {NO, NO, 5, 7}, true};
static const struct perms of_message = {{NO, NO, 4, 4}, {0}, false};
static const struct perms of_mbox = {{NO, NO, 4, 6}, {0}, false};
static const struct perms of_side_file = {{NO, NO, 4, 6}, {0}, false};
static const struct perms of_acl_file = {{NO, 4, 4, 4}, {0}, false};
/* A Maildir's root, which is INBOX's folder, too. */
static const struct perms of_list = {{NO, 5, 5, 5}, {0}, false};
static const struct perms of_way = {{NO, 1, 1, 1}, {0}, false};

enum share_level
share_level_of(unsigned rights)
{
	if ((rights & ACL_READ) != 0 && (rights & ACL_TIED) == ACL_TIED)
		return SHARE_CHANGE;
	if ((rights & ACL_READ) != 0)
		return SHARE_READ;
	return (rights & ACL_LOOKUP) != 0 ? SHARE_LOOK : SHARE_NONE;
}

/* ---- one file -------------------------------------------------------------- */

/* A default list must let the owner at what others make in his folder. */
static void
begin_default(struct posix_acl *l, int fd)
{
	bool full = false, is_there;
	struct posix_acl now;
	struct stat st;
	struct err e;

	l->owner = 7;
	if (fstat(fd, &st) == 0)
		(void)posix_acl_set(l, POSIX_ACL_USER, st.st_uid, 7, &full);
	/* And what the folder lets group and others do, as before. */
	if (posix_acl_load(fd, false, POSIX_ACL_ACCESS, &now, &is_there, &e) ==
	    -1)
		return;
	l->group = now.has_mask ? now.group & now.mask : now.group;
	l->other = now.other;
}

static int
set_list(int fd, bool is_path, enum posix_acl_type type, const int perms[4],
    const struct share_target *t, size_t n, struct err *e)
{
	bool is_there, changed = false, full = false;
	struct posix_acl l;

	if (posix_acl_load(fd, is_path, type, &l, &is_there, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int perm = perms[t[i].level];

		if (perm == NO && t[i].is_denied && perms[SHARE_READ] != NO)
			perm = 0;
		if (perm == NO && t[i].kind != POSIX_ACL_OTHER && !is_there)
			continue;
		if (type == POSIX_ACL_DEFAULT && !is_there && perm > 0) {
			begin_default(&l, fd);
			is_there = true;
		}
		if (posix_acl_set(&l, (enum posix_acl_kind)t[i].kind,
			t[i].number, perm, &full))
			changed = true;
	}
	if (full)
		return err_set(e, ERR_LIMIT, "too many people on one file");
	if (type == POSIX_ACL_DEFAULT && l.n <= 1 && l.other == 0)
		l = (struct posix_acl){0}; /* the owner alone */
	return !changed ? 0 : posix_acl_save(fd, is_path, type, &l, e);
}

/* Without lists in the file system nothing but others' modes can be set. */
static bool
only_others(const struct share_target *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].kind != POSIX_ACL_OTHER && t[i].level != SHARE_NONE)
			return false;
	return true;
}

static int
set_modes(int fd, const int perms[4], const struct share_target *t, size_t n,
    struct err *e)
{
	struct stat st;
	mode_t mode;

	if (fstat(fd, &st) == -1)
		return err_sys(e, "fstat");
	mode = st.st_mode & 07777;
	for (size_t i = 0; i < n; i++)
		if (t[i].kind == POSIX_ACL_OTHER)
			mode = (mode & ~(mode_t)7) |
			    (mode_t)(perms[t[i].level] < 0 ? 0
							   : perms[t[i].level]);
	if (mode != (st.st_mode & 07777) && fchmod(fd, mode) == -1)
		return err_sys(e, "fchmod");
	return 0;
}

static int
set_fd(int fd, const struct perms *p, const struct share_target *t, size_t n,
    struct err *e)
{
	struct stat st;

	/* What others have made here has the folder's default. */
	if (fstat(fd, &st) == 0 && st.st_uid != geteuid())
		return 0;
	if (set_list(fd, false, POSIX_ACL_ACCESS, p->access, t, n, e) == -1) {
		if (e->code != ERR_UNSUPPORTED || !only_others(t, n))
			return -1;
		return set_modes(fd, p->access, t, n, e);
	}
	if (!p->has_later)
		return 0;
	return set_list(fd, false, POSIX_ACL_DEFAULT, p->later, t, n, e);
}

static int
set_named(int at, const char *name, bool is_dir, const struct perms *p,
    const struct share_target *t, size_t n, struct err *e)
{
	int fd = openat(at, name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
		(is_dir ? O_DIRECTORY : 0));
	struct stat st;
	int rc = 0;

	if (fd == -1)
		return errno == ENOENT || errno == ELOOP
		    ? 0
		    : err_sys(e, "%s", name);
	if (is_dir || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		rc = set_fd(fd, p, t, n, e);
	close(fd);
	return rc;
}

bool
share_can_list(const struct rights_place *p)
{
	int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct posix_acl l;
	bool is_there, ok;
	struct err e;

	ok = fd != -1 &&
	    posix_acl_load(fd, false, POSIX_ACL_ACCESS, &l, &is_there, &e) == 0;
	fd_close(&fd);
	return ok;
}

/* ---- the folders above ----------------------------------------------------- */

static bool
is_at_or_below(struct str path, struct str root)
{
	return str_starts(path, root) &&
	    (path.n == root.n || path.p[root.n] == '/');
}

/* May a target pass a folder that is not ours? */
static bool
may_pass(int fd, const struct share_target *t)
{
	struct posix_acl l;
	bool is_there;
	struct err e;
	int perm;

	if (posix_acl_load(fd, true, POSIX_ACL_ACCESS, &l, &is_there, &e) ==
	    -1) {
		struct stat st;

		if (fstat(fd, &st) == -1)
			return true;
		posix_acl_of_mode(&l, st.st_mode);
	}
	perm = posix_acl_of(&l, (enum posix_acl_kind)t->kind, t->number);
	return ((perm >= 0 ? perm : l.other) & 1) != 0;
}

/*
 * What the root of the mail, or a folder above it, has closed to others or to its
 * group stays closed to them when somebody may pass it: each mailbox is, by itself.
 */
static int
shut_one(int at, const char *name, bool others, bool group, struct err *e)
{
	int fd =
	    openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct posix_acl l;
	struct stat st;
	bool is_there;
	int rc = 0;

	if (fd == -1 && errno == EACCES) /* somebody else's */
		return 0;
	if (fd == -1)
		return errno == ENOENT || errno == ELOOP || errno == ENXIO
		    ? 0
		    : err_sys(e, "%s", name);
	if (fstat(fd, &st) == -1 || st.st_uid != geteuid() ||
	    (st.st_mode & 077) == 0)
		goto out;
	rc = posix_acl_load(fd, false, POSIX_ACL_ACCESS, &l, &is_there, e);
	if (rc == -1)
		goto out;
	if ((!others || l.other == 0) && (!group || l.group == 0))
		goto out;
	l.other = others ? 0 : l.other;
	l.group = group ? 0 : l.group;
	rc = posix_acl_save(fd, false, POSIX_ACL_ACCESS, &l, e);
out:
	close(fd);
	return rc;
}

/* Nor is what is made there later open to all. */
static int
shut_later(int fd, const struct posix_acl *l, struct err *e)
{
	struct posix_acl later = {.owner = 7};
	bool is_there;

	if (posix_acl_load(fd, true, POSIX_ACL_DEFAULT, &later, &is_there, e) ==
	    -1)
		return -1;
	if (is_there)
		return 0;
	later = (struct posix_acl){
	    .owner = 7, .group = l->has_mask ? l->group & l->mask : l->group};
	return posix_acl_save(fd, true, POSIX_ACL_DEFAULT, &later, e);
}

/* Those who have no right below keep what they have: see share_close_way(). */
static int
open_one(int fd, const char *path, const struct perms *p,
    const struct share_target *t, char note[300], struct err *e)
{
	struct stat st;

	if (t->level == SHARE_NONE)
		return 0;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid()) {
		struct share_target wider = *t;
		struct posix_acl l;
		bool is_there;
		int has;

		/* Never less than there is. */
		if (posix_acl_load(
			fd, true, POSIX_ACL_ACCESS, &l, &is_there, e) == -1)
			return -1;
		has = posix_acl_of(&l, (enum posix_acl_kind)t->kind, t->number);
		if (has < 0)
			has = 0;
		if ((p->access[t->level] & ~has) == 0)
			return 0;
		if (t->kind != POSIX_ACL_OTHER && has == 0)
			has = l.other;
		if (p == &of_list && t->kind == POSIX_ACL_OTHER &&
		    (l.other & 1) == 0 && shut_later(fd, &l, e) == -1)
			return -1;
		if (p == &of_way && note[0] == '\0' &&
		    strstr(path, "/.imap") == NULL)
			(void)snprintf(note, 300,
			    "They may now pass %.200s: what in there is open "
			    "to others is open to them",
			    path);
		{
			int perms[4] = {NO, has | p->access[1],
			    has | p->access[2], has | p->access[3]};

			return set_list(
			    fd, true, POSIX_ACL_ACCESS, perms, &wider, 1, e);
		}
	}
	if (!may_pass(fd, t) && note[0] == '\0')
		(void)snprintf(note, 300,
		    "The folder %.200s, which is not yours, lets them not pass",
		    path);
	return 0;
}

/*
 * Each folder above `path`, the nearest last. One that is there and can not be
 * looked at may be the one that is closed.
 */
static int
each_above(const char *path,
    int (*fn)(void *arg, int fd, const char *path, struct err *e), void *arg,
    struct err *e)
{
	char part[PATH_MAX];
	size_t n = strlen(path);
	int rc = 0;

	if (n >= sizeof(part))
		return err_set(e, ERR_LIMIT, "path too long");
	memcpy(part, path, n + 1);
	for (size_t i = 1; i < n && rc == 0; i++) {
		int fd;

		if (part[i] != '/')
			continue;
		part[i] = '\0';
		fd = open(part, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd != -1) {
			rc = fn(arg, fd, part, e);
			close(fd);
		} else if (errno != ENOENT && errno != ENOTDIR) {
			rc = err_sys(e, "%s", part);
		}
		part[i] = '/';
	}
	return rc;
}

struct way {
	const struct store *s;
	const struct share_target *t;
	size_t n;
	char *note;
};

static const struct perms *
perms_above(const struct store *s, const char *path)
{
	/* Mailboxes are listed there. */
	return is_at_or_below(str_of(path), str_of(s->root)) &&
		strstr(path, "/.imap") == NULL
	    ? &of_list
	    : &of_way;
}

static int
open_folder(void *arg, int fd, const char *path, struct err *e)
{
	struct way *w = arg;

	for (size_t i = 0; i < w->n; i++)
		if (open_one(fd, path, perms_above(w->s, path), &w->t[i],
			w->note, e) == -1)
			return -1;
	return 0;
}

/* What the folders above close, and whether one must be opened. */
struct way_look {
	struct way way;
	bool others, group, opens;
};

static int
look_at_folder(void *arg, int fd, const char *path, struct err *e)
{
	struct way_look *k = arg;
	const struct perms *p = perms_above(k->way.s, path);
	struct posix_acl l;
	bool is_there;
	struct stat st;

	if (fstat(fd, &st) == -1 || st.st_uid != geteuid())
		return 0;
	if (posix_acl_load(fd, true, POSIX_ACL_ACCESS, &l, &is_there, e) == -1)
		return -1;
	k->others |= (l.other & 1) == 0;
	k->group |= ((l.has_mask ? l.group & l.mask : l.group) & 1) == 0;
	for (size_t i = 0; i < k->way.n; i++) {
		const struct share_target *t = &k->way.t[i];
		int has =
		    posix_acl_of(&l, (enum posix_acl_kind)t->kind, t->number);

		k->opens |= t->level != SHARE_NONE &&
		    (p->access[t->level] & ~(has < 0 ? 0 : has)) != 0;
	}
	return 0;
}

static int
close_folder(void *arg, int fd, const char *path, struct err *e)
{
	static const int none[4] = {NO, NO, NO, NO};
	const struct way *w = arg;
	struct posix_acl l;
	bool is_there;
	struct stat st;
	int perm;

	if (fstat(fd, &st) == -1 || st.st_uid != geteuid() ||
	    posix_acl_load(fd, true, POSIX_ACL_ACCESS, &l, &is_there, e) == -1)
		return 0;
	perm = posix_acl_of(&l, (enum posix_acl_kind)w->t->kind, w->t->number);
	/* What we did not set stays. */
	if (perm < 0 || (perm & ~perms_above(w->s, path)->access[1]) != 0)
		return 0;
	return set_list(fd, true, POSIX_ACL_ACCESS, none, w->t, 1, e);
}

void
share_close_way(const struct store *s, const struct rights_place *p,
    const struct share_target *t)
{
	struct share_target gone = *t;
	struct way w = {s, &gone, 1, NULL};
	char below[PATH_MAX + 4];
	struct err e;

	/* Others' modes may be there for other reasons. */
	if (t->kind == POSIX_ACL_OTHER)
		return;
	gone.level = SHARE_NONE;
	(void)snprintf(below, sizeof(below), "%s/x", s->root);
	(void)each_above(below, close_folder, &w, &e);
	if (p->is_file)
		(void)each_above(p->acl_dir, close_folder, &w, &e);
}

static int
others_may_pass(void *arg, int fd, UNUSED const char *path, struct err *e)
{
	const struct share_target t = {.kind = POSIX_ACL_OTHER};

	(void)arg;
	return may_pass(fd, &t) ? 0 : err_set(e, ERR_PERM, "closed");
}

unsigned
share_rights_of_others(const struct rights_place *p)
{
	static const char *const below[] = {"", "/cur", "/new", "/tmp"};
	char path[PATH_MAX];
	int all = 7, most = 7;
	struct stat st;
	struct err e;

	if (each_above(p->path, others_may_pass, NULL, &e) == -1)
		return ACL_NONE;
	if (p->is_file) {
		if (stat(p->path, &st) == -1 || (st.st_mode & 4) == 0)
			return ACL_NONE;
		all = st.st_mode & 2 ? 7 : 5;
		most = 5;
	} else {
		for (size_t i = 0; i < ARRAY_LEN(below); i++) {
			if (snprintf(path, sizeof(path), "%s%s", p->path,
				below[i]) >= (int)sizeof(path) ||
			    stat(path, &st) == -1)
				return ACL_NONE;
			all &= (int)st.st_mode;
			if (i < 3)
				most &= (int)st.st_mode;
		}
	}
	if ((most & 5) != 5)
		return ACL_NONE;
	return ACL_LOOKUP | ACL_READ | ACL_SEEN | ACL_POST |
	    ((all & 2) != 0 ? ACL_TIED : 0);
}

/* ---- all of a mailbox ------------------------------------------------------ */

static const struct {
	const char *name;
	const struct perms *perms;
	bool has_messages;
} parts[] = {
    {"cur", &of_messages, true},
    {"new", &of_messages, true},
    {"tmp", &of_tmp, false},
};

struct share_files {
	enum { TO_SHUT, TO_OPEN, TO_DIRS, TO_FILES, TO_MESSAGES } phase;
	bool others, group; /* TO_SHUT: to whom */
	size_t part;
	int fd; /* the folder */
	DIR *dir; /* being gone through */
};

void
share_files_end(struct share_files **at)
{
	struct share_files *f = *at;

	*at = NULL;
	if (f == NULL)
		return;
	if (f->dir != NULL)
		closedir(f->dir);
	fd_close(&f->fd);
	free(f);
}

static int
set_dirs(struct share_files *f, const struct rights_place *p,
    const struct share_target *t, size_t n, struct err *e)
{
	if (set_fd(f->fd, p->holds_all ? &of_list : &of_folder, t, n, e) == -1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (set_named(f->fd, parts[i].name, true, parts[i].perms, t, n,
			e) == -1)
			return -1;
	return 0;
}

/* Files of the mailbox itself: in a Maildir's root there are others, too. */
static bool
is_side_file(const char *name, bool holds_all)
{
	return !holds_all || strncmp(name, "dovecot-keywords", 16) == 0 ||
	    strncmp(name, "dovecot-uidlist", 15) == 0 ||
	    strncmp(name, "restante-keywords", 17) == 0;
}

static DIR *
open_list(int at, const char *name, struct err *e)
{
	int fd = file_open_dir(at, name, false, e);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);

	if (dir == NULL && fd != -1) {
		(void)err_sys(e, "%s", name);
		close(fd);
	}
	return dir;
}

/* One folder's files; STEP_MORE: time is up. */
static enum step
set_files(struct share_files *f, const char *name, bool are_messages,
    bool holds_all, const struct share_target *t, size_t n, int64_t until,
    struct err *e)
{
	const struct dirent *d;

	if (f->dir == NULL)
		f->dir = open_list(f->fd, name, e);
	if (f->dir == NULL && e->code != ERR_NOT_FOUND)
		return STEP_FAIL;
	while (f->dir != NULL && (d = readdir(f->dir)) != NULL) {
		const struct perms *p =
		    are_messages ? &of_message : &of_side_file;

		if (d->d_name[0] == '.' || d->d_type == DT_DIR ||
		    strcmp(d->d_name, ACL_FILE) == 0 ||
		    (!are_messages && !is_side_file(d->d_name, holds_all)))
			continue;
		if (set_named(dirfd(f->dir), d->d_name, false, p, t, n, e) ==
			-1 &&
		    e->code != ERR_PERM)
			return STEP_FAIL;
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	}
	if (f->dir != NULL)
		closedir(f->dir);
	f->dir = NULL;
	return STEP_DONE;
}

/* An mbox file's own, which nothing else lies in. */
static int
close_acl_dir(const struct store *s, const struct rights_place *p,
    const struct share_target *t, size_t n, struct err *e)
{
	int fd = open(p->acl_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd == -1)
		return 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct way w = {s, &t[i], 1, NULL};

		if (t[i].level == SHARE_NONE)
			rc = close_folder(&w, fd, p->acl_dir, e);
	}
	close(fd);
	return rc;
}

/* Before a way is opened: else a kill in between would leave all open. */
static int
begin(const struct store *s, const struct rights_place *p,
    const struct share_target *t, size_t n, struct share_files **at,
    struct err *e)
{
	struct way_look look = {.way = {s, t, n, NULL}};
	struct share_files *f = *at = mem_new(1, sizeof(*f));

	f->fd = p->is_file
	    ? open(p->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
	    : file_open_dir(AT_FDCWD, p->path, true, e);
	if (f->fd == -1)
		return err_sys(e, "%s", p->path);
	if (each_above(p->path, look_at_folder, &look, e) == -1 ||
	    (p->holds_all && look_at_folder(&look, f->fd, p->path, e) == -1))
		return -1;
	f->others = look.others;
	f->group = look.group;
	if (look.opens && (look.others || look.group)) {
		f->dir = opendir(s->root);
		if (f->dir == NULL)
			return err_sys(e, "%s", s->root);
	}
	return 0;
}

static enum step
shut_mailboxes(struct share_files *f, int64_t until, struct err *e)
{
	const struct dirent *d;

	while (f->dir != NULL && (d = readdir(f->dir)) != NULL) {
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0 &&
		    shut_one(
			dirfd(f->dir), d->d_name, f->others, f->group, e) == -1)
			return STEP_FAIL;
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	}
	if (f->dir != NULL)
		closedir(f->dir);
	f->dir = NULL;
	return STEP_DONE;
}

static int
open_way(const struct store *s, const struct rights_place *p,
    const struct share_target *t, size_t n, char note[300], struct err *e)
{
	struct way w = {s, t, n, note};
	char below[PATH_MAX + 4];
	int dirfd, rc;

	if (each_above(p->path, open_folder, &w, e) == -1)
		return -1;
	(void)snprintf(below, sizeof(below), "%s/x", p->acl_dir);
	if (p->is_file && close_acl_dir(s, p, t, n, e) == -1)
		return -1;
	if (p->is_file && each_above(below, open_folder, &w, e) == -1)
		return -1;
	dirfd = file_open_dir(AT_FDCWD, p->acl_dir, true, e);
	if (dirfd == -1)
		return e->code == ERR_NOT_FOUND ? 0 : -1;
	rc = set_named(dirfd, ACL_FILE, false, &of_acl_file, t, n, e);
	close(dirfd);
	return rc;
}

enum step
share_files(const struct store *s, const struct rights_place *p,
    const struct share_target *t, size_t n, struct share_files **at,
    char note[300], struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	struct share_files *f;
	enum step step = STEP_DONE;

	if (*at == NULL && begin(s, p, t, n, at, e) == -1)
		return STEP_FAIL;
	f = *at;
	if (f->phase == TO_SHUT) {
		step = shut_mailboxes(f, until, e);
		if (step != STEP_DONE)
			return step;
		f->phase = TO_OPEN;
	}
	if (f->phase == TO_OPEN) {
		if (open_way(s, p, t, n, note, e) == -1)
			return STEP_FAIL;
		f->phase = TO_DIRS;
	}
	if (p->is_file)
		return set_fd(f->fd, &of_mbox, t, n, e) == -1 ? STEP_FAIL
							      : STEP_DONE;
	if (f->phase == TO_DIRS) {
		if (set_dirs(f, p, t, n, e) == -1)
			return STEP_FAIL;
		f->phase = TO_FILES;
	}
	if (f->phase == TO_FILES) {
		step = set_files(f, ".", false, p->holds_all, t, n, until, e);
		if (step != STEP_DONE)
			return step;
		f->phase = TO_MESSAGES;
	}
	for (; f->part < ARRAY_LEN(parts); f->part++) {
		if (!parts[f->part].has_messages)
			continue;
		step = set_files(
		    f, parts[f->part].name, true, false, t, n, until, e);
		if (step != STEP_DONE)
			return step;
	}
	return STEP_DONE;
}
