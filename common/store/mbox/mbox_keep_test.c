/* SPDX-License-Identifier: ISC */
/*
 * mbox_keep_test.c - what is kept of mbox mailboxes beside their files: their
 * identity while a file does not say it, and flags that wait to be written.
 */
#include <sys/wait.h>

#include "base/log.h"
#include "store/mbox/mbox_impl.h"
#include "tests/lib/test_store.h"
#include "tests/lib/unread.h"

#define F "From a@b Mon Mar  2 10:01:00 2026\n"
#define MSG(n) F "Subject: " n "\nMessage-ID: <" n "@x>\n\nbody " n "\n\n"
#define KNOWN(n, more)                                                         \
	F "Subject: " n "\nMessage-ID: <" n "@x>\n" more "X-UID: " n           \
	  "\nStatus: O\n\nbody " n "\n\n"
#define INBOX "spool/joe"

static int
setup(void **state)
{
	static struct box b;

	box_init_mbox_in(&b, "/tmp");
	b.poll_only = true;
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	box_done(*state);
	return 0;
}

/* UIDVALIDITY of a mailbox as a new process sees it. */
static uint32_t
validity_of(struct box *b, const char *name, uint32_t *uidnext, char guid[33])
{
	struct view *v;
	uint32_t validity;

	box_open(b);
	v = box_view(b, name, true);
	validity = mailbox_uidvalidity(view_mailbox(v));
	*uidnext = mailbox_uidnext(view_mailbox(v));
	(void)snprintf(guid, 33, "%s", mailbox_guid(view_mailbox(v)));
	view_close(&v);
	box_close(b);
	return validity;
}

/* A client was told of it: it stays until the first mail, and with that. */
static void
test_empty_inbox(void **state)
{
	struct box *b = *state;
	char guid[33], again[33];
	uint32_t next, first = validity_of(b, "INBOX", &next, guid);

	assert_int_equal(strlen(guid), 32);
	/* A second later another one would be made. */
	(void)usleep(1100000);
	assert_int_equal(validity_of(b, "INBOX", &next, again), first);
	assert_string_equal(again, guid);
	box_write(b, INBOX, "");
	assert_int_equal(validity_of(b, "INBOX", &next, again), first);
	box_write(b, INBOX, MSG("1") MSG("2"));
	assert_int_equal(validity_of(b, "INBOX", &next, again), first);
	assert_int_equal(next, 3);
	/* The file is removed, as some programs do when all was read. */
	box_unlink(b, INBOX);
	assert_int_equal(validity_of(b, "INBOX", &next, again), first);
	assert_int_equal(next, 3);
	box_write(b, INBOX, MSG("3"));
	assert_int_equal(validity_of(b, "INBOX", &next, again), first);
	assert_int_equal(next, 4);
	assert_string_equal(again, guid);
}

/* Another program removes the first message, and X-IMAPbase with it. */
static void
test_lost_base(void **state)
{
	struct box *b = *state;
	uint32_t next;
	char guid[33];
	struct view *v;

	box_write(b, "mail/w",
	    KNOWN("1", "X-IMAPbase: 77 0000000003\n") KNOWN("2", "")
		KNOWN("3", ""));
	assert_int_equal(validity_of(b, "w", &next, guid), 77);
	box_write(b, "mail/w", KNOWN("2", "") KNOWN("3", "") MSG("4"));
	assert_int_equal(validity_of(b, "w", &next, guid), 77);
	box_open(b);
	v = box_view(b, "w", true);
	assert_int_equal(view_uid(v, 1), 2);
	assert_int_equal(view_uid(v, 2), 3);
	assert_int_equal(view_uid(v, 3), 4);
	view_close(&v);
	assert_non_null(
	    strstr(box_read(b, "mail/w"), "X-IMAPbase: 77 0000000004\n"));
}

/* What is kept and can not be read just now is not missing. */
static void
test_unread(void **state)
{
	struct box *b = *state;
	uint32_t next, first;
	char guid[33], key[MBOX_KEY_BYTES], path[160];
	struct view *v;
	struct err e;

	first = validity_of(b, "INBOX", &next, guid);
	(void)snprintf(path, sizeof(path), "%s", box_path(b, INBOX));
	mbox_key(path, key);
	(void)usleep(1100000);
	box_open(b);
	no_open = key;
	assert_int_equal(
	    now_view_open(b->store, STR("INBOX"), true, &v, &e), -1);
	no_open = NULL;
	box_close(b);
	assert_int_equal(validity_of(b, "INBOX", &next, guid), first);
}

static void
test_rename_and_remove(void **state)
{
	struct box *b = *state;
	char guid[33], again[33], other[33];
	uint32_t next, first;
	struct err e;

	box_write(b, "mail/a", KNOWN("1", "X-IMAPbase: 77 0000000001\n"));
	assert_int_equal(mkdir(box_path(b, "mail/.imap"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, "mail/.imap/a"), 0700), 0);
	box_write(b, "mail/.imap/a/dovecot.index.log", "x");
	first = validity_of(b, "a", &next, guid);
	box_open(b);
	assert_int_equal(now_rename(b->store, STR("a"), STR("d/b"), &e), 0);
	box_close(b);
	assert_false(box_has(b, "mail/.imap/a"));
	assert_int_equal(validity_of(b, "d/b", &next, again), first);
	assert_string_equal(again, guid);
	/* A new one of the old name is another one. */
	box_write(b, "mail/a", KNOWN("1", "X-IMAPbase: 78 0000000001\n"));
	(void)validity_of(b, "a", &next, other);
	assert_string_not_equal(other, guid);
	/* With a level above it. */
	box_open(b);
	assert_int_equal(now_rename(b->store, STR("d"), STR("e"), &e), 0);
	box_close(b);
	(void)validity_of(b, "e/b", &next, again);
	assert_string_equal(again, guid);
	assert_true(box_has(b, "mail/e/.imap/b/dovecot.index.log"));
	box_open(b);
	assert_int_equal(now_delete(b->store, STR("e/b"), &e), 0);
	box_close(b);
	assert_false(box_has(b, "mail/e/.imap/b"));
	box_write(b, "mail/e/b", KNOWN("1", "X-IMAPbase: 77 0000000001\n"));
	(void)validity_of(b, "e/b", &next, again);
	assert_string_not_equal(again, guid);
}

/* ---- flags ----------------------------------------------------------------- */

/* A session that is then killed stores flags while somebody has the lock. */
static void
store_and_die(struct box *b)
{
	struct view *v;
	int status;
	pid_t pid;

	box_write(b, INBOX,
	    KNOWN("1", "X-IMAPbase: 77 0000000002 old\nX-Keywords: old\n")
		KNOWN("2", ""));
	box_write(b, INBOX ".lock", "1:elsewhere");
	pid = fork();
	if (pid == 0) {
		struct err e;

		log_set_level(LOG_LEVEL_FATAL);
		box_open(b);
		v = box_view(b, "INBOX", false);
		if (box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, "new", &e) ==
			-1 ||
		    box_store(v, 1, 1, STORE_REMOVE, 0, "old", &e) == -1 ||
		    box_store(v, 2, 2, STORE_ADD, FLAG_ANSWERED, NULL, &e) ==
			-1)
			_exit(1);
		_exit(0); /* as if killed: nothing is closed */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_null(strstr(box_read(b, INBOX), "X-Status: F"));
	box_unlink(b, INBOX ".lock");
}

/* The next one has them, with what another program has done meanwhile. */
static void
test_killed(void **state)
{
	struct box *b = *state;
	struct view *v;

	store_and_die(b);
	/* Read by another program, and something comes. */
	box_write(b, INBOX,
	    KNOWN("1",
		"X-IMAPbase: 77 0000000002 old\nX-Keywords: old\n"
		"X-Status: D\n") KNOWN("2", "") MSG("3"));
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 1), "FT new");
	assert_string_equal(box_flags(v, 2), "R");
	view_close(&v);
	box_close(b);
	assert_non_null(strstr(box_read(b, INBOX), "X-Status: A\n"));
	/* And is not said twice. */
	box_write(b, INBOX,
	    KNOWN("1", "X-IMAPbase: 77 0000000003 old\n") KNOWN("2", ""));
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 1), "");
	assert_string_equal(box_flags(v, 2), "");
	view_close(&v);
}

/* What can not be read just now is not thrown away. */
static void
test_unread_flags(void **state)
{
	struct box *b = *state;
	struct dirent *d;
	char name[64] = "";
	struct view *v;
	struct err e;
	DIR *dir;

	store_and_die(b);
	dir = opendir(box_path(b, ".local/state/restante/mbox-flags"));
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.')
			(void)snprintf(name, sizeof(name), "%.60s", d->d_name);
	closedir(dir);
	assert_true(name[0] != '\0');
	no_open = name;
	box_open(b);
	assert_int_equal(
	    now_view_open(b->store, STR("INBOX"), false, &v, &e), -1);
	no_open = NULL;
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 1), "F new");
	assert_string_equal(box_flags(v, 2), "R");
	view_close(&v);
}

/* Any bytes in such a file change no other message. */
static void
test_damaged(void **state)
{
	static const char *const texts[] = {
	    "",
	    "restante-flags 1 78\n1 0 -00 +02\n",
	    "restante-flags 1 77\n1 0 -00 +02\n",
	    "restante-flags 1 77\n9 0 -00 +02\n",
	    "restante-flags 1 77\n1 zz -00 +02\n",
	    "restante-flags 1 77\n1\n\n \n-\n",
	    "restante-flags 1 77\n1 0 -00 +02 +a",
	    "restante-flags 2 77\n",
	};
	struct box *b = *state;
	struct view *v;

	box_write(b, INBOX, KNOWN("1", "X-IMAPbase: 77 0000000001\n"));
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		mbox_pending_take(view_mailbox(v), str_of(texts[i]));
		assert_string_equal(box_flags(v, 1), "");
	}
	view_close(&v);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_empty_inbox),
	    T(test_lost_base),
	    T(test_unread),
	    T(test_rename_and_remove),
	    T(test_killed),
	    T(test_unread_flags),
	    T(test_damaged),
	};

	log_set_level(LOG_LEVEL_ERROR);
	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
