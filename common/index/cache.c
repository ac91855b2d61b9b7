/* SPDX-License-Identifier: ISC */
/*
 * cache.c - typed slots for facts about messages.
 *
 * Owns:    the keys of enum index_slot.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  values are whole (they have sums), not that they make sense.
 *
 * Each slot has keys of its own: a walk over one kind of fact reads nothing
 * else, and one that comes later moves nothing.
 */
#include "index/cache.h"

static const enum index_slot slots[] = {
    INDEX_ENVELOPE,
    INDEX_BODYSTRUCTURE,
    INDEX_BODY,
    INDEX_FIELDS,
    INDEX_PREVIEW,
    INDEX_SUBJECT,
    INDEX_THREAD,
    INDEX_EMAILID,
    INDEX_THREADID,
    INDEX_HEADKEYS,
    INDEX_BINARY,
};

/* Slots that one listing may ask for, and one for the others. */
static unsigned
lane_of(enum index_slot slot)
{
	switch (slot) {
	case INDEX_ENVELOPE:
		return 0;
	case INDEX_BODYSTRUCTURE:
		return 1;
	case INDEX_BODY:
		return 2;
	case INDEX_FIELDS:
		return 3;
	case INDEX_HEADKEYS:
		return 4;
	default:
		return INDEX_LANES - 1;
	}
}

bool
cache_get(struct index *ix, uint32_t box, enum index_slot slot, uint32_t uid,
    struct str *value)
{
	struct index_key k = index_key_of(box, (int)slot, uid);

	return index_get_next(ix, lane_of(slot), &k, value);
}

int
cache_put(struct index *ix, uint32_t box, enum index_slot slot, uint32_t uid,
    struct str value, struct err *e)
{
	struct index_key k = index_key_of(box, (int)slot, uid);

	return value.n > CACHE_VALUE_MAX ? 0 : index_put(ix, &k, value, e);
}

int
cache_remove(
    struct index *ix, uint32_t box, const struct set32 *uids, struct err *e)
{
	for (size_t s = 0; s < ARRAY_LEN(slots); s++)
		for (size_t i = 0; i < uids->n; i++) {
			struct index_key from =
			    index_key_of(box, (int)slots[s], uids->r[i].first);
			struct index_key to =
			    index_key_of(box, (int)slots[s], uids->r[i].last);

			if (index_remove_range(ix, &from, &to, e) == -1)
				return -1;
		}
	return 0;
}
