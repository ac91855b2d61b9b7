/* SPDX-License-Identifier: ISC */
/*
 * spools.c - spoold, and the channels of mail processes to it. A process asks
 * for one when it first needs it: most mail is no mbox.
 *
 * Owns:    nothing that stays; both ends of a channel are sent away.
 * Runs in: master.
 * Trusts:  nothing a mail process says; who it is, master knows.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "spools.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/chan_session.h"
#include "ipc/chan_spool.h"
#include "os/fd.h"
#include "service.h"
#include "users.h"

/* A process does not ask faster than that. */
#define ASK_PAUSE_MS 50
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

int
spools_channel(
    struct master *m, pid_t pid, uid_t sysuid, gid_t sysgid, const char *user)
{
	const struct spool_client_msg msg = {.pid = (uint32_t)pid,
	    .sysuid = sysuid,
	    .sysgid = sysgid,
	    .user = str_of(user)};
	struct spool_client_msg check;
	struct msg_in in;
	struct buf *b = chan_frame();
	int fds[2];
	struct err e;

	if (m->spoold.state != SERVICE_RUNNING || pid <= 0)
		return -1;
	/* What it would not take must not be its end. */
	spool_client_write(&msg, b);
	if (msg_parse(buf_str(b), &in, &e) == -1 ||
	    spool_client_parse(&in, &check, &e) == -1)
		return -1;
	if (fd_pair(fds, &e) == -1) {
		log_error("no channel to spoold: %s", e.text);
		return -1;
	}
	service_send(&m->spoold, b, &fds[1], 1);
	fd_close(&fds[1]);
	return fds[0];
}

void
spools_give(struct user_proc *p)
{
	int64_t now = clock_mono_ms();
	struct buf *b;
	struct err e;
	int fd = -1;

	if (p->spool_ms == 0 || now - p->spool_ms >= ASK_PAUSE_MS)
		fd =
		    spools_channel(p->m, p->pid, p->sysuid, p->sysgid, p->user);
	if (fd != -1)
		p->spool_ms = now;
	b = chan_frame();
	session_spool_is_write(fd != -1, b);
	(void)users_send(p, b, &fd, fd != -1 ? 1 : 0, &e);
	fd_close(&fd);
}
