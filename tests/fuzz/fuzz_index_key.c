/* SPDX-License-Identifier: ISC */
/*
 * fuzz_index_key.c - values of the index as anybody could have written them.
 * The first byte says what it is. Whatever is accepted is walked over, and a
 * set that was read is written as it was.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "index/index_box.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void
look(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		sink += (uint8_t)s.p[i];
}

static void
try_set(struct str s)
{
	struct set32 a, b;
	struct buf out;

	set32_init(&a);
	set32_init(&b);
	buf_init(&out, SIZE_MAX / 2);
	if (index_set_parse(s, &a)) {
		index_set_write(&out, &a);
		ASSERT(index_set_parse(buf_str(&out), &b));
		ASSERT(a.n == b.n);
		for (size_t i = 0; i < a.n; i++)
			ASSERT(a.r[i].first == b.r[i].first &&
			    a.r[i].last == b.r[i].last);
	}
	buf_done(&out);
	set32_done(&a);
	set32_done(&b);
}

static void
try_head(struct str s)
{
	struct index_head h;

	if (!index_head_parse(s, &h))
		return;
	look(h.place);
	look(h.keywords);
	look(h.backend);
	look(str_of(h.guid));
	try_set(h.live);
	try_set(h.recents);
}

static void
try_chunk(struct str s, struct str side)
{
	struct index_chunk c;

	if (!index_chunk_parse(s, &c))
		return;
	c.side = side;
	for (uint32_t i = 0; i < c.n; i++) {
		uint16_t more[4];
		struct index_rec r = index_chunk_rec(&c, i);
		struct str own;

		(void)index_chunk_find(&c, r.uid);
		look(index_chunk_side(&c, i));
		(void)index_side_parse(
		    index_chunk_side(&c, i), r.known, more, 4, &own);
		look(own);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_make(data, size);

	if (size == 0)
		return 0;
	s = str_skip(s, 1);
	switch (data[0] % 3) {
	case 0:
		try_head(s);
		break;
	case 1:
		try_chunk(str_head(s, s.n - s.n % 16), str_skip(s, s.n / 2));
		break;
	default:
		try_set(s);
		break;
	}
	return 0;
}
