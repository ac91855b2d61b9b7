/* SPDX-License-Identifier: ISC */
/*
 * filter.h - what a text certainly does not contain, in few bytes: a set of
 * the hashes of each four bytes that stand together in it.
 *
 * Who has a needle asks for each four of its bytes: if one of them is not in
 * the set, the needle is not in the text. So a needle below four bytes can not
 * be told; one of five ASCII letters or two of CJK mostly can.
 *
 * The set is a Bloom filter with one hash function, FILTER_HASH_BITS wide, and
 * squeezed into as many bits as its text and its place are worth. Its bytes:
 *
 *	u8  FILTER_FORM
 *	u24 number of bytes that follow, lowest byte first; 0: anything may be
 *	    in that text
 *	the set; bit i is bit i % 8 of byte i / 8
 *
 * In the index lie groups of them, of messages whose UIDs ascend, under the
 * first of these UIDs; no group begins within another:
 *
 *	u32 FILTER_FORM; u32 n, not 0
 *	n times: u32 UID; u32 where its record ends behind this table
 *	the records
 */
#ifndef INDEX_FILTER_H
#define INDEX_FILTER_H

#include "base/buf.h"
#include "base/vec.h"

#define FILTER_FORM 1
#define FILTER_GRAM 4u /* bytes */
#define FILTER_HASH_BITS 18u
#define FILTER_BITS_MAX (UINT32_C(1) << FILTER_HASH_BITS)
/* Below this a filter would not say much, whatever its text. */
#define FILTER_MIN_BYTES 64u
struct filter_set {
	uint64_t words[FILTER_BITS_MAX / 64];
};

static inline uint32_t
filter_hash(uint32_t gram)
{
	/* One multiplication leaves letters, which are five bits, in heaps. */
	gram *= UINT32_C(0x9e3779b1);
	gram = (gram ^ gram >> 16) * UINT32_C(0x85ebca6b);
	return gram >> (32 - FILTER_HASH_BITS);
}

/* Empty, as for a new message. */
void filter_set_clear(struct filter_set *s);
/*
 * All fours in `text` whose last byte is one of its last `fresh`: text may
 * come in pieces, each with (at least) the three bytes before it.
 */
void filter_set_add(struct filter_set *s, struct str text, size_t fresh);
/*
 * Appends the record, of `max_bytes` or less, but it may have
 * FILTER_MIN_BYTES. False: `out` is full.
 */
bool filter_write(
    const struct filter_set *s, size_t max_bytes, struct buf *out);

/* ---- groups ---------------------------------------------------------------- */

#define FILTER_GROUP_MAX 64u /* messages */

/* A message of a group, and where its record ends. */
struct filter_entry {
	uint32_t uid, end;
};

/* One that is being made. */
struct filter_maker {
	VEC(struct filter_entry) entries;
	struct buf records;
};

/* Empty; until filter_maker_done(). clear: empty again, memory is kept. */
void filter_maker_init(struct filter_maker *g);
void filter_maker_done(struct filter_maker *g);
void filter_maker_clear(struct filter_maker *g);
/* Bytes that filter_maker_write() would append. */
size_t filter_maker_bytes(const struct filter_maker *g);
/* `uid` is above all that are in it. */
void filter_maker_add(struct filter_maker *g, uint32_t uid, struct str record);
/* Not an empty one. */
void filter_maker_write(const struct filter_maker *g, struct buf *out);

/* One as it lies in the index; borrows the value. */
struct filter_group {
	uint32_t n;
	const char *table;
	struct str records;
};

/* False: it is none of ours. */
bool filter_group_parse(struct str value, struct filter_group *out);
struct filter_entry filter_group_entry(
    const struct filter_group *g, uint32_t i);
/* The record of entry `i`; empty when the table makes no sense. */
struct str filter_group_record(const struct filter_group *g, uint32_t i);
/* Which entry has this UID? *i is where to look first. False: none. */
bool filter_group_find(const struct filter_group *g, uint32_t uid, uint32_t *i);

/* ---- questions ------------------------------------------------------------- */

/* What is asked of many records. */
struct filter_query {
	VEC(uint32_t) hashes; /* of its fours; few that tell most */
};

/* Asks for nothing yet, so all pass; until filter_query_done(). */
void filter_query_init(struct filter_query *q);
/* All of these must be there: may be called for several texts. */
void filter_query_add(struct filter_query *q, struct str text);
void filter_query_done(struct filter_query *q);
/* Without one, records need not be looked at. */
static inline bool
filter_query_can_tell(const struct filter_query *q)
{
	return q->hashes.n > 0;
}

/* A record that can be asked. */
struct filter {
	uint32_t n_bits;
	const uint8_t *bits;
};

/* False: it is none of ours. Borrows `record`. */
bool filter_parse(struct str record, struct filter *out);
/* False: the text of the record certainly has not all of these. */
bool filter_may_have(const struct filter *f, const struct filter_query *q);

#endif
