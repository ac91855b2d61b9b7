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

/* A large file that grows: only the tail is read; a new session looks again. */
static void
test_tail(void **state)
{
	struct box *b = *state;
	size_t n = 3 * 1024 * 1024;
	char *text = malloc(n + 1000), *at;
	struct view *v, *w;

	memcpy(text, F "Subject: 1\nStatus: O  \n\n",
	    sizeof(F "Subject: 1\nStatus: O  \n\n") - 1);
	at = text + sizeof(F "Subject: 1\nStatus: O  \n\n") - 1;
	memset(at, 'x', n);
	memcpy(at + n, "\n\n" MSG("2"), sizeof("\n\n" MSG("2")));
	box_write(b, "mail/t", text);
	box_open(b);
	v = box_view(b, "t", true);
	assert_int_equal(view_count(v), 2);
	/* Flagged in its place by somebody, then mail comes. */
	at = strstr(text, "Status: O");
	memcpy(at, "Status: RO", 10);
	box_write(b, "mail/t", text);
	append_file(b, "mail/t", MSG("3"));
	sync_now(v);
	assert_int_equal(view_count(v), 3);
	assert_non_null(strstr(text_of(v, 3), "body 3\n"));
	/* Nobody has asked for flags before. */
	assert_int_equal(view_mailbox(v)->unsure_top, 2);
	assert_string_equal(box_flags(v, 3), "r");
	assert_int_equal(view_mailbox(v)->unsure_top, 2);
	w = box_view(b, "t", true);
	assert_string_equal(box_flags(w, 1), "S");
	assert_string_equal(box_flags(v, 1), "S");
	assert_int_equal(view_mailbox(v)->unsure_top, 0);
	view_close(&v);
	view_close(&w);
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

/* ---- writing --------------------------------------------------------------- */

static void
store_flags(struct view *v, uint32_t first, uint32_t last, enum store_op op,
    uint8_t flags, const char *keyword)
{
	struct err e;

	if (box_store(v, first, last, op, flags, keyword, &e) == -1)
		fail_msg("store: %s", e.text);
}

static void
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

static uint32_t
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
test_folders(void **state)
{
	static const char *const good[] = {"a", "a/b", "a/b/c", "x.y *%",
	    "M\xc3\xbcll", "d/e/f", "cur", "A&B"};
	static const char *const bad[] = {"", "/x", "a//b", "../x", "x/../y",
	    "~x", "x.lock", ".imap", ".subscriptions", "inbox/.."};
	struct box *b = *state;
	struct view *v;
	unsigned attrs;
	struct err e;

	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (store_create(b->store, str_of(good[i]), &e) == -1)
			fail_msg("%s: %s", good[i], e.text);
		assert_true(is_listed(b, good[i], &attrs));
		v = box_view(b, good[i], false);
		assert_int_equal(view_count(v), 0);
		view_close(&v);
		assert_int_equal(append(b, good[i], "A: b\n\nx\n", 0, NULL), 1);
		assert_int_equal(
		    store_create(b->store, str_of(good[i]), &e), -1);
		assert_int_equal(e.code, ERR_EXISTS);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
		    store_create(b->store, str_of(bad[i]), &e), -1);
	assert_true(box_has(b, "mail/a.sbd/b.sbd/c"));
	/* With all that is below. */
	assert_int_equal(now_rename(b->store, STR("a"), STR("n/m"), &e), 0);
	assert_true(is_listed(b, "n/m/b/c", &attrs));
	assert_false(is_listed(b, "a", &attrs));
	v = box_view(b, "n/m/b", true);
	assert_int_equal(view_count(v), 1);
	view_close(&v);
	assert_int_equal(now_rename(b->store, STR("n"), STR("d"), &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(now_delete(b->store, STR("n/m/b/c"), &e), 0);
	assert_int_equal(now_delete(b->store, STR("n/m/b"), &e), 0);
	assert_int_equal(now_delete(b->store, STR("n/m"), &e), 0);
	assert_false(is_listed(b, "n/m", &attrs));
	assert_int_equal(now_delete(b->store, STR("n/m"), &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(now_delete(b->store, STR("d"), &e), -1);
	/* Again, under another identity. */
	assert_int_equal(store_create(b->store, STR("n/m"), &e), 0);
	v = box_view(b, "n/m", true);
	assert_int_equal(view_count(v), 0);
	view_close(&v);
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
	    cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_an_mbox, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_flags_in_place, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_first_contact, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_append, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_append_large, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_expunge, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_expunge_race, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_copy_move, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_two, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rename_inbox, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_folders, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_list, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_locations, setup, teardown),
	};

	int rc;

	(void)setenv("TZ", "UTC", 1);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	rc |= cmocka_run_group_tests(tests, NULL, NULL);
	/* And one thing at a time in each step. */
	store_slice_ms = 0;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
