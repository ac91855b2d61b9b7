/* SPDX-License-Identifier: ISC */
/*
 * index_key.c - encodings of what lies in the index.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no byte of a value, though its sum was right: the user can write
 *          there.
 */
#include "index/index_key.h"

#include <endian.h>

#define MULT UINT64_C(0x9e3779b97f4a7c15)

/* ---- sums ---------------------------------------------------------------- */

static uint64_t
word_at(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static uint64_t
mix(uint64_t h, uint64_t w)
{
	h = (h ^ w) * MULT;
	return h ^ h >> 29;
}

/* The last `n` bytes, 1 to 7, as if they lay in a word of zeros. */
static uint64_t
rest_of(struct str s, size_t n)
{
	uint64_t w = 0;

	if (s.n < sizeof(w)) {
		memcpy(&w, s.p, n); /* all of it */
		return w;
	}
	/* Without a call, which would take longer than the rest of a key. */
	w = word_at(s.p + s.n - sizeof(w));
#if __BYTE_ORDER == __LITTLE_ENDIAN
	return w >> (sizeof(w) - n) * 8;
#else
	return w << (sizeof(w) - n) * 8;
#endif
}

/* Four lanes, so that the multiplications do not wait for one another. */
uint64_t
index_sum(uint64_t seed, struct str s)
{
	uint64_t a = seed, b = ~seed, c = seed + MULT, d = seed ^ MULT, h;
	const char *p = s.p, *end = p + s.n;
	uint64_t rest = 0;

	for (; end - p >= 32; p += 32) {
		a = mix(a, word_at(p));
		b = mix(b, word_at(p + 8));
		c = mix(c, word_at(p + 16));
		d = mix(d, word_at(p + 24));
	}
	h = mix(mix(a, b), mix(c, d));
	for (; end - p >= 8; p += 8)
		h = mix(h, word_at(p));
	if (p < end)
		rest = rest_of(s, (size_t)(end - p));
	h = mix(h, rest);
	h = mix(h, (uint64_t)(end - p) + 1);
	return h ^ h >> 32;
}

/* ---- keys ---------------------------------------------------------------- */

static void
put_be(struct index_key *k, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		k->bytes[k->n++] = (uint8_t)(v >> bytes * 8);
}

static uint64_t
get_be(const char *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | (uint8_t)p[i];
	return v;
}

struct index_key
index_key_head(struct str place)
{
	struct index_key k = {.n = 0};

	put_be(&k, 'H', 1);
	put_be(&k, index_sum(1, place), 8);
	put_be(&k, index_sum(2, place), 8);
	return k;
}

struct index_key
index_key_heads(void)
{
	struct index_key k = {.n = 0};

	put_be(&k, 'H', 1);
	return k;
}

struct index_key
index_key_floor(void)
{
	struct index_key k = {.n = 0};

	put_be(&k, 'M', 1);
	return k;
}

struct index_key
index_key_dead(void)
{
	struct index_key k = {.n = 0};

	put_be(&k, 'X', 1);
	return k;
}

struct index_key
index_key_dead_box(uint32_t box)
{
	struct index_key k = index_key_dead();

	put_be(&k, box, 4);
	return k;
}

uint32_t
index_key_box_of_dead(struct str key)
{
	return key.n == 5 ? (uint32_t)get_be(key.p + 1, 4) : 0;
}

struct index_key
index_key_missing(const struct index_key *head)
{
	struct index_key k = {.n = 0};

	if (head != NULL)
		k = *head;
	k.bytes[0] = 'G';
	k.n = head != NULL ? head->n : 1;
	return k;
}

struct index_key
index_key_next_box(void)
{
	struct index_key k = {.n = 0};

	put_be(&k, 'N', 1);
	return k;
}

struct index_key
index_key_boxes(void)
{
	struct index_key k = {.n = 0};

	put_be(&k, 'B', 1);
	return k;
}

struct index_key
index_key_box(uint32_t box)
{
	struct index_key k = index_key_boxes();

	put_be(&k, box, 4);
	return k;
}

struct index_key
index_key_kind(uint32_t box, int kind)
{
	struct index_key k = index_key_box(box);

	put_be(&k, (uint64_t)kind, 1);
	return k;
}

/* Made for each message of a listing, hence by hand. */
struct index_key
index_key_of(uint32_t box, int kind, uint32_t uid)
{
	struct index_key k = {.n = 10, .bytes = {'B'}};
	uint32_t box_be = htobe32(box), uid_be = htobe32(uid);

	memcpy(k.bytes + 1, &box_be, sizeof(box_be));
	k.bytes[5] = (uint8_t)kind;
	memcpy(k.bytes + 6, &uid_be, sizeof(uid_be));
	return k;
}

struct index_key
index_key_vanished(uint32_t box, uint64_t modseq)
{
	struct index_key k = index_key_kind(box, INDEX_VANISHED);

	put_be(&k, modseq, 8);
	return k;
}

bool
index_key_starts(struct str key, const struct index_key *prefix)
{
	return key.n >= prefix->n &&
	    memcmp(key.p, prefix->bytes, prefix->n) == 0;
}

uint32_t
index_key_box_of(struct str key)
{
	return key.n > 5 && *key.p == 'B' ? (uint32_t)get_be(key.p + 1, 4) : 0;
}

uint32_t
index_key_uid(struct str key)
{
	return key.n == 10 ? (uint32_t)get_be(key.p + 6, 4) : 0;
}

uint64_t
index_key_modseq(struct str key)
{
	return key.n == 14 ? get_be(key.p + 6, 8) : 0;
}

/* ---- chunks -------------------------------------------------------------- */

struct chunk_front {
	uint32_t n, n_unknown;
	uint64_t wire_sum;
};

_Static_assert(sizeof(struct index_rec) == 64, "a record has 64 bytes");

bool
index_chunk_parse(struct str value, struct index_chunk *out)
{
	struct chunk_front f;

	if (value.n < sizeof(f))
		return false;
	memcpy(&f, value.p, sizeof(f));
	if (f.n == 0 || f.n > INDEX_CHUNK_MAX ||
	    value.n != sizeof(f) + f.n * sizeof(struct index_rec))
		return false;
	*out = (struct index_chunk){
	    .n = f.n,
	    .n_unknown = f.n_unknown,
	    .wire_sum = f.wire_sum,
	    .recs = value.p + sizeof(f),
	};
	return true;
}

void
index_chunk_write(struct buf *b, const struct index_rec *recs, uint32_t n)
{
	struct chunk_front f = {.n = n};

	for (uint32_t i = 0; i < n; i++) {
		if (recs[i].known & INDEX_HAS_SIZE)
			f.wire_sum += recs[i].wire_size;
		else
			f.n_unknown++;
	}
	(void)buf_add(b, &f, sizeof(f));
	(void)buf_add(b, recs, n * sizeof(*recs));
}

uint32_t
index_chunk_find(const struct index_chunk *c, uint32_t uid)
{
	uint32_t lo = 0, hi = c->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (index_chunk_uid(c, mid) < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint32_t
side_end(const struct index_chunk *c, uint32_t i)
{
	uint32_t end;

	memcpy(&end,
	    c->recs + (size_t)i * sizeof(struct index_rec) +
		offsetof(struct index_rec, side_end),
	    sizeof(end));
	return end;
}

struct str
index_chunk_side(const struct index_chunk *c, uint32_t i)
{
	uint32_t from = i == 0 ? 0 : side_end(c, i - 1), to = side_end(c, i);

	if (c->side.p == NULL || from > to || to > c->side.n)
		return STR("");
	return str_make(c->side.p + from, to - from);
}

/* ---- head ---------------------------------------------------------------- */

struct head_front {
	uint64_t generation, wire_sum, highest_modseq, vanished_from;
	uint32_t box, uidvalidity, uidnext, messages, unseen, deleted, recent,
	    first_unseen, unknown_sizes, n_chunks;
	uint32_t lens[5];
	char guid[36];
};

void
index_head_write(struct buf *b, const struct index_head *h)
{
	const struct str parts[5] = {
	    h->place, h->keywords, h->backend, h->live, h->recents};
	struct head_front f = {
	    .generation = h->generation,
	    .wire_sum = h->wire_sum,
	    .highest_modseq = h->highest_modseq,
	    .vanished_from = h->vanished_from,
	    .box = h->box,
	    .uidvalidity = h->uidvalidity,
	    .uidnext = h->uidnext,
	    .messages = h->messages,
	    .unseen = h->unseen,
	    .deleted = h->deleted,
	    .recent = h->recent,
	    .first_unseen = h->first_unseen,
	    .unknown_sizes = h->unknown_sizes,
	    .n_chunks = h->n_chunks,
	};

	memcpy(f.guid, h->guid, sizeof(h->guid));
	for (size_t i = 0; i < 5; i++)
		f.lens[i] = (uint32_t)parts[i].n;
	(void)buf_add(b, &f, sizeof(f));
	for (size_t i = 0; i < 5; i++)
		(void)buf_add_str(b, parts[i]);
}

bool
index_head_parse(struct str value, struct index_head *out)
{
	struct str *const parts[5] = {&out->place, &out->keywords,
	    &out->backend, &out->live, &out->recents};
	struct head_front f;

	if (value.n < sizeof(f))
		return false;
	memcpy(&f, value.p, sizeof(f));
	*out = (struct index_head){
	    .box = f.box,
	    .generation = f.generation,
	    .uidvalidity = f.uidvalidity,
	    .uidnext = f.uidnext,
	    .messages = f.messages,
	    .unseen = f.unseen,
	    .deleted = f.deleted,
	    .recent = f.recent,
	    .first_unseen = f.first_unseen,
	    .unknown_sizes = f.unknown_sizes,
	    .wire_sum = f.wire_sum,
	    .highest_modseq = f.highest_modseq,
	    .vanished_from = f.vanished_from,
	    .n_chunks = f.n_chunks,
	};
	memcpy(out->guid, f.guid, sizeof(out->guid));
	out->guid[sizeof(out->guid) - 1] = '\0';
	value = str_skip(value, sizeof(f));
	for (size_t i = 0; i < 5; i++) {
		if (f.lens[i] > value.n)
			return false;
		*parts[i] = str_head(value, f.lens[i]);
		value = str_skip(value, f.lens[i]);
	}
	/* Names are texts. */
	return value.n == 0 && out->box != 0 &&
	    (out->keywords.n == 0 ||
		out->keywords.p[out->keywords.n - 1] == '\0');
}

/* ---- sets ---------------------------------------------------------------- */

static void
put_number(struct buf *b, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		(void)buf_add_byte(b, (char)(v | 0x80));
	(void)buf_add_byte(b, (char)v);
}

static bool
get_number(struct str *s, uint32_t *v)
{
	uint64_t sum = 0;

	for (unsigned shift = 0; s->n > 0 && shift < 35; shift += 7) {
		uint8_t byte = (uint8_t)*s->p;

		*s = str_skip(*s, 1);
		sum |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*v = (uint32_t)sum;
			return sum <= UINT32_MAX;
		}
	}
	return false;
}

void
index_set_write(struct buf *b, const struct set32 *s)
{
	uint32_t last = 0;

	for (size_t i = 0; i < s->n; i++) {
		put_number(b, s->r[i].first - last);
		put_number(b, s->r[i].last - s->r[i].first);
		last = s->r[i].last;
	}
}

bool
index_set_parse(struct str bytes, struct set32 *out)
{
	uint32_t last = 0, first, n;

	set32_clear(out);
	while (bytes.n > 0) {
		if (!get_number(&bytes, &first) || !get_number(&bytes, &n) ||
		    first == 0 || first > UINT32_MAX - last ||
		    n > UINT32_MAX - (last + first))
			return false;
		set32_add_range(out, last + first, last + first + n);
		last += first + n;
	}
	return true;
}
