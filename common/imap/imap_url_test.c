/* SPDX-License-Identifier: ISC */
/* imap_url_test.c - what is an URL of a message, and what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "imap/imap_url.h"

static void
dump_value(struct buf *b, const char *key, struct str value)
{
	if (value.p != NULL)
		buf_addf(b, " %s=<%.*s>", key, STR_ARG(value));
}

static const char *
dump(struct buf *b, struct str s)
{
	struct imap_url u;
	struct arena a;

	arena_init(&a);
	buf_clear(b);
	if (!imap_url_parse(&a, s, &u)) {
		buf_add(b, "no", 3);
		arena_done(&a);
		return b->p;
	}
	buf_addf(b, "<%.*s> %u", STR_ARG(u.mailbox), u.uid);
	if (u.uidvalidity != 0)
		buf_addf(b, " v%u", u.uidvalidity);
	if (u.section.n > 0)
		dump_value(b, "s", u.section);
	if (u.has_partial)
		buf_addf(b, " %llu+%lld", (unsigned long long)u.start,
		    (long long)u.count);
	if (u.has_server) {
		dump_value(b, "user", u.user);
		dump_value(b, "auth", u.auth);
		dump_value(b, "host", u.host);
		if (u.port != 0)
			buf_addf(b, " %u", u.port);
	}
	buf_add_byte(b, '\0');
	arena_done(&a);
	return b->p;
}

static void
test_parse(UNUSED void **state)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
	    /* RFC 4469 appendix A, RFC 8508 section 4.2 */
	    {"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER",
		"<Drafts> 20 v385759045 s=<HEADER>"},
	    {"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME",
		"<Drafts> 20 v385759045 s=<1.MIME>"},
	    {"/Drafts;UIDVALIDITY=385759045/;UID=30", "<Drafts> 30 v385759045"},
	    {"/Drafts/;UID=3002", "<Drafts> 3002"},
	    /* RFC 5092 section 9 */
	    {"imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;"
	     "UID=20/;PARTIAL=0.1024",
		"<gray-council> 20 v385759045 0+1024 "
		"host=<minbari.example.org>"},
	    {"imap://psicorp.example.org/~peter/%E6%97%A5%E6%9C%AC%E8%AA%9E/"
	     "%E5%8F%B0%E5%8C%97/;UID=1",
		"<~peter/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e/"
		"\xe5\x8f\xb0\xe5\x8c\x97> 1 host=<psicorp.example.org>"},
	    {"imap://;AUTH=GSSAPI@minbari.example.org/gray-council/;uid=20/"
	     ";section=1.2",
		"<gray-council> 20 s=<1.2> auth=<GSSAPI>"
		" host=<minbari.example.org>"},
	    {"imap://joe%40x;AUTH=*@h:143/a%2Fb/;UID=4294967295/;PARTIAL=7",
		"<a/b> 4294967295 7+-1 user=<joe@x> auth=<*> host=<h> 143"},
	    {"//joe@[::1]:1/a/;UID=1", "<a> 1 user=<joe> host=<::1> 1"},
	    {"IMAP://h:/a/;UID=1", "<a> 1 host=<h>"},
	    {"/a/b/;UID=1/;SECTION=HEADER.FIELDS%20(To%20%22a/b%22)/"
	     ";PARTIAL=1.2",
		"<a/b> 1 s=<HEADER.FIELDS (To \"a/b\")> 1+2"},
	    {"/a&-b/;UID=1", "<a&-b> 1"},
	    {"/a//;UID=1", "<a/> 1"},
	    /* no message, or no URL */
	    {"", "no"},
	    {"/", "no"},
	    {"//", "no"},
	    {"/a", "no"},
	    {"/a;UIDVALIDITY=1", "no"},
	    {"/a?SUBJECT%20x", "no"},
	    {"a/;UID=1", "no"},
	    {";UID=1", "no"},
	    {"/;UID=1", "no"},
	    {"//;UID=1", "no"},
	    {"/a;UID=1", "no"},
	    {"/a/;UID=0", "no"},
	    {"/a/;UID=01", "no"},
	    {"/a/;UID=4294967296", "no"},
	    {"/a/;UID=", "no"},
	    {"/a/;UID=1/", "no"},
	    {"/a/;UID=1x", "no"},
	    {"/a;UIDVALIDITY=0/;UID=1", "no"},
	    {"/a;UIDVALIDITY=1;UID=1", "no"},
	    {"/a;UIDVALIDITY=1/x/;UID=1", "no"},
	    {"/a/;UID=1;UIDVALIDITY=1", "no"},
	    {"/a/;UID=1/;SECTION=", "no"},
	    {"/a/;UID=1/;SECTION=1;PARTIAL=1", "no"},
	    {"/a/;UID=1/;SECTION=1/", "<a> 1 s=<1/>"},
	    {"/a/;UID=1/;PARTIAL=", "no"},
	    {"/a/;UID=1/;PARTIAL=0.0", "no"},
	    {"/a/;UID=1/;PARTIAL=0.", "no"},
	    {"/a/;UID=1/;PARTIAL=0.1/;SECTION=1", "no"},
	    {"/a/;UID=1;URLAUTH=anonymous:INTERNAL:00", "no"},
	    {"/a%/;UID=1", "no"},
	    {"/a%4/;UID=1", "no"},
	    {"/a%4g/;UID=1", "no"},
	    {"/a%00/;UID=1", "no"},
	    {"/a b/;UID=1", "no"},
	    {"/a\xc3\xa4/;UID=1", "no"},
	    {"/a\"/;UID=1", "no"},
	    {"http://h/a/;UID=1", "no"},
	    {"imap:/a/;UID=1", "no"},
	    {"imap:///a/;UID=1", "no"},
	    {"imap://@h/a/;UID=1", "no"},
	    {"imap://joe@/a/;UID=1", "no"},
	    {"imap://h:x/a/;UID=1", "no"},
	    {"imap://h:65536/a/;UID=1", "no"},
	    {"imap://[::1/a/;UID=1", "no"},
	    {"imap://a;b@h/a/;UID=1", "no"},
	};
	struct buf b;

	buf_init(&b, 10000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(dump(&b, str_of(rows[i].in)), rows[i].want);
	buf_done(&b);
}

/* Every beginning of an URL, and each with a byte changed, ends in order. */
static void
test_torn(UNUSED void **state)
{
	struct str s = STR("imap://joe;AUTH=*@[::1]:143/a%41;UIDVALIDITY=1/"
			   ";UID=2/;SECTION=1/;PARTIAL=3.4");
	struct buf b, copy;

	buf_init(&b, 10000);
	buf_init(&copy, 10000);
	for (size_t n = 0; n < s.n; n++) {
		(void)dump(&b, str_head(s, n));
		for (int c = 0; c < 256; c++) {
			buf_clear(&copy);
			buf_add_str(&copy, s);
			copy.p[n] = (char)c;
			(void)dump(&b, buf_str(&copy));
		}
	}
	buf_done(&b);
	buf_done(&copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
