/* SPDX-License-Identifier: ISC */
/*
 * chan_log.h - log lines to logd.
 *
 * On the ends: every process, on its descriptor 4; logd. logd believes nothing:
 * who speaks is the descriptor on which a line comes, named by master.
 * Master keeps a copy of each receiving end, so that a new logd goes on.
 */
#ifndef IPC_CHAN_LOG_H
#define IPC_CHAN_LOG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "ipc/msg.h"

/* Types of messages. */
enum {
	LOG_LINE = 32,
	LOG_SOURCE = 33,
	LOG_REOPEN = 34,
};

#define LOG_LINE_MAX 2048
#define LOG_FRAME_MAX 4096
#define LOG_NAME_MAX 300

/*
 * LOG_LINE  process -> logd, no descriptors, any number
 *   u8  level   enum log_level
 *   str detail  the process's own name for itself ("imapd(joe)"), shown only
 *               behind the one from master, and only where it starts with it
 *   str line    quoted already; logd quotes again
 */
struct log_line {
	enum log_level level;
	struct str detail, line;
};
void log_line_write(const struct log_line *m, struct buf *out);
int log_line_parse(struct msg_in *in, struct log_line *m, struct err *e);

/*
 * LOG_SOURCE  master -> logd, 1 descriptor: the receiving end of a process
 *   str name  "imapd(joe)"
 *   u32 pid   0: many processes share it
 */
struct log_source {
	struct str name;
	uint32_t pid;
};
void log_source_write(const struct log_source *m, struct buf *out);
int log_source_parse(struct msg_in *in, struct log_source *m, struct err *e);

/*
 * LOG_REOPEN  logd -> master, no fields: the log file or syslog socket is
 * broken; master opens it again and sends CHILD_FILE "log" or "syslog"
 */
void log_reopen_write(struct buf *out);
int log_reopen_parse(struct msg_in *in, struct err *e);

/*
 * From now on this process's log lines go to `fd`. They never block: what logd
 * does not take is counted, and the count is told with the next line that
 * gets through.
 */
void chan_log_use(int fd);

#endif
