/* SPDX-License-Identifier: ISC */
/*
 * maildirsize.c - adds lines to the sum of the quota.
 *
 * Owns:    nothing; the file belongs to all programs of the user.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; the file is only appended to.
 * Spec:    formats.md 1.12; Courier's maildirquota(7).
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "os/file.h"
#include "store/maildir/maildirsize.h"

#define FILE_NAME "maildirsize"
#define LINE_WIDTH 13 /* and LF */

bool
maildirsize_is_there(int rootfd)
{
	return faccessat(rootfd, FILE_NAME, W_OK, 0) == 0;
}

void
maildirsize_add(int rootfd, int64_t bytes, int64_t count)
{
	char line[64];
	struct err e;
	int fd, n;

	if (bytes == 0 && count == 0)
		return;
	fd = file_open_append(rootfd, FILE_NAME, NULL, &e);
	if (fd == -1)
		return;
	n = snprintf(line, sizeof(line), "%lld %lld", (long long)bytes,
	    (long long)count);
	while (n < LINE_WIDTH)
		line[n++] = ' ';
	line[n++] = '\n';
	/* One write, so that lines of several programs do not mix. */
	(void)!write(fd, line, (size_t)n);
	close(fd);
}
