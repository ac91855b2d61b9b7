/* SPDX-License-Identifier: ISC */
/*
 * maildir_quiet.c - what is known of mailboxes that are not open, as long as
 * the kernel tells of nothing there.
 *
 * Owns:    struct quiet: the folders asked about, and their watches.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  inotify on a local disk, for an hour at most.
 *
 * ASKED --again--> WATCHED --event--> WATCHED, nothing known
 * WATCHED --the folder moves or goes, events were lost--> ASKED
 *
 * Three watches: the folder (its UID map; new/ and cur/ as names), new/, cur/.
 * They are of inodes, so only folders directly in the root are taken: nothing
 * above them but the root itself, which we hold open, can become another. An
 * event is queued before the call that caused it returns; so what was done before
 * a command was sent is in the queue when the command has been read.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "os/watch.h"
#include "store/maildir/maildir_quiet.h"
#include "store/maildir/uidlist.h"

/* The user's watches are limited, and other users may share his uid. */
#define FOLDERS_MAX 256
/* Then everything is looked at again, should a watch ever have been deaf. */
#define TRUST_MS (3600 * 1000)

#define SELF (IN_DELETE_SELF | IN_MOVE_SELF)
#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define GONE (SELF | IN_IGNORED | IN_UNMOUNT | IN_Q_OVERFLOW)

enum { AT_FOLDER, AT_NEW, AT_CUR, SPOTS };

static const struct {
	const char *sub;
	uint32_t mask;
} spots[SPOTS] = {
    [AT_FOLDER] = {"", NAMES | SELF | IN_MODIFY},
    [AT_NEW] = {"/new", NAMES | SELF},
    [AT_CUR] = {"/cur", NAMES | SELF},
};

struct quiet_folder {
	struct quiet *quiet;
	char *path;
	struct watch *watch[SPOTS];
	bool is_watched;
	bool is_known; /* `found` is true */
	struct buf found;
	unsigned mark;
	int64_t since_ms; /* is_watched */
};

struct quiet {
	struct map folders; /* by path */
	bool is_full; /* no watches left: as it is */
	bool is_local;
};

/* ---- events ---------------------------------------------------------------- */

static void
unwatch(struct quiet_folder *f)
{
	for (unsigned i = 0; i < SPOTS; i++)
		watch_remove(&f->watch[i]);
	f->is_watched = f->is_known = false;
	f->mark = 0;
}

static void
on_folder(void *arg, uint32_t mask, UNUSED uint32_t cookie, struct str name)
{
	struct quiet_folder *f = arg;

	if (mask & GONE) {
		unwatch(f);
		return;
	}
	if (str_eq(name, STR("new")) || str_eq(name, STR("cur")))
		unwatch(f);
	else if (str_eq(name, STR(UIDLIST_FILE)))
		f->is_known = false;
}

static void
on_new(void *arg, uint32_t mask, UNUSED uint32_t cookie, UNUSED struct str name)
{
	struct quiet_folder *f = arg;

	if (mask & GONE)
		unwatch(f);
	f->is_known = false;
	f->mark = 0;
}

static void
on_cur(void *arg, uint32_t mask, UNUSED uint32_t cookie, UNUSED struct str name)
{
	struct quiet_folder *f = arg;

	if (mask & GONE)
		unwatch(f);
	f->is_known = false;
}

static watch_fn *const told[SPOTS] = {on_folder, on_new, on_cur};

/* ---- folders --------------------------------------------------------------- */

/* Is the folder of this name the one that the root we hold has? */
static bool
is_same(struct store *s, const char *absolute, const char *path)
{
	const struct maildir_place *p = s->impl;
	struct stat a, b;

	return fstatat(AT_FDCWD, absolute, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(p->rootfd, path, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    a.st_ino == b.st_ino && a.st_dev == b.st_dev && S_ISDIR(a.st_mode);
}

static void
watch_it(struct store *s, struct quiet_folder *f)
{
	char path[PATH_MAX];
	struct err e;

	for (unsigned i = 0; i < SPOTS; i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s%s", s->root,
			f->path, spots[i].sub) >= sizeof(path))
			goto no;
		e.code = ERR_SYS;
		if (watch_add(s->hub, path, spots[i].mask, told[i], f,
			&f->watch[i], &e) == -1) {
			f->quiet->is_full |= e.code == ERR_LIMIT;
			goto no;
		}
		/* From here on we hear of another one in its place. */
		if (!is_same(s, path, path + strlen(s->root) + 1))
			goto no;
	}
	f->is_watched = true;
	f->since_ms = clock_mono_ms();
	return;
no:
	unwatch(f);
}

static struct quiet *
quiet_begin(struct store *s)
{
	struct maildir_place *p = s->impl;
	struct quiet *q = p->quiet;

	if (q != NULL)
		return q;
	q = p->quiet = mem_new(1, sizeof(*q));
	map_init(&q->folders);
	q->is_local = file_path_is_local(s->root);
	return q;
}

static struct quiet_folder *
first_time(struct quiet *q, const char *path)
{
	struct quiet_folder *f;

	if (q->folders.n >= FOLDERS_MAX)
		return NULL;
	f = mem_new(1, sizeof(*f));
	f->quiet = q;
	f->path = mem_strdup(path);
	buf_init(&f->found, 4096);
	map_put(&q->folders, str_of(f->path), f);
	return NULL;
}

struct quiet_folder *
quiet_of(struct store *s, const char *path)
{
	struct quiet_folder *f;
	struct quiet *q;

	if (s->hub == NULL || s->control != NULL || s->head != NULL ||
	    path[0] == '/' || strchr(path, '/') != NULL)
		return NULL;
	q = quiet_begin(s);
	if (!q->is_local)
		return NULL;
	f = map_find(&q->folders, str_of(path));
	if (f == NULL)
		return first_time(q, path);
	if (s->heard == 0)
		watch_drain(s->hub);
	if (f->is_watched && clock_mono_ms() - f->since_ms >= TRUST_MS)
		unwatch(f);
	if (!f->is_watched && !q->is_full)
		watch_it(s, f);
	return f->is_watched ? f : NULL;
}

bool
quiet_holds(const struct quiet_folder *f, struct str circumstances)
{
	return f->is_known && str_eq(buf_str(&f->found), circumstances);
}

void
quiet_found(struct quiet_folder *f, struct str circumstances)
{
	buf_clear(&f->found);
	f->is_known = buf_add_str(&f->found, circumstances);
}

unsigned
quiet_mark(const struct quiet_folder *f)
{
	return f->mark;
}

void
quiet_found_mark(struct quiet_folder *f, unsigned mark)
{
	f->mark = mark;
}

void
quiet_free(struct store *s)
{
	struct maildir_place *p = s->impl;
	struct quiet *q = p->quiet;
	struct str key;
	void *value;
	size_t i = 0;

	p->quiet = NULL;
	if (q == NULL)
		return;
	while (map_next(&q->folders, &i, &key, &value)) {
		struct quiet_folder *f = value;

		unwatch(f);
		buf_done(&f->found);
		free(f->path);
		free(f);
	}
	map_done(&q->folders);
	free(q);
}
