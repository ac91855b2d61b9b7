/* SPDX-License-Identifier: ISC */
/*
 * fetch_facts.h - FETCH items that need no message: what the store keeps beside
 * the mail answers them, and is told when a message had to be read.
 */
#ifndef IMAPD_FETCH_FACTS_H
#define IMAPD_FETCH_FACTS_H

#include "imapd/fetch_plan.h"
#include "store/msg.h"

/* Can all items of the plan be answered so? */
bool fetch_facts_suffice(const struct fetch_plan *p);
/* Where the value of this item is kept; 0: it has no slot. */
int fetch_facts_slot(const struct fetch_item *item);
/*
 * HEADER.FIELDS from the fields that are kept, or from a whole header; in `a`.
 */
struct str fetch_facts_fields(
    const struct fetch_section *sec, struct str block, struct arena *a);
/* Of a header: the fields that mail programs list with, to be kept. */
struct str fetch_facts_listed(struct str header, struct arena *a);

/* All that a plan needs of a message; borrowed until the step ends. */
struct fetch_facts {
	struct msg_known known;
	struct str envelope, body, bodystructure, fields;
};

/* False: something is not known yet. */
bool fetch_facts_find(struct view *v, uint32_t uid, const struct fetch_plan *p,
    struct fetch_facts *out);
/* The value of an item that has a slot. */
struct str fetch_facts_value(
    const struct fetch_facts *f, const struct fetch_item *item);

#endif
