/* SPDX-License-Identifier: ISC */
/*
 * mbox_folder.c - mailboxes come into being, and go.
 *
 * Owns:    the folders below the root.
 * Runs in: imapd, as the mail user.
 * Trusts:  no name on disk; links below the root are not followed.
 * Spec:    formats.md 7.1, 7.2; RFC 3501 sections 6.3.3, 6.3.4.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/mbox/mbox_impl.h"
#include "store/mbox/mbox_name.h"
#include "store/meta.h"
#include "store/rights.h"

static struct mbox_place *
place_of(const struct store *s)
{
	return s->impl;
}

int
mbox_sync_folder(const struct store *s, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	int fd, rc;

	if (slash != NULL)
		(void)snprintf(
		    dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	fd = file_open_dir(place_of(s)->rootfd, dir, false, e);
	if (fd == -1)
		return -1;
	rc = file_sync(fd, "folder", e);
	close(fd);
	return rc;
}

/*
 * A new file with an identity that it keeps while it is empty. It gets its
 * name when it is whole: mail may come at once.
 */
static int
make_file(struct store *s, const char *path, struct err *e)
{
	const struct mbox_place *p = place_of(s);
	char temp[64];
	struct buf b;
	int fd, rc;

	(void)snprintf(temp, sizeof(temp), ".restante.%ld.%lld", (long)getpid(),
	    (long long)clock_wall_us());
	fd = file_create(p->rootfd, temp, &p->perm, e);
	if (fd == -1)
		return -1;
	buf_init(&b, MBOX_HEADER_MAX);
	mbox_pseudo_write(s, mbox_new_uidvalidity(), 0, STR(""), &b);
	rc = file_write(fd, buf_str(&b), e);
	if (rc == 0)
		rc = file_sync(fd, temp, e);
	close(fd);
	buf_done(&b);
	if (rc == 0)
		rc = file_rename_new(p->rootfd, temp, p->rootfd, path, e);
	if (rc == -1)
		(void)unlinkat(p->rootfd, temp, 0);
	return rc;
}

int
mbox_drop_rights(const struct store *s, const char *path, struct err *e)
{
	char imap[PATH_MAX], list[PATH_MAX];

	if (!mbox_imap_of(path, imap) ||
	    snprintf(list, sizeof(list), "%s/" ACL_FILE, imap) >= PATH_MAX)
		return 0;
	if (unlinkat(place_of(s)->rootfd, list, 0) == 0)
		return mbox_sync_folder(s, list, e);
	if (errno == ENOENT || errno == ENOTDIR)
		return 0;
	return err_sys(e, "remove the rights of before in %s", list);
}

int
mbox_create(struct store *s, struct str name, struct err *e)
{
	char path[PATH_MAX];
	enum mbox_kind kind;

	if (mbox_path_below(s, name, true, path, &kind, e) == -1)
		return -1;
	if (kind != MBOX_NOTHING)
		return err_set(e, ERR_EXISTS, "mailbox exists");
	if (mbox_drop_rights(s, path, e) == -1)
		return -1;
	return make_file(s, path, e) == -1 ? -1 : mbox_sync_folder(s, path, e);
}

/* "a" and "a.sbd". */
static void
below_of(const char *path, char out[PATH_MAX + 8])
{
	(void)snprintf(out, PATH_MAX + 8, "%s" MBOX_BELOW, path);
}

/*
 * The mailbox `path` goes, the mailboxes below it stay: their folder "a.sbd"
 * becomes "a", a level alone.
 */
static int
remove_above(
    const struct store *s, const char *path, const char *below, struct err *e)
{
	int fd = place_of(s)->rootfd;

	if (renameat2(fd, below, fd, path, RENAME_EXCHANGE) == 0) {
		if (unlinkat(fd, below, 0) == 0)
			return 0;
		(void)err_sys(e, "remove %s", path);
		(void)renameat2(fd, below, fd, path, RENAME_EXCHANGE);
		return -1;
	}
	/* A file system that can not do that at once. */
	if (unlinkat(fd, path, 0) == -1)
		return err_sys(e, "remove %s", path);
	return file_rename_new(fd, below, fd, path, e);
}

/* What belongs to a mailbox that is gone, beside its file. */
static void
remove_rest(const struct store *s, const char *path)
{
	char imap[PATH_MAX], full[PATH_MAX];
	struct err ignored;

	if (mbox_imap_of(path, imap))
		(void)file_remove_tree(place_of(s)->rootfd, imap, &ignored);
	if (snprintf(full, sizeof(full), "%s/%s", s->root, path) < PATH_MAX) {
		mbox_keep_remove(s, full);
		(void)meta_file_moved_one(s, full, NULL);
	}
}

int
mbox_remove(struct store *s, struct str name, struct err *e)
{
	const struct mbox_place *p = place_of(s);
	char path[PATH_MAX], below[PATH_MAX + 8];
	enum mbox_kind kind;

	if (mbox_path_below(s, name, false, path, &kind, e) == -1)
		return -1;
	if (kind == MBOX_NOTHING)
		return err_set(e, ERR_NOT_FOUND, "no such mailbox");
	below_of(path, below);
	/* A folder of that name goes if it is empty by now. */
	if (kind == MBOX_A_FILE &&
	    unlinkat(p->rootfd, below, AT_REMOVEDIR) == -1 &&
	    (errno == ENOTEMPTY || errno == EEXIST)) {
		if (remove_above(s, path, below, e) == -1)
			return -1;
		remove_rest(s, path);
		return mbox_sync_folder(s, path, e);
	}
	if (unlinkat(p->rootfd, path, kind == MBOX_A_DIR ? AT_REMOVEDIR : 0) ==
	    -1) {
		if (errno == ENOTEMPTY || errno == EEXIST)
			return err_set(
			    e, ERR_HAS_CHILDREN, "has mailboxes below it");
		return err_sys(e, "remove %s", path);
	}
	remove_rest(s, path);
	return mbox_sync_folder(s, path, e);
}
