/* SPDX-License-Identifier: ISC */
/*
 * userdb.c - who a user is on this system.
 *
 * Owns:    nothing.
 * Runs in: auth children with the name service; userdb_check in authd, too.
 * Trusts:  the name service.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "auth/userdb.h"
#include "base/mem.h"

#define ROOM_MAX (1024 * 1024)

/* getpwnam_r with as much room as it wants; 0 or its error. */
static int
ask(const char *name, struct passwd *pw, char **room, struct passwd **found)
{
	size_t size = 2048;
	int rc;

	*room = NULL;
	do {
		size *= 2;
		*room = mem_resize(*room, size, 1);
		do
			rc = getpwnam_r(name, pw, *room, size, found);
		while (rc == EINTR);
	} while (rc == ERANGE && size < ROOM_MAX);
	return rc;
}

/* Services disagree about what "there is none" looks like; see getpwnam(3). */
static bool
means_not_found(int rc)
{
	return rc == 0 || rc == ENOENT || rc == ESRCH || rc == EBADF ||
	    rc == EPERM;
}

int
userdb_find(const char *name, struct userdb_user *out, struct err *e)
{
	struct passwd pw, *found = NULL;
	char *room;
	int rc = ask(name, &pw, &room, &found), n;

	if (found == NULL) {
		MEM_FREE(room);
		if (means_not_found(rc))
			return err_set(e, ERR_NOT_FOUND, "no such account");
		errno = rc;
		return err_sys(e, "name service");
	}
	out->sysuid = found->pw_uid;
	out->sysgid = found->pw_gid;
	n = snprintf(out->home, sizeof(out->home), "%s",
	    found->pw_dir == NULL ? "" : found->pw_dir);
	MEM_FREE(room);
	if (n < 0 || (size_t)n >= sizeof(out->home))
		return err_set(e, ERR_LIMIT, "home directory: name too long");
	if (out->home[0] != '/')
		return err_set(
		    e, ERR_OTHER, "account without a home directory");
	return 0;
}

static bool
in_range(uint32_t id, uint32_t first, uint32_t last)
{
	return id != 0 && id != UINT32_MAX && id >= first &&
	    (last == 0 || id <= last);
}

int
userdb_check(
    uid_t sysuid, gid_t sysgid, const struct userdb_range *r, struct err *e)
{
	if (!in_range(sysuid, r->first_uid, r->last_uid))
		return err_set(e, ERR_PERM,
		    "uid %u is outside first_valid_uid..last_valid_uid",
		    (unsigned)sysuid);
	if (!in_range(sysgid, r->first_gid, r->last_gid))
		return err_set(e, ERR_PERM,
		    "gid %u is outside first_valid_gid..last_valid_gid",
		    (unsigned)sysgid);
	return 0;
}
