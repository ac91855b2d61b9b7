/* SPDX-License-Identifier: ISC */
/*
 * chan_log.c - log lines to logd.
 *
 * Owns:    the process's log descriptor.
 * Runs in: every process; the decoders in logd.
 * Trusts:  nothing it parses.
 */
#include <stdio.h>
#include <unistd.h>

#include "ipc/chan_log.h"

#include "base/bounds.h"
#include "base/clock.h"
#include "os/fd.h"

/*
 * A burst of a few hundred lines fills the channel (of the login workers, which
 * share theirs, a flood of clients does): logd needs so long at most to have
 * room again, unless it hangs, and then nobody else shall.
 */
#define ROOM_WAIT_MS 500

static int log_fd = -1;
static unsigned long lost;
static pid_t lost_by; /* what a parent has lost its children do not tell */

void
log_line_write(const struct log_line *m, struct buf *out)
{
	msg_begin(out, LOG_LINE, 0);
	msg_put_u8(out, (uint8_t)m->level);
	msg_put_str(out, str_head(m->detail, LOG_NAME_MAX));
	msg_put_str(out, str_head(m->line, LOG_LINE_MAX));
}

int
log_line_parse(struct msg_in *in, struct log_line *m, struct err *e)
{
	struct log_line got = {0};
	unsigned level = msg_get_u8(in);

	got.level = (enum log_level)level;
	got.detail = msg_get_str(in, LOG_NAME_MAX);
	got.line = msg_get_str(in, LOG_LINE_MAX);
	if (level > LOG_LEVEL_FATAL)
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
log_source_write(const struct log_source *m, struct buf *out)
{
	msg_begin(out, LOG_SOURCE, 1);
	msg_put_str(out, str_head(m->name, LOG_NAME_MAX));
	msg_put_u32(out, m->pid);
}

int
log_source_parse(struct msg_in *in, struct log_source *m, struct err *e)
{
	struct log_source got = {0};

	got.name = msg_get_str(in, LOG_NAME_MAX);
	got.pid = msg_get_u32(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
log_reopen_write(struct buf *out)
{
	msg_begin(out, LOG_REOPEN, 0);
}

int
log_reopen_parse(struct msg_in *in, struct err *e)
{
	return msg_end(in, e);
}

static bool
send_line(enum log_level level, const char *line)
{
	static struct buf frame;
	struct log_line m = {.level = level,
	    .detail = str_of(log_process()),
	    .line = str_of(line)};
	enum step step;
	struct err e;

	if (frame.max_bytes == 0)
		buf_init(&frame, LOG_FRAME_MAX);
	log_line_write(&m, &frame);
	step = fd_send(log_fd, buf_str(&frame), NULL, 0, true, &e);
	if (step != STEP_MORE || lost > 0 ||
	    fd_wait(log_fd, true, clock_mono_ms() + ROOM_WAIT_MS, &e) == -1)
		return step == STEP_DONE;
	return fd_send(log_fd, buf_str(&frame), NULL, 0, true, &e) == STEP_DONE;
}

static void
to_logd(enum log_level level, const char *line, UNUSED void *arg)
{
	char text[80];

	if (lost > 0 && lost_by != getpid())
		lost = 0;
	if (lost > 0) {
		(void)snprintf(
		    text, sizeof(text), "log lines lost count=%lu", lost);
		if (send_line(LOG_LEVEL_WARN, text))
			lost = 0;
	}
	if (send_line(level, line))
		return;
	lost++;
	lost_by = getpid();
}

void
chan_log_use(int fd)
{
	log_fd = fd;
	log_set_sink(fd == -1 ? NULL : to_logd, NULL);
}
