/* SPDX-License-Identifier: ISC */
/* pop3_text_test.c - languages are found, translations fit their English. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/pop3_text.h"
#include "text/utf8.h"

static void
test_find(UNUSED void **state)
{
	static const struct {
		const char *range;
		int lang; /* -1: none */
	} cases[] = {
	    {"de", POP3_LANG_DE},
	    {"DE-at", POP3_LANG_DE},
	    {"de-Latn-DE-1996", POP3_LANG_DE},
	    {"fr", POP3_LANG_FR},
	    {"en-GB", POP3_LANG_EN},
	    {"*", POP3_LANG_ES},
	    {"d", -1},
	    {"deu", -1},
	    {"MUL", -1},
	    {"", -1},
	    {"-", -1},
	    {"-de", -1},
	    {"de-", POP3_LANG_DE},
	    {"*-de", -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum pop3_lang got;
		bool found =
		    pop3_lang_find(str_of(cases[i].range), POP3_LANG_ES, &got);

		assert_int_equal(found, cases[i].lang != -1);
		if (found)
			assert_int_equal(got, cases[i].lang);
	}
}

/* The conversions of a format, each with its length: "u", "llu", "s". */
static void
conversions(const char *format, char *out, size_t size)
{
	size_t n = 0;

	for (const char *p = format; *p != '\0'; p++) {
		if (*p != '%')
			continue;
		/* "%.0s" takes its argument and shows nothing. */
		if (strncmp(p, "%.0s", 4) == 0)
			p += 2;
		while (n + 1 < size && *++p != '\0') {
			out[n++] = *p;
			if (strchr("usdc", *p) != NULL)
				break;
		}
	}
	out[n] = '\0';
}

static void
test_translations(UNUSED void **state)
{
	char want[64], got[64];
	const char *text;

	for (size_t i = 0; (text = pop3_text_at(i)) != NULL; i++) {
		assert_int_equal(utf8_ascii_length(str_of(text)), strlen(text));
		conversions(text, want, sizeof(want));
		for (int l = 1; l < POP3_LANGS; l++) {
			const char *t = pop3_text((enum pop3_lang)l, text);

			conversions(t, got, sizeof(got));
			assert_string_equal(got, want);
			assert_true(utf8_is_valid(str_of(t)));
			assert_true(strlen(t) < 200);
		}
		assert_string_not_equal(pop3_text(POP3_LANG_DE, text), text);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(pop3_text_at(j), text);
	}
	assert_string_equal(
	    pop3_text(POP3_LANG_DE, "no such text"), "no such text");
}

static void
test_code(UNUSED void **state)
{
	assert_int_equal(pop3_text_code("[AUTH] No."), 7);
	assert_int_equal(pop3_text_code("No [x] "), 0);
	assert_int_equal(pop3_text_code("[x"), 0);
	assert_int_equal(pop3_text_code(""), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_translations),
	    cmocka_unit_test(test_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
