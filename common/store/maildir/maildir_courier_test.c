/* SPDX-License-Identifier: ISC */
/* maildir_courier_test.c - Courier's mail is taken over and given back
 * (compat-tests.md section 7). */
#include "tests/lib/fresh_box.h"

#define NAME1 "1700000001.M1P1.h,S=127"
#define NAME2 "1700000002.M1P1.h"
#define NAME3 "1795300736.M787952P31468V000_2.mx1,S=127"

static void
make_dir(struct box *b, const char *rel)
{
	assert_int_equal(mkdir(box_path(b, rel), 0700), 0);
}

static void
set_time(struct box *b, const char *rel, int64_t s)
{
	struct timespec ts[2] = {{.tv_sec = s}, {.tv_sec = s}};

	assert_int_equal(utimensat(AT_FDCWD, box_path(b, rel), ts, 0), 0);
}

/* The tree of formats.md section 4. */
static void
write_tree(struct box *b)
{
	box_write(b, "courierimapuiddb",
	    "1 795300733 5\n2 " NAME1 "\n3 " NAME2 "\n4 " NAME3 "\n");
	box_write(b, "courierpop3dsizelist",
	    "/3 5 1795300730\n" NAME1 ":2,FS 134 2:1795300730:0\n" NAME2
	    ":2, 134 3:1795300730:0\n" NAME3 ":2, 134 4:1795300730:0\n");
	box_write(b, "courierimapsubscribed",
	    "INBOX.Sent\nINBOX\nINBOX.\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\n"
	    "INBOX.nonexist\n");
	make_dir(b, "courierimapkeywords");
	box_write(b, "courierimapkeywords/:list",
	    "kwOne\n$Two\n\n" NAME1 ":1 0\n" NAME2 ":0\n");
	box_write(b, "courierimapkeywords/.5984336." NAME1, "$Two\nkwOne\n");
	box_write(b, "courierimapkeywords/" NAME1, "$Two\n");
	box_write(b, "courierimapkeywords/.5984336." NAME3, "$Two\n");
	box_write(b, "courierimapkeywords/.5984337." NAME3, "late\n");
	box_msg(b, "cur/" NAME1 ":2,R");
	box_msg(b, "cur/" NAME2 ":2,S");
	box_msg(b, "cur/" NAME3 ":2,F");
	box_dirs(b, ".Sent");
	box_dirs(b, ".\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
	box_write(b, ".Sent/courierimapuiddb", "1 795300740 7\n6 sent\n");
	box_msg(b, ".Sent/cur/sent:2,S");
}

static void
close_view(struct box *b, struct view **v)
{
	view_close(v);
	box_close(b);
}

static void
test_c1_import(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct arena a;
	struct mbox_entry *first;
	struct err e;
	char names[200] = "";

	write_tree(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 795300733);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 5);
	assert_int_equal(view_count(v), 3);
	assert_int_equal(view_uid(v, 1), 2);
	assert_string_equal(box_flags(v, 2), "R $Two");
	assert_string_equal(box_flags(v, 3), "S kwOne");
	assert_string_equal(box_flags(v, 4), "F late");
	assert_true(box_has(b, "cur/" NAME1 ":2,Rb"));
	assert_string_equal(
	    box_read(b, "dovecot-keywords"), "0 kwOne\n1 $Two\n2 late\n");
	assert_true(strstr(box_read(b, "dovecot-uidlist"),
			"\n2 PUID2-1795300730 O1 :" NAME1
			"\n3 PUID3-1795300730 O2 :" NAME2
			"\n4 PUID4-1795300730 O3 :" NAME3 "\n") != NULL);
	assert_true(strncmp(box_read(b, "dovecot-uidlist"), "3 V795300733 N5 G",
			17) == 0);
	view_close(&v);
	v = box_view(b, "Sent", true);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 795300740);
	assert_int_equal(view_uid(v, 1), 6);
	view_close(&v);
	v = box_view(b, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", true);
	view_close(&v);
	arena_init(&a);
	assert_int_equal(now_list(b->store, true, &a, &first, &e), 0);
	for (; first != NULL; first = first->next)
		(void)snprintf(names + strlen(names),
		    sizeof(names) - strlen(names), "%.*s|",
		    STR_ARG(first->name));
	arena_done(&a);
	assert_string_equal(
	    names, "INBOX|Sent|nonexist|\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e|");
	/* In Courier's order and spelling. */
	assert_string_equal(box_read(b, "subscriptions"),
	    "V\t2\n\nSent\nINBOX\n\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\n"
	    "nonexist\n");
}

static void
test_c4_kept_up_to_date(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	write_tree(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, FLAG_SEEN, -1), 5);
	assert_string_equal(box_sync(v, true), "e4 r0 ");
	assert_int_equal(box_store(v, 5, 5, STORE_ADD, 0, "fresh", &e), 0);
	assert_int_equal(box_store(v, 3, 3, STORE_REMOVE, 0, "kwOne", &e), 0);
	assert_true(strncmp(box_read(b, "courierimapuiddb"),
			"1 795300733 6\n2 " NAME1 "\n3 ", 17) == 0);
	assert_true(strstr(box_read(b, "courierimapuiddb"), "\n5 17") != NULL ||
	    strstr(box_read(b, "courierimapuiddb"), "\n5 1") != NULL);
	close_view(b, &v);
	assert_true(
	    strncmp(box_read(b, "courierimapkeywords/:list"),
		"kwOne\n$Two\nlate\nfresh\n\n" NAME1 ":1\n" NAME3 ":2\n",
		70) == 0);
	assert_false(box_has(b, "courierimapkeywords/" NAME1));
	assert_false(box_has(b, "courierimapkeywords/.5984337." NAME3));
	/* Nothing comes back at the next look. */
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 3), "S");
	assert_string_equal(box_flags(v, 5), "S fresh");
	close_view(b, &v);
	/* A folder made by us is one for Courier too. */
	box_open(b);
	assert_int_equal(store_create(b->store, STR("Neu"), &e), 0);
	assert_int_equal(now_subscribe(b->store, STR("Neu"), true, &e), 0);
	assert_int_equal(
	    now_subscribe(b->store, STR("nonexist"), false, &e), 0);
	v = box_view(b, "Neu", false);
	assert_true(
	    strncmp(box_read(b, ".Neu/courierimapuiddb"), "1 ", 2) == 0);
	close_view(b, &v);
	assert_string_equal(box_read(b, "courierimapsubscribed"),
	    "INBOX.Sent\nINBOX\nINBOX.\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\n"
	    "INBOX.Neu\n");
}

/* Courier was used again: its new UIDs, keywords, subscriptions are taken. */
static void
test_c5_courier_in_between(void **state)
{
	struct box *b = *state;
	struct view *v;
	char *list;

	write_tree(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	close_view(b, &v);
	box_msg(b, "cur/1800000000.z.h:2,");
	box_msg(b, "cur/1800000001.y.h:2,");
	box_msg(b, "cur/1700000000.x.h:2,");
	box_msg(b, "new/1600000000.new.h");
	box_write(b, "courierimapuiddb",
	    "1 795300733 9\n2 " NAME1 "\n4 " NAME3
	    "\n5 1800000001.y.h\n7 1800000000.z.h\n8 1700000000.x.h\n");
	box_write(b, "courierimapkeywords/.6000000." NAME2, "$Two\n");
	box_write(b, "courierimapkeywords/" NAME1, "");
	set_time(b, "courierimapkeywords", 1900000000);
	box_write(b, "courierimapsubscribed", "INBOX.Only\n");
	set_time(b, "courierimapsubscribed", 1900000000);
	box_open(b);
	v = box_view(b, "INBOX", false);
	list = mem_strdup(box_read(b, "dovecot-uidlist"));
	assert_true(strstr(list,
			"\n5 :1800000001.y.h\n7 :1800000000.z.h\n"
			"8 :1700000000.x.h\n9 :1600000000.new.h\n") != NULL);
	free(list);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 10);
	assert_string_equal(box_flags(v, 2), "R");
	assert_string_equal(box_flags(v, 3), "S $Two");
	assert_string_equal(box_flags(v, 4), "F late");
	close_view(b, &v);
	assert_true(strstr(box_read(b, "courierimapuiddb"),
			"\n9 1600000000.new.h\n") != NULL);
	box_open(b);
	{
		struct arena a;
		struct mbox_entry *first;
		struct err e;

		arena_init(&a);
		assert_int_equal(now_list(b->store, true, &a, &first, &e), 0);
		assert_true(str_eq(first->name, STR("Only")));
		assert_null(first->next);
		arena_done(&a);
	}
	box_close(b);
}

/* Courier drops the letters of keywords when it changes flags. */
static void
test_letters_come_back(void **state)
{
	struct box *b = *state;
	struct view *v;

	write_tree(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	close_view(b, &v);
	box_move(b, "cur/" NAME1 ":2,Rb", "cur/" NAME1 ":2,FR");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 2), "RF $Two");
	assert_true(box_has(b, "cur/" NAME1 ":2,FRb"));
	close_view(b, &v);
}

/* An UID that Courier gave, and we too, to another message. */
static void
test_c5_conflict(void **state)
{
	struct box *b = *state;
	struct view *v;

	write_tree(b);
	b->courier = "no"; /* taken over, not kept up to date */
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, 0, -1), 5);
	close_view(b, &v);
	assert_true(strncmp(box_read(b, "courierimapuiddb"), "1 795300733 5\n",
			14) == 0);
	box_msg(b, "cur/theirs:2,");
	box_write(b, "courierimapuiddb",
	    "1 795300733 6\n2 " NAME1 "\n3 " NAME2 "\n4 " NAME3 "\n5 theirs\n");
	b->courier = "yes";
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_true(
	    strstr(box_read(b, "dovecot-uidlist"), "\n6 :theirs\n") != NULL);
	assert_int_equal(view_count(v), 5);
	close_view(b, &v);
	b->courier = NULL;
}

static void
test_pop3_only(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "courierpop3dsizelist",
	    "/3 9 17\n1700000005.b.h:2, 134 7:17:0\n"
	    "1700000003.a.h:2,S 134 8:17:0\n1.gone:2, 134 2:17:0\n");
	box_msg(b, "cur/1700000003.a.h:2,S");
	box_msg(b, "cur/1700000005.b.h:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 2);
	assert_true(strstr(box_read(b, "dovecot-uidlist"),
			"\n2 PUID8-17 O2 :1700000003.a.h\n"
			"3 PUID7-17 O1 :1700000005.b.h\n") != NULL);
	close_view(b, &v);
}

static void
test_damaged(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "courierimapuiddb", "what is this\n");
	box_write(b, "courierimapsubscribed", "\xff\xfe\nINBOX.ok\n");
	make_dir(b, "courierimapkeywords");
	box_write(b, "courierimapkeywords/:list", "a b\n\x01\n\n:0\nx:9 9\n");
	box_write(b, "courierimapkeywords/x", "no such\n\nok\n");
	box_msg(b, "cur/x:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 1);
	assert_int_equal(view_uid(v, 1), 1);
	assert_string_equal(box_flags(v, 1), "r ok");
	close_view(b, &v);
}

/* Many files of changes are read in many steps. */
static void
test_many_changes(void **state)
{
	struct box *b = *state;
	int64_t slice = store_slice_ms;
	struct view *v = NULL;
	unsigned n_steps = 0;
	enum step step;
	struct err e;
	char rel[100];

	make_dir(b, "courierimapkeywords");
	box_write(b, "courierimapkeywords/:list", "kwOne\n\n");
	for (unsigned i = 0; i < 640; i++) {
		(void)snprintf(
		    rel, sizeof(rel), "courierimapkeywords/.%u.x%u", i + 1, i);
		box_write(b, rel, "kwOne\n");
	}
	box_msg(b, "cur/x7:2,S");
	box_open(b);
	store_slice_ms = 0;
	while ((step = view_open(b->store, STR("INBOX"), false, &v, &e)) ==
	    STEP_MORE)
		n_steps++;
	store_slice_ms = slice;
	assert_int_equal(step, STEP_DONE);
	assert_true(n_steps > 640 / 20);
	assert_string_equal(box_flags(v, 1), "Sr kwOne");
	close_view(b, &v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_many_changes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_c1_import, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_c4_kept_up_to_date, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_c5_courier_in_between, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_letters_come_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_c5_conflict, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pop3_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	rc |= cmocka_run_group_tests(tests, NULL, NULL);
	/* In the smallest steps. */
	store_slice_ms = 0;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
