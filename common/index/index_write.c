/* SPDX-License-Identifier: ISC */
/*
 * index_write.c - write transactions of the index.
 *
 * Owns:    the transaction that is under way; the growth of the map.
 * Runs in: imapd, pop3d, restantectl, as the mail user.
 * Trusts:  nothing in the files: each value carries a sum of itself and its
 *          key.
 */
#include "base/clock.h"
#include "base/log.h"
#include "index/index_impl.h"

#define GROW_TRIES 16
#define WRITE_RETRY_MS 10000

int
index_put(struct index *ix, const struct index_key *k, struct str value,
    struct err *e)
{
	MDB_val key = index_val_of(k);
	MDB_val raw = {.mv_size = value.n + sizeof(uint32_t)};
	uint32_t sum = index_value_sum(str_make(k->bytes, k->n), value);
	int rc = 0;

	/* Most values stand beside the last one: it need not be looked for
	 * from the root. */
	if (ix->putting == NULL)
		rc = mdb_cursor_open(ix->writing, ix->dbi, &ix->putting);
	if (rc == 0)
		rc = mdb_cursor_put(ix->putting, &key, &raw, MDB_RESERVE);
	if (rc != 0)
		return index_fail(e, rc, "put");
	memcpy(raw.mv_data, &sum, sizeof(sum));
	if (value.n > 0)
		memcpy((char *)raw.mv_data + sizeof(sum), value.p, value.n);
	return 0;
}

int
index_remove(struct index *ix, const struct index_key *k, struct err *e)
{
	MDB_val key = index_val_of(k);
	int rc = mdb_del(ix->writing, ix->dbi, &key, NULL);

	return rc == 0 || rc == MDB_NOTFOUND ? 0 : index_fail(e, rc, "remove");
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
	MDB_val key = index_val_of(from), raw;
	MDB_cursor *c;
	int rc = mdb_cursor_open(ix->writing, ix->dbi, &c);

	if (rc != 0)
		return index_fail(e, rc, "cursor");
	rc = mdb_cursor_get(c, &key, &raw, MDB_SET_RANGE);
	while (rc == 0 && *left > 0 && is_in(index_str_of(&key), with)) {
		--*left;
		rc = mdb_cursor_del(c, 0);
		/* After a removal that is the one that came behind. */
		if (rc == 0)
			rc = mdb_cursor_get(c, &key, &raw, MDB_NEXT);
	}
	mdb_cursor_close(c);
	return rc == 0 || rc == MDB_NOTFOUND ? 0 : index_fail(e, rc, "remove");
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
	    index_map_anew(ix, info.me_mapsize * 2) == 0;
}

/* 0, an answer of LMDB, or -1 with `e`. */
static int
write_once(struct index *ix,
    int (*fn)(struct index *ix, void *arg, struct err *e), void *arg,
    struct err *e)
{
	int rc = mdb_txn_begin(ix->env, NULL, 0, &ix->writing);

	if (rc == MDB_MAP_RESIZED) {
		rc = index_map_anew(ix, 0);
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
	if (ix->putting != NULL)
		mdb_cursor_close(ix->putting);
	ix->putting = NULL;
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

	if (index_wake(ix))
		index_end_reading(ix);
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
		rc = index_fail(e, rc, "write");
	if (rc == 0) {
		ix->has_written = true;
		ix->failed_ms = 0;
	} else {
		note_failure(ix, e);
	}
	return rc;
}
