/* SPDX-License-Identifier: ISC */
/*
 * unread.h - files that are there and can not be opened, as when there are no
 * more descriptors, or on a bad disk: this openat() is the one that is called.
 */
#ifndef TESTS_LIB_UNREAD_H
#define TESTS_LIB_UNREAD_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"

/* How the names of those files end; NULL: all can be opened. */
static const char *no_open;
/* Folders that were opened. */
static unsigned n_read;

static UNUSED bool
is_end_of(const char *end, const char *name)
{
	return end != NULL && str_ends(str_of(name), str_of(end));
}

/* NOLINTBEGIN: the names are those of the C library. */
int
openat(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	} else if (is_end_of(no_open, name)) {
		errno = EIO;
		return -1;
	}
	n_read += (flags & O_DIRECTORY) != 0;
	return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

/* What the C library's headers may make of it. */
int __openat_2(int dirfd, const char *name, int flags);

int
__openat_2(int dirfd, const char *name, int flags)
{
	return openat(dirfd, name, flags, 0);
}
/* NOLINTEND */

#endif
