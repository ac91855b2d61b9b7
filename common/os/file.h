/* SPDX-License-Identifier: ISC */
/*
 * file.h - files that other programs may change, rename or remove under us.
 * Everything is opened in a directory descriptor, never through a symbolic
 * link in the last component, and is checked to be a regular file.
 */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Mode and group of what we create: those of the folder it lies in. */
struct file_perm {
	mode_t dir_mode; /* with x */
	mode_t file_mode; /* without x */
	gid_t gid; /* (gid_t)-1: leave it to the kernel */
	uid_t owner; /* of the folder */
};

/* Tells one state of a file from another. Zeroed: there is none. */
struct file_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

/*
 * The last bytes before a place in a file that only grows: when they are still
 * there, what comes behind was appended. (A file put in its place may have
 * got the number of an older one.)
 */
struct file_tail {
	uint64_t end;
	uint8_t n;
	char bytes[96];
};

/* Takes mode, group and owner from the directory `dirfd`. */
int file_perm_of(int dirfd, struct file_perm *out, struct err *e);
/* Opens a directory for openat(); `follow`: may be a symbolic link. */
int file_open_dir(int at, const char *name, bool follow, struct err *e);
/*
 * Opens a regular file for reading; `st` may be NULL. ERR_NOT_FOUND;
 * ERR_CORRUPT when it is no regular file.
 */
int file_open(int dirfd, const char *name, struct stat *st, struct err *e);
/*
 * Opens a file of the process's own user for reading, and leaves its time of
 * access alone: the kernel refuses that for the files of others, ERR_PERM. What
 * it is has not been looked at; to read from a folder or a pipe with pread()
 * fails.
 */
int file_open_own(int dirfd, const char *name, struct err *e);
/* As file_open, for appending to an existing file and reading it. */
int file_open_append(
    int dirfd, const char *name, struct stat *st, struct err *e);
/* Makes a new file for writing; ERR_EXISTS. */
int file_create(
    int dirfd, const char *name, const struct file_perm *perm, struct err *e);
/* Makes a directory; ERR_EXISTS. */
int file_make_dir(
    int dirfd, const char *name, const struct file_perm *perm, struct err *e);
/* Makes the directory and missing ones above it, mode 0700, no links. */
int file_make_path(const char *path, struct err *e);
/* Writes all bytes, however short the writes. */
int file_write(int fd, struct str bytes, struct err *e);
/* Up to `n` bytes at `off`; *got is less only at the end of the file. */
int file_read_at(
    int fd, uint64_t off, void *p, size_t n, size_t *got, struct err *e);
/* Appends the whole file to `b`; ERR_LIMIT. *e is whole after any failure. */
int file_load(
    int dirfd, const char *name, struct buf *b, struct stat *st, struct err *e);
/*
 * An exclusive flock() that others hold for a moment, waited for in one piece
 * but for `wait_ms` at most: a process that was stopped may have it. ERR_IN_USE.
 */
int file_lock_within(int fd, uint32_t wait_ms, struct err *e);
/*
 * Why file_load() or file_open_dir() has failed: is it that what is there can not
 * be read just now (no more descriptors, a bad disk)? Then it must not be taken
 * for missing, nor be written anew. False: it is missing, or no file that we
 * could have written, and will be none the next time either.
 */
bool file_is_unread(const struct err *e);
/* Appends what lies at and behind `off` in an open file to `b`; ERR_LIMIT. */
int file_read_rest(int fd, uint64_t off, struct buf *b, struct err *e);
/* Remembers the end at `end` of `bytes`, which lie at `off` in the file. */
void file_tail_take(
    struct file_tail *t, struct str bytes, uint64_t off, uint64_t end);
/* Is it still there, and is the file at least that long? */
bool file_tail_is_there(const struct file_tail *t, int fd);
/* fsync of file or directory. */
int file_sync(int fd, const char *what, struct err *e);
/* fdatasync. */
int file_sync_data(int fd, const char *what, struct err *e);
/* close() whose error counts; *fd becomes -1. */
int file_close(int *fd, const char *what, struct err *e);
/*
 * Renames without replacing: ERR_EXISTS. Where the file system can not do
 * that at once: link, unlink.
 */
int file_rename_new(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e);
/*
 * The same for a file that others look at meanwhile: it never has two names
 * and never none. Where the file system can not do that without replacing, a
 * file of that name made in the same moment is lost.
 */
int file_rename_free(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e);
/*
 * Puts `bytes` under `name`: written to `temp` (which may be left over), synced,
 * renamed over it. `stamp`, if given, is that of the new file.
 */
int file_replace(int dirfd, const char *name, const char *temp,
    struct str bytes, const struct file_perm *perm, struct file_stamp *stamp,
    struct err *e);
/* Removes a whole tree below `dirfd`, following no links. Not there: fine. */
int file_remove_tree(int dirfd, const char *name, struct err *e);
/* The same until clock_mono_ms() says `until_ms`; STEP_MORE: call again. */
enum step file_remove_some(
    int dirfd, const char *name, int64_t until_ms, struct err *e);

static inline struct file_stamp
file_stamp_of(const struct stat *st)
{
	return (struct file_stamp){
	    .dev = st->st_dev,
	    .ino = st->st_ino,
	    .size = st->st_size,
	    .mtime = st->st_mtim,
	    .ctime = st->st_ctim,
	};
}

/* The stamp of `name`, zeroed when it is not there. False: other errors. */
bool file_stamp_at(int dirfd, const char *name, struct file_stamp *out);
bool file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b);
/*
 * Only this kernel changes files there, so inotify tells of every change, and
 * times are from this host's clock.
 */
bool file_is_local(int fd);
bool file_path_is_local(const char *path);
/* -1, 0, 1 */
int file_time_cmp(const struct timespec *a, const struct timespec *b);

#endif
