/* SPDX-License-Identifier: ISC */
/*
 * posix_acl.c - access lists of files as the kernel keeps them.
 *
 * Owns:    nothing.
 * Runs in: imapd and restantectl, as the owner of the files.
 * Trusts:  nothing in an attribute.
 * Spec:    acl(5), linux/posix_acl_xattr.h: a version, then entries of tag,
 *          permissions and number, little-endian, in the order of tags.
 */
#include "os/posix_acl.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "os/fd.h"

#define ENTRY 8
#define BYTES_MAX (4 + (POSIX_ACL_MAX + 4) * ENTRY)

static const char *const names[] = {
    [POSIX_ACL_ACCESS] = "system.posix_acl_access",
    [POSIX_ACL_DEFAULT] = "system.posix_acl_default",
};

void
posix_acl_of_mode(struct posix_acl *l, mode_t mode)
{
	*l = (struct posix_acl){
	    .owner = mode >> 6 & 7, .group = mode >> 3 & 7, .other = mode & 7};
}

static uint32_t
get_le(const char *p, size_t n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | (unsigned char)p[n];
	return v;
}

static void
put_le(struct buf *b, uint32_t v, size_t n)
{
	for (; n > 0; n--, v >>= 8)
		(void)buf_add_byte(b, (char)(v & 255));
}

static struct posix_acl_entry *
find(struct posix_acl *l, enum posix_acl_kind kind, uint32_t number)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].kind == kind && l->v[i].number == number)
			return &l->v[i];
	return NULL;
}

static bool
take_entry(struct posix_acl *l, uint32_t tag, uint8_t perm, uint32_t number)
{
	enum posix_acl_kind kind =
	    tag == ACL_USER ? POSIX_ACL_USER : POSIX_ACL_GROUP;

	switch (tag) {
	case ACL_USER_OBJ:
		l->owner = perm;
		return true;
	case ACL_GROUP_OBJ:
		l->group = perm;
		return true;
	case ACL_OTHER:
		l->other = perm;
		return true;
	case ACL_MASK:
		l->mask = perm;
		l->has_mask = true;
		return true;
	case ACL_USER:
	case ACL_GROUP:
		/* The kernel names nobody twice. */
		if (l->n == POSIX_ACL_MAX || find(l, kind, number) != NULL)
			return false;
		l->v[l->n++] = (struct posix_acl_entry){
		    .kind = kind,
		    .number = number,
		    .perm = perm,
		};
		return true;
	}
	return false;
}

bool
posix_acl_parse(struct posix_acl *l, struct str s)
{
	*l = (struct posix_acl){0};
	if (s.n < 4 || (s.n - 4) % ENTRY != 0 ||
	    get_le(s.p, 4) != POSIX_ACL_XATTR_VERSION)
		return false;
	for (s = str_skip(s, 4); s.n > 0; s = str_skip(s, ENTRY))
		if (get_le(s.p + 2, 2) > 7 ||
		    !take_entry(l, get_le(s.p, 2), (uint8_t)get_le(s.p + 2, 2),
			get_le(s.p + 4, 4)))
			return false;
	return l->n == 0 || l->has_mask;
}

static void
put_entry(struct buf *b, uint32_t tag, uint8_t perm, uint32_t number)
{
	put_le(b, tag, 2);
	put_le(b, perm, 2);
	put_le(b, number, 4);
}

static void
put_named(struct buf *b, const struct posix_acl *l, enum posix_acl_kind kind)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].kind == kind)
			put_entry(b,
			    kind == POSIX_ACL_USER ? ACL_USER : ACL_GROUP,
			    l->v[i].perm, l->v[i].number);
}

void
posix_acl_write(const struct posix_acl *l, struct buf *b)
{
	const uint32_t none = (uint32_t)ACL_UNDEFINED_ID;

	put_le(b, POSIX_ACL_XATTR_VERSION, 4);
	put_entry(b, ACL_USER_OBJ, l->owner, none);
	put_named(b, l, POSIX_ACL_USER);
	put_entry(b, ACL_GROUP_OBJ, l->group, none);
	put_named(b, l, POSIX_ACL_GROUP);
	if (l->has_mask)
		put_entry(b, ACL_MASK, l->mask, none);
	put_entry(b, ACL_OTHER, l->other, none);
}

int
posix_acl_of(
    const struct posix_acl *l, enum posix_acl_kind kind, uint32_t number)
{
	if (kind == POSIX_ACL_OTHER)
		return l->other;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].kind == kind && l->v[i].number == number)
			return l->v[i].perm & l->mask;
	return -1;
}

/* The kernel wants them in the order of their numbers. */
static void
insert(struct posix_acl *l, struct posix_acl_entry e)
{
	size_t at = l->n++;

	while (at > 0 && l->v[at - 1].number > e.number) {
		l->v[at] = l->v[at - 1];
		at--;
	}
	l->v[at] = e;
}

/*
 * A mask that was narrower kept entries from counting: they do not count now
 * either, when it is made wider.
 */
static void
widen_mask(struct posix_acl *l, uint8_t perm)
{
	if (!l->has_mask) {
		l->mask = l->group;
		l->has_mask = true;
	}
	if ((perm & ~l->mask) == 0)
		return;
	l->group &= l->mask;
	for (size_t i = 0; i < l->n; i++)
		l->v[i].perm &= l->mask;
	l->mask |= perm;
}

static bool
remove_entry(struct posix_acl *l, struct posix_acl_entry *e)
{
	if (e == NULL)
		return false;
	memmove(e, e + 1, (size_t)(&l->v[l->n] - (e + 1)) * sizeof(*e));
	if (--l->n > 0)
		return true;
	/* A mode says it all again. */
	l->group &= l->mask;
	l->has_mask = false;
	return true;
}

bool
posix_acl_set(struct posix_acl *l, enum posix_acl_kind kind, uint32_t number,
    int perm, bool *full)
{
	struct posix_acl_entry *e = find(l, kind, number);

	if (kind == POSIX_ACL_OTHER) {
		bool changed = l->other != (perm < 0 ? 0 : perm);

		l->other = (uint8_t)(perm < 0 ? 0 : perm);
		return changed;
	}
	if (perm < 0)
		return remove_entry(l, e);
	if (e != NULL && (e->perm & l->mask) == perm)
		return false;
	if (e == NULL && l->n == POSIX_ACL_MAX) {
		*full = true;
		return false;
	}
	/* With an empty mask the kernel does not even look at the list. */
	widen_mask(l, perm > 0 ? (uint8_t)perm : 4);
	if (e != NULL)
		e->perm = (uint8_t)perm;
	else
		insert(
		    l, (struct posix_acl_entry){kind, number, (uint8_t)perm});
	return true;
}

/* ---- files ----------------------------------------------------------------- */

/* Goes into a folder that can not be read; -1, or the way back. */
static int
enter(int fd, struct err *e)
{
	int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (back == -1)
		return err_sys(e, "working directory");
	if (fchdir(fd) == 0)
		return back;
	(void)err_sys(e, "go into a folder");
	fd_close(&back);
	return -1;
}

static void
leave(int back)
{
	int saved = errno;

	if (fchdir(back) == -1)
		(void)!chdir("/");
	(void)close(back);
	errno = saved;
}

static int
no_list(struct err *e)
{
	if (errno == EOPNOTSUPP)
		return err_set(e, ERR_UNSUPPORTED,
		    "the file system keeps no access lists");
	return err_sys(e, "access list");
}

int
posix_acl_load(int fd, bool is_path, enum posix_acl_type type,
    struct posix_acl *out, bool *is_there, struct err *e)
{
	char bytes[BYTES_MAX];
	struct stat st = {0};
	ssize_t n;
	int back;

	if (is_path) {
		back = enter(fd, e);
		if (back == -1)
			return -1;
		n = getxattr(".", names[type], bytes, sizeof(bytes));
		leave(back);
	} else {
		n = fgetxattr(fd, names[type], bytes, sizeof(bytes));
	}
	*is_there = n >= 0;
	if (n == -1 && errno != ENODATA)
		return no_list(e);
	if (n == -1 && type == POSIX_ACL_ACCESS && fstat(fd, &st) == -1)
		return err_sys(e, "fstat");
	posix_acl_of_mode(out, st.st_mode);
	if (n >= 0 && !posix_acl_parse(out, str_make(bytes, (size_t)n)))
		return err_set(e, ERR_CORRUPT, "access list");
	return 0;
}

int
posix_acl_save(int fd, bool is_path, enum posix_acl_type type,
    const struct posix_acl *l, struct err *e)
{
	bool goes = type == POSIX_ACL_DEFAULT && l->n == 0 && l->owner == 0;
	struct buf b;
	int back = -1, rc;

	if (is_path && (back = enter(fd, e)) == -1)
		return -1;
	buf_init(&b, BYTES_MAX);
	posix_acl_write(l, &b);
	if (goes)
		rc = is_path ? removexattr(".", names[type])
			     : fremovexattr(fd, names[type]);
	else
		rc = is_path ? setxattr(".", names[type], b.p, b.n, 0)
			     : fsetxattr(fd, names[type], b.p, b.n, 0);
	if (rc == -1 && goes && errno == ENODATA)
		rc = 0;
	if (rc == -1)
		rc = no_list(e);
	if (back != -1)
		leave(back);
	buf_done(&b);
	return rc;
}
