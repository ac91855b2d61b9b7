/* SPDX-License-Identifier: ISC */
/*
 * journal.c - writes and reads the text of "restante-journal".
 *
 * Owns:    nothing; pure.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in a text: no name that leaves its folder comes out.
 * Spec:    journal.h.
 */
#include "store/maildir/journal.h"

#include "index/index_key.h"

#define MAGIC "restante-journal 1 "
#define NAME_BYTES_MAX 255
#define SUM_DIGITS 16
#define SUM_LINE (sizeof("end \n") - 1 + SUM_DIGITS)

/* A file of the folder itself that no program hides. */
static bool
is_name(struct str s)
{
	if (s.n == 0 || s.n > NAME_BYTES_MAX || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '/' || s.p[i] == '\n' || s.p[i] == '\r' ||
		    s.p[i] == '\0')
			return false;
	return true;
}

static bool
is_base(struct str s)
{
	return is_name(s) && str_find(s, ':') == s.n;
}

/* ---- writing --------------------------------------------------------------- */

void
journal_begin(struct buf *b, struct str boot)
{
	(void)buf_addf(b, MAGIC "%.*s\n", STR_ARG(boot));
}

void
journal_add(struct buf *b, const struct journal_line *l)
{
	(void)buf_add_byte(b, l->kind);
	if (l->kind == '+')
		(void)buf_addf(
		    b, "%c/%.*s/", l->in_new ? 'n' : 'c', STR_ARG(l->tmp));
	(void)buf_add_str(b, l->name);
	(void)buf_add_byte(b, '\n');
}

static void
add_sum(struct buf *b, struct str above)
{
	(void)buf_addf(
	    b, "end %016llx\n", (unsigned long long)index_sum(1, above));
}

bool
journal_end(struct buf *b)
{
	struct str boot, lines;

	add_sum(b, buf_str(b));
	return !buf_is_over(b) && journal_parse(buf_str(b), &boot, &lines);
}

/* ---- reading --------------------------------------------------------------- */

/* Takes a line off, without its LF. False: none is left. */
static bool
take_line(struct str *text, struct str *line)
{
	size_t n = str_find(*text, '\n');

	if (n == text->n)
		return false;
	*line = str_head(*text, n);
	*text = str_skip(*text, n + 1);
	return true;
}

static bool
parse_line(struct str line, struct journal_line *out)
{
	size_t n;

	*out = (struct journal_line){.kind = line.n > 0 ? line.p[0] : '\0'};
	line = str_skip(line, 1);
	if (out->kind == '=' || out->kind == '-') {
		out->name = line;
		return is_base(line);
	}
	if (out->kind != '+' ||
	    (!str_starts(line, STR("n/")) && !str_starts(line, STR("c/"))))
		return false;
	out->in_new = line.p[0] == 'n';
	line = str_skip(line, 2);
	n = str_find(line, '/');
	out->tmp = str_head(line, n);
	out->name = str_skip(line, n + 1);
	return is_name(out->tmp) && is_name(out->name) && out->name.p[0] != ':';
}

bool
journal_next(struct str *lines, struct journal_line *out)
{
	struct str line;

	return take_line(lines, &line) && parse_line(line, out);
}

/* Whole, and the sum is that of all before it. */
static bool
is_whole(struct str text)
{
	char room[SUM_LINE + 1];
	struct str above;
	struct buf b;
	bool is_same;

	if (text.n < SUM_LINE)
		return false;
	above = str_head(text, text.n - SUM_LINE);
	buf_init(&b, sizeof(room));
	add_sum(&b, above);
	is_same = str_eq(buf_str(&b), str_skip(text, above.n));
	buf_done(&b);
	return is_same;
}

bool
journal_parse(struct str text, struct str *boot, struct str *lines)
{
	struct journal_line l;
	size_t n_come = 0, n_copies = 0, n_go = 0;
	struct str rest;

	if (!is_whole(text))
		return false;
	rest = str_head(text, text.n - SUM_LINE);
	if (!str_starts(rest, STR(MAGIC)) || !take_line(&rest, boot))
		return false;
	*boot = str_skip(*boot, sizeof(MAGIC) - 1);
	*lines = rest;
	while (rest.n > 0) {
		if (!journal_next(&rest, &l))
			return false;
		n_come += l.kind == '+';
		n_copies += l.kind == '=';
		n_go += l.kind == '-';
	}
	return (n_come == 0 || n_copies == 0) &&
	    (n_go == 0 || (n_go == 1 && n_come == 1));
}
