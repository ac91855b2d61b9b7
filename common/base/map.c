/* SPDX-License-Identifier: ISC */
/*
 * map.c - hash table with linear probing and a keyed hash.
 *
 * Owns:    the slots; keys and values belong to the caller.
 * Runs in: every process.
 * Trusts:  nothing; keys may be chosen by an attacker.
 * Spec:    SipHash (Aumasson, Bernstein 2012), one compression and three
 *          finalisation rounds.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"

static uint64_t seed[2];

static uint64_t
rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline __attribute__((always_inline)) void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t
map_hash(struct str key)
{
	if (seed[0] == 0 && seed[1] == 0)
		ASSERT(getrandom(seed, sizeof(seed), 0) == sizeof(seed));
	return map_hash_keyed(seed, key);
}

uint64_t
map_hash_keyed(const uint64_t secret[2], struct str key)
{
	uint64_t v[4], m;
	size_t i;

	v[0] = secret[0] ^ UINT64_C(0x736f6d6570736575);
	v[1] = secret[1] ^ UINT64_C(0x646f72616e646f6d);
	v[2] = secret[0] ^ UINT64_C(0x6c7967656e657261);
	v[3] = secret[1] ^ UINT64_C(0x7465646279746573);
	for (i = 0; i + 8 <= key.n; i += 8) {
		memcpy(&m, key.p + i, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	m = (uint64_t)key.n << 56;
	for (unsigned shift = 0; i < key.n; i++, shift += 8)
		m |= (uint64_t)(unsigned char)key.p[i] << shift;
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
map_init(struct map *m)
{
	*m = (struct map){0};
}

void
map_done(struct map *m)
{
	free(m->slots);
	map_init(m);
}

/* The slot of `key`, or the free one where it would go. */
static struct map_slot *
slot_of(const struct map *m, struct str key, uint64_t hash)
{
	size_t i = (size_t)hash & (m->size - 1);

	while (m->slots[i].value != NULL &&
	    (m->slots[i].hash != hash || !str_eq(m->slots[i].key, key)))
		i = (i + 1) & (m->size - 1);
	return &m->slots[i];
}

void *
map_find(const struct map *m, struct str key)
{
	return m->n == 0 ? NULL : slot_of(m, key, map_hash(key))->value;
}

static void
grow(struct map *m)
{
	struct map bigger = {.size = m->size > 0 ? m->size * 2 : 16, .n = m->n};
	size_t i;

	bigger.slots = mem_new(bigger.size, sizeof(*bigger.slots));
	for (i = 0; i < m->size; i++)
		if (m->slots[i].value != NULL)
			*slot_of(&bigger, m->slots[i].key, m->slots[i].hash) =
			    m->slots[i];
	free(m->slots);
	*m = bigger;
}

void
map_put(struct map *m, struct str key, void *value)
{
	uint64_t hash = map_hash(key);
	struct map_slot *s;

	ASSERT(value != NULL);
	if ((m->n + 1) * 4 > m->size * 3)
		grow(m);
	s = slot_of(m, key, hash);
	if (s->value == NULL)
		m->n++;
	*s = (struct map_slot){.key = key, .value = value, .hash = hash};
}

void *
map_remove(struct map *m, struct str key)
{
	struct map_slot *s;
	size_t hole, i, home;
	void *value;

	if (m->n == 0)
		return NULL;
	s = slot_of(m, key, map_hash(key));
	value = s->value;
	if (value == NULL)
		return NULL;
	/* Move later entries of the run up, so that no mark is needed. */
	hole = (size_t)(s - m->slots);
	for (i = (hole + 1) & (m->size - 1); m->slots[i].value != NULL;
	     i = (i + 1) & (m->size - 1)) {
		home = (size_t)m->slots[i].hash & (m->size - 1);
		if (((i - home) & (m->size - 1)) >=
		    ((i - hole) & (m->size - 1))) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct map_slot){0};
	m->n--;
	return value;
}

bool
map_next(const struct map *m, size_t *i, struct str *key, void **value)
{
	for (; *i < m->size; (*i)++) {
		if (m->slots[*i].value == NULL)
			continue;
		*key = m->slots[*i].key;
		*value = m->slots[*i].value;
		(*i)++;
		return true;
	}
	return false;
}
