/* SPDX-License-Identifier: ISC */
/*
 * mbox_steps_test.c - a large mbox, or a lock that somebody else has, never
 * holds up the user's other sessions; and what the lock settings mean.
 */
#include "tests/lib/steps.h"

#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "store/mbox/mbox_impl.h"

#define F "From a@b Mon Mar  2 10:01:00 2026\n"
#define MSG(n) F "Subject: " n "\nMessage-ID: <" n "@x>\n\nbody " n "\n\n"
#define MANY 10000
#define BODY_BYTES 3000
#define INBOX "spool/joe"

static int
setup(void **state)
{
	struct box *b = mem_new(1, sizeof(*b));

	box_init_mbox(b);
	b->poll_only = true;
	box_write(b, "mail/other", MSG("o"));
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	store_slice_ms = 4; /* also behind a test that has failed */
	box_done(*state);
	free(*state);
	return 0;
}

/* About 30 MB, with the fields of another server or without any. */
static void
fill(const struct box *b, bool with_uids)
{
	FILE *f = fopen(box_path(b, INBOX), "w");
	char body[BODY_BYTES + 1];

	assert_non_null(f);
	for (size_t i = 0; i < BODY_BYTES; i++)
		body[i] = i % 70 == 69 ? '\n' : 'x';
	body[BODY_BYTES] = '\0';
	for (unsigned i = 1; i <= MANY; i++) {
		(void)fprintf(f, F "Subject: %u\nMessage-ID: <%u@x>\n", i, i);
		if (with_uids && i == 1)
			(void)fprintf(f, "X-IMAPbase: 7 %010d\n", MANY);
		if (with_uids)
			(void)fprintf(
			    f, "X-UID: %u          \nStatus: RO\n", i);
		(void)fprintf(f, "\n%s\n\n", body);
	}
	assert_int_equal(fclose(f), 0);
}

/* ---- large operations ---------------------------------------------------- */

static void
test_open(void **state)
{
	struct box *b = *state;
	struct view *v = NULL, *other;
	struct times t;
	enum step step;
	struct err e;

	fill(b, true);
	box_open(b);
	other = box_view(b, "other", false);
	times_begin(&t);
	do {
		step = STEP(&t, b->store,
		    view_open(b->store, STR("INBOX"), false, &v, &e));
		other_noop(&t, other);
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(view_count(v), MANY);
	assert_short_steps(&t, 4);
	view_close(&v);
	view_close(&other);
}

static void
test_expunge(void **state)
{
	struct box *b = *state;
	struct view *v, *beside, *other;
	uint32_t at = 0;
	struct times t;
	enum step step;
	struct err e;

	fill(b, true);
	box_open(b);
	other = box_view(b, "other", false);
	v = box_view(b, "INBOX", false);
	beside = box_view(b, "INBOX", false);
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	times_begin(&t);
	do {
		step = STEP(&t, b->store, view_expunge(v, NULL, &at, &e));
		other_noop(&t, other);
		/* In the same mailbox flags are changed meanwhile. */
		if (t.steps == 3)
			assert_int_equal(box_store(beside, 2, 2, STORE_ADD,
					     FLAG_FLAGGED, NULL, &e),
			    0);
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_short_steps(&t, 5);
	(void)box_sync(beside, true);
	assert_int_equal(view_count(beside), MANY - 1);
	view_close(&v);
	view_close(&beside);
	view_close(&other);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", true);
	assert_int_equal(view_count(v), MANY - 1);
	assert_int_equal(view_uid(v, 1), 2);
	assert_string_equal(box_flags(v, 2), "FS");
	view_close(&v);
}

static void
deliver(const struct box *b, const char *text)
{
	FILE *f = fopen(box_path(b, INBOX), "a");

	assert_non_null(f);
	assert_true(fputs(text, f) > 0);
	assert_int_equal(fclose(f), 0);
}

/*
 * A session that looks while another one's change is on its way waits for that,
 * and has then what is there: a whole reading would be for nothing.
 */
static void
test_sync_behind_change(void **state)
{
	static const struct view_sink quiet;
	struct box *b = *state;
	struct view *v, *beside;
	uint32_t at = 0;
	enum step step;
	struct mbox *mb;
	struct err e;

	fill(b, true);
	box_open(b);
	v = box_view(b, "INBOX", false);
	beside = box_view(b, "INBOX", false);
	mb = mbox_of(view_mailbox(v));
	assert_int_equal(
	    box_store(v, MANY / 2, MANY / 2, STORE_ADD, FLAG_DELETED, NULL, &e),
	    0);
	/* Came before it, and is found by it. */
	deliver(b, MSG("new"));
	store_slice_ms = 0;
	do
		assert_int_equal(view_expunge(v, NULL, &at, &e), STEP_MORE);
	while (!mb->is_moving);
	do {
		step = view_sync(beside, true, &quiet, NULL, &e);
		assert_int_not_equal(mb->sync, MBOX_SYNC_LOOK);
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(view_count(beside), MANY);
	assert_int_equal(view_uid(beside, MANY), MANY + 1);
	/* Nor is what comes now overlooked. */
	deliver(b, MSG("newer"));
	(void)box_sync(beside, true);
	assert_int_equal(view_count(beside), MANY + 1);
	view_close(&v);
	view_close(&beside);
}

static void
test_copy(void **state)
{
	struct box *b = *state;
	struct view *v, *other;
	struct set32 all = box_set(1, MANY);
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	struct times t;
	enum step step;
	struct err e;

	fill(b, true);
	box_write(b, "mail/to", "");
	box_open(b);
	other = box_view(b, "other", false);
	v = box_view(b, "INBOX", false);
	times_begin(&t);
	do {
		step = STEP(&t, b->store,
		    view_copy(v, &all, STR("to"), false, &job, &r, &e));
		other_noop(&t, other);
	} while (step == STEP_MORE);
	if (step == STEP_FAIL)
		fail_msg("%s", e.text);
	assert_short_steps(&t, 10);
	assert_int_equal(set32_count(&r.to), MANY);
	copy_job_free(&job);
	set32_done(&all);
	set32_done(&r.from);
	set32_done(&r.to);
	view_close(&v);
	view_close(&other);
}

static void
change_and_deliver(const struct box *b, const char *status)
{
	char line[200];
	FILE *f = fopen(box_path(b, INBOX), "r+");
	assert_non_null(f);
	do
		assert_non_null(fgets(line, sizeof(line), f));
	while (strncmp(line, "X-UID: 3000 ", 12) != 0);
	assert_int_equal(fseek(f, 0, SEEK_CUR), 0);
	assert_true(fputs(status, f) > 0);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	assert_true(fputs(MSG("new"), f) > 0);
	assert_int_equal(fclose(f), 0);
}

/*
 * Mail came, and another program changed a flag of a message far before it:
 * all headers are looked at again, some at a time.
 */
static void
test_flags_of_others(void **state)
{
	static const struct view_sink quiet;
	int64_t freshen_ms = mbox_tuning.freshen_ms;
	struct box *b = *state;
	struct view *v, *other;
	struct times t;
	enum step step;
	struct err e;

	fill(b, true);
	box_open(b);
	mbox_tuning.freshen_ms = 0;
	other = box_view(b, "other", false);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 3000), "S");
	change_and_deliver(b, "Status: O ");
	times_begin(&t);
	do {
		step = STEP(&t, b->store, view_sync(v, true, &quiet, NULL, &e));
		other_noop(&t, other);
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(view_count(v), MANY + 1);
	assert_int_equal(view_mailbox(v)->unsure_top, 0);
	assert_short_steps(&t, 4);
	assert_string_equal(box_flags(v, 3000), "");
	mbox_tuning.freshen_ms = freshen_ms;
	view_close(&v);
	view_close(&other);
}

/* What asks for flags before it is time to look at them. */
enum asker { BY_FETCH, BY_STATUS, BY_EXPUNGE, BY_COPY, BY_STORE };

static enum step
ask(struct box *b, struct view *v, enum asker who)
{
	static uint32_t at;
	static struct copy_job *job;
	static struct status_job *status;
	static struct copy_result r;
	const struct flag_wish wish = {.system = FLAG_FLAGGED};
	struct set32 one = box_set(3000, 3000);
	struct mailbox_status st;
	enum step step = STEP_FAIL;
	struct err e;

	switch (who) {
	case BY_FETCH:
		step = view_freshen(v, &one, 0);
		break;
	case BY_STORE:
		step =
		    view_store(v, &one, STORE_ADD, &wish, true, &at, NULL, &e);
		break;
	case BY_EXPUNGE:
		step = view_expunge(v, &one, &at, &e);
		break;
	case BY_COPY:
		step = view_copy(v, &one, STR("other"), false, &job, &r, &e);
		break;
	case BY_STATUS:
		step = store_status(
		    b->store, STR("INBOX"), false, &status, &st, &e);
		if (step == STEP_DONE)
			assert_int_equal(st.unseen, 2); /* both new ones */
		break;
	}
	set32_done(&one);
	if (step == STEP_MORE)
		return step;
	at = 0;
	copy_job_free(&job);
	status_job_free(&status);
	set32_done(&r.from);
	set32_done(&r.to);
	return step;
}

static void
check_asked(struct box *b, enum asker who)
{
	const struct timespec tick = {.tv_nsec = 2000 * MBOX_RACY_US};
	bool is_seen = who % 2 == 1; /* before, it was the other way round */
	struct view *v, *other;
	struct times t;
	enum step step;

	box_open(b);
	other = box_view(b, "other", false);
	v = box_view(b, "INBOX", false);
	assert_string_equal(box_flags(v, 3000), is_seen ? "" : "S");
	change_and_deliver(b, is_seen ? "Status: RO" : "Status: O ");
	/* Else all is read, to be sure. */
	(void)nanosleep(&tick, NULL);
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), MANY + 1 + who);
	assert_int_equal(view_mailbox(v)->unsure_top, MANY + who);
	times_begin(&t);
	do {
		step = STEP(&t, b->store, ask(b, v, who));
		other_noop(&t, other);
	} while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(view_mailbox(v)->unsure_top, 0);
	assert_short_steps(&t, 4);
	assert_string_equal(box_flags(v, 3000),
	    who == BY_STORE ? "F"
		: is_seen   ? "S"
			    : "");
	view_close(&v);
	view_close(&other);
	box_close(b);
}

static void
test_flags_asked_for(void **state)
{
	/* Else the sync looks at them itself, once that is slow. */
	int64_t freshen_ms = mbox_tuning.freshen_ms;
	int64_t slice_ms = store_slice_ms;

	store_slice_ms = 1; /* on a quick machine it is soon done */
	mbox_tuning.freshen_ms = 1000000;
	fill(*state, true);
	for (int who = BY_FETCH; who <= BY_STORE; who++)
		check_asked(*state, (enum asker)who);
	mbox_tuning.freshen_ms = freshen_ms;
	store_slice_ms = slice_ms;
}

/* Many names, in folders in folders. */
static void
test_list(void **state)
{
	struct box *b = *state;
	struct list_job *job = NULL;
	struct mbox_entry *first = NULL;
	struct view *other;
	struct times t;
	struct arena a;
	int64_t slice_ms = store_slice_ms;
	unsigned n = 0;
	char name[80];
	enum step step;
	struct err e;
	int fd;

	for (unsigned i = 0; i < 3000; i++) {
		if (i % 100 == 0) {
			(void)snprintf(name, sizeof(name), "mail/d%u", i / 100);
			assert_int_equal(mkdir(box_path(b, name), 0700), 0);
		}
		(void)snprintf(name, sizeof(name), "mail/d%u/f%u", i / 100, i);
		fd = openat(AT_FDCWD, box_path(b, name),
		    O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_int_not_equal(fd, -1);
		close(fd);
	}
	box_open(b);
	other = box_view(b, "other", false);
	store_slice_ms = 1; /* of names there are never so many */
	arena_init(&a);
	times_begin(&t);
	do {
		step = STEP(&t, b->store,
		    store_list(b->store, LIST_EXISTING, &a, &job, &first, &e));
		other_noop(&t, other);
	} while (step == STEP_MORE);
	store_slice_ms = slice_ms;
	assert_int_equal(step, STEP_DONE);
	for (; first != NULL; first = first->next)
		n++;
	/* And INBOX, "other", the folders, others that there are for all. */
	assert_true(n >= 3000 + 2 + 30);
	assert_short_steps(&t, 2);
	list_job_free(&job);
	arena_done(&a);
	view_close(&other);
}

/* Given up at many steps: the target is as it was, nothing is locked. */
static void
test_copy_given_up(void **state)
{
	struct box *b = *state;
	struct set32 all = box_set(1, MANY);
	struct view *v;

	fill(b, true);
	box_write(b, "mail/to", MSG("1"));
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (unsigned steps = 1;; steps += 17) {
		struct copy_job *job = NULL;
		struct copy_result r = {0};
		enum step step = STEP_MORE;
		struct stat st;
		struct err e;

		for (unsigned i = 0; i < steps && step == STEP_MORE; i++)
			step =
			    view_copy(v, &all, STR("to"), false, &job, &r, &e);
		copy_job_free(&job);
		set32_done(&r.from);
		set32_done(&r.to);
		assert_false(box_has(b, "mail/to.lock"));
		assert_int_equal(stat(box_path(b, "mail/to"), &st), 0);
		/* Done, or too late to give it up. */
		if (step == STEP_DONE || st.st_size > MANY * BODY_BYTES)
			break;
		assert_int_equal(step, STEP_MORE);
		assert_true(st.st_size < 1000);
	}
	set32_done(&all);
	view_close(&v);
	v = box_view(b, "to", true);
	assert_int_equal(view_count(v), MANY + 1);
	view_close(&v);
}

/* ---- locks --------------------------------------------------------------- */

enum way { BY_FCNTL, BY_FLOCK, BY_DOTLOCK };

/* Another program has it, until the descriptor is closed. */
static int
hold(const struct box *b, enum way way)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(box_path(b, INBOX), O_RDWR | O_CLOEXEC);

	assert_true(fd != -1);
	switch (way) {
	case BY_FCNTL:
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
		break;
	case BY_FLOCK:
		assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
		break;
	case BY_DOTLOCK:
		box_write(b, INBOX ".lock", "1:elsewhere");
		break;
	}
	return fd;
}

static void
let_go(const struct box *b, enum way way, int fd)
{
	if (way == BY_DOTLOCK)
		box_unlink(b, INBOX ".lock");
	close(fd);
}

static struct append *
begin_append(struct box *b)
{
	const struct flag_wish w = {.system = FLAG_SEEN};
	struct append *a;
	struct err e;

	assert_int_equal(now_append_begin(b->store, STR("INBOX"), &a, &e), 0);
	assert_int_equal(append_message(a, &w, -1, 8, &e), 0);
	assert_int_equal(append_data(a, STR("A: b\n\nc\n"), &e), 0);
	return a;
}

/* An APPEND waits, another session works, then the lock is let go of. */
static void
check_waits(struct box *b, enum way way)
{
	struct view *other;
	struct append *a;
	struct set32 uids;
	uint32_t validity;
	struct times t;
	enum step step;
	struct err e;
	int fd;

	box_write(b, INBOX, MSG("1"));
	box_open(b);
	other = box_view(b, "other", false);
	set32_init(&uids);
	a = begin_append(b);
	fd = hold(b, way);
	times_begin(&t);
	while (t.waits < 6) {
		step =
		    STEP(&t, b->store, append_commit(a, &validity, &uids, &e));
		assert_int_equal(step, STEP_MORE);
		other_noop(&t, other);
	}
	if (t.others_us > 100000)
		fail_msg("another session waited");
	let_go(b, way, fd);
	assert_int_equal(now_append_commit(a, &validity, &uids, &e), 0);
	assert_int_equal(set32_count(&uids), 1);
	append_free(&a);
	set32_done(&uids);
	view_close(&other);
	assert_non_null(strstr(box_read(b, INBOX), "A: b\n"));
	box_close(b);
}

static void
test_waits(void **state)
{
	struct box *b = *state;

	check_waits(b, BY_FCNTL);
	check_waits(b, BY_DOTLOCK);
	b->write_locks = "dotlock flock";
	check_waits(b, BY_DOTLOCK);
	check_waits(b, BY_FLOCK);
}

/* What is not in the list is not looked at. */
static void
test_not_listed(void **state)
{
	struct box *b = *state;
	static const struct {
		const char *locks;
		enum way held;
	} all[] = {
	    {"fcntl", BY_DOTLOCK},
	    {"dotlock", BY_FCNTL},
	    {"fcntl dotlock", BY_FLOCK},
	    {"flock", BY_FCNTL},
	};

	b->read_locks = "";
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct append *a;
		struct set32 uids;
		uint32_t validity;
		struct err e;
		int fd;

		b->write_locks = all[i].locks;
		box_write(b, INBOX, MSG("1"));
		box_open(b);
		set32_init(&uids);
		a = begin_append(b);
		fd = hold(b, all[i].held);
		if (now_append_commit(a, &validity, &uids, &e) == -1)
			fail_msg("%s: %s", all[i].locks, e.text);
		let_go(b, all[i].held, fd);
		append_free(&a);
		set32_done(&uids);
		box_close(b);
	}
}

static void
test_parse(UNUSED void **state)
{
	static const struct {
		const char *words;
		enum mbox_lock_way ways[MBOX_LOCKS_MAX];
	} all[] = {
	    {"fcntl dotlock", {MBOX_FCNTL, MBOX_DOTLOCK}},
	    {"dotlock_try  Flock", {MBOX_DOTLOCK_TRY, MBOX_FLOCK}},
	    {"lockf", {MBOX_FCNTL}},
	    {"", {MBOX_NO_LOCK}},
	    {"nonsense", {MBOX_NO_LOCK}},
	    {NULL, {MBOX_FCNTL}},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct mbox_locks l;
		size_t n = 0;

		mbox_locks_parse(all[i].words, MBOX_READ_LOCKS, &l);
		for (; n < MBOX_LOCKS_MAX && all[i].ways[n] != MBOX_NO_LOCK;
		     n++)
			assert_int_equal(l.ways[n], all[i].ways[n]);
		assert_int_equal(l.n, n);
	}
}

/* Then it is refused, and the reason says who has the lock. */
static void
test_time_limit(void **state)
{
	struct box *b = *state;
	char holder[60];

	(void)snprintf(holder, sizeof(holder), "process %ld", (long)getppid());
	b->lock_timeout_s = 1;
	for (enum way way = BY_FCNTL; way <= BY_DOTLOCK; way++) {
		struct append *a;
		struct set32 uids;
		uint32_t validity;
		char text[40];
		struct err e;
		int fd;

		b->write_locks = way == BY_FLOCK ? "flock" : NULL;
		box_write(b, INBOX, MSG("1"));
		box_open(b);
		set32_init(&uids);
		a = begin_append(b);
		fd = hold(b, way);
		if (way == BY_DOTLOCK) {
			(void)snprintf(
			    text, sizeof(text), "%ld", (long)getppid());
			box_write(b, INBOX ".lock", text);
		}
		assert_int_equal(
		    now_append_commit(a, &validity, &uids, &e), -1);
		assert_int_equal(e.code, ERR_IN_USE);
		assert_non_null(strstr(e.text, "waited 1 s"));
		assert_non_null(strstr(e.text,
		    way == BY_FCNTL       ? "(fcntl)"
			: way == BY_FLOCK ? "(flock)"
					  : holder));
		let_go(b, way, fd);
		append_free(&a);
		set32_done(&uids);
		assert_null(strstr(box_read(b, INBOX), "A: b"));
		box_close(b);
	}
}

/* A lock of a program that is not there any more. */
static void
test_stale(void **state)
{
	struct box *b = *state;
	struct timespec ts[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct append *a;
	struct set32 uids;
	uint32_t validity;
	struct err e;
	int status;
	char text[80];
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	box_write(b, INBOX, MSG("1"));
	box_open(b);
	set32_init(&uids);
	a = begin_append(b);
	(void)snprintf(text, sizeof(text), "%ld:%s", (long)pid, dotlock_host());
	box_write(b, INBOX ".lock", text);
	assert_int_equal(
	    utimensat(AT_FDCWD, box_path(b, INBOX ".lock"), ts, 0), 0);
	assert_int_equal(now_append_commit(a, &validity, &uids, &e), 0);
	assert_false(box_has(b, INBOX ".lock"));
	append_free(&a);
	set32_done(&uids);
}

/* STORE waits for nobody, and what it says is written when that is possible. */
static void
test_store_while_locked(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;
	int fd;

	box_write(b, INBOX, MSG("1"));
	box_open(b);
	v = box_view(b, "INBOX", false);
	fd = hold(b, BY_DOTLOCK);
	assert_int_equal(
	    box_store(v, 1, 1, STORE_ADD, FLAG_FLAGGED, "word", &e), 0);
	assert_string_equal(box_flags(v, 1), "Fr word");
	assert_null(strstr(box_read(b, INBOX), "X-Status: F"));
	let_go(b, BY_DOTLOCK, fd);
	view_close(&v);
	assert_non_null(strstr(box_read(b, INBOX), "X-Status: F"));
	assert_non_null(strstr(box_read(b, INBOX), "X-Keywords: word"));
}

/* A message is read while somebody has the file for writing. */
static void
test_read_while_locked(void **state)
{
	struct box *b = *state;
	char text[100];
	struct msg *m;
	struct view *v;
	struct err e;
	size_t got;
	int fd;

	box_write(b, INBOX, MSG("1"));
	box_open(b);
	v = box_view(b, "INBOX", false);
	fd = hold(b, BY_FCNTL);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(msg_ready(m, &e), STEP_DONE);
	assert_int_equal(msg_read(m, 0, text, sizeof(text), &got, &e), 0);
	assert_true(got > 10);
	msg_close(&m);
	let_go(b, BY_FCNTL, fd);
	view_close(&v);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_open),
	    TEST(test_expunge),
	    TEST(test_sync_behind_change),
	    TEST(test_flags_of_others),
	    TEST(test_flags_asked_for),
	    TEST(test_list),
	    TEST(test_copy),
	    TEST(test_copy_given_up),
	    TEST(test_waits),
	    TEST(test_not_listed),
	    TEST(test_parse),
	    TEST(test_time_limit),
	    TEST(test_stale),
	    TEST(test_store_while_locked),
	    TEST(test_read_while_locked),
	};
	int rc;

	log_set_level(LOG_LEVEL_ERROR);
	(void)setenv("TZ", "UTC", 1);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
