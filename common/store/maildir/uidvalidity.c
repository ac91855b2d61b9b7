/* SPDX-License-Identifier: ISC */
/*
 * uidvalidity.c - the counter of UIDVALIDITY values.
 *
 * Owns:    "dovecot-uidvalidity" and "dovecot-uidvalidity.XXXXXXXX".
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; a bad main file is made anew from the file names.
 * Spec:    formats.md 2.8.
 *
 * The empty file whose name ends in the value is the counter: who renames it
 * from n to n + 1 owns n + 1. The main file only says where to begin.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "store/maildir/uidvalidity.h"

#define MAIN_FILE "dovecot-uidvalidity"
#define TRIES 10

static void
name_of(char out[64], uint32_t value)
{
	(void)snprintf(out, 64, MAIN_FILE ".%08x", value);
}

static uint32_t
after(uint32_t value)
{
	return value == UINT32_MAX ? 1 : value + 1;
}

static bool
load_main(int rootfd, uint32_t *out)
{
	struct buf b;
	struct err e;
	uint64_t v;
	bool ok;

	buf_init(&b, 64);
	ok = file_load(rootfd, MAIN_FILE, &b, NULL, &e) == 0 &&
	    num_parse_hex64(str_trim(buf_str(&b)), &v) && v > 0 &&
	    v <= UINT32_MAX;
	if (ok)
		*out = (uint32_t)v;
	buf_done(&b);
	return ok;
}

/* In place: eight digits over eight digits, whoever looks sees a number. */
static int
save_main(
    int rootfd, const struct file_perm *perm, uint32_t value, struct err *e)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%08x", value);
	int fd = openat(rootfd, MAIN_FILE,
	    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
	    perm->file_mode);

	if (fd == -1)
		return err_sys(e, "open %s", MAIN_FILE);
	if (perm->gid != (gid_t)-1)
		(void)!fchown(fd, (uid_t)-1, perm->gid);
	if (file_write(fd, str_make(text, (size_t)n), e) == -1 ||
	    (ftruncate(fd, n) == -1 && err_sys(e, "cut %s", MAIN_FILE))) {
		close(fd);
		return -1;
	}
	return file_close(&fd, MAIN_FILE, e);
}

/* The largest and the smallest value among the file names; false: none. */
static bool
scan_names(int rootfd, uint32_t *max, uint32_t *min)
{
	struct err e;
	struct dirent *d;
	DIR *dir;
	bool found = false;
	int fd = file_open_dir(rootfd, ".", false, &e);

	if (fd == -1)
		return false;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return false;
	}
	while ((d = readdir(dir)) != NULL) {
		struct str name = str_of(d->d_name);
		uint64_t v;

		if (!str_starts(name, STR(MAIN_FILE ".")))
			continue;
		name = str_skip(name, sizeof(MAIN_FILE));
		if (name.n != 8 || !num_parse_hex64(name, &v) || v == 0)
			continue;
		if (!found || v > *max)
			*max = (uint32_t)v;
		if (!found || v < *min)
			*min = (uint32_t)v;
		found = true;
	}
	closedir(dir);
	return found;
}

/* Begins counting: from the names there are, else from the time. */
static int
begin(int rootfd, const struct file_perm *perm, uint32_t *out, struct err *e)
{
	uint32_t max, min;
	char name[64];
	int fd;

	if (scan_names(rootfd, &max, &min)) {
		if (min != max) {
			name_of(name, min);
			(void)unlinkat(rootfd, name, 0);
		}
		*out = max;
		return 0;
	}
	max = (uint32_t)clock_wall_s();
	name_of(name, max);
	fd = openat(rootfd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (fd == -1 && errno != EEXIST)
		return err_sys(e, "create %s", name);
	if (fd != -1)
		close(fd);
	*out = max;
	return save_main(rootfd, perm, max, e);
}

int
uidvalidity_next(
    int rootfd, const struct file_perm *perm, uint32_t *out, struct err *e)
{
	uint32_t value = 0;
	char from[64], to[64];
	bool is_fresh = false;

	if (!load_main(rootfd, &value)) {
		if (begin(rootfd, perm, &value, e) == -1)
			return -1;
		is_fresh = true;
	}
	for (int i = 0; i < TRIES; i++, value = after(value)) {
		name_of(from, value);
		name_of(to, after(value));
		if (renameat(rootfd, from, rootfd, to) == 0) {
			*out = after(value);
			return save_main(rootfd, perm, *out, e);
		}
		if (errno != ENOENT)
			return err_sys(e, "rename %s", from);
	}
	/* The main file points to nothing near: begin from the names. */
	if (is_fresh)
		return err_set(e, ERR_OTHER, "%s: no counter", MAIN_FILE);
	(void)unlinkat(rootfd, MAIN_FILE, 0);
	return uidvalidity_next(rootfd, perm, out, e);
}
