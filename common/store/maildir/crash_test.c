/* SPDX-License-Identifier: ISC */
/*
 * crash_test.c - every operation is killed before each of its system calls,
 * and each of them is made to fail; then a new process looks what is left.
 *
 * The calls that change files are replaced in this program by ones that count.
 * The operation runs in a child; at the chosen call the child ends at once, as
 * by kill -9, or writes half of its bytes first, or gets an error, or a write is
 * short. Messages have one letter each, by which they are known again:
 *  1. none is lost, none is there twice;
 *  2. each has the UID that it had; no UID is given twice;
 *  3. what was acknowledged is there, what failed left nothing;
 *  4. no lock is left, and nobody has to repair anything.
 *
 * With RESTANTE_CRASH_STATES what each killed child leaves is kept in that
 * folder, for Dovecot to look at (tests/e2e/test_crash_states.py).
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "store/maildir/crash_ops_test.h"

enum fault { FAULT_NONE, FAULT_KILL, FAULT_HALF, FAULT_ERROR, FAULT_SHORT };

#define CALLS_MAX 200

/* What the child says; shared memory. */
struct said {
	bool acked;
	uint32_t uid;
	unsigned calls;
	bool is_write[CALLS_MAX]; /* by number of the call */
	struct err e;
};

static struct said *said;
static enum fault fault;
static int fault_errno;
static unsigned fault_at, calls;
static bool traces;
static char trace[8000];

/* True: the call must fail with errno set. */
static bool
hit(const char *name, int fd, const void *bytes, size_t n)
{
	if (!is_armed)
		return false;
	if (traces && strlen(trace) + 40 < sizeof(trace)) {
		strncat(trace, name, 30);
		strncat(trace, " ", 2);
	}
	if (++calls < CALLS_MAX && bytes != NULL)
		said->is_write[calls] = true;
	if (calls != fault_at)
		return false;
	switch (fault) {
	case FAULT_NONE:
	case FAULT_SHORT:
		return false;
	case FAULT_HALF:
		if (bytes != NULL)
			(void)syscall(SYS_write, fd, bytes, n / 2);
		/* fall through */
	case FAULT_KILL:
		(void)syscall(SYS_exit_group, 9);
		return false;
	case FAULT_ERROR:
		errno = fault_errno;
		return true;
	}
	return false;
}

/* NOLINTBEGIN: the names are those of the C library. */
ssize_t
write(int fd, const void *p, size_t n)
{
	if (hit("write", fd, p, n))
		return -1;
	if (is_armed && fault == FAULT_SHORT && calls == fault_at && n > 1)
		n /= 2;
	return syscall(SYS_write, fd, p, n);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t off)
{
	return hit("pwrite", -1, NULL, 0)
	    ? -1
	    : syscall(SYS_pwrite64, fd, p, n, off);
}

int
fsync(int fd)
{
	struct stat st;
	bool is_dir = syscall(SYS_fstat, fd, &st) == 0 && S_ISDIR(st.st_mode);

	return hit(is_dir ? "syncdir" : "fsync", -1, NULL, 0)
	    ? -1
	    : (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	return hit("fdatasync", -1, NULL, 0) ? -1
					     : (int)syscall(SYS_fdatasync, fd);
}

int
renameat(int d1, const char *from, int d2, const char *to)
{
	return hit("rename", -1, NULL, 0)
	    ? -1
	    : (int)syscall(SYS_renameat2, d1, from, d2, to, 0);
}

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	return hit("rename", -1, NULL, 0)
	    ? -1
	    : (int)syscall(SYS_renameat2, d1, from, d2, to, flags);
}

int
linkat(int d1, const char *from, int d2, const char *to, int flags)
{
	return hit("link", -1, NULL, 0)
	    ? -1
	    : (int)syscall(SYS_linkat, d1, from, d2, to, flags);
}

int
unlinkat(int dirfd, const char *name, int flags)
{
	return hit("unlink", -1, NULL, 0)
	    ? -1
	    : (int)syscall(SYS_unlinkat, dirfd, name, flags);
}

int
mkdirat(int dirfd, const char *name, mode_t mode)
{
	return hit("mkdir", -1, NULL, 0)
	    ? -1
	    : (int)syscall(SYS_mkdirat, dirfd, name, mode);
}

int
ftruncate(int fd, off_t n)
{
	return hit("truncate", -1, NULL, 0)
	    ? -1
	    : (int)syscall(SYS_ftruncate, fd, n);
}

int
openat(int dirfd, const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode = 0;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
		if (hit("create", -1, NULL, 0))
			return -1;
	}
	return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}
/* NOLINTEND */

/* ---- a run ------------------------------------------------------------- */

static void
fill(struct box *b)
{
	box_init_fast(b);
	b->poll_only = true;
	box_write(b, "dovecot-uidlist",
	    "3 V1795300341 N1 G" GUID "\n1 :a\n2 :b\n3 :c\n");
	box_write(b, "dovecot-keywords", "0 $Label1\n");
	put(b, "cur/a:2,S", 'a');
	put(b, "cur/b:2,Fa", 'b');
	put(b, "cur/c:2,", 'c');
	box_dirs(b, ".To");
	box_write(
	    b, ".To/dovecot-uidlist", "3 V1795300342 N1 G" GUID "\n1 :a\n");
	put(b, ".To/cur/a:2,", 'd');
	box_write(b, "dovecot-uidvalidity", "6b021bf8");
	box_write(b, "dovecot-uidvalidity.6b021bf8", "");
}

static void
run_child(const struct op *op, struct box *b)
{
	pid_t pid;
	int status;

	*said = (struct said){0};
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		uint32_t uid = 0;
		int rc;

		log_set_level(LOG_LEVEL_FATAL);
		box_open(b);
		calls = 0;
		is_armed = true;
		rc = op->fn(b, &uid, &said->e);
		is_armed = false;
		said->calls = calls;
		said->uid = uid;
		said->acked = rc == 0;
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
}

/* A lock left behind looks as if it were older, so nobody waits for it. */
static void
age_locks(struct box *b)
{
	static const char *const locks[] = {"dovecot-uidlist.lock",
	    ".To/dovecot-uidlist.lock", ".Moved/dovecot-uidlist.lock",
	    ".Fresh/dovecot-uidlist.lock", "subscriptions.lock"};
	struct timespec ts[2];

	ts[0] = ts[1] = (struct timespec){.tv_sec = time(NULL) - 10};
	for (size_t i = 0; i < ARRAY_LEN(locks); i++)
		if (box_has(b, locks[i]))
			(void)utimensat(AT_FDCWD, box_path(b, locks[i]), ts, 0);
}

/* The letter of a message that is whole. */
static char
letter_of(struct view *v, uint32_t uid, const char *where)
{
	char text[300], letter;
	struct msg *m;
	struct err e;
	size_t got;

	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	if (msg_read(m, 0, text, sizeof(text) - 1, &got, &e) == -1)
		fail_msg("%s: read %s", where, e.text);
	msg_close(&m);
	text[got] = '\0';
	letter = got < sizeof(TEST_MSG) - 1 ? '?' : *(strstr(text, "msg ") + 4);
	if (strcmp(text, text_of(letter)) != 0)
		fail_msg("%s: uid %u is torn", where, uid);
	return letter;
}

/*
 * Every message whole and there once, UIDs ascending and below UIDNEXT.
 * Returns how many; *uids, if given, are theirs. letters[i] is the UID of
 * message 'a' + i, 0 when it is not there.
 */
static unsigned
check_box(struct box *b, const char *name, const char *where,
    struct set32 *uids, uint32_t letters[26])
{
	struct view *v;
	struct err e;
	uint32_t last = 0;
	unsigned n;

	if (now_view_open(b->store, str_of(name), false, &v, &e) == -1) {
		if (e.code == ERR_NOT_FOUND)
			return 0;
		fail_msg("%s: %s: %s", where, name, e.text);
	}
	n = view_count(v);
	for (uint32_t seq = 1; seq <= n; seq++) {
		uint32_t uid = view_uid(v, seq);
		char letter;

		if (uid <= last || uid >= mailbox_uidnext(view_mailbox(v)))
			fail_msg("%s: %s: uid %u", where, name, uid);
		last = uid;
		if (uids != NULL)
			set32_add(uids, uid);
		letter = letter_of(v, uid, where);
		if (letters == NULL)
			continue;
		if (letters[letter - 'a'] != 0)
			fail_msg(
			    "%s: %s: %c is there twice", where, name, letter);
		letters[letter - 'a'] = uid;
	}
	view_close(&v);
	return n;
}

/* Who was there has the UID that he had, and nobody is nowhere. */
static void
check_letters(const struct op *op, const char *where, const uint32_t inbox[26],
    const uint32_t to[26], const uint32_t moved[26])
{
	for (uint32_t i = 0; i < 3; i++) {
		bool may_go = (op->fn == op_expunge && i < 2) ||
		    ((op->fn == op_replace || op->fn == op_redo_replace) &&
			i == 2 && inbox['x' - 'a'] != 0);

		if (inbox[i] != 0 && inbox[i] != i + 1 && !op->renumbers)
			fail_msg("%s: %c has uid %u", where, (char)('a' + i),
			    inbox[i]);
		if (inbox[i] == 0 && to[i] == 0 && moved[i] == 0 && !may_go)
			fail_msg("%s: %c is lost", where, (char)('a' + i));
	}
	/* All or none. */
	if (op->fn == op_multiappend &&
	    ((inbox['x' - 'a'] != 0) != (inbox['y' - 'a'] != 0) ||
		(inbox['x' - 'a'] != 0) != (inbox['z' - 'a'] != 0)))
		fail_msg("%s: a part has come", where);
	if (op->fn == op_copy && (to[0] != 0) != (to[1] != 0))
		fail_msg("%s: a part was copied", where);
	if (to[3] > 1 || (to[3] == 0 && moved[3] == 0 && op->fn != op_delete))
		fail_msg("%s: d has uid %u", where, to[3]);
	for (uint32_t i = 0; i < 3; i++)
		if (to[i] == 1)
			fail_msg("%s: uid 1 again", where);
}

static bool
is_between(unsigned n, unsigned min, unsigned max)
{
	return n >= min && n <= max;
}

static void
check_flags(struct box *b, const struct op *op, const char *where)
{
	struct view *v = box_view(b, "INBOX", true);

	if (!op->renumbers && op->inbox_min == 3) {
		bool is_keyword =
		    op->fn == op_keyword || op->fn == op_more_keywords;
		bool is_flag = op->fn == op_flags || is_keyword;
		const char *f = box_flags(v, 1);

		if (strcmp(f, "S") != 0 &&
		    !(is_flag && strcmp(f, "FS") == 0 && !said->acked) &&
		    !(is_flag && !is_keyword && strcmp(f, "FS") == 0) &&
		    !(is_keyword && strcmp(f, "FS fresh") == 0))
			fail_msg("%s: flags %s", where, f);
		if (said->acked && is_flag && *f != 'F')
			fail_msg("%s: acknowledged, flags %s", where, f);
		f = box_flags(v, 2);
		if (strcmp(f, "F $Label1") != 0 &&
		    !(is_keyword && strcmp(f, "F $Label1 fresh") == 0))
			fail_msg("%s: flags %s", where, f);
	}
	view_close(&v);
}

static void
check_no_broken(struct box *b, const char *where)
{
	DIR *d = opendir(b->root);
	struct dirent *e;

	while ((e = readdir(d)) != NULL)
		if (strstr(e->d_name, ".broken.") != NULL)
			fail_msg("%s: %s", where, e->d_name);
	closedir(d);
}

static void
check_after(struct box *b, const struct op *op, const char *where)
{
	unsigned inbox, to;
	uint32_t before, next;
	uint32_t letters[3][26] = {{0}};
	struct set32 told, again;
	struct view *v;

	age_locks(b);
	box_open(b);
	set32_init(&told);
	set32_init(&again);
	inbox = check_box(b, "INBOX", where, &told, letters[0]);
	to = check_box(b, "To", where, NULL, letters[1]) +
	    check_box(b, "Moved", where, NULL, letters[2]);
	check_letters(op, where, letters[0], letters[1], letters[2]);
	if (fault == FAULT_ERROR && !said->acked) {
		if (op->inbox_failed != ANY && inbox != op->inbox_failed)
			fail_msg("%s: failed, INBOX has %u", where, inbox);
		if (op->to_failed != ANY && to != op->to_failed)
			fail_msg("%s: failed, To has %u", where, to);
	} else if (said->acked) {
		if (inbox != op->inbox_ok || to != op->to_ok)
			fail_msg("%s: acknowledged, INBOX has %u, To %u", where,
			    inbox, to);
	}
	if (!is_between(inbox, op->inbox_min, op->inbox_max) ||
	    !is_between(to, op->to_min, op->to_max))
		fail_msg("%s: INBOX has %u, To %u", where, inbox, to);
	/* MOVE: no message is nowhere. */
	if (op->fn == op_move && inbox + to < 4)
		fail_msg("%s: INBOX %u, To %u: lost", where, inbox, to);
	check_flags(b, op, where);
	/* The next UID was never given before. */
	v = box_view(b, "INBOX", true);
	before = mailbox_uidnext(view_mailbox(v));
	view_close(&v);
	next = box_append(b, "INBOX", text_of('w'), 0, -1);
	if (next < before || (said->acked && next <= said->uid))
		fail_msg("%s: uid %u again", where, next);
	if (said->acked && said->uid != 0) {
		v = box_view(b, "INBOX", true);
		if (view_seq(v, said->uid) == 0)
			fail_msg("%s: acknowledged uid %u is not there", where,
			    said->uid);
		view_close(&v);
	}
	if (box_has(b, "dovecot-uidlist.lock"))
		fail_msg("%s: lock left", where);
	box_close(b);
	/* And all of it is on disk so that the next one can read it. */
	box_open(b);
	set32_add(&told, next);
	if (check_box(b, "INBOX", where, &again, NULL) != inbox + 1 ||
	    again.n != told.n ||
	    memcmp(again.r, told.r, told.n * sizeof(*told.r)) != 0)
		fail_msg("%s: other messages than were told", where);
	set32_done(&told);
	set32_done(&again);
	box_close(b);
	check_no_broken(b, where);
}

/* Keeps what the child has left for another test to look at, instead. */
static bool
keep_state(const struct box *b, const char *where)
{
	const char *dir = getenv("RESTANTE_CRASH_STATES");
	char to[300];

	if (dir == NULL)
		return false;
	(void)snprintf(to, sizeof(to), "%s/%s", dir, where);
	assert_int_equal(rename(b->root, to), 0);
	return true;
}

static void
try_all(const struct op *op, enum fault how, int error, const char *what)
{
	struct box b;
	char where[100];
	bool is_write[CALLS_MAX];
	unsigned n = 0, total;

	fault = FAULT_NONE;
	fault_at = 0;
	fill(&b);
	run_child(op, &b);
	if (!said->acked)
		fail_msg("%s: %s", op->name, said->e.text);
	total = said->calls;
	assert_true(total > 0 && total < CALLS_MAX);
	memcpy(is_write, said->is_write, sizeof(is_write));
	check_after(&b, op, op->name);
	box_done(&b);
	for (n = 1; n <= total; n++) {
		/* Other calls have no half. */
		if ((how == FAULT_HALF || how == FAULT_SHORT) && !is_write[n])
			continue;
		(void)snprintf(where, sizeof(where), "%s, %s at call %u of %u",
		    op->name, what, n, total);
		fill(&b);
		fault = how;
		fault_errno = error;
		fault_at = n;
		run_child(op, &b);
		if (how == FAULT_SHORT && !said->acked)
			fail_msg("%s: %s", where, said->e.text);
		if (!keep_state(&b, where))
			check_after(&b, op, where);
		box_done(&b);
	}
}

static void
test_kill(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		try_all(&ops[i], FAULT_KILL, 0, "killed");
}

static void
test_kill_in_the_middle_of_a_write(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		try_all(&ops[i], FAULT_HALF, 0, "torn");
}

static void
test_no_space(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		try_all(&ops[i], FAULT_ERROR, ENOSPC, "ENOSPC");
}

static void
test_short_writes(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		try_all(&ops[i], FAULT_SHORT, 0, "short write");
}

static void
test_io_error(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		try_all(&ops[i], FAULT_ERROR, EIO, "EIO");
}

/* The order that makes it durable (security.md 7.2). */
static void
test_order_of_append(UNUSED void **state)
{
	struct box b;
	uint32_t uid;
	struct err e;

	fault = FAULT_NONE;
	fill(&b);
	box_open(&b);
	/* Room for mod-sequences is made once in an hour. */
	(void)modseq_next(b.store, 0);
	trace[0] = '\0';
	traces = is_armed = true;
	assert_int_equal(op_append(&b, &uid, &e), 0);
	traces = is_armed = false;
	/* message; lock; into place; record; unlock */
	assert_string_equal(trace,
	    "create write fsync "
	    "create write link unlink "
	    "rename syncdir write fdatasync "
	    "unlink ");
	box_done(&b);
}

/* What no process of ours has left, or not here, not now: no mail goes. */
static void
test_journals_that_lie(UNUSED void **state)
{
	static const struct {
		const char *lines;
		unsigned inbox;
	} cases[] = {
	    {"=a\n=b\n", 3}, /* the only names of their messages */
	    {"+n/gone/gone,S=3\n-a\n", 3}, /* the new one never came */
	    {"+c/folder/folder:2,\n+n/link/link\n+n/fifo/fifo\n", 3},
	    {"+n/1.M1P1.h/a\n", 4}, /* a name that is taken in cur/ only */
	    {"+c/1.M1P1.h/a:2,S\n", 3}, /* taken: both stay as they are */
	    {"nonsense\n", 3},
	};
	struct err e;

	fault = FAULT_NONE;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct view *v;
		struct box b;

		fill(&b);
		put(&b, "tmp/1.M1P1.h", 'x');
		box_dirs(&b, "tmp/folder");
		assert_int_equal(symlinkat("../cur/a:2,S", AT_FDCWD,
				     box_path(&b, "tmp/link")),
		    0);
		assert_int_equal(mkfifo(box_path(&b, "tmp/fifo"), 0600), 0);
		box_open(&b);
		assert_int_equal(
		    finish_journal(&b, cases[i].lines, "INBOX", &e), 0);
		is_armed = false;
		v = box_view(&b, "INBOX", true);
		if (view_count(v) != cases[i].inbox)
			fail_msg(
			    "%s: %u messages", cases[i].lines, view_count(v));
		for (uint32_t uid = 1; uid <= 3; uid++)
			assert_int_not_equal(view_seq(v, uid), 0);
		view_close(&v);
		assert_false(box_has(&b, JOURNAL_FILE));
		box_done(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order_of_append),
	    cmocka_unit_test(test_journals_that_lie),
	    cmocka_unit_test(test_kill),
	    cmocka_unit_test(test_kill_in_the_middle_of_a_write),
	    cmocka_unit_test(test_no_space),
	    cmocka_unit_test(test_io_error),
	    cmocka_unit_test(test_short_writes),
	};

	const struct CMUnitTest kills[] = {
	    cmocka_unit_test(test_kill),
	    cmocka_unit_test(test_kill_in_the_middle_of_a_write),
	};

	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (said == MAP_FAILED)
		return 1;
	if (getenv("RESTANTE_CRASH_STATES") != NULL)
		return cmocka_run_group_tests(kills, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
