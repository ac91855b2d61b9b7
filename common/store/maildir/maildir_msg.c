/* SPDX-License-Identifier: ISC */
/*
 * maildir_msg.c - messages: the file, found again when it was renamed; packed
 * ones; what names and the UID map say of them.
 *
 * Owns:    nothing; the descriptor is struct msg_file's.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no file below the root that is not opened without following links
 *          and checked; no size in a name.
 * Spec:    formats.md 1.7, 2; security.md 7.2.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/num.h"
#include "os/posix_acl.h"
#include "store/maildir/maildir_scan.h"
#include "store/unpack.h"

#define TRIES 10
#define PAGE_BYTES 4096 /* the least of any machine */

/*
 * Has the owner of the folder let this user write there? Then what he brings is
 * mail, unless it is a second name of a file that is his elsewhere.
 */
static bool
may_bring_mail(const struct maildir *md, const struct stat *st)
{
	struct posix_acl l;
	bool is_there;
	struct err e;
	struct stat dir;
	int perm;

	if (st->st_nlink != 1 || fstat(md->dirfd, &dir) == -1)
		return false;
	if (posix_acl_load(
		md->dirfd, false, POSIX_ACL_ACCESS, &l, &is_there, &e) == -1)
		posix_acl_of_mode(&l, dir.st_mode);
	perm = posix_acl_of(&l, POSIX_ACL_USER, st->st_uid);
	if (perm >= 0)
		return (perm & 2) != 0;
	return ((l.other | (l.has_mask ? l.group & l.mask : l.group)) & 2) != 0;
}

/*
 * Whose file may be read: ours, root's (restored), the folder's owner's, that of
 * those who share it.
 */
static bool
is_trusted(const struct maildir *md, const struct stat *st)
{
	return md->euid == 0 || st->st_uid == md->euid || st->st_uid == 0 ||
	    st->st_uid == md->perm.owner || may_bring_mail(md, st);
}

static int
fill_file(const struct maildir *md, const struct stat *st, struct msg_file *out,
    struct err *e)
{
	out->lacks_size = out->lacks_date = out->is_hint = false;
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_CORRUPT, "message is no file");
	if (!is_trusted(md, st))
		return err_set(e, ERR_PERM, "message belongs to somebody else");
	out->off = 0;
	out->size = (uint64_t)st->st_size;
	out->date_s = st->st_mtim.tv_sec;
	out->impl = NULL;
	return 0;
}

/*
 * Is it worth looking at the first bytes? Whoever compresses files leaves the
 * message's own size in the name, or none.
 */
static bool
may_be_packed(
    const struct mailbox *m, uint32_t uid, struct str name, uint64_t size)
{
	uint64_t in_name;

	return size > UNPACK_MAGIC && !set32_has(&maildir_of(m)->plain, uid) &&
	    (!maildir_name_size(maildir_base_of(name), 'S', &in_name) ||
		in_name != size);
}

/* One call for what would be several: the look whether it is packed, sizes,
 * header. */
static int
read_first(struct msg_file *f, struct err *e)
{
	size_t n = f->want < f->size ? f->want : (size_t)f->size;

	size_t got;
	char *room;

	if (n <= f->first_n)
		return 0;
	room = msg_first_room(f, n);
	if (file_read_at(f->fd, f->first_n, room + f->first_n, n - f->first_n,
		&got, e) == 0) {
		f->first_n += got;
		return 0;
	}
	msg_first_drop(f);
	return -1;
}

static int
unpack_message(struct mailbox *m, uint32_t uid, struct str name, bool only_size,
    struct msg_file *out, struct err *e)
{
	char magic[UNPACK_MAGIC];
	struct str first = {magic, 0};
	struct unpack *u;
	enum packing kind;

	if (!out->lacks_date && out->want > 0 && read_first(out, e) == -1)
		return -1;
	if (!may_be_packed(m, uid, name, out->size))
		return 0;
	if (out->first_n >= UNPACK_MAGIC)
		first = str_make(out->first, out->first_n);
	else if (file_read_at(out->fd, 0, magic, sizeof(magic), &first.n, e) ==
	    -1)
		return -1;
	kind = unpack_kind(first);
	if (kind == PACKED_NOT) {
		set32_add(&maildir_of(m)->plain, uid);
		return 0;
	}
	msg_first_drop(out);
	/* A hint like all sizes in names; verified when it is opened. */
	if (only_size &&
	    maildir_name_size(maildir_base_of(name), 'S', &out->size)) {
		out->is_hint = true;
		return 0;
	}
	if ((out->in_steps
		    ? unpack_new(out->fd, kind, &u, e)
		    : unpack_open(out->fd, kind, &u, &out->size, e)) == -1)
		return err_in(e, "%s: message %u", m->name, uid);
	out->impl = u;
	out->lacks_size = false;
	out->is_pending = out->in_steps;
	return 0;
}

enum step
maildir_msg_look(struct msg_file *f, struct err *e)
{
	return unpack_look(f->impl, &f->size, e);
}

enum step
maildir_msg_seek(struct msg_file *f, uint64_t off, struct err *e)
{
	return unpack_seek(f->impl, off, e);
}

int
maildir_msg_read(UNUSED struct mailbox *m, struct msg_file *f, uint64_t off,
    void *p, size_t n, size_t *got, struct err *e)
{
	return unpack_read(f->impl, off, p, n, got, e);
}

void
maildir_msg_close(struct msg_file *f)
{
	struct unpack *u = f->impl;

	unpack_free(&u);
	f->impl = NULL;
	close(f->fd);
	f->fd = -1;
}

/*
 * Is what was read the whole file? Who reads less than he asks for has met the
 * end, or a page that can not be read.
 */
static bool
is_whole(size_t got, size_t asked)
{
	return got < asked && got % PAGE_BYTES != 0;
}

/*
 * A file of ours, with as few calls as it takes: that it opens this way says
 * whose it is, that it can be read from that it is a file, and most often how
 * much is read how long it is. False: it is to be looked at.
 */
static bool
read_own(struct maildir *md, int dirfd, const char *name, struct msg_file *out)
{
	size_t n = out->want < MSG_FIRST_SPARE ? out->want : MSG_FIRST_SPARE;
	struct err e;
	ssize_t got;

	if (!out->may_lack || n == 0 || md->has_others ||
	    md->euid != md->perm.owner)
		return false;
	out->fd = file_open_own(dirfd, name, &e);
	if (out->fd == -1) {
		md->has_others = e.sys == EPERM;
		return false;
	}
	got = pread(out->fd, msg_first_room(out, n), n, 0);
	if (got > 0 &&
	    (is_whole((size_t)got, n) ||
		((size_t)got == n && n == out->want))) {
		out->first_n = (size_t)got;
		out->off = 0;
		out->impl = NULL;
		out->lacks_date = true;
		/* Of a larger one that is all that is wanted. */
		out->lacks_size = (size_t)got == n;
		out->size = out->lacks_size ? MSG_SIZE_LACKING : (uint64_t)got;
		return true;
	}
	out->first_n = (size_t)got == n ? n : 0;
	return false;
}

/* Opens a message's file; with `fd` -1 still it could not be opened. */
static int
open_at(const struct mailbox *m, int dirfd, const char *name,
    struct msg_file *out, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct stat st;

	out->fd = -1;
	if (read_own(md, dirfd, name, out))
		return 0;
	if (out->fd != -1) {
		if (fstat(out->fd, &st) == -1)
			return err_sys(e, "fstat %s", name);
	} else if ((out->fd = file_open(dirfd, name, &st, e)) == -1) {
		return -1;
	}
	return fill_file(md, &st, out, e);
}

/* Opens or only looks at a message, finding it again when it was renamed. */
static int
reach(struct mailbox *m, uint32_t uid, bool open_it, struct msg_file *out,
    struct err *e)
{
	struct maildir *md = maildir_of(m);
	bool only_stat = !open_it, was_missing = false;
	char name[512];
	struct stat st;

	out->first = NULL;
	out->first_n = out->first_size = 0;
	for (int i = 0; i < TRIES; i++) {
		const struct msg_rec *r;
		enum maildir_dir dir;
		int dirfd;

		if (i < 2 && uid <= m->lazy_top && !was_missing &&
		    maildir_lazy_name(m, uid, &dir, name)) {
			dirfd = dir == DIR_NEW ? md->newfd : md->curfd;
		} else {
			r = mailbox_rec(m, uid);
			if (r == NULL || r->state != REC_LIVE)
				return err_set(
				    e, ERR_GONE, "message %u is gone", uid);
			dirfd = maildir_dir_fd(md, r);
			(void)maildir_file_name(m, r, name);
		}
		out->fd = -1;
		if (open_it) {
			if (open_at(m, dirfd, name, out, e) == 0 &&
			    unpack_message(
				m, uid, str_of(name), only_stat, out, e) == 0)
				return 0;
			if (out->fd != -1) {
				close(out->fd);
				out->fd = -1;
				msg_first_drop(out);
				return -1;
			}
		} else {
			if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) ==
			    0) {
				if (fill_file(md, &st, out, e) == -1)
					return -1;
				if (out->date_only ||
				    !may_be_packed(
					m, uid, str_of(name), out->size))
					return 0;
				open_it = true; /* its bytes will tell */
				continue;
			}
			(void)err_sys(e, "stat %s", name);
		}
		if (e->code != ERR_NOT_FOUND && e->sys != ESTALE)
			return -1;
		was_missing = true;
		if (maildir_sync_now(m, e) == -1)
			return -1;
	}
	return err_set(
	    e, ERR_IN_USE, "message %u is renamed all the time", uid);
}

int
maildir_msg_open(
    struct mailbox *m, uint32_t uid, struct msg_file *out, struct err *e)
{
	return reach(m, uid, true, out, e);
}

int
maildir_msg_stat(
    struct mailbox *m, uint32_t uid, struct msg_file *out, struct err *e)
{
	out->want = 0;
	if (reach(m, uid, false, out, e) == -1)
		return -1;
	if (out->impl != NULL)
		maildir_msg_close(out);
	else if (out->fd != -1)
		close(out->fd);
	out->fd = -1;
	return 0;
}

bool
maildir_msg_facts(struct mailbox *m, uint32_t uid, struct msg_facts *out)
{
	const struct msg_rec *r;
	struct str fields, value, base;
	char key;

	if (uid > m->lazy_top || !maildir_lazy_parts(m, uid, &base, &fields)) {
		r = mailbox_rec(m, uid);
		if (r == NULL)
			return false;
		base = maildir_base(m, r);
		fields = maildir_extra(m, uid);
	}
	*out = (struct msg_facts){.base = base};
	(void)maildir_name_size(out->base, 'S', &out->size);
	(void)maildir_name_size(out->base, 'W', &out->wire_size);
	out->guid = out->base;
	while (uidlist_field(&fields, &key, &value)) {
		switch (key) {
		case 'P':
			out->uidl = value.n > 0 ? value : out->base;
			break;
		case 'O':
			(void)num_parse_u32(
			    value, 0, UINT32_MAX, &out->pop3_order);
			break;
		case 'G':
			if (value.n > 0)
				out->guid = value;
			break;
		case 'S':
			if (out->size == 0)
				(void)num_parse_u64(
				    value, 0, INT64_MAX, &out->size);
			break;
		case 'W': /* written where the name has none or lies */
			(void)num_parse_u64(
			    value, 0, INT64_MAX, &out->wire_size);
			break;
		}
	}
	return true;
}
