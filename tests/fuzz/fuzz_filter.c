/* SPDX-License-Identifier: ISC */
/*
 * fuzz_filter.c - search filters as anybody could have written them, and as we
 * do. The first byte says which.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "index/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void
ask(struct str record, struct str needle)
{
	struct filter_query q;
	struct filter f;

	if (!filter_parse(record, &f))
		return;
	filter_query_init(&q);
	filter_query_add(&q, needle);
	sink += filter_may_have(&f, &q);
	filter_query_done(&q);
}

/* Any bytes as a group: what is in it is asked. */
static void
try_group(struct str value)
{
	struct filter_group g;
	uint32_t at = 0;

	if (!filter_group_parse(value, &g))
		return;
	for (uint32_t i = 0; i < g.n; i++) {
		uint32_t uid = filter_group_entry(&g, i).uid;
		struct str record = filter_group_record(&g, i);

		ASSERT(record.n == 0 ||
		    (record.p >= value.p &&
			record.p + record.n <= value.p + value.n));
		ask(record, STR("a needle"));
		if (filter_group_find(&g, uid, &at))
			ASSERT(filter_group_entry(&g, at).uid == uid);
	}
	at = UINT32_MAX - 1;
	(void)filter_group_find(&g, 7, &at);
}

/* A text's filter in a group, of any size: each piece of the text is in it. */
static void
try_text(struct str text, size_t max_bytes, size_t step)
{
	static struct filter_set set;
	struct filter_query q;
	struct filter_maker m;
	struct filter_group g;
	struct buf record, value;
	struct filter f;
	uint32_t at = 0;

	filter_set_clear(&set);
	filter_set_add(&set, text, text.n);
	buf_init(&record, 1 << 20);
	buf_init(&value, 1 << 20);
	ASSERT(filter_write(&set, max_bytes, &record));
	filter_maker_init(&m);
	filter_maker_add(&m, 3, STR("x"));
	filter_maker_add(&m, 5, buf_str(&record));
	filter_maker_write(&m, &value);
	ASSERT(value.n == filter_maker_bytes(&m));
	ASSERT(filter_group_parse(buf_str(&value), &g));
	ASSERT(!filter_group_find(&g, 4, &at));
	ASSERT(filter_group_find(&g, 5, &at) && at == 1);
	ASSERT(filter_parse(filter_group_record(&g, at), &f));
	for (size_t n = 1; n < text.n; n += step)
		for (size_t from = 0; from + n <= text.n; from += step) {
			filter_query_init(&q);
			filter_query_add(&q, str_make(text.p + from, n));
			ASSERT(filter_may_have(&f, &q));
			filter_query_done(&q);
		}
	filter_maker_done(&m);
	buf_done(&record);
	buf_done(&value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s;

	if (size < 2 || size > 100000)
		return 0;
	s = str_make(data + 2, size - 2);
	if (data[0] % 3 == 0)
		try_group(s);
	else if (data[0] % 3 == 1)
		ask(s, STR("a needle"));
	else
		try_text(s, (size_t)data[1] * 16, 1 + s.n / 40);
	return 0;
}
