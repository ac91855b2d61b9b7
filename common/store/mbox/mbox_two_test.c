/* SPDX-License-Identifier: ISC */
/*
 * mbox_two_test.c - two stores, as of two processes, on one mbox, and another
 * program beside them: what one removes, appends or flags holds for the other,
 * and what another program writes in between is not lost.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/lib/two_boxes.h"

/* As another process that could not see that the first one is 1: it is 7. */
static void
number_anew(struct two *t)
{
	static char text[10000];
	char *p;
	int fd;

	(void)snprintf(text, sizeof(text), "%s", box_read(&t->b, INBOX));
	p = strstr(text, "X-IMAP: ");
	assert_non_null(p);
	p = strchr(p + 8, ' ') + 1;
	memcpy(p, "0000000007", 10);
	p = strstr(text, "X-UID: 1");
	assert_non_null(p);
	p[7] = '7';
	fd = open(box_path(&t->b, INBOX), O_WRONLY | O_CLOEXEC);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/*
 * What is to go has another UID by then, which somebody has written: that is no
 * removal, and must not seem to be one, whether it is met on the way or another
 * session has met it before.
 */
static void
test_expunge_renumbered(UNUSED void **state)
{
	for (int met_before = 0; met_before < 2; met_before++) {
		struct two t;
		struct view *v, *other = NULL;
		struct err e;

		two_begin(&t);
		two_deliver(&t, TEXT("1"));
		v = two_view(&t, 0, false);
		assert_int_equal(view_uid(v, 1), 1);
		number_anew(&t);
		if (met_before) {
			other = two_view(&t, 0, false);
			assert_int_equal(view_uid(other, 1), 7);
		}
		assert_int_equal(two_remove_uid(v, 1, &e), STEP_FAIL);
		assert_int_equal(e.code, ERR_IN_USE);
		assert_non_null(strstr(box_read(&t.b, INBOX), "body 1\n"));
		/* The next time it is known by that UID. */
		(void)box_sync(v, true);
		assert_int_equal(view_uid(v, 1), 7);
		assert_int_equal(two_remove_uid(v, 7, &e), STEP_DONE);
		assert_null(strstr(box_read(&t.b, INBOX), "body 1\n"));
		if (other != NULL)
			view_close(&other);
		view_close(&v);
		two_end(&t);
	}
}

/* A keyword that comes with a message is there once APPEND is acknowledged. */
static void
test_keyword_of_append(UNUSED void **state)
{
	struct two t;
	struct str word = STR("word");
	struct flag_wish wish = {FLAG_FLAGGED, &word, 1};
	struct view *v, *open;
	struct append *a;
	struct set32 uids;
	uint32_t validity;
	struct err e;

	two_begin(&t);
	open = two_view(&t, 0, false); /* so that nothing is written late */
	/* The second time the keyword is known, but a message has no UID. */
	for (unsigned i = 1; i <= 2; i++) {
		if (i == 2)
			two_deliver(&t, TEXT("1"));
		set32_init(&uids);
		if (now_append_begin(t.stores[0], STR("INBOX"), &a, &e) == -1 ||
		    append_message(a, &wish, -1, strlen(TEXT("2")), &e) == -1 ||
		    append_data(a, STR(TEXT("2")), &e) == -1 ||
		    now_append_commit(a, &validity, &uids, &e) == -1)
			fail_msg("%s", e.text);
		assert_int_equal(set32_at(&uids, 1), i == 1 ? 1 : 3);
		append_free(&a);
		set32_done(&uids);
	}
	v = two_view(&t, 1, true);
	assert_int_equal(view_uid(v, 3), 3);
	assert_string_equal(box_flags(v, 3), "Fr word");
	view_close(&v);
	view_close(&open);
	two_end(&t);
}

/* As if neither had seen what the other keeps of the file. */
static void
forget_kept(struct two *t)
{
	char key[MBOX_KEY_BYTES], name[128];

	mbox_key(box_path(&t->b, INBOX), key);
	(void)snprintf(
	    name, sizeof(name), ".local/state/restante/mbox/%s", key);
	box_unlink(&t->b, name);
}

/*
 * Both find no file, or an empty one, for which each thinks of an UIDVALIDITY,
 * and neither has told a client of its own: that of the first who writes is
 * everybody's.
 */
static void
check_both_append_first(bool is_there)
{
	struct two t;
	struct append *a[2];
	struct set32 uids;
	uint32_t validity[2];
	struct err e;

	two_begin(&t);
	box_write(&t.b, INBOX, "");
	if (!is_there)
		box_unlink(&t.b, INBOX);
	for (unsigned i = 0; i < 2; i++) {
		if (now_append_begin(t.stores[i], STR("INBOX"), &a[i], &e) ==
		    -1)
			fail_msg("%s", e.text);
		forget_kept(&t);
	}
	for (unsigned i = 0; i < 2; i++) {
		set32_init(&uids);
		if (append_message(a[i], &(struct flag_wish){0}, -1,
			strlen(TEXT("1")), &e) == -1 ||
		    append_data(a[i], STR(TEXT("1")), &e) == -1 ||
		    now_append_commit(a[i], &validity[i], &uids, &e) == -1)
			fail_msg("%u: %s", i, e.text);
		assert_int_equal(set32_at(&uids, 1), i + 1);
		append_free(&a[i]);
		set32_done(&uids);
	}
	assert_int_equal(validity[0], validity[1]);
	two_end(&t);
}

static void
test_both_append_first(UNUSED void **state)
{
	check_both_append_first(true);
}

static void
test_both_append_first_of_all(UNUSED void **state)
{
	check_both_append_first(false);
}

static void
set_flag(struct view *v, enum store_op op, uint8_t flag, const char *word)
{
	struct err e;

	if (box_store(v, 1, 1, op, flag, word, &e) == -1)
		fail_msg("%s", e.text);
}

/*
 * While somebody has the lock, flags wait in memory. What the other process
 * changes of the same message then is not lost.
 */
static void
test_both_change(UNUSED void **state)
{
	struct two t;
	struct other_mbox o;
	struct view *v[2];
	const char *flags;
	char word[8];

	two_begin(&t);
	two_deliver(&t, TEXT("1"));
	v[0] = two_view(&t, 0, false);
	v[1] = two_view(&t, 1, false);
	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(word, sizeof(word), "k%02u", i);
		set_flag(v[0], STORE_ADD, i == 0 ? FLAG_SEEN : 0, word);
	}
	(void)box_sync(v[1], true);
	assert_true(other_lock(&o, box_path(&t.b, INBOX), false));
	set_flag(v[0], STORE_ADD, FLAG_FLAGGED, "k30");
	set_flag(v[0], STORE_REMOVE, FLAG_SEEN, "k27");
	set_flag(v[0], STORE_REMOVE, 0, "k03");
	other_unlock(&o);
	set_flag(v[1], STORE_ADD, FLAG_ANSWERED, "k31");
	set_flag(v[1], STORE_REMOVE, 0, "k28");
	set_flag(v[1], STORE_REMOVE, 0, "k04");
	view_close(&v[0]);
	mailbox_close_idle(t.stores[0], true);
	(void)box_sync(v[1], true);
	flags = box_flags(v[1], 1);
	assert_int_equal(strncmp(flags, "RFr k00 k01 k02 k05", 19), 0);
	assert_non_null(strstr(flags, " k26"));
	assert_non_null(strstr(flags, " k29"));
	assert_non_null(strstr(flags, " k30"));
	assert_non_null(strstr(flags, " k31"));
	assert_null(strstr(flags, " k27"));
	assert_null(strstr(flags, " k28"));
	view_close(&v[1]);
	two_end(&t);
}

/*
 * Another program has made headers longer, within the same tick of the clock as
 * our last look, so that the file's stamp tells nothing: what we write of them
 * must not end in their middle.
 */
static void
check_longer_within_the_tick(bool poll_only)
{
	struct two t;
	struct other_mbox o;
	struct view *v;
	struct mbox *mb;
	struct stat st;
	const char *text;

	two_begin_as(&t, poll_only);
	two_deliver(&t, TEXT("1"));
	two_deliver(&t, TEXT("2"));
	v = two_view(&t, 0, false);
	set_flag(v, STORE_ADD, FLAG_SEEN, NULL);
	assert_true(other_lock(&o, box_path(&t.b, INBOX), false));
	other_load(&o);
	for (size_t i = 0; i < o.n; i++)
		other_set_field(&o.v[i], "X-Keywords", "                    ");
	other_save(&o, false);
	other_unlock(&o);
	mb = mbox_of(view_mailbox(v));
	assert_int_equal(stat(box_path(&t.b, INBOX), &st), 0);
	mb->stamp = file_stamp_of(&st);
	mb->scanned_us = mbox_changed_us(&mb->stamp) + 10 * MBOX_RACY_US;
	set_flag(v, STORE_ADD, FLAG_ANSWERED, NULL);
	view_close(&v);
	mailbox_close_idle(t.stores[0], true);
	/* Each header line is one, and there is one UID for each. */
	text = box_read(&t.b, INBOX);
	assert_null(strstr(text, "\n    "));
	assert_non_null(strstr(text, "X-UID: 2"));
	assert_null(strstr(strstr(text, "X-UID: 2") + 1, "X-UID: 2"));
	v = two_view(&t, 1, false);
	assert_string_equal(box_flags(v, 1), "RS");
	assert_int_equal(view_uid(v, 2), 2);
	view_close(&v);
	two_end(&t);
}

static void
test_longer_within_the_tick(UNUSED void **state)
{
	check_longer_within_the_tick(true);
	check_longer_within_the_tick(false);
}

/* inotify says whether the times have to be doubted. */
static void
test_quiet(UNUSED void **state)
{
	struct two t;
	struct other_mbox o;
	struct view *v;
	struct mailbox *m;

	two_begin_as(&t, false);
	two_deliver(&t, TEXT("1"));
	v = two_view(&t, 0, false);
	m = view_mailbox(v);
	/* What was read when nobody watched. */
	(void)box_sync(v, true);
	two_deliver(&t, TEXT("2"));
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 2);
	assert_true(mbox_is_quiet(m));
	set_flag(v, STORE_ADD, FLAG_SEEN, NULL);
	assert_true(mbox_is_quiet(m));
	assert_true(other_lock(&o, box_path(&t.b, INBOX), false));
	other_load(&o);
	other_save(&o, false);
	other_unlock(&o);
	assert_false(mbox_is_quiet(m));
	(void)box_sync(v, true);
	view_close(&v);
	two_end(&t);
	two_begin_as(&t, true);
	two_deliver(&t, TEXT("1"));
	v = two_view(&t, 0, false);
	(void)box_sync(v, true);
	assert_false(mbox_is_quiet(view_mailbox(v)));
	view_close(&v);
	two_end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_expunge_renumbered),
	    cmocka_unit_test(test_keyword_of_append),
	    cmocka_unit_test(test_both_append_first),
	    cmocka_unit_test(test_both_append_first_of_all),
	    cmocka_unit_test(test_both_change),
	    cmocka_unit_test(test_longer_within_the_tick),
	    cmocka_unit_test(test_quiet),
	};

	log_set_level(LOG_LEVEL_FATAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
