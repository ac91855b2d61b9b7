/* SPDX-License-Identifier: ISC */
/* index_impl.h - the inside of index.h, for index.c, _read.c and _write.c. */
#ifndef INDEX_INDEX_IMPL_H
#define INDEX_INDEX_IMPL_H

#include <lmdb.h>
#include <sys/types.h>

#include "index/index.h"
#include "index/index_state.h"
#include "index/lane.h"

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
	MDB_env *env; /* NULL: resting, or closed for good */
	MDB_dbi dbi;
	MDB_txn *reading; /* made once, renewed */
	MDB_cursor *cursor;
	struct lane lanes[INDEX_LANES];
	bool is_reading, is_stale, is_damaged, has_written;
	bool is_resting;
	int pin; /* of data.mdb meanwhile, so that its number stays its own */
	struct walked walked;
	struct checked checked[CHECKED];
	MDB_txn *writing;
	MDB_cursor *putting; /* of that, where the last value went; or NULL */
	uint64_t max_bytes, epoch, serial;
	int64_t checked_ms, failed_ms;
	dev_t dev; /* of the folder */
	ino_t ino;
	struct index *next_open;
};

/* Sets `e` from an answer of LMDB; returns -1. */
int index_fail(struct err *e, int rc, const char *what);
/* Does this answer of LMDB mean that the file is not what it should be? */
bool index_rc_is_damage(int rc);
/* Is the database open? After a rest it is opened again. */
bool index_wake(struct index *ix);
/* What was read is let go. */
void index_end_reading(struct index *ix);
/* Another size of the map; 0: the one that it has on disk. Nothing is held. */
int index_map_anew(struct index *ix, size_t size);

static inline uint32_t
index_value_sum(struct str key, struct str content)
{
	return (uint32_t)index_sum(index_sum(7, key), content);
}

static inline struct str
index_str_of(const MDB_val *v)
{
	return str_make(v->mv_data, v->mv_size);
}

static inline MDB_val
index_val_of(const struct index_key *k)
{
	return (MDB_val){
	    .mv_size = k->n, .mv_data = (void *)(uintptr_t)k->bytes};
}

#endif
