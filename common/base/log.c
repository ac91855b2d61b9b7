/* SPDX-License-Identifier: ISC */
/*
 * log.c - log lines, quoted in one place.
 *
 * Owns:    the process's name and sink.
 * Runs in: every process.
 * Trusts:  nothing in the arguments.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define LINE_MAX_BYTES 2000

static char process_name[64] = "restante";
static enum log_level lowest = LOG_LEVEL_INFO;

static void
to_stderr(enum log_level level, const char *line, UNUSED void *arg)
{
	(void)dprintf(
	    2, "%s: %s: %s\n", log_level_name(level), process_name, line);
}

static log_sink_fn *sink_fn = to_stderr;
static void *sink_arg;

void
log_set_process(const char *process)
{
	(void)snprintf(process_name, sizeof(process_name), "%s", process);
}

const char *
log_process(void)
{
	return process_name;
}

void
log_set_sink(log_sink_fn *sink, void *arg)
{
	sink_fn = sink != NULL ? sink : to_stderr;
	sink_arg = arg;
}

void
log_set_level(enum log_level level)
{
	lowest = level;
}

bool
log_is_debug(void)
{
	return lowest == LOG_LEVEL_DEBUG;
}

const char *
log_level_name(enum log_level level)
{
	static const char *const names[] = {
	    "debug", "info", "warning", "error", "fatal"};

	return names[level];
}

size_t
log_control(const char *at, size_t n)
{
	const unsigned char *p = (const unsigned char *)at;

	if (p[0] < 0x20 || p[0] == 0x7f)
		return 1;
	return p[0] == 0xc2 && n > 1 && p[1] >= 0x80 && p[1] < 0xa0 ? 2 : 0;
}

void
log_add_safe(struct buf *out, struct str s)
{
	size_t bad;

	for (; s.n > 0; s = str_skip(s, bad > 1 ? bad : 1)) {
		bad = log_control(s.p, s.n);
		buf_add_byte(out, bad > 0 ? '?' : s.p[0]);
	}
}

/* Control bytes become \ooo; the rest, UTF-8 too, stays as it is. */
static void
quote(const char *from, char *to, size_t to_size)
{
	size_t n = 0, bad = 0;

	for (; *from != '\0' && n + 5 < to_size; from++) {
		/* from[1] is at most the NUL. */
		if (bad == 0)
			bad = log_control(from, 2);
		if (bad == 0) {
			to[n++] = *from;
			continue;
		}
		n += (size_t)snprintf(
		    to + n, to_size - n, "\\%03o", (unsigned char)*from);
		bad--;
	}
	to[n] = '\0';
}

static void write_line(enum log_level level, const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);

static void
write_line(enum log_level level, const char *fmt, va_list ap)
{
	char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 100];

	if (level < lowest)
		return;
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	quote(raw, line, sizeof(line));
	sink_fn(level, line, sink_arg);
}

#define LOG_FUNCTION(name, level)                                              \
	void name(const char *fmt, ...)                                        \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, fmt);                                             \
		write_line(level, fmt, ap);                                    \
		va_end(ap);                                                    \
	}

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)

void
log_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(LOG_LEVEL_FATAL, fmt, ap);
	va_end(ap);
	exit(1);
}
