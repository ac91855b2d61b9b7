/* SPDX-License-Identifier: ISC */
/* base_test.c - the small things that everything stands on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/set32.h"
#include "base/vec.h"

static void
test_str(UNUSED void **state)
{
	struct str s = STR("a,b,,c"), f;
	const char *want[] = {"a", "b", "", "c"};
	size_t i = 0;

	while (str_next(&s, ',', &f))
		assert_true(str_eq(f, str_of(want[i++])));
	assert_int_equal(i, 4);
	assert_true(str_eq_nocase(STR("InBoX"), STR("inbox")));
	assert_false(str_eq_nocase(STR("InBo"), STR("inbox")));
	assert_true(str_eq(str_trim(STR(" \tx y\r\n")), STR("x y")));
	assert_int_equal(str_find_str(STR("hello"), STR("llo")), 2);
	assert_int_equal(str_find_str(STR("hello"), STR("lo!")), 5);
	assert_int_equal(str_find_str(STR("==?==?"), STR("=?")), 1);
	assert_int_equal(str_find_str(STR("aaab"), STR("aab")), 1);
	assert_int_equal(str_find_str(STR("a=="), STR("=?")), 3);
	assert_int_equal(str_find_str(STR("hello, world"), STR("world")), 7);
	assert_true(str_ends(STR("a.lock"), STR(".lock")));
}

/* The same, byte by byte. */
static bool
is_same_by_bytes(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int x = (unsigned char)a[i], y = (unsigned char)b[i];

		x += x >= 'A' && x <= 'Z' ? 32 : 0;
		y += y >= 'A' && y <= 'Z' ? 32 : 0;
		if (x != y)
			return false;
	}
	return true;
}

/* Each pair of bytes at each place of texts of all lengths up to three words;
 * what stands behind them is not looked at. */
static void
test_str_eq_nocase(UNUSED void **state)
{
	char a[32], b[32];

	for (size_t n = 1; n < 25; n++)
		for (size_t at = n > 9 ? n - 9 : 0; at < n; at++)
			for (unsigned pair = 0; pair < 65536; pair++) {
				memset(a, 'q', sizeof(a));
				memset(b, 'Q', sizeof(b));
				a[n] = 'x';
				b[n] = 'y';
				a[at] = (char)(pair >> 8);
				b[at] = (char)pair;
				assert_true(str_eq_nocase(str_make(a, n),
						str_make(b, n)) ==
				    is_same_by_bytes(a, b, n));
			}
}

static void
test_num(UNUSED void **state)
{
	uint32_t u;
	uint64_t v;

	assert_true(num_parse_u32(STR("4294967295"), 1, UINT32_MAX, &u));
	assert_int_equal(u, UINT32_MAX);
	assert_false(num_parse_u32(STR("4294967296"), 1, UINT32_MAX, &u));
	assert_false(num_parse_u32(STR("0"), 1, UINT32_MAX, &u));
	assert_false(num_parse_u32(STR(""), 0, UINT32_MAX, &u));
	assert_false(num_parse_u32(STR("1 "), 0, UINT32_MAX, &u));
	assert_false(num_parse_u32(STR("+1"), 0, UINT32_MAX, &u));
	assert_true(
	    num_parse_u64(STR("18446744073709551615"), 0, UINT64_MAX, &v));
	assert_false(
	    num_parse_u64(STR("18446744073709551616"), 0, UINT64_MAX, &v));
	assert_true(num_parse_hex64(STR("6b021bF8"), &v));
	assert_int_equal(v, 0x6b021bf8);
}

/* Around each power of ten, against printf. */
static void
test_digits(UNUSED void **state)
{
	char expect[32], got[NUM_DIGITS_MAX];
	struct buf b;

	buf_init(&b, 64);
	for (uint64_t power = 1;; power *= 10) {
		for (uint64_t v = power - 1; v <= power + 1; v++) {
			int n = snprintf(expect, sizeof(expect), "%llu",
			    (unsigned long long)v);

			assert_int_equal(num_write_u64(got, v), n);
			assert_memory_equal(got, expect, (size_t)n);
			buf_clear(&b);
			assert_true(buf_add_u64(&b, v));
			assert_true(str_eq(buf_str(&b), str_of(expect)));
		}
		if (power > UINT64_MAX / 10)
			break;
	}
	assert_int_equal(num_write_u64(got, UINT64_MAX), NUM_DIGITS_MAX);
	assert_memory_equal(got, "18446744073709551615", NUM_DIGITS_MAX);
	buf_done(&b);
}

static void
test_buf_stops_at_its_maximum(UNUSED void **state)
{
	struct buf b;
	int i;

	buf_init(&b, 100);
	assert_true(buf_add_c(&b, ""));
	for (i = 0; i < 10; i++)
		assert_true(buf_addf(&b, "%010d", i));
	assert_false(buf_add_byte(&b, 'x'));
	assert_true(buf_is_over(&b));
	assert_int_equal(b.n, 100);
	buf_drop(&b, 95);
	assert_true(str_eq(buf_str(&b), STR("00009")));
	buf_done(&b);
}

static void
test_arena_rewinds(UNUSED void **state)
{
	struct arena a;
	struct arena_mark m;
	char *keep;
	int i;

	arena_init(&a);
	keep = arena_c(&a, STR("keep"));
	m = arena_mark(&a);
	for (i = 0; i < 1000; i++)
		memset(arena_new(&a, 100, 1), 7, 100);
	arena_rewind(&a, m);
	assert_string_equal(keep, "keep");
	assert_true(a.total_bytes < 10000);
	arena_done(&a);
}

static void
test_map_against_array(UNUSED void **state)
{
	enum { N = 2000 };
	static char keys[N][8];
	struct map m;
	int i;

	map_init(&m);
	for (i = 0; i < N; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%d", i);
		map_put(&m, str_of(keys[i]), keys[i]);
	}
	for (i = 0; i < N; i += 2)
		assert_ptr_equal(map_remove(&m, str_of(keys[i])), keys[i]);
	for (i = 0; i < N; i++)
		assert_ptr_equal(map_find(&m, str_of(keys[i])),
		    i % 2 ? (void *)keys[i] : NULL);
	assert_int_equal(m.n, N / 2);
	map_done(&m);
}

/* Random operations against a plain array of bits. */
static void
test_set32_against_bits(UNUSED void **state)
{
	enum { N = 300 };
	bool bits[N + 2] = {false};
	struct set32 s;
	uint32_t i, a, b, pos, v;
	int round;

	srandom(1);
	set32_init(&s);
	for (round = 0; round < 5000; round++) {
		a = (uint32_t)random() % N + 1;
		b = a + (uint32_t)random() % 20;
		if (b > N)
			b = N;
		if (random() % 2) {
			set32_add_range(&s, a, b);
			memset(bits + a, true, b - a + 1);
		} else {
			set32_remove_range(&s, a, b);
			memset(bits + a, false, b - a + 1);
		}
		for (i = 1, pos = 0; i <= N; i++) {
			assert_int_equal(set32_has(&s, i), bits[i]);
			if (!bits[i])
				continue;
			pos++;
			assert_int_equal(set32_at(&s, pos), i);
			assert_int_equal(set32_pos(&s, i), pos);
		}
		assert_int_equal(set32_count(&s), pos);
		for (i = 1; i < s.n; i++)
			assert_true(s.r[i - 1].last + 1 < s.r[i].first);
	}
	/* Eaten up from one end, filled from the other. */
	set32_clear(&s);
	for (i = 1; i <= N; i += 2)
		set32_add(&s, i);
	for (i = 1; i <= N; i += 2) {
		set32_remove(&s, i);
		set32_add(&s, N + i);
		assert_int_equal(set32_count(&s), N / 2);
		assert_int_equal(set32_at(&s, 1), i + 2);
		assert_int_equal(set32_at(&s, N / 2), N + i);
	}
	set32_clear(&s);
	set32_add_range(&s, 1, N);
	for (i = N; i > 2; i -= 2) {
		set32_remove(&s, i - 1);
		assert_int_equal(set32_count(&s), N / 2 + i / 2 - 1);
		assert_int_equal(set32_pos(&s, i), i / 2 + i / 2 - 1);
	}
	set32_clear(&s);
	set32_add_range(&s, 5, UINT32_MAX);
	set32_add(&s, UINT32_MAX);
	assert_int_equal(s.n, 1);
	assert_true(set32_next(&s, 1, &v) && v == 5);
	set32_done(&s);
}

static void
test_err(UNUSED void **state)
{
	struct err e;

	errno = EDQUOT;
	assert_int_equal(err_sys(&e, "write %s", "x"), -1);
	assert_int_equal(e.code, ERR_NO_SPACE);
	err_in(&e, "INBOX");
	assert_string_equal(e.text, "INBOX: write x: Disk quota exceeded");
}

static void
test_secret(UNUSED void **state)
{
	assert_true(secret_eq(STR("abc"), STR("abc")));
	assert_false(secret_eq(STR("abc"), STR("abd")));
	assert_false(secret_eq(STR("abc"), STR("ab")));
}

static void
test_vec(UNUSED void **state)
{
	VEC(int) v = {0};
	int i, sum = 0;

	for (i = 0; i < 100; i++)
		*VEC_ADD(&v) = i;
	VEC_REMOVE(&v, 0);
	VEC_EACH(&v, it)
		sum += *it;
	assert_int_equal(sum, 4950);
	assert_int_equal(v.v[0], 1);
	VEC_DONE(&v);
}

/* As going through it says, also with some that are alike. */
static void
test_vec_find(UNUSED void **state)
{
	VEC(struct { unsigned key; }) v = {0};

	for (unsigned n = 0; n < 20; n++) {
		for (unsigned key = 0; key <= 2 * n + 1; key++) {
			size_t at = 0;

			while (at < v.n && v.v[at].key < key)
				at++;
			assert_int_equal(VEC_FIND(&v, key, key), at);
		}
		VEC_ADD(&v)->key = n / 3 * 4 + 1;
	}
	VEC_DONE(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_str),
	    cmocka_unit_test(test_str_eq_nocase),
	    cmocka_unit_test(test_num),
	    cmocka_unit_test(test_digits),
	    cmocka_unit_test(test_buf_stops_at_its_maximum),
	    cmocka_unit_test(test_arena_rewinds),
	    cmocka_unit_test(test_map_against_array),
	    cmocka_unit_test(test_set32_against_bits),
	    cmocka_unit_test(test_err),
	    cmocka_unit_test(test_secret),
	    cmocka_unit_test(test_vec),
	    cmocka_unit_test(test_vec_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
