/* SPDX-License-Identifier: ISC */
/* subject_test.c - base subjects (RFC 5256), and message identifiers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mime/msgid.h"
#include "mime/subject.h"

static const struct {
	const char *in, *want;
	bool is_reply;
} subjects[] = {
    {"", "", false},
    {"hello", "hello", false},
    {"  hello \t  there\r\n  you ", "hello there you", false},
    {"Re: hello", "hello", true},
    {"RE:hello", "hello", true},
    {"re : hello", "hello", true},
    {"Re: Re: FW: fwd: hello", "hello", true},
    {"Re[2]: hello", "hello", true},
    {"Re [2] : hello", "hello", true},
    {"[list] hello", "hello", false},
    {"[list] Re: hello", "hello", true},
    {"Re: [list] hello", "hello", true},
    {"[a] [b] Fwd: [c] hello", "hello", true},
    {"[list]", "[list]", false},
    {"[a][b]", "[b]", false},
    {"Re: [a]", "[a]", true},
    {"hello (fwd)", "hello", true},
    {"hello (fwd) (FWD) ", "hello", true},
    {"[Fwd: hello]", "hello", true},
    {"[fwd: Re: [x] hello (fwd)]", "hello", true},
    {"[fwd: [fwd: a]]", "a", true},
    {"Re:", "", true},
    {"Re", "Re", false},
    {"Reply: hello", "Reply: hello", false},
    {"[not closed hello", "[not closed hello", false},
    {"[a [b] c", "[a [b] c", false},
    {"(fwd)", "", true},
    {"Aw: hello", "Aw: hello", false},
    {"re\xc3\xa9: x", "re\xc3\xa9: x", false},
};

static void
test_subjects(UNUSED void **state)
{
	struct arena a;
	struct str s;
	bool is_reply;
	size_t i;

	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(subjects); i++) {
		s = subject_base(&a, str_of(subjects[i].in), &is_reply);
		if (!str_eq(s, str_of(subjects[i].want)))
			fail_msg("%s: %.*s", subjects[i].in, STR_ARG(s));
		assert_int_equal(is_reply, subjects[i].is_reply);
	}
	arena_done(&a);
}

/* A long row of blobs is read a fixed number of times. */
static void
test_many_blobs(UNUSED void **state)
{
	size_t n = 3000000, i;
	char *text = malloc(n);
	struct arena a;

	assert_non_null(text);
	for (i = 0; i < n; i += 3)
		memcpy(text + i, "[a]", 3);
	arena_init(&a);
	assert_int_equal(subject_base(&a, str_make(text, n), NULL).n, 3);
	arena_done(&a);
	free(text);
}

static const struct {
	const char *in, *want; /* joined by blanks */
} ids[] = {
    {"", ""},
    {"<a@b>", "a@b"},
    {"<a@b> <c@d>\r\n <e@f>", "a@b c@d e@f"},
    {"<a@b><c@d>", "a@b c@d"},
    {"<\"a\"@b>", "a@b"},
    {"<\"a\\\"b\"@c>", "a\"b@c"},
    {"Your message of today <a@b>", "a@b"},
    {"\"Joe\" <joe@x>'s message", "joe@x"},
    {"<no sign> <a@b>", "a@b"},
    {"<a@b", ""},
    {"<a <b@c>", "b@c"},
    {"<a@\r\n b>", "a@b"},
    {"<>", ""},
    {"a@b", ""},
};

static void
test_ids(UNUSED void **state)
{
	struct str value, id;
	struct arena a;
	char got[200];
	size_t i, n;

	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(ids); i++) {
		value = str_of(ids[i].in);
		for (n = 0; msgid_next(&a, &value, &id); n += id.n) {
			if (n > 0)
				got[n++] = ' ';
			memcpy(got + n, id.p, id.n);
		}
		if (!str_eq(str_make(got, n), str_of(ids[i].want)))
			fail_msg("%s: %.*s", ids[i].in, (int)n, got);
	}
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_subjects),
	    cmocka_unit_test(test_many_blobs),
	    cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
