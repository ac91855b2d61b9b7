/* SPDX-License-Identifier: ISC */
/* maildir_test.c - what Dovecot wrote, read and changed (compat-tests.md 1). */

#include "tests/lib/fresh_box.h"

#include "store/maildir/maildir_test.h"
#include "store/rights.h"

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

/*
 * Who may not change keywords keeps those that there are, also when the message is
 * renamed, and sets of keywords are read anew, in the middle of it.
 */
static void
test_more_keywords_stay(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;
	char name[20], to[100];
	FILE *f;

	write_m1(b);
	box_unlink(b, "dovecot-keywords");
	box_move(b, "cur/" BASE1 ":2,S", "cur/" BASE1 ":2,");
	box_move(b, "cur/" BASE2 ":2,Fab", "cur/" BASE2 ":2,F");
	box_move(b, "cur/" BASE3 ":2,Rc", "cur/" BASE3 ":2,R");
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "kw%02d", i);
		if (box_store(v, 1, 1, STORE_ADD, 0, name, &e) == -1)
			fail_msg("%s", e.text);
	}
	f = fopen(box_path(b, "restante-keywords"), "a");
	assert_non_null(f);
	for (int i = 0; i < 500; i++)
		assert_true(fprintf(f, "m %d,29 " BASE2 "\n", 26 + i % 3) > 0);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(
	    to, sizeof(to), "%s", box_find(b, "cur", "1795300341.M945632"));
	box_move(b, to, "cur/" BASE1 ":2,Fabcdefghijklmnopqrstuvwxyz");
	view_mailbox(v)->rights =
	    ACL_LOOKUP | ACL_READ | ACL_SEEN | ACL_DELETED;
	if (box_store(v, 1, 1, STORE_SET, FLAG_SEEN, NULL, &e) == -1)
		fail_msg("%s", e.text);
	assert_non_null(strstr(box_flags(v, 1), "S"));
	assert_non_null(strstr(box_flags(v, 1), "kw00 kw01"));
	assert_non_null(strstr(box_flags(v, 1), "kw25 kw26 kw27 kw28 kw29"));
	view_close(&v);
}

/* An APPEND that is broken off leaves no keyword behind. */
static void
test_append_that_is_broken_off(void **state)
{
	struct box *b = *state;
	struct str names[] = {STR("new1"), STR("new2")};
	const struct flag_wish w = {0, names, 2};
	struct view *v;
	struct append *a;
	struct set32 uids;
	uint32_t validity;
	struct err e;

	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(now_append_begin(b->store, STR("INBOX"), &a, &e), 0);
	assert_int_equal(append_message(a, &w, -1, 100, &e), 0);
	assert_int_equal(append_data(a, STR("A: b\n"), &e), 0);
	append_free(&a);
	assert_string_equal(box_sync(v, true), "");
	assert_int_equal(mailbox_keyword_count(view_mailbox(v)), 0);
	assert_false(box_has(b, "dovecot-keywords"));
	set32_init(&uids);
	assert_int_equal(now_append_begin(b->store, STR("INBOX"), &a, &e), 0);
	assert_int_equal(append_message(a, &w, -1, 5, &e), 0);
	assert_int_equal(append_data(a, STR("A: b\n"), &e), 0);
	assert_int_equal(now_append_commit(a, &validity, &uids, &e), 0);
	append_free(&a);
	assert_string_equal(box_sync(v, true), "k0 e1 r0 ");
	assert_string_equal(box_flags(v, 1), " new1 new2");
	assert_string_equal(
	    box_read(b, "dovecot-keywords"), "0 new1\n1 new2\n");
	set32_done(&uids);
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_m1_header_is_a_lower_bound),
	    T(test_m2_append_goes_on),
	    T(test_m3_gaps_and_extra_fields),
	    T(test_m5_old_versions),
	    T(test_m9_letters),
	    T(test_m9_plain_maildir_letters_are_opaque),
	    T(test_m10_other_infos),
	    T(test_uidl),
	    T(test_w15_more_than_26_keywords),
	    T(test_more_keywords_stay),
	    T(test_append_that_is_broken_off),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
