/* SPDX-License-Identifier: ISC */
/*
 * sandbox.c - the order in which a process confines itself, and the limits of
 * each profile.
 *
 * Owns:    the prepared filters of login workers and passwd-file children.
 * Runs in: every process but master.
 * Trusts:  the kernel.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/priv.h"
#include "os/proc.h"
#include "os/sandbox.h"
#include "os/sandbox_impl.h"

#define MIB (UINT64_C(1024) * 1024)
#define KEEP UINT64_MAX

struct limits {
	uint64_t address_bytes, data_bytes, descriptors, processes, file_bytes,
	    cpu_s;
};

/* KEEP: as it is. The parent's own limits leave room for those of its workers. */
static const struct limits limits[] = {
    [SANDBOX_LOGIN] = {KEEP, KEEP, KEEP, KEEP, 0, KEEP},
    [SANDBOX_WORKER] = {64 * MIB, KEEP, 32, 0, 0, KEEP},
    [SANDBOX_KEYD] = {KEEP, 64 * MIB, KEEP, 0, 0, KEEP},
    [SANDBOX_AUTHD] = {KEEP, 256 * MIB, KEEP, 0, 0, KEEP},
    [SANDBOX_PASS] = {256 * MIB, KEEP, 64, 0, 0, 10},
    [SANDBOX_PAM] = {256 * MIB, KEEP, 64, 16, KEEP, 10},
    [SANDBOX_LOGD] = {KEEP, 64 * MIB, KEEP, 0, KEEP, KEEP},
    [SANDBOX_SPOOLD] = {KEEP, 64 * MIB, KEEP, 0, KEEP, KEEP},
    [SANDBOX_USER] = {KEEP, 1024 * MIB, 256, 0, KEEP, KEEP},
    [SANDBOX_IMAP] = {KEEP, 1024 * MIB, 256, 0, KEEP, KEEP},
};

static struct seccomp_program worker_filter, pass_filter;

static int
set_limit(int which, const char *name, uint64_t value, struct err *e)
{
	struct rlimit now, l = {value, value};

	if (value == KEEP)
		return 0;
	if (getrlimit((__rlimit_resource_t)which, &now) == -1)
		return err_sys(e, "getrlimit %s", name);
	/* Never more than we were given. */
	if (now.rlim_max < l.rlim_max)
		l.rlim_cur = l.rlim_max = now.rlim_max;
	if (setrlimit((__rlimit_resource_t)which, &l) == -1)
		return err_sys(e, "setrlimit %s", name);
	return 0;
}

int
sandbox_limits(
    enum sandbox_profile profile, uint64_t descriptors, struct err *e)
{
	const struct limits *l = &limits[profile];
	uint64_t address = l->address_bytes, data = l->data_bytes;
	uint64_t file = l->file_bytes;
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

#ifdef RESTANTE_SANITIZE
	address = data = KEEP; /* its shadow takes terabytes */
	file = KEEP; /* a report must reach standard error */
#endif
#ifdef RESTANTE_VALGRIND
	descriptors = KEEP; /* it has some of its own */
#endif
	/* With -F standard error may be a file: a line that can not be written
	 * there is lost, it does not end the process. */
	if (file != KEEP && sigaction(SIGXFSZ, &ignore, NULL) == -1)
		return err_sys(e, "sigaction");
	if (set_limit(RLIMIT_AS, "AS", address, e) == -1 ||
	    set_limit(RLIMIT_DATA, "DATA", data, e) == -1 ||
	    set_limit(RLIMIT_NOFILE, "NOFILE",
		descriptors != 0 ? descriptors : l->descriptors, e) == -1 ||
	    set_limit(RLIMIT_NPROC, "NPROC", l->processes, e) == -1 ||
	    set_limit(RLIMIT_FSIZE, "FSIZE", file, e) == -1 ||
	    set_limit(RLIMIT_CPU, "CPU", l->cpu_s, e) == -1 ||
	    set_limit(RLIMIT_CORE, "CORE", 0, e) == -1)
		return -1;
	return 0;
}

static int
prepare(enum sandbox_profile profile, bool trap, struct seccomp_program *p,
    struct err *e)
{
	free(p->code);
	*p = (struct seccomp_program){0};
	return seccomp_build(profile, trap, p, e);
}

int
sandbox_prepare_worker(bool trap, struct err *e)
{
	return prepare(SANDBOX_WORKER, trap, &worker_filter, e);
}

int
sandbox_prepare_pass(bool trap, struct err *e)
{
	return prepare(SANDBOX_PASS, trap, &pass_filter, e);
}

static int
enter_landlock(const struct sandbox *s, struct sandbox_report *r, struct err *e)
{
	bool scope = s->profile != SANDBOX_LOGIN;

	/* A worker is in its parent's domain already. */
	if (s->profile == SANDBOX_WORKER)
		return 0;
	if (landlock_enter(s->paths, s->n_paths, scope, &r->landlock_abi,
		&r->landlock, e) == -1)
		return -1;
	if (!r->landlock)
		(void)snprintf(r->text, sizeof(r->text),
		    "Landlock is not in force: the kernel offers ABI %d",
		    r->landlock_abi);
	return 0;
}

static int
confine(const struct sandbox *s, struct sandbox_report *r, struct err *e)
{
	if (s->root != NULL && priv_chroot(s->root, e) == -1)
		return -1;
	if (s->change_ids &&
	    priv_drop_but(s->sysuid, s->sysgid, s->caps, e) == -1)
		return -1;
	/* After the ids: the kernel counts processes of the new uid. */
	if (sandbox_limits(s->profile, s->descriptors, e) == -1)
		return -1;
	if (proc_harden(e) == -1)
		return -1;
	/* PAM modules may run set-user-id helpers and read what they like. */
	if (s->profile == SANDBOX_PAM)
		return 0;
	if (priv_no_new_privs(e) == -1)
		return -1;
	return enter_landlock(s, r, e);
}

int
sandbox_enter(const struct sandbox *s, struct sandbox_report *r, struct err *e)
{
	struct seccomp_program own = {0}, *filter = &own;
	int rc = -1;

	*r = (struct sandbox_report){0};
	/* Made first: it takes a memory file, which the limits forbid. */
	if (s->profile == SANDBOX_WORKER && worker_filter.code != NULL)
		filter = &worker_filter;
	else if (s->profile == SANDBOX_PASS && pass_filter.code != NULL)
		filter = &pass_filter;
	else if (s->filter != NULL && !s->trap &&
	    sandbox_filter_parse(s->filter, s->profile, &own))
		filter = &own;
	else if (s->profile != SANDBOX_PAM &&
	    seccomp_build(s->profile, s->trap, &own, e) == -1)
		return err_in(e, "system call filter");
	if (confine(s, r, e) == -1)
		goto out;
	if (s->profile != SANDBOX_PAM) {
		if (seccomp_enter(filter, s->trap, e) == -1)
			goto out;
		r->seccomp = true;
	}
	rc = 0;
out:
	free(own.code);
	return rc;
}
