/* SPDX-License-Identifier: ISC */
/*
 * mbox_crash_test.c - every operation is killed before each of its system
 * calls, in the midst of its writes, also once more while that is mended, and
 * each call is made to fail or to do half; then mail comes, and a new process
 * looks what is left.
 *
 * Messages have one letter each, by which they are known again: 1 to 5 are in
 * INBOX, a and b in Other; n and o are appended, m and M delivered. Always:
 *  1. none is lost, none is there twice in one mailbox, none is torn;
 *  2. each has the UID that it had, no UID is given twice, UIDVALIDITY stays;
 *  3. what was acknowledged is there, what failed left nothing;
 *  4. flags and keywords that nobody changed are as they were.
 *
 * With RESTANTE_CRASH_STATES the files that are left are kept in that folder,
 * for Dovecot to look at (tests/e2e/test_crash_states.py).
 */
#include "tests/lib/faults.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/mbox/mbox_impl.h"
#include "tests/lib/other_mbox.h"

#define F "From a@b Mon Mar  2 10:01:00 2026\n"
#define NAMED(n) F "Subject: " n "\nMessage-ID: <" n "@x>\n"
#define MSG(n) NAMED(n) "\nbody " n "\n\n"
#define KNOWN(n, uid, more)                                                    \
	NAMED(n) more "X-UID: " uid "          \nStatus: O\n\nbody " n "\n\n"
#define MARKED(n, uid)                                                         \
	NAMED(n)                                                               \
	"X-UID: " uid "     \nStatus: RO\nX-Status: A\n"                       \
	"X-Keywords: word\n\nbody " n "\n\n"
#define SPACES100                                                              \
	"                                                                  "   \
	"                                  "
/* What goes with it makes room for the fields of all others. */
#define WIDE(n)                                                                \
	NAMED(n)                                                               \
	"X-Status: " SPACES100 SPACES100 SPACES100 SPACES100 SPACES100         \
	    SPACES100 SPACES100 SPACES100 SPACES100 SPACES100 SPACES100        \
	"\n\nbody " n "\n\n"
#define PSEUDO                                                                 \
	"From MAILER_DAEMON  Sat Nov 21 22:35:51 2026\n"                       \
	"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"         \
	"X-IMAP: 9 0000000000\nStatus: RO\n\nThis text is internal.\n\n"
#define INBOX "spool/joe"

/* ---- operations ------------------------------------------------------------ */

enum fill {
	FILL_KNOWN, /* all but the last have their UIDs, 4 was the last one */
	FILL_FRESH, /* nothing of ours in it */
	FILL_EMPTY, /* nothing in it */
	FILL_UNSAID, /* fresh, and UIDs wait until they must be written */
};

/* What the child says; shared memory. */
struct said {
	bool acked;
	unsigned calls;
	unsigned kinds[ARRAY_LEN(fault_kinds)];
	uint32_t uids[128]; /* by letter: as the client was told */
	uint32_t told[6]; /* of 1 to 5 before it; [0]: their UIDVALIDITY */
};

static struct said *said;

static int
append_letters(struct box *b, const char *letters, struct err *e)
{
	struct flag_wish w = {.system = FLAG_SEEN};
	struct set32 uids;
	struct append *a;
	uint32_t validity;
	char text[100];
	int rc = 0;

	set32_init(&uids);
	if (now_append_begin(b->store, STR("INBOX"), &a, e) == -1)
		return -1;
	for (const char *l = letters; *l != '\0' && rc == 0; l++) {
		(void)snprintf(text, sizeof(text),
		    "Subject: %c\r\nMessage-ID: <%c@x>\r\n\r\nbody %c\r\n", *l,
		    *l, *l);
		rc = append_message(a, &w, 5000, strlen(text), e);
		if (rc == 0)
			rc = append_data(a, str_of(text), e);
	}
	if (rc == 0)
		rc = now_append_commit(a, &validity, &uids, e);
	for (unsigned i = 0; rc == 0 && letters[i] != '\0'; i++)
		said->uids[(unsigned char)letters[i]] = set32_at(&uids, i + 1);
	append_free(&a);
	set32_done(&uids);
	return rc;
}

static int
op_append(struct box *b, struct err *e)
{
	return append_letters(b, "n", e);
}

static int
op_append_two(struct box *b, struct err *e)
{
	return append_letters(b, "no", e);
}

/* RFC 8508: the old one goes when the new one is there. */
static int
op_replace(struct box *b, struct err *e)
{
	struct view *v;
	struct set32 one;
	uint32_t at = 0;
	enum step step = STEP_FAIL;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	set32_init(&one);
	set32_add(&one, 2);
	if (append_letters(b, "n", e) == 0)
		while ((step = view_remove(v, &one, &at, e)) == STEP_MORE)
			store_pause(b->store);
	set32_done(&one);
	view_close(&v);
	return step == STEP_DONE ? 0 : -1;
}

static int
store_and_expunge(struct box *b, uint32_t first, uint32_t last, struct err *e)
{
	struct view *v;
	uint32_t at = 0;
	enum step step = STEP_FAIL;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	for (uint32_t seq = 1; seq <= view_count(v) && seq <= 5; seq++)
		said->told[seq] = view_uid(v, seq);
	said->told[0] = mailbox_uidvalidity(view_mailbox(v));
	if (box_store(v, first, last, STORE_ADD, FLAG_DELETED, NULL, e) == 0)
		while ((step = view_expunge(v, NULL, &at, e)) == STEP_MORE)
			store_pause(b->store);
	view_close(&v);
	return step == STEP_DONE ? 0 : -1;
}

static int
op_expunge_first(struct box *b, struct err *e)
{
	return store_and_expunge(b, 1, 1, e);
}

static int
op_expunge_two(struct box *b, struct err *e)
{
	return store_and_expunge(b, 2, 3, e);
}

static int
op_expunge_last(struct box *b, struct err *e)
{
	return store_and_expunge(b, 5, 5, e);
}

static int
op_expunge_all(struct box *b, struct err *e)
{
	return store_and_expunge(b, 1, 5, e);
}

static int
op_flags(struct box *b, struct err *e)
{
	struct view *v;
	int rc;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	rc = box_store(v, 1, 5, STORE_ADD, FLAG_FLAGGED, "keyword", e);
	view_close(&v);
	/* Said when the last writer has left, not before. */
	store_close(&b->store);
	return rc;
}

static int
op_open(struct box *b, struct err *e)
{
	struct view *v;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	view_close(&v);
	store_close(&b->store);
	return 0;
}

static int
copy_some(
    struct box *b, uint32_t first, uint32_t last, bool move, struct err *e)
{
	struct set32 uids = box_set(first, last);
	struct copy_result r = {0};
	struct copy_job *job = NULL;
	struct view *v;
	enum step step;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	while ((step = view_copy(v, &uids, STR("Other"), move, &job, &r, e)) ==
	    STEP_MORE)
		store_pause(b->store);
	copy_job_free(&job);
	view_close(&v);
	set32_done(&uids);
	set32_done(&r.from);
	set32_done(&r.to);
	return step == STEP_DONE ? 0 : -1;
}

static int
op_copy(struct box *b, struct err *e)
{
	return copy_some(b, 2, 3, false, e);
}

static int
op_move(struct box *b, struct err *e)
{
	return copy_some(b, 2, 3, true, e);
}

static int
op_move_all(struct box *b, struct err *e)
{
	return copy_some(b, 1, 5, true, e);
}

static int
op_rename(struct box *b, struct err *e)
{
	return now_rename(b->store, STR("Other"), STR("New"), e);
}

static int
op_rename_inbox(struct box *b, struct err *e)
{
	return now_rename(b->store, STR("INBOX"), STR("New"), e);
}

static int
op_create(struct box *b, struct err *e)
{
	return store_create(b->store, STR("New"), e);
}

struct op {
	const char *name;
	int (*fn)(struct box *b, struct err *e);
	enum fill inbox, other;
	const char *gone; /* may leave INBOX, must if acknowledged */
	const char *adds; /* may come to INBOX */
	const char *others; /* may come to Other, or with `makes` to New */
	bool makes; /* New; Other becomes it, but for INBOX's messages */
};

static const struct op ops[] = {
    {"append", op_append, FILL_KNOWN, FILL_KNOWN, "", "n", "", false},
    {"append two", op_append_two, FILL_KNOWN, FILL_KNOWN, "", "no", "", false},
    {"append, fresh", op_append, FILL_FRESH, FILL_KNOWN, "", "n", "", false},
    {"append, empty", op_append, FILL_EMPTY, FILL_KNOWN, "", "n", "", false},
    {"expunge first", op_expunge_first, FILL_KNOWN, FILL_KNOWN, "1", "", "",
	false},
    {"expunge first, fresh", op_expunge_first, FILL_FRESH, FILL_KNOWN, "1", "",
	"", false},
    {"expunge first, unsaid", op_expunge_first, FILL_UNSAID, FILL_KNOWN, "1",
	"", "", false},
    {"expunge two, unsaid", op_expunge_two, FILL_UNSAID, FILL_KNOWN, "23", "",
	"", false},
    {"expunge two", op_expunge_two, FILL_KNOWN, FILL_KNOWN, "23", "", "",
	false},
    {"expunge last", op_expunge_last, FILL_KNOWN, FILL_KNOWN, "5", "", "",
	false},
    {"expunge all", op_expunge_all, FILL_KNOWN, FILL_KNOWN, "12345", "", "",
	false},
    {"replace", op_replace, FILL_KNOWN, FILL_KNOWN, "2", "n", "", false},
    {"flags", op_flags, FILL_KNOWN, FILL_KNOWN, "", "", "", false},
    {"flags, fresh", op_flags, FILL_FRESH, FILL_KNOWN, "", "", "", false},
    {"open, fresh", op_open, FILL_FRESH, FILL_KNOWN, "", "", "", false},
    {"copy", op_copy, FILL_KNOWN, FILL_KNOWN, "", "", "23", false},
    {"copy, to fresh", op_copy, FILL_KNOWN, FILL_FRESH, "", "", "23", false},
    {"copy, to empty", op_copy, FILL_KNOWN, FILL_EMPTY, "", "", "23", false},
    {"move", op_move, FILL_KNOWN, FILL_KNOWN, "23", "", "23", false},
    {"move all", op_move_all, FILL_KNOWN, FILL_KNOWN, "12345", "", "12345",
	false},
    {"rename", op_rename, FILL_KNOWN, FILL_KNOWN, "", "", "ab", true},
    {"rename INBOX", op_rename_inbox, FILL_KNOWN, FILL_KNOWN, "12345", "",
	"12345", true},
    {"create", op_create, FILL_KNOWN, FILL_KNOWN, "", "", "", true},
};

/* ---- before it ------------------------------------------------------------- */

static void
remove_if_there(const struct box *b, const char *rel)
{
	if (unlink(box_path(b, rel)) == -1)
		assert_int_equal(errno, ENOENT);
}

static void
fill(struct box *b, const struct op *op)
{
	static const char *const inbox[] = {
	    KNOWN("1", "1", "X-IMAPbase: 7 0000000004 word\n") KNOWN(
		"2", "2", "") MARKED("3", "3") KNOWN("4", "4", "") MSG("5"),
	    MSG("1") MSG("2") MSG("3") MSG("4") MSG("5"),
	    "",
	    WIDE("1") MSG("2") WIDE("3") MSG("4") MSG("5"),
	};
	static const char *const other[] = {
	    KNOWN("a", "1", "X-IMAPbase: 9 0000000002\n") KNOWN("b", "2", ""),
	    MSG("a") MSG("b"),
	    PSEUDO,
	};
	struct err e;

	mbox_tuning.eager_bytes = op->inbox == FILL_UNSAID ? 0 : 1024 * 1024;

	if (file_remove_tree(AT_FDCWD, box_path(b, ".local"), &e) == -1 ||
	    file_remove_tree(AT_FDCWD, box_path(b, "index"), &e) == -1)
		fail_msg("%s", e.text);
	box_write(b, INBOX, inbox[op->inbox]);
	box_write(b, "mail/Other", other[op->other]);
	remove_if_there(b, "mail/New");
}

/* Locks left behind look as if they were older. */
static void
remove_locks(const struct box *b)
{
	static const char *const dirs[] = {"spool", "mail"};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		DIR *d = opendir(box_path(b, dirs[i]));
		struct dirent *e;

		assert_non_null(d);
		while ((e = readdir(d)) != NULL)
			if (strstr(e->d_name, ".lock") != NULL)
				assert_int_equal(
				    unlinkat(dirfd(d), e->d_name, 0), 0);
		closedir(d);
	}
}

/* Returns whether it was killed. */
static bool
run_child(int (*fn)(struct box *b, struct err *e), struct box *b)
{
	struct err e;
	pid_t pid;
	int status;

	*said = (struct said){0};
	pid = fork();
	if (pid == 0) {
		box_open(b);
		fault_calls = 0;
		faults_are_armed = true;
		said->acked = fn(b, &e) == 0;
		if (fault == FAULT_NONE || fault == FAULT_KILL ||
		    fault == FAULT_HALF)
			store_close(&b->store);
		faults_are_armed = false;
		said->calls = fault_calls;
		memcpy(said->kinds, fault_kinds, sizeof(fault_kinds));
		store_close(&b->store);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(
	    WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FAULT_EXIT);
	remove_locks(b);
	return WEXITSTATUS(status) != 0;
}

static void
deliver(struct box *b, const char *text)
{
	FILE *f = fopen(box_path(b, INBOX), "a");

	assert_non_null(f);
	assert_int_equal(fwrite(text, strlen(text), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

/* ---- after it -------------------------------------------------------------- */

/* How often a letter is there, and its UID. */
struct found {
	unsigned n[128];
	uint32_t uid[128];
	uint32_t validity, uidnext;
	bool exists;
};

static unsigned char
letter_of(struct view *v, uint32_t uid, const char *where)
{
	char text[300], expected[100];
	struct msg *m;
	size_t got;
	struct err e;

	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	if (msg_read(m, 0, text, sizeof(text), &got, &e) == -1)
		fail_msg("%s: %s", where, e.text);
	msg_close(&m);
	assert_true(got > 10);
	(void)snprintf(expected, sizeof(expected),
	    "Subject: %c\nMessage-ID: <%c@x>\n\nbody %c\n", text[9], text[9],
	    text[9]);
	if (!str_eq(str_make(text, got), str_of(expected)))
		fail_msg(
		    "%s: uid %u is torn: %.*s", where, uid, (int)got, text);
	return (unsigned char)text[9];
}

/* 4 */
static void
check_marks(struct view *v, uint32_t uid, unsigned char letter,
    const struct op *op, const char *where)
{
	const char *flags = box_flags(v, uid);
	bool may_be_flagged = op->fn == op_flags;

	if (op->inbox != FILL_KNOWN || letter > '5' || letter < '1')
		return;
	if (letter == '3' &&
	    (strchr(flags, 'R') == NULL || strchr(flags, 'S') == NULL ||
		strstr(flags, " word") == NULL))
		fail_msg("%s: 3 has lost flags: %s", where, flags);
	if (letter != '3' &&
	    (strchr(flags, 'R') != NULL || strstr(flags, " word") != NULL))
		fail_msg("%s: %c has flags: %s", where, letter, flags);
	if (!may_be_flagged && strchr(flags, 'F') != NULL)
		fail_msg("%s: %c has flags: %s", where, letter, flags);
	if (may_be_flagged && said->acked && strstr(flags, " keyword") == NULL)
		fail_msg("%s: %c has lost flags: %s", where, letter, flags);
}

static void
look(struct box *b, const char *name, struct found *out, const struct op *op,
    const char *where)
{
	struct view *v;
	struct err e;

	*out = (struct found){0};
	if (now_view_open(b->store, str_of(name), false, &v, &e) == -1) {
		if (e.code != ERR_NOT_FOUND)
			fail_msg("%s: %s: %s", where, name, e.text);
		return;
	}
	out->exists = true;
	out->validity = mailbox_uidvalidity(view_mailbox(v));
	out->uidnext = mailbox_uidnext(view_mailbox(v));
	for (uint32_t seq = 1; seq <= view_count(v); seq++) {
		uint32_t uid = view_uid(v, seq);
		unsigned char letter = letter_of(v, uid, where);

		if (out->n[letter]++ > 0)
			fail_msg("%s: %c is twice in %s", where, letter, name);
		out->uid[letter] = uid;
		if (said->uids[letter] != 0 && said->uids[letter] != uid)
			fail_msg("%s: %c has uid %u, not %u", where, letter,
			    uid, said->uids[letter]);
		check_marks(v, uid, letter, op, where);
		for (unsigned i = 1;
		     i <= 5 && str_eq(str_of(name), STR("INBOX")); i++)
			if (said->told[i] == uid && letter != '0' + i &&
			    said->told[0] == out->validity)
				fail_msg("%s: %c has the uid of %u", where,
				    letter, i);
	}
	view_close(&v);
}

struct state {
	struct found inbox, other, new;
};

/* Where a message must be, or may. */
static void
check_letter(
    const struct op *op, const struct state *s, char letter, const char *where)
{
	unsigned l = (unsigned char)letter;
	bool may_go = strchr(op->gone, letter) != NULL;
	bool may_come = strchr(op->others, letter) != NULL;
	bool is_copied =
	    may_come && (op->makes ? s->new.n[l] : s->other.n[l]) > 0;
	bool is_copy = may_come && !may_go;

	if (s->inbox.n[l] == 0 && !may_go)
		fail_msg("%s: %c is lost", where, letter);
	if (s->inbox.n[l] == 0 && may_come && !is_copied)
		fail_msg("%s: %c is lost on its way", where, letter);
	if (s->inbox.n[l] > 0 && may_go && said->acked)
		fail_msg("%s: %c is back", where, letter);
	if (may_come && !is_copied && said->acked)
		fail_msg("%s: %c has not come", where, letter);
	if (is_copy && is_copied && !said->acked && fault == FAULT_ERROR)
		fail_msg("%s: %c was copied, and it failed", where, letter);
	if (s->inbox.n[l] > 0 && op->inbox == FILL_KNOWN &&
	    s->inbox.uid[l] != l - '0')
		fail_msg("%s: %c has uid %u", where, letter, s->inbox.uid[l]);
	if (is_copied && op->other == FILL_KNOWN && !op->makes &&
	    s->other.uid[l] < 3)
		fail_msg("%s: %c has the uid of another", where, letter);
}

static void
check_other(const struct op *op, const struct state *s, const char *where)
{
	bool moves = op->fn == op_rename;

	for (char l = 'a'; l <= 'b' && op->other != FILL_EMPTY; l++) {
		const struct found *f =
		    moves && s->new.exists ? &s->new : &s->other;
		unsigned i = (unsigned char)l;

		if (f->n[i] == 0)
			fail_msg("%s: %c is lost", where, l);
		if (op->other == FILL_KNOWN &&
		    (f->uid[i] != i - 'a' + 1 || f->validity != 9))
			fail_msg("%s: %c has uid %u of %u", where, l, f->uid[i],
			    f->validity);
	}
	if (op->other == FILL_EMPTY && s->other.validity != 9)
		fail_msg("%s: another UIDVALIDITY of Other", where);
	if (said->acked && op->makes && !s->new.exists)
		fail_msg("%s: New is not there", where);
	if (s->new.exists && (!op->makes || (moves && s->other.exists)))
		fail_msg("%s: New is there", where);
	if (!s->other.exists && !(moves && s->new.exists))
		fail_msg("%s: Other is not there", where);
}

static void
check(struct box *b, const struct op *op, const char *mail, const char *where)
{
	struct state s;

	look(b, "INBOX", &s.inbox, op, where);
	look(b, "Other", &s.other, op, where);
	look(b, "New", &s.new, op, where);
	if (op->inbox == FILL_KNOWN &&
	    (s.inbox.validity != 7 || s.inbox.uidnext < 6))
		fail_msg("%s: UIDVALIDITY %u, UIDNEXT %u", where,
		    s.inbox.validity, s.inbox.uidnext);
	for (char l = '1'; l <= '5' && op->inbox != FILL_EMPTY; l++)
		check_letter(op, &s, l, where);
	for (const char *l = "no"; *l != '\0'; l++) {
		unsigned n = s.inbox.n[(unsigned char)*l];
		bool may_come = strchr(op->adds, *l) != NULL;

		if (n == 0 && may_come && said->acked)
			fail_msg("%s: what was acknowledged is lost", where);
		if (n > 0 && !may_come)
			fail_msg("%s: a message from nowhere", where);
		if (n > 0 && !said->acked && fault == FAULT_ERROR &&
		    op->fn != op_replace)
			fail_msg("%s: it failed, and is there", where);
	}
	if (op->fn == op_replace && s.inbox.n['2'] == 0 && s.inbox.n['n'] == 0)
		fail_msg("%s: neither the old nor the new one", where);
	if (s.inbox.n['n'] != s.inbox.n['o'] && strlen(op->adds) == 2)
		fail_msg("%s: half of what was appended", where);
	for (const char *l = mail; *l != '\0'; l++)
		if (s.inbox.n[(unsigned char)*l] == 0)
			fail_msg("%s: mail is lost", where);
	check_other(op, &s, where);
}

/* Once by who finds it, once by who reads what that one wrote. */
static void
check_twice(
    struct box *b, const struct op *op, const char *mail, const char *where)
{
	for (unsigned i = 0; i < 2; i++) {
		box_open(b);
		check(b, op, mail, where);
		box_close(b);
	}
}

/* ---- states for others ----------------------------------------------------- */

static void
keep_state(struct box *b, const char *where)
{
	static const char *const names[] = {INBOX, "mail/Other", "mail/New"};
	const char *dir = getenv("RESTANTE_CRASH_STATES");
	char path[700];

	if (dir == NULL)
		return;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, where);
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *text;
		FILE *f;

		if (!box_has(b, names[i]))
			continue;
		text = box_read(b, names[i]);
		(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, where,
		    strrchr(names[i], '/') + 1);
		f = fopen(path, "w");
		assert_non_null(f);
		if (*text != '\0')
			assert_int_equal(fwrite(text, strlen(text), 1, f), 1);
		assert_int_equal(fclose(f), 0);
	}
}

/*
 * Each fault is a process of its own, which a sanitizer makes slow: there every
 * 23rd call, here each.
 */
#ifdef RESTANTE_SANITIZE
#define FAULT_STRIDE 23
#define FIRST_KILL_STRIDE 1009
#else
#define FAULT_STRIDE 1
#define FIRST_KILL_STRIDE 61
#endif

/* ---- runs ------------------------------------------------------------------ */

static const struct {
	const char *name;
	enum fault how;
	int err;
	unsigned calls;
	const char *mail;
} kinds[] = {
    {"kill", FAULT_KILL, 0, ~0u, "m"},
    {"half a write", FAULT_HALF, 0, CALL_WRITE, "m"},
    {"short write", FAULT_SHORT, 0, CALL_WRITE, "m"},
    {"no space", FAULT_ERROR, ENOSPC, CALLS_NO_SPACE, "m"},
    {"bad disk", FAULT_ERROR, EIO, CALLS_BAD_DISK, ""},
};

static void
run_faults(struct box *b, const struct op *op)
{
	static unsigned calls_of[ARRAY_LEN(fault_kinds)];
	char where[200];
	unsigned total;

	fault = FAULT_NONE;
	fill(b, op);
	assert_false(run_child(op->fn, b));
	total = said->calls;
	memcpy(calls_of, said->kinds, sizeof(calls_of));
	if (!said->acked || total == 0 || total >= ARRAY_LEN(calls_of))
		fail_msg("%s: %u calls", op->name, total);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		if (kinds[k].how != FAULT_KILL && kinds[k].how != FAULT_HALF &&
		    getenv("RESTANTE_CRASH_STATES") != NULL)
			continue;
		for (fault_at = 1; fault_at <= total;
		     fault_at += FAULT_STRIDE) {
			if (!(calls_of[fault_at] & kinds[k].calls))
				continue;
			(void)snprintf(where, sizeof(where),
			    "%s: %s at %u of %u", op->name, kinds[k].name,
			    fault_at, total);
			fault = kinds[k].how;
			fault_errno = kinds[k].err;
			fill(b, op);
			(void)run_child(op->fn, b);
			if (*kinds[k].mail != '\0')
				deliver(b, MSG("m"));
			check_twice(b, op, kinds[k].mail, where);
			if (fault == FAULT_KILL || fault == FAULT_HALF)
				keep_state(b, where);
		}
	}
}

/* Who mends it is killed too; mail comes each time. */
static void
run_two_kills(struct box *b, const struct op *op, unsigned stride)
{
	char where[200];
	bool was_killed = true;

	for (unsigned first = 1; was_killed; first += stride) {
		bool again = true;

		for (unsigned second = 1; again; second++) {
			struct said of_first;

			(void)snprintf(where, sizeof(where),
			    "%s: kill at %u, then at %u", op->name, first,
			    second);
			fill(b, op);
			fault = FAULT_HALF;
			fault_at = first;
			was_killed = run_child(op->fn, b);
			if (!was_killed)
				break;
			of_first = *said;
			deliver(b, MSG("m"));
			fault = second % 2 ? FAULT_KILL : FAULT_HALF;
			fault_at = second;
			again = run_child(op_open, b);
			deliver(b, MSG("M"));
			*said = of_first;
			check_twice(b, op, "mM", where);
		}
	}
}

static void
begin(struct box *b)
{
	log_set_level(LOG_LEVEL_FATAL);
	box_init_mbox(b);
	b->poll_only = true;
	b->has_index = getenv("RESTANTE_TEST_INDEX") != NULL;
	if (said == NULL)
		said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(said != MAP_FAILED);
}

static void
test_crashes(UNUSED void **state)
{
	struct box b;

	begin(&b);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		run_faults(&b, &ops[i]);
	box_done(&b);
}

/*
 * RESTANTE_TEST_ALL=1: each of the first kills, which takes minutes.
 * RESTANTE_TEST_INDEX=1: with an index, whose own calls are broken as well.
 */
static void
test_two_crashes(UNUSED void **state)
{
	struct box b;

	if (getenv("RESTANTE_CRASH_STATES") != NULL)
		return;
	begin(&b);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		run_two_kills(&b, &ops[i],
		    getenv("RESTANTE_TEST_ALL") != NULL ? 1
							: FIRST_KILL_STRIDE);
	box_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_crashes),
	    cmocka_unit_test(test_two_crashes),
	};

	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
