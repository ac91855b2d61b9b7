/* SPDX-License-Identifier: ISC */
/*
 * imap_lex_test.c - commands, each fed whole and in pieces of every size, and
 * written back in one form that the tables below expect.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "imap/imap_lex.h"

static const struct imap_lex_limits limits = {.line_bytes = 200,
    .nesting = 3,
    .args = 20,
    .literal_bytes = 50,
    .nonsync_bytes = 1000,
    .skip_bytes = 2000};

static void
dump_args(struct buf *b, const struct imap_arg *a)
{
	static const char letters[] = ".aqls(";
	bool first = true;

	for (; a->type != IMAP_ARG_END; a++, first = false) {
		buf_addf(b, "%s%c", first ? "" : " ", letters[a->type]);
		if (a->type == IMAP_ARG_LIST) {
			dump_args(b, a->list);
			buf_add_c(b, ")");
		} else if (a->type == IMAP_ARG_STREAM) {
			buf_addf(b, "%llu%s%s", (unsigned long long)a->size,
			    a->nonsync ? "+" : "", a->binary ? "~" : "");
		} else {
			buf_addf(
			    b, "<%.*s>%s", STR_ARG(a->s), a->binary ? "~" : "");
		}
	}
}

/* Everything that the lexer says about `in`, in pieces of `step` bytes. */
static void
run(struct str in, size_t step, bool stream, struct buf *out)
{
	struct imap_lex l;
	struct arena a;
	size_t used, at = 0, n;
	uint64_t left = 0;

	arena_init(&a);
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, &a);
	while (at < in.n) {
		n = in.n - at < step ? in.n - at : step;
		if (left > 0) {
			if (n > left)
				n = (size_t)left;
			left -= n;
			at += n;
			continue;
		}
		switch (imap_lex_feed(&l, str_make(in.p + at, n), &used)) {
		case IMAP_LEX_MORE:
			assert_int_equal(used, n);
			break;
		case IMAP_LEX_NAME:
			l.sections = str_eq_nocase(l.name, STR("FETCH"));
			l.stream = stream ? 1 : 0;
			buf_addf(out, "%s%.*s", l.uid ? "UID " : "",
			    STR_ARG(l.name));
			if (str_eq(l.name, STR("NIX")))
				imap_lex_reject(&l, "no such thing");
			break;
		case IMAP_LEX_LITERAL:
			buf_add_c(out, " +");
			break;
		case IMAP_LEX_STREAM:
			buf_add_c(out, " [");
			dump_args(out, l.args);
			buf_add_c(out, "]");
			left = l.stream_arg->size;
			imap_lex_forget_args(&l);
			break;
		case IMAP_LEX_DONE:
			buf_add_c(out, l.args->type == IMAP_ARG_END ? "" : " ");
			dump_args(out, l.args);
			buf_addf(out, " =%.*s;", STR_ARG(l.tag));
			imap_lex_begin(&l, &limits, &a);
			assert_true(imap_lex_is_idle(&l));
			break;
		case IMAP_LEX_BAD:
			buf_addf(out, " !%.*s%s%s;", STR_ARG(l.tag),
			    l.too_big ? " big" : "",
			    l.must_close ? " close" : "");
			assert_non_null(l.why);
			imap_lex_begin(&l, &limits, &a);
			break;
		}
		at += used;
	}
	imap_lex_done(&l);
	arena_done(&a);
}

struct row {
	struct str in;
	const char *want;
};

static void
check(const struct row *rows, size_t n, bool stream)
{
	struct buf b;
	size_t i, step;

	buf_init(&b, 100000);
	for (i = 0; i < n; i++) {
		for (step = 1; step <= rows[i].in.n; step++) {
			buf_clear(&b);
			run(rows[i].in, step, stream, &b);
			buf_add_byte(&b, '\0');
			assert_string_equal(b.p, rows[i].want);
		}
	}
	buf_done(&b);
}

#define ROW(text, wanted)                                                      \
	{                                                                      \
		STR_LIT(text), wanted                                          \
	}

static void
test_good(UNUSED void **state)
{
	static const struct row rows[] = {
	    ROW("a NOOP\r\n", "NOOP =a;"),
	    ROW("]x.1 noop\r\nb2 Logout\r\n", "noop =]x.1;Logout =b2;"),
	    ROW("a LOGIN joe \"pa ss\"\r\n", "LOGIN a<joe> q<pa ss> =a;"),
	    ROW("a LOGIN \"\" \"q\\\"\\\\\"\r\n", "LOGIN q<> q<q\"\\> =a;"),
	    ROW("a LOGIN {3}\r\njoe {2+}\r\n\r\n\r\n",
		"LOGIN + l<joe> l<\r\n> =a;"),
	    ROW("a LOGIN {0}\r\n {0+}\r\n\r\n", "LOGIN + l<> l<> =a;"),
	    ROW("a X ()\r\n", "X () =a;"),
	    ROW("a X (a (b \"c\") {1}\r\nd) e\r\n",
		"X + (a<a> (a<b> q<c>) l<d>) a<e> =a;"),
	    ROW("a X ((()))\r\n", "X ((())) =a;"),
	    ROW("a UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (DATE A]B "
		"\"]\\\"\")]<0.10>)\r\n",
		"UID FETCH a<1:*> (a<FLAGS> a<BODY.PEEK[HEADER.FIELDS (DATE "
		"A]B \"]\\\"\")]<0.10>>) =a;"),
	    ROW("a FETCH 1 body[HEADER.FIELDS ({4}\r\nd\"te)]\r\n",
		"FETCH + a<1> a<body[HEADER.FIELDS (\"d\\\"te\")]> =a;"),
	    ROW("a FETCH 1 BODY[]\r\n", "FETCH a<1> a<BODY[]> =a;"),
	    ROW("a SELECT foo[bar\r\n", "SELECT a<foo[bar> =a;"),
	    ROW("a SELECT BODY[bar\r\n", "SELECT a<BODY[bar> =a;"),
	    ROW("a LIST \"\" %/*\r\n", "LIST q<> a<%/*> =a;"),
	    ROW("a STORE 1,2 +FLAGS (\\Seen $x \\*)\r\n",
		"STORE a<1,2> a<+FLAGS> (a<\\Seen> a<$x> a<\\*>) =a;"),
	    ROW("a X ~y ~{2}\r\n\0z\r\n", "X + a<~y> l<> =a;"),
	};

	/* The last row's literal has a NUL, which %.*s would end at. */
	check(rows, ARRAY_LEN(rows) - 1, false);
}

static void
test_bad(UNUSED void **state)
{
	/* Behind each comes a NOOP, which must be found. */
	static const struct row rows[] = {
	    ROW("\r\nz NOOP\r\n", " !;NOOP =z;"),
	    ROW(" a NOOP\r\nz NOOP\r\n", " !;NOOP =z;"),
	    ROW("+ NOOP\r\nz NOOP\r\n", " !;NOOP =z;"),
	    ROW("a+ NOOP\r\nz NOOP\r\n", " !;NOOP =z;"),
	    ROW("a\r\nz NOOP\r\n", " !a;NOOP =z;"),
	    ROW("a \r\nz NOOP\r\n", " !a;NOOP =z;"),
	    ROW("a  NOOP\r\nz NOOP\r\n", " !a;NOOP =z;"),
	    ROW("a NOOP \r\nz NOOP\r\n", "NOOP !a;NOOP =z;"),
	    ROW("a UID \r\nz NOOP\r\n", " !a;NOOP =z;"),
	    ROW("a UID UID X\r\nz NOOP\r\n", "UID UID a<X> =a;NOOP =z;"),
	    ROW("a NOOP\nz NOOP\r\n", " !a;NOOP =z;"),
	    ROW("a X y\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X y\rz\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X (y\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X y)\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X ( y)\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X (y )\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X (y)(z)\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X y  z\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X y(z)\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X \"y\"z\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X \"y\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X \"\\y\"\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X \"\xc3\xa4\"\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X \xc3\xa4\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X \"\0\"\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X y\0\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X\ty\r\nz NOOP\r\n", " !a;NOOP =z;"),
	    ROW("a X {}\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X {+}\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X {-1}\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X {1 }\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X {99999999999999999999999}\r\nz NOOP\r\n",
		"X !a big;NOOP =z;"),
	    ROW("a X {99999999999999999999999+}\r\n", "X !a big close;"),
	    ROW("a X {2001+}\r\n", "X !a big close;"),
	    ROW("a X \"y{3+}\r\nabc\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X \"{3+}\"{3+}\r\nabc\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a NIX {2001+}\r\n", "NIX !a big close;"),
	    ROW("a NIX {2001}\r\nz NOOP\r\n", "NIX !a;NOOP =z;"),
	    ROW("a NIX {99999999999999999999999+}\r\n", "NIX !a big close;"),
	    ROW("a X {1}y\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X y{1}\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X {2}\r\nyyy\r\nz NOOP\r\n", "X + !a;NOOP =z;"),
	    ROW("a X {1}\r\n\0\r\nz NOOP\r\n", "X + !a;NOOP =z;"),
	    ROW("a X {3+}\r\n\0ab {2+}\r\n\r\n\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    /* The client waits: nothing of the literal comes. */
	    ROW("a X {51}\r\nz NOOP\r\n", "X !a big;NOOP =z;"),
	    ROW("a X {51+}\r\n012345678901234567890123456789"
		"012345678901234567890 y {3+}\r\n\r\n{\r\nz NOOP\r\n",
		"X !a big;NOOP =z;"),
	    ROW("a X {50}\r\n012345678901234567890123456789"
		"01234567890123456789 {1}\r\nz NOOP\r\n",
		"X + !a big;NOOP =z;"),
	    /* Literals of a line that is broken already. */
	    ROW("a NIX {4}\r\nz NOOP\r\n", "NIX !a;NOOP =z;"),
	    ROW("a NIX {4+}\r\na b\n\r\nz NOOP\r\n", "NIX !a;NOOP =z;"),
	    ROW("a NIX (x{3+}\r\n\r\n\"{0+}\r\n)\r\nz NOOP\r\n",
		"NIX !a;NOOP =z;"),
	    ROW("a X (((())))\r\nz NOOP\r\n", "X !a;NOOP =z;"),
	    ROW("a X 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1\r\nz NOOP\r\n",
		"X !a;NOOP =z;"),
	    ROW("a FETCH 1 BODY[\r\nz NOOP\r\n", "FETCH !a;NOOP =z;"),
	    ROW("a FETCH 1 BODY[HEADER.FIELDS ({2}\r\n\r\n)]\r\nz NOOP\r\n",
		"FETCH + !a;NOOP =z;"),
	};

	check(rows, ARRAY_LEN(rows), false);
}

static void
test_line_limit(UNUSED void **state)
{
	struct buf in, out;
	char line[400];
	size_t n;

	buf_init(&in, 10000);
	buf_init(&out, 10000);
	for (n = 190; n < 210; n++) {
		memset(line, 'x', n);
		buf_clear(&in);
		buf_clear(&out);
		buf_add_c(&in, "a X ");
		buf_add(&in, line, n - 6);
		buf_add_c(&in, "\r\nz NOOP\r\n");
		run(buf_str(&in), 7, false, &out);
		buf_add_byte(&out, '\0');
		if (n <= 200)
			assert_non_null(strstr(out.p, "=a;NOOP =z;"));
		else
			assert_non_null(strstr(out.p, "!a;NOOP =z;"));
	}
	buf_done(&in);
	buf_done(&out);
}

/*
 * The line is too long from some byte of "{8+}" on, or its end is wrong: what
 * follows is a literal's all the same, and no command.
 */
static void
test_error_amid_brace(UNUSED void **state)
{
	static const char *const ends[] = {"\r\n", "\n"};
	struct buf in, out;

	buf_init(&in, 10000);
	buf_init(&out, 10000);
	for (size_t n = 150; n < 210; n++) {
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			buf_clear(&in);
			buf_clear(&out);
			buf_add_c(&in, "a X ");
			while (in.n < n)
				buf_add_byte(&in, 'x');
			buf_addf(
			    &in, " {8+}%sb NIX\r\nx\r\nz NOOP\r\n", ends[i]);
			run(buf_str(&in), 7, false, &out);
			buf_add_byte(&out, '\0');
			assert_null(strstr(out.p, "!b;"));
			assert_non_null(strstr(out.p, "a;NOOP =z;"));
		}
	}
	buf_done(&in);
	buf_done(&out);
}

static void
test_binary_literal(UNUSED void **state)
{
	struct imap_lex l;
	struct arena a;
	size_t used;

	arena_init(&a);
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, &a);
	struct str in = STR("a X ~{2+}\r\n\0z\r\n");
	assert_int_equal(imap_lex_feed(&l, in, &used), IMAP_LEX_NAME);
	in = str_skip(in, used);
	assert_int_equal(imap_lex_feed(&l, in, &used), IMAP_LEX_DONE);
	assert_int_equal(used, in.n);
	assert_true(l.args[0].binary);
	assert_true(str_eq(l.args[0].s, STR("\0z")));
	imap_lex_done(&l);
	arena_done(&a);
}

static void
test_streams(UNUSED void **state)
{
	static const struct row rows[] = {
	    ROW("a APPEND x (\\Seen) {3}\r\nabc\r\nz NOOP\r\n",
		"APPEND [a<x> (a<\\Seen>) s3] =a;NOOP =z;"),
	    ROW("a APPEND {1}\r\nx {3+}\r\nabc {0}\r\n ~{1+}\r\n\0\r\n",
		"APPEND + [l<x> s3+] [s0] [s1+~] =a;"),
	    ROW("a APPEND {3}\r\nabc\r\n", "APPEND + l<abc> =a;"),
	    ROW("a APPEND x {1001}\r\n", "APPEND [a<x> s1001]"),
	    ROW("a APPEND x {2001+}\r\n", "APPEND !a big close;"),
	    ROW("a APPEND x {3}\r\nabcd\r\nz NOOP\r\n",
		"APPEND [a<x> s3] !a;NOOP =z;"),
	    ROW("a APPEND x CATENATE (TEXT {1}\r\nu URL y TEXT {0+}\r\n)\r\n",
		"APPEND [a<x> a<CATENATE> (a<TEXT> s1)]"
		" [(a<URL> a<y> a<TEXT> s0+)] () =a;"),
	    ROW("a APPEND x CATENATE (URL {1}\r\nu TEXT {2}\r\nab) UTF8 "
		"(~{1+}\r\nc)\r\n",
		"APPEND + [a<x> a<CATENATE> (a<URL> l<u> a<TEXT> s2)]"
		" [() a<UTF8> (s1+~)] () =a;"),
	    ROW("a APPEND x CATENATE (utf8 (~{1}\r\nu) text {1}\r\nv)\r\n"
		"z NOOP\r\n",
		"APPEND [a<x> a<CATENATE> (a<utf8> (s1~))]"
		" [(() a<text> s1)] () =a;NOOP =z;"),
	    ROW("a APPEND x CATENATE (TEXT {1}\r\nab)\r\nz NOOP\r\n",
		"APPEND [a<x> a<CATENATE> (a<TEXT> s1)] !a;NOOP =z;"),
	    ROW("a APPEND x (y {1}\r\nk) {999999}\r\n",
		"APPEND + [a<x> (a<y> l<k>) s999999]"),
	};

	check(rows, ARRAY_LEN(rows), true);
}

/* Feeds up to STREAM and refuses it there. */
static void
refuse(struct str in, bool want_over)
{
	struct imap_lex l;
	struct arena a;
	size_t used;
	enum imap_lex_event ev;

	arena_init(&a);
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, &a);
	do {
		ev = imap_lex_feed(&l, in, &used);
		in = str_skip(in, used);
		l.stream = 1;
	} while (ev != IMAP_LEX_STREAM);
	assert_int_equal(imap_lex_refuse_stream(&l, "no"), want_over);
	if (!want_over) {
		assert_int_equal(imap_lex_feed(&l, in, &used), IMAP_LEX_BAD);
		in = str_skip(in, used);
		assert_string_equal(l.why, "no");
	}
	assert_true(str_starts(in, STR("z ")));
	imap_lex_done(&l);
	arena_done(&a);
}

static void
test_refused_streams(UNUSED void **state)
{
	refuse(STR("a APPEND x {3}\r\nz NOOP\r\n"), true);
	refuse(STR("a APPEND x {3+}\r\nabc\r\nz NOOP\r\n"), false);
	refuse(STR("a APPEND x {0+}\r\n\r\nz NOOP\r\n"), false);
	refuse(STR("a APPEND x {3+}\r\nabc {2+}\r\n\r\n\r\nz NOOP\r\n"), false);
}

/* LITERAL-: what is larger is skipped, and the next command found. */
static void
test_nonsync_limit(UNUSED void **state)
{
	static const char text[] = "a APPEND x {1001+}\r\n";
	struct buf in, out;

	buf_init(&in, 10000);
	buf_init(&out, 10000);
	buf_add_c(&in, text);
	for (int i = 0; i < 1001; i++)
		buf_add_byte(&in, '\n');
	buf_add_c(&in, "\r\nz NOOP\r\n");
	for (size_t step = 1; step <= in.n; step += step < 30 ? 1 : 97) {
		buf_clear(&out);
		run(buf_str(&in), step, true, &out);
		buf_add_byte(&out, '\0');
		assert_string_equal(out.p, "APPEND !a big;NOOP =z;");
	}
	buf_done(&in);
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_line_limit),
	    cmocka_unit_test(test_error_amid_brace),
	    cmocka_unit_test(test_binary_literal),
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_refused_streams),
	    cmocka_unit_test(test_nonsync_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
