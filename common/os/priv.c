/* SPDX-License-Identifier: ISC */
/*
 * priv.c - give up rights, and prove that they are gone.
 *
 * Owns:    nothing.
 * Runs in: every process at its start.
 * Trusts:  the kernel's answers alone, not that a call has worked.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/priv.h"

#include "base/num.h"

bool
priv_is_root(void)
{
	return geteuid() == 0;
}

static int
get_caps(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capget, &head, data);
}

bool
priv_has_no_caps(void)
{
	struct __user_cap_data_struct data[2] = {0};

	return get_caps(data) == 0 && data[0].effective == 0 &&
	    data[1].effective == 0 && data[0].permitted == 0 &&
	    data[1].permitted == 0;
}

int
priv_keep_caps(uint64_t keep, struct err *e)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (get_caps(data) == -1)
		return err_sys(e, "capget");
	for (int i = 0; i < 2; i++) {
		uint32_t part = (uint32_t)(keep >> (32 * i));

		data[i].permitted &= part;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, data) == -1)
		return err_sys(e, "capset");
	return 0;
}

/* Nothing but `keep` is effective or permitted. */
static bool
has_only_caps(uint64_t keep)
{
	struct __user_cap_data_struct data[2] = {0};

	if (get_caps(data) == -1)
		return false;
	for (int i = 0; i < 2; i++) {
		uint32_t other = ~(uint32_t)(keep >> (32 * i));

		if (((data[i].effective | data[i].permitted) & other) != 0)
			return false;
	}
	return true;
}

static int
verify(
    uid_t sysuid, gid_t sysgid, size_t n_groups, uint64_t keep, struct err *e)
{
	uid_t u[3];
	gid_t g[3];

	if (getresuid(&u[0], &u[1], &u[2]) == -1 ||
	    getresgid(&g[0], &g[1], &g[2]) == -1)
		return err_sys(e, "getresuid");
	for (int i = 0; i < 3; i++)
		if (u[i] != sysuid || g[i] != sysgid)
			return err_set(e, ERR_PERM, "ids did not change");
	if (getgroups(0, NULL) != (int)n_groups)
		return err_set(e, ERR_PERM, "groups did not change");
	if (setuid(0) != -1 || setresuid(0, 0, 0) != -1)
		return err_set(e, ERR_PERM, "uid 0 can be had again");
	if (sysgid != 0 && setresgid(0, 0, 0) != -1)
		return err_set(e, ERR_PERM, "gid 0 can be had again");
	if (!has_only_caps(keep))
		return err_set(e, ERR_PERM, "capabilities are left");
	return 0;
}

static int
drop(uid_t sysuid, gid_t sysgid, const gid_t *groups, size_t n_groups,
    uint64_t keep, struct err *e)
{
	if (sysuid == 0 || sysuid == (uid_t)-1 || sysgid == (gid_t)-1)
		return err_set(e, ERR_PERM, "uid %u, gid %u are not for this",
		    (unsigned)sysuid, (unsigned)sysgid);
	if (setgroups(n_groups, groups) == -1)
		return err_sys(e, "setgroups");
	if (setresgid(sysgid, sysgid, sysgid) == -1)
		return err_sys(e, "setresgid %u", (unsigned)sysgid);
	if (keep != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1)
		return err_sys(e, "prctl PR_SET_KEEPCAPS");
	if (setresuid(sysuid, sysuid, sysuid) == -1)
		return err_sys(e, "setresuid %u", (unsigned)sysuid);
	if (keep != 0 && priv_keep_caps(keep, e) == -1)
		return -1;
	return verify(sysuid, sysgid, n_groups, keep, e);
}

int
priv_drop_but(uid_t sysuid, gid_t sysgid, uint64_t keep, struct err *e)
{
	return drop(sysuid, sysgid, NULL, 0, keep, e);
}

int
priv_drop(uid_t sysuid, gid_t sysgid, const gid_t *groups, size_t n_groups,
    struct err *e)
{
	return drop(sysuid, sysgid, groups, n_groups, 0, e);
}

int
priv_chroot(const char *path, struct err *e)
{
	struct stat st;

	if (chdir(path) == -1)
		return err_sys(e, "chdir %s", path);
	if (stat(".", &st) == -1)
		return err_sys(e, "stat %s", path);
	if (st.st_uid != 0 || (st.st_mode & 022) != 0)
		return err_set(e, ERR_PERM,
		    "%s: uid %u, mode %04o; must be root's and writable by "
		    "nobody else",
		    path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
	if (chroot(".") == -1)
		return err_sys(e, "chroot %s", path);
	if (chdir("/") == -1)
		return err_sys(e, "chdir /");
	return 0;
}

int
priv_no_new_privs(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_sys(e, "prctl PR_SET_NO_NEW_PRIVS");
	return 0;
}

int
priv_find_user(const char *text, struct priv_id *out, struct err *e)
{
	struct str gid = str_of(text), uid;
	uint32_t u, g;
	struct passwd *pw;
	bool has_gid = str_cut(&gid, ':', &uid);

	if (num_parse_u32(uid, 0, UINT32_MAX - 1, &u)) {
		g = u;
		if (has_gid && !num_parse_u32(gid, 0, UINT32_MAX - 1, &g))
			return err_set(e, ERR_SYNTAX, "%s: not uid:gid", text);
		*out = (struct priv_id){u, g};
		return 0;
	}
	errno = 0;
	pw = getpwnam(text);
	if (pw == NULL && errno != 0 && errno != ENOENT)
		return err_sys(e, "look up the account %s", text);
	if (pw == NULL)
		return err_set(e, ERR_NOT_FOUND, "there is no account %s%s",
		    text,
		    str_starts(str_of(text), STR("_restante"))
			? " (systemd-sysusers makes it after make install)"
			: "");
	*out = (struct priv_id){pw->pw_uid, pw->pw_gid};
	return 0;
}
