/* SPDX-License-Identifier: ISC */
/*
 * share_crash_test.c - SETACL and DELETEACL are killed before each of their
 * system calls, and each of them is made to fail: what others can do at the
 * files then is no more than they could before or shall afterwards, as the
 * kernel says it to a process of theirs, and the same change once more completes
 * it.
 */
#include <dirent.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "store/share.h"
#include "tests/lib/faults.h"
#include "tests/lib/test_store.h"

#define ALICE 29001
#define BOB 29002
#define CAROL 29003

/* NOLINTBEGIN: the names are those of the C library. */
int
fsetxattr(int fd, const char *name, const void *v, size_t n, int flags)
{
	return fault_now(CALL_NAME)
	    ? -1
	    : (int)syscall(SYS_fsetxattr, fd, name, v, n, flags);
}

int
setxattr(const char *path, const char *name, const void *v, size_t n, int flags)
{
	return fault_now(CALL_NAME)
	    ? -1
	    : (int)syscall(SYS_setxattr, path, name, v, n, flags);
}

int
fremovexattr(int fd, const char *name)
{
	return fault_now(CALL_NAME) ? -1
				    : (int)syscall(SYS_fremovexattr, fd, name);
}

int
removexattr(const char *path, const char *name)
{
	return fault_now(CALL_NAME) ? -1
				    : (int)syscall(SYS_removexattr, path, name);
}

int
fchmod(int fd, mode_t mode)
{
	return fault_now(CALL_NAME) ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

/* Looks count only where a test says so: there are many. */
static bool looks_fail;

static bool
look_fails(void)
{
	return looks_fail && fault_now(CALL_NAME);
}

int
openat(int at, const char *name, int flags, ...)
{
	unsigned mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, unsigned);
	va_end(args);
	return look_fails() ? -1
			    : (int)syscall(SYS_openat, at, name, flags, mode);
}

int
open(const char *name, int flags, ...)
{
	unsigned mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, unsigned);
	va_end(args);
	return look_fails()
	    ? -1
	    : (int)syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

DIR *
opendir(const char *name)
{
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd == -1 ? NULL : fdopendir(fd);
}

ssize_t
fgetxattr(int fd, const char *name, void *v, size_t n)
{
	return look_fails() ? -1 : syscall(SYS_fgetxattr, fd, name, v, n);
}

ssize_t
getxattr(const char *path, const char *name, void *v, size_t n)
{
	return look_fails() ? -1 : syscall(SYS_getxattr, path, name, v, n);
}
/* NOLINTEND */

/* ---- a home, and what others can do there --------------------------------------- */

/* Below the home; others' rights at each are probed. */
static const char *const folders[] = {"", "/Maildir", "/Maildir/cur",
    "/Maildir/new", "/Maildir/tmp", "/Maildir/.S", "/Maildir/.S/cur",
    "/Maildir/.S/new", "/Maildir/.S/tmp", "/Maildir/.T", "/Maildir/.T/cur",
    "/Maildir/.T/new", "/Maildir/.T/tmp"};
static const char *const files[] = {"/Maildir/cur/1.M1.h:2,S",
    "/Maildir/.S/cur/1.M1.h:2,S", "/Maildir/.S/cur/2.M1.h:2,",
    "/Maildir/.S/new/3.M1.h", "/Maildir/.S/dovecot-uidlist",
    "/Maildir/.S/dovecot-acl", "/Maildir/.T/cur/1.M1.h:2,S"};

#define N_PATHS (ARRAY_LEN(folders) + ARRAY_LEN(files))

struct said {
	uint8_t can[2][N_PATHS]; /* bob, carol: R_OK, W_OK, X_OK */
	unsigned calls;
	bool done;
	struct err e;
};

static struct said *said;
static char dir[64];
static bool is_umask_022; /* the home alone is closed */

static const char *
path_of(size_t i)
{
	static char path[200];

	(void)snprintf(path, sizeof(path), "%s/alice%s", dir,
	    i < ARRAY_LEN(folders) ? folders[i]
				   : files[i - ARRAY_LEN(folders)]);
	return path;
}

static void
remove_all(void)
{
	struct err e;

	assert_int_equal(file_remove_tree(AT_FDCWD, dir, &e), 0);
}

static void
make_home(const char *user, uid_t sysuid)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, user);
	if (mkdir(path, 0700) == -1)
		assert_int_equal(errno, EEXIST);
	assert_int_equal(chown(path, sysuid, sysuid), 0);
}

static void
prepare(void)
{
	(void)snprintf(dir, sizeof(dir), "%s/share-crash.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	make_home("bob", BOB);
	make_home("carol", CAROL);
	make_home("alice", ALICE);
	for (size_t i = 1; i < N_PATHS; i++) {
		const char *path = path_of(i);

		if (i < ARRAY_LEN(folders)) {
			assert_int_equal(mkdir(path, 0700), 0);
			if (is_umask_022)
				assert_int_equal(chmod(path, 0755), 0);
		} else if (strstr(path, "dovecot-acl") == NULL) {
			int fd = open(path, O_WRONLY | O_CREAT,
			    is_umask_022 ? 0644 : 0600);
			const char *text = strstr(path, "uidlist") != NULL
			    ? "3 V1 N1 G620a5138f51b026bb745000083ecc375\n"
			    : TEST_MSG;

			assert_int_equal(write(fd, text, strlen(text)),
			    (ssize_t)strlen(text));
			close(fd);
		} else {
			continue;
		}
		assert_int_equal(chown(path, ALICE, ALICE), 0);
	}
}

static void
become(uid_t sysuid)
{
	if (setgroups(0, NULL) == -1 || setgid(sysuid) == -1 ||
	    setuid(sysuid) == -1)
		_exit(3);
}

static int
wait_for(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
probe(void)
{
	static const uid_t who[] = {BOB, CAROL};

	for (size_t u = 0; u < 2; u++) {
		pid_t pid = fork();

		if (pid == 0) {
			become(who[u]);
			for (size_t i = 0; i < N_PATHS; i++) {
				said->can[u][i] = 0;
				for (int how = 1; how <= 4; how *= 2)
					if (access(path_of(i), how) == 0)
						said->can[u][i] |= (uint8_t)how;
			}
			_exit(0);
		}
		assert_int_equal(wait_for(pid), 0);
	}
}

/* ---- changes --------------------------------------------------------------------- */

struct change {
	const char *mailbox, *id, *rights; /* NULL: DELETEACL */
};

static int
change(const struct change *c, struct err *e)
{
	struct acl_change what = {.op = ACL_DELETE};
	struct share_result result = {0};
	struct share_job *job = NULL;
	char home[100];
	const struct store_settings set = {
	    .user = "alice",
	    .home = home,
	    .mail_location = "maildir:~/Maildir",
	    .poll_only = true,
	};
	struct store *s;
	enum step step;

	(void)snprintf(home, sizeof(home), "%s/alice", dir);
	if (!acl_id_parse(str_of(c->id), &what.id))
		return -1;
	if (c->rights != NULL) {
		what.op = ACL_REPLACE;
		if (!acl_rights_parse(str_of(c->rights), &what.rights))
			return -1;
	}
	if (store_open(&set, NULL, &s, e) == -1)
		return -1;
	fault_calls = 0;
	faults_are_armed = true;
	do
		step = store_acl_change(
		    s, str_of(c->mailbox), &what, &job, &result, e);
	while (step == STEP_MORE);
	faults_are_armed = false;
	share_job_free(&job);
	store_close(&s);
	return step == STEP_DONE ? 0 : -1;
}

static void
run(const struct change *c, enum fault how, unsigned at)
{
	pid_t pid;
	int status;

	said->done = false;
	said->calls = 0;
	fault = how;
	fault_at = at;
	fault_errno = looks_fail ? EMFILE : ENOSPC;
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		log_set_level(LOG_LEVEL_FATAL);
		become(ALICE);
		said->done = change(c, &said->e) == 0;
		said->calls = fault_calls;
		_exit(0);
	}
	status = wait_for(pid);
	assert_true(status == 0 || status == FAULT_EXIT);
}

static void
must(const struct change *c)
{
	run(c, FAULT_NONE, 0);
	if (!said->done)
		fail_msg("%s %s: %s", c->mailbox, c->id, said->e.text);
	probe();
}

static void
try_all(const struct change *first, const struct change *c, enum fault how)
{
	uint8_t before[2][N_PATHS], after[2][N_PATHS];
	unsigned total;

	prepare();
	if (first != NULL)
		must(first);
	probe();
	memcpy(before, said->can, sizeof(before));
	must(c);
	total = said->calls;
	memcpy(after, said->can, sizeof(after));
	assert_memory_not_equal(before, after, sizeof(before));
	remove_all();
	assert_true(total > 3);
	for (unsigned n = 1; n <= total; n++) {
		prepare();
		if (first != NULL)
			must(first);
		run(c, how, n);
		probe();
		for (size_t u = 0; u < 2; u++)
			for (size_t i = 0; i < N_PATHS; i++)
				if ((said->can[u][i] & ~before[u][i] &
					~after[u][i]) != 0)
					fail_msg(
					    "%s %s at call %u of %u, %s: %s: "
					    "%zu %d",
					    c->mailbox, c->id, n, total,
					    looks_fail ? "looks" : "changes",
					    path_of(i), u, said->can[u][i]);
		must(c);
		if (memcmp(after, said->can, sizeof(after)) != 0)
			fail_msg("%s %s at call %u of %u: not completed",
			    c->mailbox, c->id, n, total);
		remove_all();
	}
}

static const struct change gives[] = {
    {"S", "bob", "lr"},
    {"S", "bob", "lrswite"},
    {"S", "anyone", "lr"},
    {"INBOX", "bob", "lr"},
};

static void
test_given(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(gives); i++) {
		try_all(NULL, &gives[i], FAULT_KILL);
		try_all(NULL, &gives[i], FAULT_ERROR);
	}
}

static void
test_taken(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(gives); i++) {
		struct change back = gives[i];

		back.rights = NULL;
		try_all(&gives[i], &back, FAULT_KILL);
		try_all(&gives[i], &back, FAULT_ERROR);
	}
}

/* More for one who has some; all but one for all. */
static void
test_changed(UNUSED void **state)
{
	static const struct change more = {"S", "bob", "lrswite"},
				   less = {"S", "bob", "l"},
				   not_he = {"S", "-bob", "lr"};

	try_all(&gives[0], &more, FAULT_KILL);
	try_all(&gives[1], &less, FAULT_KILL);
	try_all(&gives[2], &not_he, FAULT_KILL);
}

/* What can not be looked at is not taken for closed. */
static void
test_looks_fail(UNUSED void **state)
{
	static const struct change back = {"S", "bob", NULL};

	is_umask_022 = true;
	try_all(NULL, &gives[0], FAULT_KILL);
	looks_fail = true;
	try_all(NULL, &gives[0], FAULT_ERROR);
	try_all(NULL, &gives[3], FAULT_ERROR);
	is_umask_022 = false;
	try_all(&gives[0], &back, FAULT_ERROR);
	looks_fail = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_looks_fail),
	    cmocka_unit_test(test_given),
	    cmocka_unit_test(test_taken),
	    cmocka_unit_test(test_changed),
	};

	if (geteuid() != 0) {
		(void)puts("skipped: needs uids");
		return 0;
	}
	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (said == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
