/* SPDX-License-Identifier: ISC */
/*
 * fetch_facts.h - FETCH items that need no message: what the store keeps beside
 * the mail answers them, and is told when a message had to be read.
 */
#ifndef IMAPD_FETCH_FACTS_H
#define IMAPD_FETCH_FACTS_H

#include "imapd/fetch_plan.h"
#include "store/msg.h"

/* Notes in the items where their values are kept; first of all. */
void fetch_facts_prepare(struct fetch_plan *p);
/* Can all items of the plan be answered so? */
bool fetch_facts_suffice(const struct fetch_plan *p);

/*
 * Of a header: the fields that mail programs list with, in the form in which
 * they are kept. HEADER.FIELDS of sections with `listed` come from there:
 * first their size (false: not in that form), then `size` bytes to `to`.
 */
void fetch_facts_pack(struct buf *out, struct str header);
bool fetch_facts_size(
    const struct fetch_section *sec, struct str packed, size_t *size);
void fetch_facts_fields(
    const struct fetch_section *sec, struct str packed, char *to);

/*
 * Decoded sizes of parts, as they are kept: one is added (when there is room),
 * or looked for (false: it is not there).
 */
void fetch_facts_add_binary(
    struct buf *kept, const struct fetch_section *sec, uint64_t size);
bool fetch_facts_binary(
    const struct fetch_section *sec, struct str kept, uint64_t *size);

/* All that a plan needs of a message; borrowed until the step ends. */
struct fetch_facts {
	struct msg_known known;
	struct str envelope, body, bodystructure, fields, binary;
};

/* False: something is not known yet. */
bool fetch_facts_find(struct view *v, uint32_t uid, const struct fetch_plan *p,
    struct fetch_facts *out);
/* The value of an item that has a slot. */
struct str fetch_facts_value(
    const struct fetch_facts *f, const struct fetch_item *item);

#endif
