/* SPDX-License-Identifier: ISC */
/*
 * cache.h - facts about single messages, as bytes in typed slots. They belong
 * to a UID for ever, because a message never changes.
 */
#ifndef INDEX_CACHE_H
#define INDEX_CACHE_H

#include "index/index.h"

/* Larger ones are not worth their place. */
#define CACHE_VALUE_MAX (32 * 1024)

/* Borrowed until index_pause() or index_write(). */
bool cache_get(struct index *ix, uint32_t box, enum index_slot slot,
    uint32_t uid, struct str *value);
/* Inside index_write(). What is too large is not kept. */
int cache_put(struct index *ix, uint32_t box, enum index_slot slot,
    uint32_t uid, struct str value, struct err *e);
/* Inside index_write(): all slots of these messages. */
int cache_remove(
    struct index *ix, uint32_t box, const struct set32 *uids, struct err *e);

#endif
