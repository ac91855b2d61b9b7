/* SPDX-License-Identifier: ISC */
/*
 * lane.h - a reader that asks for the keys of one kind in their order, as a
 * listing does: the next one is at hand before it is asked for. For index.c.
 */
#ifndef INDEX_LANE_H
#define INDEX_LANE_H

#include <lmdb.h>

#include "base/base.h"

#define LANE_KEY_MAX 24

struct lane {
	MDB_cursor *cursor; /* NULL: not used yet */
	uint64_t serial; /* of the transaction that the cursor is of */
	bool has_ahead, is_at_end; /* neither: that is not known */
	MDB_val key, value; /* what stands behind the last one */
	size_t asked_n;
	char asked[LANE_KEY_MAX]; /* the last one, there or not */
};

/*
 * The value of `key`; an answer of LMDB. `serial` is another number in another
 * transaction; `value` lives as long as that.
 */
int lane_get(struct lane *l, MDB_txn *txn, MDB_dbi dbi, uint64_t serial,
    const MDB_val *key, MDB_val *value);
/* Before the transaction ends for good. */
void lane_close(struct lane *l);

#endif
