/* SPDX-License-Identifier: ISC */
/*
 * line.c - lines ending in CRLF with a length limit; dot-stuffing.
 *
 * Owns:    nothing.
 * Runs in: pop3d.
 * Trusts:  nothing: any byte may stand in a line.
 * Spec:    RFC 1939 section 3. A lone LF ends a line too, as clients do it; a
 *          lone CR is a byte like others.
 */
#include "net/line.h"

enum line_found
line_next(
    struct str in, size_t max, bool *skipping, struct str *line, size_t *used)
{
	size_t lf = str_find(in, '\n');

	*used = 0;
	if (*skipping) {
		*skipping = lf == in.n;
		*used = lf == in.n ? in.n : lf + 1;
		return LINE_NONE;
	}
	/* The CR does not count. */
	if (lf > max + 1 || (lf == max + 1 && lf < in.n && in.p[max] != '\r')) {
		*skipping = lf == in.n;
		*used = lf == in.n ? in.n : lf + 1;
		return LINE_TOO_LONG;
	}
	if (lf == in.n)
		return LINE_NONE;
	*line = str_head(in, lf);
	if (str_ends(*line, STR("\r")))
		line->n--;
	*used = lf + 1;
	return LINE_WHOLE;
}

static void
replace_nuls(char *p, size_t n)
{
	char *end = p + n;

	while ((p = memchr(p, '\0', (size_t)(end - p))) != NULL)
		*p++ = (char)0x80;
}

size_t
line_stuff(struct line_stuff *st, struct str in, char *out)
{
	const char *p = in.p, *end = in.p + in.n, *lf;
	char *at = out;
	size_t n;

	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		n = (size_t)((lf == NULL ? end : lf) - p);
		if (!st->in_line && n > 0 && *p == '.')
			*at++ = '.';
		if (n > 0) {
			memcpy(at, p, n);
			at += n;
			st->last_cr = p[n - 1] == '\r';
			st->in_line = true;
		}
		p += n;
		if (lf == NULL)
			break;
		if (!st->last_cr)
			*at++ = '\r';
		*at++ = '\n';
		st->in_line = st->last_cr = false;
		p++;
	}
	n = (size_t)(at - out);
	if (st->no_nuls)
		replace_nuls(out, n);
	return n;
}

size_t
line_stuff_end(struct line_stuff *st, char *out)
{
	size_t n = 0;

	if (st->in_line) {
		/* A CR that waits for its LF gets it. */
		if (!st->last_cr)
			out[n++] = '\r';
		out[n++] = '\n';
	}
	st->in_line = st->last_cr = false;
	memcpy(out + n, ".\r\n", 3);
	return n + 3;
}
