/* SPDX-License-Identifier: ISC */
/*
 * index.h - one LMDB environment per user, for what can be derived from the
 * mail: always right to lose, to delete, to have no room for.
 *
 *	CLOSED --index_open--> OPEN --damage, file replaced--> STALE
 *	STALE --index_mend--> OPEN (another epoch), or CLOSED for good
 *
 * In the folder: "data.mdb" and "lock.mdb" of LMDB, "state" (index_state.c),
 * "data.bad" after damage.
 */
#ifndef INDEX_INDEX_H
#define INDEX_INDEX_H

#include "base/err.h"
#include "index/index_key.h"

struct index;

/*
 * Opens or makes the index in the folder `dir`, which is made if it is missing
 * (mode 0700). `max_bytes` 0: the default. ERR_PERM, ERR_READ_ONLY,
 * ERR_NO_SPACE, ERR_UNSUPPORTED (network file system), ERR_CORRUPT (damaged
 * twice within a short time), ERR_IN_USE: the caller works without.
 */
int index_open(
    const char *dir, uint64_t max_bytes, struct index **out, struct err *e);
void index_close(struct index **ix);
/* Counts how often the content has begun anew; what was kept of it is void. */
uint64_t index_epoch(const struct index *ix);
/*
 * Between two steps of the loop: ends reading; begins anew after damage or when
 * the files have been removed. Nothing borrowed survives.
 */
void index_pause(struct index *ix);
/*
 * Nothing is read or written for a while: what LMDB has of memory, descriptors
 * and maps goes, until the next call. Between two steps. Where another database
 * lies there then, this one is stale, and index_pause() begins anew.
 */
void index_rest(struct index *ix);
/* The next pause begins anew; what is open can still be read. */
bool index_is_stale(const struct index *ix);
/* Another number when what was borrowed has become void. */
uint64_t index_serial(const struct index *ix);

/* ---- reading ------------------------------------------------------------- */

/*
 * A value: borrowed until index_pause() or index_write(). False: not there, or
 * damaged (then all is forgotten at the next pause).
 */
bool index_get(struct index *ix, const struct index_key *k, struct str *value);
#define INDEX_LANES 6u
/*
 * The same for one who asks for many keys in their order; each order that goes
 * on at the same time has a number of its own, below INDEX_LANES.
 */
bool index_get_next(struct index *ix, unsigned lane, const struct index_key *k,
    struct str *value);
/*
 * The first key at or behind `k` that begins like `prefix`. Borrowed as above.
 */
bool index_seek(struct index *ix, const struct index_key *k,
    const struct index_key *prefix, struct str *key, struct str *value);
/* The one behind the last that was found. */
bool index_next(struct index *ix, const struct index_key *prefix,
    struct str *key, struct str *value);
/* The last key at or before `k` that begins like `prefix`. */
bool index_seek_back(struct index *ix, const struct index_key *k,
    const struct index_key *prefix, struct str *key, struct str *value);

/* ---- writing ------------------------------------------------------------- */

/*
 * Runs `fn` in a write transaction, all or nothing. It may be run again from
 * its beginning, when the map had to grow. Not durable: see index_state.c.
 */
int index_write(struct index *ix,
    int (*fn)(struct index *ix, void *arg, struct err *e), void *arg,
    struct err *e);
/* Inside index_write(). */
int index_put(struct index *ix, const struct index_key *k, struct str value,
    struct err *e);
/* Not there: fine. */
int index_remove(struct index *ix, const struct index_key *k, struct err *e);
/* Removes all keys that begin like `prefix`. */
int index_remove_all(
    struct index *ix, const struct index_key *prefix, struct err *e);
/* The same for `max` of them; *is_all: nothing is left. */
int index_remove_some(struct index *ix, const struct index_key *prefix,
    size_t max, bool *is_all, struct err *e);
/* Removes keys from `from` to `to`, both included. */
int index_remove_range(struct index *ix, const struct index_key *from,
    const struct index_key *to, struct err *e);

/* ---- for tests and the control tool -------------------------------------- */

/* Bytes of the map and of what is used of it, and keys. */
struct index_figures {
	uint64_t map_bytes, used_bytes, entries;
	unsigned readers;
};

/* As of now, for people; all 0 when it is not open. */
void index_figures(struct index *ix, struct index_figures *out);
/* The value is known to be nonsense: everything is forgotten at the pause. */
void index_note_damage(struct index *ix, const char *what);
bool index_is_open(const struct index *ix);

#endif
