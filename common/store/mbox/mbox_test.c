/* SPDX-License-Identifier: ISC */
/* mbox_test.c - mailboxes in mbox files, through the store's own calls. */
#include <time.h>
#include <utime.h>

#include "store/location.h"
#include "store/mbox/mbox_impl.h"
#include "tests/lib/test_store.h"

#define F "From a@b Mon Mar  2 10:01:00 2026\n"
#define MSG(n) F "Subject: " n "\nMessage-ID: <" n "@x>\n\nbody " n "\n\n"
#define INBOX_FILE "spool/joe"

static int
setup(void **state)
{
	static struct box b;

	b = (struct box){.location = "mbox:~/mail:INBOX=~/spool/%u"};
	(void)snprintf(b.home, sizeof(b.home), "/tmp/restante-test.XXXXXX");
	assert_non_null(mkdtemp(b.home));
	(void)snprintf(b.root, sizeof(b.root), "%s", b.home);
	assert_int_equal(mkdir(box_path(&b, "spool"), 0700), 0);
	assert_int_equal(mkdir(box_path(&b, "mail"), 0700), 0);
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	box_done(*state);
	return 0;
}

static const char *
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

static uint64_t
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

static void
append_file(struct box *b, const char *rel, const char *text)
{
	FILE *f = fopen(box_path(b, rel), "a");

	assert_non_null(f);
	assert_int_equal(fwrite(text, strlen(text), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

/* ---- reading --------------------------------------------------------------- */

/* B2 of compat-tests.md: as Dovecot leaves a file. */
#define BY_DOVECOT                                                             \
	F "Subject: 1\nX-IMAPbase: 1795300494 0000000003 $Fwd\n"               \
	  "X-UID: 1                      \nStatus: O\nX-Status: AD\n"          \
	  "\nbody\n\n" F                                                       \
	  "Subject: 2\nX-UID: 2          \nStatus: RO\nX-Status: F\n"          \
	  "X-Keywords: $Fwd\n\nbody\n\n" F                                     \
	  "Subject: 3\nX-UID: 3                        \nStatus: O\n"          \
	  "\nbody\n\n"

static void
test_read_dovecot(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, INBOX_FILE, BY_DOVECOT);
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), 3);
	assert_int_equal(view_recent(v), 0);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 1795300494);
	assert_int_equal(mailbox_uidnext(view_mailbox(v)), 4);
	assert_string_equal(box_flags(v, 1), "RT");
	assert_string_equal(box_flags(v, 2), "FS $Fwd");
	assert_string_equal(box_flags(v, 3), "");
	assert_string_equal(text_of(v, 1), "Subject: 1\n\nbody\n");
	assert_string_equal(text_of(v, 2), "Subject: 2\n\nbody\n");
	assert_int_equal(wire_size(v, 3), 20);
	view_close(&v);
	assert_string_equal(box_read(b, INBOX_FILE), BY_DOVECOT);
}

/* U1, U4, U5: by c-client, with its hidden message. */
static void
test_read_uw(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "mail/uw",
	    "From MAILER-DAEMON Sat Nov 21 22:35:51 2026\n"
	    "Subject: DON'T DELETE THIS MESSAGE\n"
	    "X-IMAP: 1795300677 3 kwA\nStatus: RO\n\nThis text\n\n" F
	    "Subject: 1\nStatus: RO\nX-Status: DF\nX-Keywords: kwA           \n"
	    "X-UID: 1\n\nb\n\n" F
	    "Subject: 3\nStatus: O\nX-Status: \nX-Keywords:             \n"
	    "X-UID: 3\n\nb\n\n" F
	    "Status: R\nX-Status: \nX-Keywords:\nSubject: 4\n\nb\n\n");
	box_open(b);
	v = box_view(b, "uw", true);
	assert_int_equal(view_count(v), 3);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 1795300677);
	assert_string_equal(box_flags(v, 1), "FTS kwA");
	assert_string_equal(box_flags(v, 3), "");
	assert_string_equal(box_flags(v, 4), "Sr");
	assert_string_equal(text_of(v, 4), "Subject: 4\n\nb\n");
	view_close(&v);
}

/* U8, B6: X-UID that nobody gave. */
static void
test_forged_uid(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "mail/f",
	    F "X-IMAPbase: 7 0000000001\nX-UID: 1\n\nb\n\n" F
	      "X-UID: 999\nSubject: x\n\nb\n\n" F
	      "X-UID: 2\nSubject: y\n\nb\n\n");
	box_open(b);
	v = box_view(b, "f", true);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), 7);
	assert_string_equal(text_of(v, 2), "Subject: x\n\nb\n");
	assert_string_equal(text_of(v, 3), "Subject: y\n\nb\n");
	/* The next one is taken as it is; one below is not. */
	append_file(b, "mail/f", F "X-UID: 4\nSubject: z\n\nb\n\n");
	append_file(b, "mail/f", F "X-UID: 2\nSubject: q\n\nb\n\n");
	assert_int_equal(now_view_sync(v, true, &(struct view_sink){0}, NULL,
			     &(struct err){0}),
	    0);
	assert_int_equal(view_count(v), 5);
	assert_string_equal(text_of(v, 4), "Subject: z\n\nb\n");
	assert_string_equal(text_of(v, 5), "Subject: q\n\nb\n");
	view_close(&v);
}

static void
sync_now(struct view *v)
{
	struct err e;

	if (now_view_sync(v, true, &(struct view_sink){0}, NULL, &e) == -1)
		fail_msg("view_sync: %s", e.text);
}

/* Messages keep their UIDs when others change, remove or add some. */
static void
test_outside(void **state)
{
	struct box *b = *state;
	struct view *v;
	uint32_t validity;

	box_write(b, INBOX_FILE, MSG("1") MSG("2") MSG("3"));
	box_open(b);
	v = box_view(b, "INBOX", true);
	validity = mailbox_uidvalidity(view_mailbox(v));
	assert_int_equal(view_count(v), 3);
	assert_int_equal(view_recent(v), 3);
	/* Delivery. */
	append_file(b, INBOX_FILE, MSG("4"));
	assert_true(view_has_news(v));
	sync_now(v);
	assert_int_equal(view_count(v), 4);
	assert_non_null(strstr(text_of(v, 4), "Subject: 4\n"));
	/* The first goes, the last gets flags, the headers grow. */
	box_write(b, INBOX_FILE,
	    MSG("2") MSG("3") F "Subject: 4\nMessage-ID: <4@x>\nStatus: RO\n"
				"Lines: 1\n\nbody 4\n\n" MSG("5"));
	sync_now(v);
	assert_int_equal(view_count(v), 4);
	assert_int_equal(view_uid(v, 1), 2);
	assert_int_equal(view_uid(v, 4), 5);
	assert_string_equal(box_flags(v, 4), "Sr");
	assert_non_null(strstr(text_of(v, 4), "Subject: 4\n"));
	assert_non_null(strstr(text_of(v, 5), "Subject: 5\n"));
	/* All go, one comes back under another UID. */
	box_write(b, INBOX_FILE, "");
	sync_now(v);
	assert_int_equal(view_count(v), 0);
	box_write(b, INBOX_FILE, MSG("6"));
	sync_now(v);
	assert_int_equal(view_uid(v, 1), 6);
	assert_int_equal(mailbox_uidvalidity(view_mailbox(v)), validity);
	/* The file itself goes and comes. */
	box_unlink(b, INBOX_FILE);
	sync_now(v);
	assert_int_equal(view_count(v), 0);
	box_write(b, INBOX_FILE, MSG("7"));
	sync_now(v);
	assert_int_equal(view_uid(v, 1), 7);
	view_close(&v);
}

/* Large messages are read in place, also after they have moved. */
static void
test_large_message(void **state)
{
	struct box *b = *state;
	size_t n = 1000000, got, all = 0;
	char *body = malloc(n + 1), *text = malloc(n + 1000), piece[5000];
	struct view *v;
	struct msg *m;
	struct err e;

	for (size_t i = 0; i < n; i++)
		body[i] = i % 71 == 70 ? '\n' : (char)('a' + i % 23);
	body[n] = '\0';
	(void)snprintf(text, n + 1000,
	    MSG("1") F "A: b\nStatus: O\nMessage-ID: <2@x>\n\n%s\n", body);
	box_write(b, "mail/l", text);
	box_open(b);
	v = box_view(b, "l", true);
	assert_int_equal(msg_open(v, 2, &m, &e), 0);
	assert_int_equal(msg_read(m, 0, piece, 8, &got, &e), 0);
	assert_true(got >= 5 && memcmp(piece, "A: b\n", 5) == 0);
	(void)snprintf(text, n + 1000,
	    F "A: b\nX-UID: 9\nMessage-ID: <2@x>\nStatus: RO\n\n%s\n", body);
	box_write(b, "mail/l", text);
	for (uint64_t off = 24;; off += got) {
		assert_int_equal(
		    msg_read(m, off, piece, sizeof(piece), &got, &e), 0);
		if (got == 0)
			break;
		assert_memory_equal(piece, body + all, got);
		all += got;
	}
	assert_int_equal(all, n);
	/* Gone: it ends, with a reason. */
	box_write(b, "mail/l", MSG("3"));
	assert_int_equal(msg_read(m, 0, piece, 8, &got, &e), -1);
	assert_int_equal(e.code, ERR_GONE);
	msg_close(&m);
	view_close(&v);
	free(body);
	free(text);
}

static void
test_not_an_mbox(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;

	box_write(b, "mail/n", "hello\n");
	box_write(b, "mail/e", "");
	assert_int_equal(mkdir(box_path(b, "mail/d"), 0700), 0);
	assert_int_equal(symlink("e", box_path(b, "mail/s")), 0);
	box_open(b);
	assert_int_equal(now_view_open(b->store, STR("n"), false, &v, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(now_view_open(b->store, STR("d"), false, &v, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(now_view_open(b->store, STR("s"), false, &v, &e), -1);
	v = box_view(b, "e", true);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
	assert_string_equal(box_read(b, "mail/n"), "hello\n");
}

/* Two messages of one content, of which one goes. */
static void
test_duplicates(void **state)
{
	struct box *b = *state;
	struct view *v;

	box_write(b, "mail/d", MSG("1") MSG("1") MSG("2"));
	box_open(b);
	v = box_view(b, "d", true);
	assert_int_equal(view_count(v), 3);
	box_write(b, "mail/d", MSG("1") MSG("2"));
	sync_now(v);
	assert_int_equal(view_count(v), 2);
	assert_int_equal(view_uid(v, 1), 1);
	assert_int_equal(view_uid(v, 2), 3);
	view_close(&v);
}

/* ---- names ----------------------------------------------------------------- */

static bool
is_listed(struct box *b, const char *name, unsigned *attrs)
{
	struct mbox_entry *e;
	struct arena a;
	struct err err;
	bool found = false;

	arena_init(&a);
	if (now_list(b->store, false, &a, &e, &err) == -1)
		fail_msg("store_list: %s", err.text);
	for (; e != NULL && !found; e = e->next) {
		found = str_eq(e->name, str_of(name));
		*attrs = e->attrs;
	}
	arena_done(&a);
	return found;
}

/* B18 */
static void
test_list(void **state)
{
	static const struct {
		const char *name;
		bool shown;
	} all[] = {
	    {"INBOX", true},
	    {"ok", true},
	    {"inbox", false},
	    {".hidden", true},
	    {"a.lock", false},
	    {"ok.lock", false},
	    {"notmbox", true},
	    {"empty", true},
	    {"dir", true},
	    {"dir/inner", true},
	    {".imap", false},
	    {".subscriptions", false},
	    {"ok/below", true},
	    {"ok.sbd", false},
	    {"lone.sbd", true},
	    {"uni-\xe6\x97\xa5", true},
	};
	static const char *const files[] = {"ok", "inbox", ".hidden", "a.lock",
	    "ok.lock", "notmbox", "empty", "dir/inner", ".imap/x",
	    ".subscriptions", "ok.sbd/below", "uni-\xe6\x97\xa5"};
	struct box *b = *state;
	unsigned attrs;
	char rel[300];

	assert_int_equal(mkdir(box_path(b, "mail/dir"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, "mail/.imap"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, "mail/ok.sbd"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, "mail/lone.sbd"), 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(rel, sizeof(rel), "mail/%s", files[i]);
		box_write(b, rel, "");
	}
	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (is_listed(b, all[i].name, &attrs) != all[i].shown)
			fail_msg("%s", all[i].name);
	assert_true(is_listed(b, "dir", &attrs));
	assert_true(attrs & MBOX_NOSELECT);
	assert_true(is_listed(b, "ok", &attrs));
	assert_true(attrs & MBOX_HAS_CHILDREN && !(attrs & MBOX_NOSELECT));
}

static void
test_locations(void **state)
{
	struct box *b = *state;
	struct view *v;

	/* Without INBOX=: a file of the root. */
	b->location = "mbox:~/mail";
	box_write(b, "mail/inbox", MSG("1"));
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
	box_close(b);
	/* No root yet; INDEX and CONTROL are not ours to mind. */
	b->location = "mbox:~/fresh:INBOX=~/spool/%u:INDEX=~/x:UTF-8";
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
	assert_true(box_has(b, "fresh"));
	assert_false(box_has(b, INBOX_FILE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_read_dovecot, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_uw, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_forged_uid, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_outside, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_large_message, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_an_mbox, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_list, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_locations, setup, teardown),
	};

	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
