/* SPDX-License-Identifier: ISC */
/*
 * penalty.h - who has failed often waits longer.
 *
 * A table of fixed size remembers failures by address block and by user name.
 * The first failure costs the next attempt 1 s, each further one twice as
 * much, up to 60 s; it halves each minute. Names only wait, they are never
 * locked; a name that has come from this block with the right password does
 * not wait for what others do to it.
 */
#ifndef AUTH_PENALTY_H
#define AUTH_PENALTY_H

#include "base/err.h"
#include "base/str.h"

#define PENALTY_MAX_MS 60000

struct penalty;

/* One attempt as the table sees it. */
struct penalty_who {
	uint64_t block; /* 0: do not count by address (a peer on this host) */
	uint64_t name;
	uint64_t pair; /* 0: never excused from the name's delay */
};

/* Empty, in memory of our own. */
struct penalty *penalty_new(void);
/*
 * The same in memory that others of us had before and have at the same time:
 * what they remember goes on. `fd` stays the caller's.
 */
int penalty_open(int fd, struct penalty **out, struct err *e);
void penalty_free(struct penalty **pp);
/* The keys of a peer's address (4 or 16 bytes) and a name. */
struct penalty_who penalty_who(
    const struct penalty *p, struct str ip, struct str name, bool is_local);
/* The block of an address alone, never 0: /32, of IPv6 /64. */
uint64_t penalty_block(const struct penalty *p, struct str ip);
/*
 * An attempt begins: how long it must wait. It counts as a failure until
 * penalty_end() says otherwise, so that many at once gain nothing; but
 * where nobody has failed lately, any number may come at once.
 */
int64_t penalty_begin(struct penalty *p, const struct penalty_who *who);
/* It is over; `failed`: the credentials were wrong. */
void penalty_end(
    struct penalty *p, const struct penalty_who *who, bool ok, bool failed);

#endif
