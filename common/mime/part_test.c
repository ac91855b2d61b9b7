/* SPDX-License-Identifier: ISC */
/* part_test.c - trees of parts; each tolerated deviation by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/part_dump.h"

/* Format: part_dump() of the LF form. */
static const struct {
	const char *what, *bytes, *tree;
} cases[] = {
    {"nothing", "", "text/plain 0+0(0,0) 0+0(0,0)\n"},
    {"header only, no blank line", "Subject: x\n",
	"text/plain 0+11(12,1) 11+0(0,0)\n"},
    {"header only, not even a line end", "Subject: x",
	"text/plain 0+10(10,0) 10+0(0,0)\n"},
    {"body only", "\nhello\n", "text/plain 0+1(2,1) 1+6(7,1)\n"},
    {"simple", "A: b\n\nhello\nyou", "text/plain 0+6(8,2) 6+9(10,1)\n"},
    {"two parts",
	"Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b\n"
	"Content-Type: text/html\n\n<two>\n\n--b--\nafter\n",
	"multipart/mixed 0+43(45,2) 43+61(72,11)\n"
	"  text/plain 51+1(2,1) 52+3(3,0)\n"
	"  text/html 60+25(27,2) 85+6(7,1)\n"},
    {"last boundary is missing",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n",
	"multipart/mixed 0+43(45,2) 43+18(24,6)\n"
	"  text/plain 47+1(2,1) 48+3(3,0)\n"
	"  text/plain 56+1(2,1) 57+4(5,1)\n"},
    {"no boundary line at all: one part with everything",
	"Content-Type: multipart/mixed; boundary=b\n\none\n",
	"multipart/mixed 0+43(45,2) 43+4(5,1)\n"
	"  text/plain 43+0(0,0) 43+4(5,1)\n"},
    {"no boundary parameter",
	"Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n",
	"multipart/mixed 0+31(33,2) 31+13(17,4)\n"
	"  text/plain 31+0(0,0) 31+13(17,4)\n"},
    {"part without a blank line is a header",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\nA: b\n--b--\n",
	"multipart/mixed 0+43(45,2) 43+15(18,3)\n"
	"  text/plain 47+5(6,1) 52+0(0,0)\n"},
    {"empty part", "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b--\n",
	"multipart/mixed 0+43(45,2) 43+10(12,2)\n"
	"  text/plain 47+0(0,0) 47+0(0,0)\n"},
    {"boundary with padding, last one without line end",
	"Content-Type: multipart/mixed; boundary=\"b c\"\n\n--b c \t\n\nx\n"
	"--b c--",
	"multipart/mixed 0+47(49,2) 47+18(21,3)\n"
	"  text/plain 55+1(2,1) 56+1(1,0)\n"},
    {"boundary matches by its beginning (RFC 2046 5.1.1)",
	"Content-Type: multipart/mixed; boundary=b\n\n--boo\n\nx\n--b--\n",
	"multipart/mixed 0+43(45,2) 43+15(19,4)\n"
	"  text/plain 49+1(2,1) 50+1(1,0)\n"},
    {"the longer of two boundaries",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	"Content-Type: multipart/alternative; boundary=b2\n\n--b2\n\nx\n"
	"--b2--\n--b--\n",
	"multipart/mixed 0+43(45,2) 43+75(83,8)\n"
	"  multipart/alternative 47+50(52,2) 97+14(17,3)\n"
	"    text/plain 102+1(2,1) 103+1(1,0)\n"},
    {"the same boundary inside: the inner one first",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n"
	"--b\n\ny\n--b--\n",
	"multipart/mixed 0+43(45,2) 43+73(84,11)\n"
	"  multipart/mixed 47+43(45,2) 90+12(15,3)\n"
	"    text/plain 94+1(2,1) 95+1(1,0)\n"
	"  text/plain 107+1(2,1) 108+1(1,0)\n"},
    {"outer boundary ends inner parts",
	"Content-Type: multipart/mixed; boundary=o\n\n--o\n"
	"Content-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o\n\ny\n"
	"--o--\n",
	"multipart/mixed 0+43(45,2) 43+67(77,10)\n"
	"  multipart/mixed 47+43(45,2) 90+6(8,2)\n"
	"    text/plain 94+1(2,1) 95+1(1,0)\n"
	"  text/plain 101+1(2,1) 102+1(1,0)\n"},
    {"message in message",
	"Content-Type: message/rfc822\n\nSubject: in\n\nbody\n",
	"message/rfc822 0+30(32,2) 30+18(21,3)\n"
	"  text/plain 30+13(15,2) 43+5(6,1)\n"},
    {"message without a message", "Content-Type: message/rfc822\n\n",
	"message/rfc822 0+30(32,2) 30+0(0,0)\n"
	"  text/plain 30+0(0,0) 30+0(0,0)\n"},
    {"message in a multipart, its header cut by the boundary",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	"Content-Type: message/rfc822\n\nSubject: in\n--b--\n",
	"multipart/mixed 0+43(45,2) 43+52(57,5)\n"
	"  message/rfc822 47+30(32,2) 77+12(13,1)\n"
	"    text/plain 77+12(13,1) 89+0(0,0)\n"},
    {"digest: parts are messages",
	"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\n"
	"hi\n--b\nContent-Type: text/plain\n\nt\n--b--\n",
	"multipart/digest 0+44(46,2) 44+58(68,10)\n"
	"  message/rfc822 48+1(2,1) 49+14(16,2)\n"
	"    text/plain 49+12(14,2) 61+2(2,0)\n"
	"  text/plain 68+26(28,2) 94+1(1,0)\n"},
    {"no type at all", "Content-Type: pdf; name=x\n\nx",
	"text/plain 0+27(29,2) 27+1(1,0)\n"},
    {"first of two types counts",
	"Content-Type: text/html\nContent-Type: text/plain\n\nx",
	"text/html 0+50(53,3) 50+1(1,0)\n"},
    {"folded type",
	"Content-Type:\n multipart/mixed;\n\tboundary=\n "
	"\"b\"\n\n--b\n\nx\n--b--",
	"multipart/mixed 0+49(54,5) 49+12(15,3)\n"
	"  text/plain 53+1(2,1) 54+1(1,0)\n"},
    {"comments in the type",
	"Content-Type: (a) text/html (b); charset=utf-8 (c)\n\nx",
	"text/html 0+52(54,2) 52+1(1,0)\n"},
    {"lines that are no field stay in the header",
	"nonsense\n more\nContent-Type: text/html\n\nx",
	"text/html 0+40(44,4) 40+1(1,0)\n"},
    {"lone CRs are bytes like others", "Subject: x\rFrom: y\r\rbody\r",
	"text/plain 0+25(25,0) 25+0(0,0)\n"},
    {"blank line that is not empty is a continuation",
	"Content-Type: text/html\n \nX: y\n\nx",
	"text/html 0+32(36,4) 32+1(1,0)\n"},
    {"extended boundary (RFC 2231 4)",
	"Content-Type: multipart/mixed; boundary*=us-ascii''%62\n\n"
	"--b\n\nx\n--b--\n",
	"multipart/mixed 0+56(58,2) 56+13(17,4)\n"
	"  text/plain 60+1(2,1) 61+1(1,0)\n"},
    {"long parameters joined",
	"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n"
	"--ab\n\nx\n--ab--\n",
	"multipart/mixed 0+59(61,2) 59+15(19,4)\n"
	"  text/plain 64+1(2,1) 65+1(1,0)\n"},
};

static struct str
dump_of(struct buf *b, struct str s, size_t piece, bool full,
    const struct mime_limits *limits)
{
	struct part *root;
	struct arena a;

	arena_init(&a);
	root = part_parse_pieces(&a, s, piece, limits);
	part_check(root, s);
	buf_clear(b);
	part_dump(b, root, full);
	arena_done(&a);
	return buf_str(b);
}

static void
test_cases(UNUSED void **state)
{
	struct str want, got;
	size_t i, piece;
	struct buf b;

	buf_init(&b, 100000);
	for (i = 0; i < ARRAY_LEN(cases); i++)
		for (piece = 1; piece < 200; piece = piece * 3 / 2 + 1) {
			want = str_of(cases[i].tree);
			got = dump_of(
			    &b, str_of(cases[i].bytes), piece, false, NULL);
			if (!str_eq(got, want))
				fail_msg("%s, pieces of %zu:\n%.*swant\n%s",
				    cases[i].what, piece, STR_ARG(got),
				    cases[i].tree);
		}
	buf_done(&b);
}

/* With CRLF the sizes on the wire and the lines are the same. */
static void
test_crlf_is_the_same_on_the_wire(UNUSED void **state)
{
	struct buf lf, crlf, text;
	struct part *p, *q;
	struct arena a;
	size_t i;

	buf_init(&lf, 100000);
	buf_init(&crlf, 100000);
	buf_init(&text, 100000);
	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		const char *c;

		buf_clear(&text);
		for (c = cases[i].bytes; *c != '\0'; c++) {
			if (*c == '\n')
				buf_add_byte(&text, '\r');
			buf_add_byte(&text, *c);
		}
		p = part_parse_pieces(&a, str_of(cases[i].bytes), 9, NULL);
		q = part_parse_pieces(&a, buf_str(&text), 10, NULL);
		part_check(q, buf_str(&text));
		while (p != NULL && q != NULL) {
			assert_int_equal(p->header_wire, q->header_wire);
			assert_int_equal(p->body_wire, q->body_wire);
			assert_int_equal(p->body_lines, q->body_lines);
			assert_int_equal(q->body_wire, q->body_len);
			assert_int_equal(p->n_children, q->n_children);
			p = p->child != NULL ? p->child : p->next;
			q = q->child != NULL ? q->child : q->next;
		}
		assert_true(p == NULL && q == NULL);
	}
	arena_done(&a);
	buf_done(&lf);
	buf_done(&crlf);
	buf_done(&text);
}

static void
nest(struct buf *b, int depth)
{
	int i;

	for (i = 0; i < depth; i++)
		buf_addf(b,
		    "Content-Type: multipart/mixed; "
		    "boundary=b%03d\n\n--b%03d\n",
		    i, i);
	buf_add_c(b, "\nx\n");
}

static void
test_depth_limit(UNUSED void **state)
{
	struct part *p, *root;
	struct arena a;
	struct buf b;
	int depth = 1;

	buf_init(&b, 1000000);
	arena_init(&a);
	nest(&b, 300);
	root = p = part_parse_pieces(&a, buf_str(&b), 1000, NULL);
	part_check(p, buf_str(&b));
	for (; p->child != NULL; p = p->child)
		depth++;
	assert_int_equal(depth, 100);
	assert_true(str_eq(p->type, STR("application")));
	assert_true(str_eq(p->subtype, STR("octet-stream")));
	assert_false(p->is_multipart);
	/* What the innermost one holds is all there. */
	assert_int_equal(
	    p->body_off + p->body_len, root->body_off + root->body_len);
	arena_done(&a);
	buf_done(&b);
}

static void
test_part_limit(UNUSED void **state)
{
	struct mime_limits few = mime_limits_default;
	static const char four[] =
	    "Content-Type: multipart/mixed; boundary=b\n\n"
	    "--b\n\n1\n--b\n\n2\n--b\n\n3\n--b--\n";
	struct str got;
	struct buf b;

	buf_init(&b, 10000);
	few.parts = 4;
	got = dump_of(&b, STR(four), 5, false, &few);
	assert_int_equal(str_find_str(got, STR("multipart")), 0);
	few.parts = 3;
	got = dump_of(&b, STR(four), 5, false, &few);
	assert_true(str_eq(
	    got, STR("application/octet-stream 0+43(45,2) 43+27(37,10)\n")));
	few.parts = 1;
	got = dump_of(&b, STR("Content-Type: message/rfc822\n\nA: b\n\nx\n"), 5,
	    false, &few);
	assert_true(str_eq(
	    got, STR("application/octet-stream 0+30(32,2) 30+8(11,3)\n")));
	got = dump_of(
	    &b, STR("Content-Type: multipart/mixed\n\nx\n"), 5, false, &few);
	assert_true(str_eq(
	    got, STR("application/octet-stream 0+31(33,2) 31+2(3,1)\n")));
	buf_done(&b);
}

static void
test_long_lines_and_fields(UNUSED void **state)
{
	struct part *p;
	struct arena a;
	struct buf b;
	size_t i;

	buf_init(&b, 4000000);
	arena_init(&a);
	buf_add_c(&b, "Subject: ");
	for (i = 0; i < 200000; i++)
		buf_add_byte(&b, 'x');
	buf_add_c(&b, "\nContent-Type: text/html\n\n");
	for (i = 0; i < 200000; i++)
		buf_add_byte(&b, '-');
	for (i = 100; i < 100000; i *= 10) {
		p = part_parse_pieces(&a, buf_str(&b), i, NULL);
		part_check(p, buf_str(&b));
		assert_true(str_eq(p->subtype, STR("html")));
		assert_int_equal(p->body_len, 200000);
		assert_true(p->envelope->subject.n < 70000);
		assert_true(p->envelope->subject.n > 60000);
	}
	arena_done(&a);
	buf_done(&b);
}

static void
test_nul(UNUSED void **state)
{
	static const char text[] =
	    "Content-Type: multipart/mixed; boundary=b\n\n"
	    "--b\n\none\n--b\n\nt\0wo\n--b\nX: \0\n\n3\n--b--\n";
	struct part *p, *c;
	struct arena a;
	size_t piece;

	arena_init(&a);
	for (piece = 1; piece < sizeof(text); piece++) {
		p = part_parse_pieces(
		    &a, str_make(text, sizeof(text) - 1), piece, NULL);
		c = p->child;
		assert_true(p->has_nul);
		assert_false(c->has_nul);
		assert_true(c->next->has_nul);
		assert_false(c->next->next->has_nul);
	}
	arena_done(&a);
}

static void
test_contents(UNUSED void **state)
{
	static const char text[] =
	    "Content-Type: TEXT/Html; Charset=\"UTF-8\"; format=flowed\n"
	    "Content-Transfer-Encoding: Quoted-Printable (so)\n"
	    "Content-ID: <a@b>\nContent-Description: a\n folded\n"
	    "Content-MD5: abc==\n"
	    "Content-Disposition: attachment; filename=\"a \\\"b\\\".txt\"\n"
	    "Content-Language: de, en\nContent-Location: http://x/\n"
	    "Subject: hi\n\n";
	struct str got;
	struct buf b;

	buf_init(&b, 10000);
	got = dump_of(&b, STR(text), 7, true, NULL);
	assert_true(str_ends(got,
	    STR(" enc=Quoted-Printable id=<a@b> desc=a folded md5=abc=="
		" disp=attachment;filename=a \"b\".txt lang=de, en"
		" loc=http://x/ subject=hi\n")));
	assert_true(
	    str_starts(got, STR("TEXT/Html;Charset=UTF-8;format=flowed ")));
	got = dump_of(&b, STR("Content-Disposition: ;x=y\n\n"), 7, true, NULL);
	assert_true(str_starts(got, STR("text/plain;charset=us-ascii ")));
	assert_true(str_find_str(got, STR("disp= lang")) < got.n ||
	    str_find_str(got, STR("disp=;")) < got.n);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_crlf_is_the_same_on_the_wire),
	    cmocka_unit_test(test_depth_limit),
	    cmocka_unit_test(test_part_limit),
	    cmocka_unit_test(test_long_lines_and_fields),
	    cmocka_unit_test(test_nul),
	    cmocka_unit_test(test_contents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
