/* SPDX-License-Identifier: ISC */
/*
 * file.c - opening, replacing and syncing files in directory descriptors.
 *
 * Owns:    nothing.
 * Runs in: mail processes, as the mail user; master for its own files.
 * Trusts:  no name and no file type: links are not followed, O_NONBLOCK keeps
 *          a fifo from holding us up, fstat says what was really opened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/file.h"
#include "os/posix_acl.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef ZFS_SUPER_MAGIC
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#endif
#ifndef BCACHEFS_SUPER_MAGIC
#define BCACHEFS_SUPER_MAGIC 0xca451a4e
#endif

#define OPEN_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define READ_PIECE (64 * 1024)
#define TREE_DEPTH_MAX 32

/*
 * The bits of a folder's mode that are for what is made in it. With an access
 * list the group's are those of all who are named in it: where the folder has
 * no default list they are meant for itself. What a default list closes stays
 * closed.
 */
static mode_t
bits_below(int dirfd, mode_t mode)
{
	struct posix_acl l;
	bool is_there;
	struct err e;

	if ((mode & 077) == 0)
		return 07777;
	if (posix_acl_load(
		dirfd, false, POSIX_ACL_DEFAULT, &l, &is_there, &e) == 0 &&
	    is_there)
		return 07700 | l.other |
		    (mode_t)(l.has_mask ? l.mask : l.group) << 3;
	if ((mode & 070) == 0 ||
	    posix_acl_load(dirfd, false, POSIX_ACL_ACCESS, &l, &is_there, &e) ==
		-1 ||
	    !l.has_mask)
		return 07777;
	return 07707 | (mode_t)(l.group & l.mask) << 3;
}

int
file_perm_of(int dirfd, struct file_perm *out, struct err *e)
{
	struct stat st;

	if (fstat(dirfd, &st) == -1)
		return err_sys(e, "fstat folder");
	st.st_mode &= bits_below(dirfd, st.st_mode);
	*out = (struct file_perm){
	    .dir_mode = st.st_mode & 0777,
	    .file_mode = st.st_mode & 0666,
	    .gid = st.st_gid == getegid() ? (gid_t)-1 : st.st_gid,
	    .owner = st.st_uid,
	};
	return 0;
}

int
file_open_dir(int at, const char *name, bool follow, struct err *e)
{
	int fd = openat(at, name,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK |
		(follow ? 0 : O_NOFOLLOW));

	if (fd == -1)
		return err_sys(e, "open folder %s", name);
	return fd;
}

static int
open_regular(
    int dirfd, const char *name, int flags, struct stat *st, struct err *e)
{
	struct stat own;
	int fd = openat(dirfd, name, flags | OPEN_FLAGS);

	if (fd == -1)
		return err_sys(e, "open %s", name);
	if (st == NULL)
		st = &own;
	if (fstat(fd, st) == -1) {
		(void)err_sys(e, "fstat %s", name);
	} else if (!S_ISREG(st->st_mode)) {
		(void)err_set(e, ERR_CORRUPT, "%s: not a regular file", name);
	} else {
		return fd;
	}
	close(fd);
	return -1;
}

int
file_open(int dirfd, const char *name, struct stat *st, struct err *e)
{
	return open_regular(dirfd, name, O_RDONLY, st, e);
}

int
file_open_own(int dirfd, const char *name, struct err *e)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOATIME | OPEN_FLAGS);

	return fd == -1 ? err_sys(e, "open %s", name) : fd;
}

int
file_open_append(int dirfd, const char *name, struct stat *st, struct err *e)
{
	return open_regular(dirfd, name, O_RDWR | O_APPEND, st, e);
}

/* The umask is not ours to trust: set exactly what the folder has. */
static void
set_perm(int fd, mode_t mode, gid_t gid)
{
	if (gid != (gid_t)-1)
		(void)!fchown(fd, (uid_t)-1, gid);
	(void)fchmod(fd, mode);
}

static int
create(int dirfd, const char *name, int flags, const struct file_perm *perm,
    struct err *e)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | flags | OPEN_FLAGS,
	    perm->file_mode);

	if (fd == -1)
		return err_sys(e, "create %s", name);
	set_perm(fd, perm->file_mode, perm->gid);
	return fd;
}

int
file_create(
    int dirfd, const char *name, const struct file_perm *perm, struct err *e)
{
	return create(dirfd, name, O_EXCL, perm, e);
}

int
file_make_dir(
    int dirfd, const char *name, const struct file_perm *perm, struct err *e)
{
	int fd;

	if (mkdirat(dirfd, name, perm->dir_mode) == -1)
		return err_sys(e, "make folder %s", name);
	/* By descriptor: sandboxed processes may not do it by name. */
	fd = openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return 0;
	if (perm->gid != (gid_t)-1)
		(void)!fchown(fd, (uid_t)-1, perm->gid);
	(void)!fchmod(fd, perm->dir_mode);
	(void)close(fd);
	return 0;
}

int
file_make_path(const char *path, struct err *e)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return err_set(e, ERR_LIMIT, "path too long");
	memcpy(part, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0700) == -1 && errno != EEXIST &&
		    !(errno == EACCES || errno == EROFS))
			return err_sys(e, "make folder %s", part);
		if (i < n)
			part[i] = '/';
	}
	if (access(path, F_OK) == -1)
		return err_sys(e, "make folder %s", path);
	return 0;
}

int
file_write(int fd, struct str bytes, struct err *e)
{
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(e, "write");
		bytes = str_skip(bytes, (size_t)n);
	}
	return 0;
}

int
file_read_at(
    int fd, uint64_t off, void *p, size_t n, size_t *got, struct err *e)
{
	size_t done = 0;

	if (off > INT64_MAX || n > SSIZE_MAX)
		return err_set(e, ERR_LIMIT, "read: offset too large");
	while (done < n) {
		ssize_t r =
		    pread(fd, (char *)p + done, n - done, (off_t)(off + done));

		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1)
			return err_sys(e, "read");
		if (r == 0)
			break;
		done += (size_t)r;
	}
	*got = done;
	return 0;
}

int
file_read_rest(int fd, uint64_t off, struct buf *b, struct err *e)
{
	for (;;) {
		char *room = buf_room(b, READ_PIECE);
		size_t piece = READ_PIECE, got;

		if (room == NULL) { /* the last, small piece before the limit */
			piece = b->max_bytes - b->n;
			b->over = false;
			room = piece == 0 ? NULL : buf_room(b, piece);
		}
		if (room == NULL) {
			char probe;

			if (file_read_at(fd, off, &probe, 1, &got, e) == -1)
				return -1;
			return got == 0
			    ? 0
			    : err_set(e, ERR_LIMIT, "file too large");
		}
		if (file_read_at(fd, off, room, piece, &got, e) == -1)
			return -1;
		b->n += got;
		off += got;
		if (got < piece)
			return 0;
	}
}

int
file_load(
    int dirfd, const char *name, struct buf *b, struct stat *st, struct err *e)
{
	int fd = file_open(dirfd, name, st, e), rc;

	if (fd == -1)
		return -1;
	rc = file_read_rest(fd, 0, b, e);
	close(fd);
	return rc == -1 ? err_in(e, "%s", name) : 0;
}

bool
file_is_unread(const struct err *e)
{
	switch (e->code) {
	case ERR_NOT_FOUND:
	case ERR_CORRUPT:
	case ERR_LIMIT:
	case ERR_PERM:
		return false;
	default:
		return e->sys != ELOOP && e->sys != ENOTDIR;
	}
}

int
file_lock_within(int fd, uint32_t wait_ms, struct err *e)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	for (uint32_t ms = 0; flock(fd, LOCK_EX | LOCK_NB) == -1; ms++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(e, "flock");
		if (ms >= wait_ms)
			return err_set(
			    e, ERR_IN_USE, "locked by another process");
		(void)nanosleep(&nap, NULL);
	}
	return 0;
}

void
file_tail_take(
    struct file_tail *t, struct str bytes, uint64_t off, uint64_t end)
{
	size_t have = (size_t)(end - off), n = sizeof(t->bytes);

	/* What lies before `bytes` is known from the last time, or not. */
	if (n > have)
		n = have;
	if (n == 0)
		return;
	t->end = end;
	t->n = (uint8_t)n;
	memcpy(t->bytes, bytes.p + have - n, n);
}

bool
file_tail_is_there(const struct file_tail *t, int fd)
{
	char now[sizeof(t->bytes)];
	struct err e;
	size_t got;

	return t->n > 0 &&
	    file_read_at(fd, t->end - t->n, now, t->n, &got, &e) == 0 &&
	    got == t->n && memcmp(now, t->bytes, t->n) == 0;
}

int
file_sync(int fd, const char *what, struct err *e)
{
	if (fsync(fd) == -1)
		return err_sys(e, "fsync %s", what);
	return 0;
}

int
file_sync_data(int fd, const char *what, struct err *e)
{
	if (fdatasync(fd) == -1)
		return err_sys(e, "fdatasync %s", what);
	return 0;
}

int
file_close(int *fd, const char *what, struct err *e)
{
	int old = *fd;

	*fd = -1;
	if (old != -1 && close(old) == -1 && errno != EINTR)
		return err_sys(e, "close %s", what);
	return 0;
}

int
file_rename_new(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e)
{
	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return err_sys(e, "rename %s to %s", from, to);
	if (linkat(from_dir, from, to_dir, to, 0) == -1)
		return err_sys(e, "link %s to %s", from, to);
	if (unlinkat(from_dir, from, 0) == -1)
		return err_sys(e, "unlink %s", from);
	return 0;
}

int
file_rename_free(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e)
{
	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return err_sys(e, "rename %s to %s", from, to);
	if (faccessat(to_dir, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return err_sys(e, "rename %s to %s", from, to);
	}
	if (renameat(from_dir, from, to_dir, to) == -1)
		return err_sys(e, "rename %s to %s", from, to);
	return 0;
}

int
file_replace(int dirfd, const char *name, const char *temp, struct str bytes,
    const struct file_perm *perm, struct file_stamp *stamp, struct err *e)
{
	struct stat st;
	int fd = create(dirfd, temp, O_TRUNC, perm, e);

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		(void)err_sys(e, "fstat %s", temp);
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		(void)err_set(e, ERR_CORRUPT, "%s: not a regular file", temp);
		goto fail;
	}
	if (file_write(fd, bytes, e) == -1 || file_sync_data(fd, temp, e) == -1)
		goto fail;
	if (fstat(fd, &st) == -1) {
		(void)err_sys(e, "fstat %s", temp);
		goto fail;
	}
	if (file_close(&fd, temp, e) == -1)
		goto fail;
	if (renameat(dirfd, temp, dirfd, name) == -1) {
		(void)err_sys(e, "rename %s to %s", temp, name);
		goto fail;
	}
	if (stamp != NULL)
		*stamp = file_stamp_of(&st);
	return 0;
fail:
	if (fd != -1)
		close(fd);
	(void)unlinkat(dirfd, temp, 0);
	return err_in(e, "%s", name);
}

/* `until_ms` 0: to the end. What was removed stays so: call again. */
static enum step
remove_tree(
    int dirfd, const char *name, int depth, int64_t until_ms, struct err *e)
{
	struct dirent *d;
	DIR *dir;
	int fd;
	enum step step = STEP_DONE;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return STEP_DONE;
	if (errno != EISDIR && errno != EPERM) {
		(void)err_sys(e, "remove %s", name);
		return STEP_FAIL;
	}
	if (depth == TREE_DEPTH_MAX) {
		(void)err_set(e, ERR_LIMIT, "remove %s: too deep", name);
		return STEP_FAIL;
	}
	fd = file_open_dir(dirfd, name, false, e);
	if (fd == -1)
		return e->code == ERR_NOT_FOUND ? STEP_DONE : STEP_FAIL;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		(void)err_sys(e, "read folder %s", name);
		return STEP_FAIL;
	}
	while (step == STEP_DONE && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		step = remove_tree(fd, d->d_name, depth + 1, until_ms, e);
		if (step == STEP_DONE && until_ms != 0 &&
		    clock_mono_ms() >= until_ms)
			step = STEP_MORE;
	}
	closedir(dir);
	if (step == STEP_DONE && unlinkat(dirfd, name, AT_REMOVEDIR) == -1 &&
	    errno != ENOENT) {
		(void)err_sys(e, "remove folder %s", name);
		return STEP_FAIL;
	}
	return step;
}

int
file_remove_tree(int dirfd, const char *name, struct err *e)
{
	return remove_tree(dirfd, name, 0, 0, e) == STEP_DONE ? 0 : -1;
}

enum step
file_remove_some(int dirfd, const char *name, int64_t until_ms, struct err *e)
{
	return remove_tree(dirfd, name, 0, until_ms, e);
}

static bool
is_local(const struct statfs *fs)
{
	static const unsigned long local[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,
	    BTRFS_SUPER_MAGIC, TMPFS_MAGIC, F2FS_SUPER_MAGIC, ZFS_SUPER_MAGIC,
	    OVERLAYFS_SUPER_MAGIC, BCACHEFS_SUPER_MAGIC};

	for (size_t i = 0; i < ARRAY_LEN(local); i++)
		if ((unsigned long)fs->f_type == local[i])
			return true;
	return false;
}

bool
file_is_local(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && is_local(&fs);
}

bool
file_path_is_local(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && is_local(&fs);
}

bool
file_stamp_at(int dirfd, const char *name, struct file_stamp *out)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		*out = (struct file_stamp){0};
		return errno == ENOENT;
	}
	*out = file_stamp_of(&st);
	return true;
}

int
file_time_cmp(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	if (a->tv_nsec != b->tv_nsec)
		return a->tv_nsec < b->tv_nsec ? -1 : 1;
	return 0;
}

bool
file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    file_time_cmp(&a->mtime, &b->mtime) == 0;
}
