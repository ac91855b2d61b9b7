/* SPDX-License-Identifier: ISC */
/*
 * mbox_scan.c - finds messages in an mbox file.
 *
 * Owns:    a window of the file, and the header of the present message.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; a Content-Length only when a message, or the end of the
 *          file, follows where it says.
 * Spec:    formats.md 6.1 to 6.5, 6.8.
 */
#include "base/assert.h"
#include "os/file.h"
#include "store/mbox/mbox_scan.h"
#include "text/ascii.h"

#define PIECE (256 * 1024)
#define LEADING_MAX 4096

int
mbox_read_fd(
    void *arg, uint64_t off, void *p, size_t n, size_t *got, struct err *e)
{
	return file_read_at(*(int *)arg, off, p, n, got, e);
}

void
mbox_scan_init(struct mbox_scan *s, mbox_read_fn *read, void *arg,
    uint64_t size, uint64_t off)
{
	*s = (struct mbox_scan){
	    .read = read,
	    .arg = arg,
	    .size = size,
	    .next = off,
	};
	buf_init(&s->window, MBOX_HEADER_MAX + 2 * PIECE);
	buf_init(&s->header, MBOX_HEADER_MAX);
}

void
mbox_scan_done(struct mbox_scan *s)
{
	buf_done(&s->window);
	buf_done(&s->header);
}

/* ---- the window ---------------------------------------------------------- */

static struct str
window_from(const struct mbox_scan *s, uint64_t off)
{
	return str_skip(buf_str(&s->window), (size_t)(off - s->window_off));
}

/*
 * Bytes at `off`: at least `want` of them unless the file ends before. What
 * lies before `off` is forgotten when room is needed.
 */
static int
look(struct mbox_scan *s, uint64_t off, size_t want, struct str *out,
    struct err *e)
{
	size_t got;

	if (off < s->window_off || off > s->window_off + s->window.n) {
		buf_clear(&s->window);
		s->window_off = off;
	}
	while (s->window_off + s->window.n - off < want &&
	    s->window_off + s->window.n < s->size) {
		uint64_t end = s->window_off + s->window.n;
		size_t n = PIECE;
		char *room;

		if (s->window.n >= PIECE) {
			buf_drop(&s->window, (size_t)(off - s->window_off));
			s->window_off = off;
		}
		if (n > s->size - end)
			n = (size_t)(s->size - end);
		room = buf_room(&s->window, n);
		ASSERT(room != NULL); /* want is far below the maximum */
		if (s->read(s->arg, end, room, n, &got, e) == -1)
			return -1;
		s->window.n += got;
		if (got < n) /* shorter than it was */
			s->size = end + got;
	}
	*out = window_from(s, off);
	return 0;
}

/* The line at `off` with its LF; `whole` false: only its beginning. */
static int
look_line(struct mbox_scan *s, uint64_t off, size_t max, struct str *line,
    bool *whole, struct err *e)
{
	size_t want = 1, n;
	struct str w;

	for (;;) {
		if (look(s, off, want, &w, e) == -1)
			return -1;
		n = str_find(w, '\n');
		if (n < w.n) {
			*line = str_head(w, n + 1);
			*whole = true;
			return 0;
		}
		if (w.n < want || w.n >= max) {
			*line = str_head(w, max);
			*whole = w.n < want && w.n <= max;
			return 0;
		}
		want = w.n + 1;
	}
}

/* ---- hidden fields ------------------------------------------------------- */

static struct str
line_at(struct str header, size_t at)
{
	struct str rest = str_skip(header, at);
	size_t n = str_find(rest, '\n');

	return str_head(rest, n + 1);
}

static bool
is_blank_line(struct str line)
{
	return str_eq(line, STR("\n")) || str_eq(line, STR("\r\n"));
}

bool
mbox_hidden_next(struct str header, uint32_t *at, struct mbox_range *out)
{
	bool is_hidden = false;
	size_t i = *at;

	*out = (struct mbox_range){0};
	while (i < header.n) {
		struct str line = line_at(header, i);

		if (is_blank_line(line))
			break;
		if (!ascii_is_blank(*line.p))
			is_hidden = mbox_is_hidden(line);
		if (is_hidden && out->len == 0)
			out->off = (uint32_t)i;
		if (is_hidden)
			out->len += (uint32_t)line.n;
		else if (out->len > 0)
			break;
		i += line.n;
	}
	*at = (uint32_t)i;
	return out->len > 0;
}

/* Line ends that gain a CR on the wire. */
static uint64_t
count_bare(struct str s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		const char *lf = memchr(s.p + i, '\n', s.n - i);

		if (lf == NULL)
			break;
		i = (size_t)(lf - s.p);
		n += i == 0 || s.p[i - 1] != '\r';
	}
	return n;
}

uint64_t
mbox_header_sum(struct str header)
{
	struct mbox_sum sum;
	uint64_t h;

	mbox_sum_init(&sum);
	mbox_sum_add(&sum, header);
	h = mbox_sum_end(&sum, 0);
	return h == 0 ? 1 : h;
}

/* ---- one message --------------------------------------------------------- */

/* Blank lines and spaces before the first message. */
static int
skip_leading(struct mbox_scan *s, struct err *e)
{
	struct str w;
	size_t n = 0;

	if (look(s, 0, LEADING_MAX + MBOX_FROM_MAX, &w, e) == -1)
		return -1;
	while (n < w.n && n < LEADING_MAX && ascii_is_space(w.p[n]))
		n++;
	s->next = n;
	return 0;
}

static int
read_from(struct mbox_scan *s, struct mbox_msg *m, struct err *e)
{
	struct mbox_from from;
	const char *format;
	struct str line;
	bool whole;

	if (look_line(s, m->off, MBOX_FROM_MAX, &line, &whole, e) == -1)
		return -1;
	format = m->off <= 1 ? mbox_other_format(line) : NULL;
	if (format != NULL)
		return err_set(e, ERR_FORMAT,
		    "not an mbox file but one of %s, which is not read here",
		    format);
	if (!whole || !mbox_from_parse(line, true, &from))
		return err_set(e, ERR_CORRUPT,
		    "not a valid mbox file: no \"From \" line with a date at "
		    "byte %llu",
		    (unsigned long long)m->off);
	m->from_len = (uint32_t)line.n;
	m->date_s = from.date_s;
	memcpy(s->sender, from.sender.p, from.sender.n);
	m->sender = str_make(s->sender, from.sender.n);
	return 0;
}

/* Takes the hidden fields out of the sizes, and sums up the others. */
static void
count_seen(struct mbox_scan *s, struct mbox_msg *m)
{
	struct mbox_range r;
	uint32_t at = 0, from = 0;

	while (mbox_hidden_next(m->header, &at, &r)) {
		struct str hidden = str_head(str_skip(m->header, r.off), r.len);

		mbox_sum_add(
		    &s->sum, str_head(str_skip(m->header, from), r.off - from));
		from = r.off + r.len;
		m->size -= r.len;
		m->wire_size -= r.len + count_bare(hidden);
	}
	mbox_sum_add(&s->sum, str_skip(m->header, from));
	m->raw = mbox_header_sum(m->header);
}

/* Collects the header and counts what of it is seen. */
static int
read_header(struct mbox_scan *s, struct mbox_msg *m, struct err *e)
{
	uint64_t pos = m->off + m->from_len, over = 0, over_bare = 0;
	struct str line;
	bool whole, is_over = false, is_first = true, bol = true;
	struct mbox_sum rest;

	buf_clear(&s->header);
	mbox_sum_init(&s->sum);
	mbox_sum_init(&rest);
	m->has_blank = false;
	while (!m->has_blank) {
		if (look_line(s, pos, MBOX_HEADER_MAX, &line, &whole, e) == -1)
			return -1;
		if (line.n == 0 || (bol && mbox_from_parse(line, false, NULL)))
			break;
		if (is_first)
			m->crlf = str_ends(line, STR("\r\n"));
		is_first = false;
		m->has_blank = bol && is_blank_line(line);
		is_over = is_over || line.n > MBOX_HEADER_MAX - s->header.n;
		if (is_over) {
			over += line.n;
			over_bare += count_bare(line);
			mbox_sum_add(&rest, line);
		} else {
			(void)buf_add_str(&s->header, line);
		}
		bol = line.p[line.n - 1] == '\n';
		pos += line.n;
		if (pos - m->off > UINT32_MAX - MBOX_HEADER_MAX)
			return err_set(e, ERR_LIMIT, "header too long");
	}
	m->head_len = (uint32_t)(pos - m->off - m->from_len);
	m->header = buf_str(&s->header);
	m->size = m->header.n + over;
	m->wire_size = m->size + count_bare(m->header) + over_bare;
	count_seen(s, m);
	if (over > 0) {
		uint64_t h = mbox_sum_end(&rest, 0);

		mbox_sum_add(&s->sum, str_make((char *)&h, sizeof(h)));
	}
	mbox_state_parse(m->header, &m->state);
	m->body_off = pos;
	return 0;
}

/* Does the message end where its Content-Length says? */
static int
verify_length(
    struct mbox_scan *s, struct mbox_msg *m, bool *valid, struct err *e)
{
	uint64_t at;
	struct str line;
	size_t lf;
	bool whole;

	*valid = false;
	if (!m->state.has_length || !m->has_blank ||
	    m->state.length > s->size - m->body_off)
		return 0;
	at = m->body_off + m->state.length;
	if (look_line(s, at, 2, &line, &whole, e) == -1)
		return -1;
	lf = is_blank_line(line) ? line.n : 0;
	if (at + lf == s->size) {
		m->end = s->size;
		*valid = true;
		return 0;
	}
	if (lf == 0)
		return 0;
	if (look_line(s, at + lf, MBOX_FROM_MAX, &line, &whole, e) == -1)
		return -1;
	if (!whole || !mbox_from_parse(line, true, NULL))
		return 0;
	m->end = at + lf;
	*valid = true;
	return 0;
}

/* Counts the line ends of a body whose length is known. */
static int
count_body(struct mbox_scan *s, struct mbox_msg *m, struct err *e)
{
	uint64_t pos = m->body_off, end = m->body_off + m->state.length;
	uint64_t bare = 0;
	char last = '\0';
	struct str w;

	while (pos < end) {
		if (look(s, pos, 1, &w, e) == -1)
			return -1;
		if (w.n > end - pos)
			w = str_head(w, (size_t)(end - pos));
		if (w.n == 0)
			return err_set(e, ERR_CORRUPT, "file has shrunk");
		bare += count_bare(w);
		mbox_sum_add(&s->sum, w);
		if (*w.p == '\n' && last == '\r')
			bare--;
		last = w.p[w.n - 1];
		pos += w.n;
	}
	m->body_len = m->state.length;
	m->sum = mbox_sum_end(&s->sum, 0);
	m->size += m->body_len;
	m->wire_size += m->body_len + bare;
	return 0;
}

struct body {
	uint64_t pos, bare;
	bool bol, behind_blank, last_was_bare;
	bool only_cr; /* the line so far is one CR */
	bool ends_cr, ends_lf; /* the bytes before pos */
};

/*
 * Walks over whole and broken lines of one window up to a line with F; returns
 * how many bytes these were.
 */
static size_t
walk(struct body *b, struct str w)
{
	const char *p = w.p, *end = w.p + w.n, *lf;

	while (p < end) {
		if (b->bol && *p == 'F' && p > w.p)
			break;
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL) {
			b->only_cr = b->bol && end - p == 1 && *p == '\r';
			b->bol = b->ends_lf = false;
			b->ends_cr = end[-1] == '\r';
			p = end;
			break;
		}
		b->last_was_bare = lf > p ? lf[-1] != '\r' : !b->ends_cr;
		if (lf == p)
			b->behind_blank = b->bol || b->only_cr;
		else
			b->behind_blank = b->bol && lf == p + 1 && *p == '\r';
		b->only_cr = false;
		b->bare += b->last_was_bare;
		b->bol = b->ends_lf = true;
		b->ends_cr = false;
		p = lf + 1;
	}
	b->pos += (uint64_t)(p - w.p);
	return (size_t)(p - w.p);
}

/* Scans for the next From_ line or the end. */
static int
read_body(struct mbox_scan *s, struct mbox_msg *m, struct err *e)
{
	struct body b = {
	    .pos = m->body_off,
	    .bol = true,
	    .behind_blank = m->has_blank,
	};
	unsigned drop = 0;
	uint64_t n;
	struct str w;
	bool whole;

	for (;;) {
		if (look(s, b.pos, 1, &w, e) == -1)
			return -1;
		if (w.n == 0)
			break;
		if (b.bol && *w.p == 'F') {
			if (look_line(s, b.pos, MBOX_FROM_MAX + 2, &w, &whole,
				e) == -1)
				return -1;
			if (whole && mbox_from_parse(w, b.behind_blank, NULL))
				break;
			if (look(s, b.pos, 1, &w, e) == -1)
				return -1;
		}
		mbox_sum_add(&s->sum, str_head(w, walk(&b, w)));
	}
	m->end = b.pos;
	n = b.pos - m->body_off;
	if (n > 0 && b.ends_lf) {
		drop = b.last_was_bare || n == 1 ? 1 : 2;
		b.bare -= b.last_was_bare;
	}
	n -= drop; /* the separator */
	m->sum = mbox_sum_end(&s->sum, drop);
	m->body_len = n;
	m->size += n;
	m->wire_size += n + b.bare;
	return 0;
}

int
mbox_scan_next(
    struct mbox_scan *s, struct mbox_msg *m, bool *found, struct err *e)
{
	bool valid;

	if (!s->is_begun && s->next == 0 && skip_leading(s, e) == -1)
		return -1;
	s->is_begun = true;
	*found = s->next < s->size;
	if (!*found)
		return 0;
	*m = (struct mbox_msg){.off = s->next};
	if (read_from(s, m, e) == -1 || read_header(s, m, e) == -1 ||
	    verify_length(s, m, &valid, e) == -1 ||
	    (valid ? count_body(s, m, e) : read_body(s, m, e)) == -1)
		return -1;
	s->next = m->end;
	return 0;
}
