/* SPDX-License-Identifier: ISC */
/*
 * user_dir.c - the index and state directories that each user owns.
 *
 * Owns:    nothing that stays open.
 * Runs in: master; restantectl.
 * Trusts:  the name has been judged (grants_judge): one path component. The
 *          parent directory is master's own, nobody else can put links there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/user_dir.h"

#include "os/fd.h"

static int
open_root(const char *root, struct err *e)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 && errno == ENOENT &&
	    (mkdir(root, 0755) == 0 || errno == EEXIST)) {
		(void)chmod(root, 0755);
		fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd == -1)
		return err_sys(e, "open the directory %s", root);
	return fd;
}

static int
check_or_give(int fd, bool is_new, bool change_owner, uid_t sysuid,
    gid_t sysgid, const char *path, struct err *e)
{
	struct stat st;

	if (is_new && change_owner && fchown(fd, sysuid, sysgid) == -1)
		return err_sys(e, "give %s to uid %u", path, (unsigned)sysuid);
	if (fstat(fd, &st) == -1)
		return err_sys(e, "stat %s", path);
	if (st.st_uid != (change_owner ? sysuid : geteuid()))
		return err_set(e, ERR_PERM,
		    "%s belongs to uid %u, should be uid %u: move it away or "
		    "change its owner",
		    path, (unsigned)st.st_uid, (unsigned)sysuid);
	if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) == -1)
		return err_sys(e, "change the mode of %s", path);
	return 0;
}

int
user_dir_make(const char *root, const char *user, bool change_owner,
    uid_t sysuid, gid_t sysgid, char *out, size_t out_size, struct err *e)
{
	int root_fd = open_root(root, e), fd = -1, rc = -1;
	bool is_new;
	int n;

	if (root_fd == -1)
		return -1;
	n = snprintf(out, out_size, "%s/%s", root, user);
	if (n < 0 || (size_t)n >= out_size) {
		err_set(e, ERR_LIMIT, "the path below %s is too long", root);
		goto out;
	}
	is_new = mkdirat(root_fd, user, 0700) == 0;
	if (!is_new && errno != EEXIST) {
		err_sys(e, "make %s", out);
		goto out;
	}
	fd = openat(
	    root_fd, user, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		err_sys(e, "open %s", out);
		goto out;
	}
	rc = check_or_give(fd, is_new, change_owner, sysuid, sysgid, out, e);
	if (rc == -1 && is_new)
		(void)unlinkat(root_fd, user, AT_REMOVEDIR);
out:
	fd_close(&fd);
	fd_close(&root_fd);
	return rc;
}
