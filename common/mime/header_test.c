/* SPDX-License-Identifier: ISC */
/* header_test.c - fields of a block, unfolding, encoded words, envelopes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mime/encword.h"
#include "mime/header.h"
#include "mime/part.h"

#define BAD "\xef\xbf\xbd"

static const struct {
	const char *what, *block, *want; /* name=value| */
} blocks[] = {
    {"nothing", "", ""},
    {"two fields", "A: b\r\nC:d\r\n\r\nE: f\r\n", "A= b|C=d|"},
    {"LF", "A: b\nC: d\n\nE: f", "A= b|C= d|"},
    {"folded", "A: b\n c\n\td\nC: d\n", "A= b\n c\n\td|C= d|"},
    {"no line end", "A: b", "A= b|"},
    {"blanks before the colon (RFC 5322 4.5)", "A \t: b\n", "A= b|"},
    {"empty value", "A:\nB: \r\n", "A=|B= |"},
    {"line without a colon", "junk\n more: x\nA: b\n", "A= b|"},
    {"continuation of nothing", " x: y\nA: b\n", "A= b|"},
    {"no name", ": x\nA: b\n", "A= b|"},
    {"From_ line", "From joe Thu Jan  1 00:00:00 1970\nA: b\n",
	"From joe Thu Jan  1 00=00:00 1970|A= b|"},
    {"blank line of blanks is a continuation", "A: b\n \nC: d\n",
	"A= b\n |C= d|"},
    {"lone CR", "A: b\rC: d\n\r\n", "A= b\rC: d|"},
};

/* The same, byte by byte. */
static size_t
block_end_by_bytes(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool at_start = i == 0 || s.p[i - 1] == '\n';

		if (at_start && s.p[i] == '\n')
			return i + 1;
		if (at_start && i + 1 < s.n && s.p[i] == '\r' &&
		    s.p[i + 1] == '\n')
			return i + 2;
	}
	return 0;
}

static size_t
line_by_bytes(struct str s, size_t i)
{
	while (i < s.n && s.p[i] != '\n')
		i++;
	return i < s.n ? i + 1 : i;
}

/* One field from `at` on, byte by byte; the place behind it, 0: no more. */
static size_t
field_by_bytes(struct str s, size_t at, struct header_field *out)
{
	size_t first = line_by_bytes(s, at), end = first, colon = at, n;

	*out = (struct header_field){0};
	if (at == s.n || s.p[at] == '\n' ||
	    (s.p[at] == '\r' && at + 1 < s.n && s.p[at + 1] == '\n'))
		return 0;
	while (end < s.n && (s.p[end] == ' ' || s.p[end] == '\t'))
		end = line_by_bytes(s, end);
	out->raw = str_make(s.p + at, end - at);
	while (colon < first && s.p[colon] != ':')
		colon++;
	for (n = colon - at;
	     n > 0 && (s.p[at + n - 1] == ' ' || s.p[at + n - 1] == '\t');)
		n--;
	if (colon == first || n == 0 || s.p[at] == ' ' || s.p[at] == '\t')
		return end;
	out->name = str_make(s.p + at, n);
	out->value = str_make(s.p + colon + 1, end - colon - 1);
	if (out->value.n > 0 && out->value.p[out->value.n - 1] == '\n')
		out->value.n--;
	if (out->value.n > 0 && out->value.p[out->value.n - 1] == '\r')
		out->value.n--;
	return end;
}

/* All lengths up to some blocks; a copy of that size shows a look beyond. */
static void
test_fields_by_bytes(UNUSED void **state)
{
	static const char few[] = "abcdefgh::\n\n\r \t";
	struct header_field f, want;
	struct header_iter it;
	uint32_t seed = 1;

	for (unsigned round = 0; round < 20000; round++) {
		size_t n = round % 90, at = 0, next;
		/* Lines of some length, too. */
		unsigned letters = round % 3 == 0 ? 0 : 40;
		char *text = malloc(n + 1);
		struct str s = str_make(text + 1, n);

		assert_non_null(text);
		for (size_t i = 0; i <= n; i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = few[(seed >> 24) % 60 < letters
				? (seed >> 16) % 8
				: (seed >> 16) % (sizeof(few) - 1)];
		}
		header_iter_init(&it, s);
		while ((next = field_by_bytes(s, at, &want)) != 0) {
			assert_true(header_iter_next_any(&it, &f));
			assert_true(str_eq(f.raw, want.raw));
			assert_true(str_eq(f.name, want.name));
			if (want.name.n > 0)
				assert_true(str_eq(f.value, want.value));
			at = next;
		}
		assert_false(header_iter_next_any(&it, &f));
		assert_true(it.has_blank == (at < n));
		free(text);
	}
}

/* Wherever it lies, whatever looks like it before, and read in two pieces. */
static void
test_block_end(UNUSED void **state)
{
	static const char few[] = "a\n\r:";
	uint32_t seed = 1;
	char text[80];

	for (int round = 0; round < 20000; round++) {
		struct str s = str_make(text, (size_t)round % sizeof(text));
		size_t end, cut;

		for (size_t i = 0; i < s.n; i++) {
			seed = seed * 1664525 + 1013904223;
			/* Line ends are as rare as in mail, or are all. */
			text[i] = (seed >> 24) % 16 < (unsigned)round % 5 + 1
			    ? few[(seed >> 16) % 4]
			    : 'x';
		}
		end = block_end_by_bytes(s);
		assert_int_equal(header_block_end(s, 0), end);
		for (cut = 0; cut < s.n && (end == 0 || cut < end); cut += 7)
			assert_int_equal(
			    header_block_end(s, cut < 3 ? 0 : cut - 3), end);
	}
}

static void
test_find_each(UNUSED void **state)
{
	static const struct str names[] = {STR_LIT("B"), STR_LIT("Cc"),
	    STR_LIT("None"), STR_LIT("A"), STR_LIT("Late")};
	struct header_field f[ARRAY_LEN(names)], one;
	struct str block = STR("a: 1\nx: 2\nb: 3\nA: 4\nB:\ncc: 5\n 6\n"
			       "\nLate: 7\n");

	header_find_each(block, names, ARRAY_LEN(names), f);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		bool is_there = header_find(block, names[i], &one);

		assert_int_equal(is_there, f[i].raw.n > 0);
		assert_true(!is_there || str_eq(one.raw, f[i].raw));
		assert_true(!is_there || str_eq(one.value, f[i].value));
	}
	assert_true(str_eq(f[1].value, STR(" 5\n 6")));
	assert_true(str_eq(f[3].value, STR(" 1")));
}

static void
test_blocks(UNUSED void **state)
{
	struct header_field f;
	struct header_iter it;
	struct buf b, raw;
	size_t i;

	buf_init(&b, 10000);
	buf_init(&raw, 10000);
	for (i = 0; i < ARRAY_LEN(blocks); i++) {
		buf_clear(&b);
		header_iter_init(&it, str_of(blocks[i].block));
		while (header_iter_next(&it, &f)) {
			buf_addf(&b, "%.*s=%.*s|", STR_ARG(f.name),
			    STR_ARG(f.value));
			assert_true(f.raw.p == f.name.p);
			assert_true(f.value.p + f.value.n <= f.raw.p + f.raw.n);
		}
		if (!str_eq(buf_str(&b), str_of(blocks[i].want)))
			fail_msg(
			    "%s: %.*s", blocks[i].what, STR_ARG(buf_str(&b)));
	}
	assert_true(header_find(STR("A: 1\nb: 2\nB: 3\n"), STR("B"), &f));
	assert_true(str_eq(f.value, STR(" 2")));
	assert_false(header_find(STR("A: 1\n\nB: 2\n"), STR("B"), &f));
	buf_done(&b);
	buf_done(&raw);
}

static const struct {
	const char *what;
	struct str in;
	const char *unfolded;
} folds[] = {
    {"trimmed", STR_LIT(" \t a b \t"), "a b"},
    {"CRLF goes, the blank stays", STR_LIT(" a\r\n b\n\tc"), "a b\tc"},
    {"fold of blanks at the end", STR_LIT("a\r\n "), "a"},
    {"several folds", STR_LIT("a\n \n \n b"), "a   b"},
    {"lone CR stays", STR_LIT("a\rb"), "a\rb"},
    {"NUL", STR_LIT("a\0b"),
	"a\x80"
	"b"},
    {"empty", STR_LIT(""), ""},
};

static void
test_unfold(UNUSED void **state)
{
	struct arena a;
	struct str s;
	size_t i;

	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(folds); i++) {
		s = header_unfold(&a, folds[i].in);
		assert_non_null(s.p);
		if (!str_eq(s, str_of(folds[i].unfolded)))
			fail_msg("%s: %.*s", folds[i].what, STR_ARG(s));
	}
	arena_done(&a);
}

static const struct {
	const char *what, *in, *want;
} words[] = {
    {"plain", "hello", "hello"},
    {"Q", "=?iso-8859-1?Q?a=FCb_c?=",
	"a\xc3\xbc"
	"b c"},
    {"B", "=?UTF-8?B?w7w=?=", "\xc3\xbc"},
    {"B without padding", "=?UTF-8?B?w7w?=", "\xc3\xbc"},
    {"with text around", "Re: =?utf-8?q?=C3=BC?= x", "Re: \xc3\xbc x"},
    {"blanks between words go (RFC 2047 6.2)",
	"=?utf-8?q?a?= \t =?utf-8?q?b?= c", "ab c"},
    {"folded between words", "=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
    {"language (RFC 2231 5)", "=?utf-8*en?q?=C3=BC?=", "\xc3\xbc"},
    {"character torn between words",
	"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "\xc3\xbc"},
    {"character torn, other case of charset and encoding",
	"=?utf-8?q?=C3?= =?UTF-8?B?vA==?=", "\xc3\xbc"},
    {"two charsets", "=?utf-8?q?=C3?= =?iso-8859-1?q?=FC?=", BAD "\xc3\xbc"},
    {"ISO-2022-JP",
	"=?ISO-2022-JP?B?GyRCJU8lbRsoQg==?=", "\xe3\x83\x8f\xe3\x83\xad"},
    {"next to text", "a=?utf-8?q?b?=c", "abc"},
    {"inside quotes", "\"=?utf-8?q?b?=\"", "\"b\""},
    {"blanks inside", "=?utf-8?q?a b?=", "a b"},
    {"question mark inside",
	"=?utf-8?q?what?"
	"?=",
	"what?"},
    {"empty text",
	"a =?utf-8?q?"
	"?= b",
	"a  b"},
    {"unknown charset stays", "=?x-no?q?a?= b", "=?x-no?q?a?= b"},
    {"unknown charset stays with its blanks",
	"=?x-no?q?a?= =?x-no?q?b?=", "=?x-no?q?a?= =?x-no?q?b?="},
    {"unknown encoding", "=?utf-8?x?a?=", "=?utf-8?x?a?="},
    {"not closed", "=?utf-8?q?a", "=?utf-8?q?a"},
    {"closed too early", "=?utf-8?=", "=?utf-8?="},
    {"starts again inside", "=?utf-8?=?utf-8?q?a?=", "=?utf-8?a"},
    {"equals and question marks", "=?=?=?=?", "=?=?=?=?"},
    {"raw UTF-8", "\xc3\xbc", "\xc3\xbc"},
    {"raw Latin 1",
	"a\xfc"
	"b",
	"a" BAD "b"},
    {"raw and encoded", "\xfc =?utf-8?q?b?=", BAD " b"},
};

static void
test_words(UNUSED void **state)
{
	struct arena a;
	struct str s;
	size_t i;

	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(words); i++) {
		s = header_decode(&a, str_of(words[i].in));
		if (!str_eq(s, str_of(words[i].want)))
			fail_msg("%s: %.*s", words[i].what, STR_ARG(s));
	}
	arena_done(&a);
}

/* One byte at each place, in values of each length: that asks for decoding. */
static void
test_plain(UNUSED void **state)
{
	static const char wanted[] = {'\n', '\0', '=', '\x80', '\xff'};
	char text[52];
	struct str s;

	for (size_t n = 0; n < sizeof(text) - 2; n++) {
		text[0] = ' ';
		memset(text + 1, 'a', n);
		text[n + 1] = '\n';
		assert_true(header_is_plain(str_make(text, n + 2), &s));
		assert_ptr_equal(s.p, n > 0 ? text + 1 : s.p);
		assert_int_equal(s.n, n);
		for (size_t i = 2; i < n; i++)
			for (size_t j = 0; j < sizeof(wanted); j++) {
				text[i] = wanted[j];
				assert_false(
				    header_is_plain(str_make(text, n + 2), &s));
				text[i] = 'a';
			}
	}
}

/* Many beginnings without an end are read once, not once each. */
static void
test_many_beginnings(UNUSED void **state)
{
	size_t n = 4000000, i;
	char *text = malloc(n);
	struct buf b;

	assert_non_null(text);
	for (i = 0; i + 8 <= n; i += 8)
		memcpy(text + i, "=?a?q?x ", 8);
	buf_init(&b, ENCWORD_DECODED_MAX(n));
	encword_decode(&b, str_make(text, n));
	assert_int_equal(b.n, n);
	buf_done(&b);
	free(text);
}

static void
test_envelope(UNUSED void **state)
{
	struct envelope e;
	struct arena a;

	arena_init(&a);
	envelope_parse(&a,
	    STR("Subject: three\nsubject:  one\n\t \ttwo\nFrom: a@x\nFrom: "
		"b@x\n"
		"Message-Id:\nTo: c@x\n\nCc: d@x\n"),
	    &mime_limits_default, &e);
	/* The last one, its blanks tidied. */
	assert_true(str_eq(e.subject, STR("one two")));
	assert_null(e.date.p);
	/* There but empty is not the same as missing. */
	assert_non_null(e.message_id.p);
	assert_int_equal(e.message_id.n, 0);
	/* Lists of several fields are joined. */
	assert_true(str_eq(e.from->mailbox, STR("a")));
	assert_true(str_eq(e.from->next->mailbox, STR("b")));
	assert_null(e.from->next->next);
	assert_ptr_equal(e.sender, e.from);
	assert_ptr_equal(e.reply_to, e.from);
	assert_true(str_eq(e.to->mailbox, STR("c")));
	assert_null(e.cc);
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_blocks),
	    cmocka_unit_test(test_fields_by_bytes),
	    cmocka_unit_test(test_block_end),
	    cmocka_unit_test(test_find_each),
	    cmocka_unit_test(test_unfold),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_many_beginnings),
	    cmocka_unit_test(test_envelope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
