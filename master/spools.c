/* SPDX-License-Identifier: ISC */
/*
 * spools.c - spoold, and the channels of mail processes to it. A process asks
 * for one when it first needs it: most mail is no mbox.
 *
 * Owns:    nothing; struct user_proc keeps spoold's end, for the next spoold.
 * Runs in: master.
 * Trusts:  nothing a mail process says; who it is, master knows.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "spools.h"

#include "base/log.h"
#include "base/mem.h"
#include "ipc/chan_session.h"
#include "ipc/chan_spool.h"
#include "os/fd.h"
#include "service.h"
#include "users.h"

#define STOP_PATIENCE_S 2

/* What a running spoold was started with; another key: another spoold. */
static char *
key_of(const struct settings *s)
{
	struct stat st = {0};
	struct buf b;
	char *key;

	(void)stat(s->spool_dir, &st);
	buf_init(&b, 8192);
	buf_addf(&b, "%s %llu %llu %u %u %o", s->spool_dir,
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
	    (unsigned)st.st_gid, (unsigned)s->users[USER_SPOOL].sysuid,
	    (unsigned)st.st_mode);
	key = str_to_heap(buf_str(&b));
	buf_done(&b);
	return key;
}

void
spools_start(struct master *m)
{
	struct err e;

	if (m->now->settings->spool_dir[0] == '\0' || m->stopping ||
	    m->spoold.state != SERVICE_DOWN)
		return;
	MEM_FREE(m->spool_key);
	m->spool_key = key_of(m->now->settings);
	if (service_start(&m->spoold, &e) == 0)
		return;
	log_error("%s", e.text);
	service_start_later(&m->spoold, 1000);
}

/*
 * It is started anew when it stops, with what is configured then. Locks stay,
 * and their processes show them to the new one.
 */
void
spools_settings_changed(struct master *m)
{
	char *key = key_of(m->now->settings);

	if (m->spoold.state == SERVICE_DOWN)
		spools_start(m);
	else if (m->spool_key == NULL || strcmp(key, m->spool_key) != 0)
		service_stop(&m->spoold, "reload", STOP_PATIENCE_S);
	MEM_FREE(m->spool_key);
	m->spool_key = key;
}

/* Gives spoold its end `fd` (which stays ours) of a process's channel. */
static bool
offer(struct master *m, int fd, pid_t pid, uid_t sysuid, gid_t sysgid,
    const char *user)
{
	const struct spool_client_msg msg = {.pid = (uint32_t)pid,
	    .sysuid = sysuid,
	    .sysgid = sysgid,
	    .user = str_of(user)};
	struct spool_client_msg check;
	struct msg_in in;
	struct buf *b = chan_frame();
	struct err e;

	if (m->spoold.state != SERVICE_RUNNING || pid <= 0)
		return false;
	/* What it would not take must not be its end. */
	spool_client_write(&msg, b);
	if (msg_parse(buf_str(b), &in, &e) == -1 ||
	    spool_client_parse(&in, &check, &e) == -1)
		return false;
	service_send(&m->spoold, b, &fd, 1);
	return true;
}

int
spools_channel(
    struct master *m, pid_t pid, uid_t sysuid, gid_t sysgid, const char *user)
{
	struct err e;
	int fds[2];

	if (fd_pair(fds, &e) == -1) {
		log_error("no channel to spoold: %s", e.text);
		return -1;
	}
	if (!offer(m, fds[1], pid, sysuid, sysgid, user))
		fd_close(&fds[0]);
	fd_close(&fds[1]);
	return fds[0];
}

void
spools_offer(struct user_proc *p)
{
	if (p->spool_fd != -1)
		(void)offer(
		    p->m, p->spool_fd, p->pid, p->sysuid, p->sysgid, p->user);
}

void
spools_running(struct master *m)
{
	LIST_EACH(&m->user_procs, it)
		spools_offer(LIST_OF(it, struct user_proc, link));
}

void
spools_cut(struct master *m, pid_t pid)
{
	LIST_EACH(&m->user_procs, it) {
		struct user_proc *p = LIST_OF(it, struct user_proc, link);

		if (p->pid == pid)
			fd_close(&p->spool_fd);
	}
}

/* The process has its end at once; spoold gets the other one when it runs. */
void
spools_give(struct user_proc *p)
{
	bool has_spool = p->m->now->settings->spool_dir[0] != '\0';
	struct buf *b;
	struct err e;
	int fds[2] = {-1, -1};

	fd_close(&p->spool_fd);
	if (has_spool && fd_pair(fds, &e) == -1)
		log_error("no channel to spoold: %s", e.text);
	b = chan_frame();
	session_spool_is_write(fds[0] != -1, b);
	(void)users_send(p, b, &fds[0], fds[0] != -1 ? 1 : 0, &e);
	fd_close(&fds[0]);
	p->spool_fd = fds[1];
	spools_offer(p);
}
