/* SPDX-License-Identifier: ISC */
/*
 * line.c - what a log line looks like in a file and in syslog.
 *
 * Owns:    nothing.
 * Runs in: logd.
 * Trusts:  nothing in a line: control bytes are replaced once more.
 * Spec:    RFC 3164 section 4.1 for syslog.
 */
#include <time.h>

#include "log/line.h"

#define FACILITY_MAIL (2 << 3)

static const int severities[] = {[LOG_LEVEL_DEBUG] = 7,
    [LOG_LEVEL_INFO] = 6,
    [LOG_LEVEL_WARN] = 4,
    [LOG_LEVEL_ERROR] = 3,
    [LOG_LEVEL_FATAL] = 2};

/*
 * A process whose name many share may say which of them it is, but not that
 * it is somebody else.
 */
static struct str
name_of(const struct line *l, const struct line_source *s)
{
	struct str name = str_of(s->name);

	return s->pid == 0 && str_starts(l->detail, name) ? l->detail : name;
}

static void
add_text(const struct line *l, struct buf *out)
{
	if (l->level != LOG_LEVEL_INFO)
		buf_addf(out, "%s: ", log_level_name(l->level));
	log_add_safe(out, l->text);
}

static void
local_time(int64_t wall_us, struct tm *tm)
{
	time_t s = (time_t)(wall_us / 1000000);

	(void)localtime_r(&s, tm);
}

void
line_for_file(
    const struct line *l, const struct line_source *s, struct buf *out)
{
	char stamp[32], zone[8];
	struct tm tm;

	local_time(l->wall_us, &tm);
	(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)strftime(zone, sizeof(zone), "%z", &tm);
	buf_addf(
	    out, "%s.%03d%s ", stamp, (int)(l->wall_us / 1000 % 1000), zone);
	log_add_safe(out, name_of(l, s));
	if (s->pid != 0)
		buf_addf(out, "[%u]", s->pid);
	buf_add_c(out, ": ");
	add_text(l, out);
	buf_add_byte(out, '\n');
}

void
line_for_syslog(
    const struct line *l, const struct line_source *s, struct buf *out)
{
	char stamp[32];
	struct tm tm;

	local_time(l->wall_us, &tm);
	(void)strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
	buf_addf(out, "<%d>%s restante", FACILITY_MAIL | severities[l->level],
	    stamp);
	if (s->pid != 0)
		buf_addf(out, "[%u]", s->pid);
	buf_add_c(out, ": ");
	log_add_safe(out, name_of(l, s));
	buf_add_c(out, ": ");
	add_text(l, out);
}
