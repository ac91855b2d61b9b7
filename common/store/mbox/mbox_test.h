/* SPDX-License-Identifier: ISC */
/* mbox_test.h - a fresh place for mbox files, and what tests do with it. */
#ifndef STORE_MBOX_TEST_H
#define STORE_MBOX_TEST_H

#include "store/mbox/mbox_impl.h"

#define F "From a@b Mon Mar  2 10:01:00 2026\n"
#define MSG(n) F "Subject: " n "\nMessage-ID: <" n "@x>\n\nbody " n "\n\n"
#define INBOX_FILE "spool/joe"

/* B2 of compat-tests.md: as Dovecot leaves a file. */
#define BY_DOVECOT                                                             \
	F "Subject: 1\nX-IMAPbase: 1795300494 0000000003 $Fwd\n"               \
	  "X-UID: 1                      \nStatus: O\nX-Status: AD\n"          \
	  "\nbody\n\n" F                                                       \
	  "Subject: 2\nX-UID: 2          \nStatus: RO\nX-Status: F\n"          \
	  "X-Keywords: $Fwd\n\nbody\n\n" F                                     \
	  "Subject: 3\nX-UID: 3                        \nStatus: O\n"          \
	  "\nbody\n\n"

static int
setup(void **state)
{
	static struct box b;

	box_init_mbox_in(&b, "/tmp");
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	box_done(*state);
	return 0;
}

static UNUSED const char *
text_of(struct view *v, uint32_t uid)
{
	static char text[100000];
	struct msg *m;
	struct err e;
	uint64_t wire;
	size_t n = 0, got;

	if (msg_open(v, uid, &m, &e) == -1)
		fail_msg("msg_open %u: %s", uid, e.text);
	do {
		if (msg_read(m, n, text + n, 7, &got, &e) == -1)
			fail_msg("msg_read %u: %s", uid, e.text);
		n += got;
	} while (got > 0);
	text[n] = '\0';
	assert_int_equal(msg_size(m, &wire, &e), 0);
	assert_int_equal(wire, n);
	msg_close(&m);
	return text;
}

static UNUSED uint64_t
wire_size(struct view *v, uint32_t uid)
{
	struct msg *m;
	struct err e;
	uint64_t n;

	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	assert_int_equal(msg_wire_size(m, &n, &e), 0);
	msg_close(&m);
	return n;
}

static UNUSED void
append_file(struct box *b, const char *rel, const char *text)
{
	FILE *f = fopen(box_path(b, rel), "a");

	assert_non_null(f);
	assert_int_equal(fwrite(text, strlen(text), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

static UNUSED void
sync_now(struct view *v)
{
	struct err e;

	if (now_view_sync(v, true, &(struct view_sink){0}, NULL, &e) == -1)
		fail_msg("view_sync: %s", e.text);
}

static UNUSED void
store_flags(struct view *v, uint32_t first, uint32_t last, enum store_op op,
    uint8_t flags, const char *keyword)
{
	struct err e;

	if (box_store(v, first, last, op, flags, keyword, &e) == -1)
		fail_msg("store: %s", e.text);
}

static UNUSED void
expunge(struct view *v)
{
	enum step step;
	uint32_t at = 0;
	struct err e;

	do
		step = view_expunge(v, NULL, &at, &e);
	while (step == STEP_MORE);
	if (step == STEP_FAIL)
		fail_msg("expunge: %s", e.text);
	sync_now(v);
}

static UNUSED uint32_t
append(struct box *b, const char *name, const char *text, uint8_t flags,
    const char *keyword)
{
	struct str kw = str_of(keyword);
	struct flag_wish w = {flags, &kw, keyword != NULL};
	struct set32 uids;
	struct append *a;
	struct err e;
	uint32_t validity, uid;

	set32_init(&uids);
	if (now_append_begin(b->store, str_of(name), &a, &e) == -1 ||
	    append_message(a, &w, 1773136800, strlen(text), &e) == -1 ||
	    append_data(a, str_of(text), &e) == -1 ||
	    now_append_commit(a, &validity, &uids, &e) == -1)
		fail_msg("append: %s", e.text);
	append_free(&a);
	uid = set32_at(&uids, 1);
	set32_done(&uids);
	return uid;
}

/* With and without an index, and one thing at a time in each step. */
static UNUSED int
run_all(const struct CMUnitTest *tests, size_t n)
{
	int rc;

	(void)setenv("TZ", "UTC", 1);
	rc = _cmocka_run_group_tests("plain", tests, n, NULL, NULL);
	box_all_with_index = true;
	rc |= _cmocka_run_group_tests("with an index", tests, n, NULL, NULL);
	store_slice_ms = 0;
	return rc | _cmocka_run_group_tests("in steps", tests, n, NULL, NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
