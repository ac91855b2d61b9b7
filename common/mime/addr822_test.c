/* SPDX-License-Identifier: ISC */
/* addr822_test.c - address lists; each tolerated deviation by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "mime/addr822.h"

/* Each address as name|adl|mailbox|host, "-" for NULL, joined by blanks. */
static const struct {
	const char *what, *in, *want;
} cases[] = {
    {"nothing", "", ""},
    {"plain", "joe@example.com", "-|-|joe|example.com"},
    {"with a name", "Joe Q. Public <joe@x>", "Joe Q. Public|-|joe|x"},
    {"quoted name", "\"Doe, \\\"J\\\"\" <joe@x>", "Doe, \"J\"|-|joe|x"},
    {"two words, one quoted", "Joe \"the\"  Doe <j@x>", "Joe the Doe|-|j|x"},
    {"list", "a@x, b@y,c@z", "-|-|a|x -|-|b|y -|-|c|z"},
    {"empty items (obs-addr-list)", ",, a@x,, ,b@y,", "-|-|a|x -|-|b|y"},
    {"group", "Us: a@x, B <b@y>;, c@z",
	"-|-|Us|- -|-|a|x B|-|b|y -|-|-|- -|-|c|z"},
    {"empty group", "undisclosed-recipients:;",
	"-|-|undisclosed-recipients|- -|-|-|-"},
    {"group without an end", "Us: a@x", "-|-|Us|- -|-|a|x -|-|-|-"},
    {"name in a comment (RFC 822)", "joe@x (Joe Doe)", "Joe Doe|-|joe|x"},
    {"nested comment", "joe@x (Joe (his\\) name) Doe)",
	"Joe (his) name) Doe|-|joe|x"},
    {"comments around", "(a) joe (b) @ (c) x (d) . (e) com", "a|-|joe|x.com"},
    {"route (obs-route)", "Joe <@a,@b:joe@x>", "Joe|@a,@b|joe|x"},
    {"quoted local part", "\"joe doe\"@x", "-|-|joe doe|x"},
    {"quoted parts of a local part (obs-local-part)", "\"a b\".c@x",
	"-|-|a b.c|x"},
    {"blanks around dots (obs-local-part)", "joe . doe @ x . org",
	"-|-|joe.doe|x.org"},
    {"domain literal", "joe@[192.0.2.1]", "-|-|joe|[192.0.2.1]"},
    {"IPv6 literal", "joe@[IPv6:2001:db8::1]", "-|-|joe|[IPv6:2001:db8::1]"},
    {"raw UTF-8", "J\xc3\xb6 <j\xc3\xb6@\xc3\xa9x>",
	"J\xc3\xb6|-|j\xc3\xb6|\xc3\xa9x"},
    {"encoded word stays", "=?utf-8?q?J=C3=B6?= <j@x>",
	"=?utf-8?q?J=C3=B6?=|-|j|x"},
    {"no domain", "root", "-|-|root|"},
    {"no domain, in brackets", "Charlie Root <root>", "Charlie Root|-|root|"},
    {"empty brackets", "<>", "-|-||"},
    {"name and empty brackets", "Mailer <>", "Mailer|-||"},
    {"only a name", "Joe Doe", "Joe Doe|-||"},
    {"only a comment", "(nobody), g:; (at all)", "-|-|g|- -|-|-|-"},
    {"two comments: the first is the name", "joe@x (Joe) (by way of (",
	"Joe|-|joe|x"},
    {"blanks in a name", "\"  Joe \t  Doe \"  X <joe@x>", "Joe Doe X|-|joe|x"},
    {"blanks in a quoted local part stay", "\"a  b\"@x", "-|-|a  b|x"},
    {"words in brackets", "<Undisclosed Recipients>",
	"-|-|Undisclosed Recipients|"},
    {"pipermail", "joe at example.com (Joe Doe)",
	"Joe Doe|-|joe at example.com|"},
    {"no brackets", "Joe Doe joe@x", "Joe Doe|-|joe|x"},
    {"address as a name", "joe@x <joe@y>", "joe@x|-|joe|y"},
    {"bracket is not closed", "Joe <joe@x, b@y", "Joe|-|joe|x -|-|b|y"},
    {"brackets twice", "Joe <<joe@x>>", "Joe|-|joe|x"},
    {"closing bracket alone", "joe@x>", "-|-|joe|x"},
    {"text behind the bracket", "Joe <joe@x> (c) more, b@y",
	"Joe|-|joe|x -|-|b|y"},
    {"comment behind the bracket is the name", "<joe@x> (Joe)", "Joe|-|joe|x"},
    {"quote is not closed", "\"Joe <joe@x>", "\"Joe|-|joe|x"},
    {"a good quote before a bad one", "\"A\" \"B <joe@x>", "A \"B|-|joe|x"},
    {"comment is not closed", "joe@x (Joe, b@y", "Joe, b@y|-|joe|x"},
    {"two signs", "a@b@c", "-|-|a@b|c"},
    {"two addresses without a comma", "a@x b@y", "a@x|-|b|y"},
    {"text behind the domain", "a@x junk", "-|-|a|x"},
    {"semicolons as commas", "a@x; b@y", "-|-|a|x -|-|b|y"},
    {"mailto in brackets", "<mailto:joe@x>", "-|-|mailto:joe|x"},
    {"bracket in a name", "[List] Joe <joe@x>", "[List] Joe|-|joe|x"},
    {"only a sign", "@", "-|-||"},
    {"no local part", "@x", "-|-||x"},
    {"backslash at the end", "joe@x (a\\", "a\\|-|joe|x"},
    {"backslash in quotes at the end", "\"a\\", "-|-|\"a\\|"},
};

static void
add_field(struct buf *b, struct str s)
{
	if (s.p == NULL)
		buf_add_byte(b, '-');
	else
		buf_add_str(b, s);
}

static struct str
write_list(struct buf *b, const struct mime_addr *m)
{
	buf_clear(b);
	for (; m != NULL; m = m->next) {
		if (b->n > 0)
			buf_add_byte(b, ' ');
		add_field(b, m->name);
		buf_add_byte(b, '|');
		add_field(b, m->adl);
		buf_add_byte(b, '|');
		add_field(b, m->mailbox);
		buf_add_byte(b, '|');
		add_field(b, m->host);
	}
	return buf_str(b);
}

static void
test_cases(UNUSED void **state)
{
	struct mime_addr *list;
	struct arena a;
	struct buf b;
	uint32_t max;
	size_t i;

	arena_init(&a);
	buf_init(&b, 10000);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		list = NULL;
		max = 100;
		addr822_parse(&a, str_of(cases[i].in), &max, &list);
		if (!str_eq(write_list(&b, list), str_of(cases[i].want)))
			fail_msg("%s: %s\n got %.*s\nwant %s", cases[i].what,
			    cases[i].in, STR_ARG(buf_str(&b)), cases[i].want);
	}
	buf_done(&b);
	arena_done(&a);
}

static void
parse_into(struct arena *a, struct str in, struct buf *b)
{
	struct mime_addr *list = NULL;
	uint32_t max = 100;

	(void)addr822_parse(a, in, &max, &list);
	(void)write_list(b, list);
}

/*
 * The usual forms are read by themselves; with a tab before them they are not.
 * Both must find the same, also where a byte is another.
 */
static void
test_usual_forms(UNUSED void **state)
{
	static const char *const forms[] = {"joe@x.org", "<joe@x.org> ,b@y",
	    "Joe Q. Doe <joe@x.org>", "\"Joe Doe\" <joe@x.org>  , b@y"};
	static const char bytes[] = " \t\"\\<>@,;:.[]a\x80";
	char text[64] = "\t";
	struct buf usual, slow;
	struct arena a;

	arena_init(&a);
	buf_init(&usual, 4096);
	buf_init(&slow, 4096);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		size_t n = strlen(forms[i]);

		for (size_t j = 0; j < n * n * sizeof(bytes); j++) {
			memcpy(text + 1, forms[i], n);
			text[1 + j / sizeof(bytes) % n] =
			    bytes[j % sizeof(bytes)];
			/* Often a second one. */
			text[1 + j / sizeof(bytes) / n] =
			    bytes[(j + i) % sizeof(bytes)];
			arena_reset(&a);
			parse_into(&a, str_make(text + 1, n), &usual);
			parse_into(&a, str_make(text, n + 1), &slow);
			if (!str_eq(buf_str(&usual), buf_str(&slow)))
				fail_msg("%.*s: %.*s, not %.*s", (int)n,
				    text + 1, STR_ARG(buf_str(&usual)),
				    STR_ARG(buf_str(&slow)));
		}
	}
	buf_done(&usual);
	buf_done(&slow);
	arena_done(&a);
}

static void
test_limit(UNUSED void **state)
{
	struct mime_addr *list = NULL, **tail;
	struct arena a;
	struct buf b;
	uint32_t max = 3;

	arena_init(&a);
	buf_init(&b, 10000);
	tail = addr822_parse(&a, STR("a@x, b@x"), &max, &list);
	assert_int_equal(max, 1);
	/* A group always ends. */
	tail = addr822_parse(&a, STR("g: c@x, d@x;, e@x"), &max, tail);
	assert_true(str_eq(
	    write_list(&b, list), STR("-|-|a|x -|-|b|x -|-|g|- -|-|-|-")));
	assert_int_equal(max, 0);
	addr822_parse(&a, STR("f@x"), &max, tail);
	assert_true(str_ends(write_list(&b, list), STR("-|-|-|-")));
	buf_done(&b);
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_usual_forms),
	    cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
