/* SPDX-License-Identifier: ISC */
/*
 * maildir_index.c - what of a Maildir mailbox lies in the index, and when that
 * is still true.
 *
 * Owns:    the form of what it gives to derived.c: circumstances, side bytes.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing that comes back: sizes and places in it are checked, names
 *          are looked for in the folder's own directories only.
 * Spec:    formats.md 1.9; security.md 7.2.
 *
 * The records are true as long as both directories and dovecot-uidlist are as
 * they were. A directory whose time is not older than the look at it by the
 * clock's granularity is read again, as ever (scan_is_needed).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_quiet.h"
#include "store/maildir/maildir_scan.h"

#define SAVED_VERSION 2u

/* Own bits that outlive the process. */
#define OWN_SAVED (OWN_NEW | OWN_NO_INFO | OWN_INFO)

struct saved_dir {
	dev_t dev;
	ino_t ino;
	struct timespec mtime;
	int64_t read_us;
};

struct saved {
	uint32_t version, size;
	struct saved_dir dirs[2];
	struct uidlist_head head;
	struct file_stamp list, keywords, more;
	struct file_tail list_tail, more_read;
	uint64_t read_to;
	uint32_t more_sets_in_file, letters, n_new;
	bool has_keywords_file, has_stray_sets, is_local;
};

/* ---- circumstances ------------------------------------------------------- */

bool
maildir_index_place(struct store *s, struct str name, struct buf *out)
{
	char rel[PATH_MAX];
	struct err e;

	if (maildir_path(s, name, rel, &e) == -1)
		return false;
	if (rel[0] == '/')
		return buf_add_c(out, rel);
	return buf_addf(out, "%s/%s", s->root, rel);
}

bool
maildir_index_guess(struct store *s, struct str name, struct buf *out)
{
	char rel[PATH_MAX];

	if (!maildir_path_guess(s, name, rel))
		return maildir_index_place(s, name, out);
	return buf_add_c(out, s->root) && buf_add_c(out, "/") &&
	    buf_add_c(out, rel);
}

bool
maildir_index_is_settled(struct mailbox *m)
{
	const struct maildir *md = maildir_of(m);

	if (md == NULL || md->is_in_memory || md->job != NULL ||
	    md->must_scan || md->list.reading != NULL ||
	    md->list.head.version == 0)
		return false;
	for (size_t i = 0; i < m->recs.n; i++)
		if (m->recs.v[i].state == REC_WAITING)
			return false;
	return true;
}

/* The state of a directory as far as it is known now. */
static void
save_dir(
    struct mailbox *m, enum maildir_dir dir, struct saved_dir *out, bool *again)
{
	struct maildir *md = maildir_of(m);
	struct dir_state *d = &md->dirs[dir];
	int64_t now_us = clock_wall_us();
	struct stat st;

	if (fstat(dir == DIR_NEW ? md->newfd : md->curfd, &st) == -1)
		return;
	out->dev = st.st_dev;
	out->ino = st.st_ino;
	if (!d->is_read || d->is_dirty)
		return; /* to be read in any case */
	/* Nothing has happened since, or there would be an event. */
	if (scan_is_watched(md) && file_time_cmp(&st.st_mtim, &d->mtime) == 0)
		d->read_us = now_us;
	out->mtime = d->mtime;
	out->read_us = d->read_us;
	if (scan_is_watched(md) &&
	    scan_is_racy(md->is_local, &d->mtime, d->read_us))
		*again = true;
}

bool
maildir_index_save(struct mailbox *m, struct buf *out, bool *again)
{
	struct maildir *md = maildir_of(m);
	struct saved s;

	memset(&s, 0, sizeof(s));
	maildir_change_end(md);
	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	/* Courier's files are looked at from the beginning, each time. */
	if (md->list.must_rewrite || md->list.is_broken || m->store->is_courier)
		return false;
	s.version = SAVED_VERSION;
	s.size = sizeof(s);
	save_dir(m, DIR_NEW, &s.dirs[DIR_NEW], again);
	save_dir(m, DIR_CUR, &s.dirs[DIR_CUR], again);
	s.head = md->list.head;
	s.list = md->list.stamp;
	s.list_tail = md->list.tail;
	s.read_to = md->list.read_to;
	s.keywords = md->keywords_stamp;
	s.more = md->more_stamp;
	s.more_read = md->more_read;
	s.more_sets_in_file = md->more_sets_in_file;
	s.letters = md->letters;
	s.has_keywords_file = md->has_keywords_file;
	s.has_stray_sets = md->has_stray_sets;
	s.is_local = md->is_local;
	s.n_new = md->n_new + md->lazy_new;
	return buf_add(out, &s, sizeof(s));
}

static bool
parse_saved(struct str bytes, struct saved *s)
{
	if (bytes.n != sizeof(*s))
		return false;
	memcpy(s, bytes.p, sizeof(*s));
	if (s->version != SAVED_VERSION || s->size != sizeof(*s) ||
	    s->list_tail.n > sizeof(s->list_tail.bytes) ||
	    s->more_read.n > sizeof(s->more_read.bytes))
		return false;
	s->head.guid[sizeof(s->head.guid) - 1] = '\0';
	s->head.other[sizeof(s->head.other) - 1] = '\0';
	return true;
}

static bool
take_dir(struct maildir *md, enum maildir_dir dir, const struct saved_dir *from)
{
	struct dir_state *d = &md->dirs[dir];
	struct stat st;

	if (fstat(dir == DIR_NEW ? md->newfd : md->curfd, &st) == -1 ||
	    st.st_ino != from->ino || st.st_dev != from->dev)
		return false;
	d->mtime = from->mtime;
	d->read_us = from->read_us;
	d->is_read = from->read_us != 0;
	return true;
}

bool
maildir_index_take(struct mailbox *m, struct str bytes)
{
	struct maildir *md = maildir_of(m);
	struct saved s;

	if (m->store->is_courier || !parse_saved(bytes, &s) ||
	    s.head.uidvalidity != m->uidvalidity ||
	    !take_dir(md, DIR_NEW, &s.dirs[DIR_NEW]) ||
	    !take_dir(md, DIR_CUR, &s.dirs[DIR_CUR]))
		goto no;
	md->list.head = s.head;
	md->list.stamp = s.list;
	md->list.tail = s.list_tail;
	md->list.read_to = s.read_to;
	/* Another file, perhaps of another UIDVALIDITY: from its beginning. */
	if (uidlist_has_changed(&md->list) && !uidlist_is_longer(&md->list))
		goto no;
	md->keywords_stamp = s.keywords;
	md->more_stamp = s.more;
	md->more_read = s.more_read;
	md->more_sets_in_file = s.more_sets_in_file;
	md->letters = s.letters;
	md->has_keywords_file = s.has_keywords_file;
	md->has_stray_sets = s.has_stray_sets;
	md->lazy_new = s.n_new;
	return true;
no:
	md->dirs[DIR_NEW] = md->dirs[DIR_CUR] = (struct dir_state){0};
	md->list.head = (struct uidlist_head){0};
	md->list.stamp = (struct file_stamp){0};
	md->list.tail = (struct file_tail){0};
	md->list.read_to = 0;
	return false;
}

/* Below the root a path from there is shorter for the kernel, too. */
static int
below_root(const struct store *s, const char **path)
{
	const struct maildir_place *p = s->impl;
	size_t n = strlen(s->root);

	if (strncmp(*path, s->root, n) != 0 || (*path)[n] != '/')
		return AT_FDCWD;
	*path += n + 1;
	return p->rootfd;
}

/* Without opening anything: three looks at times. */
static bool
dir_is_true(
    int dirfd, const char *path, bool is_local, const struct saved_dir *from)
{
	struct stat st;

	if (from->read_us == 0 ||
	    fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    st.st_ino != from->ino || st.st_dev != from->dev ||
	    file_time_cmp(&st.st_mtim, &from->mtime) != 0)
		return false;
	return !scan_is_racy(is_local, &from->mtime, from->read_us);
}

bool
maildir_index_is_true(
    struct store *s, UNUSED struct str name, struct str place, struct str bytes)
{
	char path[PATH_MAX + sizeof("/" UIDLIST_FILE)], *end = path + place.n;
	const char *at = path;
	struct file_stamp now;
	struct saved saved;
	struct quiet_folder *quiet;
	int dirfd;

	if (s->control != NULL || s->is_courier ||
	    !str_to_c(place, path, PATH_MAX))
		return false;
	dirfd = below_root(s, &at);
	quiet = quiet_of(s, at);
	if (quiet != NULL && quiet_holds(quiet, bytes))
		return true;
	if (!parse_saved(bytes, &saved))
		return false;
	memcpy(end, "/new", sizeof("/new"));
	if (!dir_is_true(dirfd, at, saved.is_local, &saved.dirs[DIR_NEW]))
		return false;
	memcpy(end, "/cur", sizeof("/cur"));
	if (!dir_is_true(dirfd, at, saved.is_local, &saved.dirs[DIR_CUR]))
		return false;
	memcpy(end, "/" UIDLIST_FILE, sizeof("/" UIDLIST_FILE));
	if (!file_stamp_at(dirfd, at, &now) ||
	    !file_stamp_eq(&now, &saved.list))
		return false;
	if (quiet != NULL && saved.is_local)
		quiet_found(quiet, bytes);
	return true;
}

/* ---- records ------------------------------------------------------------- */

/* "base\0info\0fields": info when it does not follow from the flags. */
uint64_t
maildir_index_side(struct mailbox *m, const struct msg_rec *r, struct buf *out)
{
	struct str base = maildir_base(m, r), fields = maildir_extra(m, r->uid);
	char plain[MAILDIR_INFO_MAX];

	(void)buf_add_str(out, base);
	if (r->own & OWN_INFO || fields.n > 0) {
		(void)buf_add_byte(out, '\0');
		if (r->own & OWN_INFO)
			(void)buf_add_str(out, maildir_info(m, r, plain));
	}
	if (fields.n > 0) {
		(void)buf_add_byte(out, '\0');
		(void)buf_add_str(out, fields);
	}
	return index_sum(0, base);
}

struct side {
	struct str base, info, fields;
};

static bool
split_side(struct str side, struct side *out)
{
	*out = (struct side){0};
	(void)str_next(&side, '\0', &out->base);
	(void)str_next(&side, '\0', &out->info);
	(void)str_next(&side, '\0', &out->fields);
	return out->base.n <= MAILDIR_NAME_MAX &&
	    out->base.n + out->info.n <= MAILDIR_NAME_MAX &&
	    str_find(out->base, '/') == out->base.n &&
	    str_find(out->info, '/') == out->info.n;
}

bool
maildir_index_load(struct mailbox *m, struct msg_rec *r, struct str side)
{
	struct maildir *md = maildir_of(m);
	struct side s;

	if (!split_side(side, &s))
		return false;
	r->own &= OWN_SAVED;
	if (side.n > 0)
		r->own |= OWN_IN_FILE;
	if (s.info.n == 0)
		r->own &= (uint8_t)~OWN_INFO & 0x3f;
	maildir_load_name(m, r, s.base, s.info);
	if (s.fields.n > 0)
		(void)maildir_load_extra(m, r->uid, s.fields);
	if (r->own & OWN_NEW) {
		md->n_new++;
		md->lazy_new -= md->lazy_new > 0;
	}
	md->letters |= r->keywords;
	return true;
}

void
maildir_index_loaded(struct mailbox *m, bool is_ours)
{
	struct maildir *md = maildir_of(m);

	md->lazy_new = 0;
	md->loads++;
	maildir_rehash(m);
	if (!is_ours)
		md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
}

bool
maildir_index_is_recent(UNUSED struct mailbox *m, const struct msg_rec *r)
{
	return (r->own & OWN_NEW) != 0;
}

/* ---- a message that is not loaded ---------------------------------------- */

bool
maildir_lazy_name(
    struct mailbox *m, uint32_t uid, enum maildir_dir *dir, char out[512])
{
	char plain[MAILDIR_INFO_MAX];
	struct index_rec r;
	struct str side;
	struct side s;

	if (!derived_side(m, uid, &r, &side) || !split_side(side, &s) ||
	    s.base.n == 0)
		return false;
	if (!(r.own & OWN_INFO) && !(r.own & OWN_NO_INFO))
		s.info = str_make(
		    plain, maildir_name_info(plain, r.system, r.keywords));
	if (s.base.n + s.info.n >= 512)
		return false;
	memcpy(out, s.base.p, s.base.n);
	if (s.info.n > 0)
		memcpy(out + s.base.n, s.info.p, s.info.n);
	out[s.base.n + s.info.n] = '\0';
	*dir = r.own & OWN_NEW ? DIR_NEW : DIR_CUR;
	return true;
}

bool
maildir_lazy_parts(
    struct mailbox *m, uint32_t uid, struct str *base, struct str *fields)
{
	static char copy[2][1024];
	struct index_rec r;
	struct str side;
	struct side s;

	if (!derived_side(m, uid, &r, &side) || !split_side(side, &s) ||
	    s.base.n > sizeof(copy[0]) || s.fields.n > sizeof(copy[1]))
		return false;
	memcpy(copy[0], s.base.p, s.base.n);
	if (s.fields.n > 0)
		memcpy(copy[1], s.fields.p, s.fields.n);
	*base = str_make(copy[0], s.base.n);
	*fields = str_make(copy[1], s.fields.n);
	return true;
}

/* ---- without the index --------------------------------------------------- */

/* An UID that views know and dovecot-uidlist does not: its message is gone. */
static void
add_unlisted(struct mailbox *m, const struct set32 *known)
{
	uint32_t uid = 1;
	size_t n = m->recs.n;

	for (; set32_next(known, uid, &uid); uid++) {
		size_t i = mailbox_rec_index(m, uid);
		struct msg_rec *r;

		if (i >= n || m->recs.v[i].uid != uid) {
			r = VEC_ADD(&m->recs);
			r->uid = uid;
			r->state = REC_LIVE;
			maildir_load_name(m, r, STR(""), STR(""));
			mailbox_note_expunged(m, r);
		}
		if (uid == UINT32_MAX)
			break;
	}
}

static int
by_uid(const void *a, const void *b)
{
	const struct msg_rec *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/*
 * From dovecot-uidlist and both directories. What the flags were is not known:
 * those that are set now are news to every view.
 */
int
maildir_reload(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct set32 live, known;
	int rc;

	set32_init(&live);
	set32_copy(&live, &m->live);
	mailbox_known_uids(m, &known);
	m->n_expunged = 0;
	maildir_forget_map(m);
	md->n_new = md->lazy_new = 0;
	md->loads++;
	uidlist_read_end(&md->list);
	md->list.stamp = (struct file_stamp){0};
	md->list.read_to = 0;
	md->more_stamp = md->keywords_stamp = (struct file_stamp){0};
	md->more_read = (struct file_tail){0};
	rc = maildir_read_list_now(m, e);
	VEC_EACH(&m->recs, r)
		if (set32_has(&live, r->uid))
			r->state = REC_LIVE;
	add_unlisted(m, &known);
	if (m->recs.n > 1)
		qsort(m->recs.v, m->recs.n, sizeof(*m->recs.v), by_uid);
	maildir_rehash(m);
	set32_done(&live);
	set32_done(&known);
	md->must_scan = true;
	md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
	return rc;
}
