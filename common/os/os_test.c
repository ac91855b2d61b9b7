/* SPDX-License-Identifier: ISC */
/* os_test.c - processes, identity, and what a confined process can not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/exec_env.h"
#include "os/fd.h"
#include "os/priv.h"
#include "os/proc.h"
#include "os/rng.h"
#include "os/sandbox.h"

static const char *const env[] = {"PATH=/bin:/usr/bin", NULL};

static int
wait_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
test_spawn(UNUSED void **state)
{
	/* The pair's far end arrives as 3; 4 is not open. */
	const char *const args[] = {"-c",
	    "for n in 4 15 16 31 32 200; do test ! -e /proc/self/fd/$n || "
	    "exit 1; done; echo ok >&3; exit 7",
	    NULL};
	struct proc_start start = {.path = "/bin/sh",
	    .name = "sh",
	    .args = args,
	    .env = env,
	    .n_fds = 4};
	char room[PROC_EXIT_TEXT_MAX], line[8] = "";
	int fds[4], pipes[2], status;
	struct err e;
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	fds[0] = -1;
	fds[1] = 1;
	fds[2] = 2;
	fds[3] = pipes[1];
	start.fds = fds;
	assert_int_equal(dup2(pipes[0], 200), 200);
	assert_int_equal(proc_spawn(&start, &pid, &e), 0);
	assert_int_not_equal(fcntl(200, F_GETFD), -1);
	assert_int_equal(close(200), 0);
	status = wait_status(pid);
	assert_string_equal(
	    proc_exit_text(status, room, sizeof(room)), "exited with status 7");
	assert_int_equal(read(pipes[0], line, sizeof(line)), 3);
	assert_memory_equal(line, "ok\n", 3);
	start.path = "/nonexistent";
	assert_int_equal(proc_spawn(&start, &pid, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(proc_exit_text(SIGSEGV, room, sizeof(room)),
	    "killed by signal 11 (Segmentation fault)");
	/* The other end is open nowhere: nothing of a child stays here. */
	fd_close(&pipes[1]);
	assert_int_equal(read(pipes[0], line, sizeof(line)), 0);
	fd_close(&pipes[0]);
}

static void
test_memfile(UNUSED void **state)
{
	struct err e;
	struct buf b;
	int fd = fd_memfile("test", STR("a = b\n"), &e);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "x", 1), -1);
	buf_init(&b, 5);
	assert_int_equal(fd_read_all(fd, &b, &e), -1);
	assert_int_equal(e.code, ERR_LIMIT);
	fd_close(&fd);
	buf_done(&b);
}

static void
test_rng(UNUSED void **state)
{
	unsigned seen = 0;

	for (int i = 0; i < 1000; i++) {
		uint32_t v = rng_below(5);

		assert_true(v < 5);
		seen |= 1U << v;
	}
	assert_int_equal(seen, 31);
}

static void
test_drop(UNUSED void **state)
{
	struct err e;
	pid_t pid;

	assert_int_equal(priv_drop(0, 0, NULL, 0, &e), -1);
	if (!priv_is_root())
		skip();
	pid = fork();
	if (pid == 0) {
		if (priv_drop(12345, 12346, NULL, 0, &e) == -1)
			_exit(1);
		if (getuid() != 12345 || getgid() != 12346 || seteuid(0) == 0 ||
		    !priv_has_no_caps())
			_exit(2);
		_exit(0);
	}
	assert_int_equal(wait_status(pid), 0);
	pid = fork();
	if (pid == 0) {
		uint64_t keep = 1U << 5; /* CAP_KILL */

		if (priv_keep_caps(keep, &e) == -1)
			_exit(1);
		if (priv_has_no_caps() || chroot("/") == 0)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(wait_status(pid), 0);
}

static void
test_find_user(UNUSED void **state)
{
	struct priv_id id;
	struct err e;

	assert_int_equal(priv_find_user("71:72", &id, &e), 0);
	assert_int_equal(id.sysuid, 71);
	assert_int_equal(id.sysgid, 72);
	assert_int_equal(priv_find_user("71", &id, &e), 0);
	assert_int_equal(id.sysgid, 71);
	assert_int_equal(priv_find_user("71:x", &id, &e), -1);
	assert_int_equal(priv_find_user("root", &id, &e), 0);
	assert_int_equal(id.sysuid, 0);
	assert_int_equal(priv_find_user("no such account", &id, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

/* ---- sandbox ---- */

static char allowed_dir[64], other_dir[64];

/* Each attempt: 0 when it was possible, else errno. */
typedef int attempt_fn(void);

static int
try_open(const char *dir, int flags)
{
	char path[100];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, flags | O_CLOEXEC, 0600);
	return fd == -1 ? errno : (close(fd), 0);
}

static int
open_allowed(void)
{
	return try_open(allowed_dir, O_RDONLY);
}

static int
open_other(void)
{
	return try_open(other_dir, O_RDONLY);
}

static int
create_allowed(void)
{
	return try_open(allowed_dir, O_RDWR | O_CREAT);
}

static int
rename_allowed(void)
{
	char from[100], to[100];

	(void)snprintf(from, sizeof(from), "%s/file", allowed_dir);
	(void)snprintf(to, sizeof(to), "%s/sub/file2", allowed_dir);
	if (rename(from, to) == -1 || rename(to, from) == -1)
		return errno;
	return 0;
}

static int
make_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid == -1)
		return errno;
	return waitpid(pid, NULL, 0) == pid ? 0 : errno;
}

static int
make_exec(void)
{
	char *const argv[] = {(char *)(uintptr_t) "/bin/true", NULL};

	(void)execve("/bin/true", argv, argv + 1);
	return errno;
}

static int
make_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) == -1 ? errno : 0;
}

static int
make_executable(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
	    ? errno
	    : 0;
}

static int
kill_parent(void)
{
	return kill(getppid(), 0) == -1 ? errno : 0;
}

static int
trace_parent(void)
{
	return syscall(SYS_ptrace, 16, getppid(), 0, 0) == -1 ? errno : 0;
}

static int
normal_work(void)
{
	char *p = malloc(300000);
	struct timespec ts = {0, 1};
	struct rlimit l;
	int pair;

	if (p == NULL)
		return errno;
	memset(p, 1, 300000);
	free(p);
	(void)nanosleep(&ts, NULL);
	(void)prctl(PR_SET_NAME, "x", 0, 0, 0);
	pair = fcntl(2, F_DUPFD_CLOEXEC, 10);
	if (pair == -1 || close(pair) == -1)
		return errno;
	if (getrlimit(RLIMIT_NOFILE, &l) == -1)
		return errno;
	return dprintf(2, "%s", "") == 0 ? 0 : errno;
}

static int
raise_limit(void)
{
	struct rlimit l = {1, 1};

	return setrlimit(RLIMIT_NOFILE, &l) == -1 ? errno : 0;
}

static int
make_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1 ? errno : 0;
}

static int
change_mode(void)
{
	return chmod(allowed_dir, 0700) == -1 ? errno : 0;
}

static int
make_link(void)
{
	return symlink("x", "y") == -1 ? errno : 0;
}

#define DIES (-1)
#define ANY_FAILURE (-2)

/* Runs an attempt in a confined child: its errno, or DIES. */
static int
confined(enum sandbox_profile profile, attempt_fn *fn, bool *landlock)
{
	struct sandbox_path paths[] = {
	    {.path = allowed_dir, .access = SANDBOX_MAIL}};
	struct sandbox s = {.profile = profile,
	    .paths = paths,
	    .n_paths = profile == SANDBOX_USER};
	struct sandbox_report r;
	struct err e;
	int pipes[2], status, got = 0;
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};

		if (priv_is_root()) {
			s.change_ids = true;
			s.sysuid = s.sysgid = 12345;
		}
		(void)setrlimit(RLIMIT_AS, &l);
		/* A worker is confined as its parent first. */
		if (profile == SANDBOX_WORKER) {
			struct sandbox parent = s;

			parent.profile = SANDBOX_LOGIN;
			if (sandbox_prepare_worker(false, &e) == -1 ||
			    sandbox_enter(&parent, &r, &e) == -1)
				_exit(98);
			s.change_ids = false;
		}
		if (sandbox_enter(&s, &r, &e) == -1) {
			dprintf(2, "sandbox_enter: %s\n", e.text);
			_exit(99);
		}
		got = fn();
		(void)!write(pipes[1], &got, sizeof(got));
		(void)!write(pipes[1], &r.landlock, sizeof(r.landlock));
		_exit(0);
	}
	fd_close(&pipes[1]);
	status = wait_status(pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		got = DIES;
	} else {
		assert_int_equal(status, 0);
		assert_int_equal(
		    read(pipes[0], &got, sizeof(got)), sizeof(got));
		assert_int_equal(read(pipes[0], landlock, sizeof(*landlock)),
		    sizeof(*landlock));
	}
	fd_close(&pipes[0]);
	return got;
}

static const struct {
	enum sandbox_profile profile;
	attempt_fn *fn;
	const char *what;
	int want;
	bool by_landlock;
} cases[] = {
    {SANDBOX_KEYD, normal_work, "keyd works", 0, false},
    {SANDBOX_KEYD, open_allowed, "keyd opens", EACCES, false},
    {SANDBOX_KEYD, make_fork, "keyd forks", DIES, false},
    {SANDBOX_KEYD, make_exec, "keyd execs", DIES, false},
    {SANDBOX_KEYD, make_socket, "keyd makes a socket", EACCES, false},
    {SANDBOX_KEYD, make_executable, "keyd maps executable", DIES, false},
    {SANDBOX_KEYD, kill_parent, "keyd kills", DIES, false},
    {SANDBOX_KEYD, trace_parent, "keyd traces", DIES, false},
    {SANDBOX_KEYD, raise_limit, "keyd sets a limit", EPERM, false},
    {SANDBOX_KEYD, make_dumpable, "keyd is dumpable", EPERM, false},
    {SANDBOX_AUTHD, normal_work, "authd works", 0, false},
    {SANDBOX_AUTHD, open_allowed, "authd opens", EACCES, false},
    {SANDBOX_AUTHD, make_fork, "authd forks", DIES, false},
    {SANDBOX_LOGIN, normal_work, "login works", 0, false},
    {SANDBOX_LOGIN, make_fork, "login forks", 0, false},
    {SANDBOX_LOGIN, make_exec, "login execs", DIES, false},
    {SANDBOX_LOGIN, open_allowed, "login opens", EACCES, false},
    {SANDBOX_LOGIN, make_socket, "login makes a socket", EACCES, false},
    {SANDBOX_WORKER, normal_work, "a worker works", 0, false},
    {SANDBOX_WORKER, make_fork, "a worker forks", DIES, false},
    {SANDBOX_WORKER, kill_parent, "a worker kills", DIES, false},
    {SANDBOX_WORKER, open_allowed, "a worker opens", EACCES, false},
    {SANDBOX_LOGD, normal_work, "logd works", 0, false},
    {SANDBOX_LOGD, open_allowed, "logd opens", EACCES, false},
    {SANDBOX_PASS, open_allowed, "pass child opens", DIES, false},
    {SANDBOX_PASS, make_socket, "pass child makes a socket", DIES, false},
    {SANDBOX_PASS, make_executable, "pass child maps executable", DIES, false},
    {SANDBOX_PASS, make_fork, "pass child forks", DIES, false},
    {SANDBOX_USER, normal_work, "user works", 0, false},
    {SANDBOX_USER, create_allowed, "user opens its mail", 0, false},
    {SANDBOX_USER, rename_allowed, "user renames its mail", 0, false},
    {SANDBOX_USER, open_other, "user opens other's mail", EACCES, true},
    {SANDBOX_USER, make_fork, "user forks", DIES, false},
    {SANDBOX_USER, make_exec, "user execs", DIES, false},
    {SANDBOX_USER, make_socket, "user makes a socket", EACCES, false},
    {SANDBOX_USER, make_executable, "user maps executable", DIES, false},
    {SANDBOX_USER, change_mode, "user changes modes", DIES, false},
    {SANDBOX_USER, make_link, "user makes symlinks", DIES, false},
    {SANDBOX_USER, trace_parent, "user traces", DIES, false},
};

static void
test_sandbox(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool landlock = true;
		int got = confined(cases[i].profile, cases[i].fn, &landlock);

		if (cases[i].by_landlock && !landlock)
			continue;
#ifdef RESTANTE_SANITIZE
		if (cases[i].want != 0)
			continue; /* the sanitizer's own calls are allowed */
#endif
		if (got != cases[i].want)
			fail_msg("%s: %d, should be %d", cases[i].what, got,
			    cases[i].want);
	}
}

static void
make_file(const char *dir)
{
	char path[100];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fchmod(fd, 0666), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(chmod(dir, 0777), 0);
}

static int
make_dirs(UNUSED void **state)
{
	char sub[100];

	(void)snprintf(allowed_dir, sizeof(allowed_dir), "/tmp/os_test.XXXXXX");
	(void)snprintf(other_dir, sizeof(other_dir), "/tmp/os_test.XXXXXX");
	if (mkdtemp(allowed_dir) == NULL || mkdtemp(other_dir) == NULL)
		return -1;
	make_file(allowed_dir);
	make_file(other_dir);
	(void)snprintf(sub, sizeof(sub), "%s/sub", allowed_dir);
	assert_int_equal(mkdir(sub, 0777), 0);
	return chmod(sub, 0777);
}

static int
remove_dirs(UNUSED void **state)
{
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/file", allowed_dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/sub", allowed_dir);
	(void)rmdir(path);
	(void)rmdir(allowed_dir);
	(void)snprintf(path, sizeof(path), "%s/file", other_dir);
	(void)unlink(path);
	(void)rmdir(other_dir);
	return 0;
}

static void
test_exec_env(UNUSED void **state)
{
	char text[EXEC_ENV_BYTES], short_one[20];
	static const char start[] = "NETTLE_FAT_OVERRIDE=vendor:";

	if (!exec_env_nettle(text, sizeof(text)))
		skip();
	assert_memory_equal(text, start, sizeof(start) - 1);
	assert_false(exec_env_nettle(short_one, sizeof(short_one)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_spawn),
	    cmocka_unit_test(test_memfile), cmocka_unit_test(test_rng),
	    cmocka_unit_test(test_drop), cmocka_unit_test(test_find_user),
	    cmocka_unit_test(test_sandbox), cmocka_unit_test(test_exec_env)};

	return cmocka_run_group_tests(tests, make_dirs, remove_dirs);
}
