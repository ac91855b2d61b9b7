/* SPDX-License-Identifier: ISC */
/*
 * sandbox_landlock.c - Landlock by its system calls: constants are our own, so
 * that an old header does not decide what a new kernel can do.
 *
 * Owns:    nothing that stays.
 * Runs in: every confined process, once.
 * Trusts:  the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/sandbox_impl.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define CREATE_VERSION 1U
#define RULE_PATH_BENEATH 1

/* Rights on files; the number is the ABI that brought them. */
#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_REMOVE_DIR (UINT64_C(1) << 4)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_DIR (UINT64_C(1) << 7)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_ALL_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13) /* 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14) /* 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define NET_ALL ((UINT64_C(1) << 2) - 1) /* 4: bind and connect of TCP */
#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0) /* 6 */
#define SCOPE_SIGNAL (UINT64_C(1) << 1) /* 6 */

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_beneath_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

static uint64_t
rights_of(enum sandbox_access access)
{
	switch (access) {
	case SANDBOX_READ:
		return FS_READ_FILE | FS_READ_DIR;
	case SANDBOX_LIST:
		return FS_READ_DIR;
	case SANDBOX_WRITE_FILE:
		return FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE;
	case SANDBOX_LOCK:
		return FS_READ_FILE | FS_WRITE_FILE | FS_MAKE_REG |
		    FS_REMOVE_FILE;
	case SANDBOX_FILES:
		return FS_READ_FILE | FS_WRITE_FILE | FS_MAKE_REG |
		    FS_REMOVE_FILE | FS_TRUNCATE;
	case SANDBOX_MAIL:
		return FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE |
		    FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |
		    FS_REFER | FS_TRUNCATE;
	}
	return 0;
}

int
sandbox_landlock_abi(void)
{
	long abi =
	    syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static int
add_path(
    int ruleset, uint64_t handled, const struct sandbox_path *p, struct err *e)
{
	struct path_beneath_attr rule = {
	    .allowed = rights_of(p->access) & handled};
	struct stat st;
	int fd = p->path == NULL ? p->fd : open(p->path, O_PATH | O_CLOEXEC);
	int rc = 0;

	if (fd == -1) {
		if (p->path == NULL)
			return 0;
		/* Not there, or not ours to look at: then there is no rule. */
		if (errno == ENOENT || errno == EACCES || errno == ENOTDIR)
			return 0;
		return err_sys(e, "landlock: open %s", p->path);
	}
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule,
		0) == -1)
		rc = err_sys(e, "landlock: rule for %s",
		    p->path == NULL ? "a descriptor" : p->path);
	if (p->path != NULL)
		fd_close(&fd);
	return rc;
}

static void
handled_rights(
    int abi, bool scope_signals, struct ruleset_attr *attr, size_t *size)
{
	*attr = (struct ruleset_attr){.fs = FS_ALL_1 | FS_REFER};
	*size = sizeof(attr->fs);
	if (abi >= 3)
		attr->fs |= FS_TRUNCATE;
	if (abi >= 5)
		attr->fs |= FS_IOCTL_DEV;
	if (abi >= 4) {
		attr->net = NET_ALL;
		*size += sizeof(attr->net);
	}
	if (abi >= 6) {
		attr->scoped = SCOPE_ABSTRACT_UNIX;
		if (scope_signals)
			attr->scoped |= SCOPE_SIGNAL;
		*size += sizeof(attr->scoped);
	}
}

int
landlock_enter(const struct sandbox_path *paths, size_t n_paths,
    bool scope_signals, int *abi, bool *ok, struct err *e)
{
	struct ruleset_attr attr;
	size_t size;
	int ruleset, rc = -1;

	*abi = sandbox_landlock_abi();
	*ok = false;
	/*
	 * ABI 1 refuses every rename between directories, whatever the rules
	 * say: a mail store can not work under it.
	 */
	if (*abi == 0 || (*abi == 1 && n_paths > 0))
		return 0;
	handled_rights(*abi, scope_signals, &attr, &size);
	if (*abi == 1)
		attr.fs = FS_ALL_1;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset == -1)
		return err_sys(e, "landlock: create a ruleset");
	(void)fcntl(ruleset, F_SETFD, FD_CLOEXEC);
	for (size_t i = 0; i < n_paths; i++)
		if (add_path(ruleset, attr.fs, &paths[i], e) == -1)
			goto out;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1) {
		err_sys(e, "landlock: restrict");
		goto out;
	}
	*ok = true;
	rc = 0;
out:
	fd_close(&ruleset);
	return rc;
}
