/* SPDX-License-Identifier: ISC */
/*
 * mbox_shift_test.c - the journal of mbox files against a model of it.
 *
 * A change is killed before each of its system calls, in the midst of its
 * writes, or made to fail; then perhaps somebody appends, perhaps the recovery
 * is killed as well; then the file must be the old one with each edit either
 * made or not, with all that was appended behind it, and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/file.h"
#include "store/mbox/mbox_shift.h"

#define TEXT_MAX 400000

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
	return hit(fd, p, n, off) ? -1 : syscall(SYS_pwrite64, fd, p, n, off);
}

int
fdatasync(int fd)
{
	return hit(-1, NULL, 0, 0) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int
ftruncate(int fd, off_t n)
{
	return hit(-1, NULL, 0, 0) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}
/* NOLINTEND */

/* ---- the model ------------------------------------------------------------- */

struct world {
	char dir[64], path[100], state[100];
	struct str old;
	struct mbox_edit edits[40];
	size_t n;
	size_t chunk;
};

static char old_bytes[TEXT_MAX], ins_bytes[TEXT_MAX], now_bytes[2 * TEXT_MAX];

static const char appended[] = "From mta Mon Mar  2 10:01:00 2026\n\nnew\n\n";

/* Lines of letters, without runs of newlines: those are holes. */
static void
fill(char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = i % 61 == 60 ? '\n' : (char)('a' + (seed >> 16) % 26);
	}
}

static void
write_file(const struct world *w)
{
	FILE *f = fopen(w->path, "w");

	assert_non_null(f);
	if (w->old.n > 0)
		assert_int_equal(fwrite(w->old.p, w->old.n, 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

static void
append_to_file(const struct world *w)
{
	FILE *f = fopen(w->path, "a");

	assert_non_null(f);
	assert_int_equal(fwrite(appended, sizeof(appended) - 1, 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

static struct str
read_file(const struct world *w)
{
	FILE *f = fopen(w->path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(now_bytes, 1, sizeof(now_bytes), f);
	(void)fclose(f);
	return str_make(now_bytes, n);
}

/* Is `now` from `at` on the old file from edit `i` on, each made or not? */
static bool
matches(const struct world *w, struct str now, size_t i, uint64_t from,
    bool *made, bool *not_made)
{
	uint64_t next = i < w->n ? w->edits[i].off : w->old.n;
	struct str part = str_make(w->old.p + from, (size_t)(next - from));
	const struct mbox_edit *ed = &w->edits[i];
	struct str del;

	if (!str_starts(now, part))
		return false;
	now = str_skip(now, part.n);
	if (i == w->n)
		return now.n == 0;
	del = str_make(w->old.p + ed->off, (size_t)ed->del);
	if (str_starts(now, ed->ins) &&
	    matches(w, str_skip(now, ed->ins.n), i + 1, ed->off + ed->del, made,
		not_made)) {
		*made = true;
		return true;
	}
	if (str_starts(now, del) &&
	    matches(w, str_skip(now, del.n), i + 1, ed->off + ed->del, made,
		not_made)) {
		*not_made = true;
		return true;
	}
	return false;
}

static struct mbox_shift
shift_open(const struct world *w)
{
	struct mbox_shift s = {
	    .fd = open(w->path, O_RDWR),
	    .dir = w->state,
	    .path = w->path,
	    .chunk_bytes = w->chunk,
	};

	assert_true(s.fd != -1);
	mbox_shift_init(&s);
	return s;
}

static void
shift_close(struct mbox_shift *s)
{
	mbox_shift_done(s);
	close(s->fd);
}

/* In a child; returns how many calls it made, or 0 when it was killed. */
static unsigned
run(const struct world *w, bool recover, enum fault how, int err, unsigned at,
    bool *ok)
{
	int status, fds[2];
	unsigned n = 0;
	struct err e;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		struct mbox_shift s = shift_open(w);
		bool lost = false;
		int rc;

		fault = how;
		fault_errno = err;
		fault_at = at;
		calls = 0;
		is_armed = true;
		rc = recover ? mbox_shift_recover(&s, &lost, &e)
			     : mbox_shift_apply(&s, w->edits, w->n, &e);
		is_armed = false;
		(void)!write(fds[1], &calls, sizeof(calls));
		(void)syscall(SYS_exit_group, lost ? 3 : rc == -1);
	}
	close(fds[1]);
	if (read(fds[0], &n, sizeof(n)) != sizeof(n))
		n = 0;
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) != 3);
	*ok = WEXITSTATUS(status) == 0;
	return n;
}

static bool
is_pending(struct mbox_shift *s)
{
	bool pending;
	struct err e;

	assert_int_equal(mbox_shift_look(s, &pending, &e), 0);
	return pending;
}

/* What is there must be right; `ok`: with all edits made. */
static void
check(const struct world *w, bool ok, unsigned n_appended, const char *what,
    unsigned at)
{
	struct str now = read_file(w);
	struct mbox_shift s = shift_open(w);
	bool made = false, not_made = false;

	assert_false(is_pending(&s));
	shift_close(&s);
	for (; n_appended > 0; n_appended--) {
		if (!str_ends(now, STR(appended)))
			fail_msg("%s at %u: appended mail is lost", what, at);
		now.n -= sizeof(appended) - 1;
	}
	if (!matches(w, now, 0, 0, &made, &not_made))
		fail_msg("%s at %u: neither old nor new", what, at);
	if (ok && not_made)
		fail_msg("%s at %u: not done", what, at);
}

static void
remove_state(const struct world *w)
{
	struct err e;

	assert_int_equal(file_remove_tree(AT_FDCWD, w->state, &e), 0);
}

/* The same change with a fault at every call. */
static void
every_fault(const struct world *w, unsigned step)
{
	static const struct {
		const char *name;
		enum fault how;
		int err;
		bool appends, kill_again;
	} kinds[] = {
	    {"kill", FAULT_KILL, 0, false, false},
	    {"kill, append", FAULT_KILL, 0, true, false},
	    {"half a write, append", FAULT_HALF, 0, true, false},
	    {"half a write, append, again", FAULT_HALF, 0, true, true},
	    {"no space", FAULT_ERROR, ENOSPC, true, false},
	    {"bad disk", FAULT_ERROR, EIO, false, false},
	};
	unsigned total;
	bool ok;

	write_file(w);
	remove_state(w);
	total = run(w, false, FAULT_NONE, 0, 0, &ok);
	assert_true(ok && total > 0);
	check(w, true, 0, "no fault", 0);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		for (unsigned at = 1; at <= total; at += step) {
			unsigned n = 0;

			write_file(w);
			(void)run(
			    w, false, kinds[k].how, kinds[k].err, at, &ok);
			if (kinds[k].appends) {
				append_to_file(w);
				n++;
			}
			if (kinds[k].kill_again) {
				bool again;

				(void)run(w, true, FAULT_HALF, 0,
				    1 + at * 7 % 11, &again);
				append_to_file(w);
				n++;
			}
			{
				bool done;

				(void)run(w, true, FAULT_NONE, 0, 0, &done);
				assert_true(done);
			}
			check(w, ok, n, kinds[k].name, at);
		}
	}
}

static int
setup(void **state)
{
	static struct world w;

	w = (struct world){0};
	(void)snprintf(w.dir, sizeof(w.dir), "%s/restante-test.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(w.dir));
	(void)snprintf(w.path, sizeof(w.path), "%s/mbox", w.dir);
	(void)snprintf(w.state, sizeof(w.state), "%s/state", w.dir);
	*state = &w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	struct err e;

	assert_int_equal(file_remove_tree(AT_FDCWD, w->dir, &e), 0);
	return 0;
}

static void
set_old(struct world *w, size_t n)
{
	fill(old_bytes, n, 1);
	if (n > 0)
		old_bytes[n - 1] = '\n';
	fill(ins_bytes, sizeof(ins_bytes), 77);
	w->old = str_make(old_bytes, n);
	w->n = 0;
}

static void
edit(struct world *w, uint64_t off, uint64_t del, size_t ins)
{
	w->edits[w->n] = (struct mbox_edit){
	    .off = off,
	    .del = del,
	    .ins = str_make(ins_bytes + w->n * 1000, ins),
	};
	w->n++;
}

static void
test_shorter(void **state)
{
	struct world *w = *state;

	set_old(w, 5000);
	w->chunk = 300;
	edit(w, 100, 200, 0);
	edit(w, 1000, 50, 20);
	edit(w, 2000, 1500, 0);
	every_fault(w, 1);
	/* The first byte, the last byte, all of it. */
	w->n = 0;
	edit(w, 0, 700, 80);
	edit(w, 4900, 100, 0);
	every_fault(w, 1);
	w->n = 0;
	edit(w, 0, 5000, 500);
	every_fault(w, 1);
	w->n = 0;
	edit(w, 0, 5000, 0);
	every_fault(w, 1);
}

static void
test_longer(void **state)
{
	struct world *w = *state;

	set_old(w, 3000);
	w->chunk = 300;
	edit(w, 0, 0, 50);
	edit(w, 100, 10, 60);
	edit(w, 1500, 0, 90);
	edit(w, 2900, 20, 40);
	every_fault(w, 1);
	w->n = 0;
	edit(w, 3000, 0, 100);
	every_fault(w, 1);
	/* A file that becomes a message longer than it is. */
	set_old(w, 100);
	edit(w, 0, 100, 600);
	every_fault(w, 1);
	set_old(w, 0);
	edit(w, 0, 0, 600);
	every_fault(w, 1);
}

static void
test_same_length(void **state)
{
	struct world *w = *state;

	set_old(w, 4000);
	w->chunk = 300;
	edit(w, 10, 300, 300);
	edit(w, 3000, 20, 20);
	every_fault(w, 1);
}

static void
test_both_ways(void **state)
{
	struct world *w = *state;

	set_old(w, 4000);
	w->chunk = 300;
	edit(w, 10, 30, 100);
	edit(w, 500, 600, 0);
	edit(w, 2000, 20, 120);
	edit(w, 3000, 700, 10);
	edit(w, 3900, 0, 10);
	every_fault(w, 2);
}

/* More than a round, and blocks of the journal's large halves. */
static void
test_large(void **state)
{
	struct world *w = *state;

	set_old(w, 300000);
	w->chunk = 50000;
	edit(w, 1000, 70000, 0);
	edit(w, 200000, 10, 0);
	every_fault(w, 3);
	w->n = 0;
	for (size_t i = 0; i < 30; i++)
		edit(w, i * 10000, 5, 105);
	every_fault(w, 3);
}

/* Random changes, all at random places. */
static void
test_random(void **state)
{
	struct world *w = *state;
	unsigned seed = 4711;

	for (int round = 0; round < 40; round++) {
		uint64_t at = 0;
		bool ok;
		unsigned total;

		set_old(w, 200 + (size_t)(rand_r(&seed) % 5000));
		w->chunk = 64 + (size_t)(rand_r(&seed) % 1000);
		while (w->n < 12) {
			uint64_t gap = (uint64_t)(rand_r(&seed) % 600);
			uint64_t del = (uint64_t)(rand_r(&seed) % 300);

			if (at + gap + del > w->old.n)
				break;
			edit(w, at + gap, del,
			    (size_t)(rand_r(&seed) % 3 == 0
				    ? rand_r(&seed) % 400
				    : 0));
			at += gap + del + 1;
		}
		if (w->n == 0)
			continue;
		write_file(w);
		total = run(w, false, FAULT_NONE, 0, 0, &ok);
		assert_true(ok);
		check(w, true, 0, "random", (unsigned)round);
		for (int i = 0; i < 12; i++) {
			unsigned where = 1 + (unsigned)rand_r(&seed) % total;

			write_file(w);
			(void)run(w, false, i % 2 ? FAULT_KILL : FAULT_HALF, 0,
			    where, &ok);
			append_to_file(w);
			(void)run(w, true, FAULT_KILL, 0,
			    1 + (unsigned)rand_r(&seed) % 20, &ok);
			append_to_file(w);
			(void)run(w, true, FAULT_NONE, 0, 0, &ok);
			assert_true(ok);
			check(w, false, 2, "random", (unsigned)round);
		}
	}
}

/* Room for a message at the end, which is there whole or not at all. */
#define MAIL_MAX 3000
#define MAIL_AT 1000

/* A message without a NUL, with room for it in the file of an append. */
static struct str
begin_append(struct world *w, bool has_nul, bool appends, struct mbox_shift *s)
{
	static char mail[MAIL_MAX + 1];
	uint64_t off;
	struct err e;

	if (mail[0] == '\0') {
		memset(mail, 'x', MAIL_MAX);
		memcpy(mail, "From me Mon Mar  2 10:01:00 2026\nA: b\n\n", 40);
		mail[MAIL_MAX - 1] = '\n';
	}
	write_file(w);
	*s = shift_open(w);
	assert_int_equal(mbox_shift_extend(s, MAIL_MAX,
			     str_make(mail, MAIL_MAX), has_nul, &off, &e),
	    0);
	assert_int_equal(off, MAIL_AT);
	if (appends)
		append_to_file(w);
	return str_make(mail, MAIL_MAX);
}

/* Who comes next: is the message there? No other byte is another. */
static bool
end_append(struct world *w, struct mbox_shift *s, bool appends, struct str mail,
    unsigned at)
{
	struct str now;
	struct err e;
	bool lost;

	shift_close(s);
	*s = shift_open(w);
	assert_int_equal(mbox_shift_recover(s, &lost, &e), 0);
	assert_false(lost);
	shift_close(s);
	now = read_file(w);
	if (now.n >= MAIL_AT + mail.n &&
	    memcmp(now.p + MAIL_AT, mail.p, mail.n) == 0) {
		if (appends)
			assert_true(str_ends(now, STR(appended)));
		assert_int_equal(now.n,
		    MAIL_AT + mail.n + (appends ? sizeof(appended) - 1 : 0));
		return true;
	}
	check(w, false, appends, "extend", at);
	return false;
}

static void
put(struct mbox_shift *s, struct str mail, size_t from, size_t to)
{
	if (to > from)
		assert_int_equal(pwrite(s->fd, mail.p + from, to - from,
				     (off_t)(MAIL_AT + from)),
		    to - from);
}

/* An append that is killed: half of it never stays, the whole may. */
static void
test_extend(void **state)
{
	struct world *w = *state;
	struct mbox_shift s;

	set_old(w, MAIL_AT);
	for (unsigned k = 0; k < 4; k++) {
		bool has_nul = k & 1, appends = k & 2;

		for (size_t written = 0; written <= MAIL_MAX; written +=
		     written < 50 || written > MAIL_MAX - 20 ? 1 : 37) {
			struct str mail = begin_append(w, has_nul, appends, &s);

			put(&s, mail, 0, written);
			assert_int_equal(
			    end_append(w, &s, appends, mail, (unsigned)written),
			    !has_nul && written == MAIL_MAX);
		}
	}
	/* Killed before the file was made longer; then mail came. */
	for (unsigned more = 0; more < 3; more++) {
		struct err e;
		bool lost;

		(void)begin_append(w, false, false, &s);
		assert_int_equal(ftruncate(s.fd, MAIL_AT), 0);
		shift_close(&s);
		for (size_t i = 0; i < more; i++)
			append_to_file(w);
		s = shift_open(w);
		assert_int_equal(mbox_shift_recover(&s, &lost, &e), 0);
		shift_close(&s);
		check(w, false, more, "not extended", 0);
	}
}

/* After a power cut any part may be missing, not only the end. */
static void
test_power_cut(void **state)
{
	struct world *w = *state;
	struct mbox_shift s;

	set_old(w, MAIL_AT);
	for (unsigned there = 0; there < 1 << 7; there++) {
		bool appends = there % 2;
		struct str mail = begin_append(w, false, appends, &s);

		for (unsigned i = 0; i < 7; i++) {
			size_t from = i == 0 ? 0 : 24 + (i - 1) * 512;
			size_t to = i == 6 ? MAIL_MAX : 24 + i * 512;

			if (there & 1u << i)
				put(&s, mail, from, to);
		}
		assert_int_equal(end_append(w, &s, appends, mail, there),
		    there == (1 << 7) - 1);
	}
}

/* The end is not in the journal: what is whole is not touched any more. */
static void
test_after_append(void **state)
{
	struct world *w = *state;
	struct mbox_shift s;
	struct str mail;
	struct err e;
	bool lost;

	set_old(w, MAIL_AT);
	mail = begin_append(w, false, false, &s);
	put(&s, mail, 0, mail.n);
	assert_int_equal(file_sync_data(s.fd, "mbox", &e), 0);
	assert_int_equal(pwrite(s.fd, "AB", 2, MAIL_AT + 34), 2);
	append_to_file(w);
	shift_close(&s);
	s = shift_open(w);
	assert_int_equal(mbox_shift_recover(&s, &lost, &e), 0);
	assert_false(is_pending(&s));
	shift_close(&s);
	assert_int_equal(
	    read_file(w).n, MAIL_AT + MAIL_MAX + sizeof(appended) - 1);
	assert_memory_equal(read_file(w).p + MAIL_AT + 34, "AB", 2);
}

/* Who takes it out again is killed as well, at each call. */
static void
test_extend_twice(void **state)
{
	struct world *w = *state;

	set_old(w, MAIL_AT);
	for (unsigned at = 1;; at++) {
		struct mbox_shift s;
		struct str mail = begin_append(w, false, true, &s);
		int status;
		pid_t pid;

		/* Of a beginning that is missing, too. */
		put(&s, mail, at % 3 ? 0 : 536, 1500);
		shift_close(&s);
		pid = fork();
		assert_int_not_equal(pid, -1);
		if (pid == 0) {
			struct err e;
			bool lost;

			fault = at % 2 ? FAULT_HALF : FAULT_KILL;
			fault_at = at;
			calls = 0;
			is_armed = true;
			s = shift_open(w);
			_exit(mbox_shift_recover(&s, &lost, &e) == -1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		s = shift_open(w);
		assert_false(end_append(w, &s, true, mail, at));
		if (WEXITSTATUS(status) == 0)
			break;
		assert_int_equal(WEXITSTATUS(status), 9);
	}
}

/* Somebody has written another file meanwhile: it is left alone. */
static void
test_rewritten(void **state)
{
	struct world *w = *state;
	struct mbox_shift s;
	struct err e;
	bool ok, lost;
	struct str now;

	set_old(w, 5000);
	w->chunk = 300;
	edit(w, 100, 200, 0);
	write_file(w);
	(void)run(w, false, FAULT_KILL, 0, 8, &ok);
	assert_false(ok);
	fill(old_bytes, 5000, 99);
	write_file(w);
	s = shift_open(w);
	assert_true(is_pending(&s));
	assert_int_equal(mbox_shift_recover(&s, &lost, &e), 0);
	assert_true(lost);
	assert_false(is_pending(&s));
	shift_close(&s);
	now = read_file(w);
	assert_true(str_eq(now, w->old));
}

/* Without a descriptor for the journal nobody takes the file for whole. */
static void
test_journal_unread(void **state)
{
	struct rlimit had, none;
	struct world *w = *state;
	struct mbox_shift s;
	bool ok, lost, pending;
	struct err e;
	int fd;

	set_old(w, 5000);
	w->chunk = 300;
	edit(w, 100, 200, 0);
	write_file(w);
	(void)run(w, false, FAULT_KILL, 0, 8, &ok);
	s = shift_open(w);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = had.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(mbox_shift_look(&s, &pending, &e), -1);
	assert_int_equal(mbox_shift_recover(&s, &lost, &e), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
	assert_true(is_pending(&s));
	/* Nor is it somebody else's because it can not be read. */
	fd = s.fd;
	s.fd = open(w->path, O_WRONLY | O_CLOEXEC);
	assert_int_not_equal(s.fd, -1);
	assert_int_equal(mbox_shift_recover(&s, &lost, &e), -1);
	close(s.fd);
	s.fd = fd;
	assert_true(is_pending(&s));
	assert_int_equal(mbox_shift_recover(&s, &lost, &e), 0);
	assert_false(lost);
	shift_close(&s);
	check(w, false, 0, "journal unread", 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_shorter, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_longer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_same_length, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_large, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_extend, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_power_cut, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_after_append, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_extend_twice, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rewritten, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_journal_unread, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
