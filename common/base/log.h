/* SPDX-License-Identifier: ISC */
/*
 * log.h - one event, one line: a fixed phrase, then key=value.
 *
 *	log_info("login user=<%s> rip=%s", user, ip);
 *
 * The whole formatted text passes one quoting function (control bytes become
 * \ooo, long lines are cut), so outside strings can not forge a line.
 * Passwords, SASL data, tickets and message text are never logged.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"
#include "base/buf.h"

/* Ascending: what is below the level that was set is not told. */
enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_FATAL,
};

/*
 * Where lines go: one call per line, `line` is quoted, NUL-terminated, has no
 * LF. The default sink writes "level: process: line\n" to standard error.
 */
typedef void log_sink_fn(enum log_level level, const char *line, void *arg);

/* `process` ("imapd(joe)") is copied; it stands before each line. */
void log_set_process(const char *process);
const char *log_process(void);
void log_set_sink(log_sink_fn *sink, void *arg);
/* Lines below this level are dropped; default LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
bool log_is_debug(void);
const char *log_level_name(enum log_level level);
/*
 * Bytes at `at`, of `n` that there are, which a terminal would take for a
 * control character; 0: none. U+0080 to U+009F have two in UTF-8.
 */
size_t log_control(const char *at, size_t n);
/* Appends the text with "?" for each of them. */
void log_add_safe(struct buf *out, struct str s);

/*
 * One line, as printf() makes it: a fixed phrase first, then key=value. Control
 * bytes are escaped, long lines cut. Below the level nothing is done.
 */
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Logs and exits with status 1. */
NORETURN void log_fatal(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
