/* SPDX-License-Identifier: ISC */
/* append_encode_test.c - which parts become base64, and that none loses a byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "imapd/append_encode.h"
#include "mime/body.h"
#include "text/crlf.h"

static struct part *
parse(struct arena *a, struct str s)
{
	struct part_parser *p = part_parser_new(a, &mime_limits_default);

	part_parser_feed(p, s);
	return part_parser_finish(p);
}

/* 0, or the error's code. */
static int
encode(struct str in, bool odd_cr, struct buf *out)
{
	static char room[2 * ENCODE_ROOM];
	struct encode_plan plan;
	struct encode_run run = {.plan = &plan};
	struct arena a;
	struct str piece;
	struct err e = {0};
	FILE *f = tmpfile();
	int rc;

	assert_non_null(f);
	assert_int_equal(fwrite(in.p, 1, in.n, f), in.n);
	assert_int_equal(fflush(f), 0);
	run.fd = fileno(f);
	buf_clear(out);
	arena_init(&a);
	rc = encode_plan_make(
	    &a, run.fd, in.n, parse(&a, in), odd_cr, &plan, &e);
	while (rc == 0 && (rc = encode_next(&run, room, &piece, &e)) == 0 &&
	    piece.n > 0)
		buf_add_str(out, piece);
	if (rc == 0)
		assert_int_equal(plan.size, out->n);
	arena_done(&a);
	(void)fclose(f);
	return rc == 0 ? 0 : (int)e.code;
}

#define CTE "Content-Transfer-Encoding: "

static void
test_rows(UNUSED void **state)
{
	static const struct {
		struct str in, want; /* p NULL: refused */
	} rows[] = {
	    {STR_LIT("A: b\r\n\r\na\r\n"), STR_LIT("A: b\r\n\r\na\r\n")},
	    {STR_LIT("A: b\r\n\r\na\nb"), STR_LIT("A: b\r\n\r\na\nb")},
	    {STR_LIT("A: b\r\n\r\n\0a"),
		STR_LIT("A: b\r\n" CTE "base64\r\n\r\nAGE=\r\n")},
	    {STR_LIT(CTE "binary\r\nA: b\r\n\r\n\0a"),
		STR_LIT(CTE "base64\r\nA: b\r\n\r\nAGE=\r\n")},
	    {STR_LIT(CTE "8bit\r\n" CTE "7bit\r\n\r\n\0"),
		STR_LIT(CTE "base64\r\n\r\nAA==\r\n")},
	    {STR_LIT(CTE "binary\r\n\r\na\nb"),
		STR_LIT(CTE "base64\r\n\r\nYQpi\r\n")},
	    {STR_LIT(CTE "binary\r\n\r\na\r\nb"),
		STR_LIT(CTE "binary\r\n\r\na\r\nb")},
	    {STR_LIT("Content-Type: multipart/mixed; boundary=x\r\n\r\n"
		     "--x\r\n\r\na\0b\r\n--x\r\n" CTE
		     "binary\r\n\r\nc\r\n--x\r\nContent-Type: message/rfc822"
		     "\r\n\r\nS: t\r\n\r\n\0\r\n--x--\r\n"),
		STR_LIT(
		    "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
		    "--x\r\n" CTE "base64\r\n\r\nYQBi\r\n--x\r\n" CTE
		    "binary\r\n\r\nc\r\n--x\r\nContent-Type: message/rfc822"
		    "\r\n\r\nS: t\r\n" CTE "base64\r\n\r\nAA==\r\n--x--\r\n")},
	    {STR_LIT("A: \0\r\n\r\nb"), {0}},
	    {STR_LIT("A: \0\r\n\r\n\0"), {0}},
	    {STR_LIT(CTE "base64\r\n\r\nAA\0A"), {0}},
	    {STR_LIT(CTE "x-y\r\n\r\nAA\0A"), {0}},
	    {STR_LIT("Content-Type: multipart/mixed; boundary=x\r\n\r\n\0"
		     "--x\r\n\r\na\r\n--x--\r\n"),
		{0}},
	    {STR_LIT("Content-Type: multipart/mixed; boundary=x\r\n\r\n"
		     "--x\r\n\r\na\r\n--x--\r\n\0"),
		{0}},
	};
	struct buf b;

	buf_init(&b, 100000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int rc = encode(rows[i].in, false, &b);

		assert_int_equal(
		    rc, rows[i].want.p == NULL ? (int)ERR_UNSUPPORTED : 0);
		if (rc == 0 && !str_eq(buf_str(&b), rows[i].want))
			fail_msg("row %zu: %.*s", i, STR_ARG(buf_str(&b)));
	}
	buf_done(&b);
}

/* Bodies of many lengths, decoded again. */
static void
test_lengths(UNUSED void **state)
{
	static const size_t lengths[] = {1, 2, 3, 56, 57, 58, 113, 114, 115,
	    42540, 42750, 57 * 747, 57 * 748, 57 * 748 + 1, 300000};
	struct buf in, out, back;
	struct body_decoder *d;
	struct part *root;
	struct arena a;

	buf_init(&in, 1 << 20);
	buf_init(&out, 1 << 20);
	buf_init(&back, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		buf_clear(&in);
		buf_clear(&back);
		buf_add_c(&in, "A: b\r\n\r\n");
		for (size_t k = 0; k < lengths[i]; k++)
			buf_add_byte(&in, (char)(k * k));
		assert_int_equal(encode(buf_str(&in), false, &out), 0);
		arena_init(&a);
		root = parse(&a, buf_str(&out));
		assert_int_equal(root->body_wire, root->body_len);
		d = body_decoder_new(root, BODY_BYTES);
		assert_true(body_decoder_feed(d,
		    str_head(str_skip(buf_str(&out), (size_t)root->body_off),
			(size_t)root->body_len),
		    &back));
		assert_true(body_decoder_finish(d, &back));
		assert_false(body_decoder_is_bad(d));
		body_decoder_free(&d);
		arena_done(&a);
		assert_true(str_eq(buf_str(&back), str_skip(buf_str(&in), 8)));
	}
	buf_done(&in);
	buf_done(&out);
	buf_done(&back);
}

static void
test_odd_cr(UNUSED void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(
	    encode(STR(CTE "binary\r\n\r\na\r\r\nb"), true, &b), 0);
	assert_true(str_eq(buf_str(&b), STR(CTE "base64\r\n\r\nYQ0NCmI=\r\n")));
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_odd_cr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
