/* SPDX-License-Identifier: ISC */
/* preview_test.c - the first words of messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mime/preview.h"

#define HTML "Content-Type: text/html; charset=utf-8\n\n"

static const struct {
	const char *message, *text;
} cases[] = {
    {"\nHello,\n\n  this is\tit.\r\n", "Hello, this is it."},
    {"Subject: x\n\n", ""},
    {"\n> you said\n> this\nand I say that\n-- \nme\n", "and I say that"},
    {"\nOne\n--\nTwo\n", "One"},
    {"\n--- a\n-- b\n-\n- c", "--- a -- b - - c"},
    {"\nend -", "end -"},
    {"\n-", "-"},
    {"\n\x01"
     "a\x7f\x1b[0mb",
	"a[0mb"},
    {"Content-Type: text/plain; charset=iso-8859-1\n"
     "Content-Transfer-Encoding: quoted-printable\n\ngr=FC=\n=DFe\n",
	"gr\xc3\xbc\xc3\x9f"
	"e"},
    {HTML "<html><head><title>T</title><style>p { a: \"<b>\" }</style></head>"
	  "<body><!-- no > -- no --><p class=\"a>b\">Hel<b>l</b>o</p><p>you</p>"
	  "<script>if (a</b/.c) x('<p>')</script><br/>there",
	"Hello you there"},
    {HTML "1 &lt; 2 &amp;&#38;&#x26; a &nbsp; b &nosuch; &auml;&amp &;",
	"1 < 2 &&& a b &nosuch; \xc3\xa4& &;"},
    {HTML "a < b, I <3 you</ and &unfinished",
	"a < b, I <3 you</ and "
	"&unfinished"},
    {HTML "<!DOCTYPE html>x<!---->y<!-->-->z<unclosed a='", "xy-->z"},
    {HTML "pre&zwnj;&nbsp;&zwnj;&nbsp;&#847;&shy;&#8203;header",
	"pre\xe2\x80\x8c header"},
    {HTML "&#xD800;&#1114112;&#99999999999;",
	"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"Content-Type: multipart/alternative; boundary=b\n\n--b\n"
     "Content-Type: text/html\n\n<p>html\n--b\n\nplain\n--b--\n",
	"plain"},
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
     "Content-Type: image/png\n\nx\n--b\nContent-Disposition: attachment\n\nno"
     "\n--b\nContent-Type: text/html\n\n<p>yes\n--b\n\nlater\n--b--\n",
	"yes"},
    {"Content-Type: message/rfc822\n\nSubject: in\n\ninner\n", "inner"},
    {"Content-Type: image/png\n\nabc", ""},
};

/* In pieces of `n` bytes. */
static struct str
preview_of(struct arena *a, struct str message, size_t n)
{
	struct part_parser *p = part_parser_new(a, NULL);
	const struct part *part;
	struct preview *pv;
	struct str body;

	part_parser_feed(p, message);
	part = preview_part(part_parser_finish(p));
	if (part == NULL)
		return STR("");
	pv = preview_new(part);
	body = str_head(
	    str_skip(message, (size_t)part->body_off), (size_t)part->body_len);
	while (body.n > 0 && preview_feed(pv, str_head(body, n)))
		body = str_skip(body, n);
	return preview_finish(&pv, a);
}

static void
test_cases(UNUSED void **state)
{
	struct arena a;
	struct str got;
	size_t i, n;

	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(cases); i++)
		for (n = 1; n < 100; n += 7) {
			got = preview_of(&a, str_of(cases[i].message), n);
			if (!str_eq(got, str_of(cases[i].text)))
				fail_msg(
				    "%zu by %zu: %.*s", i, n, STR_ARG(got));
		}
	arena_done(&a);
}

static void
test_length(UNUSED void **state)
{
	char text[1000];
	struct arena a;
	struct str got;

	arena_init(&a);
	memset(text, 'x', sizeof(text));
	text[0] = '\n';
	got = preview_of(&a, str_make(text, sizeof(text)), 1000);
	assert_int_equal(got.n, PREVIEW_CHARS_MAX);
	/* A blank is never the last of them. */
	text[PREVIEW_CHARS_MAX] = ' ';
	got = preview_of(&a, str_make(text, sizeof(text)), 1000);
	assert_int_equal(got.n, PREVIEW_CHARS_MAX - 1);
	/* Characters, not bytes. */
	for (size_t i = 1; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	got = preview_of(&a, str_make(text, sizeof(text) - 1), 1000);
	assert_int_equal(got.n, 2 * PREVIEW_CHARS_MAX);
	arena_done(&a);
}

/* Blanks without end are not read to their end. */
static void
test_patience(UNUSED void **state)
{
	static char blanks[64 * 1024];
	struct part part = {.type = STR("text"),
	    .subtype = STR("html"),
	    .encoding = STR("7bit")};
	struct preview *pv = preview_new(&part);
	struct arena a;
	unsigned n = 1;

	arena_init(&a);
	memset(blanks, ' ', sizeof(blanks));
	while (preview_feed(pv, str_make(blanks, sizeof(blanks))))
		n++;
	assert_int_equal(n, 4);
	assert_false(preview_feed(pv, STR("late")));
	assert_int_equal(preview_finish(&pv, &a).n, 0);
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_length),
	    cmocka_unit_test(test_patience),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
