/* SPDX-License-Identifier: ISC */
/*
 * logs.c - the log channel of each process.
 *
 * Owns:    the receiving ends.
 * Runs in: master.
 * Trusts:  nothing; it never reads a line.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "logs.h"

#include "base/mem.h"
#include "ipc/chan.h"
#include "ipc/chan_log.h"
#include "os/fd.h"
#include "settings.h"

#define SYSLOG_SOCKET "/dev/log"

void
logs_init(struct logs *l)
{
	list_init(&l->feeds);
	l->logd = NULL;
}

static void
free_feed(struct log_feed *f)
{
	list_remove(&f->link);
	fd_close(&f->fd);
	free(f);
}

void
logs_done(struct logs *l)
{
	LIST_EACH(&l->feeds, it)
		free_feed(LIST_OF(it, struct log_feed, link));
}

struct log_feed *
logs_new(struct logs *l, const char *name, int *child_fd, struct err *e)
{
	size_t n = strlen(name);
	struct log_feed *f;
	int fds[2];

	if (fd_pair(fds, e) == -1)
		return NULL;
	f = mem_new(1, sizeof(*f) + n + 1);
	memcpy(f->name, name, n);
	f->fd = fds[0];
	*child_fd = fds[1];
	list_append(&l->feeds, &f->link);
	return f;
}

static void
tell_logd(struct logs *l, const struct log_feed *f)
{
	struct log_source m = {.name = str_of(f->name), .pid = f->pid};
	struct buf *b = chan_frame();
	struct err e;

	if (l->logd == NULL)
		return;
	log_source_write(&m, b);
	/* When logd does not take it, it is about to be replaced. */
	(void)chan_send(l->logd, b, &f->fd, 1, &e);
}

void
logs_begin(struct logs *l, struct log_feed *f, pid_t pid)
{
	f->pid = (uint32_t)pid;
	tell_logd(l, f);
}

void
logs_end(struct logs *l, struct log_feed **fp)
{
	struct log_feed *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	f->ended = true;
	/* A running logd has its own copy and reads it to the end. */
	if (l->logd != NULL)
		free_feed(f);
}

void
logs_set_logd(struct logs *l, struct chan *logd)
{
	l->logd = logd;
	if (logd == NULL)
		return;
	LIST_EACH(&l->feeds, it) {
		struct log_feed *f = LIST_OF(it, struct log_feed, link);

		tell_logd(l, f);
		if (f->ended)
			free_feed(f);
	}
}

static int
open_syslog(struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return err_sys(e, "socket");
	memcpy(a.sun_path, SYSLOG_SOCKET, sizeof(SYSLOG_SOCKET));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1) {
		err_sys(e, "connect to syslog at %s", SYSLOG_SOCKET);
		fd_close(&fd);
		return -1;
	}
	return fd;
}

int
logs_open_target(const struct settings *s, const char **role, struct err *e)
{
	int fd;

	if (strcmp(s->log, "syslog") == 0) {
		*role = "syslog";
		return open_syslog(e);
	}
	*role = "log";
	if (strcmp(s->log, "stderr") == 0)
		return fd_dup(2, e);
	fd = open(s->log,
	    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC |
		O_NONBLOCK,
	    0640);
	if (fd == -1)
		return err_sys(e, "open the log file %s", s->log);
	return fd;
}
