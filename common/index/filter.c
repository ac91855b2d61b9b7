/* SPDX-License-Identifier: ISC */
/*
 * filter.c - sets of four bytes that stand together, and questions to them.
 *
 * Owns:    the form of the values INDEX_FILTERS.
 * Runs in: imapd, restantectl, as the mail user.
 * Trusts:  a record to be whole, for the index has a sum of it; not its form.
 *
 * One hash function is enough, because a needle asks many questions: with half
 * of the bits set, a word of nine letters is let through by one of 64 texts
 * that have nothing of it.
 */
#include "index/filter.h"

#include <string.h>

/* A set is given so many bits for each that is in it, if there is room. */
#define BITS_EACH 6u
/* More than this of all set, and it is not worth its place. */
#define FULL_PERCENT 80u
#define HEAD 4u
/* Each lets at most half of the texts through that have it not. */
#define HASHES_MAX 24u

void
filter_set_clear(struct filter_set *s)
{
	memset(s, 0, sizeof(*s));
}

void
filter_set_add(struct filter_set *s, struct str text, size_t fresh)
{
	const uint8_t *p = (const uint8_t *)text.p;
	size_t i = text.n - fresh;
	uint32_t gram, h;

	if (i < FILTER_GRAM - 1)
		i = FILTER_GRAM - 1;
	if (i >= text.n)
		return;
	gram = (uint32_t)p[i - 3] << 16 | (uint32_t)p[i - 2] << 8 | p[i - 1];
	for (; i < text.n; i++) {
		gram = gram << 8 | p[i];
		h = filter_hash(gram);
		s->words[h / 64] |= UINT64_C(1) << h % 64;
	}
}

/* The compiler's own is a call where not every processor has it. */
static inline uint32_t
bits_of(uint64_t w)
{
	w -= w >> 1 & UINT64_C(0x5555555555555555);
	w = (w & UINT64_C(0x3333333333333333)) +
	    (w >> 2 & UINT64_C(0x3333333333333333));
	w = (w + (w >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (uint32_t)(w * UINT64_C(0x0101010101010101) >> 56);
}

static uint32_t
count(const struct filter_set *s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(s->words); i++)
		n += bits_of(s->words[i]);
	return n;
}

/* Where a hash lies among `n_bits`. */
static inline uint32_t
squeeze(uint32_t hash, uint32_t n_bits)
{
	return (uint32_t)((uint64_t)hash * n_bits >> FILTER_HASH_BITS);
}

/* Bytes for the bits of so many hashes. */
static size_t
choose_bytes(uint32_t n, size_t max_bytes)
{
	size_t want = (size_t)n * BITS_EACH / 8 + 1;

	if (max_bytes < FILTER_MIN_BYTES)
		max_bytes = FILTER_MIN_BYTES;
	max_bytes -= HEAD;
	if (want > max_bytes)
		want = max_bytes;
	if (want > FILTER_BITS_MAX / 8)
		want = FILTER_BITS_MAX / 8;
	return want;
}

static void
put_bits(const struct filter_set *s, uint32_t n_bits, uint8_t *bits)
{
	for (uint32_t i = 0; i < ARRAY_LEN(s->words); i++)
		for (uint64_t w = s->words[i]; w != 0; w &= w - 1) {
			uint32_t at = squeeze(
			    i * 64 + (uint32_t)__builtin_ctzll(w), n_bits);

			bits[at / 8] |= (uint8_t)(1u << at % 8);
		}
}

static bool
is_full(const uint8_t *bits, size_t n)
{
	size_t set = 0, k;

	for (size_t i = 0; i < n; i += k) {
		uint64_t w = 0;

		k = n - i < sizeof(w) ? n - i : sizeof(w);
		memcpy(&w, bits + i, k);
		set += bits_of(w);
	}
	return set * 100 > n * 8 * FULL_PERCENT;
}

bool
filter_write(const struct filter_set *s, size_t max_bytes, struct buf *out)
{
	size_t n = choose_bytes(count(s), max_bytes), from = out->n;
	uint32_t n_bits = (uint32_t)n * 8;
	char *p = buf_room(out, HEAD + n);

	if (p == NULL)
		return false;
	memset(p, 0, HEAD + n);
	put_bits(s, n_bits, (uint8_t *)p + HEAD);
	if (is_full((const uint8_t *)p + HEAD, n))
		n = 0;
	p[0] = FILTER_FORM;
	p[1] = (char)(n & 0xff);
	p[2] = (char)(n >> 8 & 0xff);
	p[3] = (char)(n >> 16 & 0xff);
	out->n = from + HEAD + n;
	return true;
}

/* ---- groups ---------------------------------------------------------------- */

#define GROUP_HEAD (2 * sizeof(uint32_t))

void
filter_maker_init(struct filter_maker *g)
{
	*g = (struct filter_maker){0};
	buf_init(&g->records, SIZE_MAX / 4);
}

void
filter_maker_done(struct filter_maker *g)
{
	VEC_DONE(&g->entries);
	buf_done(&g->records);
}

void
filter_maker_clear(struct filter_maker *g)
{
	g->entries.n = 0;
	buf_clear(&g->records);
}

size_t
filter_maker_bytes(const struct filter_maker *g)
{
	return GROUP_HEAD + g->entries.n * sizeof(struct filter_entry) +
	    g->records.n;
}

void
filter_maker_add(struct filter_maker *g, uint32_t uid, struct str record)
{
	(void)buf_add_str(&g->records, record);
	*VEC_ADD(&g->entries) =
	    (struct filter_entry){.uid = uid, .end = (uint32_t)g->records.n};
}

void
filter_maker_write(const struct filter_maker *g, struct buf *out)
{
	uint32_t head[2] = {FILTER_FORM, (uint32_t)g->entries.n};

	(void)buf_add(out, head, sizeof(head));
	(void)buf_add(
	    out, g->entries.v, g->entries.n * sizeof(struct filter_entry));
	(void)buf_add_str(out, buf_str(&g->records));
}

bool
filter_group_parse(struct str value, struct filter_group *out)
{
	uint32_t head[2];
	size_t table;

	if (value.n < GROUP_HEAD)
		return false;
	memcpy(head, value.p, sizeof(head));
	if (head[0] != FILTER_FORM || head[1] == 0 ||
	    head[1] > FILTER_GROUP_MAX)
		return false;
	table = head[1] * sizeof(struct filter_entry);
	if (value.n - GROUP_HEAD < table)
		return false;
	out->n = head[1];
	out->table = value.p + GROUP_HEAD;
	out->records = str_skip(value, GROUP_HEAD + table);
	return true;
}

struct filter_entry
filter_group_entry(const struct filter_group *g, uint32_t i)
{
	struct filter_entry e;

	memcpy(&e, g->table + i * sizeof(e), sizeof(e));
	return e;
}

struct str
filter_group_record(const struct filter_group *g, uint32_t i)
{
	uint32_t end = filter_group_entry(g, i).end;
	uint32_t begin = i == 0 ? 0 : filter_group_entry(g, i - 1).end;

	if (begin > end || end > g->records.n)
		return STR("");
	return str_make(g->records.p + begin, end - begin);
}

bool
filter_group_find(const struct filter_group *g, uint32_t uid, uint32_t *i)
{
	uint32_t lo = 0, hi = g->n;

	/* The next one, mostly. */
	if (*i + 1 < g->n && filter_group_entry(g, *i + 1).uid == uid) {
		++*i;
		return true;
	}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (filter_group_entry(g, mid).uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	*i = lo;
	return lo < g->n && filter_group_entry(g, lo).uid == uid;
}

/* ---- questions ------------------------------------------------------------- */

void
filter_query_init(struct filter_query *q)
{
	*q = (struct filter_query){0};
}

void
filter_query_done(struct filter_query *q)
{
	VEC_DONE(&q->hashes);
}

static bool
has_hash(const struct filter_query *q, uint32_t hash)
{
	VEC_EACH(&q->hashes, h)
		if (*h == hash)
			return true;
	return false;
}

void
filter_query_add(struct filter_query *q, struct str text)
{
	const uint8_t *p = (const uint8_t *)text.p;
	size_t max = q->hashes.n + HASHES_MAX;

	for (size_t i = FILTER_GRAM; i <= text.n && q->hashes.n < max; i++) {
		uint32_t hash = filter_hash((uint32_t)p[i - 4] << 24 |
		    (uint32_t)p[i - 3] << 16 | (uint32_t)p[i - 2] << 8 |
		    p[i - 1]);

		if (!has_hash(q, hash))
			*VEC_ADD(&q->hashes) = hash;
	}
}

bool
filter_parse(struct str record, struct filter *out)
{
	const uint8_t *p = (const uint8_t *)record.p;
	uint32_t n;

	if (record.n < HEAD || p[0] != FILTER_FORM)
		return false;
	n = (uint32_t)p[1] | (uint32_t)p[2] << 8 | (uint32_t)p[3] << 16;
	if (n != record.n - HEAD || n > FILTER_BITS_MAX / 8)
		return false;
	out->n_bits = n * 8;
	out->bits = p + HEAD;
	return true;
}

bool
filter_may_have(const struct filter *f, const struct filter_query *q)
{
	if (f->n_bits == 0)
		return true;
	VEC_EACH(&q->hashes, h) {
		uint32_t at = squeeze(*h, f->n_bits);

		if ((f->bits[at / 8] >> at % 8 & 1) == 0)
			return false;
	}
	return true;
}
