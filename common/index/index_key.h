/* SPDX-License-Identifier: ISC */
/*
 * index_key.h - what lies in the index and under which key, as bytes. No other
 * file knows these encodings; INDEX_VERSION changes with any of them.
 *
 *	'H' hash of a mailbox's place     its head
 *	'N'                               the next mailbox number
 *	'M'                               no mod-sequence of it is below that
 *	'X' box                           a box that nobody needs any more
 *	'G'                               when missing places were looked for
 *	'G' hash of a mailbox's place     since when it has been missing
 *	'B' box 'R' first uid             a chunk of records
 *	'B' box 'S' first uid             what goes with them (names, ...)
 *	'B' box 'V' modseq                UIDs that vanished then
 *	'B' box 'F' first uid             filters of messages: filter.h
 *	'B' box 'W'                       up to which UID all have filters
 *	'B' box slot uid                  a cached fact about a message
 *
 * Numbers in keys are big-endian, so that they sort; those in values have the
 * machine's order, which the version tells.
 */
#ifndef INDEX_INDEX_KEY_H
#define INDEX_INDEX_KEY_H

#include "base/buf.h"
#include "base/set32.h"
#include "base/vec.h"

#define INDEX_VERSION 3u

/* As LMDB has it; compared byte by byte. */
struct index_key {
	uint8_t n;
	uint8_t bytes[24];
};

/* What a mailbox has many of, by number; the letters are part of the keys. */
enum index_kind {
	INDEX_RECS = 'R',
	INDEX_SIDE = 'S',
	INDEX_VANISHED = 'V',
	INDEX_FILTERS = 'F',
	INDEX_FILTERED = 'W',
};

/* Facts that are kept one by one; the letters are part of the keys. */
enum index_slot {
	INDEX_ENVELOPE = 'e', /* as it goes on the wire */
	INDEX_BODYSTRUCTURE = 's',
	INDEX_BODY = 'b',
	INDEX_FIELDS = 'f', /* the header fields of lists: fetch_facts.c */
	INDEX_PREVIEW = 'p', /* RFC 8970 */
	INDEX_SUBJECT = 'j', /* base subject (RFC 5256) */
	INDEX_THREAD = 't', /* Message-ID and references */
	INDEX_EMAILID = 'i', /* RFC 8474 */
	INDEX_THREADID = 'r',
	INDEX_HEADKEYS = 'h', /* fields to be searched: search/headkeys.h */
	INDEX_BINARY = 'y', /* decoded sizes of parts: imapd/fetch_facts.c */
	INDEX_KEPT = 'k', /* not of a message, but of all: store/kept.h */
};

/* The head of the mailbox at `place`; a hash, so compare the head's place. */
struct index_key index_key_head(struct str place);
/* The first key of all heads: for a walk. */
struct index_key index_key_heads(void);
struct index_key index_key_next_box(void);
struct index_key index_key_floor(void);
/* All boxes that are to go; one of them. */
struct index_key index_key_dead(void);
struct index_key index_key_dead_box(uint32_t box);
/* 0: this key is none of those. */
uint32_t index_key_box_of_dead(struct str key);
/* Seconds since 1970; `head` NULL: of the last look, else a head's key. */
struct index_key index_key_missing(const struct index_key *head);
/* `uid` also is the first UID of a chunk. */
struct index_key index_key_of(uint32_t box, int kind, uint32_t uid);
struct index_key index_key_vanished(uint32_t box, uint64_t modseq);
/* The first keys of all boxes, of a box, of one of its kinds: for a walk. */
struct index_key index_key_boxes(void);
struct index_key index_key_box(uint32_t box);
struct index_key index_key_kind(uint32_t box, int kind);
/* Does `key` begin like `prefix`? */
bool index_key_starts(struct str key, const struct index_key *prefix);
/* The box of such a key; the UID or modseq at its end; 0: it has none. */
uint32_t index_key_box_of(struct str key);
uint32_t index_key_uid(struct str key);
uint64_t index_key_modseq(struct str key);

/* A sum that finds damage, not malice; also of file names, for a quick look. */
uint64_t index_sum(uint64_t seed, struct str s);

/* ---- records ------------------------------------------------------------- */

/* What of a record is known. */
enum index_known {
	INDEX_HAS_SIZE = 1 << 0, /* size and wire size */
	INDEX_HAS_DATE = 1 << 1,
	INDEX_HAS_SAVE = 1 << 2, /* save date (RFC 8514) */
	INDEX_HAS_MORE = 1 << 3, /* its side bytes begin with keywords */
	/* Without INDEX_HAS_SIZE: the wire size is at least `size` and at most
	 * `wire_size`; UINT64_MAX: there is no such limit. */
	INDEX_HAS_BOUNDS = 1 << 4,
};

struct index_rec {
	uint32_t uid;
	uint32_t keywords; /* numbers 0..25 */
	uint64_t modseq;
	uint64_t hash; /* of its name: index_sum */
	uint64_t size, wire_size;
	int64_t date_s;
	uint32_t save_s;
	uint32_t side_end; /* where its side bytes end in the chunk's */
	uint16_t known; /* enum index_known */
	uint8_t system; /* flags */
	uint8_t own; /* the backend's */
	uint32_t reserved;
};

/* With its head and LMDB's a chunk fills four pages of 4 KiB. */
#define INDEX_CHUNK_MAX 254u

/* A chunk as it lies in the database: borrowed, checked. */
struct index_chunk {
	uint32_t first_uid; /* of its key */
	uint32_t n;
	uint32_t n_unknown; /* records without sizes */
	uint64_t wire_sum;
	const char *recs;
	struct str side; /* p NULL: not looked for yet */
};

/* Pointers go into `value`. False: not in this form. */
bool index_chunk_parse(struct str value, struct index_chunk *out);
void index_chunk_write(struct buf *b, const struct index_rec *recs, uint32_t n);
static inline struct index_rec
index_chunk_rec(const struct index_chunk *c, uint32_t i)
{
	struct index_rec r;

	memcpy(&r, c->recs + (size_t)i * sizeof(r), sizeof(r));
	return r;
}
static inline uint32_t
index_chunk_uid(const struct index_chunk *c, uint32_t i)
{
	uint32_t uid;

	memcpy(
	    &uid, c->recs + (size_t)i * sizeof(struct index_rec), sizeof(uid));
	return uid;
}
/* Position of `uid`, or of the next larger one, up to c->n. */
uint32_t index_chunk_find(const struct index_chunk *c, uint32_t uid);
/* Side bytes of record `i`; c->side must be there. Empty when out of range. */
struct str index_chunk_side(const struct index_chunk *c, uint32_t i);

/* ---- head ---------------------------------------------------------------- */

/* What SELECT and STATUS want to know of a mailbox. */
struct index_head {
	uint32_t box; /* its number, never 0 */
	uint64_t generation; /* grows with every save */
	uint32_t uidvalidity, uidnext;
	uint32_t messages, unseen, deleted, recent;
	uint32_t first_unseen; /* its UID, or 0 */
	uint32_t unknown_sizes; /* messages without a known wire size */
	uint64_t wire_sum; /* of the others */
	uint64_t highest_modseq;
	uint64_t vanished_from; /* what vanished after that is in the log */
	uint32_t n_chunks;
	char guid[33];
	struct str place; /* whose head it is */
	struct str keywords; /* names: each a NUL-terminated text */
	struct str backend; /* the backend's own */
	struct str live, recents; /* sets of UIDs, see index_set_write */
};

/* Appends the value to `b`; slices of `h` are copied. */
void index_head_write(struct buf *b, const struct index_head *h);
/* Slices point into `value`. */
bool index_head_parse(struct str value, struct index_head *out);

/* A set as differences of its ranges' ends, seven bits to a byte. */
void index_set_write(struct buf *b, const struct set32 *s);
bool index_set_parse(struct str bytes, struct set32 *out);

#endif
