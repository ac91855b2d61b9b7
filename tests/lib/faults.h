/* SPDX-License-Identifier: ISC */
/*
 * faults.h - for crash tests: the calls that change files are replaced in the
 * test's program by ones that count. At the chosen one the process ends, as by
 * kill -9, or writes half of its bytes first, or the call fails, or is short.
 */
#ifndef TESTS_LIB_FAULTS_H
#define TESTS_LIB_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"

enum fault { FAULT_NONE, FAULT_KILL, FAULT_HALF, FAULT_ERROR, FAULT_SHORT };
enum fault_call {
	CALL_WRITE = 1 << 0,
	CALL_SYNC = 1 << 1,
	CALL_NAME = 1 << 2, /* rename, link, mkdir */
	CALL_UNLINK = 1 << 3,
	CALL_CUT = 1 << 4,
	CALL_RESERVE = 1 << 5,
	CALL_TIMES = 1 << 6,
	/* What can fail for want of space, and by a bad disk. */
	CALLS_NO_SPACE = CALL_WRITE | CALL_SYNC | CALL_NAME | CALL_RESERVE,
	CALLS_BAD_DISK = CALLS_NO_SPACE | CALL_CUT | CALL_TIMES,
};

static enum fault fault;
static int fault_errno;
static unsigned fault_at; /* number of the call, from 1 */
static unsigned fault_calls; /* so many were made */
static bool faults_are_armed;
static unsigned fault_kinds[1000]; /* by number: which call it was */

#define FAULT_EXIT 9

static bool
fault_hits(enum fault_call call)
{
	if (!faults_are_armed)
		return false;
	if (++fault_calls < ARRAY_LEN(fault_kinds))
		fault_kinds[fault_calls] = call;
	return fault_calls == fault_at;
}

/* True: the call must fail with errno set. */
static bool
fault_now(enum fault_call call)
{
	if (!fault_hits(call))
		return false;
	if (fault == FAULT_KILL || fault == FAULT_HALF)
		(void)syscall(SYS_exit_group, FAULT_EXIT);
	errno = fault_errno;
	return fault == FAULT_ERROR;
}

/* NOLINTBEGIN: the names are those of the C library. */
ssize_t
pwrite(int fd, const void *p, size_t n, off_t off)
{
	/* Within a page a small write is done or not (mbox_header.c). */
	bool splits = off / 4096 != (off + (off_t)n - 1) / 4096 || n > 300;

	if (fault_hits(CALL_WRITE)) {
		if (fault == FAULT_HALF && splits)
			(void)syscall(SYS_pwrite64, fd, p, n / 2, off);
		if (fault == FAULT_KILL || fault == FAULT_HALF)
			(void)syscall(SYS_exit_group, FAULT_EXIT);
		errno = fault_errno;
		if (fault == FAULT_ERROR)
			return -1;
		if (fault == FAULT_SHORT && splits)
			n /= 2;
	}
	return syscall(SYS_pwrite64, fd, p, n, off);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	if (fault_hits(CALL_WRITE)) {
		if (fault == FAULT_HALF)
			(void)syscall(SYS_write, fd, p, n / 2);
		if (fault == FAULT_KILL || fault == FAULT_HALF)
			(void)syscall(SYS_exit_group, FAULT_EXIT);
		errno = fault_errno;
		if (fault == FAULT_ERROR)
			return -1;
		if (fault == FAULT_SHORT && n > 1)
			n /= 2;
	}
	return syscall(SYS_write, fd, p, n);
}

int
fdatasync(int fd)
{
	return fault_now(CALL_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return fault_now(CALL_SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int
ftruncate(int fd, off_t n)
{
	return fault_now(CALL_CUT) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

int
posix_fallocate(int fd, off_t off, off_t n)
{
	if (fault_now(CALL_RESERVE))
		return errno;
	return syscall(SYS_fallocate, fd, 0, off, n) == -1 ? errno : 0;
}

int
futimens(int fd, const struct timespec ts[2])
{
	return fault_now(CALL_TIMES)
	    ? -1
	    : (int)syscall(SYS_utimensat, fd, NULL, ts, 0);
}

int
renameat(int d1, const char *from, int d2, const char *to)
{
	return fault_now(CALL_NAME)
	    ? -1
	    : (int)syscall(SYS_renameat2, d1, from, d2, to, 0);
}

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	return fault_now(CALL_NAME)
	    ? -1
	    : (int)syscall(SYS_renameat2, d1, from, d2, to, flags);
}

int
linkat(int d1, const char *from, int d2, const char *to, int flags)
{
	return fault_now(CALL_NAME)
	    ? -1
	    : (int)syscall(SYS_linkat, d1, from, d2, to, flags);
}

int
mkdirat(int d, const char *name, mode_t mode)
{
	return fault_now(CALL_NAME) ? -1
				    : (int)syscall(SYS_mkdirat, d, name, mode);
}

int
unlinkat(int d, const char *name, int flags)
{
	return fault_now(CALL_UNLINK)
	    ? -1
	    : (int)syscall(SYS_unlinkat, d, name, flags);
}
/* NOLINTEND */

#endif
