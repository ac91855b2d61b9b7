/* SPDX-License-Identifier: ISC */
/* filter_test.c - what is in a text is never denied; what is not, mostly is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "index/filter.h"

static uint64_t seed = 42;

static uint32_t
below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

/* Words of letters that are not alike often. */
static void
fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = below(6) == 0 ? ' '
				     : (char)('A' + below(5) * below(6) % 26);
}

static bool
may_have(struct str record, struct str needle)
{
	struct filter_query q;
	struct filter f;
	bool may;

	assert_true(filter_parse(record, &f));
	filter_query_init(&q);
	filter_query_add(&q, needle);
	may = filter_may_have(&f, &q);
	filter_query_done(&q);
	return may;
}

/* The text in pieces of all sizes, each with the three bytes before it. */
static void
make(struct str text, size_t max_bytes, struct buf *out)
{
	static struct filter_set set;
	size_t at = 0, n, from;

	filter_set_clear(&set);
	for (; at < text.n; at += n) {
		n = 1 + below(40);
		n = n < text.n - at ? n : text.n - at;
		from = at < 3 ? 0 : at - 3;
		filter_set_add(&set, str_make(text.p + from, at + n - from), n);
	}
	buf_clear(out);
	assert_true(filter_write(&set, max_bytes, out));
}

static void
test_never_denied(UNUSED void **state)
{
	static char text[5000];
	struct buf record;

	buf_init(&record, 1 << 20);
	for (size_t n = 0; n < sizeof(text); n = n * 2 + 1) {
		fill(text, n);
		for (size_t max = 0; max < 4096; max = max * 2 + 50) {
			make(str_make(text, n), max, &record);
			assert_true(
			    record.n <= max || record.n <= FILTER_MIN_BYTES);
			for (int i = 0; i < 300 && n > 0; i++) {
				uint32_t at = below((uint32_t)n);
				uint32_t len = below((uint32_t)(n - at) + 1);

				assert_true(may_have(buf_str(&record),
				    str_make(text + at, len)));
			}
		}
	}
	buf_done(&record);
}

/* A tenth of a text is enough to tell words that it does not have. */
static void
test_mostly_denied(UNUSED void **state)
{
	static char text[20000];
	struct buf record;
	char word[8];
	int passed = 0;

	buf_init(&record, 1 << 20);
	fill(text, sizeof(text));
	make(str_make(text, sizeof(text)), sizeof(text) / 10, &record);
	for (int i = 0; i < 10000; i++) {
		for (size_t k = 0; k < sizeof(word); k++)
			word[k] = (char)('a' + below(26));
		passed +=
		    may_have(buf_str(&record), str_make(word, sizeof(word)));
	}
	assert_true(passed < 300);
	/* Too short to tell. */
	assert_true(may_have(buf_str(&record), STR("xyz")));
	assert_true(may_have(buf_str(&record), STR("")));
	buf_done(&record);
}

/* All fours there are: it says nothing, and takes no room. */
static void
test_full(UNUSED void **state)
{
	static char text[400000];
	struct buf record;

	buf_init(&record, 1 << 20);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)below(256);
	make(str_make(text, sizeof(text)), sizeof(text) / 100, &record);
	assert_int_equal(record.n, 4);
	assert_true(may_have(buf_str(&record), STR("anything")));
	buf_done(&record);
}

static void
test_bad_records(UNUSED void **state)
{
	static const struct str bad[] = {STR_LIT(""), STR_LIT("\1"),
	    STR_LIT("\1\0\0"), STR_LIT("\0\0\0\0"), /* another form */
	    STR_LIT("\2\1\0\0x"), STR_LIT("\1\1\0\0"), /* too short */
	    STR_LIT("\1\1\0\0xy"), /* too long */
	    STR_LIT("\1\0\0\1"), STR_LIT("\1\xff\xff\xffx")};
	struct filter f;
	struct buf large;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(filter_parse(bad[i], &f));
	/* Larger than any that is written. */
	buf_init(&large, 1 << 20);
	buf_add(&large, "\1\1\x80\0", 4);
	memset(buf_room(&large, 0x8001), 0, 0x8001);
	large.n += 0x8001;
	assert_false(filter_parse(buf_str(&large), &f));
	buf_done(&large);
	assert_true(filter_parse(STR("\1\0\0\0"), &f));
	assert_true(filter_parse(STR("\1\1\0\0x"), &f));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_never_denied),
	    cmocka_unit_test(test_mostly_denied),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_bad_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
