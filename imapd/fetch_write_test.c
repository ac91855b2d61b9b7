/* SPDX-License-Identifier: ISC */
/*
 * fetch_write_test.c - ENVELOPE, BODY and BODYSTRUCTURE in full, and read back
 * for every message of the corpus, whole and damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "imapd/fetch_write.h"
#include "tests/lib/body_check.h"
#include "tests/lib/corpus.h"
#include "tests/lib/part_dump.h"

static const struct {
	const char *message, *want;
} bodies[] = {
    {"Content-Type: text/plain; charset=utf-8\nContent-MD5: x\n"
     "Content-Language: de\n\nhello\n",
	"(\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 7 1 \"x\""
	" NIL (\"de\") NIL)"},
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n"
     "Content-Type: image/png; name=x\nContent-ID: <i>\n"
     "Content-Disposition: attachment; filename=\"a\\\"b\"\n"
     "Content-Transfer-Encoding: base64\n\nAAAA\n\n--b--\n",
	"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 "
	"NIL NIL NIL NIL)(\"image\" \"png\" (\"name\" \"x\") \"<i>\" NIL "
	"\"base64\" 6 NIL (\"attachment\" (\"filename\" \"a\\\"b\")) NIL NIL) "
	"\"mixed\" (\"boundary\" \"b\") NIL NIL NIL)"},
    {"Content-Type: message/rfc822\n\nSubject: in\nFrom: a@b\n"
     "Content-Language: en, fr\n\nx\n",
	"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 55 "
	"(NIL \"in\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
	"((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL) "
	"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1 "
	"NIL NIL (\"en\" \"fr\") NIL) 5 NIL NIL NIL NIL)"},
    /* Without a boundary: one part with everything. */
    {"Content-Type: multipart/mixed\n\nx\n",
	"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1 "
	"NIL NIL NIL NIL) \"mixed\" NIL NIL NIL NIL)"},
    /* 8 bits can only be a literal. */
    {"Content-Description: \xc3\xbc\n\n",
	"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL {2}\r\n\xc3\xbc "
	"\"7bit\" 0 0 NIL NIL NIL NIL)"},
};

static void
test_bodies(UNUSED void **state)
{
	struct arena a;
	struct buf b;
	size_t i;

	arena_init(&a);
	buf_init(&b, 100000);
	for (i = 0; i < ARRAY_LEN(bodies); i++) {
		buf_clear(&b);
		fetch_write_body(&b,
		    part_parse_pieces(&a, str_of(bodies[i].message), 50, NULL),
		    true, true);
		if (!str_eq(buf_str(&b), str_of(bodies[i].want)))
			fail_msg("%s\n got %.*s\nwant %s", bodies[i].message,
			    STR_ARG(buf_str(&b)), bodies[i].want);
	}
	buf_done(&b);
	arena_done(&a);
}

static size_t n_messages;

static void
read_back(UNUSED const char *path, UNUSED int damage, struct str s)
{
	struct part *root;
	struct arena a;

	arena_init(&a);
	root = part_parse_pieces(&a, s, 10000, NULL);
	body_check_all(root);
	arena_done(&a);
	n_messages++;
}

static void
test_corpus_reads_back(UNUSED void **state)
{
	corpus_each(read_back);
	print_message("%zu messages\n", n_messages);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bodies),
	    cmocka_unit_test(test_corpus_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
