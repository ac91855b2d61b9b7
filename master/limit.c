/* SPDX-License-Identifier: ISC */
/*
 * limit.c - counts of sessions, and back-off after crashes.
 *
 * Owns:    the counters.
 * Runs in: master.
 * Trusts:  nothing; keys come from grants, their number is that of sessions.
 */
#include <stdlib.h>
#include <string.h>

#include "limit.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/vec.h"

#define CRASHES_FREE 2
#define CRASH_DELAY_MS 1000
#define CRASH_DELAY_MAX_MS 60000
#define CRASH_MEMORY_MS (5 * 60 * 1000)

struct counter {
	uint32_t n;
	size_t key_n;
	char key[];
};

struct crash {
	uint32_t n;
	int64_t last_ms, not_before_ms;
	size_t key_n;
	char key[];
};

#define KEY_MAX 300

#define BACKOFF_MS 100
#define BACKOFF_MAX_MS 2000

void
limit_init(struct limit_table *l)
{
	map_init(&l->counters);
	map_init(&l->crashes);
	l->total = 0;
}

static void
free_values(struct map *m)
{
	struct str key;
	void *value;
	size_t i = 0;

	while (map_next(m, &i, &key, &value))
		free(value);
	map_done(m);
}

void
limit_done(struct limit_table *l)
{
	free_values(&l->counters);
	free_values(&l->crashes);
}

void
limit_block_of(struct str ip, struct limit_block *out)
{
	*out = (struct limit_block){.n = (uint8_t)(ip.n > 8 ? 8 : ip.n)};
	if (out->n > 0)
		memcpy(out->bytes, ip.p, out->n);
}

/* "iu" service user, "ia" service block. */
static struct str
make_key(char *room, char kind, enum service service, struct str what)
{
	size_t n = what.n > KEY_MAX - 2 ? KEY_MAX - 2 : what.n;

	room[0] = kind;
	room[1] = (char)service;
	memcpy(room + 2, what.p, n);
	return str_make(room, n + 2);
}

static uint32_t
count_of(const struct limit_table *l, struct str key)
{
	const struct counter *c = map_find(&l->counters, key);

	return c == NULL ? 0 : c->n;
}

static void
count_up(struct limit_table *l, struct str key)
{
	struct counter *c = map_find(&l->counters, key);

	if (c == NULL) {
		c = mem_new(1, sizeof(*c) + key.n);
		c->key_n = key.n;
		memcpy(c->key, key.p, key.n);
		map_put(&l->counters, str_make(c->key, c->key_n), c);
	}
	c->n++;
}

static void
count_down(struct limit_table *l, struct str key)
{
	struct counter *c = map_find(&l->counters, key);

	ASSERT(c != NULL && c->n > 0);
	if (--c->n == 0) {
		(void)map_remove(&l->counters, key);
		free(c);
	}
}

enum limit_verdict
limit_begin(struct limit_table *l, const struct settings *s,
    enum service service, struct str user, const struct limit_block *block)
{
	char user_room[KEY_MAX], block_room[KEY_MAX];
	struct str user_key = make_key(user_room, 'u', service, user);
	struct str block_key = make_key(
	    block_room, 'a', service, str_make(block->bytes, block->n));

	if (l->total >= s->max_connections)
		return LIMIT_TOTAL;
	if (count_of(l, user_key) >= s->max_per_user[service])
		return LIMIT_USER;
	if (block->n != 0 &&
	    count_of(l, block_key) >= s->max_per_address[service])
		return LIMIT_ADDRESS;
	l->total++;
	count_up(l, user_key);
	if (block->n != 0)
		count_up(l, block_key);
	return LIMIT_OK;
}

void
limit_end(struct limit_table *l, enum service service, struct str user,
    const struct limit_block *block)
{
	char room[KEY_MAX];

	ASSERT(l->total > 0);
	l->total--;
	count_down(l, make_key(room, 'u', service, user));
	if (block->n != 0)
		count_down(l,
		    make_key(
			room, 'a', service, str_make(block->bytes, block->n)));
}

uint32_t
limit_of_user(
    const struct limit_table *l, enum service service, struct str user)
{
	char room[KEY_MAX];

	return count_of(l, make_key(room, 'u', service, user));
}

void
limit_crashed(struct limit_table *l, struct str identity, int64_t now_ms)
{
	struct crash *c = map_find(&l->crashes, identity);
	int64_t delay = CRASH_DELAY_MS;

	if (c == NULL) {
		c = mem_new(1, sizeof(*c) + identity.n);
		c->key_n = identity.n;
		memcpy(c->key, identity.p, identity.n);
		map_put(&l->crashes, str_make(c->key, c->key_n), c);
	}
	if (now_ms - c->last_ms > CRASH_MEMORY_MS)
		c->n = 0;
	c->n++;
	c->last_ms = now_ms;
	if (c->n <= CRASHES_FREE) {
		c->not_before_ms = now_ms;
		return;
	}
	for (uint32_t i = CRASHES_FREE + 1;
	     i < c->n && delay < CRASH_DELAY_MAX_MS; i++)
		delay *= 2;
	if (delay > CRASH_DELAY_MAX_MS)
		delay = CRASH_DELAY_MAX_MS;
	c->not_before_ms = now_ms + delay;
}

bool
limit_may_start(
    const struct limit_table *l, struct str identity, int64_t now_ms)
{
	const struct crash *c = map_find(&l->crashes, identity);

	return c == NULL || now_ms >= c->not_before_ms;
}

int64_t
limit_backoff_ms(unsigned failures)
{
	int64_t ms = BACKOFF_MS;

	for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms;
}

void
limit_sweep(struct limit_table *l, int64_t now_ms)
{
	VEC(struct crash *) old = {0};
	struct str key;
	size_t i = 0;
	void *value;

	/* Removing changes the table under the iterator. */
	while (map_next(&l->crashes, &i, &key, &value)) {
		struct crash *c = value;

		if (now_ms - c->last_ms > CRASH_MEMORY_MS)
			*VEC_ADD(&old) = c;
	}
	VEC_EACH(&old, x) {
		(void)map_remove(&l->crashes, str_make((*x)->key, (*x)->key_n));
		free(*x);
	}
	VEC_DONE(&old);
}
