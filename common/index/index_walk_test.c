/* SPDX-License-Identifier: ISC */
/* index_walk_test.c - who walks over a large index does not keep it mapped. */
#include "tests/lib/test_index.h"

#define MANY 2000
#define BYTES 20000 /* each; all in all 40 MB */
/* How much is mapped at once differs with the kernel; never most of it. */
#define MAPPED_MAX_KIB(n) ((n) * (BYTES / 1024) / 2)

/* What of data.mdb is in our page tables. */
static unsigned
mapped_kib(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[4400];
	unsigned sum = 0, kib;
	bool is_ours = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		/* A path may have "kB" in it, too. */
		if (strchr(line, '-') != NULL && strstr(line, " kB\n") == NULL)
			is_ours = strstr(line, "data.mdb") != NULL;
		else if (is_ours && sscanf(line, "Rss: %u kB", &kib) == 1)
			sum += kib;
	}
	(void)fclose(f);
	return sum;
}

static unsigned
walk(struct index *ix, uint32_t n, uint32_t stride)
{
	unsigned most = 0, kib;

	for (uint32_t i = 0; i < n; i++) {
		assert_true(has(ix, i * stride % n));
		if (i % 100 != 0)
			continue;
		index_pause(ix);
		kib = mapped_kib();
		most = kib > most ? kib : most;
	}
	return most;
}

static void
test_walk(void **state)
{
	struct index *ix = open_it();

	(void)state;
	assert_int_equal(put_range(ix, 0, MANY, BYTES), 0);
	index_close(&ix);
	ix = open_it();
	assert_true(has(ix, 0));
	assert_true(mapped_kib() > 0);
	assert_in_range(walk(ix, MANY, 1), 1, MAPPED_MAX_KIB(MANY));
	assert_in_range(walk(ix, MANY, 617), 1, MAPPED_MAX_KIB(MANY));
	index_close(&ix);
}

/* What was walked over before the map moved is not given back in its place. */
static void
test_map_moves(void **state)
{
	struct index *ix = open_it();
	struct index_figures f;
	unsigned most = 0;

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(
		    put_range(ix, i * MANY, (i + 1) * MANY, BYTES), 0);
		most = walk(ix, (i + 1) * MANY, 1);
	}
	assert_in_range(most, 1, MAPPED_MAX_KIB(4 * MANY));
	index_figures(ix, &f);
	assert_true(f.map_bytes > 64 << 20);
	index_close(&ix);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_walk),
	    T(test_map_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
