/* SPDX-License-Identifier: ISC */
/*
 * fetch_binary_test.c - every partial of decoded parts, with and without a
 * place to go on from, against decoding in one go.
 */
#include "imapd/fetch_binary.h"
#include "imapd/fetch_stream.h"
#include "mime/body.h"
#include "tests/lib/fake_message.h"

static struct part part;

int
msg_size(UNUSED struct msg *m, uint64_t *out, UNUSED struct err *e)
{
	*out = stored.n;
	return 0;
}

int
msg_parts(UNUSED struct msg *m, struct part **out, UNUSED struct err *e)
{
	*out = &part;
	return 0;
}

int
msg_header(UNUSED struct msg *m, UNUSED struct str *out, struct err *e)
{
	return err_set(e, ERR_GONE, "not here");
}

bool
msg_header_is_cut(UNUSED const struct msg *m)
{
	return false;
}

void
conn_write(UNUSED struct conn *c, const void *p, size_t n)
{
	buf_add(&sent, p, n);
}

static uint32_t numbers[] = {1};

/* The announced bytes; *end: where the next partial may begin. */
static struct str
send_partial(uint64_t start, uint64_t count, const struct binary_place *hint,
    struct binary_place *end, bool *has_nul)
{
	struct fetch_section sec = {.numbers = numbers,
	    .n_numbers = 1,
	    .partial = true,
	    .start = (uint32_t)start,
	    .count = (uint32_t)count};
	struct fetch_binary b;
	bool is_short = false, is_nil;
	uint64_t announced;
	struct err e;

	buf_clear(&sent);
	assert_int_equal(
	    fetch_binary_init(&b, NULL, &sec, hint, &is_nil, &e), 0);
	assert_false(is_nil);
	while (fetch_binary_measure(&b, &e) == STEP_MORE)
		;
	announced = b.left;
	*has_nul = b.has_nul;
	for (room_until_full = 7;
	     fetch_binary_send(&b, NULL, &is_short) == STEP_MORE;)
		room_until_full = sent.n * 3 / 2 + 7;
	assert_false(is_short);
	assert_int_equal(announced, sent.n);
	*end = b.last;
	return buf_str(&sent);
}

static void
take(struct str message, const char *encoding)
{
	stored = message;
	part = (struct part){.body_off = 2,
	    .body_len = message.n - 2,
	    .encoding = str_of(encoding)};
}

static void
check_one(struct str whole, uint64_t start, uint64_t count,
    const struct binary_place *hint, struct binary_place *end)
{
	struct str want =
	    str_head(str_skip(whole, (size_t)start), (size_t)count);
	bool has_nul;
	struct str got = send_partial(start, count, hint, end, &has_nul);

	assert_true(str_eq(got, want));
	assert_int_equal(has_nul, str_find(want, '\0') < want.n);
}

static void
test_small(UNUSED void **state)
{
	static const struct {
		const char *encoding;
		struct str body, want;
	} cases[] = {
	    {"base64", STR_LIT("xxQUJD\nREVG\r\nRw=="), STR_LIT("ABCDEFG")},
	    {"BASE64", STR_LIT("xxAAEA\n"), STR_LIT("\0\1\0")},
	    {"quoted-printable", STR_LIT("xxa=0Ab \n=\nc=3D="),
		STR_LIT("a\nb\r\nc=")},
	    {"7bit", STR_LIT("xxa\nb\r\n\0"), STR_LIT("a\r\nb\r\n\0")},
	    {"binary", STR_LIT("xx"), STR_LIT("")},
	};
	struct binary_place end, ignored;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		take(cases[i].body, cases[i].encoding);
		for (size_t s = 0; s <= cases[i].want.n + 1; s++)
			for (size_t n = 1; n <= cases[i].want.n + 1; n++) {
				check_one(cases[i].want, s, n, NULL, &end);
				check_one(
				    cases[i].want, s + n, n, &end, &ignored);
			}
	}
}

static void
test_large(UNUSED void **state)
{
	static const char *const encodings[] = {
	    "base64", "quoted-printable", "8bit"};
	struct binary_place end = {0};
	struct buf body, whole, wire;
	struct body_decoder *d;
	bool after_cr = false;

	buf_init(&body, 1 << 22);
	buf_init(&whole, 1 << 22);
	buf_init(&wire, 1 << 22);
	buf_add_c(&body, "xx");
	for (size_t i = 0; i < 9000; i++)
		buf_addf(&body, "%zx=%zX%s\n", i * 77, i, i % 3 ? "=" : "");
	wire_convert(&wire, str_skip(buf_str(&body), 2), &after_cr);
	for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
		take(buf_str(&body), encodings[i]);
		buf_clear(&whole);
		d = body_decoder_new(&part, BODY_BYTES);
		assert_true(body_decoder_feed(d, buf_str(&wire), &whole));
		assert_true(body_decoder_finish(d, &whole));
		body_decoder_free(&d);
		for (size_t at = 0; at < whole.n; at += 10007)
			check_one(buf_str(&whole), at, 10007,
			    at == 0 ? NULL : &end, &end);
		check_one(buf_str(&whole), 5, UINT32_MAX, NULL, &end);
	}
	buf_done(&body);
	buf_done(&whole);
	buf_done(&wire);
}

/* What was announced comes, whatever happens to the file. */
static void
test_shrinks(UNUSED void **state)
{
	struct fetch_section sec = {.numbers = numbers, .n_numbers = 1};
	bool is_nil, is_short = false;
	struct fetch_binary b;
	struct err e;

	take(STR("xxQUJDREVG"), "base64");
	assert_int_equal(
	    fetch_binary_init(&b, NULL, &sec, NULL, &is_nil, &e), 0);
	assert_int_equal(fetch_binary_measure(&b, &e), STEP_DONE);
	shrunk_to = 6;
	buf_clear(&sent);
	room_until_full = 100;
	assert_int_equal(fetch_binary_send(&b, NULL, &is_short), STEP_DONE);
	shrunk_to = SIZE_MAX;
	assert_true(is_short);
	assert_true(str_eq(buf_str(&sent), STR("ABC   ")));
}

static void
test_can(UNUSED void **state)
{
	struct fetch_section sec = {.numbers = numbers, .n_numbers = 1};
	struct err e;
	bool can;

	take(STR("xxabc"), "x-uuencode");
	assert_int_equal(fetch_binary_can(NULL, &sec, &can, &e), 0);
	assert_false(can);
	part.is_multipart = true;
	assert_int_equal(fetch_binary_can(NULL, &sec, &can, &e), 0);
	assert_true(can);
	sec.n_numbers = 0;
	part.is_multipart = false;
	assert_int_equal(fetch_binary_can(NULL, &sec, &can, &e), 0);
	assert_true(can);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_small),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_shrinks),
	    cmocka_unit_test(test_can),
	};
	int rc;

	buf_init(&sent, 1 << 22);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	buf_done(&sent);
	return rc;
}
