/* SPDX-License-Identifier: ISC */
/* param_test.c - parameters, continued, extended and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "mime/param.h"

static const struct {
	const char *what, *in, *want; /* value;name=value;... */
} cases[] = {
    {"nothing", "", ""},
    {"value alone", "text/plain", "text/plain"},
    {"tokens", "a/b; x=1; Y=two", "a/b;x=1;Y=two"},
    {"quoted", "a/b; x=\"a;\\\"b\\\\\"", "a/b;x=a;\"b\\"},
    {"comments", "(c) a/b (c;) ; (c) x (c) = (c) 1 (c)", "a/b;x=1"},
    {"blanks around", " a/b ; x = 1 ; y= 2", "a/b;x=1;y=2"},
    {"no blank", "a/b;x=1;y=2;", "a/b;x=1;y=2"},
    {"empty ones", "a/b;;; x=1;;", "a/b;x=1"},
    {"quote is not closed", "a/b; x=\"abc; y=2", "a/b;x=abc; y=2"},
    {"specials without quotes", "a/b; boundary=--=_x/y:z?",
	"a/b;boundary=--=_x/y:z?"},
    {"no equals sign", "a/b; junk; x=1", "a/b;x=1"},
    {"no name", "a/b; =1; x=2", "a/b;x=2"},
    {"no value", "a/b; x=; y=2", "a/b;x=;y=2"},
    {"file name with blanks", "a/b; name=my long file.pdf; y=2",
	"a/b;name=my long file.pdf;y=2"},
    {"blank ends other values", "a/b; charset=utf-8 junk; y=2",
	"a/b;charset=utf-8;y=2"},
    {"no semicolon", "a/b x=1 y=\"2\"z=3;w=4", "a/b;x=1;y=2;z=3;w=4"},
    {"text behind a quoted value", "a/b; x=\"1\" junk; y=2", "a/b;x=1;y=2"},
    {"value missing, parameters there", "; x=1", ";x=1"},
    {"twice", "a; x=1; x=2", "a;x=1;x=2"},
    {"continued (RFC 2231 3)", "a; x*1=\"b c\"; y=z; x*0=\"a\"; x*2=d",
	"a;y=z;x=ab cd"},
    {"extended (RFC 2231 4)", "a; x*=utf-8'en'%C3%BC", "a;x*=utf-8'en'%C3%BC"},
    {"continued and extended", "a; x*0*=utf-8''%C3; x*1*=%BC; x*2=\" '%\"",
	"a;x*=utf-8''%C3%BC%20%27%25"},
    {"extended from the second section on", "a; x*0=a; x*1*=%41",
	"a;x*=''a%41"},
    {"section missing in the middle", "a; x*0=a; x*2=c", "a;x=a;x*2=c"},
    {"first section missing", "a; x*1=b", "a;x*1=b"},
    {"section twice: the first is joined", "a; x*0=a; x*0=b; x*1=c",
	"a;x=ac;x*0=b"},
    {"two names continued", "a; x*0=1; y*0=2; x*1=3; y*1=4", "a;x=13;y=24"},
    {"stars that mean nothing", "a; x*y=1; **=2; *0=3", "a;x*y=1;**=2;=3"},
    {"section number too large", "a; x*99999999999=1", "a;x*99999999999=1"},
};

static void
test_cases(UNUSED void **state)
{
	struct mime_param *p;
	struct str value;
	struct arena a;
	struct buf b;
	uint32_t max;
	size_t i;

	arena_init(&a);
	buf_init(&b, 10000);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		max = 100;
		param_parse(&a, str_of(cases[i].in), &max, &value, &p);
		buf_clear(&b);
		buf_add_str(&b, value);
		for (; p != NULL; p = p->next)
			buf_addf(&b, ";%.*s=%.*s", STR_ARG(p->name),
			    STR_ARG(p->value));
		if (!str_eq(buf_str(&b), str_of(cases[i].want)))
			fail_msg("%s: %s\n got %.*s\nwant %s", cases[i].what,
			    cases[i].in, STR_ARG(buf_str(&b)), cases[i].want);
	}
	buf_done(&b);
	arena_done(&a);
}

static void
test_limit(UNUSED void **state)
{
	struct mime_param *p;
	struct str value;
	struct arena a;
	uint32_t max = 2;

	arena_init(&a);
	param_parse(&a, STR("a; x=1; y=2; z=3"), &max, &value, &p);
	assert_int_equal(max, 0);
	assert_true(p->next != NULL && p->next->next == NULL);
	arena_done(&a);
}

/* Thousands of quotes take no time (they once could). */
static void
test_many_quotes(UNUSED void **state)
{
	static char text[65536];
	struct mime_param *p;
	struct str value;
	struct arena a;
	uint32_t max = 100;

	memset(text, '"', sizeof(text));
	text[0] = 'a';
	arena_init(&a);
	param_parse(&a, str_make(text, sizeof(text)), &max, &value, &p);
	assert_null(p);
	assert_true(a.total_bytes < 1000000);
	arena_done(&a);
}

static const struct {
	const char *in, *name, *want;
} decoded[] = {
    {"a; filename=x", "filename", "x"},
    {"a; filename*=iso-8859-1'de'%FC", "filename", "\xc3\xbc"},
    {"a; filename*=utf-8''%C3%BC; filename=u", "filename", "\xc3\xbc"},
    {"a; filename*0*=utf-8''%C3; filename*1*=%BC.txt", "filename",
	"\xc3\xbc.txt"},
    {"a; filename=\"=?utf-8?b?w7w=?=.txt\"", "filename", "\xc3\xbc.txt"},
    {"a; filename*=%41", "filename", "A"},
    {"a; filename*=x-no'x'%41%", "filename", "A%"},
    {"a", "filename", NULL},
};

static void
test_decode(UNUSED void **state)
{
	struct mime_param *p;
	struct str value, text;
	struct arena a;
	uint32_t max;
	size_t i;

	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(decoded); i++) {
		max = 100;
		param_parse(&a, str_of(decoded[i].in), &max, &value, &p);
		assert_int_equal(param_decode(&a, p, decoded[i].name, &text),
		    decoded[i].want != NULL);
		if (decoded[i].want != NULL &&
		    !str_eq(text, str_of(decoded[i].want)))
			fail_msg("%s: %.*s", decoded[i].in, STR_ARG(text));
	}
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_limit),
	    cmocka_unit_test(test_many_quotes),
	    cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
