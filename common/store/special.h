/* SPDX-License-Identifier: ISC */
/* special.h - which mailbox is for drafts, sent mail and so on (RFC 6154). */
#ifndef STORE_SPECIAL_H
#define STORE_SPECIAL_H

#include "store/store.h"

#define SPECIAL_USES 5 /* that a mailbox can have by its name */

/* The name under which a mailbox is made on first use. */
struct str special_default_name(enum special_use use);
/* What a mailbox is for by its last level; *rank: the smaller the better. */
enum special_use special_of_name(struct str last_level, unsigned *rank);
/* The names of a use, one after the other from *at 0 on; "" behind the last. */
struct str special_name_at(enum special_use use, size_t *at);

#endif
