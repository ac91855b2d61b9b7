/* SPDX-License-Identifier: ISC */
/* mbox_scan_test.c - From_ lines, lengths, hidden fields: formats.md 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "store/mailbox.h"
#include "store/mbox/mbox_scan.h"

#define F "From a@b Mon Mar  2 10:01:00 2026\n"

/* A file in memory that gives at most `piece` bytes at once. */
struct memory {
	struct str bytes;
	uint64_t base; /* bytes before it are letters x */
};

static int
read_memory(void *arg, uint64_t off, void *p, size_t n, size_t *got,
    UNUSED struct err *e)
{
	const struct memory *m = arg;
	char *out = p;

	*got = 0;
	for (; *got < n && off + *got < m->base; (*got)++)
		out[*got] = (off + *got) % 60 == 59 ? '\n' : 'x';
	for (; *got < n && off + *got < m->base + m->bytes.n; (*got)++)
		out[*got] = m->bytes.p[off + *got - m->base];
	return 0;
}

/* "size/body,size/body": the messages of a file, or "corrupt". */
static const char *
scan(struct str text)
{
	static char out[2000];
	struct memory mem = {text, 0};
	struct mbox_scan s;
	struct mbox_msg m;
	struct err e;
	bool found;
	int n = 0;

	out[0] = '\0';
	mbox_scan_init(&s, read_memory, &mem, text.n, 0);
	for (;;) {
		if (mbox_scan_next(&s, &m, &found, &e) == -1) {
			assert_true(
			    e.code == ERR_CORRUPT || e.code == ERR_FORMAT);
			(void)snprintf(out, sizeof(out), "corrupt");
			break;
		}
		if (!found)
			break;
		n += snprintf(out + n, sizeof(out) - (size_t)n, "%s%d/%.*s",
		    n == 0 ? "" : ",", (int)m.wire_size, (int)m.body_len,
		    text.p + m.body_off);
	}
	mbox_scan_done(&s);
	return out;
}

static void
test_from_table(UNUSED void **state)
{
	/* formats.md 6.2; `blank`: counts behind an empty line only. */
	static const struct {
		const char *line;
		bool yes, blank;
	} all[] = {
	    {"From x@y Mon Mar  2 10:01:00 2026", true, true},
	    {"From x@y Mon Mar  2 10:01 2026", true, true},
	    {"From x@y Mon Mar  2 10:01:00 EST 2026", true, true},
	    {"From x@y Mon Mar  2 10:01:00 2026 +0200", true, true},
	    {"From x@y Mon Mar  2 10:01:00 +0200 2026", true, true},
	    {"From x@y  Mon Mar 02 10:01:00 2026", true, true},
	    {"From \"a b\"@y Mon Mar  2 10:01:00 2026", true, true},
	    {"From x y Mon Mar  2 10:01:00 2026", false, true},
	    {"From Mon Mar  2 10:01:00 2026", false, false},
	    {"From x@y Mon, 2 Mar 2026 10:01:00 +0200", true, true},
	    {"From x@y Mon Mar 2 10:01:00 2026", true, true},
	    {"From x@y Mon Mar  2 10:01:00 2026 remote from foo", true, true},
	    {"From x@y 2026-03-02 10:01:00", false, false},
	    {"From the start", false, false},
	    {"From x@y Xyz Mar 99 99:99:99 2026", true, true},
	    {"From - Mon Mar  2 10:01:00 2026", true, true},
	    {"from x@y Mon Mar  2 10:01:00 2026", false, false},
	    {">From x@y Mon Mar  2 10:01:00 2026", false, false},
	    {"From x@y Mon Mar  2 10:01:00 20261", false, false},
	    {"From x@y Mon Mai  2 10:01:00 2026", false, false},
	    {"From x@y mon mAR  2 10:01:00 2026", true, true},
	    {"From ", false, false},
	    {"From x", false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct str line = str_of(all[i].line);

		if (mbox_from_parse(line, false, NULL) != all[i].yes ||
		    mbox_from_parse(line, true, NULL) != all[i].blank)
			fail_msg("%s", all[i].line);
	}
}

/* Dates without a zone are of the zone here, in summer and in winter. */
static void
test_other_formats(UNUSED void **state)
{
	static const struct {
		const char *line;
		bool is_one;
	} t[] = {
	    {"*mbx*\r\n", true},
	    {"\001\001\001\001\n", true},
	    {"BABYL OPTIONS: -*- rmail -*-\n", true},
	    {" 2-Nov-2025 20:14:04 +0000,1234;000000000000-00000001\r\n", true},
	    {"2-Nov-2025 20:14:04 +0000,1234;000000000000-00000001\r\n", true},
	    {"22-Nov-2025 20:14:04 +0000,12x4;000000000000-00000001\r\n",
		false},
	    {"22-Nov-2025 20:14:04 +0000\r\n", false},
	    {"From a@b Sun Nov 22 20:14:04 2025\n", false},
	    {"mbx", false},
	    {"", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(
		    mbox_other_format(str_of(t[i].line)) != NULL, t[i].is_one);
}

static void
test_from_local(UNUSED void **state)
{
	struct mbox_from f;
	struct buf b;

	(void)setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	assert_true(
	    mbox_from_parse(STR("From x Mon Mar  2 10:01:00 2026"), false, &f));
	assert_int_equal(f.date_s, 1772445660 - 3600);
	assert_true(
	    mbox_from_parse(STR("From x Thu Jul  2 10:01:00 2026"), false, &f));
	assert_int_equal(f.date_s, 1782986460 - 7200);
	/* Nobody's clock has shown this; it was read at some moment near. */
	assert_true(
	    mbox_from_parse(STR("From x Sun Mar 29 02:30:00 2026"), false, &f));
	assert_in_range(f.date_s, 1774747800 - 7200, 1774747800);
	/* Each moment of a year, written and read; but for the hour that
	 * comes twice. */
	buf_init(&b, 200);
	for (int64_t s = 1767225600; s < 1798761600; s += 1787) {
		if (s >= 1792886400 && s < 1792893600)
			continue;
		buf_clear(&b);
		mbox_from_write(&b, STR("x"), s);
		assert_true(mbox_from_parse(buf_str(&b), false, &f));
		assert_int_equal(f.date_s, s);
	}
	buf_done(&b);
	(void)setenv("TZ", "UTC", 1);
	tzset();
}

static void
test_from_date(UNUSED void **state)
{
	static const struct {
		const char *line;
		int64_t date_s;
	} all[] = {
	    {"From x Mon Mar  2 10:01:00 2026", 1772445660},
	    {"From x Mon Mar  2 10:01 2026", 1772445660},
	    {"From x Mon Mar  2 10:01:00 2026 +0200", 1772438460},
	    {"From x Mon Mar  2 10:01:00 +0200 2026", 1772438460},
	    {"From x Mon Mar  2 10:01:00 EST 2026", 1772463660},
	    {"From x Mon, 2 Mar 2026 10:01:00 -0130", 1772451060},
	    {"From x Xyz Mar 99 99:99:99 2026", 0},
	    {"From x Mon Mar  2 10:01:00 1950", 0},
	};
	struct mbox_from f;
	struct buf b;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_true(mbox_from_parse(str_of(all[i].line), false, &f));
		assert_true(str_eq(f.sender, STR("x")));
		assert_int_equal(f.date_s, all[i].date_s);
	}
	buf_init(&b, 200);
	mbox_from_write(&b, STR("mb@mx1"), 1773136800);
	assert_true(str_eq(
	    buf_str(&b), STR("From mb@mx1  Tue Mar 10 10:00:00 2026\n")));
	assert_true(mbox_from_parse(buf_str(&b), false, &f));
	assert_int_equal(f.date_s, 1773136800);
	buf_clear(&b);
	mbox_from_write(&b, STR("x"), -5);
	assert_true(mbox_from_parse(buf_str(&b), false, &f));
	buf_done(&b);
}

static void
test_shape(UNUSED void **state)
{
	static const struct {
		const char *text, *expected;
	} all[] = {
	    {"", ""},
	    {"\n", ""},
	    {"hello\n", "corrupt"},
	    {F "A: b\n\nb1\n\n" F "A: b\n\nb2\n\n", "12/b1\n,12/b2\n"},
	    /* No empty line between. */
	    {F "A: b\n\nb1\n" F "A: b\n\nb2\n", "10/b1,10/b2"},
	    /* No last LF. */
	    {F "A: b\n\nb1", "10/b1"},
	    /* White space in front. */
	    {"\n \r\n" F "A: b\n\nb1\n", "10/b1"},
	    {"\n\nx" F "A: b\n\nb1\n", "corrupt"},
	    /* CRLF, the whole file. */
	    {"From a@b Mon Mar  2 10:01:00 2026\r\nA: b\r\n\r\nb1\r\n\r\n"
	     "From a@b Mon Mar  2 10:01:00 2026\r\nA: b\r\n\r\nb2\r\n\r\n",
		"12/b1\r\n,12/b2\r\n"},
	    /* Mixed. */
	    {F "A: b\r\nC: d\n\nb1\r\nb2\n\n" F "\nx\n", "22/b1\r\nb2\n,3/x"},
	    /* No body; no header. */
	    {F "A: b\n\n" F "A: b\n", "8/,6/"},
	    {F "\n\n\n" F "\nb\n\n", "4/\n,5/b\n"},
	    /* Spaces in the sender: behind an empty line only. */
	    {F "A: b\n\nb\n\nFrom x y Mon Mar  2 10:01:00 2026\nA: b\n\nc\n",
		"11/b\n,9/c"},
	    {F "A: b\n\nb\nFrom x y Mon Mar  2 10:01:00 2026\n",
		"44/b\nFrom x y Mon Mar  2 10:01:00 2026"},
	    /* Lines that only look so. */
	    {F "A: b\n\nFrom the start\n>" F "\n",
		"60/From the start\n>From a@b Mon Mar  2 10:01:00 2026\n"},
	    /* A From_ line in the header begins a message. */
	    {F "A: b\n" F "A: b\n\nb\n", "6/,9/b"},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const char *got = scan(str_of(all[i].text));

		if (strcmp(got, all[i].expected) != 0)
			fail_msg("%zu: %s\nnot: %s", i, got, all[i].expected);
	}
}

static void
test_content_length(UNUSED void **state)
{
	static const char inner[] = "x\n" F "y\n";
	char text[500];

	/* It covers a From_ line, and ends where it says. */
	(void)snprintf(text, sizeof(text),
	    F "Content-Length: %zu\n\n%s\n" F "A: b\n\nb\n", sizeof(inner) - 1,
	    inner);
	assert_string_equal(scan(str_of(text)),
	    "43/x\nFrom a@b Mon Mar  2 10:01:00 2026\ny\n,9/b");
	/* The same at the end of the file, with and without its LF. */
	(void)snprintf(text, sizeof(text), F "Content-Length: %zu\n\n%s",
	    sizeof(inner) - 1, inner);
	assert_string_equal(
	    scan(str_of(text)), "43/x\nFrom a@b Mon Mar  2 10:01:00 2026\ny\n");
	strncat(text, "\n", 2);
	assert_string_equal(
	    scan(str_of(text)), "43/x\nFrom a@b Mon Mar  2 10:01:00 2026\ny\n");
	/* Wrong: too far, into a line, not a number. */
	assert_string_equal(
	    scan(STR(F "Content-Length: 9999\n\nb\n\n" F "\nc\n")),
	    "5/b\n,3/c");
	assert_string_equal(
	    scan(STR(F "Content-Length: 1\n\nbcd\n\n" F "\nc\n")),
	    "7/bcd\n,3/c");
	assert_string_equal(
	    scan(STR(F "Content-Length: -1\n\nbcd\n\n" F "\nc\n")),
	    "7/bcd\n,3/c");
}

/* Messages beyond 4 GiB; nothing between is really there. */
static void
test_large(UNUSED void **state)
{
	const uint64_t base = UINT64_C(5) * 1024 * 1024 * 1024;
	struct memory mem = {STR(F "A: b\n\nb1\n\n" F "A: b\n\nb2\n\n"), base};
	struct mbox_scan s;
	struct mbox_msg m;
	struct err e;
	bool found;

	mbox_scan_init(&s, read_memory, &mem, base + mem.bytes.n, base);
	assert_int_equal(mbox_scan_next(&s, &m, &found, &e), 0);
	assert_true(found);
	assert_int_equal(m.off, base);
	assert_int_equal(m.body_len, 3);
	assert_int_equal(mbox_scan_next(&s, &m, &found, &e), 0);
	assert_true(found);
	assert_true(m.body_off > base);
	assert_int_equal(mbox_scan_next(&s, &m, &found, &e), 0);
	assert_false(found);
	mbox_scan_done(&s);
}

static size_t
put(char *out, const char *text)
{
	memcpy(out, text, strlen(text));
	return strlen(text);
}

/* Lines, headers and bodies around the size of what is read at once. */
static void
test_window(UNUSED void **state)
{
	const size_t piece = 256 * 1024;

	for (size_t cut = 0; cut < 80; cut++) {
		size_t body = piece - 40 - cut, n = 0;
		char *text = malloc(piece * 2);
		struct memory mem;
		struct mbox_scan s;
		struct mbox_msg m;
		struct err e;
		bool found;

		n = put(text, F "A: b\n\n");
		memset(text + n, 'x', body);
		n += body;
		memcpy(text + n, "\r\n\r\n" F "A: b\n\nb2\n",
		    sizeof("\r\n\r\n" F "A: b\n\nb2\n") - 1);
		n += sizeof("\r\n\r\n" F "A: b\n\nb2\n") - 1;
		mem = (struct memory){str_make(text, n), 0};
		mbox_scan_init(&s, read_memory, &mem, n, 0);
		assert_int_equal(mbox_scan_next(&s, &m, &found, &e), 0);
		assert_int_equal(m.body_len, body + 2);
		assert_int_equal(m.wire_size, 6 + 2 + body + 2);
		assert_int_equal(mbox_scan_next(&s, &m, &found, &e), 0);
		assert_true(found);
		assert_int_equal(m.body_len, 2);
		mbox_scan_done(&s);
		free(text);
	}
}

/* A header longer than we look at: its end is served as it is. */
static void
test_long_header(UNUSED void **state)
{
	size_t size = 3 * 1024 * 1024, n;
	char *text = malloc(size + 200);
	struct memory mem;
	struct mbox_scan s;
	struct mbox_msg m;
	struct err e;
	bool found;

	n = put(text, F "Status: R\nX: ");
	memset(text + n, 'x', size);
	n += size;
	memcpy(text + n, "\nStatus: A\n\nb\n", 14);
	n += 14;
	mem = (struct memory){str_make(text, n), 0};
	mbox_scan_init(&s, read_memory, &mem, n, 0);
	assert_int_equal(mbox_scan_next(&s, &m, &found, &e), 0);
	assert_true(found);
	assert_int_equal(m.state.flags, FLAG_SEEN);
	assert_int_equal(m.body_len, 1);
	assert_int_equal(m.size, 3 + size + 1 + 10 + 1 + 1);
	assert_int_equal(mbox_scan_next(&s, &m, &found, &e), 0);
	assert_false(found);
	mbox_scan_done(&s);
	free(text);
}

/* ---- hidden fields --------------------------------------------------------- */

static void
test_hidden(UNUSED void **state)
{
	static const struct {
		const char *header, *seen;
	} all[] = {
	    {"A: b\nStatus: RO\nC: d\n\n", "A: b\nC: d\n\n"},
	    {"STATUS: R\nx-status: A\nA: b\nX-Keywords: a\n b\nX-UID: 1\n\n",
		"A: b\n\n"},
	    {"X-IMAP: 1 2\nX-IMAPbase: 1 2\nContent-Length: 5\n\n", "\n"},
	    {"Statuses: x\nX-Status-2: y\n Status: z\n\n",
		"Statuses: x\nX-Status-2: y\n Status: z\n\n"},
	    {"Status : R\r\nA: b\r\n\r\n", "A: b\r\n\r\n"},
	    {"A: b\nStatus: R", "A: b\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct str h = str_of(all[i].header);
		char seen[300];
		struct mbox_range r;
		uint32_t at = 0;
		size_t from = 0, n = 0;

		while (mbox_hidden_next(h, &at, &r)) {
			memcpy(seen + n, h.p + from, r.off - from);
			n += r.off - from;
			from = r.off + r.len;
		}
		memcpy(seen + n, h.p + from, h.n - from);
		n += h.n - from;
		if (!str_eq(str_make(seen, n), str_of(all[i].seen)))
			fail_msg("%zu: %.*s", i, (int)n, seen);
	}
}

static void
test_state(UNUSED void **state)
{
	struct mbox_state st;
	struct str name, list;

	mbox_state_parse(STR("X-IMAPbase: 1795300494 0000000003 $Fwd b\n"
			     "X-UID: 1          \nStatus: ROA\n"
			     "X-Status: ADq\nX-Keywords: $Fwd\n\n"),
	    &st);
	assert_true(st.has_base && !st.is_pseudo && st.last_uid_fixed);
	assert_int_equal(st.uidvalidity, 1795300494);
	assert_int_equal(st.last_uid, 3);
	assert_int_equal(st.last_uid_at, 23);
	assert_int_equal(st.uid, 1);
	assert_int_equal(st.flags, FLAG_SEEN | FLAG_ANSWERED | FLAG_DELETED);
	assert_true(st.is_old);
	assert_int_equal(st.n_x_others, 1);
	assert_int_equal(st.x_others[0], 'q');
	list = st.base_keywords;
	assert_true(mbox_keyword_next(&list, &name));
	assert_true(str_eq(name, STR("$Fwd")));
	assert_true(mbox_keyword_next(&list, &name));
	assert_true(str_eq(name, STR("b")));
	assert_false(mbox_keyword_next(&list, &name));
	/* As c-client writes it. */
	mbox_state_parse(STR("X-IMAPbase: 1795300677 3 kwA\nStatus: RO\n"
			     "X-Status: DF\nX-Keywords: kwA           \n"
			     "X-UID: 1\n\n"),
	    &st);
	assert_false(st.last_uid_fixed);
	assert_int_equal(st.last_uid, 3);
	assert_int_equal(st.flags, FLAG_SEEN | FLAG_DELETED | FLAG_FLAGGED);
	assert_true(str_eq(st.keywords, STR("kwA")));
	/* Numbers that are none. */
	mbox_state_parse(STR("X-UID: 0\nX-IMAPbase: 0 1\n\n"), &st);
	assert_true(st.has_uid_field && st.uid == 0 && !st.has_base);
	mbox_state_parse(STR("X-UID: 99999999999\nX-IMAPbase: x 1\n\n"), &st);
	assert_true(st.has_uid_field && st.uid == 0 && !st.has_base);
	mbox_state_parse(STR("X-IMAP: 1 0000000002\n\n"), &st);
	assert_true(st.is_pseudo);
}

/* What identifies a message stays when mail programs add their headers. */
static void
test_hash(UNUSED void **state)
{
	struct mbox_state a, b;

	mbox_state_parse(STR("Received: x\nDate: 1\nMessage-ID: <1>\n\n"), &a);
	mbox_state_parse(STR("Received: x\nStatus: RO\nLines: 3\nDate: 2\n"
			     "Content-Length: 9\n\n"),
	    &b);
	assert_true(a.hash == b.hash);
	mbox_state_parse(STR("Date: 1\nMessage-ID: <1>\n\n"), &a);
	mbox_state_parse(STR("Date: 1\nMessage-ID: <2>\n\n"), &b);
	assert_true(a.hash != b.hash);
	mbox_state_parse(STR("Subject: a\n\n"), &a);
	mbox_state_parse(STR("Subject: b\n\n"), &b);
	assert_true(a.hash != b.hash);
}

static void
test_write(UNUSED void **state)
{
	struct mbox_words w = {
	    .is_first = true,
	    .uidvalidity = 1795300494,
	    .last_uid = 3,
	    .base_keywords = STR(" $Fwd"),
	    .uid = 62,
	    .is_old = true,
	    .flags = FLAG_SEEN | FLAG_FLAGGED | FLAG_ANSWERED,
	    .keywords = STR("$Fwd"),
	    .has_length = true,
	    .length = 33,
	};
	struct mbox_state st;
	struct buf b;

	buf_init(&b, 1000);
	mbox_state_write(&b, &w, 3);
	assert_true(str_eq(buf_str(&b),
	    STR("X-IMAPbase: 1795300494 0000000003 $Fwd\nX-UID: 62\n"
		"Status: RO\nX-Status: AF\nX-Keywords: $Fwd   \n"
		"Content-Length: 33\n")));
	mbox_state_parse(buf_str(&b), &st);
	assert_true(st.uid == 62 && st.flags == w.flags && st.is_old);
	buf_clear(&b);
	w = (struct mbox_words){.uid = 7, .crlf = true};
	mbox_state_write(&b, &w, 4);
	assert_true(str_eq(buf_str(&b), STR("X-UID: 7    \r\n")));
	buf_clear(&b);
	w = (struct mbox_words){
	    .is_pseudo = true,
	    .uidvalidity = 5,
	    .last_uid = 2,
	};
	mbox_state_write(&b, &w, 2);
	assert_true(str_eq(buf_str(&b), STR("X-IMAP: 5 0000000002  \n")));
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_from_table),
	    cmocka_unit_test(test_from_date),
	    cmocka_unit_test(test_from_local),
	    cmocka_unit_test(test_other_formats),
	    cmocka_unit_test(test_shape),
	    cmocka_unit_test(test_content_length),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_long_header),
	    cmocka_unit_test(test_hidden),
	    cmocka_unit_test(test_state),
	    cmocka_unit_test(test_hash),
	    cmocka_unit_test(test_write),
	};

	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
