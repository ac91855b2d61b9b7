/* SPDX-License-Identifier: ISC */
/*
 * maildir_watch.c - what inotify tells of new/ and cur/, and our own changes
 * there.
 *
 * Owns:    the watches of an open mailbox.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no event further than that it is worth a look.
 * Spec:    formats.md 1.9.
 *
 * Two watches tell of the messages; who stays gets a third one, of the folder
 * with the UID map and the keywords. From then on a sync that nothing has
 * happened before is a look at the queue of events, and nothing else.
 */
#include <stdio.h>
#include <unistd.h>

#include "store/maildir/courier.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_scan.h"
#include "store/tree.h"

/* ---- events -------------------------------------------------------------- */

void
maildir_touch_begin(
    struct maildir *md, enum maildir_dir dir, struct dir_touch *t)
{
	const struct dir_state *d = &md->dirs[dir];
	struct stat st;

	md->own_changes++;
	/* Only while events tell of what others do between begin and end. */
	t->was_current = d->is_read && !d->is_dirty && md->is_local &&
	    md->watch_new != NULL && md->watch_cur != NULL &&
	    fstat(dir == DIR_NEW ? md->newfd : md->curfd, &st) == 0 &&
	    file_time_cmp(&st.st_mtim, &d->mtime) == 0;
}

void
maildir_touch_end(
    struct maildir *md, enum maildir_dir dir, const struct dir_touch *t)
{
	struct stat st;

	md->own_changes++;
	if (t->was_current &&
	    fstat(dir == DIR_NEW ? md->newfd : md->curfd, &st) == 0)
		md->dirs[dir].mtime = st.st_mtim;
}

void
maildir_change_begin(struct maildir *md)
{
	md->own_changes++;
	if (md->is_changing)
		return;
	md->is_changing = true;
	maildir_touch_begin(md, DIR_NEW, &md->changing[DIR_NEW]);
	maildir_touch_begin(md, DIR_CUR, &md->changing[DIR_CUR]);
}

void
maildir_change_end(struct maildir *md)
{
	if (!md->is_changing)
		return;
	md->is_changing = false;
	maildir_touch_end(md, DIR_NEW, &md->changing[DIR_NEW]);
	maildir_touch_end(md, DIR_CUR, &md->changing[DIR_CUR]);
}

/* Among the few that were loaded one by one. */
static const struct msg_rec *
find_single(const struct mailbox *m, struct str base)
{
	for (size_t i = m->singles.n; i > 0; i--)
		if (str_eq(maildir_base(m, &m->singles.v[i - 1]), base))
			return &m->singles.v[i - 1];
	return NULL;
}

/* Does this event tell something that the records do not say already? */
static bool
is_news(const struct mailbox *m, enum maildir_dir dir, uint32_t mask,
    struct str name)
{
	struct str base = maildir_base_of(name);
	const struct msg_rec *r;
	char own[512];
	bool is_ours;
	size_t i;

	if (name.n == 0 || *name.p == '.')
		return false;
	i = maildir_find(m, base);
	r = i != NO_REC ? &m->recs.v[i] : find_single(m, base);
	/* We change only what is loaded. */
	if (r == NULL && m->lazy_top != 0)
		return true;
	is_ours = r != NULL && r->state == REC_LIVE &&
	    ((r->own & OWN_NEW) != 0) == (dir == DIR_NEW) &&
	    str_eq(maildir_file_name(m, r, own), name);
	return (mask & (IN_MOVED_TO | IN_CREATE)) != 0 ? !is_ours : is_ours;
}

static void
on_event(
    struct mailbox *m, enum maildir_dir dir, uint32_t mask, struct str name)
{
	struct maildir *md = maildir_of(m);

	if (mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF)) {
		md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
		md->is_quiet = false;
	} else if (is_news(m, dir, mask, name))
		md->dirs[dir].is_dirty = true;
	else
		return;
	mailbox_note_news(m);
}

static void
on_new(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	(void)cookie;
	on_event(arg, DIR_NEW, mask, name);
}

static void
on_cur(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	(void)cookie;
	on_event(arg, DIR_CUR, mask, name);
}

static void
look_if_racy(struct maildir *md, enum maildir_dir dir)
{
	struct dir_state *d = &md->dirs[dir];

	d->is_dirty = d->is_dirty || !md->is_local || !d->is_read ||
	    scan_is_racy(md->is_local, &d->mtime, d->read_us);
}

bool
maildir_watch(struct mailbox *m, bool on)
{
	const uint32_t mask = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
	    IN_DELETE | IN_DELETE_SELF;
	struct maildir *md = maildir_of(m);
	char path[PATH_MAX + 8];
	struct err e;

	/* Watched as long as it is open, not only while somebody listens. */
	if (!on || m->store->hub == NULL || md->watch_failed)
		return false;
	if (md->watch_new != NULL && md->watch_cur != NULL)
		return md->is_local;
	md->is_quiet = false; /* what happened before left no event */
	(void)snprintf(path, sizeof(path), "%s/new", md->path);
	if (watch_add(
		m->store->hub, path, mask, on_new, m, &md->watch_new, &e) == -1)
		goto fail;
	(void)snprintf(path, sizeof(path), "%s/cur", md->path);
	if (watch_add(
		m->store->hub, path, mask, on_cur, m, &md->watch_cur, &e) == -1)
		goto fail;
	/* What happened before the watch left no event, only a time; and in
	 * the clock's granularity not even that. */
	look_if_racy(md, DIR_NEW);
	look_if_racy(md, DIR_CUR);
	return md->is_local;
fail:
	watch_remove(&md->watch_new);
	md->watch_failed = true;
	return false;
}

#define DEAF_MIN 256
#define DEAF_SHARE 4 /* of the messages: an event for as many as to look at */

void
maildir_expect(struct mailbox *m, uint32_t n)
{
	struct maildir *md = maildir_of(m);
	bool is_one =
	    !list_is_empty(&m->views) && m->views.next == m->views.prev;

	if (n == 0) {
		if (md->is_deaf && maildir_watch(m, true))
			mailbox_note_news(m);
		md->is_deaf = false;
		return;
	}
	if (!is_one || n < DEAF_MIN || n < m->live.n / DEAF_SHARE ||
	    md->watch_new == NULL || md->watch_cur == NULL)
		return;
	watch_remove(&md->watch_new);
	watch_remove(&md->watch_cur);
	md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
	md->is_quiet = false;
	md->is_deaf = true;
}

/* ---- the folder itself ---------------------------------------------------- */

/* Files and folders in it that a sync looks at; of others there is no end. */
static bool
is_looked_at(struct str name)
{
	static const struct str names[] = {
	    STR_LIT(UIDLIST_FILE),
	    STR_LIT(KEYWORDS_FILE),
	    STR_LIT(MORE_KEYWORDS_FILE),
	    STR_LIT(COURIER_KEYWORDS),
	    STR_LIT("cur"),
	    STR_LIT("new"),
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(name, names[i]))
			return true;
	return name.n == 0;
}

/* Our own writes too: they are few, and one look more does no harm. */
static void
on_home(
    void *arg, UNUSED uint32_t mask, UNUSED uint32_t cookie, struct str name)
{
	struct mailbox *m = arg;

	if (is_looked_at(name))
		maildir_of(m)->is_quiet = false;
}

static void
watch_home(struct mailbox *m)
{
	const uint32_t mask = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
	    IN_DELETE | IN_DELETE_SELF | IN_MODIFY | IN_ATTRIB;
	struct maildir *md = maildir_of(m);
	char path[PATH_MAX + 8];
	struct err e;

	md->is_quiet = false; /* as above */
	(void)snprintf(path, sizeof(path), "%s/.", md->path);
	if (watch_add(m->store->hub, path, mask, on_home, m, &md->watch_home,
		&e) == -1)
		md->home_failed = true;
}

#define SYNCS_WORTH_HOME 2

void
maildir_watch_more(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	if (list_is_empty(&m->views))
		return;
	(void)maildir_watch(m, true);
	if (md->n_syncs >= SYNCS_WORTH_HOME && md->watch_home == NULL &&
	    !md->home_failed && scan_is_watched(md) &&
	    md->controlfd == md->dirfd && !m->store->is_courier)
		watch_home(m);
}

bool
maildir_is_watched(const struct mailbox *m)
{
	const struct maildir *md = maildir_of(m);

	return md->is_local && watch_is_live(md->watch_new) &&
	    watch_is_live(md->watch_cur) && watch_is_live(md->watch_home);
}

/* What a sync would go on with although nobody has changed anything. */
static bool
has_work(const struct mailbox *m)
{
	const struct maildir *md = maildir_of(m);

	return md->must_scan || md->retry_ms != 0 || md->wants_load ||
	    md->want_purge || md->has_new_recs || md->list.must_rewrite ||
	    md->list.is_torn || md->list.reading != NULL ||
	    maildir_has_garbage(md) ||
	    (m->n_writers > 0 && md->n_new + md->lazy_new > 0);
}

bool
maildir_is_quiet(const struct mailbox *m)
{
	const struct maildir *md = maildir_of(m);

	/* In Courier's folder of keywords events are not asked for. */
	return md->is_quiet && maildir_is_watched(m) &&
	    md->dirs[DIR_NEW].is_read && !md->dirs[DIR_NEW].is_dirty &&
	    md->dirs[DIR_CUR].is_read && !md->dirs[DIR_CUR].is_dirty &&
	    md->courier_keywords.tv_sec == 0 && !has_work(m);
}

/* ---- of mailboxes that are not open ---------------------------------------- */

/* The folder of a mailbox; false: there is none. */
static bool
folder_of(struct store *s, struct str name, char out[PATH_MAX])
{
	char rel[PATH_MAX];
	struct err e;

	if (maildir_path(s, name, rel, &e) == -1)
		return false;
	if (rel[0] == '/')
		return str_to_c(str_of(rel), out, PATH_MAX);
	return snprintf(out, PATH_MAX, "%s/%s", s->root, rel) < PATH_MAX;
}

unsigned
maildir_spots(struct store *s, struct str name, struct tree_spot *out)
{
	static const char *const subs[] = {"new", "cur"};
	char folder[PATH_MAX];

	if (!folder_of(s, name, folder))
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		out[i].file[0] = '\0';
		out[i].mask =
		    IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE;
		if (snprintf(out[i].path, sizeof(out[i].path), "%s/%s", folder,
			subs[i]) >= (int)sizeof(out[i].path))
			return 0;
	}
	return 2;
}

bool
maildir_names_spot(struct store *s, struct str name, struct tree_spot *out)
{
	out->file[0] = '\0';
	out->mask = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE;
	if (name.n == 0)
		return str_to_c(str_of(s->root), out->path, sizeof(out->path));
	return s->is_fs_layout && !str_eq(name, STR("INBOX")) &&
	    folder_of(s, name, out->path);
}

bool
maildir_is_name(struct store *s, uint32_t mask, struct str entry)
{
	if ((mask & IN_ISDIR) == 0)
		return str_eq(entry, STR(SUBS_FILE));
	return s->is_fs_layout || (entry.n > 0 && *entry.p == '.');
}
