/* SPDX-License-Identifier: ISC */
/*
 * delay.c - when a user has logged in last, for LOGIN-DELAY.
 *
 * Owns:    the file "pop3-login" in the user's state folder: seconds since 1970
 *          in digits.
 * Runs in: pop3d, as the mail user.
 * Trusts:  nothing in the file: what is no time, or one to come, holds nobody
 *          back. (The file is the user's own: he can remove it from a shell, and
 *          from a shell he needs no login.)
 * Spec:    RFC 2449 section 6.5.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "os/file.h"
#include "pop3d/session.h"

#define NAME "pop3-login"

static bool
last_login(const char *state_dir, int64_t *out)
{
	struct err e;
	struct buf b;
	uint64_t at;
	int dir = file_open_dir(AT_FDCWD, state_dir, true, &e);
	bool ok;

	if (dir == -1)
		return false;
	buf_init(&b, 64);
	ok = file_load(dir, NAME, &b, NULL, &e) == 0 &&
	    num_parse_u64(str_trim(buf_str(&b)), 0, INT64_MAX, &at);
	if (ok)
		*out = (int64_t)at;
	buf_done(&b);
	(void)close(dir);
	return ok;
}

uint32_t
delay_left(const char *state_dir, uint32_t delay_s)
{
	int64_t last, since;

	if (state_dir == NULL || state_dir[0] != '/' ||
	    !last_login(state_dir, &last))
		return 0;
	since = clock_wall_s() - last;
	return since < 0 || since >= delay_s ? 0 : (uint32_t)(delay_s - since);
}

void
delay_begin(const char *state_dir)
{
	char path[PATH_MAX], text[32];
	int fd, n;

	if (state_dir == NULL || state_dir[0] != '/' ||
	    snprintf(path, sizeof(path), "%s/" NAME, state_dir) >=
		(int)sizeof(path))
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Longer than any other: nothing has to be cut off. */
	n = snprintf(
	    text, sizeof(text), "%020lld\n", (long long)clock_wall_s());
	if (fd == -1 || pwrite(fd, text, (size_t)n, 0) != n)
		log_warn("can not note the time of the login in %s", path);
	if (fd != -1)
		(void)close(fd);
}
