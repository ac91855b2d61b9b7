/* SPDX-License-Identifier: ISC */
/* maildir_test.c - what Dovecot wrote, read and changed (compat-tests.md 1). */
#include "tests/lib/test_store.h"

#define BASE1 "1795300341.M945632P17847.mx1,S=127,W=134"
#define BASE2 "1795300341.M946189P17847.mx1,S=127,W=134"
#define BASE3 "1795300341.M952196P17847.mx1,S=127,W=134"
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_m1_header_is_a_lower_bound, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
