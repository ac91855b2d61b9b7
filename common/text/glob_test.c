/* SPDX-License-Identifier: ISC */
/* glob_test.c - LIST patterns, against a table and a slow honest matcher. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "text/glob.h"

static const struct {
	const char *pattern, *name;
	bool matches;
} cases[] = {
    {"", "", true},
    {"", "a", false},
    {"*", "", true},
    {"*", "a.b.c", true},
    {"%", "a", true},
    {"%", "a.b", false},
    {"%.%", "a.b", true},
    {"%.%", "a.b.c", false},
    {"a.%", "a.b", true},
    {"a.%", "a.", true},
    {"a.*", "a.b.c", true},
    {"a*", "a", true},
    {"*c", "a.b.c", true},
    {"*%", "a.b.c", true},
    {"%*", "a.b.c", true},
    {"%a.b", "xa.xa.b", false},
    {"*a.b", "xa.xa.b", true},
    {"*%b", "a.b.cb", true},
    {"*a%b", "a.ab.axb", true},
    {"*a%b", "ab.", false},
    {"inbox", "INBOX", true},
    {"iNb%", "INBOX", true},
    {"inbox.sub", "INBOX.sub", true},
    {"inbox.SUB", "INBOX.sub", false},
    {"inboxes", "INBOXes", false},
    {"x.inbox", "x.INBOX", false},
    {"A", "a", false},
};

static void
test_table(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (glob_match(str_of(cases[i].pattern), str_of(cases[i].name),
			'.') != cases[i].matches)
			fail_msg("%s %s", cases[i].pattern, cases[i].name);
}

/* The definition itself, by recursion. */
static bool
slow(const char *p, const char *s)
{
	if (*p == '\0')
		return *s == '\0';
	if (*p == '*')
		return slow(p + 1, s) || (*s != '\0' && slow(p, s + 1));
	if (*p == '%')
		return slow(p + 1, s) ||
		    (*s != '\0' && *s != '.' && slow(p, s + 1));
	return *p == *s && slow(p + 1, s + 1);
}

static void
fill(char *out, size_t n, const char *letters, size_t n_letters)
{
	for (size_t i = 0; i < n; i++)
		out[i] = letters[(size_t)random() % n_letters];
	out[n] = '\0';
}

static void
test_random(UNUSED void **state)
{
	char p[10], s[10];
	size_t matched = 0;

	srandom(7);
	for (int i = 0; i < 200000; i++) {
		fill(p, (size_t)random() % 8, "ab.*%%", 6);
		fill(s, (size_t)random() % 9, "aab.", 4);
		if (glob_match(str_of(p), str_of(s), '.') != slow(p, s))
			fail_msg("pattern \"%s\" name \"%s\"", p, s);
		matched += slow(p, s);
	}
	assert_true(matched > 1000);
}

static void
test_no_explosion(UNUSED void **state)
{
	char name[1001], pattern[801];

	memset(name, 'a', 1000);
	name[1000] = '\0';
	for (size_t i = 0; i < 800; i += 2) {
		pattern[i] = i % 4 == 0 ? '*' : '%';
		pattern[i + 1] = 'a';
	}
	pattern[799] = 'b';
	pattern[800] = '\0';
	assert_false(glob_match(str_of(pattern), str_of(name), '.'));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_no_explosion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
