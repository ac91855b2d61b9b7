/* SPDX-License-Identifier: ISC */
/*
 * limit.h - how many sessions a user, an address block and all together have,
 * and who crashes too often.
 */
#ifndef MASTER_LIMIT_H
#define MASTER_LIMIT_H

#include "base/map.h"
#include "settings.h"

/* Counters by name; entries exist while they are not 0. */
struct limit_table {
	struct map counters;
	struct map crashes;
	uint32_t total;
};

/* An address block as a key: IPv4 whole, IPv6 /64, "" for none. */
struct limit_block {
	uint8_t bytes[8];
	uint8_t n;
};

/* Which limit a session that comes now would pass. */
enum limit_verdict {
	LIMIT_OK,
	LIMIT_USER,
	LIMIT_ADDRESS,
	LIMIT_TOTAL,
};

/* No sessions. */
void limit_init(struct limit_table *l);
void limit_done(struct limit_table *l);
/* `ip` of 4 or 16 bytes in network order, or none. */
void limit_block_of(struct str ip, struct limit_block *out);

/* Counts a session if all three limits allow it. */
enum limit_verdict limit_begin(struct limit_table *l, const struct settings *s,
    enum service service, struct str user, const struct limit_block *block);
void limit_end(struct limit_table *l, enum service service, struct str user,
    const struct limit_block *block);
uint32_t limit_of_user(
    const struct limit_table *l, enum service service, struct str user);

/*
 * A process of this identity crashed. The next start is allowed at once after
 * the first two crashes, then after a delay that doubles up to a minute; five
 * quiet minutes forget all.
 */
void limit_crashed(struct limit_table *l, struct str identity, int64_t now_ms);
bool limit_may_start(
    const struct limit_table *l, struct str identity, int64_t now_ms);
/*
 * How long a service that has ended so many times in a row waits for its next
 * start. Clients wait with it: for an answer to the first of their bytes.
 */
int64_t limit_backoff_ms(unsigned failures);
/* Drops what is old. */
void limit_sweep(struct limit_table *l, int64_t now_ms);

#endif
