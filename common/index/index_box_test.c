/* SPDX-License-Identifier: ISC */
/*
 * index_box_test.c - what lies in the index: sets, sums, chunks of records,
 * heads, slots, what vanished when.
 */
#include "index/cache.h"
#include "index/index_box.h"
#include "index/modlog.h"
#include "tests/lib/test_index.h"

/* ---- sets, sums ---------------------------------------------------------- */

static void
test_sets(void **state)
{
	struct set32 a, b;
	struct buf bytes;

	(void)state;
	set32_init(&a);
	set32_init(&b);
	buf_init(&bytes, 10000);
	assert_true(index_set_parse(STR(""), &b));
	assert_true(set32_is_empty(&b));
	set32_add_range(&a, 1, 1000000);
	set32_add(&a, 2000000);
	set32_add_range(&a, UINT32_MAX - 3, UINT32_MAX);
	index_set_write(&bytes, &a);
	assert_true(bytes.n < 20);
	assert_true(index_set_parse(buf_str(&bytes), &b));
	assert_int_equal(b.n, 3);
	assert_int_equal(b.r[0].last, 1000000);
	assert_int_equal(b.r[1].first, 2000000);
	assert_int_equal(b.r[2].first, UINT32_MAX - 3);
	assert_int_equal(b.r[2].last, UINT32_MAX);
	/* None of these is one. */
	assert_false(index_set_parse(str_head(buf_str(&bytes), 3), &b));
	assert_false(index_set_parse(str_make("\0\1", 2), &b));
	assert_false(index_set_parse(STR("\xff\xff\xff\xff\xff\xff\xff"), &b));
	assert_false(
	    index_set_parse(STR("\xff\xff\xff\xff\x0f\x05\x05\x05"), &b));
	buf_done(&bytes);
	set32_done(&a);
	set32_done(&b);
}

static void
test_sum(void **state)
{
	char bytes[200];
	uint64_t sum;

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	for (size_t n = 1; n < sizeof(bytes); n++) {
		sum = index_sum(0, str_make(bytes, n));
		assert_true(sum != index_sum(0, str_make(bytes, n - 1)));
		assert_true(sum != index_sum(1, str_make(bytes, n)));
		for (size_t i = 0; i < n; i++) {
			bytes[i] ^= 4;
			assert_true(sum != index_sum(0, str_make(bytes, n)));
			bytes[i] ^= 4;
		}
	}
}

/* ---- chunks -------------------------------------------------------------- */

struct source {
	uint32_t uid, last, step;
	char side[64];
};

static bool
next_rec(void *arg, struct index_rec *r, struct str *side)
{
	struct source *s = arg;

	if (s->uid > s->last)
		return false;
	(void)snprintf(s->side, sizeof(s->side), "name-%u", s->uid);
	*r = (struct index_rec){
	    .uid = s->uid,
	    .size = s->uid,
	    .wire_size = s->uid,
	    .known = s->uid % 3 == 0 ? 0 : INDEX_HAS_SIZE,
	    .hash = index_sum(0, str_of(s->side)),
	};
	*side = str_of(s->side);
	s->uid += s->step;
	return true;
}

struct job {
	uint32_t box;
	struct index_sums sums;
	struct source source;
	const uint32_t *uids;
	size_t n;
	index_edit_fn *edit;
	unsigned met;
};

static int
append_job(struct index *ix, void *arg, struct err *e)
{
	struct job *j = arg;

	return index_box_append(ix, j->box, next_rec, &j->source, &j->sums, e);
}

static enum index_edit
drop_rec(void *arg, UNUSED struct index_rec *r, UNUSED struct str *side)
{
	((struct job *)arg)->met++;
	return INDEX_EDIT_DROP;
}

static enum index_edit
size_rec(void *arg, struct index_rec *r, struct str *side)
{
	((struct job *)arg)->met++;
	r->known |= INDEX_HAS_SIZE;
	r->wire_size = 1000000;
	*side = STR("another, longer name than it had before");
	return INDEX_EDIT_CHANGED;
}

static int
edit_job(struct index *ix, void *arg, struct err *e)
{
	struct job *j = arg;

	j->met = 0;
	return index_box_edit(
	    ix, j->box, j->uids, j->n, j->edit, j, &j->sums, e);
}

static void
check_sums(struct index *ix, const struct job *j)
{
	struct index_sums sums = {0};
	struct index_chunk c;
	uint32_t last = 0;
	bool more = index_box_chunk(ix, j->box, 1, true, &c);

	for (; more; more = index_box_next(ix, j->box, true, &c)) {
		assert_true(c.first_uid > last);
		sums.n_chunks++;
		sums.n += c.n;
		for (uint32_t i = 0; i < c.n; i++) {
			struct index_rec r = index_chunk_rec(&c, i);

			assert_true(r.uid > last);
			last = r.uid;
			if (r.known & INDEX_HAS_SIZE)
				sums.wire_sum += r.wire_size;
			else
				sums.unknown_sizes++;
			assert_true(index_chunk_side(&c, i).n > 0);
		}
	}
	assert_int_equal(sums.n, j->sums.n);
	assert_int_equal(sums.n_chunks, j->sums.n_chunks);
	assert_int_equal(sums.unknown_sizes, j->sums.unknown_sizes);
	assert_true(sums.wire_sum == j->sums.wire_sum);
}

static void
test_chunks(void **state)
{
	struct index *ix = open_it();
	struct job j = {
	    .box = 5, .source = {.uid = 2, .last = 2000, .step = 2}};
	struct index_rec r;
	struct index_chunk c;
	uint32_t all[3000], i;
	struct err e;

	(void)state;
	assert_int_equal(index_write(ix, append_job, &j, &e), 0);
	assert_int_equal(j.sums.n, 1000);
	assert_int_equal(j.sums.n_chunks, 4);
	check_sums(ix, &j);
	assert_true(index_box_rec(ix, 5, 1000, &r));
	assert_int_equal(r.wire_size, 1000);
	assert_false(index_box_rec(ix, 5, 1001, &r));
	assert_false(index_box_rec(ix, 5, 1, &r));
	assert_false(index_box_rec(ix, 5, 2001, &r));
	assert_false(index_box_rec(ix, 4, 1000, &r));
	assert_true(index_box_has_hash(ix, 5, index_sum(0, STR("name-1998"))));
	assert_false(index_box_has_hash(ix, 5, index_sum(0, STR("name-1999"))));
	/* One more lands in the last chunk. */
	j.source = (struct source){.uid = 2001, .last = 2003, .step = 1};
	assert_int_equal(index_write(ix, append_job, &j, &e), 0);
	assert_int_equal(j.sums.n_chunks, 4);
	check_sums(ix, &j);
	/* Edits: those that are not there are passed over. */
	for (i = 0; i < 3000; i++)
		all[i] = i + 1;
	j.uids = all + 99;
	j.n = 101;
	j.edit = size_rec;
	assert_int_equal(index_write(ix, edit_job, &j, &e), 0);
	assert_int_equal(j.met, 51);
	check_sums(ix, &j);
	assert_true(index_box_chunk(ix, 5, 150, true, &c));
	i = index_chunk_find(&c, 150);
	assert_true(str_eq(index_chunk_side(&c, i),
	    STR("another, longer name than it had before")));
	assert_true(str_eq(index_chunk_side(&c, i + 30), STR("name-210")));
	/* Removal, over whole chunks. */
	j.uids = all + 3;
	j.n = 1500;
	j.edit = drop_rec;
	assert_int_equal(index_write(ix, edit_job, &j, &e), 0);
	assert_int_equal(j.met, 750);
	check_sums(ix, &j);
	assert_true(index_box_rec(ix, 5, 2, &r));
	assert_false(index_box_rec(ix, 5, 4, &r));
	assert_true(index_box_rec(ix, 5, 1504, &r));
	j.uids = all;
	j.n = 3000;
	assert_int_equal(index_write(ix, edit_job, &j, &e), 0);
	assert_int_equal(j.sums.n_chunks, 0);
	assert_true(j.sums.wire_sum == 0);
	check_sums(ix, &j);
	j.source = (struct source){.uid = 3000, .last = 3300, .step = 1};
	assert_int_equal(index_write(ix, append_job, &j, &e), 0);
	check_sums(ix, &j);
	assert_true(index_box_chunk(ix, 5, 1, false, &c));
	assert_int_equal(c.first_uid, 3000);
	index_close(&ix);
	assert_int_equal(warnings, 0);
}

static void
test_side(void **state)
{
	const uint16_t more[] = {26, 30, 999};
	uint16_t out[8];
	struct buf b;
	struct str own;

	(void)state;
	buf_init(&b, 1000);
	index_side_write(&b, more, 3, STR("own"));
	assert_int_equal(
	    index_side_parse(buf_str(&b), INDEX_HAS_MORE, out, 8, &own), 3);
	assert_memory_equal(out, more, sizeof(more));
	assert_true(str_eq(own, STR("own")));
	assert_int_equal(
	    index_side_parse(buf_str(&b), INDEX_HAS_MORE, out, 2, &own), 2);
	assert_int_equal(index_side_parse(str_head(buf_str(&b), 5),
			     INDEX_HAS_MORE, out, 8, &own),
	    0);
	assert_int_equal(own.n, 0);
	assert_int_equal(index_side_parse(STR("own"), 0, out, 8, &own), 0);
	assert_true(str_eq(own, STR("own")));
	buf_done(&b);
}

/* ---- heads, slots, history ----------------------------------------------- */

static int
head_job(struct index *ix, void *arg, struct err *e)
{
	const struct index_head *h = arg;
	uint32_t box;

	if (index_box_new(ix, &box, e) == -1)
		return -1;
	assert_true(box > 0);
	return index_box_save_head(ix, h, e);
}

static void
test_head(void **state)
{
	struct index *ix = open_it();
	struct index_head h = {
	    .box = 7,
	    .generation = 3,
	    .uidvalidity = 1234,
	    .uidnext = 99,
	    .messages = 50,
	    .wire_sum = UINT64_C(1) << 40,
	    .guid = "0123456789abcdef0123456789abcdef",
	    .place = STR("/home/u/Maildir"),
	    .keywords = STR("one\0two\0"),
	    .backend = STR("x\0y"),
	    .live = STR("\1\61"),
	};
	struct index_head got;
	struct err e;

	(void)state;
	assert_false(index_box_head(ix, h.place, &got));
	assert_int_equal(index_write(ix, head_job, &h, &e), 0);
	assert_true(index_box_head(ix, STR("/home/u/Maildir"), &got));
	assert_int_equal(got.box, 7);
	assert_int_equal(got.messages, 50);
	assert_true(got.wire_sum == UINT64_C(1) << 40);
	assert_string_equal(got.guid, h.guid);
	assert_true(str_eq(got.keywords, h.keywords));
	assert_true(str_eq(got.backend, h.backend));
	assert_true(str_eq(got.live, h.live));
	assert_int_equal(got.recents.n, 0);
	assert_false(index_box_head(ix, STR("/home/u/Mail"), &got));
	index_close(&ix);
}

static int
slots_job(struct index *ix, UNUSED void *arg, struct err *e)
{
	for (uint32_t uid = 1; uid <= 300; uid++)
		if (cache_put(ix, 1, INDEX_ENVELOPE, uid, STR("env"), e) ||
		    cache_put(ix, 1, INDEX_FIELDS, uid, STR("fields"), e) ||
		    cache_put(ix, 2, INDEX_FIELDS, uid, STR("other"), e))
			return -1;
	return 0;
}

static int
unslot_job(struct index *ix, void *arg, struct err *e)
{
	return cache_remove(ix, 1, arg, e);
}

static void
test_slots(void **state)
{
	struct index *ix = open_it();
	struct set32 gone;
	struct str v;
	struct err e;

	(void)state;
	set32_init(&gone);
	set32_add_range(&gone, 10, 280);
	set32_add(&gone, 300);
	assert_int_equal(index_write(ix, slots_job, NULL, &e), 0);
	assert_true(cache_get(ix, 1, INDEX_ENVELOPE, 20, &v));
	assert_int_equal(index_write(ix, unslot_job, &gone, &e), 0);
	for (uint32_t uid = 1; uid <= 300; uid++) {
		bool there = !set32_has(&gone, uid);

		assert_int_equal(
		    cache_get(ix, 1, INDEX_ENVELOPE, uid, &v), there);
		assert_int_equal(
		    cache_get(ix, 1, INDEX_FIELDS, uid, &v), there);
		assert_true(cache_get(ix, 2, INDEX_FIELDS, uid, &v));
	}
	set32_done(&gone);
	index_close(&ix);
	assert_int_equal(warnings, 0);
}

/* Values of different sizes, and gaps; `arg`: what they begin with. */
static int
order_job(struct index *ix, void *arg, struct err *e)
{
	static char bytes[6000];

	memset(bytes, *(const char *)arg, sizeof(bytes));
	for (uint32_t uid = 1; uid <= 600; uid++) {
		size_t n = uid * 7919 % (uid % 50 == 0 ? 6000 : 300) + 1;

		if (uid % 7 == 3)
			continue;
		if (cache_put(
			ix, 1, INDEX_ENVELOPE, uid, str_make(bytes, n), e) ||
		    cache_put(ix, 1, INDEX_FIELDS, uid, str_make(bytes, 5), e))
			return -1;
	}
	return 0;
}

/* In order, with gaps, backwards, and from one place to another: what lanes
 * have in advance is never another key's, nor of the time before a write. */
static void
test_lanes(void **state)
{
	struct index *ix = open_it();
	uint32_t seed = 1;
	struct str v;
	struct err e;

	(void)state;
	for (char mark = 'a'; mark <= 'c'; mark++) {
		assert_int_equal(index_write(ix, order_job, &mark, &e), 0);
		for (uint32_t i = 0; i < 3000; i++) {
			uint32_t uid = i < 620 ? i : 1240 - i;

			seed = seed * 1103515245 + 12345;
			if (i > 1240)
				uid = seed / 65536 % 620;
			if (seed / 65536 % 400 == 0)
				index_pause(ix);
			for (int k = 0; k < 2; k++) {
				bool there =
				    uid >= 1 && uid <= 600 && uid % 7 != 3;

				assert_int_equal(
				    cache_get(ix, 1,
					k == 0 ? INDEX_ENVELOPE : INDEX_FIELDS,
					uid, &v),
				    there);
				if (there) {
					size_t n = uid * 7919 %
						(uid % 50 == 0 ? 6000 : 300) +
					    1;

					assert_int_equal(v.n, k == 0 ? n : 5);
					assert_int_equal(*v.p, mark);
				}
			}
		}
	}
	index_close(&ix);
	assert_int_equal(warnings, 0);
}

struct gone_job {
	uint64_t modseq, from;
	struct set32 uids;
};

static int
gone_write(struct index *ix, void *arg, struct err *e)
{
	struct gone_job *g = arg;

	return modlog_add(ix, 3, g->modseq, &g->uids, &g->from, e);
}

static void
test_modlog(void **state)
{
	struct index *ix = open_it();
	struct gone_job g = {.from = 0};
	struct set32 out;
	uint64_t first = UINT64_C(1790000000000000);
	struct err e;

	(void)state;
	clock_set_for_test(-1, (int64_t)first);
	assert_true(modlog_next(0) == first);
	assert_true(modlog_next(first) == first + 1);
	assert_true(modlog_next(first + 99) == first + 100);
	set32_init(&out);
	set32_init(&g.uids);
	g.from = first - 1;
	for (uint32_t i = 0; i < 100; i++) {
		set32_clear(&g.uids);
		set32_add_range(&g.uids, i * 10 + 1, i * 10 + 3);
		g.modseq = first + i;
		assert_int_equal(index_write(ix, gone_write, &g, &e), 0);
	}
	assert_true(modlog_vanished(ix, 3, first + 89, g.from, &out));
	assert_int_equal(set32_count(&out), 30);
	assert_true(set32_has(&out, 901));
	assert_false(set32_has(&out, 891));
	set32_clear(&out);
	assert_true(modlog_vanished(ix, 3, first + 99, g.from, &out));
	assert_true(set32_is_empty(&out));
	assert_false(modlog_vanished(ix, 3, first - 2, g.from, &out));
	/* By age. */
	g.modseq = first + (MODLOG_AGE_S + 3600) * 1000000;
	assert_int_equal(index_write(ix, gone_write, &g, &e), 0);
	assert_true(g.from > first + 99);
	assert_false(modlog_vanished(ix, 3, first + 50, g.from, &out));
	set32_clear(&out);
	assert_true(modlog_vanished(ix, 3, g.from, g.from, &out));
	assert_int_equal(set32_count(&out), 3);
	/* By count: the newer half stays. */
	first = g.modseq;
	for (uint32_t i = 1; i <= MODLOG_ENTRIES_MAX + 10; i++) {
		set32_clear(&g.uids);
		set32_add(&g.uids, i * 2);
		g.modseq = first + i;
		assert_int_equal(index_write(ix, gone_write, &g, &e), 0);
	}
	assert_true(g.from > first);
	assert_false(modlog_vanished(ix, 3, first, g.from, &out));
	set32_clear(&out);
	assert_true(modlog_vanished(
	    ix, 3, first + MODLOG_ENTRIES_MAX - 1900, g.from, &out));
	assert_int_equal(set32_count(&out), 1910);
	set32_clear(&out);
	assert_true(modlog_vanished(ix, 3, g.from, g.from, &out));
	assert_true(set32_count(&out) <= MODLOG_ENTRIES_MAX / 2 + 200);
	set32_done(&out);
	set32_done(&g.uids);
	index_close(&ix);
	assert_int_equal(warnings, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_sets),
	    T(test_sum),
	    T(test_chunks),
	    T(test_side),
	    T(test_head),
	    T(test_slots),
	    T(test_lanes),
	    T(test_modlog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
