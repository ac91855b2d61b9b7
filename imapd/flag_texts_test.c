/* SPDX-License-Identifier: ISC */
/* flag_texts_test.c - every combination, against what flags.c writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "imapd/flag_texts.h"
#include "imapd/flags.h"

struct str
mailbox_keyword_name(UNUSED const struct mailbox *m, size_t number)
{
	static const struct str names[] = {
	    STR_LIT("$Label1"),
	    STR_LIT("Junk"),
	    STR_LIT("a-keyword-that-is-so-long-that-no-list-with-it-is-kept-"
		    "because-it-has-more-bytes-than-there-is-room"),
	    STR_LIT("not an atom"),
	};

	return number < ARRAY_LEN(names) ? names[number] : (struct str){0};
}

size_t
mailbox_keyword_count(UNUSED const struct mailbox *m)
{
	return 4;
}

bool
mailbox_keyword_find(UNUSED const struct mailbox *m, UNUSED struct str name,
    UNUSED size_t *number)
{
	return false;
}

static void
check(struct flag_texts *t, const struct flags *f)
{
	struct buf want;

	buf_init(&want, 1000);
	buf_add_byte(&want, '(');
	flags_write(&want, NULL, f);
	buf_add_byte(&want, ')');
	assert_true(str_eq(flag_texts_get(t, f), buf_str(&want)));
	buf_done(&want);
}

/* Twice each: when it is not there, and when it is, or was driven out. */
static void
test_all(UNUSED void **state)
{
	static const uint16_t more[] = {1};
	struct flag_texts t;

	flag_texts_init(&t, NULL);
	for (unsigned i = 0; i < 2 * 64 * 16; i++) {
		struct flags f = {
		    .system = (uint8_t)(i / 32 % 64),
		    .keywords = i / 2 % 16,
		    .more = more,
		};

		check(&t, &f);
		f.n_more = 1;
		check(&t, &f);
		f.n_more = 0;
		check(&t, &f);
	}
	assert_true(str_eq(flag_texts_get(&t, &(struct flags){0}), STR("()")));
	flag_texts_done(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
