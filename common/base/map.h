/* SPDX-License-Identifier: ISC */
/*
 * map.h - hash table from bytes to pointers. The hash is SipHash-1-3 with a key
 * drawn once per process, so nobody outside can choose collisions.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_slot {
	struct str key; /* borrowed: lives as long as the entry */
	void *value; /* NULL: free slot */
	uint64_t hash;
};

struct map {
	struct map_slot *slots;
	size_t n, size; /* entries; slots, a power of two or 0 */
};

/* Empty; allocates nothing yet. map_done() ends it; keys and values are borrowed. */
void map_init(struct map *m);
void map_done(struct map *m);
/* The value of `key` or NULL. */
void *map_find(const struct map *m, struct str key);
/* Adds or replaces; `key` is borrowed until the entry is removed. */
void map_put(struct map *m, struct str key, void *value);
/* Removes and returns the value, NULL if it was not there. */
void *map_remove(struct map *m, struct str key);
/* Steps through all values; start with *i = 0; false at the end. */
bool map_next(const struct map *m, size_t *i, struct str *key, void **value);
/* Keyed hash of some bytes, stable within the process. */
uint64_t map_hash(struct str key);
/* The same with a key of the caller's, for what must outlive the process. */
uint64_t map_hash_keyed(const uint64_t secret[2], struct str key);

#endif
