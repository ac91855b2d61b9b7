/* SPDX-License-Identifier: ISC */
/* mbox_save_test.c - flags, new messages, removal, through the store's own calls. */
#include <time.h>

#include "tests/lib/test_store.h"

#include "store/mbox/mbox_test.h"

/* B3: in the spaces, nothing moves, the second of the time changes. */
static void
test_flags_in_place(void **state)
{
	struct box *b = *state;
	struct stat before, after;
	struct view *v;

	box_write(b, INBOX_FILE, BY_DOVECOT);
	assert_int_equal(stat(box_path(b, INBOX_FILE), &before), 0);
	box_open(b);
	v = box_view(b, "INBOX", false);
	store_flags(v, 3, 3, STORE_ADD, FLAG_SEEN, NULL);
	assert_int_equal(stat(box_path(b, INBOX_FILE), &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_true(after.st_mtim.tv_sec != before.st_mtim.tv_sec);
	assert_non_null(
	    strstr(box_read(b, INBOX_FILE), "\nStatus: RO\n\nbody\n\n"));
	/* Again, at once. */
	before = after;
	store_flags(v, 3, 3, STORE_REMOVE, FLAG_SEEN, NULL);
	assert_int_equal(stat(box_path(b, INBOX_FILE), &after), 0);
	assert_true(after.st_mtim.tv_sec != before.st_mtim.tv_sec);
	view_close(&v);
	box_close(b);
	assert_string_equal(box_read(b, INBOX_FILE), BY_DOVECOT);
}

/* B1: identity, written when the last session ends. */
static void
test_first_contact(void **state)
{
	struct box *b = *state;
	struct mailbox_status status;
	char expected[3000];
	struct view *v;
	struct err e;
	uint32_t validity;

	box_write(b, INBOX_FILE, MSG("1") MSG("2"));
	box_open(b);
	assert_int_equal(
	    now_status(b->store, STR("INBOX"), false, &status, &e), 0);
	assert_int_equal(status.messages, 2);
	box_close(b);
	(void)snprintf(expected, sizeof(expected),
	    F "Subject: 1\nMessage-ID: <1@x>\nX-IMAPbase: %u 0000000002\n"
	      "X-UID: 1%50s\n\nbody 1\n\n" F
	      "Subject: 2\nMessage-ID: <2@x>\nX-UID: 2%50s\n\nbody 2\n\n",
	    status.uidvalidity, "", "");
	assert_string_equal(box_read(b, INBOX_FILE), expected);
	/* A session takes \Recent; the file says so when it ends. */
	box_open(b);
	v = box_view(b, "INBOX", false);
	validity = mailbox_uidvalidity(view_mailbox(v));
	assert_int_equal(validity, status.uidvalidity);
	assert_int_equal(view_recent(v), 2);
	assert_string_equal(box_read(b, INBOX_FILE), expected);
	view_close(&v);
	(void)snprintf(expected, sizeof(expected),
	    F "Subject: 1\nMessage-ID: <1@x>\nX-IMAPbase: %u 0000000002\n"
	      "X-UID: 1%40s\nStatus: O\n\nbody 1\n\n" F
	      "Subject: 2\nMessage-ID: <2@x>\nX-UID: 2%40s\nStatus: O\n\n"
	      "body 2\n\n",
	    status.uidvalidity, "", "");
	assert_string_equal(box_read(b, INBOX_FILE), expected);
}

/* B7, B8, and flags of all kinds; another process reads them. */
static void
test_flags(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "mail/f",
	    MSG("1") F "Status: ROAz\nX-Status: q\nSubject: 2\n\nb\n\n" F
		       "Subject: 3\nX-Keywords: nobody\n\nb\n\n");
	box_open(b);
	v = box_view(b, "f", false);
	assert_string_equal(box_flags(v, 2), "RS");
	assert_string_equal(box_flags(v, 3), "r");
	store_flags(v, 1, 2, STORE_ADD, FLAG_FLAGGED | FLAG_DRAFT, "$Fwd");
	store_flags(v, 3, 3, STORE_SET, FLAG_DELETED, "two");
	for (int i = 0; i < 40; i++) {
		char name[20];

		(void)snprintf(name, sizeof(name), "kw%d", i);
		store_flags(v, 3, 3, STORE_ADD, 0, name);
	}
	view_close(&v);
	box_close(b);
	assert_non_null(strstr(box_read(b, "mail/f"),
	    "Status: ROz\nX-Status: AFTq\nX-Keywords: $Fwd"));
	assert_null(strstr(box_read(b, "mail/f"), "nobody"));
	box_open(b);
	v = box_view(b, "f", false);
	assert_string_equal(box_flags(v, 1), "FD $Fwd");
	assert_string_equal(box_flags(v, 2), "RFSD $Fwd");
	assert_non_null(strstr(box_flags(v, 3), "T two kw0"));
	assert_non_null(strstr(box_flags(v, 3), " kw39"));
	assert_string_equal(text_of(v, 3), "Subject: 3\n\nb\n");
	view_close(&v);
}

/* B9 */
static void
test_append(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "mail/a", "");
	box_open(b);
	assert_int_equal(append(b, "a",
			     "Message-ID: <m1@example.org>\r\nStatus: A\r\n"
			     "From x\r\nX-UID: 77\r\n folded\r\n\r\n"
			     "line\r\nFrom the start\r\n>From quoted\r\n"
			     "From x 2026\r\n",
			     FLAG_SEEN | FLAG_FLAGGED, "foo"),
	    1);
	assert_int_equal(append(b, "a", "A: b", 0, NULL), 2);
	assert_int_equal(append(b, "a", "A: b\n\nx", 0, NULL), 3);
	v = box_view(b, "a", true);
	assert_int_equal(view_count(v), 3);
	assert_string_equal(box_flags(v, 1), "FSr foo");
	assert_string_equal(text_of(v, 1),
	    "Message-ID: <m1@example.org>\n\nline\nFrom the start\n"
	    ">From quoted\n>From x 2026\n");
	assert_string_equal(text_of(v, 2), "A: b\n\n");
	assert_string_equal(text_of(v, 3), "A: b\n\nx");
	view_close(&v);
	assert_non_null(strstr(box_read(b, "mail/a"),
	    "From joe@mx1  Tue Mar 10 10:00:00 2026\n"
	    "Message-ID: <m1@example.org>\n"));
	assert_non_null(strstr(box_read(b, "mail/a"),
	    "\nX-UID: 1\nStatus: R\nX-Status: F\nX-Keywords: foo   "));
	assert_non_null(
	    strstr(box_read(b, "mail/a"), "\nContent-Length: 46\n\nline\n"));
	assert_non_null(strstr(box_read(b, "mail/a"), " 0000000003 foo\n"));
	/* No last LF: one comes before. B14. */
	box_close(b);
	box_write(b, "mail/n", F "Subject: 1\n\nb1");
	box_open(b);
	assert_int_equal(append(b, "n", "A: b\n\nx\n", 0, NULL), 2);
	v = box_view(b, "n", true);
	assert_string_equal(text_of(v, 1), "Subject: 1\n\nb1");
	assert_string_equal(text_of(v, 2), "A: b\n\nx\n");
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "n", true);
	assert_int_equal(view_count(v), 2);
	assert_string_equal(text_of(v, 2), "A: b\n\nx\n");
	view_close(&v);
}

/* A message larger than what is staged in memory. */
static void
test_append_large(void **state)
{
	struct box *b = *state;
	size_t n = 3 * 1024 * 1024;
	char *text = malloc(n + 100);
	struct view *v;

	memcpy(text, "A: b\n\n", 6);
	memset(text + 6, 'x', n);
	for (size_t i = 6; i < n; i += 90)
		text[i] = '\n';
	text[n] = '\0';
	box_write(b, "mail/a", MSG("1"));
	box_open(b);
	assert_int_equal(append(b, "a", text, FLAG_SEEN, NULL), 2);
	v = box_view(b, "a", false);
	assert_int_equal(view_count(v), 2);
	assert_int_equal(wire_size(v, 2), n + (n - 6 + 89) / 90 + 2);
	view_close(&v);
	free(text);
}

/* B5, B10, B21: what is left is right, and the identity stays. */
static void
test_expunge(void **state)
{
	struct box *b = *state;
	struct stat before, after;
	struct view *v;
	uint32_t validity;

	box_write(b, INBOX_FILE, MSG("1") MSG("2") MSG("3") MSG("4"));
	assert_int_equal(chmod(box_path(b, INBOX_FILE), 0660), 0);
	assert_int_equal(stat(box_path(b, INBOX_FILE), &before), 0);
	box_open(b);
	v = box_view(b, "INBOX", false);
	validity = mailbox_uidvalidity(view_mailbox(v));
	store_flags(v, 1, 1, STORE_ADD, FLAG_DELETED, NULL);
	store_flags(v, 3, 3, STORE_ADD, FLAG_DELETED, NULL);
	expunge(v);
	assert_int_equal(view_count(v), 2);
	assert_int_equal(view_uid(v, 1), 2);
	assert_non_null(strstr(text_of(v, 2), "body 2\n"));
	assert_non_null(strstr(text_of(v, 4), "body 4\n"));
	assert_null(strstr(box_read(b, INBOX_FILE), "body 1\n"));
	/* Mail comes, and the rest goes. */
	append_file(b, INBOX_FILE, MSG("5"));
	sync_now(v);
	assert_int_equal(view_count(v), 3);
	store_flags(v, 2, 5, STORE_ADD, FLAG_DELETED, NULL);
	expunge(v);
	assert_int_equal(view_count(v), 0);
	assert_non_null(strstr(box_read(b, INBOX_FILE), " 0000000005\n"));
	assert_non_null(strstr(box_read(b, INBOX_FILE), "X-IMAP: "));
	assert_int_equal(append(b, "INBOX", "A: b\n\nx\n", 0, NULL), 6);
	sync_now(v);
	assert_int_equal(view_uid(v, 1), 6);
	view_close(&v);
	box_close(b);
	assert_non_null(strstr(box_read(b, INBOX_FILE), " 0000000006\n"));
	assert_int_equal(stat(box_path(b, INBOX_FILE), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mode, after.st_mode);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), validity);
	assert_int_equal(view_uid(v, 1), 6);
	store_flags(v, 6, 6, STORE_ADD, FLAG_DELETED, NULL);
	expunge(v);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 7);
	view_close(&v);
}

/* Somebody takes \Deleted back, or flags, before we look. */
static void
test_expunge_race(void **state)
{
	struct box *b = *state;
	struct view *v;
	char *at;
	static char text[3000];

	box_write(b, INBOX_FILE, BY_DOVECOT);
	box_open(b);
	v = box_view(b, "INBOX", false);
	(void)snprintf(text, sizeof(text), "%s", BY_DOVECOT);
	at = strstr(text, "X-Status: AD");
	memcpy(at, "X-Status: AF", 12);
	box_write(b, INBOX_FILE, text);
	expunge(v);
	assert_int_equal(view_count(v), 3);
	assert_string_equal(box_flags(v, 1), "RF");
	view_close(&v);
}

static void
test_copy_move(void **state)
{
	struct box *b = *state;
	struct set32 s = box_set(1, 2);
	struct copy_result r = {0};
	struct copy_job *job = NULL;
	struct view *v, *to;
	enum step step;
	struct err e;

	box_write(b, INBOX_FILE,
	    F "Content-Length: 36\nSubject: 1\n\nFrom a 2026\n" MSG("1") F
	    "Subject: 2\nStatus: RO\n\nb\n\n");
	box_open(b);
	assert_int_equal(store_create(b->store, STR("to"), &e), 0);
	v = box_view(b, "INBOX", false);
	store_flags(v, 1, 1, STORE_ADD, FLAG_FLAGGED, "kw");
	do
		step = view_copy(v, &s, STR("to"), true, &job, &r, &e);
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	copy_job_free(&job);
	to = box_view(b, "to", false);
	assert_int_equal(view_count(to), 2);
	assert_int_equal(set32_at(&r.to, 2), 2);
	assert_string_equal(box_flags(to, 1), "Fr kw");
	assert_non_null(strstr(text_of(to, 1), "\n\nFrom a 2026"));
	view_close(&to);
	view_close(&v);
	set32_done(&s);
	set32_done(&r.from);
	set32_done(&r.to);
}

/* Two processes at once, both with news the other does not know. */
static void
test_two(void **state)
{
	struct box *b = *state, other;
	struct view *v, *w;

	box_write(b, INBOX_FILE, MSG("1") MSG("2") MSG("3"));
	box_open(b);
	v = box_view(b, "INBOX", false);
	store_flags(v, 1, 1, STORE_ADD, FLAG_SEEN, NULL);
	other = *b;
	box_open(&other);
	w = box_view(&other, "INBOX", false);
	assert_int_equal(view_count(w), 3);
	assert_string_equal(box_flags(w, 1), "S");
	store_flags(w, 2, 2, STORE_ADD, FLAG_DELETED, NULL);
	expunge(w);
	sync_now(v);
	assert_int_equal(view_count(v), 2);
	assert_int_equal(view_uid(v, 2), 3);
	store_flags(v, 3, 3, STORE_ADD, FLAG_ANSWERED, NULL);
	assert_int_equal(append(&other, "INBOX", "A: b\n\nx\n", 0, NULL), 4);
	sync_now(v);
	sync_now(w);
	assert_string_equal(box_flags(w, 3), "R");
	assert_int_equal(view_uid(v, 3), 4);
	view_close(&v);
	view_close(&w);
	store_close(&other.store);
}

/* B20 */
static void
test_rename_inbox(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	box_write(b, INBOX_FILE, MSG("1") MSG("2"));
	box_open(b);
	assert_int_equal(now_rename(b->store, STR("INBOX"), STR("old"), &e), 0);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
	v = box_view(b, "old", true);
	assert_int_equal(view_count(v), 2);
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_flags_in_place),
	    T(test_first_contact),
	    T(test_flags),
	    T(test_append),
	    T(test_append_large),
	    T(test_expunge),
	    T(test_expunge_race),
	    T(test_copy_move),
	    T(test_two),
	    T(test_rename_inbox),
	};

	return run_all(tests, ARRAY_LEN(tests));
}
