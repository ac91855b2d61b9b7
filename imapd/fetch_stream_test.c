/* SPDX-License-Identifier: ISC */
/*
 * fetch_stream_test.c - every partial of messages with all kinds of line ends,
 * against a plain conversion of the whole.
 */
#include "imapd/fetch_stream.h"
#include "tests/lib/fake_message.h"

static struct str
send_range(uint64_t off, uint64_t len, uint64_t start, uint64_t count,
    const struct wire_place *hint, struct wire_place *end, uint64_t *announced)
{
	struct fetch_stream s;
	struct buf scratch;
	struct err e;
	bool is_short = false;

	buf_init(&scratch, 1 << 20);
	buf_clear(&sent);
	assert_int_equal(fetch_stream_init(&s, NULL, off, len, start, count,
			     hint, &scratch, &e),
	    0);
	while (fetch_stream_measure(&s, &e) == STEP_MORE)
		;
	*announced = s.left;
	for (room_until_full = 7;
	     fetch_stream_send(&s, NULL, &is_short, &e) == STEP_MORE;)
		room_until_full = sent.n * 3 / 2 + 7;
	assert_false(is_short);
	if (end != NULL)
		*end = s.at;
	buf_done(&scratch);
	return buf_str(&sent);
}

/* The plain way: the whole range byte by byte. */
static void
convert_slowly(struct str s, struct buf *out)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			buf_add_byte(out, '\r');
		buf_add_byte(out, s.p[i]);
	}
}

static void
check_partials(struct str message, uint64_t off, uint64_t len)
{
	struct buf whole;
	uint64_t start, count, announced;

	stored = message;
	buf_init(&whole, 1 << 20);
	convert_slowly(
	    str_head(str_skip(message, (size_t)off), (size_t)len), &whole);
	for (start = 0; start <= whole.n + 2; start++)
		for (count = 1; count <= whole.n + 2; count++) {
			struct str want =
			    str_head(str_skip(buf_str(&whole), (size_t)start),
				(size_t)count);
			struct str got = send_range(
			    off, len, start, count, NULL, NULL, &announced);

			assert_int_equal(announced, want.n);
			assert_true(str_eq(got, want));
		}
	buf_done(&whole);
}

static void
test_every_partial(UNUSED void **state)
{
	static const char *const messages[] = {
	    "",
	    "\n",
	    "\r\n",
	    "a\nb\n",
	    "a\r\nb\r\n",
	    "a\r\nb\nc\rd\n\n\r\n\n",
	    "\n\n\n\r\r\n",
	    "no end",
	    "cr at the end\r",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(messages); i++) {
		struct str m = str_of(messages[i]);

		check_partials(m, 0, m.n);
		if (m.n > 3)
			check_partials(m, 1, m.n - 2);
	}
}

/* Pieces one behind the other, each with the place of the last as a hint. */
static void
test_pieces_of_a_large_message(UNUSED void **state)
{
	struct buf message, whole, joined;
	struct wire_place place = {0};
	uint64_t start = 0, announced;
	bool has_place = false;
	size_t i;

	buf_init(&message, 1 << 20);
	buf_init(&whole, 1 << 21);
	buf_init(&joined, 1 << 21);
	for (i = 0; i < 20000; i++)
		buf_addf(&message, "line %zu%s\n", i, i % 7 ? "" : "\r");
	stored = buf_str(&message);
	bytes_read = 0;
	convert_slowly(stored, &whole);
	do {
		struct str piece = send_range(0, stored.n, start, 10007,
		    has_place ? &place : NULL, &place, &announced);

		has_place = true;
		start += piece.n;
		buf_add_str(&joined, piece);
	} while (announced > 0);
	assert_true(str_eq(buf_str(&whole), buf_str(&joined)));
	/* Not quadratic: a few pieces of reading per piece sent. */
	assert_true(bytes_read < (stored.n / 10007 + 2) * 4 * 65536);
	buf_done(&message);
	buf_done(&whole);
	buf_done(&joined);
}

/* Length and bytes at once, around the lengths where a digit is added. */
static void
test_small_ones(UNUSED void **state)
{
	struct buf message, whole, want, scratch;
	struct fetch_stream s;
	struct err e;
	size_t n;

	buf_init(&message, 1 << 20);
	buf_init(&whole, 1 << 20);
	buf_init(&want, 1 << 20);
	buf_init(&scratch, 1 << 20);
	for (n = 0; n < 12000; n += n < 1100 ? 1 : 7) {
		buf_clear(&message);
		while (message.n < n)
			buf_add_byte(&message,
			    message.n % (1 + n % 60) == 0 ? '\n' : 'x');
		if (n > 50)
			message.p[40] = '\0';
		stored = buf_str(&message);
		buf_clear(&whole);
		convert_slowly(stored, &whole);
		if (n > 50)
			whole.p[str_find(buf_str(&whole), '\0')] = '\x80';
		buf_clear(&want);
		buf_addf(&want, "{%zu}\r\n", whole.n);
		buf_add_str(&want, buf_str(&whole));
		buf_clear(&sent);
		assert_int_equal(fetch_stream_init(&s, NULL, 0, n, 0,
				     UINT64_MAX, NULL, &scratch, &e),
		    0);
		assert_int_equal(
		    fetch_stream_send_small(&s, NULL), n > 0 || s.bytes.p);
		if (s.bytes.p != NULL)
			assert_true(str_eq(buf_str(&sent), buf_str(&want)));
	}
	/* A partial must be measured. */
	assert_int_equal(
	    fetch_stream_init(&s, NULL, 0, 10, 1, 5, NULL, &scratch, &e), 0);
	assert_false(fetch_stream_send_small(&s, NULL));
	buf_done(&message);
	buf_done(&whole);
	buf_done(&want);
	buf_done(&scratch);
}

/* A message larger than what one call looks at, with NULs. */
static void
test_large_message_with_nuls(UNUSED void **state)
{
	struct buf message, whole;
	uint64_t announced;
	struct str got;
	size_t i;

	buf_init(&message, 20 << 20);
	buf_init(&whole, 20 << 20);
	for (i = 0; i < 700000; i++)
		buf_addf(&message, "line %zu%c\n", i, i % 3 ? '.' : 0);
	stored = buf_str(&message);
	convert_slowly(stored, &whole);
	for (i = 0; i < whole.n; i++)
		if (whole.p[i] == '\0')
			whole.p[i] = '\x80';
	got = send_range(0, stored.n, 0, UINT64_MAX, NULL, NULL, &announced);
	assert_true(str_eq(got, buf_str(&whole)));
	got = send_range(0, stored.n, 8000000, 5000, NULL, NULL, &announced);
	assert_true(
	    str_eq(got, str_head(str_skip(buf_str(&whole), 8000000), 5000)));
	buf_done(&message);
	buf_done(&whole);
}

/* The literal keeps its announced length when the file shrinks. */
static void
test_file_shrinks(UNUSED void **state)
{
	struct fetch_stream s;
	struct buf message, scratch;
	struct err e;
	bool is_short = false;
	uint64_t announced;

	buf_init(&message, 1 << 20);
	buf_init(&scratch, 1 << 20);
	while (message.n < 200000)
		buf_add_c(&message, "some line\n");
	stored = buf_str(&message);
	buf_clear(&sent);
	room_until_full = SIZE_MAX;
	assert_int_equal(fetch_stream_init(&s, NULL, 0, stored.n, 0, UINT64_MAX,
			     NULL, &scratch, &e),
	    0);
	assert_int_equal(fetch_stream_measure(&s, &e), STEP_DONE);
	announced = s.left;
	stored = str_head(stored, 100000);
	assert_int_equal(fetch_stream_send(&s, NULL, &is_short, &e), STEP_DONE);
	assert_true(is_short);
	assert_int_equal(sent.n, announced);
	buf_done(&message);
	buf_done(&scratch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_partial),
	    cmocka_unit_test(test_pieces_of_a_large_message),
	    cmocka_unit_test(test_small_ones),
	    cmocka_unit_test(test_large_message_with_nuls),
	    cmocka_unit_test(test_file_shrinks),
	};

	buf_init(&sent, 20 << 20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
