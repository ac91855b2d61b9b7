/* SPDX-License-Identifier: ISC */
/*
 * maildir.c - the operations table; opening and closing a mailbox.
 *
 * Owns:    struct maildir: descriptors of the folder's directories.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing below the root: cur, new, tmp and every file are opened
 *          without following links and are checked.
 * Spec:    formats.md 1.1, 1.7, 2.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "index/index_key.h"
#include "store/derived.h"
#include "store/maildir/maildir_scan.h"

#define LOCK_WAIT_MS 5000
#define TMP_SCAN_EVERY_S (7 * 24 * 3600)
#define TMP_GARBAGE_S (36 * 3600)

/* ---- folder -------------------------------------------------------------- */

static const char *const subdirs[] = {"cur", "new", "tmp"};

int
maildir_make_folder(int dirfd, const struct file_perm *perm, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(subdirs); i++)
		if (file_make_dir(dirfd, subdirs[i], perm, e) == -1 &&
		    e->code != ERR_EXISTS)
			return -1;
	return 0;
}

/* Opens one of cur, new, tmp; makes it when somebody has removed it. */
static int
open_subdir(struct maildir *md, const char *name, struct err *e)
{
	int fd = file_open_dir(md->dirfd, name, false, e);

	if (fd != -1 || e->code != ERR_NOT_FOUND)
		return fd;
	if (file_make_dir(md->dirfd, name, &md->perm, e) == -1 &&
	    e->code != ERR_EXISTS)
		return -1;
	return file_open_dir(md->dirfd, name, false, e);
}

/* A directory that is only a level above others is no mailbox. */
static bool
is_mailbox(const struct store *s, struct str name, int dirfd)
{
	return !s->is_fs_layout || str_eq(name, STR("INBOX")) ||
	    faccessat(dirfd, "cur", F_OK, 0) == 0;
}

static int
open_control(struct mailbox *m, const char *rel, struct err *e)
{
	const struct maildir_place *p = m->store->impl;
	struct maildir *md = maildir_of(m);
	char path[PATH_MAX * 2];

	if (m->store->control == NULL) {
		md->controlfd = md->wordsfd = md->dirfd;
		return 0;
	}
	if (rel[0] == '/' || strcmp(rel, ".") == 0) {
		md->controlfd = file_open_dir(p->controlfd, ".", false, e);
		md->wordsfd = md->controlfd;
		return md->controlfd == -1 ? -1 : 0;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", m->store->control, rel);
	if (file_make_path(path, e) == -1)
		return -1;
	md->controlfd = md->wordsfd = file_open_dir(p->controlfd, rel, true, e);
	return md->controlfd == -1 ? -1 : 0;
}

/* Can mail be put here? */
static bool
is_writable(const struct maildir *md)
{
	return md->tmpfd != -1 &&
	    faccessat(md->curfd, ".", W_OK, AT_EACCESS) == 0 &&
	    faccessat(md->has_own_map ? md->wordsfd : md->controlfd, ".", W_OK,
		AT_EACCESS) == 0;
}

static void
ignore_record(UNUSED void *arg, UNUSED uint32_t uid, UNUSED struct str base,
    UNUSED struct str fields)
{
}

/* Its owner's GUID is the mailbox's, whoever looks. */
static void
take_guid(struct maildir *md)
{
	struct uidlist_head head = {0};
	char bytes[1024];
	size_t used, got;
	unsigned line;
	struct err e;
	int fd = file_open(md->wordsfd, UIDLIST_FILE, NULL, &e);

	if (fd == -1)
		return;
	if (file_read_at(fd, 0, bytes, sizeof(bytes), &got, &e) == 0)
		(void)uidlist_parse(&head, str_make(bytes, got), true, true,
		    ignore_record, NULL, &used, &line);
	memcpy(md->list.guid, head.guid, sizeof(md->list.guid));
	close(fd);
}

/*
 * Another map than the owner's: with UIDs of our own it must have an
 * UIDVALIDITY of its own. The folder is called after a sum of the place, which
 * also stands in it, for people.
 */
static void
open_own_map(struct mailbox *m)
{
	static const struct file_perm perm = {
	    .dir_mode = 0700, .file_mode = 0600, .gid = (gid_t)-1};
	struct maildir *md = maildir_of(m);
	struct str place = str_of(md->path);
	char path[PATH_MAX];
	struct buf text;
	struct err e;
	int fd;

	if (snprintf(path, sizeof(path), "%s/uids-%016llx%016llx",
		m->store->state, (unsigned long long)index_sum(1, place),
		(unsigned long long)index_sum(2, place)) >= (int)sizeof(path) ||
	    file_make_path(path, &e) == -1 ||
	    (fd = file_open_dir(AT_FDCWD, path, false, &e)) == -1)
		return; /* UIDs for this process, then */
	if (faccessat(fd, "place", F_OK, 0) == -1) {
		buf_init(&text, PATH_MAX + 1);
		(void)buf_add_str(&text, place);
		(void)buf_add_byte(&text, '\n');
		(void)file_replace(
		    fd, "place", "place.new", buf_str(&text), &perm, NULL, &e);
		buf_done(&text);
	}
	if (md->controlfd != md->wordsfd)
		close(md->controlfd);
	md->controlfd = fd;
	md->map_perm = perm;
	md->map_perm.owner = md->euid;
	md->has_own_map = true;
}

static int
open_dirs(struct mailbox *m, struct err *e)
{
	const struct maildir_place *p = m->store->impl;
	struct maildir *md = maildir_of(m);
	struct str name = str_of(m->name);
	char rel[PATH_MAX], path[PATH_MAX];

	if (maildir_path(m->store, name, rel, e) == -1)
		return -1;
	if (rel[0] == '/')
		md->path = mem_strdup(rel);
	else if (snprintf(path, sizeof(path), "%s/%s", m->store->root, rel) <
	    (int)sizeof(path))
		md->path = mem_strdup(path);
	else
		return err_set(e, ERR_LIMIT, "path too long");
	md->dirfd = file_open_dir(p->rootfd, rel, true, e);
	if (md->dirfd == -1)
		return -1;
	if (!is_mailbox(m->store, name, md->dirfd))
		return err_set(e, ERR_NOT_FOUND, "no mailbox, only a folder");
	if (file_perm_of(md->dirfd, &md->perm, e) == -1)
		return -1;
	md->newfd = open_subdir(md, "new", e);
	if (md->newfd == -1)
		return -1;
	md->curfd = open_subdir(md, "cur", e);
	if (md->curfd == -1)
		return -1;
	md->tmpfd = open_subdir(md, "tmp", e);
	if (md->tmpfd == -1 && e->code != ERR_PERM && e->code != ERR_READ_ONLY)
		return -1;
	if (open_control(m, rel, e) == -1)
		return -1;
	md->map_perm = md->perm;
	if (m->store->head != NULL && !is_writable(md))
		open_own_map(m);
	return 0;
}

/* Removes old files in tmp/, at most once a week (formats.md 1.7). */
static void
clean_tmp(struct maildir *md)
{
	int64_t now = clock_wall_s();
	struct stat st;
	struct dirent *d;
	struct err e;
	DIR *dir;
	int fd;

	if (md->tmpfd == -1 || fstat(md->tmpfd, &st) == -1 ||
	    st.st_atim.tv_sec >= now - TMP_SCAN_EVERY_S ||
	    st.st_atim.tv_sec > st.st_ctim.tv_sec + TMP_GARBAGE_S)
		return;
	if (futimens(md->tmpfd, NULL) == -1)
		return;
	fd = file_open_dir(md->tmpfd, ".", false, &e);
	dir = fd == -1 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' &&
		    fstatat(md->tmpfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    S_ISREG(st.st_mode) &&
		    st.st_ctim.tv_sec < now - TMP_GARBAGE_S)
			(void)unlinkat(md->tmpfd, d->d_name, 0);
	closedir(dir);
}

/* ---- open, close --------------------------------------------------------- */

/* Nothing can be written here: UIDs for this process only. */
static void
serve_in_memory(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	m->is_read_only = true;
	md->is_in_memory = true;
	m->uidvalidity = (uint32_t)clock_wall_s();
	m->uidnext = 1;
	md->list.head = (struct uidlist_head){
	    .version = 3,
	    .uidvalidity = m->uidvalidity,
	    .uidnext = 1,
	};
}

static struct str
fields_of(void *arg, uint32_t uid)
{
	return maildir_extra(arg, uid);
}

static void
init_list(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	uidlist_init(&md->list, md->controlfd,
	    md->controlfd == md->dirfd ? md->tmpfd : -1, &md->map_perm);
	md->list.fields = fields_of;
	md->list.written = maildir_courier_written;
	md->list.arg = m;
	m->is_read_only = !is_writable(md);
	if (md->has_own_map)
		take_guid(md);
}

/* It failed, or was given up: nobody has heard of what was planned. */
static void
first_look_end(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	if (md->list.is_planned) {
		uidlist_unplan(&md->list);
		m->uidvalidity = m->uidnext = 0;
		memset(m->guid, 0, sizeof(m->guid));
	}
	md->is_first_look = false;
	md->was_first_look = true;
}

static bool
may_look_first(const struct mailbox *m)
{
	const struct maildir *md = maildir_of(m);

	return !md->was_first_look && !md->has_own_map && !md->has_journal &&
	    !m->is_read_only && !m->store->is_courier && m->recs.n == 0;
}

/*
 * A mailbox without a map: a sync gives its messages their UIDs, so that the
 * map is written and synced to disk once, and not first an empty one. True:
 * *step says how it ends. False: it could not (somebody has the lock, there is
 * no space), and the empty map has to do.
 */
static bool
first_look(struct mailbox *m, enum step *step, struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (md->is_first_look && md->job == NULL)
		first_look_end(m); /* another session has left its midst */
	if (!md->is_first_look && !may_look_first(m))
		return false;
	md->is_first_look = true;
	*step = maildir_sync(m, SYNC_FORCE, e);
	if (*step == STEP_MORE)
		return true;
	first_look_end(m);
	if (*step == STEP_DONE && m->uidvalidity != 0)
		derived_note_state(m); /* even if there is no message */
	return *step == STEP_FAIL || m->uidvalidity != 0;
}

static enum step
open_list(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	enum step step;

	if (md->is_first_look && first_look(m, &step, e))
		return step;
	step = maildir_read_list(m, clock_mono_ms() + STEP_SLICE_MS, e);
	if (step != STEP_FAIL)
		return step;
	if (e->code != ERR_NOT_FOUND && e->code != ERR_CORRUPT)
		return STEP_FAIL;
	if (m->is_read_only && !md->has_own_map) {
		serve_in_memory(m);
		return STEP_DONE;
	}
	if (e->code == ERR_NOT_FOUND && first_look(m, &step, e))
		return step;
	if (m->is_read_only && !md->has_own_map) {
		serve_in_memory(m);
		return STEP_DONE;
	}
	step = maildir_lock(m, md, &md->open_wait, LOCK_WAIT_MS, e);
	if (step == STEP_FAIL &&
	    (e->code == ERR_READ_ONLY || e->code == ERR_PERM)) {
		serve_in_memory(m);
		return STEP_DONE;
	}
	if (step != STEP_DONE)
		return step;
	if (maildir_mend_list_now(m, e) == -1)
		step = STEP_FAIL;
	maildir_unlock(m);
	return step;
}

static void
close_mailbox(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	maildir_abandon(m);
	maildir_journal_end(md);
	maildir_courier_end(md);
	if (md->tmpfd != -1)
		maildir_courier_flush(m, true);
	if (md->tmpfd != -1)
		maildir_courier_pop3_flush(m, true);
	maildir_courier_pop3_done(m);
	watch_remove(&md->watch_new);
	watch_remove(&md->watch_cur);
	watch_remove(&md->watch_home);
	set32_done(&md->plain);
	set32_done(&md->moved);
	uidlist_done(&md->list);
	maildir_map_done(md);
	if (md->wordsfd != md->dirfd && md->wordsfd != md->controlfd &&
	    md->wordsfd != -1)
		close(md->wordsfd);
	if (md->controlfd != md->dirfd && md->controlfd != -1)
		close(md->controlfd);
	if (md->tmpfd != -1)
		close(md->tmpfd);
	if (md->curfd != -1)
		close(md->curfd);
	if (md->newfd != -1)
		close(md->newfd);
	if (md->dirfd != -1)
		close(md->dirfd);
	free(md->path);
	free(md);
	m->impl = NULL;
}

/* First call: the folder. */
static int
open_folder(struct mailbox *m, struct err *e)
{
	struct maildir *md = mem_new(1, sizeof(*md));

	md->dirfd = md->newfd = md->curfd = md->tmpfd = -1;
	md->controlfd = md->wordsfd = -1;
	md->euid = geteuid();
	m->impl = md;
	if (open_dirs(m, e) == -1)
		return -1;
	init_list(m);
	md->is_local = file_is_local(md->curfd);
	md->has_journal = maildir_journal_is_there(md);
	if (!md->has_journal)
		clean_tmp(md);
	return 0;
}

static enum step
open_mailbox(struct mailbox *m, struct err *e)
{
	enum step step = STEP_FAIL;
	bool is_first = m->impl == NULL;

	if (!is_first || open_folder(m, e) == 0) {
		if (is_first && derived_take(m, str_of(maildir_of(m)->path)))
			return STEP_DONE;
		step = open_list(m, e);
	}
	if (step == STEP_DONE && !maildir_of(m)->is_in_memory)
		derived_attach(m, str_of(maildir_of(m)->path));
	if (step == STEP_FAIL)
		(void)err_in(e, "%s", m->name);
	return step;
}

static bool
is_current(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	uint32_t uidvalidity = m->uidvalidity;
	struct stat open_one, named;
	struct err e;

	if (md->is_in_memory || fstat(md->dirfd, &open_one) == -1 ||
	    stat(md->path, &named) == -1 || open_one.st_ino != named.st_ino ||
	    open_one.st_dev != named.st_dev)
		return false;
	if ((named.st_mode & 0777) != md->perm.dir_mode ||
	    is_writable(md) == m->is_read_only)
		return false;
	if (fstat(md->curfd, &open_one) == -1 || open_one.st_nlink == 0 ||
	    fstat(md->newfd, &open_one) == -1 || open_one.st_nlink == 0)
		return false;
	return maildir_read_list_now(m, &e) == 0 &&
	    m->uidvalidity == uidvalidity;
}

static void
rest_a_while(struct mailbox *m)
{
	struct maildir *md = m->impl;

	if (md != NULL)
		dotlock_rest(&md->list.lock);
}

static enum step
rename_step(struct store *s, struct str from, struct str to,
    struct rename_run *run, struct err *e)
{
	if (maildir_rename(s, from, to, e) == -1)
		return STEP_FAIL;
	run->is_moved = true;
	return STEP_DONE;
}

const struct store_ops maildir_ops = {
    .driver = "maildir",
    .place_open = maildir_place_open,
    .place_close = maildir_place_close,
    .list = maildir_list,
    .list_end = maildir_list_end,
    .create = maildir_create,
    .exists = maildir_exists,
    .remove = maildir_remove,
    .rename = rename_step,
    .rights_place = maildir_rights_place,
    .subs_dir = maildir_subs_dir,
    .subs_changed = maildir_courier_subs_changed,
    .storage_name = maildir_storage_name,
    .name_of_storage = maildir_name_of_storage,
    .open = open_mailbox,
    .close = close_mailbox,
    .is_current = is_current,
    .sync = maildir_sync,
    .is_syncing = maildir_is_syncing,
    .abandon = maildir_abandon,
    .may_have_news = maildir_may_have_news,
    .watch = maildir_watch,
    .spots = maildir_spots,
    .names_spot = maildir_names_spot,
    .is_name = maildir_is_name,
    .keyword = maildir_keyword,
    .set_flags = maildir_set_flags,
    .expect = maildir_expect,
    .flush = maildir_flush,
    .expunge = maildir_expunge,
    .msg_open = maildir_msg_open,
    .msg_stat = maildir_msg_stat,
    .msg_read = maildir_msg_read,
    .msg_look = maildir_msg_look,
    .msg_seek = maildir_msg_seek,
    .msg_close = maildir_msg_close,
    .msg_facts = maildir_msg_facts,
    .note_wire_size = maildir_note_wire_size,
    .note_uidl = maildir_note_uidl,
    .own_uidl = maildir_courier_uidl,
    .repair = maildir_repair,
    .give_back = maildir_courier_give_back,
    .rest = rest_a_while,
    .index_place = maildir_index_place,
    .index_guess = maildir_index_guess,
    .index_is_settled = maildir_index_is_settled,
    .index_save = maildir_index_save,
    .index_take = maildir_index_take,
    .index_is_true = maildir_index_is_true,
    .index_side = maildir_index_side,
    .index_load = maildir_index_load,
    .index_loaded = maildir_index_loaded,
    .index_is_recent = maildir_index_is_recent,
    .index_single = true,
    .reload = maildir_reload,
    .append = &maildir_append,
    .quota = &maildir_quota,
};
