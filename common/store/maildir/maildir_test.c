/* SPDX-License-Identifier: ISC */
/* maildir_test.c - what Dovecot wrote, read and changed (compat-tests.md 1). */
#include <sys/wait.h>

#include "base/clock.h"
#include "store/maildir/maildir_impl.h"
#include "tests/lib/test_store.h"

#define BASE1 "1795300341.M945632P17847.mx1,S=127,W=134"
#define BASE2 "1795300341.M946189P17847.mx1,S=127,W=134"
#define BASE3 "1795300341.M952196P17847.mx1,S=127,W=134"
#define LONG70                                                                 \
	"12345678901234567890123456789012345678901234567890123456789012345678" \
	"90"
#define GUID "620a5138f51b026bb745000083ecc375"

static int
setup(void **state)
{
	static struct box b;

	box_init(&b);
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	box_done(*state);
	return 0;
}

static void
write_m1(struct box *b)
{
	box_write(b, "dovecot-uidlist",
	    "3 V1795300341 N1 G" GUID "\n1 :" BASE1 "\n2 :" BASE2 "\n3 :" BASE3
	    "\n");
	box_write(b, "dovecot-keywords", "0 $Label1\n1 NonJunk\n2 Later\n");
	box_msg(b, "cur/" BASE1 ":2,S");
	box_msg(b, "cur/" BASE2 ":2,Fab");
	box_msg(b, "cur/" BASE3 ":2,Rc");
}

static void
test_m1_header_is_a_lower_bound(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct err e;
	uint64_t size;
	struct str header;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 1795300341);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 4);
	assert_string_equal(mailbox_guid(view_mailbox(v)), GUID);
	assert_int_equal(view_count(v), 3);
	assert_string_equal(box_flags(v, 1), "S");
	assert_string_equal(box_flags(v, 2), "F $Label1 NonJunk");
	assert_string_equal(box_flags(v, 3), "R Later");
	assert_int_equal(view_first_unseen(v), 2);
	for (uint32_t uid = 1; uid <= 3; uid++) {
		assert_int_equal(msg_open(v, uid, &m, &e), 0);
		assert_int_equal(msg_wire_size(m, &size, &e), 0);
		assert_int_equal(size, 134);
		assert_int_equal(msg_header(m, &header, &e), 0);
		assert_int_equal(header.n, 121);
		msg_close(&m);
	}
	assert_string_equal(box_sync(v, true), "");
	view_close(&v);
}

static void
test_m2_append_goes_on(void **state)
{
	struct box *b = *state;
	struct view *v;
	const char *list;

	write_m1(b);
	box_open(b);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), 4);
	list = box_read(b, "dovecot-uidlist");
	assert_non_null(strstr(list, "3 V1795300341 N1 G" GUID "\n1 :"));
	assert_non_null(strstr(list, "\n4 :"));
	assert_non_null(strstr(list, ".mx1,S=127,W=134\n"));
	assert_int_equal(list[strlen(list) - 1], '\n');
	assert_int_equal(box_files(b, "new"), 1);
	assert_int_equal(box_files(b, "tmp"), 0);
	assert_false(box_has(b, "dovecot-uidlist.lock"));
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 4);
	assert_string_equal(box_flags(v, 4), "r");
	assert_int_equal(box_files(b, "new"), 0);
	view_close(&v);
}

static void
test_m3_gaps_and_extra_fields(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg_facts f;
	const char *list;

	box_write(b, "dovecot-uidlist",
	    "3 V1795300341 N11 G" GUID " Zfoo\n1 :a\n3 Q7 :b\n4 :c\n"
	    "9 :1795300401.M1P9.mx1\n"
	    "10 Puidl-ten O3 Gguid10 :1795300402.M7P9.mx1,S=127,W=134\n");
	box_msg(b, "cur/a:2,");
	box_msg(b, "cur/b:2,");
	box_msg(b, "cur/c:2,");
	box_msg(b, "cur/1795300401.M1P9.mx1:2,");
	box_msg(b, "cur/1795300402.M7P9.mx1,S=127,W=134:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 5);
	assert_int_equal(view_uid(v, 4), 9);
	assert_int_equal(view_uid(v, 5), 10);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 11);
	assert_true(b->store->ops->msg_facts(view_mailbox(v), 10, &f));
	assert_true(str_eq(f.uidl, STR("uidl-ten")));
	assert_true(str_eq(f.guid, STR("guid10")));
	assert_int_equal(f.pop3_order, 3);
	/* A rewrite keeps what it does not know. */
	maildir_of(view_mailbox(v))->list.must_rewrite = true;
	box_msg(b, "new/1795300403.M7P9.mx1");
	assert_string_equal(box_sync(v, true), "e6 r1 ");
	list = box_read(b, "dovecot-uidlist");
	assert_string_equal(list,
	    "3 V1795300341 N12 G" GUID " Zfoo\n1 :a\n3 Q7 :b\n4 :c\n"
	    "9 :1795300401.M1P9.mx1\n"
	    "10 Puidl-ten O3 Gguid10 :1795300402.M7P9.mx1,S=127,W=134\n"
	    "11 :1795300403.M7P9.mx1\n");
	view_close(&v);
}

static void
test_m5_old_versions(void **state)
{
	struct box *b = *state;
	static const struct {
		const char *before;
		uint32_t uidnext;
	} cases[] = {
	    {"1 795300733 5\n2 a\n3 b\n4 c\n", 5},
	    {"1 795300733 5\n2 a\n3 b\n7 c\n", 8},
	    {"2 795300733 5\n2 x a\n3 yz b\n4 - c\n", 5},
	    {"3 V795300733 N5\n2 :a\n3 :b\n4 :c\n", 5},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct view *v;
		const char *list;

		box_write(b, "dovecot-uidlist", cases[i].before);
		box_msg(b, "cur/a:2,");
		box_msg(b, "cur/b:2,");
		box_msg(b, "cur/c:2,");
		box_open(b);
		v = box_view(b, "INBOX", false);
		assert_int_equal(
		    mailbox_uidvalidity(view_mailbox(v)), 795300733);
		assert_int_equal(
		    mailbox_uidnext(view_mailbox(v)), cases[i].uidnext);
		assert_int_equal(view_count(v), 3);
		assert_int_equal(view_uid(v, 1), 2);
		assert_int_equal(view_uid(v, 2), 3);
		assert_int_equal(
		    box_append(b, "INBOX", TEST_MSG, 0, -1), cases[i].uidnext);
		list = box_read(b, "dovecot-uidlist");
		if (strncmp(list, "3 V795300733 N", 14) != 0 ||
		    strstr(list, " G") == NULL ||
		    strstr(list, "\n3 :b\n") == NULL)
			fail_msg("case %zu: %s", i, list);
		view_close(&v);
		box_close(b);
		box_unlink(b, box_find(b, "new", ""));
	}
}

static void
test_m8_wrong_size_in_name(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct err e;
	uint64_t size;
	char text[200];
	size_t got;

	box_write(b, "dovecot-uidlist", "3 V5 N2 G" GUID "\n1 :x,S=5,W=9\n");
	box_msg(b, "cur/x,S=5,W=9:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	assert_int_equal(size, 134);
	assert_int_equal(msg_size(m, &size, &e), 0);
	assert_int_equal(size, 127);
	assert_int_equal(msg_read(m, 0, text, sizeof(text), &got, &e), 0);
	assert_int_equal(got, 127);
	msg_close(&m);
	assert_true(box_has(b, "cur/x,S=5,W=9:2,"));
	view_close(&v);
}

static uint64_t
wire_size(struct view *v, uint32_t uid)
{
	struct msg *m;
	struct err e;
	uint64_t size;

	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	msg_close(&m);
	return size;
}

static void
test_counted_sizes_are_kept(void **state)
{
	struct box *b = *state;
	struct view *v;
	char name[80];
	const char *list;

	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "cur/%d.x%s:2,", i,
		    i % 3 == 0 ? ",S=127" : "");
		box_msg(b, name);
	}
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (uint32_t uid = 1; uid <= 30; uid++)
		assert_int_equal(wire_size(v, uid), 134);
	assert_null(strstr(box_read(b, "dovecot-uidlist"), "W134"));
	view_close(&v);
	list = box_read(b, "dovecot-uidlist");
	assert_non_null(strstr(list, "\n1 W134 :0.x,S=127\n"));
	assert_non_null(strstr(list, "\n2 S127 W134 :1.x\n"));
	box_close(b);
	/* Believed next time, but only while the file is as large. */
	box_open(b);
	box_write(b, "cur/5.x:2,", "a\nb\n");
	v = box_view(b, "INBOX", false);
	assert_int_equal(wire_size(v, 2), 134);
	assert_int_equal(maildir_of(view_mailbox(v))->n_counted, 0);
	assert_int_equal(wire_size(v, 6), 6);
	assert_int_equal(maildir_of(view_mailbox(v))->n_counted, 1);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, FLAG_SEEN, -1), 31);
	view_close(&v);
}

static void
test_m9_letters(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	box_write(b, "dovecot-uidlist", "3 V5 N2 G" GUID "\n1 :x\n");
	box_write(
	    b, "dovecot-keywords", "0 k0\n1 k1\n2 k2\nbad\n3 k3\n3 again\n");
	box_msg(b, "cur/x:2,PSde");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 1), "S k3 unknown-4");
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	assert_true(box_has(b, "cur/x:2,FPSde"));
	assert_string_equal(box_read(b, "dovecot-keywords"),
	    "0 k0\n1 k1\n2 k2\n3 k3\n4 unknown-4\n");
	/* A new one takes the next letter, and the name of old ones in any
	 * case. */
	assert_int_equal(box_store(v, 1, 1, STORE_ADD, 0, "New", &e), 0);
	assert_int_equal(box_store(v, 1, 1, STORE_REMOVE, 0, "K3", &e), 0);
	assert_true(box_has(b, "cur/x:2,FPSef"));
	assert_int_equal(
	    box_store(v, 1, 1, STORE_SET, FLAG_ANSWERED, "k0", &e), 0);
	assert_true(box_has(b, "cur/x:2,PRa"));
	view_close(&v);
}

static void
test_m9_plain_maildir_letters_are_opaque(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	box_msg(b, "cur/x:2,Sab");
	box_msg(b, "cur/y:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 1), "Sr");
	assert_false(box_has(b, "dovecot-keywords"));
	assert_int_equal(box_store(v, 2, 2, STORE_ADD, 0, "$MDNSent", &e), 0);
	/* Not a letter that means something else to another program. */
	assert_true(box_has(b, "cur/y:2,c"));
	assert_int_equal(
	    box_store(v, 1, 1, STORE_SET, FLAG_DRAFT, NULL, &e), 0);
	assert_true(box_has(b, "cur/x:2,Dab"));
	view_close(&v);
}

static void
test_m10_other_infos(void **state)
{
	struct box *b = *state;
	static const struct {
		const char *before, *flags, *after;
	} cases[] = {
	    {"cur/x:1,xyz", "", "cur/x:2,F"},
	    {"cur/x", "", "cur/x:2,F"},
	    {"cur/x:2,S,more", "S", "cur/x:2,FS,more"},
	    {"cur/x:y:2,S", "S", "cur/x:y:2,FS"},
	    {"cur/x:2,SXa", "S", "cur/x:2,FSXa"},
	    {"cur/x:2,TSF", "FTS", "cur/x:2,TSF"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct view *v;
		struct err e;

		box_write(b, "dovecot-uidlist", "3 V5 N2 G" GUID "\n1 :x\n");
		box_msg(b, cases[i].before);
		box_open(b);
		v = box_view(b, "INBOX", false);
		assert_string_equal(box_flags(v, 1), cases[i].flags);
		assert_true(box_has(b, cases[i].before));
		assert_int_equal(
		    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
		if (!box_has(b, cases[i].after))
			fail_msg(
			    "%s: %s", cases[i].before, box_find(b, "cur", ""));
		view_close(&v);
		box_close(b);
		box_unlink(b, cases[i].after);
	}
}

static const char *
uidl(struct view *v, uint32_t uid, const char *format, uint32_t *order)
{
	static char text[100];
	struct arena a;
	struct str s;
	struct msg *m;
	struct err e;

	arena_init(&a);
	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	if (msg_pop3_uidl(m, format, &a, &s, order, &e) == -1)
		(void)snprintf(text, sizeof(text), "error %d", e.code);
	else
		assert_true(str_to_c(s, text, sizeof(text)));
	msg_close(&m);
	arena_done(&a);
	return text;
}

static void
test_uidl(void **state)
{
	static const struct {
		uint32_t uid;
		const char *format, *want;
	} cases[] = {
	    {13, "", "0000000d6b021c70"},
	    {13, "%08Xu%08Xv", "0000000d6b021c70"},
	    {13, "%{uid|hex(8)}%{uidvalidity|hex(8)}", "0000000d6b021c70"},
	    {13, "uid8hex,v8hex", "0000000d6b021c70"}, {13, "%", "error 7"},
	    {13, "%q", "error 15"}, {13, "%u %v", "error 7"},
	    {13, "xuidl:", "0000000d6b021c70"}, {14, "%v-%u", "kept"},
	    {15, "%v-%u", "c"}, /* empty P: the base */
	    {16, "xuidl:%u", "from-header"},
	    {16, "%u", "from-header"}, /* it was written down */
	    {17, "v8hex,uid8hex", "6b021c7000000011"},
	    {18, "%v-%u", "1795300464-18"}, {19, "v.uid", "1795300464.19"},
	    {20, "%u", "20"}, {21, "%f", "i+b,S=127,W=134"},
	    {22, "%g", "guid-22"}, {23, "base-courier", "k+2Bb,S=127,W=134"},
	    {24, "%m", "88426b0260ab3648cc3ab6a43ce8f8e0"},
	    {25, "%f", "000000196b021c70"}, /* longer than 70 bytes */
	};
	struct box *b = *state;
	struct view *v;
	uint32_t order;
	const char *list;

	box_write(b, "dovecot-uidlist",
	    "3 V1795300464 N30 G" GUID
	    "\n13 Gguid-13 :a+b,S=127,W=134\n14 Pkept O7 :b\n15 P :c\n"
	    "16 :d\n17 :e\n18 :f\n19 :g\n20 :h\n21 :i+b,S=127,W=134\n"
	    "22 Gguid-22 Zkept :j\n23 :k+b,S=127,W=134\n24 :l\n"
	    "25 :" LONG70 "m\n");
	box_msg(b, "cur/a+b,S=127,W=134:2,");
	for (const char *p = "bcefghj"; *p != '\0'; p++) {
		char name[] = "cur/?:2,";

		name[4] = *p;
		box_msg(b, name);
	}
	box_msg(b, "cur/i+b,S=127,W=134:2,");
	box_msg(b, "cur/k+b,S=127,W=134:2,");
	box_msg(b, "cur/" LONG70 "m:2,");
	box_write(b, "cur/d:2,", "X-UIDL:  from-header \nA: b\n\n");
	box_write(b, "cur/l:2,", "Date: D2\nSubject: s\nMessage-ID: <2@x>\n\n");
	box_open(b);
	/* What was written down stays, whatever the setting becomes. */
	for (int turn = 0; turn < 3; turn++) {
		v = box_view(b, "INBOX", false);
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			const char *format = cases[i].format;
			const char *got;

			if (turn > 0 && cases[i].uid >= 16)
				format = "%08Xu%08Xv";
			got = uidl(v, cases[i].uid, format, &order);
			if (strcmp(got, cases[i].want) != 0)
				fail_msg("%d %s: %s", turn, format, got);
			if (cases[i].uid == 14)
				assert_int_equal(order, 7);
		}
		view_close(&v);
		if (turn == 1) {
			box_close(b);
			box_open(b);
		}
	}
	list = box_read(b, "dovecot-uidlist");
	assert_non_null(strstr(list,
	    "\n13 Gguid-13 :a+b,S=127,W=134\n14 Pkept O7 :b\n15 P :c\n"
	    "16 Pfrom-header :d\n17 P6b021c7000000011 :e\n"
	    "18 P1795300464-18 :f\n"));
	assert_non_null(strstr(list, "\n22 Pguid-22 Gguid-22 Zkept :j\n"));
	assert_non_null(strstr(list, "\n25 :" LONG70 "m\n"));
}

/* ---- another program beside us ------------------------------------------- */

static void
test_w1_w4_changes_from_outside(void **state)
{
	struct box *b = *state;
	struct view *v, *w;
	FILE *f;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	w = box_view(b, "INBOX", true);
	/* W1 */
	box_move(b, "cur/" BASE1 ":2,S", "cur/" BASE1 ":2,FS");
	box_move(b, "cur/" BASE3 ":2,Rc", "cur/" BASE3 ":2,Rac");
	assert_string_equal(box_sync(v, true), "f1 f3 ");
	assert_string_equal(box_flags(v, 1), "FS");
	assert_string_equal(box_flags(v, 3), "R $Label1 Later");
	/* W2 */
	box_msg(b, "new/1795300400.M1P1.mx1");
	f = fopen(box_path(b, "dovecot-uidlist"), "a");
	fputs("4 :1795300400.M1P1.mx1\n", f);
	fclose(f);
	assert_string_equal(box_sync(v, true), "e4 r1 ");
	assert_string_equal(box_flags(v, 4), "r");
	assert_true(box_has(b, "cur/1795300400.M1P1.mx1:2,"));
	/* W3 */
	box_msg(b, "cur/1795300401.M1P1.mx1:2,");
	f = fopen(box_path(b, "dovecot-uidlist"), "a");
	fputs("9 :1795300401.M1P1.mx1\n", f);
	fclose(f);
	assert_string_equal(box_sync(v, true), "e5 r1 ");
	assert_int_equal(view_uid(v, 5), 9);
	assert_string_equal(box_flags(v, 9), "");
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 10);
	/* W4 */
	box_unlink(b, "cur/" BASE2 ":2,Fab");
	assert_string_equal(box_sync(v, false), "");
	assert_string_equal(box_flags(v, 2), "F $Label1 NonJunk");
	assert_int_equal(view_count(v), 5);
	assert_true(view_has_news(v));
	assert_string_equal(box_sync(v, true), "x2 ");
	assert_string_equal(box_flags(v, 2), "gone");
	assert_int_equal(view_count(v), 4);
	/* The other session learns all at once. */
	assert_string_equal(box_sync(w, true), "x2 e4 r0 f1 f2 ");
	assert_string_equal(box_sync(w, true), "");
	/* W7 */
	box_msg(b, "cur/1700000000.X.h:2,F");
	box_msg(b, "new/1600000000.Y.h");
	assert_string_equal(box_sync(v, true), "e6 r3 ");
	assert_string_equal(box_flags(v, 10), "r");
	assert_string_equal(box_flags(v, 11), "Fr");
	view_close(&v);
	view_close(&w);
}

static void
test_two_views(void **state)
{
	struct box *b = *state;
	struct view *v, *w;
	struct set32 none;
	uint32_t at = 0;
	struct err e;

	set32_init(&none);
	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	w = box_view(b, "INBOX", false);
	assert_int_equal(
	    box_store(v, 1, 3, STORE_ADD, FLAG_DELETED, "new", &e), 0);
	assert_string_equal(box_sync(v, true), "k0 ");
	assert_string_equal(box_sync(w, true), "k0 f1 f2 f3 ");
	assert_int_equal(
	    box_store(w, 2, 2, STORE_REMOVE, FLAG_DELETED, NULL, &e), 0);
	assert_string_equal(box_flags(v, 2), "F $Label1 NonJunk new");
	while (view_expunge(v, NULL, &at, &e) == STEP_MORE)
		continue;
	assert_string_equal(box_sync(w, true), "x3 x1 ");
	assert_string_equal(box_sync(v, true), "x3 x1 f1 ");
	assert_int_equal(box_files(b, "cur"), 1);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, FLAG_SEEN, 1000), 4);
	assert_string_equal(box_sync(w, true), "e2 r0 ");
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, 1000), 5);
	assert_string_equal(box_sync(v, true), "e3 r1 ");
	assert_string_equal(box_sync(w, true), "e3 r0 ");
	assert_string_equal(box_flags(v, 5), "r");
	assert_string_equal(box_flags(w, 5), "");
	view_close(&v);
	view_close(&w);
}

static void
test_store_finds_a_renamed_file(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct err e;
	uint64_t size;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	box_move(b, "cur/" BASE1 ":2,S", "cur/" BASE1 ":2,RS");
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	assert_true(box_has(b, "cur/" BASE1 ":2,FRS"));
	/* Told, for the client knows nothing of the R. */
	assert_string_equal(box_sync(v, true), "f1 ");
	box_move(b, "cur/" BASE1 ":2,FRS", "new/" BASE1);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(msg_size(m, &size, &e), 0);
	msg_close(&m);
	assert_string_equal(box_flags(v, 1), "");
	box_unlink(b, "cur/" BASE2 ":2,Fab");
	assert_int_equal(msg_open(v, 2, &m, &e), 0);
	assert_int_equal(msg_size(m, &size, &e), -1);
	assert_int_equal(e.code, ERR_GONE);
	msg_close(&m);
	assert_int_equal(box_store(v, 2, 2, STORE_ADD, FLAG_SEEN, NULL, &e), 0);
	assert_string_equal(box_sync(v, true), "x2 f1 ");
	view_close(&v);
}

static void
test_d15_restored_file_gets_a_new_uid(void **state)
{
	struct box *b = *state;
	struct view *v;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	box_move(b, "cur/" BASE2 ":2,Fab", "away");
	assert_string_equal(box_sync(v, true), "x2 ");
	box_move(b, "away", "cur/" BASE2 ":2,Fab");
	assert_string_equal(box_sync(v, true), "e3 r1 ");
	assert_int_equal(view_uid(v, 3), 4);
	assert_string_equal(box_flags(v, 4), "Fr $Label1 NonJunk");
	assert_null(strstr(box_read(b, "dovecot-uidlist"), "\n2 :"));
	assert_non_null(
	    strstr(box_read(b, "dovecot-uidlist"), "\n4 :" BASE2 "\n"));
	view_close(&v);
}

/* A new map may get the inode number of the one we have read, and be longer. */
static void
test_another_map_with_the_same_inode(void **state)
{
	struct box *b = *state;
	struct view *v;

	write_m1(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	box_write(b, "dovecot-uidlist",
	    "3 V1795300341 N9 G" GUID "\n1 :" BASE1 "\n3 :" BASE3
	    "\n5 :an-old-one,S=127,W=134\n6 :another-one,S=127,W=134\n");
	box_msg(b, "new/1795300500.M1P1.mx1");
	/* UID 2 was taken from the map: its file has a new UID now. */
	assert_string_equal(box_sync(v, true), "x2 e4 r2 ");
	assert_int_equal(view_uid(v, 3), 9);
	assert_int_equal(view_uid(v, 4), 10);
	assert_string_equal(box_flags(v, 9), "Fr $Label1 NonJunk");
	view_close(&v);
}

/* The mailbox can be read and nothing else (D13). */
static void
test_d13_read_only(void **state)
{
	struct box *b = *state;
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	write_m1(b);
	box_msg(b, "new/1795300500.M1P1.mx1");
	box_dirs(b, ".plain");
	box_msg(b, ".plain/cur/x:2,S");
	assert_int_equal(chmod(b->home, 0755), 0);
	assert_int_equal(chmod(b->root, 0755), 0);
	assert_int_equal(chmod(box_path(b, "cur"), 0755), 0);
	assert_int_equal(chmod(box_path(b, "new"), 0755), 0);
	assert_int_equal(chmod(box_path(b, ".plain"), 0755), 0);
	assert_int_equal(chmod(box_path(b, ".plain/cur"), 0755), 0);
	assert_int_equal(chmod(box_path(b, ".plain/new"), 0755), 0);
	pid = fork();
	if (pid == 0) {
		struct view *v;
		struct err e;
		struct append *a;

		if (setgid(20001) == -1 || setuid(20001) == -1)
			_exit(3);
		box_open(b);
		v = box_view(b, "INBOX", false);
		assert_true(view_is_read_only(v));
		/* What has no UID can not be given one. */
		assert_int_equal(view_count(v), 3);
		assert_int_equal(
		    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), -1);
		assert_int_equal(e.code, ERR_READ_ONLY);
		assert_int_equal(
		    now_append_begin(b->store, STR("INBOX"), &a, &e), -1);
		assert_int_equal(e.code, ERR_READ_ONLY);
		view_close(&v);
		v = box_view(b, "plain", false);
		assert_int_equal(view_count(v), 1);
		assert_string_equal(box_flags(v, 1), "Sr");
		assert_string_equal(box_sync(v, true), "");
		view_close(&v);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_examine_changes_nothing(void **state)
{
	struct box *b = *state;
	struct view *v, *w;
	struct mailbox_status st;
	struct err e;

	write_m1(b);
	box_msg(b, "new/1795300400.M1P1.mx1");
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_recent(v), 1);
	assert_string_equal(box_flags(v, 4), "r");
	assert_true(box_has(b, "new/1795300400.M1P1.mx1"));
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, NULL, &e), -1);
	assert_int_equal(e.code, ERR_READ_ONLY);
	assert_int_equal(now_status(b->store, STR("inbox"), true, &st, &e), 0);
	assert_int_equal(st.messages, 4);
	assert_int_equal(st.recent, 1);
	assert_int_equal(st.unseen, 3);
	assert_int_equal(st.uidnext, 5);
	assert_int_equal(st.size, 4 * 134);
	assert_string_equal(st.mailbox_id, GUID);
	w = box_view(b, "INBOX", false);
	assert_int_equal(view_recent(w), 1);
	assert_true(box_has(b, "cur/1795300400.M1P1.mx1:2,"));
	view_close(&w);
	w = box_view(b, "INBOX", false);
	assert_int_equal(view_recent(w), 0);
	view_close(&w);
	view_close(&v);
}

/* ---- damage (compat-tests.md 3) ------------------------------------------ */

static void
test_d2_no_map(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint32_t validity;

	box_msg(b, "cur/1700000000.X.h:2,F");
	box_msg(b, "new/1600000000.Y.h");
	box_msg(b, "new/1700000000.M5P1.h");
	box_msg(b, "new/1700000000.M44P1.h");
	box_open(b);
	v = box_view(b, "INBOX", false);
	validity = mailbox_uidvalidity(view_mailbox(v));
	assert_true(validity > 1600000000);
	assert_string_equal(box_flags(v, 1), "r");
	assert_string_equal(box_flags(v, 4), "Fr");
	assert_int_equal(strlen(mailbox_guid(view_mailbox(v))), 32);
	view_close(&v);
	box_close(b);
	box_unlink(b, "dovecot-uidlist");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_true(mailbox_uidvalidity(view_mailbox(v)) > validity);
	assert_int_equal(view_count(v), 4);
	view_close(&v);
}

static void
test_d2_courier_map(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "courierimapuiddb",
	    "1 795300733 5\n1 a,S=127,W=134\n2 b\n4 c\n");
	box_msg(b, "cur/a,S=127,W=134:2,S");
	box_msg(b, "cur/c:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 795300733);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 5);
	assert_int_equal(view_count(v), 2);
	assert_int_equal(view_uid(v, 2), 4);
	assert_true(box_has(b, "courierimapuiddb"));
	assert_int_equal(
	    strncmp(box_read(b, "dovecot-uidlist"), "3 V795300733 N5 G", 17),
	    0);
	view_close(&v);
}

static unsigned
count_broken(struct box *b)
{
	DIR *d = opendir(b->root);
	struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, "dovecot-uidlist.broken.", 23) == 0;
	closedir(d);
	return n;
}

static void
test_d3_d7_broken_lines(void **state)
{
	struct box *b = *state;
	static const struct {
		const char *list;
		uint32_t uidnext;
		const char *uids;
		bool is_broken;
	} cases[] = {
	    /* D3 */
	    {"3 V9 N4 G" GUID "\n2 :b\n1 :a\n3 :c\n", 4, "1 2 3 ", true},
	    /* D4 */
	    {"3 V9 N4 G" GUID "\n1 :a\n2 :b\n3 :c\n77 :", 78, "1 2 3 ", false},
	    /* D6 */
	    {"3 V9 N4 G" GUID "\n1 :a\n2 :b\n3 :c\n5 :a\n", 6, "2 3 5 ", false},
	    /* D7 */
	    {"3 V9 N4 G" GUID "\n1 :a\n2 :x/y\n3 :c\n", 5, "1 3 4 ", true},
	    {"3 V9 N4 G" GUID "\n1 :a\nrubbish\n2 :b\n3 :c\n", 4, "1 2 3 ",
		true},
	    {"3 V9 N4 G" GUID "\n1 :a\n2 :b\n2 :c\n", 5, "1 2 4 ", true},
	    {"3 V9 N4 G" GUID "\n1 :a\n2 b\n3 :c\n4294967295 :d\n", 5, "1 3 4 ",
		true},
	    /* D12 */
	    {"3 V9 N1 G" GUID "\n1 :a\n2 :b\n3 :c\n", 4, "1 2 3 ", false},
	};

	box_msg(b, "cur/a:2,");
	box_msg(b, "cur/b:2,");
	box_msg(b, "cur/c:2,");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct view *v;
		char uids[100] = "";
		const char *list;
		uint32_t next = cases[i].uidnext;

		box_write(b, "dovecot-uidlist", cases[i].list);
		box_open(b);
		v = box_view(b, "INBOX", false);
		for (uint32_t s = 1; s <= view_count(v); s++)
			(void)snprintf(
			    uids + strlen(uids), 20, "%u ", view_uid(v, s));
		if (strcmp(uids, cases[i].uids) != 0 ||
		    mailbox_uidnext(view_mailbox(v)) != next ||
		    mailbox_uidvalidity(view_mailbox(v)) != 9)
			fail_msg("case %zu: uids %s next %u: %s", i, uids,
			    mailbox_uidnext(view_mailbox(v)),
			    box_read(b, "dovecot-uidlist"));
		assert_int_equal(count_broken(b), cases[i].is_broken);
		if (cases[i].is_broken) {
			char found[300] = "";
			DIR *d = opendir(b->root);
			struct dirent *e;

			while ((e = readdir(d)) != NULL)
				if (strstr(e->d_name, ".broken.") != NULL)
					(void)snprintf(found, sizeof(found),
					    "%s", e->d_name);
			closedir(d);
			assert_string_equal(box_read(b, found), cases[i].list);
			box_unlink(b, found);
		}
		assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), next);
		list = box_read(b, "dovecot-uidlist");
		assert_int_equal(list[strlen(list) - 1], '\n');
		assert_null(strstr(list, "77 :"));
		view_close(&v);
		box_close(b);
		box_unlink(b, box_find(b, "new", ""));
	}
}

static void
test_d5_no_header(void **state)
{
	struct box *b = *state;
	static const char *const lists[] = {"3 V0 N5\n", "3 V5\n", "",
	    "\x7f\x45LF\1\2\3\n\n\n", "3\n", "9 V5 N5\n", "3 V5 N5" /* torn */};

	box_msg(b, "cur/a:2,");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct view *v;

		box_write(b, "dovecot-uidlist", lists[i]);
		box_open(b);
		v = box_view(b, "INBOX", false);
		assert_int_equal(view_count(v), 1);
		assert_true(mailbox_uidvalidity(view_mailbox(v)) > 1000);
		assert_int_equal(
		    strncmp(box_read(b, "dovecot-uidlist"), "3 V", 3), 0);
		view_close(&v);
		box_close(b);
	}
}

static void
test_d8_d9_twins(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	box_write(b, "dovecot-uidlist", "3 V5 N3 G" GUID "\n1 :x\n2 :y\n");
	box_msg(b, "cur/x:2,S");
	box_msg(b, "cur/y:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	/* D8: another file with the same base. */
	box_write(b, "cur/x:2,FT", "other\n");
	(void)utimensat(AT_FDCWD, box_path(b, "cur/x:2,S"), old, 0);
	(void)box_sync(v, true);
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(view_count(v), 3);
	assert_string_equal(box_flags(v, 1), "S");
	assert_string_equal(box_flags(v, 3), "FTr");
	/* D9: two links; too young to be touched. */
	assert_int_equal(
	    link(box_path(b, "cur/y:2,"), box_path(b, "cur/y:2,S")), 0);
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 3);
	assert_int_equal(box_files(b, "cur"), 4);
	view_close(&v);
}

static void
test_d10_odd_names(void **state)
{
	struct box *b = *state;
	struct view *v;
	const char *found;

	assert_int_equal(mkdir(box_path(b, "cur/subdir"), 0700), 0);
	box_msg(b, "cur/.hid");
	box_msg(b, "cur/with\nlf");
	box_msg(b, "new/:2,S");
	assert_int_equal(mkfifo(box_path(b, "cur/fifo"), 0700), 0);
	assert_int_equal(symlink("/etc/passwd", box_path(b, "cur/link:2,")), 0);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(view_count(v), 1);
	assert_string_equal(box_flags(v, 1), "Sr");
	assert_int_equal(box_files(b, "new"), 0);
	assert_true(box_has(b, "cur/subdir"));
	assert_true(box_has(b, "cur/with\nlf"));
	assert_true(box_has(b, "cur/.hid"));
	found = strrchr(box_read(b, "dovecot-uidlist"), ':');
	assert_true(strstr(found, ".mx1\n") != NULL);
	view_close(&v);
}

static void
test_missing_subdirs_are_made(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_dirs(b, ".Sub");
	assert_int_equal(rmdir(box_path(b, ".Sub/tmp")), 0);
	assert_int_equal(rmdir(box_path(b, ".Sub/new")), 0);
	box_open(b);
	v = box_view(b, "Sub", false);
	assert_int_equal(view_count(v), 0);
	assert_true(box_has(b, ".Sub/tmp"));
	assert_true(box_has(b, ".Sub/new"));
	view_close(&v);
}

static void
test_folder_removed_by_others(void **state)
{
	struct box *b = *state;
	struct view_sink sink = {0};
	struct view *v;
	struct err e;

	box_dirs(b, ".Sub");
	box_msg(b, ".Sub/cur/x:2,");
	box_open(b);
	v = box_view(b, "Sub", false);
	assert_int_equal(
	    file_remove_tree(AT_FDCWD, box_path(b, ".Sub"), &e), 0);
	assert_int_equal(now_view_sync(v, true, &sink, NULL, &e), -1);
	assert_int_equal(e.code, ERR_GONE);
	view_close(&v);
}

static void
open_at(struct box *b, int64_t wall_s)
{
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct view *v;

	(void)utimensat(AT_FDCWD, box_path(b, "tmp"), old, 0);
	clock_set_for_test(-1, wall_s * 1000000);
	box_open(b);
	v = box_view(b, "INBOX", false);
	view_close(&v);
	box_close(b);
	clock_set_for_test(-1, -1);
}

static void
test_d14_tmp_garbage(void **state)
{
	struct box *b = *state;
	int64_t now = clock_wall_s();
	struct timespec ts[2] = {
	    {.tv_sec = now}, {.tv_sec = now, .tv_nsec = UTIME_OMIT}};

	box_write(b, "tmp/file", "x");
	assert_int_equal(mkdir(box_path(b, "tmp/folder"), 0700), 0);
	/* 35 hours later it may still be written to, */
	open_at(b, now + 35 * 3600);
	assert_true(box_has(b, "tmp/file"));
	/* 37 hours later it is garbage; a folder is never ours. */
	open_at(b, now + 37 * 3600);
	assert_false(box_has(b, "tmp/file"));
	assert_true(box_has(b, "tmp/folder"));
	/* Not every time: only when a week has gone by. */
	box_write(b, "tmp/file", "x");
	(void)utimensat(AT_FDCWD, box_path(b, "tmp"), ts, 0);
	clock_set_for_test(-1, (now + 37 * 3600) * 1000000);
	box_open(b);
	view_close(&(struct view *){box_view(b, "INBOX", false)});
	clock_set_for_test(-1, -1);
	assert_true(box_has(b, "tmp/file"));
}

/* ---- keywords beyond the letters ------------------------------------------- */

static void
test_w15_more_than_26_keywords(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;
	char name[20];
	const char *flags;
	uint32_t at = 0;
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	struct set32 one = box_set(1, 1);

	write_m1(b);
	box_unlink(b, "dovecot-keywords");
	box_move(b, "cur/" BASE2 ":2,Fab", "cur/" BASE2 ":2,F");
	box_move(b, "cur/" BASE3 ":2,Rc", "cur/" BASE3 ":2,R");
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "kw%02d", i);
		if (box_store(v, 1, 1, STORE_ADD, 0, name, &e) == -1)
			fail_msg("%s", e.text);
	}
	flags = box_flags(v, 1);
	assert_non_null(strstr(flags, "kw00 kw01"));
	assert_non_null(strstr(flags, "kw25 kw26 kw27 kw28 kw29"));
	assert_true(box_has(b, "cur/" BASE1 ":2,Sabcdefghijklmnopqrstuvwxyz"));
	assert_int_equal(box_store(v, 1, 1, STORE_REMOVE, 0, "kw27", &e), 0);
	assert_int_equal(
	    box_store(v, 2, 2, STORE_ADD, FLAG_SEEN, "kw28", &e), 0);
	(void)at;
	while (
	    view_copy(v, &one, STR("Sent"), false, &job, &r, &e) == STEP_MORE)
		continue;
	copy_job_free(&job);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_non_null(strstr(box_flags(v, 1), "kw25 kw26 kw28 kw29"));
	assert_string_equal(box_flags(v, 2), "FS kw28");
	assert_int_equal(box_store(v, 1, 1, STORE_SET, FLAG_SEEN, NULL, &e), 0);
	assert_string_equal(box_flags(v, 1), "S");
	view_close(&v);
	v = box_view(b, "Sent", false);
	assert_non_null(strstr(box_flags(v, 1), "kw25 kw26 kw28 kw29"));
	view_close(&v);
	set32_done(&r.from);
	set32_done(&r.to);
	set32_done(&one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_m1_header_is_a_lower_bound),
	    T(test_m2_append_goes_on),
	    T(test_m3_gaps_and_extra_fields),
	    T(test_m5_old_versions),
	    T(test_m8_wrong_size_in_name),
	    T(test_counted_sizes_are_kept),
	    T(test_m9_letters),
	    T(test_m9_plain_maildir_letters_are_opaque),
	    T(test_m10_other_infos),
	    T(test_uidl),
	    T(test_w1_w4_changes_from_outside),
	    T(test_two_views),
	    T(test_store_finds_a_renamed_file),
	    T(test_d15_restored_file_gets_a_new_uid),
	    T(test_another_map_with_the_same_inode),
	    T(test_d13_read_only),
	    T(test_examine_changes_nothing),
	    T(test_d2_no_map),
	    T(test_d2_courier_map),
	    T(test_d3_d7_broken_lines),
	    T(test_d5_no_header),
	    T(test_d8_d9_twins),
	    T(test_d10_odd_names),
	    T(test_missing_subdirs_are_made),
	    T(test_folder_removed_by_others),
	    T(test_d14_tmp_garbage),
	    T(test_w15_more_than_26_keywords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
