/* SPDX-License-Identifier: ISC */
/*
 * sandbox_seccomp.c - the system calls of each profile, as one table of named
 * groups. A new call here is a change to be reviewed.
 *
 * Owns:    nothing that stays but the compiled filter of the caller.
 * Runs in: every confined process, once.
 * Trusts:  the kernel.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/quota.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config.h"
#include "os/sandbox_impl.h"

#include "base/buf.h"
#include "base/mem.h"
#include "os/fd.h"

/* Memory, time, the loop, descriptors one has: what every process needs. */
static const char *const basic[] = {"read", "write", "readv", "writev",
    "pread64", "pwrite64", "close", "fstat", "lseek", "munmap", "mremap", "brk",
    "madvise", "mlock", "munlock", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sigaltstack", "nanosleep", "clock_nanosleep",
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times",
    "getrusage", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid",
    "exit", "exit_group", "restart_syscall", "futex", "poll", "ppoll", "select",
    "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    "recvmsg", "sendmsg", "recvfrom", "sendto", "shutdown", "getsockopt",
    "setsockopt", "getsockname", "getpeername", "fcntl", "dup", "dup2", "dup3",
    "getrandom", "uname", "rseq", "set_robust_list", "sched_yield",
    "sched_getaffinity", "sysinfo", NULL};

/* Names of files; processes in an empty root get EACCES instead. */
static const char *const files_read[] = {"open", "openat", "openat2", "stat",
    "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2",
    "readlink", "readlinkat", "getcwd", "chdir", "fchdir", "getdents64",
    "getdents", "fstatfs", "statfs", "fadvise64", "preadv", "preadv2", NULL};

static const char *const files_write[] = {"creat", "mkdir", "mkdirat", "rmdir",
    "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat",
    "ftruncate", "truncate", "fsync", "fdatasync", "sync_file_range",
    "fallocate", "utimensat", "futimesat", "utime", "utimes", "fchmod",
    "fchown", "umask", "flock", "inotify_init1", "inotify_add_watch",
    "inotify_rm_watch", "copy_file_range", "sendfile", "pwritev", "pwritev2",
    "msync", "pipe2", NULL};

/* The groups of this process, and whom a folder names (posix_acl.c). */
static const char *const rights_read[] = {"getgroups", "fgetxattr", NULL};

/*
 * SETACL. Of folders that the sandbox lets nobody open, the home above all, it
 * is asked and set from within, by ".".
 */
static const char *const rights_write[] = {
    "getxattr", "setxattr", "fsetxattr", "removexattr", "fremovexattr", NULL};

/* Files of one name in a folder that is open: a dotlock, a new mailbox. */
static const char *const lock_files[] = {"openat", "newfstatat", "linkat",
    "unlinkat", "fchown", "fchmod", "utimensat", NULL};

static const char *const sync_file[] = {
    "fsync", "fdatasync", "ftruncate", "statx", NULL};

/*
 * All that judging a password takes. The kernel compiles the filter anew for
 * each attempt, which cost more than the fork while it was as long as others.
 */
static const char *const judge_password[] = {"read", "write", "pread64",
    "close", "fstat", "munmap", "mremap", "brk", "madvise", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "clock_gettime", "getpid", "gettid",
    "exit", "exit_group", "restart_syscall", "futex", "poll", "ppoll",
    "recvmsg", "sendmsg", "getrandom", "alarm", "setitimer",
    /* Is the file that is open still the one of that name? */
    "newfstatat", "fstatat64", "statx", NULL};

static const char *const lock_memory[] = {"mlockall", "mlock2", NULL};

static const char *const accept_clients[] = {
    "accept4", "accept", "socketpair", NULL};

/* The login parent: its workers. */
static const char *const fork_workers[] = {"fork", "vfork", "wait4", "waitid",
    "kill", "pipe2", "pipe", "prlimit64", "setrlimit", "getrlimit", "seccomp",
    "close_range", "prctl", "setpgid", NULL};

/*
 * A worker keeps its parent's filter, which allows these; its own, a second one
 * and so short that loading it costs little, takes them away again.
 */
static const char *const worker_dies[] = {"fork", "vfork", "clone", "wait4",
    "waitid", "kill", "tgkill", "pipe", "pipe2", "seccomp", "close_range",
    "setpgid", NULL};
static const char *const worker_may_not[] = {"setrlimit", NULL};

/* Answered with EACCES, so that libraries fail softly instead of dying. */
static const char *const soft[] = {"open", "openat", "openat2", "stat", "lstat",
    "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getcwd", "chdir", "socket", "connect", "getdents64", "statfs", "fstatfs",
    "inotify_init1", "sched_setscheduler", "setpriority", "getppid", "bind",
    "listen", "mlockall", "fadvise64", "membarrier", NULL};

/* ENOSYS: the C library then takes the older call. */
static const char *const unknown[] = {"clone3", "io_uring_setup", NULL};

#ifdef RESTANTE_SANITIZE
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* What the runtime of a sanitized build does beside us. */
static const char *const sanitizer[] = {"openat", "open", "readlink",
    "readlinkat", "newfstatat", "stat", "clone", "wait4", "kill", "tgkill",
    "prlimit64", "getrlimit", "ptrace", "process_vm_readv", "ioctl",
    "personality", "sched_setaffinity", "getdents64", "mprotect", "mmap",
    "setrlimit", "pipe2", "membarrier", "getcwd", "prctl", "sigaltstack",
    "madvise", "quotactl_fd", NULL};

/* valgrind makes calls of its own, and does not know seccomp(). */
#ifdef RESTANTE_VALGRIND
#define VALGRIND true
#else
#define VALGRIND false
#endif

struct profile {
	enum sandbox_profile profile;
	const char *const *groups[6];
	bool forks, maps_files_executable;
	bool bare; /* the groups and memory, nothing fails softly */
};

static const struct profile profiles[] = {
    {SANDBOX_LOGIN, {basic, accept_clients, fork_workers}, true, false, false},
    {SANDBOX_KEYD, {basic, lock_memory}, false, false, false},
    {SANDBOX_AUTHD, {basic}, false, false, false},
    {SANDBOX_PASS, {judge_password}, false, false, true},
    {SANDBOX_LOGD, {basic, sync_file}, false, false, false},
    {SANDBOX_SPOOLD, {basic, lock_files}, false, false, false},
    {SANDBOX_USER, {basic, files_read, files_write, rights_read}, false, true,
	false},
    {SANDBOX_IMAP, {basic, files_read, files_write, rights_read, rights_write},
	false, true, false},
};

static bool for_any_pid; /* while a filter for other processes is built */

/* 0, or -1 with errno; a name this kernel or library lacks is skipped. */
static int
allow(scmp_filter_ctx ctx, uint32_t action, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name), rc;

	if (nr == __NR_SCMP_ERROR || nr < 0)
		return 0;
	rc = seccomp_rule_add(ctx, action, nr, 0);
	/* EEXIST: allowed by an earlier group already. */
	if (rc == 0 || rc == -EEXIST)
		return 0;
	errno = -rc;
	return -1;
}

static int
allow_group(scmp_filter_ctx ctx, uint32_t action, const char *const *names)
{
	for (; *names != NULL; names++)
		if (allow(ctx, action, *names) == -1)
			return -1;
	return 0;
}

static bool
is_in(const struct profile *p, const char *name)
{
	for (size_t g = 0; g < ARRAY_LEN(p->groups) && p->groups[g] != NULL;
	     g++)
		for (const char *const *n = p->groups[g]; *n != NULL; n++)
			if (strcmp(*n, name) == 0)
				return true;
	return false;
}

/* Memory is never writable and executable, nor executable once it was. */
static int
add_memory_rules(scmp_filter_ctx ctx, const struct profile *p)
{
	int rc;

	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect),
		    1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0 && p->maps_files_executable)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
		    SCMP_A2(
			SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC),
		    SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
	errno = -rc;
	return rc == 0 ? 0 : -1;
}

/*
 * Calls whose argument decides: allowed when it is `value` (mask WHOLE) or has
 * the one bit `mask`, else refused with `otherwise`. Both conditions are spelled
 * out, because a rule without one would swallow the other. Rules are few: adding
 * one costs libseccomp a copy of all, in each process that builds a filter.
 */
#define WHOLE UINT64_MAX
struct argument_rule {
	const char *name;
	unsigned arg;
	uint64_t mask, value;
	int otherwise;
};

static const struct argument_rule argument_rules[] = {
    /* fstat() of newer C libraries: AT_EMPTY_PATH */
    {"newfstatat", 3, 0x1000, 0x1000, EACCES},
    {"ioctl", 1, WHOLE, FIONREAD, ENOTTY},
    {"prctl", 0, WHOLE, PR_SET_NAME, EPERM},
    /* Asking for a limit is fine, setting one is not. */
    {"prlimit64", 2, WHOLE, 0, EPERM},
};

/* Is the process alive that a dotlock names? Signals can not be sent. */
static const struct argument_rule ask_for_process = {
    "kill", 1, WHOLE, 0, EPERM};
/* How much of the disk is used; nothing of it can be changed. */
static const struct argument_rule ask_for_quota = {
    "quotactl_fd", 1, WHOLE, QCMD((uint32_t)Q_GETQUOTA, USRQUOTA), EPERM};

static int
add_argument_rule(scmp_filter_ctx ctx, const struct argument_rule *r)
{
	int nr = seccomp_syscall_resolve_name(r->name), rc;

	if (nr < 0)
		return 0;
	if (r->mask == WHOLE) {
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
		    SCMP_CMP(r->arg, SCMP_CMP_EQ, r->value, 0));
		if (rc == 0)
			rc = seccomp_rule_add(ctx,
			    SCMP_ACT_ERRNO((uint32_t)r->otherwise), nr, 1,
			    SCMP_CMP(r->arg, SCMP_CMP_NE, r->value, 0));
		return rc;
	}
	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
	    SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ, r->mask, r->mask));
	if (rc == 0)
		rc = seccomp_rule_add(ctx,
		    SCMP_ACT_ERRNO((uint32_t)r->otherwise), nr, 1,
		    SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ, r->mask, 0));
	return rc;
}

static bool
is_of_user(const struct profile *p)
{
	return p->profile == SANDBOX_USER || p->profile == SANDBOX_IMAP;
}

static int
add_argument_rules(scmp_filter_ctx ctx, const struct profile *p)
{
	/* A fork makes no new namespaces. */
	const scmp_datum_t spaces = 0x7e020000;
	int rc = 0;

	if (p->forks)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, spaces, 0));
	/* abort() of our own. */
	if (rc == 0 && !is_in(p, "tgkill"))
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		    SCMP_A0(SCMP_CMP_EQ,
			for_any_pid ? SECCOMP_ANY_PID : (scmp_datum_t)getpid(),
			0));
	if (rc == 0 && (is_of_user(p) || p->profile == SANDBOX_SPOOLD))
		rc = add_argument_rule(ctx, &ask_for_process);
	if (rc == 0 && is_of_user(p))
		rc = add_argument_rule(ctx, &ask_for_quota);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(argument_rules); i++)
		if (!is_in(p, argument_rules[i].name))
			rc = add_argument_rule(ctx, &argument_rules[i]);
	errno = -rc;
	return rc == 0 ? 0 : -1;
}

static int
add_rules(scmp_filter_ctx ctx, const struct profile *p)
{
	for (size_t g = 0; g < ARRAY_LEN(p->groups) && p->groups[g] != NULL;
	     g++)
		if (allow_group(ctx, SCMP_ACT_ALLOW, p->groups[g]) == -1)
			return -1;
	if (SANITIZED && allow_group(ctx, SCMP_ACT_ALLOW, sanitizer) == -1)
		return -1;
	if (!SANITIZED &&
	    (add_memory_rules(ctx, p) == -1 ||
		(!p->bare && add_argument_rules(ctx, p) == -1)))
		return -1;
	if (p->bare)
		return 0;
	for (const char *const *n = soft; *n != NULL; n++)
		if (!is_in(p, *n) &&
		    allow(ctx, SCMP_ACT_ERRNO(EACCES), *n) == -1)
			return -1;
	return allow_group(ctx, SCMP_ACT_ERRNO(ENOSYS), unknown);
}

static int
add_worker_rules(scmp_filter_ctx ctx, bool trap)
{
	uint32_t dies = trap ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS;

	if (SANITIZED)
		return 0;
	if (allow_group(ctx, dies, worker_dies) == -1 ||
	    allow_group(ctx, SCMP_ACT_ERRNO(EPERM), worker_may_not) == -1)
		return -1;
	errno = -seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
	    SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_NE, 0, 0));
	if (errno == 0)
		errno = -seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
		    SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_NE, PR_SET_NAME, 0));
	return errno == 0 ? 0 : -1;
}

static int
compile(scmp_filter_ctx ctx, struct seccomp_program *out, struct err *e)
{
	int fd = memfd_create("filter", MFD_CLOEXEC), rc = -1;
	struct buf b;

	buf_init(&b, BPF_MAXINSNS * sizeof(struct sock_filter));
	if (fd == -1)
		return err_sys(e, "memfd_create");
	errno = -seccomp_export_bpf(ctx, fd);
	if (errno != 0) {
		err_sys(e, "seccomp_export_bpf");
		goto out;
	}
	if (lseek(fd, 0, SEEK_SET) == -1) {
		err_sys(e, "lseek");
		goto out;
	}
	if (fd_read_all(fd, &b, e) == -1)
		goto out;
	out->n = (unsigned short)(b.n / sizeof(struct sock_filter));
	out->code = mem_new(out->n, sizeof(struct sock_filter));
	memcpy(out->code, b.p, b.n);
	rc = 0;
out:
	buf_done(&b);
	fd_close(&fd);
	return rc;
}

int
seccomp_build(enum sandbox_profile profile, bool trap,
    struct seccomp_program *out, struct err *e)
{
	bool worker = profile == SANDBOX_WORKER;
	const struct profile *p = NULL;
	scmp_filter_ctx ctx;
	int rc = -1;

	if (VALGRIND) {
		out->n = 1;
		out->code = mem_new(1, sizeof(struct sock_filter));
		out->code[0] = (struct sock_filter)BPF_STMT(
		    BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
		return 0;
	}
	ctx = seccomp_init(worker ? SCMP_ACT_ALLOW
		: trap            ? SCMP_ACT_TRAP
				  : SCMP_ACT_KILL_PROCESS);
	if (ctx == NULL)
		return err_set(e, ERR_OTHER, "seccomp_init");
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		if (profiles[i].profile == profile)
			p = &profiles[i];
	/* Tried in this order of frequency by the kernel's tree. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (p == NULL && !worker)
		err_set(e, ERR_OTHER, "no such profile");
	else if ((worker ? add_worker_rules(ctx, trap) : add_rules(ctx, p)) ==
	    -1)
		err_sys(e, "seccomp_rule_add");
	else
		rc = compile(ctx, out, e);
	seccomp_release(ctx);
	return rc;
}

int
seccomp_build_for_any(
    enum sandbox_profile profile, struct seccomp_program *out, struct err *e)
{
	int rc;

	for_any_pid = true;
	rc = seccomp_build(profile, false, out, e);
	for_any_pid = false;
	return rc;
}

/* FNV-1a */
static void
hash_bytes(uint64_t *h, const void *p, size_t n)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < n; i++)
		*h = (*h ^ c[i]) * UINT64_C(0x100000001b3);
}

static void
hash_names(uint64_t *h, const char *const *names)
{
	for (; *names != NULL; names++)
		hash_bytes(h, *names, strlen(*names) + 1);
	hash_bytes(h, "|", 1);
}

uint64_t
seccomp_tag(enum sandbox_profile profile)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	hash_bytes(&h, PACKAGE_VERSION, sizeof(PACKAGE_VERSION));
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		const struct profile *p = &profiles[i];
		const unsigned char bits[] = {(unsigned char)profile, p->forks,
		    p->maps_files_executable, p->bare, SANITIZED + VALGRIND};

		if (p->profile != profile)
			continue;
		hash_bytes(&h, bits, sizeof(bits));
		for (size_t g = 0;
		     g < ARRAY_LEN(p->groups) && p->groups[g] != NULL; g++)
			hash_names(&h, p->groups[g]);
	}
	hash_names(&h, soft);
	hash_bytes(&h, ask_for_quota.name, strlen(ask_for_quota.name));
	hash_names(&h, unknown);
	for (size_t i = 0; i < ARRAY_LEN(argument_rules); i++) {
		const struct argument_rule *r = &argument_rules[i];

		hash_bytes(&h, r->name, strlen(r->name));
		hash_bytes(&h, &r->arg, sizeof(r->arg));
		hash_bytes(&h, &r->mask, sizeof(r->mask));
		hash_bytes(&h, &r->value, sizeof(r->value));
		hash_bytes(&h, &r->otherwise, sizeof(r->otherwise));
	}
	return h;
}

static void
on_trap(UNUSED int sig, siginfo_t *info, UNUSED void *context)
{
	char line[] = "sandbox: forbidden system call 0000\n";
	int nr = info->si_syscall;

	for (size_t i = sizeof(line) - 3; i > sizeof(line) - 7; i--) {
		line[i] = (char)('0' + nr % 10);
		nr /= 10;
	}
	(void)!write(2, line, sizeof(line) - 1);
	_exit(126);
}

#ifdef RESTANTE_SANITIZE
/*
 * LeakSanitizer stops the process with a thread that traces it, which no
 * profile allows: a confined process would spin at its end. Leaks are looked
 * for in everything that is not confined, all unit tests among it.
 */
static int is_confined;

int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return is_confined;
}
#endif

int
seccomp_enter(const struct seccomp_program *p, bool trap, struct err *e)
{
	struct sock_fprog prog = {.len = p->n, .filter = p->code};

	if (trap) {
		struct sigaction sa = {
		    .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

		(void)sigaction(SIGSYS, &sa, NULL);
	}
	if (!VALGRIND &&
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == -1)
		return err_sys(e, "seccomp");
#ifdef RESTANTE_SANITIZE
	is_confined = 1;
#endif
	return 0;
}
