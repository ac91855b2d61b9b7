/* SPDX-License-Identifier: ISC */
/*
 * mbox_crash_test.c - every operation is killed before each of its system
 * calls, in the midst of its writes, and each of them is made to fail; then
 * mail comes, and a new process looks what is left.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "store/mbox/mbox_impl.h"
#include "tests/lib/test_store.h"

#define F "From a@b Mon Mar  2 10:01:00 2026\n"
#define MSG(n) F "Subject: " n "\nMessage-ID: <" n "@x>\n\nbody " n "\n\n"
#define KNOWN(n, uid, more)                                                    \
	F "Subject: " n "\nMessage-ID: <" n "@x>\n" more "X-UID: " uid         \
	  "          \nStatus: O\n\nbody " n "\n\n"

enum fault { FAULT_NONE, FAULT_KILL, FAULT_HALF, FAULT_ERROR };

static enum fault fault;
static int fault_errno;
static unsigned fault_at, calls;
static bool is_armed;

static bool
hit(int fd, const void *p, size_t n, off_t off)
{
	if (!is_armed || ++calls != fault_at)
		return false;
	switch (fault) {
	case FAULT_NONE:
		return false;
	case FAULT_HALF:
		if (p != NULL)
			(void)syscall(SYS_pwrite64, fd, p, n / 2, off);
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
pwrite(int fd, const void *p, size_t n, off_t off)
{
	/* Within a page a write is done or not (mbox_write.c). */
	bool splits = off / 4096 != (off + (off_t)n - 1) / 4096 || n > 300;

	return hit(fd, splits ? p : NULL, n, off)
	    ? -1
	    : syscall(SYS_pwrite64, fd, p, n, off);
}

int
fdatasync(int fd)
{
	return hit(-1, NULL, 0, 0) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return hit(-1, NULL, 0, 0) ? -1 : (int)syscall(SYS_fsync, fd);
}

int
ftruncate(int fd, off_t n)
{
	return hit(-1, NULL, 0, 0) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

int
renameat2(int d1, const char *from, int d2, const char *to, unsigned flags)
{
	return hit(-1, NULL, 0, 0)
	    ? -1
	    : (int)syscall(SYS_renameat2, d1, from, d2, to, flags);
}
/* NOLINTEND */

/* ---- operations ------------------------------------------------------------ */

static int
op_append(struct box *b, struct err *e)
{
	static const char text[] = "Subject: new\r\n\r\nbody new\r\n";
	struct flag_wish w = {.system = FLAG_SEEN};
	struct set32 uids;
	struct append *a;
	uint32_t validity;
	int rc = -1;

	set32_init(&uids);
	if (now_append_begin(b->store, STR("INBOX"), &a, e) == -1)
		return -1;
	if (append_message(a, &w, 5000, sizeof(text) - 1, e) == 0 &&
	    append_data(a, STR(text), e) == 0)
		rc = now_append_commit(a, &validity, &uids, e);
	append_free(&a);
	set32_done(&uids);
	return rc;
}

static int
store_and_expunge(struct box *b, uint32_t first, uint32_t last, struct err *e)
{
	struct view *v;
	uint32_t at = 0;
	enum step step = STEP_FAIL;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	if (box_store(v, first, last, STORE_ADD, FLAG_DELETED, NULL, e) == 0)
		do
			step = view_expunge(v, NULL, &at, e);
		while (step == STEP_MORE);
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
	return rc;
}

static int
op_first_contact(struct box *b, struct err *e)
{
	struct view *v;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	view_close(&v);
	store_close(&b->store);
	return 0;
}

struct op {
	const char *name;
	int (*fn)(struct box *b, struct err *e);
	bool is_fresh; /* a file without UIDs */
	uint32_t gone_first, gone_last; /* UIDs that may go */
	bool adds;
};

static const struct op ops[] = {
    {"append", op_append, false, 0, 0, true},
    {"append, fresh", op_append, true, 0, 0, true},
    {"expunge first", op_expunge_first, false, 1, 1, false},
    {"expunge first, fresh", op_expunge_first, true, 1, 1, false},
    {"expunge two", op_expunge_two, false, 2, 3, false},
    {"expunge all", op_expunge_all, false, 1, 5, false},
    {"flags", op_flags, false, 0, 0, false},
    {"flags, fresh", op_flags, true, 0, 0, false},
    {"first contact", op_first_contact, true, 0, 0, false},
};

/* ---- after it -------------------------------------------------------------- */

struct said {
	bool acked;
	unsigned calls;
};

static struct said *said;

static void
fill(struct box *b, const struct op *op)
{
	struct err e;

	if (file_remove_tree(AT_FDCWD, box_path(b, ".local"), &e) == -1)
		fail_msg("%s", e.text);
	box_write(b, "spool/joe",
	    op->is_fresh ? MSG("1") MSG("2") MSG("3") MSG("4") MSG("5")
			 : KNOWN("1", "1", "X-IMAPbase: 7 0000000004\n")
			       KNOWN("2", "2", "") KNOWN("3", "3", "")
				   KNOWN("4", "4", "") MSG("5"));
	(void)unlink(box_path(b, "spool/joe.lock"));
}

static void
run_child(const struct op *op, struct box *b)
{
	struct err e;
	pid_t pid;
	int status;

	*said = (struct said){0};
	pid = fork();
	if (pid == 0) {
		log_set_level(LOG_LEVEL_FATAL);
		box_open(b);
		calls = 0;
		is_armed = true;
		said->acked = op->fn(b, &e) == 0;
		is_armed = false;
		said->calls = calls;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
	/* A lock left behind looks as if it were older. */
	if (box_has(b, "spool/joe.lock"))
		assert_int_equal(unlink(box_path(b, "spool/joe.lock")), 0);
}

static void
deliver(struct box *b)
{
	FILE *f = fopen(box_path(b, "spool/joe"), "a");

	assert_non_null(f);
	assert_int_equal(fwrite(MSG("mail"), sizeof(MSG("mail")) - 1, 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

/* Which of the messages is this? 1 to 5, 6: new, 7: mail, 0: torn. */
static uint32_t
which(struct view *v, uint32_t uid)
{
	static const char *const names[] = {
	    "1", "2", "3", "4", "5", "new", "mail"};
	char text[300], expected[100];
	struct msg *m;
	size_t got;
	struct err e;

	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	if (msg_read(m, 0, text, sizeof(text), &got, &e) == -1)
		fail_msg("%s", e.text);
	msg_close(&m);
	for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
		if (i == 5)
			(void)snprintf(expected, sizeof(expected),
			    "Subject: new\n\nbody new\n");
		else
			(void)snprintf(expected, sizeof(expected),
			    "Subject: %s\nMessage-ID: <%s@x>\n\nbody %s\n",
			    names[i], names[i], names[i]);
		if (str_eq(str_make(text, got), str_of(expected)))
			return i + 1;
	}
	return 0;
}

static void
check(struct box *b, const struct op *op, bool mail, const char *where)
{
	struct view *v = box_view(b, "INBOX", false);
	uint32_t seen = 0;

	if (!op->is_fresh && mailbox_uidvalidity(view_mailbox(v)) != 7)
		fail_msg("%s: another UIDVALIDITY", where);
	for (uint32_t seq = 1; seq <= view_count(v); seq++) {
		uint32_t uid = view_uid(v, seq), i = which(v, uid);

		if (i == 0)
			fail_msg("%s: uid %u is torn", where, uid);
		if (seen & 1u << i)
			fail_msg("%s: message %u is doubled", where, i);
		seen |= 1u << i;
		/* Fresh ones were never told of when nothing was written. */
		if (i <= 5 && uid != i && !op->is_fresh)
			fail_msg("%s: message %u has uid %u", where, i, uid);
	}
	for (uint32_t i = 1; i <= 5; i++) {
		bool may_go = i >= op->gone_first && i <= op->gone_last;
		bool is_there = (seen & 1u << i) != 0;

		if (!is_there && !may_go)
			fail_msg("%s: message %u is lost", where, i);
		if (is_there && may_go && said->acked)
			fail_msg("%s: message %u is back", where, i);
	}
	if (op->adds && said->acked && !(seen & 1u << 6))
		fail_msg("%s: what was acknowledged is lost", where);
	if (!op->adds && seen & 1u << 6)
		fail_msg("%s: a message from nowhere", where);
	if (mail && !(seen & 1u << 7))
		fail_msg("%s: mail is lost", where);
	view_close(&v);
}

static void
test_crashes(UNUSED void **state)
{
	static const struct {
		const char *name;
		enum fault how;
		int err;
		bool mail;
	} kinds[] = {
	    {"kill", FAULT_KILL, 0, true},
	    {"half a write", FAULT_HALF, 0, true},
	    {"no space", FAULT_ERROR, ENOSPC, true},
	    {"bad disk", FAULT_ERROR, EIO, false},
	};
	struct box b = {.location = "mbox:~/mail:INBOX=~/spool/%u"};
	char where[200];
	unsigned total;

	(void)snprintf(b.home, sizeof(b.home), "%s/restante-test.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(b.home));
	(void)snprintf(b.root, sizeof(b.root), "%s", b.home);
	assert_int_equal(mkdir(box_path(&b, "spool"), 0700), 0);
	b.poll_only = true;
	log_set_level(LOG_LEVEL_FATAL);
	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (size_t o = 0; o < ARRAY_LEN(ops); o++) {
		fault = FAULT_NONE;
		fill(&b, &ops[o]);
		run_child(&ops[o], &b);
		assert_true(said->acked);
		total = said->calls;
		assert_true(total > 0);
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			for (fault_at = 1; fault_at <= total; fault_at++) {
				(void)snprintf(where, sizeof(where),
				    "%s: %s at %u of %u", ops[o].name,
				    kinds[k].name, fault_at, total);
				fault = kinds[k].how;
				fault_errno = kinds[k].err;
				fill(&b, &ops[o]);
				run_child(&ops[o], &b);
				if (kinds[k].mail)
					deliver(&b);
				box_open(&b);
				check(&b, &ops[o], kinds[k].mail, where);
				box_close(&b);
				/* And what that wrote is read alike. */
				box_open(&b);
				check(&b, &ops[o], kinds[k].mail, where);
				box_close(&b);
			}
		}
	}
	box_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_crashes),
	};

	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
