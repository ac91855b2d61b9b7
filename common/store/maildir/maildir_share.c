/* SPDX-License-Identifier: ISC */
/*
 * maildir_share.c - lets those who share a folder read what is delivered there.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the owner of the folder.
 * Trusts:  the folder's default access list, which its owner has set.
 * Spec:    acl(5): the group's bits of the mode that a program makes a file with
 *          are the mask of the list that the file inherits.
 */
#include <fcntl.h>
#include <unistd.h>

#include "os/posix_acl.h"
#include "store/maildir/maildir_impl.h"

#define READ 4

static bool
has_default_list(const struct maildir *md)
{
	struct posix_acl l;
	bool is_there;
	struct err e;

	return posix_acl_load(md->curfd, false, POSIX_ACL_DEFAULT, &l,
		   &is_there, &e) == 0 &&
	    is_there && l.has_mask && (l.mask & READ) != 0;
}

bool
maildir_is_shared(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	unsigned now = store_head(m->store)->share_gen + 1;

	if (md->share_gen != now) {
		md->share_gen = now;
		md->is_shared = has_default_list(md);
	}
	return md->is_shared;
}

/* The mask alone: the list says who, the owning group among them or not. */
void
maildir_open_up(struct mailbox *m, int dirfd, const char *name)
{
	struct posix_acl l;
	bool is_there;
	struct stat st;
	struct err e;
	int fd;

	if (!maildir_is_shared(m))
		return;
	fd =
	    openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == maildir_of(m)->euid && (st.st_mode & READ << 3) == 0 &&
	    posix_acl_load(fd, false, POSIX_ACL_ACCESS, &l, &is_there, &e) ==
		0 &&
	    is_there && l.has_mask)
		(void)!fchmod(fd, (st.st_mode & 07777) | READ << 3);
	close(fd);
}
