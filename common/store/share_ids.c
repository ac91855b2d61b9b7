/* SPDX-License-Identifier: ISC */
/*
 * share_ids.c - names of those who share mail to numbers: of users by their
 * homes, for sandboxed processes can not ask the name service.
 *
 * Owns:    nothing.
 * Runs in: imapd, restantectl, as the mail user.
 * Trusts:  the owners of the homes beside the user's own.
 * Spec:    acl(5).
 */
#include <dirent.h>
#include <grp.h>
#include <stdio.h>
#include <unistd.h>

#include "store/location.h"
#include "store/share.h"

#define LOOKED_AT_MAX 1000

/* "/home/bob", where ours is "/home/alice". */
static bool
beside_ours(
    const struct store *head, struct arena *a, struct str user, struct str *out)
{
	struct str home = str_of(head->home);
	size_t at = str_rfind(home, '/');

	if (at == home.n || at == 0 ||
	    !str_eq(str_skip(home, at + 1), str_of(head->user)))
		return false;
	*out = arena_printf(
	    a, "%.*s/%.*s", STR_ARG(str_head(home, at)), STR_ARG(user));
	return true;
}

/* "/home/bob" of "maildir:/home/%u/Maildir"; false: there is no pattern. */
static bool
home_of(struct store *head, struct arena *a, struct str user, struct str *out)
{
	struct str text =
	    str_of(head->others_location == NULL ? "" : head->others_location);
	struct store_settings set = {.home = head->home};
	struct location loc;
	struct err e;
	size_t at, end;

	if (head->others_location == NULL)
		return beside_ours(head, a, user, out);
	at = str_find(text, '%');
	if (at == text.n)
		return false;
	end = at + str_find(str_skip(text, at), '/');
	end = end < at + str_find(str_skip(text, at), ':')
	    ? end
	    : at + str_find(str_skip(text, at), ':');
	set.user = arena_c(a, user);
	if (location_parse(a, &set, str_head(text, end), &loc, &e) == -1)
		return false;
	*out = loc.root;
	return true;
}

static bool
is_a_level(struct str name)
{
	return name.n > 0 && *name.p != '.' && str_find(name, '/') == name.n &&
	    str_find(name, '\0') == name.n && str_find(name, '%') == name.n;
}

bool
share_uid_of(struct store *s, struct str user, uint32_t *sysuid)
{
	struct arena a;
	struct str home;
	struct stat st;
	bool ok = false;

	if (!is_a_level(user))
		return false;
	arena_init(&a);
	if (home_of(store_head(s), &a, user, &home))
		ok = stat(arena_c(&a, home), &st) == 0 && S_ISDIR(st.st_mode) &&
		    st.st_uid != 0;
	if (ok)
		*sysuid = st.st_uid;
	arena_done(&a);
	return ok;
}

bool
share_gid_of(struct str group, uint32_t *sysgid)
{
	FILE *f = fopen("/etc/group", "re");
	const struct group *g = NULL;

	while (f != NULL && (g = fgetgrent(f)) != NULL)
		if (str_eq(group, str_of(g->gr_name)))
			break;
	if (g != NULL)
		*sysgid = g->gr_gid;
	if (f != NULL)
		(void)fclose(f);
	return g != NULL;
}

/*
 * Does somebody else's home lie beside ours? Yes, if it can not be seen; no, if
 * all homes are of one uid.
 */
static bool
look_for_others(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *d;
	unsigned n_ours = 0;
	bool found = false;
	struct stat st;

	if (dir == NULL)
		return true;
	for (size_t n = 0;
	     !found && n < LOOKED_AT_MAX && (d = readdir(dir)) != NULL; n++) {
		if (d->d_name[0] == '.' ||
		    fstatat(dirfd(dir), d->d_name, &st, 0) == -1 ||
		    !S_ISDIR(st.st_mode) || st.st_uid == 0)
			continue;
		found = st.st_uid != geteuid();
		n_ours += !found;
	}
	found = found ||
	    (n_ours < 2 && fstat(dirfd(dir), &st) == 0 &&
		st.st_uid != geteuid());
	closedir(dir);
	return found;
}

bool
share_has_uids(struct store *s)
{
	struct store *head = store_head(s);
	struct arena a;
	struct str home;
	bool found = true;

	arena_init(&a);
	if (home_of(head, &a, str_of(head->user), &home))
		found = look_for_others(
		    arena_c(&a, str_head(home, str_rfind(home, '/'))));
	arena_done(&a);
	return found;
}
