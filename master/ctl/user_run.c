/* SPDX-License-Identifier: ISC */
/*
 * user_run.c - becomes a user, in a child that is confined to his mail.
 *
 * Owns:    the child.
 * Runs in: restantectl; the child as the mail user, confined.
 * Trusts:  not what the child writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/vec.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/priv.h"
#include "os/sandbox.h"
#include "store/location.h"
#include "user.h"

#define GROUPS_MAX 4096

struct places {
	struct arena arena;
	VEC(struct sandbox_path) paths;
};

static int
add_place(const char *path, void *arg, UNUSED struct err *e)
{
	struct places *p = arg;

	*VEC_ADD(&p->paths) = (struct sandbox_path){
	    .path = arena_c(&p->arena, str_of(path)),
	    .access = SANDBOX_MAIL,
	};
	return 0;
}

/* Only where the mail is, without making it. */
static int
add_location(const struct store_settings *set, struct places *p, struct err *e)
{
	struct location loc;

	if (location_get(&p->arena, set, &loc, e) == -1)
		return -1;
	(void)add_place(loc.root.p, p, e);
	if (loc.inbox.p != NULL)
		(void)add_place(loc.inbox.p, p, e);
	if (loc.control.p != NULL)
		(void)add_place(loc.control.p, p, e);
	return 0;
}

int
ctl_user_become(const struct ctl_user *u, struct err *e)
{
	gid_t groups[GROUPS_MAX];
	int n = GROUPS_MAX;

	if (!priv_is_root())
		return 0;
	/* As logins have it: the groups of the account, if there is one. */
	if (getpwnam(u->name) == NULL ||
	    getgrouplist(u->name, u->sysgid, groups, &n) == -1) {
		groups[0] = u->sysgid;
		n = 1;
	}
	return priv_drop(u->sysuid, u->sysgid, groups, (size_t)n, e);
}

/* As sessions have them: the index belongs to this boot, dates are local. */
static const char *const read_only_places[] = {
    "/etc/group", /* rights.c */
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/proc/sys/kernel/random/boot_id",
};

static int
confine(const struct store_settings *set, bool read_only, struct err *e)
{
	struct sandbox s = {.profile = SANDBOX_IMAP};
	struct sandbox_report report;
	struct places p = {0};
	int rc;

	arena_init(&p.arena);
	rc = read_only ? add_location(set, &p, e)
		       : store_places(set, add_place, &p, e);
	if (rc == 0 && set->index_dir != NULL)
		(void)add_place(set->index_dir, &p, e);
	if (rc == 0 && set->state_dir != NULL)
		(void)add_place(set->state_dir, &p, e);
	for (size_t i = 0; i < ARRAY_LEN(read_only_places); i++)
		*VEC_ADD(&p.paths) = (struct sandbox_path){
		    .path = read_only_places[i],
		    .access = SANDBOX_READ,
		};
	if (rc == 0) {
		s.paths = p.paths.v;
		s.n_paths = p.paths.n;
		rc = sandbox_enter(&s, &report, e);
	}
	VEC_DONE(&p.paths);
	arena_done(&p.arena);
	return rc;
}

#define STATUS_FAILED 125 /* the reason is what was written */

NORETURN static void
run_child(const struct ctl_user *u, bool read_only, ctl_user_fn *fn, void *arg,
    int fd, size_t max_bytes)
{
	const struct store_settings set = {
	    .user = u->name,
	    .home = u->home,
	    .mail_location = u->mail_location,
	    .folder_names = u->folder_names,
	    .courier_compat = u->courier_compat,
	    .mbox_read_locks = u->mbox_read_locks,
	    .mbox_write_locks = u->mbox_write_locks,
	    .mbox_lock_timeout_s = u->mbox_lock_timeout_s,
	    .mbox_dotlock_stale_s = u->mbox_dotlock_stale_s,
	    .index_dir = u->index,
	    .state_dir = u->state,
	    .others_location =
		u->serves_others ? u->other_users_location : NULL,
	    .poll_only = true,
	};
	int status = STATUS_FAILED;
	struct buf out;
	struct err e;

	buf_init(&out, max_bytes);
	if (ctl_user_become(u, &e) == -1 || confine(&set, read_only, &e) == -1)
		buf_addf(&out, "%s", e.text);
	else
		status = fn(&set, &out, arg);
	if (file_write(fd, buf_str(&out), &e) == -1)
		status = STATUS_FAILED;
	_exit(status);
}

int
ctl_user_run(const struct ctl_user *u, bool read_only, ctl_user_fn *fn,
    void *arg, struct buf *out, struct err *e)
{
	int fds[2], status, rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_sys(e, "pipe");
	pid = fork();
	if (pid == -1) {
		err_sys(e, "fork");
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid == 0) {
		close(fds[0]);
		run_child(u, read_only, fn, arg, fds[1], out->max_bytes);
	}
	close(fds[1]);
	rc = fd_read_all(fds[0], out, e);
	close(fds[0]);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	if (rc == -1)
		return -1;
	if (!WIFEXITED(status))
		return err_set(e, ERR_OTHER,
		    "the process of %s was ended by signal %d", u->name,
		    WTERMSIG(status));
	if (WEXITSTATUS(status) == STATUS_FAILED)
		return err_set(e, ERR_OTHER, "%.*s", STR_ARG(buf_str(out)));
	return WEXITSTATUS(status);
}

void
ctl_add_field(struct buf *out, struct str s, char end)
{
	for (size_t i = 0; i < s.n; i++)
		(void)buf_add_byte(out,
		    (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? '?'
								   : s.p[i]);
	(void)buf_add_byte(out, end);
}
