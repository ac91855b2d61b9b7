/* SPDX-License-Identifier: ISC */
/*
 * mbox_stage.c - new messages on their way to an mbox file: in memory, then in
 * a file without a name.
 *
 * Owns:    what is staged.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the bytes: lines that would begin a message are quoted,
 *          fields that are ours are dropped.
 * Spec:    formats.md 6.3, 6.4, 7.6, 7.7; security.md 7.3.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/mbox/mbox_save.h"
#include "text/ascii.h"
#include "text/crlf.h"

#define MEMORY_MAX (1024 * 1024)
#define LINE_MAX_BYTES 8192

int
mbox_stage_begin(struct append *a, struct err *e)
{
	struct mbox_save *s = mem_new(1, sizeof(*s));

	(void)e;
	arena_init(&s->arena);
	buf_init(&s->stage, MEMORY_MAX + 4 * LINE_MAX_BYTES);
	buf_init(&s->line, 2 * LINE_MAX_BYTES);
	s->fd = -1;
	a->impl = s;
	return 0;
}

/* ---- the stage --------------------------------------------------------------- */

int
mbox_stage_scratch(struct append *a, struct err *e)
{
	const char *dir = a->m->store->state;
	int fd;

	if (file_make_path(dir, e) == -1)
		return -1;
	fd = openat(AT_FDCWD, dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "%s/append.%ld.%lld", dir,
		    (long)getpid(), (long long)clock_wall_us());
		fd = openat(AT_FDCWD, path,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd != -1)
			(void)unlinkat(AT_FDCWD, path, 0);
	}
	return fd == -1 ? err_sys(e, "stage a message in %s", dir) : fd;
}

static int
open_stage(struct append *a, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);

	s->fd = mbox_stage_scratch(a, e);
	return s->fd == -1 ? -1 : 0;
}

static uint64_t
staged_bytes(const struct mbox_save *s)
{
	return s->n_file + s->stage.n;
}

static int
put(struct append *a, struct str bytes, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);

	if (s->stage.n + bytes.n > MEMORY_MAX && s->stage.n > 0) {
		if (s->fd == -1 && open_stage(a, e) == -1)
			return -1;
		if (file_write(s->fd, buf_str(&s->stage), e) == -1)
			return -1;
		s->n_file += s->stage.n;
		buf_clear(&s->stage);
	}
	s->has_nul = s->has_nul || memchr(bytes.p, '\0', bytes.n) != NULL;
	return buf_add_str(&s->stage, bytes)
	    ? 0
	    : err_set(e, ERR_LIMIT, "line too long");
}

int
mbox_stage_read(
    struct mbox_save *s, uint64_t off, char *p, size_t n, struct err *e)
{
	size_t got = 0;

	if (off < s->n_file) {
		if (n > s->n_file - off)
			n = (size_t)(s->n_file - off);
		if (file_read_at(s->fd, off, p, n, &got, e) == -1)
			return -1;
		return got == n ? (int)n
				: err_set(e, ERR_SYS, "stage is short");
	}
	off -= s->n_file;
	if (n > s->stage.n - off)
		n = s->stage.n - (size_t)off;
	memcpy(p, s->stage.p + off, n);
	return (int)n;
}

/* ---- lines ------------------------------------------------------------------- */

/* "From ... 2026": what c-client takes for the beginning of a message. */
static bool
ends_like_from(struct str line)
{
	unsigned digits = 0;

	for (size_t i = 5; i < line.n; i++) {
		digits = ascii_is_digit(line.p[i]) ? digits + 1 : 0;
		if (digits == 4)
			return true;
	}
	return false;
}

static bool
must_quote(const struct mbox_save *s, struct str line)
{
	if (!str_starts(line, STR("From ")))
		return false;
	return mbox_from_parse(line, true, NULL) ||
	    (!s->is_copy && ends_like_from(line));
}

static bool
is_blank(struct str line)
{
	return str_eq(line, STR("\n"));
}

static int
take_header_line(struct append *a, struct str line, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	struct mbox_staged *st = &s->all.v[s->all.n - 1];

	if (is_blank(line)) {
		st->head_len = staged_bytes(s) - st->head_off;
		st->body_off = staged_bytes(s);
		s->in_body = true;
		return 0;
	}
	if (!ascii_is_blank(*line.p))
		s->is_dropped = mbox_is_hidden(line) ||
		    str_starts_nocase(line, STR("X-Delivery-ID:")) ||
		    str_starts(line, STR("From "));
	return s->is_dropped ? 0 : put(a, line, e);
}

/* A line with its LF, or a piece of a long one. */
static int
take_line(struct append *a, struct str line, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	bool is_start = !s->in_line;

	if (line.n == 0)
		return 0;
	s->in_line = line.p[line.n - 1] != '\n';
	if (!s->in_body && is_start)
		return take_header_line(a, line, e);
	if (!s->in_body)
		return s->is_dropped ? 0 : put(a, line, e);
	if (is_start && must_quote(s, line) && put(a, STR(">"), e) == -1)
		return -1;
	return put(a, line, e);
}

static int
end_of_line(struct append *a, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	int rc = take_line(a, buf_str(&s->line), e);

	buf_clear(&s->line);
	return rc;
}

/* Bytes without a CR before an LF. */
static int
take_bytes(struct append *a, struct str bytes, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);

	while (bytes.n > 0) {
		size_t n = str_find(bytes, '\n');
		bool whole = n < bytes.n;

		n += whole;
		/* Most lines come whole: no copy. */
		if (whole && s->line.n == 0 && n <= LINE_MAX_BYTES) {
			if (take_line(a, str_head(bytes, n), e) == -1)
				return -1;
			bytes = str_skip(bytes, n);
			continue;
		}
		if (n > LINE_MAX_BYTES - s->line.n)
			n = LINE_MAX_BYTES - s->line.n;
		(void)buf_add(&s->line, bytes.p, n);
		bytes = str_skip(bytes, n);
		if ((s->line.n == LINE_MAX_BYTES ||
			s->line.p[s->line.n - 1] == '\n') &&
		    end_of_line(a, e) == -1)
			return -1;
	}
	return 0;
}

int
mbox_stage_data(struct append *a, struct str bytes, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	struct str piece;

	while (crlf_strip_next(&bytes, &s->has_cr, &piece))
		if (take_bytes(a, piece, e) == -1)
			return -1;
	return 0;
}

/* ---- messages ---------------------------------------------------------------- */

int
mbox_stage_finish(struct append *a, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	struct mbox_staged *st;

	if (!s->in_message)
		return 0;
	st = &s->all.v[s->all.n - 1];
	if (s->has_cr && take_bytes(a, STR("\r"), e) == -1)
		return -1;
	s->has_cr = false;
	if (end_of_line(a, e) == -1)
		return -1;
	if (!s->in_body) {
		/* A header without an end gets one. */
		if (s->in_line && !s->is_dropped && put(a, STR("\n"), e) == -1)
			return -1;
		st->head_len = staged_bytes(s) - st->head_off;
		st->body_off = staged_bytes(s);
	}
	st->body_len = staged_bytes(s) - st->body_off;
	s->in_message = false;
	return 0;
}

int
mbox_stage_message(struct append *a, const struct flag_wish *wish,
    int64_t date_s, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	struct str *names;
	struct mbox_staged *st;

	if (mbox_stage_finish(a, e) == -1)
		return -1;
	st = VEC_ADD(&s->all);
	*st = (struct mbox_staged){
	    .head_off = staged_bytes(s),
	    .date_s = date_s == -1 ? clock_wall_s() : date_s,
	    .wish = {.system = wish->system & FLAGS_STORED},
	};
	names = arena_new(&s->arena, wish->n_keywords, sizeof(*names));
	for (size_t i = 0; i < wish->n_keywords; i++)
		names[i] = arena_str(&s->arena, wish->keywords[i]);
	st->wish.keywords = names;
	st->wish.n_keywords = wish->n_keywords;
	s->in_message = true;
	s->in_body = s->in_line = s->is_dropped = s->has_cr = s->is_copy =
	    false;
	return 0;
}

void
mbox_stage_end_copy(struct mbox_save *s)
{
	if (s->copied_from == NULL)
		return;
	mbox_msg_close(&s->copied);
	s->copied_from = NULL;
}

static int
begin_copy(struct append *a, struct mailbox *from, uint32_t uid,
    const struct flag_wish *wish, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);

	s->copied = (struct msg_file){.fd = -1};
	s->copied_to = 0;
	if (mbox_msg_open(from, uid, &s->copied, e) == -1)
		return -1;
	s->copied_from = from;
	if (s->piece == NULL)
		s->piece = mem_new(1, MBOX_COPY_BYTES);
	if (mbox_stage_message(a, wish, s->copied.date_s, e) == -1)
		return -1;
	s->is_copy = true;
	return 0;
}

/* *at_end: that was the last of it. */
static int
copy_piece(struct append *a, bool *at_end, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	size_t got = 0;

	if (mbox_msg_read(s->copied_from, &s->copied, s->copied_to, s->piece,
		MBOX_COPY_BYTES, &got, e) == -1 ||
	    mbox_stage_data(a, str_make(s->piece, got), e) == -1)
		return -1;
	s->copied_to += got;
	*at_end = got == 0;
	return *at_end ? mbox_stage_finish(a, e) : 0;
}

/*
 * From another mbox file: lines that stood there unquoted stay so, unless they
 * would begin a message.
 */
enum step
mbox_stage_copy(struct append *a, struct mailbox *from, uint32_t uid,
    const struct flag_wish *wish, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	bool at_end = false;
	enum step step;

	if (from->store->ops != &mbox_ops) {
		(void)err_set(e, ERR_UNSUPPORTED, "not from an mbox file");
		return STEP_FAIL;
	}
	step = mbox_ready(from, e);
	if (step == STEP_DONE && s->copied_from == NULL &&
	    begin_copy(a, from, uid, wish, e) == -1)
		step = STEP_FAIL;
	while (step == STEP_DONE && !at_end) {
		if (copy_piece(a, &at_end, e) == -1)
			step = STEP_FAIL;
		else if (!at_end && clock_mono_ms() >= until)
			step = STEP_MORE;
	}
	if (step != STEP_MORE)
		mbox_stage_end_copy(s);
	return step;
}
