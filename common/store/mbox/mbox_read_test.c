/* SPDX-License-Identifier: ISC */
/* mbox_read_test.c - what others have left in mbox files, and UIDs for it. */
#include <time.h>
#include <utime.h>

#include "tests/lib/test_store.h"

#include "store/mbox/mbox_test.h"

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
	box_write(b, "mail/x", "*mbx*\r\n6b034d0c00000000\r\n");
	box_write(b, "mail/e", "");
	assert_int_equal(mkdir(box_path(b, "mail/d"), 0700), 0);
	assert_int_equal(symlink("e", box_path(b, "mail/s")), 0);
	box_open(b);
	assert_int_equal(now_view_open(b->store, STR("n"), false, &v, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(now_view_open(b->store, STR("x"), false, &v, &e), -1);
	assert_int_equal(e.code, ERR_FORMAT);
	assert_non_null(strstr(e.text, "UW-IMAP's mbx format"));
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

/*
 * CPU time, in clock ticks, for another program's rewriting of so many messages;
 * `alike`: all have the same content.
 */
static clock_t
rewrite_time(struct box *b, unsigned n, bool alike)
{
	const char *name = alike ? "alike" : "various";
	struct view *v;
	struct buf t;
	clock_t began;
	char file[32];

	buf_init(&t, SIZE_MAX / 2);
	(void)buf_add_c(&t, F "Subject: first\n\nbody\n\n");
	for (unsigned i = 1; i <= n; i++)
		(void)buf_addf(
		    &t, F "Subject: %06u\n\nbody\n\n", alike ? 1 : i);
	(void)buf_add_byte(&t, '\0');
	(void)snprintf(file, sizeof(file), "mail/%s", name);
	box_write(b, file, strstr(t.p + 1, F));
	box_open(b);
	v = box_view(b, name, true);
	assert_int_equal(view_count(v), n);
	box_write(b, file, t.p);
	began = clock();
	(void)box_sync(v, true);
	began = clock() - began;
	/* Nothing else is new. */
	assert_int_equal(view_count(v), n + 1);
	assert_int_equal(view_uid(v, n), n);
	assert_int_equal(view_uid(v, n + 1), n + 1);
	view_close(&v);
	box_close(b);
	buf_done(&t);
	return began;
}

/* Each was compared with all. */
static void
test_many_alike(void **state)
{
	struct box *b = *state;
	clock_t alike = rewrite_time(b, 4000, true);

	assert_true(alike < 6 * rewrite_time(b, 4000, false) + 10000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_read_dovecot),
	    T(test_read_uw),
	    T(test_forged_uid),
	    T(test_outside),
	    T(test_large_message),
	    T(test_tail),
	    T(test_not_an_mbox),
	    T(test_duplicates),
	    T(test_many_alike),
	};

	return run_all(tests, ARRAY_LEN(tests));
}
