/* SPDX-License-Identifier: ISC */
/*
 * index_read.c - values of the index, their sums, and the map they lie in.
 *
 * Owns:    read transactions; which windows of the map were walked.
 * Runs in: imapd, pop3d, restantectl, as the mail user.
 * Trusts:  nothing in the files: each value carries a sum of itself and its
 *          key.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "index/index_impl.h"

/* Places in the map as it was are no places in the one that comes. */
int
index_map_anew(struct index *ix, size_t size)
{
	ix->walked = (struct walked){0};
	memset(ix->checked, 0, sizeof(ix->checked));
	return mdb_env_set_mapsize(ix->env, size);
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

/* Takes the sum off a value. */
static bool
check_value(
    struct index *ix, struct str key, const MDB_val *raw, struct str *value)
{
	struct str s = index_str_of(raw);
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
	if (sum != index_value_sum(key, s))
		goto bad;
	if (seen != NULL)
		*seen = now;
	*value = s;
	return true;
bad:
	index_note_damage(ix, "wrong sum");
	return false;
}

static bool
begin_reading(struct index *ix)
{
	int rc;

	if (!index_wake(ix) || ix->is_damaged)
		return false;
	if (ix->is_reading || ix->writing != NULL)
		return true;
	index_state_enter(&ix->state);
	rc = mdb_txn_renew(ix->reading);
	if (rc == MDB_MAP_RESIZED) {
		/* Somebody else has made it larger. */
		rc = index_map_anew(ix, 0);
		if (rc == 0)
			rc = mdb_txn_renew(ix->reading);
	}
	if (rc == 0 && (rc = mdb_cursor_renew(ix->reading, ix->cursor)) != 0)
		mdb_txn_reset(ix->reading);
	if (rc != 0) {
		index_state_leave();
		if (index_rc_is_damage(rc))
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
	MDB_val key = index_val_of(k), raw;
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
	MDB_val key = index_val_of(k), raw;

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
	*key_out = index_str_of(key);
	return index_key_starts(*key_out, prefix) &&
	    check_value(ix, *key_out, &raw, value);
}

bool
index_seek(struct index *ix, const struct index_key *k,
    const struct index_key *prefix, struct str *key, struct str *value)
{
	MDB_val v = index_val_of(k);

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
	MDB_val v = index_val_of(k), raw;
	MDB_cursor *c;
	bool ok = false;
	int rc;

	if (!begin_reading(ix))
		return false;
	c = ix->cursor; /* which is made with the database, after a rest too */
	if (ix->writing != NULL &&
	    mdb_cursor_open(ix->writing, ix->dbi, &c) != 0)
		return false;
	rc = mdb_cursor_get(c, &v, &raw, MDB_SET_RANGE);
	if (rc == 0 && v.mv_size == k->n &&
	    memcmp(v.mv_data, k->bytes, k->n) == 0) {
		*key = index_str_of(&v);
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
