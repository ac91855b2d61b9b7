/* SPDX-License-Identifier: ISC */
/*
 * rights.c - what the viewer may do with a mailbox.
 *
 * Owns:    the names of the viewer's groups.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  the kernel with permissions. A dovecot-acl that can not be read or is
 *          not understood gives nobody anything.
 * Spec:    RFC 4314 sections 2.1 and 4; formats.md 2.11.
 */
#include "store/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "base/mem.h"
#include "os/file.h"

#define LOOK_AGAIN_MS 1000
#define GROUPS_MAX 1024

struct viewer {
	VEC(struct str) groups; /* on the heap */
};

/* ---- who ------------------------------------------------------------------- */

static bool
is_one_of(gid_t gid, const gid_t *all, int n)
{
	for (int i = 0; i < n; i++)
		if (all[i] == gid)
			return true;
	return false;
}

/*
 * From the file alone: a name service can not be asked here, and the kernel
 * knows numbers only.
 */
static void
read_groups(struct viewer *v)
{
	gid_t mine[GROUPS_MAX + 1];
	int n = getgroups(GROUPS_MAX, mine);
	const struct group *g;
	FILE *f;

	if (n < 0)
		n = 0;
	mine[n++] = getegid();
	f = fopen("/etc/group", "re");
	if (f == NULL)
		return;
	while ((g = fgetgrent(f)) != NULL)
		if (is_one_of(g->gr_gid, mine, n))
			*VEC_ADD(&v->groups) = str_of(mem_strdup(g->gr_name));
	(void)fclose(f);
}

struct acl_who
rights_viewer(struct store *s)
{
	struct store *head = store_head(s);

	if (head->viewer == NULL) {
		head->viewer = mem_new(1, sizeof(*head->viewer));
		read_groups(head->viewer);
	}
	return (struct acl_who){
	    .user = str_of(head->user),
	    .groups = head->viewer->groups.v,
	    .n_groups = head->viewer->groups.n,
	};
}

void
rights_close(struct store *s)
{
	if (s->viewer == NULL)
		return;
	VEC_EACH(&s->viewer->groups, g)
		free((char *)(uintptr_t)g->p);
	VEC_DONE(&s->viewer->groups);
	MEM_FREE(s->viewer);
}

/* ---- permissions ----------------------------------------------------------- */

static bool
may(const char *path, const char *below, int how)
{
	char full[PATH_MAX];

	if (below == NULL)
		return access(path, how) == 0;
	return snprintf(full, sizeof(full), "%s/%s", path, below) < PATH_MAX &&
	    access(full, how) == 0;
}

/* Is the folder that it lies in writable? */
static bool
may_write_above(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path)
		return false;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	return access(dir, W_OK | X_OK) == 0;
}

static unsigned
rights_to_read(const struct rights_place *p)
{
	bool ok;

	if (p->is_level)
		return may(p->path, NULL, X_OK) ? ACL_LOOKUP : ACL_NONE;
	if (p->is_file)
		ok = may(p->path, NULL, R_OK);
	else
		ok = may(p->path, NULL, X_OK) &&
		    may(p->path, "cur", R_OK | X_OK) &&
		    may(p->path, "new", R_OK | X_OK);
	if (ok)
		return ACL_LOOKUP | ACL_READ | ACL_SEEN | ACL_POST;
	/* Whoever gets so far can read who may look it up. */
	return p->is_file || may(p->path, NULL, X_OK) ? ACL_LOOKUP : ACL_NONE;
}

static bool
may_change(const struct rights_place *p)
{
	const int how = W_OK | X_OK;

	if (p->is_level)
		return false;
	if (p->is_file)
		return may(p->path, NULL, W_OK);
	return may(p->path, NULL, how) && may(p->path, "cur", how) &&
	    may(p->path, "new", how) && may(p->path, "tmp", how);
}

/* Mailboxes below it lie in its folder, but for the two flat forms. */
static bool
may_create_below(const struct store *s, const struct rights_place *p)
{
	if (p->is_file)
		return may_write_above(p->path);
	return access(!p->is_level && !s->is_fs_layout ? s->root : p->path,
		   W_OK | X_OK) == 0;
}

static unsigned
rights_of_files(const struct store *s, const struct rights_place *p)
{
	unsigned rights = rights_to_read(p);

	if (may_change(p))
		rights |= ACL_WRITE | ACL_DELETED | ACL_INSERT | ACL_EXPUNGE |
		    ACL_POST;
	if (may_create_below(s, p))
		rights |= ACL_CREATE;
	if (!p->holds_all && may_write_above(p->path))
		rights |= ACL_REMOVE;
	return rights;
}

/* ---- both ------------------------------------------------------------------ */

int
rights_load(const struct rights_place *p, struct acl *l, struct err *e)
{
	char path[PATH_MAX + sizeof(ACL_FILE)];
	struct buf b;
	int rc;

	/* Not by way of the folder, which may be passed but not read. */
	(void)snprintf(path, sizeof(path), "%s/" ACL_FILE, p->acl_dir);
	buf_init(&b, ACL_FILE_MAX);
	rc = file_load(AT_FDCWD, path, &b, NULL, e);
	if (rc == -1 && e->sys == ENOTDIR)
		e->code = ERR_NOT_FOUND;
	if (rc == 0)
		rc = acl_parse(l, buf_str(&b), e);
	buf_done(&b);
	return rc;
}

static void
warn_once(struct store *s, struct str name, const struct err *e)
{
	if (!s->warned_acl)
		store_warn(s,
		    "mailbox=%.*s dovecot-acl: %s: none but its owner is "
		    "served",
		    STR_ARG(name), e->text);
	s->warned_acl = true;
}

/* Is everybody of one uid, so that permissions do not tell them apart? */
static bool
is_without_uids(const struct store *s, bool is_mine)
{
	return is_mine && s->kind == SPACE_OTHERS;
}

static unsigned
judge(struct store *s, struct str name, const struct rights_place *p,
    bool is_mine)
{
	unsigned rights = is_mine ? ACL_ALL : rights_of_files(s, p);
	const struct acl_who who = rights_viewer(s);
	struct acl l;
	struct err e;

	if (p->holds_all)
		rights &= ~(unsigned)ACL_REMOVE;
	if (p->is_level)
		return is_without_uids(s, is_mine) ? ACL_NONE : rights;
	acl_init(&l);
	if (rights_load(p, &l, &e) == 0)
		rights &= acl_rights_of(&l, &who);
	else if (e.code == ERR_NOT_FOUND)
		rights = is_without_uids(s, is_mine) ||
			(rights & (ACL_READ | ACL_INSERT)) == 0
		    ? ACL_NONE
		    : rights;
	else {
		warn_once(s, name, &e);
		rights = ACL_NONE;
	}
	acl_done(&l);
	return rights;
}

int
rights_of(struct store *s, struct str name, unsigned *out, struct err *e)
{
	struct rights_place p = {0};
	bool is_own = s->head == NULL;
	struct stat st;

	if (s->ops->rights_place(s, name, &p, e) == -1)
		return -1;
	if (stat(p.path, &st) == -1) {
		if (errno != EACCES)
			return err_sys(e, "%s", p.path);
		*out = is_own ? ACL_ALL : ACL_NONE;
		return 0;
	}
	/* Public mail that is his is his, too. */
	if (st.st_uid == geteuid() && s->kind != SPACE_OTHERS)
		*out = ACL_ALL;
	else if (is_own && !may(p.acl_dir, ACL_FILE, F_OK))
		*out = ACL_ALL;
	else
		*out = judge(s, name, &p, st.st_uid == geteuid());
	return 0;
}

int
rights_need(unsigned rights, unsigned wanted, struct err *e)
{
	if ((rights & wanted) == wanted)
		return 0;
	if ((rights & ACL_ANY_OF) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such mailbox");
	return err_set(e, ERR_PERM, "not the right to do this");
}

int
rights_above(struct store *s, struct str name, unsigned wanted, struct err *e)
{
	struct rights_place root = {.is_level = true};
	unsigned rights;
	size_t n;

	if (s->head == NULL)
		return 0;
	while ((n = str_rfind(name, s->delimiter)) < name.n) {
		name = str_head(name, n);
		if (rights_of(s, name, &rights, e) == 0)
			return (rights & wanted) != 0
			    ? 0
			    : err_set(e, ERR_PERM, "not the right to create");
		if (e->code != ERR_NOT_FOUND)
			return -1;
	}
	if (str_to_c(str_of(s->root), root.path, sizeof(root.path)) &&
	    access(root.path, W_OK | X_OK) == 0) {
		struct stat st;

		if (stat(root.path, &st) == 0 &&
		    !is_without_uids(s, st.st_uid == geteuid()))
			return 0;
	}
	return err_set(e, ERR_PERM, "not the right to create");
}

int
rights_take(struct mailbox *m, struct err *e)
{
	struct store *s = m->store;

	m->rights = ACL_ALL;
	/* Our own: a folder that somebody else owns is rare. */
	if (s->ops->rights_place == NULL || s->is_making)
		return 0;
	if (rights_of(s, str_of(m->name), &m->rights, e) == -1) {
		/* What there is not the backend says in its own words. */
		m->rights = ACL_ALL;
		return 0;
	}
	m->rights_ms = clock_mono_ms();
	if ((m->rights & ACL_ANY_OF) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such mailbox");
	return 0;
}

bool
rights_look(struct mailbox *m)
{
	int64_t now = clock_mono_ms();
	unsigned before = m->rights;
	struct err e;

	if (m->store->head == NULL || m->store->ops->rights_place == NULL ||
	    now - m->rights_ms < LOOK_AGAIN_MS)
		return false;
	m->rights_ms = now;
	if (rights_of(m->store, str_of(m->name), &m->rights, &e) == -1)
		m->rights = before;
	return m->rights != before;
}

bool
rights_may_list(struct store *s, struct str name, unsigned attrs)
{
	struct rights_place p = {0};
	unsigned rights;
	struct err e;

	if (s->head == NULL || s->ops->rights_place == NULL)
		return true;
	/* Levels come back by what lies below them. */
	if ((attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT)) != 0)
		return s->kind != SPACE_OTHERS;
	/* INBOX is among the names even where the root is a folder alone. */
	if (s->ops->rights_place(s, name, &p, &e) == -1 || p.is_level)
		return false;
	return rights_of(s, name, &rights, &e) == 0 &&
	    (rights & ACL_LOOKUP) != 0;
}
