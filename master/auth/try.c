/* SPDX-License-Identifier: ISC */
/*
 * try.c - the life of an auth child.
 *
 * Owns:    the process it runs in.
 * Runs in: a fork of the spawner, fresh but for what try.h allows: root for PAM
 *          and the name service, the pass user for the passwd-file.
 * Trusts:  authd for the work it is given; the name in it is on the allow-list
 *          already, and is checked again where PAM may have changed it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/hold.h"
#include "auth/name.h"
#include "auth/pam.h"
#include "auth/try.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "ipc/chan_wait.h"
#include "os/sandbox.h"

#define WORK_WAIT_MS 10000
#define WALL_S 30

struct run {
	const struct try_child *c;
	struct try_answer answer;
	struct pam_try *pam;
	bool holding;
	unsigned judged; /* attempts before this one */
};

static int
confine(const struct try_child *c, struct err *e)
{
	const struct auth_settings *s = c->settings;
	struct sandbox_report report;
	struct sandbox box = {.profile = SANDBOX_PASS,
	    .change_ids = !s->unprivileged,
	    .sysuid = s->pass_sysuid,
	    .sysgid = s->pass_sysgid};

	if (c->kind == CHAN_TRY_PASSWD_FILE)
		return sandbox_enter(&box, &report, e);
	return hold_limit(e);
}

/* The account behind the name that PAM gave us. */
static void
look_up_canonical(struct run *r, const char *user)
{
	const struct auth_settings *s = r->c->settings;
	struct try_answer *a = &r->answer;
	char checked[USER_NAME_MAX + 1];

	/* Case is PAM's here; the other rules hold. */
	if (!name_normalise(
		str_of(user), str_of(s->name_chars), true, checked)) {
		a->outcome = CHAN_TRY_LOCKED;
		(void)snprintf(a->text, sizeof(a->text),
		    "PAM changed the name to one that is not allowed");
		return;
	}
	try_lookup(checked, a);
	if (a->outcome == CHAN_TRY_UNKNOWN) {
		a->outcome = CHAN_TRY_UNAVAILABLE;
		(void)snprintf(a->text, sizeof(a->text),
		    "right password, but the name service has no such account");
	}
}

static void
try_pam(struct run *r, const struct chan_try_work *w)
{
	const struct auth_settings *s = r->c->settings;
	enum chan_auth_service service =
	    str_eq(w->service, STR("pop3")) ? CHAN_AUTH_POP3 : CHAN_AUTH_IMAP;
	char name[USER_NAME_MAX + 1], rhost[65], file[64];
	struct try_answer *a = &r->answer;
	const char *user = NULL;
	struct secret password;

	if (!str_to_c(w->name, name, sizeof(name)) ||
	    !str_to_c(w->rhost, rhost, sizeof(rhost)) ||
	    !pam_try_service("/etc/pam.d", s->pam_service[service],
		auth_settings_service(service), file, sizeof(file))) {
		(void)snprintf(a->text, sizeof(a->text), "no PAM service");
		return;
	}
	secret_init(&password, w->password);
	a->outcome = pam_try_begin(
	    &(struct pam_try_request){file, name, password.p, rhost}, &r->pam,
	    &user, a->text, sizeof(a->text));
	secret_done(&password);
	if (a->outcome == CHAN_TRY_OK)
		look_up_canonical(r, user);
	r->holding = a->outcome == CHAN_TRY_OK && r->c->hold_fd != -1;
}

static void
judge(struct run *r, const struct chan_try_work *w)
{
	struct try_answer *a = &r->answer;
	char name[USER_NAME_MAX + 1];

	a->outcome = CHAN_TRY_UNAVAILABLE;
	switch (r->c->kind) {
	case CHAN_TRY_PASSWD_FILE:
		try_passwd_file(
		    r->c->passwd_fd, r->c->settings->salt_key, w, a);
		break;
	case CHAN_TRY_PAM:
		if (w->want == CHAN_TRY_VERIFY)
			try_pam(r, w);
		break;
	case CHAN_TRY_LOOKUP:
		if (w->want == CHAN_TRY_WHO &&
		    str_to_c(w->name, name, sizeof(name)))
			try_lookup(name, a);
		break;
	}
}

static int
send_answer(struct run *r, struct buf *frame, struct err *e)
{
	struct try_answer *a = &r->answer;
	bool ok = a->outcome == CHAN_TRY_OK;
	struct chan_try_msg m = {.type = CHAN_TRY_RESULT,
	    .result = {.outcome = a->outcome,
		.text = str_of(a->text),
		.name = str_of(ok ? a->name : ""),
		.has_ids = ok && a->has_ids,
		.uid = a->uid,
		.gid = a->gid,
		.home = str_of(ok ? a->home : ""),
		.mail = str_of(ok ? a->mail : ""),
		.extra = str_of(ok ? a->extra : ""),
		.holding = r->holding,
		.iter = a->keys.iter,
		.salt = str_make(a->keys.salt, a->keys.salt_n)}};

	if (ok && a->keys.iter > 0) {
		m.result.stored_key =
		    str_make(a->keys.stored, sizeof(a->keys.stored));
		m.result.server_key =
		    str_make(a->keys.server, sizeof(a->keys.server));
	}
	chan_try_write(&m, frame);
	return chan_send_wait(
	    r->c->fd, frame, NULL, 0, clock_mono_ms() + WORK_WAIT_MS, e);
}

/* ---- another attempt ---- */

/* Is what we have open the passwd-file of now? */
static bool
is_current(const struct try_child *c)
{
	struct stat here, there;

	return fstat(c->passwd_fd, &here) == 0 &&
	    stat(c->settings->passwd_file, &there) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino &&
	    !(there.st_mode & S_IWOTH);
}

static bool
may_judge_again(const struct run *r)
{
	struct timespec used;

	return r->answer.is_clean && r->judged < TRY_ATTEMPTS_MAX &&
	    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0 &&
	    used.tv_sec * 1000 + used.tv_nsec / 1000000 < TRY_CPU_MS &&
	    is_current(r->c);
}

/* authd sees the end of its channel, and asks for a new child. */
static int
check_current(const struct run *r, struct err *e)
{
	if (r->judged == 0 || is_current(r->c))
		return 0;
	return err_set(e, ERR_CLOSED, "the passwd-file is another one");
}

/* ---- one attempt ---- */

static int
work(struct run *r, struct err *e)
{
	struct chan_try_msg m;
	struct msg_in in;
	struct buf room;
	int rc = -1;

	(void)alarm(WALL_S);
	buf_init(&room, CHAN_TRY_FRAME_MAX);
	if (chan_recv_wait(r->c->fd, CHAN_TRY_WORK, &room, &in, NULL, 0,
		clock_mono_ms() + WORK_WAIT_MS, e) == 0 &&
	    chan_try_parse(&in, &m, e) == 0 && check_current(r, e) == 0) {
		judge(r, &m.work);
		buf_wipe(&room);
		rc = send_answer(r, &room, e);
	}
	buf_wipe(&room);
	buf_done(&room);
	r->judged++;
	return rc;
}

static int
judge_some(struct run *r, struct err *e)
{
	for (;;) {
		if (work(r, e) == -1)
			return -1;
		if (!may_judge_again(r))
			return 0;
		secret_wipe(&r->answer, sizeof(r->answer));
	}
}

void
try_child_run(const struct try_child *c)
{
	struct run r = {.c = c};
	struct err e;

	log_set_process("auth");
	if (confine(c, &e) == -1) {
		log_error("auth child can not confine itself: %s", e.text);
		_exit(1);
	}
	if (judge_some(&r, &e) == -1) {
		/* authd has lost interest, or is being replaced. */
		if (e.code != ERR_CLOSED && e.code != ERR_TIMEOUT)
			log_error("auth child: %s", e.text);
	} else if (r.holding) {
		hold_session(r.pam, r.answer.name, r.answer.uid, r.answer.gid,
		    c->hold_fd);
	}
	pam_try_end(&r.pam);
	secret_wipe(&r.answer, sizeof(r.answer));
	_exit(0);
}
