/* SPDX-License-Identifier: ISC */
/*
 * mbox_rename_test.c - RENAME is killed before each of its system calls, and
 * each of them is made to fail: afterwards there is one of both names, with the
 * mailboxes below it, and each has its identity and its annotations.
 */
#include "tests/lib/faults.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/log.h"
#include "store/mbox/mbox_impl.h"
#include "store/mbox/mbox_name.h"
#include "store/meta.h"
#include "store/notify.h"
#include "tests/lib/other_mbox.h"

/* Each fault is a process of its own, which a sanitizer makes slow. */
#ifdef RESTANTE_SANITIZE
#define FAULT_STRIDE 7
#else
#define FAULT_STRIDE 1
#endif

static struct said {
	bool acked;
	unsigned calls;
	unsigned kinds[ARRAY_LEN(fault_kinds)];
} * said;

static const char *const tails[] = {"", "/Sub", "/Sub/Deep"};
static char guids[3][33];

static void
guid_of(struct box *b, const char *name, char out[33])
{
	struct view *v = box_view(b, name, true);

	(void)snprintf(out, 33, "%s", mailbox_guid(view_mailbox(v)));
	view_close(&v);
}

static void
fill(struct box *b)
{
	const struct meta_entry comment = {
	    .name = STR("/private/comment"), .value = STR("one")};
	char name[50];
	struct err e;

	box_open(b);
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		struct meta_job job = {0};

		(void)snprintf(name, sizeof(name), "Other%s", tails[i]);
		if (store_create(b->store, str_of(name), &e) == -1 ||
		    meta_change(b->store, &job, str_of(name), &comment, NULL,
			&e) != STEP_DONE)
			fail_msg("%s: %s", name, e.text);
		guid_of(b, name, guids[i]);
	}
	box_close(b);
}

static bool
run_child(struct box *b)
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
		said->acked =
		    now_rename(b->store, STR("Other"), STR("New"), &e) == 0;
		faults_are_armed = false;
		said->calls = fault_calls;
		memcpy(said->kinds, fault_kinds, sizeof(fault_kinds));
		store_close(&b->store);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) != 0;
}

static bool
has_comment(struct box *b, const char *name)
{
	struct meta_entry *first, *x;
	struct arena a;
	struct err e;
	bool has;

	arena_init(&a);
	if (meta_load(b->store, str_of(name), &a, &first, &e) == -1)
		fail_msg("%s: %s", name, e.text);
	x = meta_find(first, STR("/private/comment"));
	has = x != NULL && str_eq(x->value, STR("one"));
	arena_done(&a);
	return has;
}

/* `opens`: a mailbox is opened before annotations are asked for. */
static void
check(struct box *b, const char *where, bool opens)
{
	char name[50], guid[33];
	const char *now;

	box_open(b);
	now = box_has(b, "mail/New") ? "New" : "Other";
	if (box_has(b, "mail/New") == box_has(b, "mail/Other"))
		fail_msg("%s: both, or neither", where);
	if (said->acked && strcmp(now, "New") != 0)
		fail_msg("%s: acknowledged, and not done", where);
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", now, tails[i]);
		if (!opens && !has_comment(b, name))
			fail_msg("%s: %s has no annotation", where, name);
		guid_of(b, name, guid);
		if (strcmp(guid, guids[i]) != 0)
			fail_msg("%s: %s has another identity", where, name);
		if (!has_comment(b, name))
			fail_msg("%s: %s has no annotation", where, name);
	}
	box_close(b);
}

static void
begin(struct box *b)
{
	log_set_level(LOG_LEVEL_FATAL);
	box_init_mbox(b);
	b->poll_only = true;
	fill(b);
}

static void
test_kills(UNUSED void **state)
{
	static unsigned calls_of[ARRAY_LEN(fault_kinds)];
	static const enum fault how[] = {FAULT_KILL, FAULT_HALF, FAULT_ERROR};
	char where[100];
	struct box b;
	unsigned total;

	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(said != MAP_FAILED);
	begin(&b);
	assert_false(run_child(&b));
	assert_true(said->acked);
	total = said->calls;
	memcpy(calls_of, said->kinds, sizeof(calls_of));
	check(&b, "whole", true);
	box_done(&b);
	fault_errno = ENOSPC;
	for (size_t k = 0; k < ARRAY_LEN(how); k++)
		for (fault_at = 1; fault_at <= total;
		     fault_at += FAULT_STRIDE) {
			if (how[k] == FAULT_ERROR &&
			    !(calls_of[fault_at] & CALLS_NO_SPACE))
				continue;
			(void)snprintf(where, sizeof(where),
			    "fault %zu at %u of %u", k, fault_at, total);
			fault = FAULT_NONE;
			begin(&b);
			fault = how[k];
			(void)run_child(&b);
			check(&b, where, fault_at % 2);
			box_done(&b);
		}
}

/* Who has the file locked is waited for, whatever name it has by then. */
static void
test_waits(UNUSED void **state)
{
	struct rename_job *job = NULL;
	struct other_mbox o;
	struct box b;
	struct err e;
	enum step step;

	begin(&b);
	box_open(&b);
	assert_true(other_lock(&o, box_path(&b, "mail/Other"), false));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
		    store_rename(b.store, STR("Other"), STR("New"), &job, &e),
		    STEP_MORE);
	assert_true(box_has(&b, "mail/Other"));
	other_unlock(&o);
	while ((step = store_rename(
		    b.store, STR("Other"), STR("New"), &job, &e)) == STEP_MORE)
		store_pause(b.store);
	assert_int_equal(step, STEP_DONE);
	rename_job_free(&job);
	assert_true(box_has(&b, "mail/New"));
	assert_false(box_has(&b, "mail/New.lock"));
	assert_false(box_has(&b, "mail/Other.lock"));
	/* Given up before anything has happened. */
	assert_true(other_lock(&o, box_path(&b, "mail/New"), false));
	assert_int_equal(
	    store_rename(b.store, STR("New"), STR("Third"), &job, &e),
	    STEP_MORE);
	rename_job_free(&job);
	other_unlock(&o);
	assert_true(box_has(&b, "mail/New"));
	assert_true(has_comment(&b, "New"));
	box_done(&b);
}

/* What a process leaves that is killed after it has moved the files. */
static int
leave_record(struct box *b, const char *from, const char *to)
{
	char path[300], text[200];
	struct stat st;
	int fd, n;

	(void)snprintf(path, sizeof(path), "mail/%s", to);
	assert_int_equal(stat(box_path(b, path), &st), 0);
	n = snprintf(text, sizeof(text),
	    "restante-rename 1\nino %llu\nfrom %s\nto %s\nend\n",
	    (unsigned long long)st.st_ino, from, to);
	(void)snprintf(path, sizeof(path), "%s/mbox/renaming", b->store->state);
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, (size_t)n), n);
	return fd;
}

static void
check_all(struct box *b, const char *top)
{
	char name[50], guid[33];

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", top, tails[i]);
		guid_of(b, name, guid);
		assert_string_equal(guid, guids[i]);
		assert_true(has_comment(b, name));
	}
}

static void
move_by_hand(struct box *b, const char *from, const char *to)
{
	char old[300];

	(void)snprintf(old, sizeof(old), "%s", box_path(b, from));
	assert_int_equal(rename(old, box_path(b, to)), 0);
}

/* One who waits for another that is killed then ends both. */
static void
test_killed_beside(UNUSED void **state)
{
	struct rename_job *job = NULL;
	struct box b;
	struct err e;
	enum step step;
	int fd;

	begin(&b);
	box_open(&b);
	move_by_hand(&b, "mail/Other", "mail/Mid");
	move_by_hand(&b, "mail/Other.sbd", "mail/Mid.sbd");
	fd = leave_record(&b, "Other", "Mid");
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(
	    store_rename(b.store, STR("Mid"), STR("New"), &job, &e), STEP_MORE);
	close(fd);
	while ((step = store_rename(
		    b.store, STR("Mid"), STR("New"), &job, &e)) == STEP_MORE)
		store_pause(b.store);
	assert_int_equal(step, STEP_DONE);
	rename_job_free(&job);
	box_close(&b);
	box_open(&b);
	check_all(&b, "New");
	box_done(&b);
}

/*
 * Another process is in the last part of a RENAME: neither goes a mailbox, nor
 * are annotations changed, before that is done.
 */
static void
test_others_wait(UNUSED void **state)
{
	const struct meta_entry comment = {
	    .name = STR("/private/comment"), .value = STR("two")};
	struct meta_job job = {0};
	unsigned phase = 0;
	enum step step;
	struct box b;
	struct err e;
	int fd;

	begin(&b);
	box_open(&b);
	move_by_hand(&b, "mail/Other", "mail/New");
	move_by_hand(&b, "mail/Other.sbd", "mail/New.sbd");
	fd = leave_record(&b, "Other", "New");
	assert_int_equal(flock(fd, LOCK_EX), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(
		    store_delete(b.store, STR("New"), &phase, &e), STEP_MORE);
		assert_int_equal(
		    meta_change(b.store, &job, STR("New"), &comment, NULL, &e),
		    STEP_MORE);
		assert_true(store_must_wait(b.store));
	}
	assert_true(box_has(&b, "mail/New"));
	close(fd);
	assert_int_equal(
	    meta_change(b.store, &job, STR("New"), &comment, NULL, &e),
	    STEP_DONE);
	while (
	    (step = store_delete(b.store, STR("New"), &phase, &e)) == STEP_MORE)
		;
	assert_int_equal(step, STEP_DONE);
	box_done(&b);
}

/* What has the old name by then keeps what is its own; `n`: so many have. */
static void
check_old_names(size_t n)
{
	const struct meta_entry comment = {
	    .name = STR("/private/comment"), .value = STR("two")};
	static const char *const again[] = {"Other", "Other/Sub"};
	char before[2][33], now[33];
	struct meta_job job = {0};
	struct box b;
	struct err e;

	begin(&b);
	box_open(&b);
	assert_int_equal(now_rename(b.store, STR("Other"), STR("New"), &e), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(
		    store_create(b.store, str_of(again[i]), &e), 0);
		assert_int_equal(meta_change(b.store, &job, str_of(again[i]),
				     &comment, NULL, &e),
		    STEP_DONE);
		guid_of(&b, again[i], before[i]);
	}
	box_close(&b);
	box_open(&b);
	close(leave_record(&b, "Other", "New"));
	check_all(&b, "New");
	for (size_t i = 0; i < n; i++) {
		guid_of(&b, again[i], now);
		assert_string_equal(now, before[i]);
	}
	box_done(&b);
}

static void
test_old_name_again(UNUSED void **state)
{
	check_old_names(1);
	check_old_names(2);
}

/* What has the new name by then is not the one that was renamed. */
static void
test_new_name_again(UNUSED void **state)
{
	char key[MBOX_KEY_BYTES], kept[300];
	struct box b;

	begin(&b);
	box_open(&b);
	mbox_key(box_path(&b, "mail/Other"), key);
	(void)snprintf(kept, sizeof(kept), "%s/mbox/%s", b.store->state, key);
	assert_int_equal(access(kept, F_OK), 0);
	move_by_hand(&b, "mail/Other", "mail/New");
	close(leave_record(&b, "Other", "New"));
	box_write(&b, "mail/Fresh", "");
	move_by_hand(&b, "mail/New", "mail/Away");
	move_by_hand(&b, "mail/Fresh", "mail/New");
	assert_true(mbox_rename_try_mend(b.store, &(struct err){0}));
	assert_false(mbox_rename_is_left(b.store));
	assert_int_equal(access(kept, F_OK), 0);
	box_done(&b);
}

/* With many mailboxes it goes in steps, and is finished when it is given up. */
static void
check_steps(bool gives_up)
{
	int64_t slice = store_slice_ms;
	struct rename_job *job = NULL;
	unsigned n_steps = 0;
	enum step step;
	char name[50], guid[33];
	struct box b;
	struct err e;

	begin(&b);
	box_open(&b);
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "more%u", i);
		assert_int_equal(store_create(b.store, str_of(name), &e), 0);
		guid_of(&b, name, guid);
	}
	store_slice_ms = 0;
	while ((step = store_rename(
		    b.store, STR("Other"), STR("New"), &job, &e)) == STEP_MORE)
		if (n_steps++ == 1 && gives_up)
			break;
	store_slice_ms = slice;
	rename_job_free(&job);
	assert_int_equal(step, gives_up ? STEP_MORE : STEP_DONE);
	assert_true(n_steps > 1);
	assert_false(mbox_rename_is_left(b.store));
	check_all(&b, "New");
	box_done(&b);
}

static void
test_steps(UNUSED void **state)
{
	check_steps(false);
	check_steps(true);
}

/* A kill amid what is kept of one: it is ended twice. */
static void
test_told_twice(UNUSED void **state)
{
	char key[MBOX_KEY_BYTES], path[300], told[400];
	struct box b;
	int fd;

	begin(&b);
	box_open(&b);
	mbox_key(box_path(&b, "mail/Other"), key);
	(void)snprintf(path, sizeof(path), "%s/mbox/%s", b.store->state, key);
	move_by_hand(&b, "mail/Other", "mail/New");
	mbox_key(box_path(&b, "mail/New"), key);
	(void)snprintf(
	    told, sizeof(told), "%s/mbox/%s.told", b.store->state, key);
	fd = open(told, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(access(path, F_OK), 0);
	close(leave_record(&b, "Other", "New"));
	assert_true(mbox_rename_try_mend(b.store, &(struct err){0}));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(told, F_OK), 0);
	box_done(&b);
}

/* No folder can be opened then: the record stays, and says what is left. */
static void
test_no_descriptors(UNUSED void **state)
{
	struct rlimit before, few;
	struct box b;
	struct err e;
	int fd;

	begin(&b);
	box_open(&b);
	move_by_hand(&b, "mail/Other", "mail/New");
	move_by_hand(&b, "mail/Other.sbd", "mail/New.sbd");
	close(leave_record(&b, "Other", "New"));
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)fd + 1; /* the record's */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	(void)mbox_rename_try_mend(b.store, &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(mbox_rename_is_left(b.store));
	check_all(&b, "New");
	assert_false(mbox_rename_is_left(b.store));
	box_done(&b);
}

static void
test_record(UNUSED void **state)
{
	static const char good[] =
	    "restante-rename 1\nino 12\nfrom a/b\nto c d\nend\n";
	static const char *const bad[] = {
	    "restante-rename 1\nino 12\nfrom ../b\nto c\nend\n",
	    "restante-rename 1\nino 12\nfrom a/./b\nto c\nend\n",
	    "restante-rename 1\nino 12\nfrom a\nto c/..\nend\n",
	    "restante-rename 1\nino 12\nfrom a\nto /c\nend\n",
	    "restante-rename 1\nino 12\nfrom a\nto c//d\nend\n",
	    "restante-rename 1\nino x\nfrom a\nto c\nend\n",
	    "restante-rename 1\nino 12\nto c\nend\n",
	    "restante-rename 2\nino 12\nfrom a\nto c\nend\n",
	};
	struct str from, to;
	uint64_t ino;

	assert_true(mbox_rename_parse(STR(good), &ino, &from, &to));
	assert_int_equal(ino, 12);
	assert_true(str_eq(from, STR("a/b")));
	assert_true(str_eq(to, STR("c d")));
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_false(
		    mbox_rename_parse(str_make(good, n), &ino, &from, &to));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(
		    mbox_rename_parse(str_of(bad[i]), &ino, &from, &to));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_record),
	    cmocka_unit_test(test_waits),
	    cmocka_unit_test(test_killed_beside),
	    cmocka_unit_test(test_others_wait),
	    cmocka_unit_test(test_old_name_again),
	    cmocka_unit_test(test_new_name_again),
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_told_twice),
	    cmocka_unit_test(test_no_descriptors),
	    cmocka_unit_test(test_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
