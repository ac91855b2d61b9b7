/* SPDX-License-Identifier: ISC */
/*
 * index.c - the LMDB environment of one user.
 *
 * Owns:    struct index; "data.mdb" and "lock.mdb" in its folder.
 * Runs in: imapd, pop3d, restantectl, as the mail user; after the last fork.
 * Trusts:  nothing in the files. Each value carries a sum of itself and its
 *          key; what LMDB itself trips over ends the process, and the next one
 *          begins anew (index_state.c).
 * Spec:    security.md 7.4. Never MDB_WRITEMAP: a full disk would be SIGBUS.
 *          No read transaction lasts longer than a step of the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "index/index_impl.h"
#include "os/fd.h"

#define MAP_MIN_BYTES (UINT64_C(64) << 20)
#define MAP_MAX_BYTES (UINT64_C(64) << 30)
#define LOCK_FILE_BYTES (16 * 1024)
#define READERS 126
#define CHECK_READERS_MS 60000
#define DAMAGE_AGAIN_S 600

static struct index *all_open; /* never one twice in a process */

int
index_fail(struct err *e, int rc, const char *what)
{
	if (rc == MDB_MAP_FULL)
		return err_set(e, ERR_NO_SPACE, "index: %s: map full", what);
	if (rc > 0) {
		errno = rc;
		return err_sys(e, "index: %s", what);
	}
	return err_set(e, ERR_CORRUPT, "index: %s: %s", what, mdb_strerror(rc));
}

bool
index_rc_is_damage(int rc)
{
	switch (rc) {
	case MDB_PAGE_NOTFOUND:
	case MDB_CORRUPTED:
	case MDB_PANIC:
	case MDB_VERSION_MISMATCH:
	case MDB_INVALID:
	case MDB_INCOMPATIBLE:
	case MDB_CURSOR_FULL:
	case MDB_PAGE_FULL:
		return true;
	default:
		return false;
	}
}

void
index_note_damage(struct index *ix, const char *what)
{
	if (ix->is_damaged)
		return;
	ix->is_damaged = ix->is_stale = true;
	log_warn("index damaged, begun anew dir=%s: %s", ix->dir, what);
	index_state_mark_damaged(&ix->state);
}

/* ---- open ---------------------------------------------------------------- */

/* LMDB needs a file system whose maps and locks all programs share. */
static int
check_place(int dirfd, struct err *e)
{
	static const unsigned long network[] = {NFS_SUPER_MAGIC,
	    SMB_SUPER_MAGIC, 0xff534d42 /* CIFS */, 0xfe534d42 /* SMB2 */,
	    AFS_SUPER_MAGIC, CODA_SUPER_MAGIC, 0x00c36400 /* Ceph */,
	    V9FS_MAGIC};
	struct statfs fs;

	if (fstatfs(dirfd, &fs) == -1)
		return err_sys(e, "index");
	for (size_t i = 0; i < ARRAY_LEN(network); i++)
		if ((unsigned long)fs.f_type == network[i])
			return err_set(e, ERR_UNSUPPORTED,
			    "index: on a network file system; set index_dir "
			    "to a disk of this host");
	return 0;
}

static int
open_dir(struct index *ix, struct err *e)
{
	struct stat st;

	if (mkdir(ix->dir, 0700) == -1 && errno != EEXIST)
		return err_sys(e, "index %s", ix->dir);
	ix->dirfd =
	    open(ix->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (ix->dirfd == -1 || fstat(ix->dirfd, &st) == -1)
		return err_sys(e, "index %s", ix->dir);
	if (st.st_uid != geteuid() || (st.st_mode & 0022) != 0)
		return err_set(e, ERR_PERM,
		    "index %s: not ours alone to write in", ix->dir);
	ix->dev = st.st_dev;
	ix->ino = st.st_ino;
	for (const struct index *o = all_open; o != NULL; o = o->next_open)
		if (o->dev == ix->dev && o->ino == ix->ino)
			return err_set(
			    e, ERR_IN_USE, "index %s: open already", ix->dir);
	return check_place(ix->dirfd, e);
}

/*
 * Room for LMDB's lock file, which is mapped and written: in a file with holes
 * on a full disk that would be a crash.
 */
static int
make_lock_file(struct index *ix, struct err *e)
{
	int fd = openat(ix->dirfd, "lock.mdb",
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	int rc;

	if (fd == -1)
		return err_sys(e, "index");
	if (fstat(fd, &st) == 0 && st.st_size >= LOCK_FILE_BYTES) {
		close(fd);
		return 0;
	}
	rc = posix_fallocate(fd, 0, LOCK_FILE_BYTES);
	close(fd);
	if (rc == 0 || rc == EOPNOTSUPP)
		return 0;
	(void)unlinkat(ix->dirfd, "lock.mdb", 0);
	return index_fail(e, rc, "lock file");
}

static void
put_aside(struct index *ix, enum index_verdict verdict)
{
	if (verdict == INDEX_STATE_DAMAGED)
		(void)renameat(ix->dirfd, "data.mdb", ix->dirfd, "data.bad");
	(void)unlinkat(ix->dirfd, "data.mdb", 0);
	(void)unlinkat(ix->dirfd, "lock.mdb", 0);
}

static uint64_t
map_size(const struct index *ix)
{
	uint64_t size = MAP_MIN_BYTES;
	struct stat st;

	if (fstatat(ix->dirfd, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) == 0)
		while (size < (uint64_t)st.st_size + MAP_MIN_BYTES / 4)
			size *= 2;
	return size;
}

static void
close_env(struct index *ix)
{
	if (ix->env == NULL)
		return;
	index_state_enter(&ix->state);
	if (ix->cursor != NULL)
		mdb_cursor_close(ix->cursor);
	for (size_t i = 0; i < INDEX_LANES; i++)
		lane_close(&ix->lanes[i]);
	if (ix->reading != NULL)
		mdb_txn_abort(ix->reading);
	ix->walked = (struct walked){0};
	memset(ix->checked, 0, sizeof(ix->checked));
	mdb_env_close(ix->env);
	index_state_leave();
	ix->env = NULL;
	ix->cursor = NULL;
	ix->reading = NULL;
	ix->is_reading = false;
}

static int
open_dbi(struct index *ix)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &txn);

	if (rc == 0) {
		rc = mdb_dbi_open(txn, NULL, 0, &ix->dbi);
		if (rc == 0)
			rc = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
	}
	if (rc == 0)
		rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &ix->reading);
	if (rc == 0)
		rc = mdb_cursor_open(ix->reading, ix->dbi, &ix->cursor);
	if (rc == 0)
		mdb_txn_reset(ix->reading);
	return rc;
}

/*
 * Not by the name of the folder: another may have it now. LMDB knows nothing of
 * descriptors, so the folder is where we are for a moment; a way through /proc
 * takes four look-ups there, a fifth of opening the index.
 */
static int
open_here(struct index *ix)
{
	const unsigned flags = MDB_NOSYNC | MDB_NOTLS;
	int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), rc;

	if (back == -1 || fchdir(ix->dirfd) == -1) {
		if (back != -1)
			close(back);
		return mdb_env_open(ix->env, ix->dir, flags, 0600);
	}
	rc = mdb_env_open(ix->env, ".", flags, 0600);
	if (fchdir(back) == -1 && chdir("/") == -1)
		log_warn("index: can not leave dir=%s", ix->dir);
	close(back);
	return rc;
}

static int
open_env(struct index *ix)
{
	int rc, dead;

	rc = mdb_env_create(&ix->env);
	if (rc != 0)
		return rc;
	if ((rc = mdb_env_set_maxreaders(ix->env, READERS)) == 0 &&
	    (rc = mdb_env_set_mapsize(ix->env, (size_t)map_size(ix))) == 0)
		rc = open_here(ix);
	if (rc != 0)
		return rc;
	(void)mdb_reader_check(ix->env, &dead);
	ix->checked_ms = clock_mono_ms();
	return open_dbi(ix);
}

static int
open_judged(struct index *ix, struct err *e)
{
	enum index_verdict verdict = index_state_judge(&ix->state, ix->dirfd);
	int64_t damaged_s = index_state_damaged_s(&ix->state);
	int64_t now_s = clock_wall_s();
	int rc;

	if (verdict == INDEX_STATE_DAMAGED && damaged_s <= now_s &&
	    now_s - damaged_s < DAMAGE_AGAIN_S)
		return err_set(e, ERR_CORRUPT,
		    "index %s: damaged twice within %d minutes", ix->dir,
		    DAMAGE_AGAIN_S / 60);
	if (verdict != INDEX_STATE_GOOD) {
		put_aside(ix, verdict);
		if (index_state_reset(&ix->state,
			verdict == INDEX_STATE_DAMAGED ? now_s : 0, e) == -1)
			return -1;
	}
	if (make_lock_file(ix, e) == -1)
		return -1;
	index_state_enter(&ix->state);
	rc = open_env(ix);
	index_state_leave();
	if (rc == 0)
		return index_state_adopt(&ix->state, ix->dirfd, e);
	(void)index_fail(e, rc, "open");
	close_env(ix);
	if (index_rc_is_damage(rc))
		index_state_mark_damaged(&ix->state);
	return -1;
}

static int
open_files(struct index *ix, struct err *e)
{
	int rc = -1;

	/* Once more, when what lies there turns out to be none. */
	for (int i = 0; i < 2 && rc == -1; i++) {
		if (index_state_open(ix->dirfd, &ix->state, e) == -1)
			return -1;
		rc = open_judged(ix, e);
		index_state_unlock(&ix->state);
		if (rc == -1)
			index_state_close(&ix->state);
		if (rc == -1 && e->code != ERR_CORRUPT)
			break;
	}
	return rc;
}

int
index_open(
    const char *dir, uint64_t max_bytes, struct index **out, struct err *e)
{
	static uint64_t epochs;
	struct index *ix = mem_new(1, sizeof(*ix));

	ix->dir = mem_strdup(dir);
	ix->dirfd = ix->state.fd = ix->pin = -1;
	ix->max_bytes = max_bytes == 0 ? MAP_MAX_BYTES : max_bytes;
	ix->epoch = ++epochs << 32;
	if (open_dir(ix, e) == -1 || open_files(ix, e) == -1) {
		index_close(&ix);
		return -1;
	}
	ix->next_open = all_open;
	all_open = ix;
	*out = ix;
	return 0;
}

/*
 * What was written is brought to the disk and the state says so: nothing needs
 * to be made anew after a reboot. Under the lock of writers, so that nobody
 * writes in between.
 */
static void
leave_clean(struct index *ix)
{
	MDB_txn *txn;
	struct err e;

	if (!ix->has_written || ix->is_stale)
		return;
	index_state_enter(&ix->state);
	if (mdb_txn_begin(ix->env, NULL, 0, &txn) == 0) {
		if (mdb_env_sync(ix->env, 1) == 0 &&
		    index_state_is_same(&ix->state, ix->dirfd))
			(void)index_state_set_clean(&ix->state, true, &e);
		mdb_txn_abort(txn);
	}
	index_state_leave();
}

void
index_close(struct index **ixp)
{
	struct index *ix = *ixp;

	*ixp = NULL;
	if (ix == NULL)
		return;
	for (struct index **o = &all_open; *o != NULL; o = &(*o)->next_open)
		if (*o == ix) {
			*o = ix->next_open;
			break;
		}
	/* For what is to be brought to the disk. */
	if (ix->env != NULL || (ix->has_written && index_wake(ix))) {
		leave_clean(ix);
		close_env(ix);
	}
	fd_close(&ix->pin);
	index_state_close(&ix->state);
	if (ix->dirfd != -1)
		close(ix->dirfd);
	free(ix->dir);
	free(ix);
}

uint64_t
index_epoch(const struct index *ix)
{
	return ix->epoch;
}

bool
index_is_stale(const struct index *ix)
{
	return ix->is_stale;
}

uint64_t
index_serial(const struct index *ix)
{
	return ix->serial;
}

bool
index_is_open(const struct index *ix)
{
	return ix->env != NULL || ix->is_resting;
}

/* ---- rest ---------------------------------------------------------------- */

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

void
index_rest(struct index *ix)
{
	struct stat own, named;
	int fd;

	if (ix->env == NULL || ix->is_reading || ix->writing != NULL ||
	    ix->is_stale)
		return;
	ix->pin =
	    openat(ix->dirfd, "data.mdb", O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (ix->pin == -1 || mdb_env_get_fd(ix->env, &fd) != 0 ||
	    fstat(fd, &own) == -1 || fstat(ix->pin, &named) == -1 ||
	    !is_same_file(&own, &named)) {
		fd_close(&ix->pin);
		return;
	}
	index_end_reading(ix);
	close_env(ix);
	ix->is_resting = true;
}

/* Under the lock of those who open: nobody puts another one there meanwhile. */
static bool
open_again(struct index *ix)
{
	struct stat own, named;
	struct err e;
	int rc;

	if (fstat(ix->pin, &own) == -1 ||
	    fstatat(ix->dirfd, "data.mdb", &named, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !is_same_file(&own, &named) ||
	    !index_state_is_same(&ix->state, ix->dirfd) ||
	    make_lock_file(ix, &e) == -1)
		return false;
	index_state_enter(&ix->state);
	rc = open_env(ix);
	index_state_leave();
	if (rc == 0)
		return true;
	close_env(ix);
	if (index_rc_is_damage(rc))
		index_note_damage(ix, mdb_strerror(rc));
	return false;
}

bool
index_wake(struct index *ix)
{
	if (ix->env != NULL || !ix->is_resting)
		return ix->env != NULL;
	ix->is_resting = false;
	if (index_state_lock(&ix->state)) {
		ix->is_stale = !open_again(ix);
		index_state_unlock(&ix->state);
	} else {
		ix->is_stale = true;
	}
	fd_close(&ix->pin);
	return ix->env != NULL;
}

/* ---- pauses -------------------------------------------------------------- */

void
index_end_reading(struct index *ix)
{
	ix->serial++;
	if (!ix->is_reading)
		return;
	mdb_txn_reset(ix->reading);
	ix->is_reading = false;
	index_state_leave();
}

static void
begin_anew(struct index *ix)
{
	struct err e;

	close_env(ix);
	index_state_close(&ix->state);
	ix->is_stale = ix->is_damaged = ix->has_written = false;
	ix->epoch++;
	if (open_files(ix, &e) == -1)
		log_warn("working without index dir=%s: %s", ix->dir, e.text);
}

void
index_pause(struct index *ix)
{
	int64_t now;
	int dead;

	/* Without one and stale: the rest has ended badly. */
	if (ix == NULL || (ix->env == NULL && !ix->is_stale))
		return;
	index_end_reading(ix);
	if (ix->is_stale) {
		begin_anew(ix);
		return;
	}
	now = clock_mono_ms();
	if (now - ix->checked_ms < CHECK_READERS_MS)
		return;
	ix->checked_ms = now;
	index_state_enter(&ix->state);
	(void)mdb_reader_check(ix->env, &dead);
	index_state_leave();
}

void
index_figures(struct index *ix, struct index_figures *out)
{
	MDB_envinfo info = {0};
	MDB_stat st = {0};

	*out = (struct index_figures){0};
	if (!index_wake(ix))
		return;
	(void)mdb_env_info(ix->env, &info);
	(void)mdb_env_stat(ix->env, &st);
	out->map_bytes = info.me_mapsize;
	out->used_bytes = (info.me_last_pgno + 1) * st.ms_psize;
	out->readers = info.me_numreaders;
	out->entries = st.ms_entries;
}
