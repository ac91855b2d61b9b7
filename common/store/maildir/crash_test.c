/* SPDX-License-Identifier: ISC */
/*
 * crash_test.c - every operation is killed before each of its system calls,
 * and each of them is made to fail; then a new process looks what is left.
 *
 * The calls that change files are replaced in this program by ones that count.
 * The operation runs in a child; at the chosen call the child ends at once, as
 * by kill -9, or writes half of its bytes first, or gets an error.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "store/maildir/maildir_impl.h"
#include "tests/lib/test_store.h"

enum fault { FAULT_NONE, FAULT_KILL, FAULT_HALF, FAULT_ERROR };

static enum fault fault;
static int fault_errno;
static unsigned fault_at, calls;
static bool is_armed, traces;
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
	if (++calls != fault_at)
		return false;
	switch (fault) {
	case FAULT_NONE:
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
	return hit("write", fd, p, n) ? -1 : syscall(SYS_write, fd, p, n);
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

/* ---- operations ----------------------------------------------------------- */

#define GUID "620a5138f51b026bb745000083ecc375"

/* What the child says; shared memory. */
struct said {
	bool acked;
	uint32_t uid;
	unsigned calls;
	struct err e;
};

static struct said *said;

static int
append_two(struct box *b, unsigned n, uint32_t *uid, struct err *e)
{
	struct flag_wish w = {.system = FLAG_SEEN};
	struct set32 uids;
	struct append *a;
	uint32_t validity;
	int rc = -1;

	set32_init(&uids);
	if (now_append_begin(b->store, STR("INBOX"), &a, e) == -1)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		if (append_message(a, &w, 5000, sizeof(TEST_MSG) - 1, e) ==
			-1 ||
		    append_data(a, STR(TEST_MSG), e) == -1)
			goto out;
		w.system = 0;
	}
	if (now_append_commit(a, &validity, &uids, e) == -1)
		goto out;
	*uid = set32_at(&uids, 1);
	rc = 0;
out:
	append_free(&a);
	set32_done(&uids);
	return rc;
}

static int
op_append(struct box *b, uint32_t *uid, struct err *e)
{
	return append_two(b, 1, uid, e);
}

static int
op_multiappend(struct box *b, uint32_t *uid, struct err *e)
{
	return append_two(b, 2, uid, e);
}

static int
copy_or_move(struct box *b, bool move, struct err *e)
{
	struct set32 s = box_set(1, 2);
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	struct view *v;
	enum step step;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	do
		step = view_copy(v, &s, STR("To"), move, &job, &r, e);
	while (step == STEP_MORE);
	copy_job_free(&job);
	view_close(&v);
	set32_done(&s);
	set32_done(&r.from);
	set32_done(&r.to);
	return step == STEP_DONE ? 0 : -1;
}

static int
op_copy(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return copy_or_move(b, false, e);
}

static int
op_move(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return copy_or_move(b, true, e);
}

static int
op_expunge(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	uint32_t at = 0;
	enum step step;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	if (box_store(v, 1, 2, STORE_ADD, FLAG_DELETED, NULL, e) == -1) {
		view_close(&v);
		return -1;
	}
	do
		step = view_expunge(v, NULL, &at, e);
	while (step == STEP_MORE);
	view_close(&v);
	return step == STEP_DONE ? 0 : -1;
}

static int
op_rewrite(struct box *b, uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	maildir_of(view_mailbox(v))->list.must_rewrite = true;
	rc = append_two(b, 1, uid, e);
	view_close(&v);
	return rc;
}

static int
op_deliver(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	is_armed = false;
	box_msg(b, "new/1795300400.M1P1.mx1");
	is_armed = true;
	rc = now_view_open(b->store, STR("INBOX"), false, &v, e);
	if (rc == 0)
		view_close(&v);
	return rc;
}

static int
op_keyword(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	rc = box_store(v, 1, 3, STORE_ADD, FLAG_FLAGGED, "fresh", e);
	view_close(&v);
	return rc;
}

static int
op_create(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return store_create(b->store, STR("Fresh"), e);
}

static int
op_delete(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return now_delete(b->store, STR("To"), e);
}

static int
op_rename(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return now_rename(b->store, STR("To"), STR("Moved"), e);
}

static int
op_subscribe(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return now_subscribe(b->store, STR("To"), true, e);
}

static int
op_first_open(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	is_armed = false;
	box_unlink(b, "dovecot-uidlist");
	is_armed = true;
	rc = now_view_open(b->store, STR("INBOX"), false, &v, e);
	if (rc == 0)
		view_close(&v);
	return rc;
}

struct op {
	const char *name;
	int (*fn)(struct box *b, uint32_t *uid, struct err *e);
	unsigned inbox_min, inbox_max; /* after a kill */
	unsigned inbox_ok, inbox_failed;
	unsigned to_min, to_max, to_ok, to_failed;
	bool renumbers;
};

#define ANY 99

static const struct op ops[] = {
    {"append", op_append, 3, 4, 4, 3, 1, 1, 1, 1, false},
    {"multiappend", op_multiappend, 3, 5, 5, 3, 1, 1, 1, 1, false},
    {"rewrite", op_rewrite, 3, 4, 4, 3, 1, 1, 1, 1, false},
    {"copy", op_copy, 3, 3, 3, 3, 1, 3, 3, 1, false},
    {"move", op_move, 1, 3, 1, ANY, 1, 3, 3, ANY, false},
    {"expunge", op_expunge, 1, 3, 1, ANY, 1, 1, 1, 1, false},
    {"deliver", op_deliver, 4, 4, 4, 4, 1, 1, 1, 1, false},
    {"keyword", op_keyword, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"create", op_create, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"delete", op_delete, 3, 3, 3, 3, 0, 1, 0, ANY, false},
    {"rename", op_rename, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"subscribe", op_subscribe, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"first open", op_first_open, 3, 3, 3, 3, 1, 1, 1, 1, true},
};

static void
fill(struct box *b)
{
	box_init_fast(b);
	b->poll_only = true;
	box_write(b, "dovecot-uidlist",
	    "3 V1795300341 N1 G" GUID "\n1 :a\n2 :b\n3 :c\n");
	box_write(b, "dovecot-keywords", "0 $Label1\n");
	box_msg(b, "cur/a:2,S");
	box_msg(b, "cur/b:2,Fa");
	box_msg(b, "cur/c:2,");
	box_dirs(b, ".To");
	box_write(
	    b, ".To/dovecot-uidlist", "3 V1795300342 N1 G" GUID "\n1 :a\n");
	box_msg(b, ".To/cur/a:2,");
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

/*
 * Every message whole, UIDs ascending and below UIDNEXT. Returns how many;
 * *uids, if given, are theirs.
 */
static unsigned
check_box(
    struct box *b, const char *name, const char *where, struct set32 *uids)
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
		char text[300];
		struct msg *m;
		size_t got;

		if (uid <= last || uid >= mailbox_uidnext(view_mailbox(v)))
			fail_msg("%s: %s: uid %u", where, name, uid);
		last = uid;
		if (uids != NULL)
			set32_add(uids, uid);
		assert_int_equal(msg_open(v, uid, &m, &e), 0);
		if (msg_read(m, 0, text, sizeof(text), &got, &e) == -1)
			fail_msg("%s: %s: read %s", where, name, e.text);
		msg_close(&m);
		if (got != sizeof(TEST_MSG) - 1 ||
		    memcmp(text, TEST_MSG, got) != 0)
			fail_msg("%s: %s: uid %u is torn", where, name, uid);
	}
	view_close(&v);
	return n;
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
		bool is_keyword = op->fn == op_keyword;
		const char *f = box_flags(v, 1);

		if (strcmp(f, "S") != 0 &&
		    !(is_keyword && strcmp(f, "FS fresh") == 0))
			fail_msg("%s: flags %s", where, f);
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
	struct set32 told, again;
	struct view *v;

	age_locks(b);
	box_open(b);
	set32_init(&told);
	set32_init(&again);
	inbox = check_box(b, "INBOX", where, &told);
	to = check_box(b, "To", where, NULL) +
	    check_box(b, "Moved", where, NULL);
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
	next = box_append(b, "INBOX", TEST_MSG, 0, -1);
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
	if (check_box(b, "INBOX", where, &again) != inbox + 1 ||
	    again.n != told.n ||
	    memcmp(again.r, told.r, told.n * sizeof(*told.r)) != 0)
		fail_msg("%s: other messages than were told", where);
	set32_done(&told);
	set32_done(&again);
	box_close(b);
	check_no_broken(b, where);
}

static void
try_all(const struct op *op, enum fault how, int error, const char *what)
{
	struct box b;
	char where[100];
	unsigned n = 0, total;

	fault = FAULT_NONE;
	fault_at = 0;
	fill(&b);
	run_child(op, &b);
	if (!said->acked)
		fail_msg("%s: %s", op->name, said->e.text);
	total = said->calls;
	assert_true(total > 0);
	check_after(&b, op, op->name);
	box_done(&b);
	for (n = 1; n <= total; n++) {
		(void)snprintf(where, sizeof(where), "%s, %s at call %u of %u",
		    op->name, what, n, total);
		fill(&b);
		fault = how;
		fault_errno = error;
		fault_at = n;
		run_child(op, &b);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order_of_append),
	    cmocka_unit_test(test_kill),
	    cmocka_unit_test(test_kill_in_the_middle_of_a_write),
	    cmocka_unit_test(test_no_space),
	    cmocka_unit_test(test_io_error),
	};

	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (said == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
