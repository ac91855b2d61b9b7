/* SPDX-License-Identifier: ISC */
/* line.h - what a log line looks like in a file and in syslog. */
#ifndef LOG_LINE_H
#define LOG_LINE_H

#include "base/buf.h"
#include "base/log.h"

/* Who said it, by the descriptor on which it came. */
struct line_source {
	const char *name;
	uint32_t pid; /* 0: several processes share the name */
};

/* `detail` is the process, "imapd(joe)"; both are borrowed. */
struct line {
	enum log_level level;
	int64_t wall_us;
	struct str detail, text;
};

/* "2024-03-01T14:05:06.789+0100 imapd(joe)[123]: warning: text\n" */
void line_for_file(
    const struct line *l, const struct line_source *s, struct buf *out);
/* "<20>Mar  1 14:05:06 restante[123]: imapd(joe): warning: text" */
void line_for_syslog(
    const struct line *l, const struct line_source *s, struct buf *out);

#endif
