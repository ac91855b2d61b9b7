/* SPDX-License-Identifier: ISC */
/*
 * mbox_uw.c - subscriptions of UW-IMAP and Alpine, taken over once.
 *
 * Owns:    nothing that stays open.
 * Runs in: imapd, pop3d, restantectl, as the mail user, before they are confined
 *          to the mail place: the list lies beside that.
 * Trusts:  nothing in the list.
 * Spec:    formats.md 7.1.
 *
 * With the home folder as the root (`mbox:~`) the list itself is used, see
 * mbox_subs_dir().
 */
#include <fcntl.h>
#include <unistd.h>

#include "store/mbox/mbox_impl.h"
#include "store/subs.h"

#define LIST ".mailboxlist"
#define OWN ".subscriptions"
#define LIST_MAX_BYTES (UINT64_C(1024) * 1024)

/* A line as a name below the root, which is `below` the home; or not. */
static bool
cut_name(struct str line, struct str below, struct str *name)
{
	*name = str_trim(line);
	if (str_eq_nocase(*name, STR("INBOX")))
		return true;
	if (!str_starts(*name, below) || name->n <= below.n + 1 ||
	    name->p[below.n] != '/')
		return false;
	*name = str_skip(*name, below.n + 1);
	return true;
}

static bool
convert(struct str list, struct str below, struct buf *out)
{
	struct str line, name;
	size_t head;

	(void)buf_add_c(out, SUBS_HEADER);
	head = out->n;
	while (str_next(&list, '\n', &line))
		if (cut_name(line, below, &name))
			subs_put_line(out, name, '/');
	return out->n > head && !buf_is_over(out);
}

void
mbox_uw_adopt(const char *home, struct str root)
{
	struct str below = root;
	struct file_perm perm;
	struct buf list, out;
	struct err e;
	char path[PATH_MAX];
	int homefd, rootfd;

	/* "mail" for /home/anna/mail. */
	if (!str_starts(root, str_of(home)) || !str_to_c(root, path, PATH_MAX))
		return;
	below = str_skip(below, strlen(home));
	if (below.n < 2 || *below.p != '/')
		return;
	below = str_skip(below, 1);
	rootfd = file_open_dir(AT_FDCWD, path, true, &e);
	if (rootfd == -1)
		return;
	homefd = faccessat(rootfd, OWN, F_OK, AT_SYMLINK_NOFOLLOW) == 0
	    ? -1
	    : file_open_dir(AT_FDCWD, home, true, &e);
	buf_init(&list, LIST_MAX_BYTES);
	buf_init(&out, 2 * LIST_MAX_BYTES);
	if (homefd != -1 && file_load(homefd, LIST, &list, NULL, &e) == 0 &&
	    file_perm_of(rootfd, &perm, &e) == 0 &&
	    convert(buf_str(&list), below, &out)) {
		perm.file_mode &= 0600;
		/* Who has the lock is making the file. */
		(void)subs_replace(rootfd, OWN, &perm, buf_str(&out), &e);
	}
	buf_done(&list);
	buf_done(&out);
	if (homefd != -1)
		close(homefd);
	close(rootfd);
}
