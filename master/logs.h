/* SPDX-License-Identifier: ISC */
/*
 * logs.h - the log channel of each process: its receiving end is kept here, so
 * that a new logd goes on where a dead one stopped.
 */
#ifndef MASTER_LOGS_H
#define MASTER_LOGS_H

#include <sys/types.h>

#include "base/err.h"
#include "base/list.h"

struct chan;
struct settings;

struct log_feed {
	struct list link;
	int fd; /* receiving end */
	uint32_t pid;
	bool ended; /* the process is gone; logd has not yet got the rest */
	char name[];
};

struct logs {
	struct list feeds;
	struct chan *logd; /* NULL: none runs */
};

/* No channels, no logd; logs_done() closes all. */
void logs_init(struct logs *l);
void logs_done(struct logs *l);
/* Makes a channel; *child_fd is the process's end, the caller closes it. */
struct log_feed *logs_new(
    struct logs *l, const char *name, int *child_fd, struct err *e);
/* The process runs: logd hears who it is. pid 0: a name for several. */
void logs_begin(struct logs *l, struct log_feed *f, pid_t pid);
/* The process is gone. *f becomes NULL. */
void logs_end(struct logs *l, struct log_feed **f);
/* A logd runs (told everything that there is), or none does (NULL). */
void logs_set_logd(struct logs *l, struct chan *logd);

/*
 * Opens where log lines go: a file, standard error or syslog's socket. *role
 * is the role of CHILD_FILE. Returns the descriptor or -1.
 */
int logs_open_target(
    const struct settings *s, const char **role, struct err *e);

#endif
