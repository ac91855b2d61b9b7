/* SPDX-License-Identifier: ISC */
/*
 * penalty.c - delays by address block and by user name.
 *
 * Owns:    struct penalty: tables of fixed size, which attackers can fill
 *          but not make grow. A full set forgets its mildest entry.
 * Runs in: authd.
 * Trusts:  master for the memory, in which an earlier authd wrote; no entry can
 *          do more than delay.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "auth/penalty.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "os/rng.h"

#define SETS 1024
#define WAYS 4
#define FIRST_MS 1000
#define HALVE_MS 60000
#define PENDING_MAX 1000
/* To be changed with what struct kept means. */
#define LAYOUT UINT64_C(0x70656e616c747931)

struct entry {
	uint64_t key; /* 0: free */
	int64_t at_ms; /* when `delay_ms` was right */
	int32_t delay_ms;
	int32_t pending; /* attempts not yet judged */
};

struct table {
	struct entry e[SETS][WAYS];
};

/* What may lie in memory that outlives us. */
struct kept {
	uint64_t layout; /* 0: fresh */
	uint64_t key[2]; /* of the hashes: outsiders can not aim at a set */
	struct table blocks, names, good;
};

struct penalty {
	struct kept *k;
	bool shared;
};

static void
begin_kept(struct kept *k)
{
	memset(k, 0, sizeof(*k));
	rng_bytes(k->key, sizeof(k->key));
	k->layout = LAYOUT;
}

struct penalty *
penalty_new(void)
{
	struct penalty *p = mem_new(1, sizeof(*p));

	p->k = mem_new(1, sizeof(*p->k));
	begin_kept(p->k);
	return p;
}

/* Who was being judged by one that died is not judged any more. */
static void
forget_pending(struct table *t)
{
	for (size_t i = 0; i < SETS; i++)
		for (size_t j = 0; j < WAYS; j++)
			t->e[i][j].pending = 0;
}

int
penalty_open(int fd, struct penalty **out, struct err *e)
{
	struct penalty *p;
	struct stat st;
	void *at;

	if (fstat(fd, &st) == -1)
		return err_sys(e, "fstat");
	if (st.st_size < (off_t)sizeof(struct kept))
		return err_set(e, ERR_LIMIT, "too little memory is shared");
	at = mmap(NULL, sizeof(struct kept), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	if (at == MAP_FAILED)
		return err_sys(e, "mmap");
	p = mem_new(1, sizeof(*p));
	p->k = at;
	p->shared = true;
	if (p->k->layout != LAYOUT)
		begin_kept(p->k);
	forget_pending(&p->k->blocks);
	forget_pending(&p->k->names);
	*out = p;
	return 0;
}

void
penalty_free(struct penalty **pp)
{
	if (*pp == NULL)
		return;
	if ((*pp)->shared)
		(void)munmap((*pp)->k, sizeof(*(*pp)->k));
	else
		free((*pp)->k);
	MEM_FREE(*pp);
}

uint64_t
penalty_block(const struct penalty *p, struct str ip)
{
	/* The length keeps 4 bytes apart from the first 8 of IPv6. */
	char bytes[9] = {(char)ip.n};
	size_t n = ip.n > 8 ? 8 : ip.n;
	uint64_t h;

	memcpy(bytes + 1, ip.p, n);
	h = map_hash_keyed(p->k->key, str_make(bytes, n + 1));
	return h == 0 ? 1 : h;
}

struct penalty_who
penalty_who(
    const struct penalty *p, struct str ip, struct str name, bool is_local)
{
	struct penalty_who w = {.name = map_hash_keyed(p->k->key, name)};
	uint64_t both[2];

	if (w.name == 0)
		w.name = 1;
	if (!is_local) {
		w.block = penalty_block(p, ip);
		both[0] = w.block;
		both[1] = w.name;
		w.pair =
		    map_hash_keyed(p->k->key, str_make(both, sizeof(both)));
	}
	return w;
}

/*
 * What is left of the delay; brings the entry up to date. Another process may
 * write at the same time: any value is a delay between nothing and the most.
 */
static int32_t
decay(struct entry *en, int64_t now)
{
	if (en->at_ms > now)
		en->at_ms = now;
	if (en->delay_ms > PENALTY_MAX_MS)
		en->delay_ms = PENALTY_MAX_MS;
	while (en->delay_ms > 0 && now - en->at_ms >= HALVE_MS) {
		en->delay_ms /= 2;
		en->at_ms += HALVE_MS;
		if (en->delay_ms < FIRST_MS / 2)
			en->delay_ms = 0;
	}
	return en->delay_ms;
}

static struct entry *
find(struct table *t, uint64_t key)
{
	struct entry *set = t->e[key % SETS];
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	return NULL;
}

/* The entry of `key`, in place of the mildest one if need be. */
static struct entry *
find_or_add(struct table *t, uint64_t key, int64_t now)
{
	struct entry *set = t->e[key % SETS], *best = NULL;
	size_t i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].key == 0) {
			best = &set[i];
			break;
		}
		decay(&set[i], now);
		if (best == NULL || set[i].delay_ms < best->delay_ms ||
		    (set[i].delay_ms == best->delay_ms &&
			set[i].at_ms < best->at_ms))
			best = &set[i];
	}
	*best = (struct entry){.key = key, .at_ms = now};
	return best;
}

static int32_t
doubled(int32_t delay_ms)
{
	if (delay_ms == 0)
		return FIRST_MS;
	return delay_ms > PENALTY_MAX_MS / 2 ? PENALTY_MAX_MS : delay_ms * 2;
}

/* Delay for one more attempt of `key`, which is pending from now on. */
static int64_t
begin(struct table *t, uint64_t key, int64_t now)
{
	struct entry *en = find(t, key);
	int32_t delay, i;

	if (en == NULL)
		return 0;
	delay = decay(en, now);
	if (delay == 0)
		return 0;
	for (i = 0; i < en->pending && delay < PENALTY_MAX_MS; i++)
		delay = doubled(delay);
	if (en->pending < PENDING_MAX)
		en->pending++;
	return delay;
}

static void
end(struct table *t, uint64_t key, bool failed, int64_t now)
{
	struct entry *en = failed ? find_or_add(t, key, now) : find(t, key);

	if (en == NULL)
		return;
	if (en->pending > 0)
		en->pending--;
	if (failed) {
		en->delay_ms = doubled(decay(en, now));
		en->at_ms = now;
	}
}

int64_t
penalty_begin(struct penalty *p, const struct penalty_who *who)
{
	int64_t now = clock_mono_ms(), by_block = 0, by_name;

	if (who->block != 0)
		by_block = begin(&p->k->blocks, who->block, now);
	by_name = begin(&p->k->names, who->name, now);
	if (who->pair != 0 && find(&p->k->good, who->pair) != NULL)
		by_name = 0;
	return by_block > by_name ? by_block : by_name;
}

void
penalty_end(
    struct penalty *p, const struct penalty_who *who, bool ok, bool failed)
{
	int64_t now = clock_mono_ms();

	if (who->block != 0)
		end(&p->k->blocks, who->block, failed, now);
	end(&p->k->names, who->name, failed, now);
	if (ok && who->pair != 0)
		find_or_add(&p->k->good, who->pair, now)->at_ms = now;
}
