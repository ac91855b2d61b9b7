/* SPDX-License-Identifier: ISC */
/*
 * lane.c - one kind of keys in their order.
 *
 * Owns:    a cursor, the place behind the last key that was found.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing: who has the value checks its sum.
 *
 * Values are met for the first time here, and the processor waits for each of
 * their cache lines: half of the time of a listing. So those of the next value
 * are asked for while the present one is worked on, and those a page behind it.
 */
#include "index/lane.h"

#include <string.h>

#define CACHE_LINE 64
#define AHEAD_BYTES 2048
#define PAGE_BYTES 4096

static void
look_ahead(struct lane *l)
{
	const char *p;
	int rc = mdb_cursor_get(l->cursor, &l->key, &l->value, MDB_NEXT);

	l->has_ahead = rc == 0;
	l->is_at_end = rc == MDB_NOTFOUND;
	if (!l->has_ahead)
		return;
	p = l->value.mv_data;
	for (size_t i = 0; i < l->value.mv_size && i < AHEAD_BYTES;
	     i += CACHE_LINE)
		__builtin_prefetch(p + i);
	/* Pages that were filled one after the other mostly lie so. */
	for (size_t i = 0; i < l->value.mv_size && i < PAGE_BYTES;
	     i += CACHE_LINE)
		__builtin_prefetch(p + PAGE_BYTES + i);
}

static int
attach(struct lane *l, MDB_txn *txn, MDB_dbi dbi, uint64_t serial)
{
	int rc = 0;

	if (l->cursor == NULL)
		rc = mdb_cursor_open(txn, dbi, &l->cursor);
	else if (l->serial != serial)
		rc = mdb_cursor_renew(txn, l->cursor);
	if (l->serial != serial)
		l->has_ahead = l->is_at_end = false;
	l->serial = serial;
	return rc;
}

static int
compare(const void *a, size_t a_n, const void *b, size_t b_n)
{
	int d = memcmp(a, b, a_n < b_n ? a_n : b_n);

	return d != 0 ? d : (a_n > b_n) - (a_n < b_n);
}

static bool
is_ahead(const struct lane *l, const MDB_val *key)
{
	return l->has_ahead && l->key.mv_size == key->mv_size &&
	    memcmp(l->key.mv_data, key->mv_data, key->mv_size) == 0;
}

/*
 * Behind the one that was asked for last, and before what stands behind that?
 * A mailbox that was never listed asks for each of its messages in vain.
 */
static bool
is_between(const struct lane *l, const MDB_val *key)
{
	if (!l->has_ahead && !l->is_at_end)
		return false;
	return compare(l->asked, l->asked_n, key->mv_data, key->mv_size) < 0 &&
	    (l->is_at_end ||
		compare(key->mv_data, key->mv_size, l->key.mv_data,
		    l->key.mv_size) < 0);
}

static void
note_asked(struct lane *l, const MDB_val *key)
{
	if (key->mv_size > sizeof(l->asked)) {
		l->has_ahead = l->is_at_end = false;
		return;
	}
	memcpy(l->asked, key->mv_data, key->mv_size);
	l->asked_n = key->mv_size;
}

int
lane_get(struct lane *l, MDB_txn *txn, MDB_dbi dbi, uint64_t serial,
    const MDB_val *key, MDB_val *value)
{
	int rc = attach(l, txn, dbi, serial);

	if (rc != 0)
		return rc;
	if (is_ahead(l, key)) {
		*value = l->value;
	} else if (is_between(l, key)) {
		return MDB_NOTFOUND;
	} else {
		l->key = *key;
		rc = mdb_cursor_get(
		    l->cursor, &l->key, &l->value, MDB_SET_RANGE);
		l->has_ahead = rc == 0;
		l->is_at_end = rc == MDB_NOTFOUND;
		if (rc == 0 && !is_ahead(l, key))
			rc = MDB_NOTFOUND;
		*value = l->value;
	}
	note_asked(l, key);
	if (rc == 0)
		look_ahead(l);
	return rc;
}

void
lane_close(struct lane *l)
{
	if (l->cursor != NULL)
		mdb_cursor_close(l->cursor);
	*l = (struct lane){0};
}
