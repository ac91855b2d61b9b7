/* SPDX-License-Identifier: ISC */
/*
 * line.h - lines ending in CRLF with a length limit; multi-line replies with
 * dots stuffed (RFC 1939 section 3). Pure: bytes in, bytes out.
 */
#ifndef NET_LINE_H
#define NET_LINE_H

#include "base/str.h"

enum line_found {
	LINE_NONE, /* no whole line yet, nothing used */
	LINE_WHOLE, /* *line without CRLF or LF; *used bytes with it */
	LINE_TOO_LONG, /* *used bytes of it can be thrown away */
};

/*
 * Looks for a line of at most `max` bytes without its end. With *skipping the
 * rest of a too long line is thrown away first: LINE_NONE with *used > 0.
 */
enum line_found line_next(
    struct str in, size_t max, bool *skipping, struct str *line, size_t *used);

/* A text on its way into a multi-line reply. */
struct line_stuff {
	bool in_line; /* something of this line has gone out */
	bool last_cr;
	bool no_nuls; /* NUL becomes 0x80 */
};

/* `in` of `n` bytes gives at most this many. */
#define LINE_STUFFED_MAX(n) (2 * (n) + 1)
#define LINE_STUFF_END_MAX 5

/*
 * Writes `in` to `out` with every line end as CRLF and every dot at the start
 * of a line doubled; returns how many bytes. Zero `*st` first.
 */
size_t line_stuff(struct line_stuff *st, struct str in, char *out);
/* Writes what ends the reply: CRLF if the last line is open, dot, CRLF. */
size_t line_stuff_end(struct line_stuff *st, char *out);

#endif
