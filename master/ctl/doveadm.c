/* SPDX-License-Identifier: ISC */
/*
 * doveadm.c - runs Dovecot's doveadm(1).
 *
 * Owns:    the process, and what it says.
 * Runs in: restantectl; doveadm as root, who asks Dovecot where the mail is, or,
 *          where Dovecot does not run, as the mail user.
 * Trusts:  doveadm; no name of a mailbox: it is an argument behind "--".
 * Spec:    formats.md 12.2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doveadm.h"
#include "os/fd.h"
#include "os/priv.h"

#define OUTPUT_MAX_BYTES ((size_t)256 * 1024)

static const char *
find_program(void)
{
	static const char *const places[] = {
	    "/usr/bin/doveadm", "/usr/local/bin/doveadm"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

bool
doveadm_is_there(void)
{
	return find_program() != NULL;
}

NORETURN static void
run(const struct doveadm *d, const char *program, const char *const *argv,
    int out)
{
	char home[4200], user[600];
	char *env[] = {home, user,
	    (char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct err e;

	(void)snprintf(home, sizeof(home), "HOME=%s", d->user->home);
	(void)snprintf(user, sizeof(user), "USER=%s", d->user->name);
	if (null == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(out, STDOUT_FILENO) == -1 || dup2(out, STDERR_FILENO) == -1 ||
	    (d->is_alone && ctl_user_become(d->user, &e) == -1))
		_exit(125);
	(void)execve(program, (char *const *)(uintptr_t)argv, env);
	_exit(126);
}

/* 0: it has succeeded; -1 with what it said first. */
static int
call(const struct doveadm *d, const char *const *argv, struct err *e)
{
	const char *program = find_program();
	struct buf said;
	struct str line;
	int fds[2], status = 0, rc;
	pid_t pid;

	if (program == NULL)
		return err_set(e, ERR_NOT_FOUND, "doveadm is not installed");
	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_sys(e, "pipe");
	pid = fork();
	if (pid == -1) {
		(void)err_sys(e, "fork");
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid == 0)
		run(d, program, argv, fds[1]);
	close(fds[1]);
	buf_init(&said, OUTPUT_MAX_BYTES);
	rc = fd_read_all(fds[0], &said, e);
	close(fds[0]);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (rc == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
		line = buf_str(&said);
		line = str_head(line, str_find(line, '\n'));
		rc = err_set(e, ERR_OTHER, "doveadm: %.*s",
		    (int)(line.n > 200 ? 200 : line.n), line.p);
	}
	buf_done(&said);
	return rc;
}

#define ARGS_MAX 16

struct words {
	char name[4200], modseq[24], location[4300];
	const char *v[ARGS_MAX];
};

static int
make_words(const struct doveadm *d, struct str mailbox, uint64_t modseq,
    struct words *w, struct err *e)
{
	const char **at = w->v;

	if (!str_to_c(mailbox, w->name, sizeof(w->name)))
		return err_set(e, ERR_LIMIT, "the name is too long");
	(void)snprintf(
	    w->modseq, sizeof(w->modseq), "%llu", (unsigned long long)modseq);
	*at++ = "doveadm";
	if (d->config != NULL) {
		*at++ = "-c";
		*at++ = d->config;
	}
	if (d->is_alone) {
		(void)snprintf(w->location, sizeof(w->location),
		    "mail_location=%s", d->location);
		*at++ = "-o";
		*at++ = w->location;
	}
	*at++ = "mailbox";
	*at++ = "update";
	if (!d->is_alone) {
		*at++ = "-u";
		*at++ = d->user->name;
	}
	*at++ = "--min-highest-modseq";
	*at++ = w->modseq;
	*at++ = "--";
	*at++ = w->name;
	*at = NULL;
	return 0;
}

int
doveadm_lift(
    struct doveadm *d, struct str mailbox, uint64_t modseq, struct err *e)
{
	struct words w;
	struct err first;

	if (make_words(d, mailbox, modseq, &w, e) == -1)
		return -1;
	/* What is not root has no way to ask for a user. */
	if (!d->is_alone && priv_is_root() && call(d, w.v, e) == 0)
		return 0;
	if (d->is_alone)
		return call(d, w.v, e);
	if (priv_is_root())
		first = *e;
	else
		(void)err_set(&first, ERR_PERM, "not root");
	d->is_alone = true;
	if (make_words(d, mailbox, modseq, &w, e) == 0 && call(d, w.v, e) == 0)
		return 0;
	/* Of use is what Dovecot itself says. */
	d->is_alone = false;
	if (priv_is_root())
		*e = first;
	return -1;
}

static void
add_quoted(struct buf *out, struct str s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_./@,:+";
	bool is_plain = s.n > 0;

	for (size_t i = 0; i < s.n; i++)
		is_plain = is_plain &&
		    str_find(str_of(plain), s.p[i]) < sizeof(plain) - 1;
	if (is_plain) {
		(void)buf_add_str(out, s);
		return;
	}
	(void)buf_add_byte(out, '\'');
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\'')
			(void)buf_add_c(out, "'\\''");
		else
			(void)buf_add_byte(out, s.p[i]);
	(void)buf_add_byte(out, '\'');
}

void
doveadm_print(const struct doveadm *d, struct str mailbox, uint64_t modseq,
    struct buf *out)
{
	struct words w;
	struct err e;

	if (make_words(d, mailbox, modseq, &w, &e) == -1)
		return;
	for (const char *const *at = w.v; *at != NULL; at++) {
		if (at != w.v)
			(void)buf_add_byte(out, ' ');
		add_quoted(out, str_of(*at));
	}
	(void)buf_add_byte(out, '\n');
}
