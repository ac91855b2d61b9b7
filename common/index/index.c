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
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "index/index.h"
#include "index/index_state.h"
#include "index/lane.h"

#define MAP_MIN_BYTES (UINT64_C(64) << 20)
#define MAP_MAX_BYTES (UINT64_C(64) << 30)
#define LOCK_FILE_BYTES (16 * 1024)
#define READERS 126
#define CHECK_READERS_MS 60000
#define DAMAGE_AGAIN_S 600
#define GROW_TRIES 16
#define WRITE_RETRY_MS 10000

/*
 * What was read of the map. A walk over a large mailbox would leave all of it
 * in our page tables: after so many windows they are given back; the pages
 * stay in the kernel's cache.
 */
#define WINDOW_SHIFT 19 /* large folios are mapped whole */
#define WINDOWS_MAX 5
#define WINDOW_WORDS 16

struct walked {
	uintptr_t low, high;
	uint64_t seen[WINDOW_WORDS]; /* windows, by their number's low bits */
	unsigned n;
};

/*
 * Large values whose sum was right, as they lie in the map. Until the next
 * transaction of a writer nothing changes there; a listing comes back to them
 * again and again.
 */
#define CHECKED 64 /* a power of two; chunks of a large mailbox */
#define CHECKED_MIN_BYTES 2048

struct checked {
	const void *p;
	size_t txn;
	uint32_t n;
	uint32_t uid; /* the end of its key */
};

struct index {
	char *dir;
	int dirfd;
	struct index_state state;
	MDB_env *env; /* NULL: closed for good */
	MDB_dbi dbi;
	MDB_txn *reading; /* made once, renewed */
	MDB_cursor *cursor;
	struct lane lanes[INDEX_LANES];
	bool is_reading, is_stale, is_damaged, has_written;
	struct walked walked;
	struct checked checked[CHECKED];
	MDB_txn *writing;
	uint64_t max_bytes, epoch, serial;
	int64_t checked_ms, failed_ms;
	dev_t dev; /* of the folder */
	ino_t ino;
	struct index *next_open;
};

static struct index *all_open; /* never one twice in a process */

static int
fail(struct err *e, int rc, const char *what)
{
	if (rc == MDB_MAP_FULL)
		return err_set(e, ERR_NO_SPACE, "index: %s: map full", what);
	if (rc > 0) {
		errno = rc;
		return err_sys(e, "index: %s", what);
	}
	return err_set(e, ERR_CORRUPT, "index: %s: %s", what, mdb_strerror(rc));
}

/* Does this answer of LMDB mean that the file is not what it should be? */
static bool
is_damage(int rc)
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
	return fail(e, rc, "lock file");
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
	(void)fail(e, rc, "open");
	close_env(ix);
	if (is_damage(rc))
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
	ix->dirfd = ix->state.fd = -1;
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
	if (ix->env != NULL) {
		leave_clean(ix);
		close_env(ix);
	}
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
	return ix->env != NULL;
}

/* ---- pauses -------------------------------------------------------------- */

static void
end_reading(struct index *ix)
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

	if (ix == NULL || ix->env == NULL)
		return;
	end_reading(ix);
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

/* ---- values -------------------------------------------------------------- */

static uint32_t
value_sum(struct str key, struct str content)
{
	return (uint32_t)index_sum(index_sum(7, key), content);
}

static struct str
str_of_val(const MDB_val *v)
{
	return str_make(v->mv_data, v->mv_size);
}

static MDB_val
val_of_key(const struct index_key *k)
{
	return (MDB_val){
	    .mv_size = k->n, .mv_data = (void *)(uintptr_t)k->bytes};
}

static void
give_back(struct walked *w)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = w->low / page * page;

	/* NOLINTNEXTLINE(performance-no-int-to-ptr): a place in the map */
	(void)madvise((void *)from, w->high - from, MADV_DONTNEED);
	*w = (struct walked){0};
}

/* Of a value in the map, not one that a write has put into memory. */
static void
note_walked(struct walked *w, const MDB_val *v)
{
	uintptr_t low = (uintptr_t)v->mv_data, high = low + v->mv_size;

	if (w->n >= WINDOWS_MAX)
		give_back(w);
	if (w->n == 0 || low < w->low)
		w->low = low;
	if (high > w->high)
		w->high = high;
	for (uintptr_t i = low >> WINDOW_SHIFT; i <= high >> WINDOW_SHIFT;
	     i++) {
		uint64_t *word = &w->seen[i / 64 % WINDOW_WORDS];
		uint64_t bit = UINT64_C(1) << i % 64;

		w->n += (*word & bit) == 0;
		*word |= bit;
	}
}

/* Takes the sum off a value. */
/* Where a value of the map is noted when its sum is right; NULL: nowhere. */
static struct checked *
checked_of(struct index *ix, const MDB_val *raw)
{
	uintptr_t at = (uintptr_t)raw->mv_data;

	if (ix->writing != NULL || raw->mv_size < CHECKED_MIN_BYTES ||
	    raw->mv_size > UINT32_MAX)
		return NULL;
	return &ix->checked[at / 4096 % CHECKED];
}

static bool
check_value(
    struct index *ix, struct str key, const MDB_val *raw, struct str *value)
{
	struct str s = str_of_val(raw);
	struct checked *seen, now = {0};
	uint32_t sum;

	if (ix->writing == NULL)
		note_walked(&ix->walked, raw);
	if (s.n < sizeof(sum))
		goto bad;
	memcpy(&sum, s.p, sizeof(sum));
	s = str_skip(s, sizeof(sum));
	seen = checked_of(ix, raw);
	if (seen != NULL) {
		now = (struct checked){
		    .p = raw->mv_data,
		    .txn = mdb_txn_id(ix->reading),
		    .n = (uint32_t)raw->mv_size,
		    .uid = index_key_uid(key),
		};
		if (memcmp(seen, &now, sizeof(now)) == 0) {
			*value = s;
			return true;
		}
	}
	if (sum != value_sum(key, s))
		goto bad;
	if (seen != NULL)
		*seen = now;
	*value = s;
	return true;
bad:
	index_note_damage(ix, "wrong sum");
	return false;
}

/* Places in the map as it was are no places in the one that comes. */
static int
map_anew(struct index *ix, size_t size)
{
	ix->walked = (struct walked){0};
	memset(ix->checked, 0, sizeof(ix->checked));
	return mdb_env_set_mapsize(ix->env, size);
}

static bool
begin_reading(struct index *ix)
{
	int rc;

	if (ix->env == NULL || ix->is_damaged)
		return false;
	if (ix->is_reading || ix->writing != NULL)
		return true;
	index_state_enter(&ix->state);
	rc = mdb_txn_renew(ix->reading);
	if (rc == MDB_MAP_RESIZED) {
		/* Somebody else has made it larger. */
		rc = map_anew(ix, 0);
		if (rc == 0)
			rc = mdb_txn_renew(ix->reading);
	}
	if (rc == 0 && (rc = mdb_cursor_renew(ix->reading, ix->cursor)) != 0)
		mdb_txn_reset(ix->reading);
	if (rc != 0) {
		index_state_leave();
		if (is_damage(rc))
			index_note_damage(ix, mdb_strerror(rc));
		return false;
	}
	ix->is_reading = true;
	return true;
}

static bool
found(struct index *ix, int rc)
{
	if (rc == 0)
		return true;
	if (rc != MDB_NOTFOUND)
		index_note_damage(ix, mdb_strerror(rc));
	return false;
}

bool
index_get(struct index *ix, const struct index_key *k, struct str *value)
{
	MDB_val key = val_of_key(k), raw;
	int rc;

	if (!begin_reading(ix))
		return false;
	rc = ix->writing != NULL
	    ? mdb_get(ix->writing, ix->dbi, &key, &raw)
	    : mdb_cursor_get(ix->cursor, &key, &raw, MDB_SET_KEY);
	return found(ix, rc) &&
	    check_value(ix, str_make(k->bytes, k->n), &raw, value);
}

bool
index_get_next(struct index *ix, unsigned lane, const struct index_key *k,
    struct str *value)
{
	MDB_val key = val_of_key(k), raw;

	if (ix->writing != NULL)
		return index_get(ix, k, value);
	/* Serials begin with 0, a new lane has it. */
	return begin_reading(ix) &&
	    found(ix,
		lane_get(&ix->lanes[lane], ix->reading, ix->dbi, ix->serial + 1,
		    &key, &raw)) &&
	    check_value(ix, str_make(k->bytes, k->n), &raw, value);
}

/* One step of the cursor, then: is it still below `prefix`? */
static bool
step_cursor(struct index *ix, MDB_cursor *c, MDB_val *key, MDB_cursor_op op,
    const struct index_key *prefix, struct str *key_out, struct str *value)
{
	MDB_val raw;

	if (!found(ix, mdb_cursor_get(c, key, &raw, op)))
		return false;
	*key_out = str_of_val(key);
	return index_key_starts(*key_out, prefix) &&
	    check_value(ix, *key_out, &raw, value);
}

bool
index_seek(struct index *ix, const struct index_key *k,
    const struct index_key *prefix, struct str *key, struct str *value)
{
	MDB_val v = val_of_key(k);

	return ix->writing == NULL && begin_reading(ix) &&
	    step_cursor(ix, ix->cursor, &v, MDB_SET_RANGE, prefix, key, value);
}

bool
index_next(struct index *ix, const struct index_key *prefix, struct str *key,
    struct str *value)
{
	MDB_val v;

	return ix->is_reading &&
	    step_cursor(ix, ix->cursor, &v, MDB_NEXT, prefix, key, value);
}

bool
index_seek_back(struct index *ix, const struct index_key *k,
    const struct index_key *prefix, struct str *key, struct str *value)
{
	MDB_val v = val_of_key(k), raw;
	MDB_cursor *c = ix->cursor;
	bool ok = false;
	int rc;

	if (!begin_reading(ix))
		return false;
	if (ix->writing != NULL &&
	    mdb_cursor_open(ix->writing, ix->dbi, &c) != 0)
		return false;
	rc = mdb_cursor_get(c, &v, &raw, MDB_SET_RANGE);
	if (rc == 0 && v.mv_size == k->n &&
	    memcmp(v.mv_data, k->bytes, k->n) == 0) {
		*key = str_of_val(&v);
		ok = check_value(ix, *key, &raw, value);
	} else if (rc == 0 || rc == MDB_NOTFOUND) {
		ok = step_cursor(ix, c, &v, rc == 0 ? MDB_PREV : MDB_LAST,
		    prefix, key, value);
	} else {
		(void)found(ix, rc);
	}
	if (c != ix->cursor)
		mdb_cursor_close(c);
	return ok;
}

/* ---- writing ------------------------------------------------------------- */

int
index_put(struct index *ix, const struct index_key *k, struct str value,
    struct err *e)
{
	MDB_val key = val_of_key(k);
	MDB_val raw = {.mv_size = value.n + sizeof(uint32_t)};
	uint32_t sum = value_sum(str_make(k->bytes, k->n), value);
	int rc = mdb_put(ix->writing, ix->dbi, &key, &raw, MDB_RESERVE);

	if (rc != 0)
		return fail(e, rc, "put");
	memcpy(raw.mv_data, &sum, sizeof(sum));
	if (value.n > 0)
		memcpy((char *)raw.mv_data + sizeof(sum), value.p, value.n);
	return 0;
}

int
index_remove(struct index *ix, const struct index_key *k, struct err *e)
{
	MDB_val key = val_of_key(k);
	int rc = mdb_del(ix->writing, ix->dbi, &key, NULL);

	return rc == 0 || rc == MDB_NOTFOUND ? 0 : fail(e, rc, "remove");
}

/*
 * Removes from `from` on what `is_in` accepts, up to the first it does not, or
 * *left values, which counts down.
 */
static int
remove_while(struct index *ix, const struct index_key *from,
    bool (*is_in)(struct str key, const struct index_key *with),
    const struct index_key *with, size_t *left, struct err *e)
{
	MDB_val key = val_of_key(from), raw;
	MDB_cursor *c;
	int rc = mdb_cursor_open(ix->writing, ix->dbi, &c);

	if (rc != 0)
		return fail(e, rc, "cursor");
	rc = mdb_cursor_get(c, &key, &raw, MDB_SET_RANGE);
	while (rc == 0 && *left > 0 && is_in(str_of_val(&key), with)) {
		--*left;
		rc = mdb_cursor_del(c, 0);
		/* After a removal that is the one that came behind. */
		if (rc == 0)
			rc = mdb_cursor_get(c, &key, &raw, MDB_NEXT);
	}
	mdb_cursor_close(c);
	return rc == 0 || rc == MDB_NOTFOUND ? 0 : fail(e, rc, "remove");
}

int
index_remove_all(
    struct index *ix, const struct index_key *prefix, struct err *e)
{
	size_t left = SIZE_MAX;

	return remove_while(ix, prefix, index_key_starts, prefix, &left, e);
}

int
index_remove_some(struct index *ix, const struct index_key *prefix, size_t max,
    bool *is_all, struct err *e)
{
	size_t left = max;
	int rc = remove_while(ix, prefix, index_key_starts, prefix, &left, e);

	if (rc == 0)
		*is_all = left > 0;
	return rc;
}

static bool
is_up_to(struct str key, const struct index_key *to)
{
	return str_cmp(key, str_make(to->bytes, to->n)) <= 0;
}

int
index_remove_range(struct index *ix, const struct index_key *from,
    const struct index_key *to, struct err *e)
{
	size_t left = SIZE_MAX;

	return remove_while(ix, from, is_up_to, to, &left, e);
}

/* Twice the room, when the limit allows it. */
static bool
grow(struct index *ix)
{
	MDB_envinfo info;
	int dead;

	(void)mdb_reader_check(ix->env, &dead);
	return mdb_env_info(ix->env, &info) == 0 &&
	    info.me_mapsize * 2 <= ix->max_bytes &&
	    map_anew(ix, info.me_mapsize * 2) == 0;
}

/* 0, an answer of LMDB, or -1 with `e`. */
static int
write_once(struct index *ix,
    int (*fn)(struct index *ix, void *arg, struct err *e), void *arg,
    struct err *e)
{
	int rc = mdb_txn_begin(ix->env, NULL, 0, &ix->writing);

	if (rc == MDB_MAP_RESIZED) {
		rc = map_anew(ix, 0);
		if (rc == 0)
			rc = mdb_txn_begin(ix->env, NULL, 0, &ix->writing);
	}
	if (rc != 0) {
		ix->writing = NULL;
		return rc;
	}
	e->sys = 0;
	rc = 0;
	if (index_state_is_clean(&ix->state))
		rc = index_state_set_clean(&ix->state, false, e);
	if (rc == 0)
		rc = fn(ix, arg, e);
	if (rc == 0)
		rc = mdb_txn_commit(ix->writing);
	else
		mdb_txn_abort(ix->writing);
	ix->writing = NULL;
	return rc;
}

static void
note_failure(struct index *ix, const struct err *e)
{
	if (e->code == ERR_CORRUPT)
		index_note_damage(ix, e->text);
	else if (ix->failed_ms == 0)
		log_warn("index not written dir=%s: %s", ix->dir, e->text);
	ix->failed_ms = clock_mono_ms();
}

int
index_write(struct index *ix,
    int (*fn)(struct index *ix, void *arg, struct err *e), void *arg,
    struct err *e)
{
	int rc = -1;

	if (ix->env != NULL)
		end_reading(ix);
	if (ix->env == NULL || ix->is_stale)
		return err_set(e, ERR_UNSUPPORTED, "no index");
	if (ix->failed_ms != 0 &&
	    clock_mono_ms() - ix->failed_ms < WRITE_RETRY_MS)
		return err_set(e, ERR_NO_SPACE, "index: failed a moment ago");
	if (!index_state_is_same(&ix->state, ix->dirfd)) {
		ix->is_stale = true; /* somebody has removed it */
		return err_set(e, ERR_GONE, "index: files removed");
	}
	index_state_enter(&ix->state);
	for (int i = 0; i < GROW_TRIES; i++) {
		rc = write_once(ix, fn, arg, e);
		if (rc == -1 ? !(e->code == ERR_NO_SPACE && e->sys == 0)
			     : rc != MDB_MAP_FULL)
			break;
		if (!grow(ix))
			break;
	}
	index_state_leave();
	if (rc != 0 && rc != -1)
		rc = fail(e, rc, "write");
	if (rc == 0) {
		ix->has_written = true;
		ix->failed_ms = 0;
	} else {
		note_failure(ix, e);
	}
	return rc;
}

void
index_figures(struct index *ix, struct index_figures *out)
{
	MDB_envinfo info = {0};
	MDB_stat st = {0};

	*out = (struct index_figures){0};
	if (ix->env == NULL)
		return;
	(void)mdb_env_info(ix->env, &info);
	(void)mdb_env_stat(ix->env, &st);
	out->map_bytes = info.me_mapsize;
	out->used_bytes = (info.me_last_pgno + 1) * st.ms_psize;
	out->readers = info.me_numreaders;
	out->entries = st.ms_entries;
}
