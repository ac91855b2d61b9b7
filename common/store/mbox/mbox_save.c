/* SPDX-License-Identifier: ISC */
/*
 * mbox_save.c - new messages at the end of an mbox file.
 *
 * Owns:    what is staged: in memory, then in a file without a name.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the bytes: lines that would begin a message are quoted,
 *          fields that are ours are dropped.
 * Spec:    formats.md 6.3, 6.4, 7.6, 7.7; security.md 7.3.
 *
 * The lock is taken when all is there. Then the file is made longer at once by
 * what comes; whoever finds that half filled after a crash takes it out again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/mbox/mbox_impl.h"
#include "text/ascii.h"
#include "text/crlf.h"

#define MEMORY_MAX (1024 * 1024)
#define LINE_MAX_BYTES 8192
#define PADDING 50
#define COPY_BYTES (256 * 1024)

struct staged {
	uint64_t head_off, head_len, body_off, body_len; /* in the stage */
	int64_t date_s;
	struct flag_wish wish; /* in the arena */
	struct flag_change flags; /* once keywords have numbers */
	uint32_t uid;
	struct str from, block; /* written around the header */
};

struct save {
	struct arena arena;
	VEC(struct staged) all;
	struct buf stage;
	int fd; /* what came before the buffer, or -1 */
	uint64_t n_file;
	/* The message that is being taken. */
	bool in_message, in_body, is_copy;
	bool is_dropped; /* the field that we are in */
	bool in_line; /* part of this line has been staged */
	bool has_cr;
	struct buf line;
	/* The one that is being copied. */
	struct mailbox *copied_from;
	struct msg_file copied;
	uint64_t copied_to;
	char *piece;
	/* The commit. */
	enum save_phase {
		SAVE_FINISH,
		SAVE_LOCK,
		SAVE_LOOK,
		SAVE_NAMES,
		SAVE_BASE, /* new keywords come there first */
		SAVE_EXTEND,
		SAVE_WRITE,
		SAVE_END, /* durable */
		SAVE_TAIL, /* what was written is read as mail that has come */
		SAVE_DONE,
	} phase;
	struct lock_wait wait;
	struct mbox_writing writing;
	bool is_writing;
	uint64_t off; /* of the first in the file */
	uint64_t at; /* where the next bytes go */
	struct str lead;
	size_t msg; /* being written */
	enum { PART_FROM, PART_HEAD, PART_BLOCK, PART_BODY, PART_END } part;
	uint64_t part_at;
};

static struct save *
save_of(const struct append *a)
{
	return a->impl;
}

static int
begin(struct append *a, struct err *e)
{
	struct save *s = mem_new(1, sizeof(*s));

	(void)e;
	arena_init(&s->arena);
	buf_init(&s->stage, MEMORY_MAX + 4 * LINE_MAX_BYTES);
	buf_init(&s->line, 2 * LINE_MAX_BYTES);
	s->fd = -1;
	a->impl = s;
	return 0;
}

/* ---- the stage --------------------------------------------------------------- */

static int
scratch(struct append *a, struct err *e)
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
	struct save *s = save_of(a);

	s->fd = scratch(a, e);
	return s->fd == -1 ? -1 : 0;
}

static uint64_t
staged_bytes(const struct save *s)
{
	return s->n_file + s->stage.n;
}

static int
put(struct append *a, struct str bytes, struct err *e)
{
	struct save *s = save_of(a);

	if (s->stage.n + bytes.n > MEMORY_MAX && s->stage.n > 0) {
		if (s->fd == -1 && open_stage(a, e) == -1)
			return -1;
		if (file_write(s->fd, buf_str(&s->stage), e) == -1)
			return -1;
		s->n_file += s->stage.n;
		buf_clear(&s->stage);
	}
	return buf_add_str(&s->stage, bytes)
	    ? 0
	    : err_set(e, ERR_LIMIT, "line too long");
}

static int
read_stage(struct save *s, uint64_t off, char *p, size_t n, struct err *e)
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
must_quote(const struct save *s, struct str line)
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
	struct save *s = save_of(a);
	struct staged *st = &s->all.v[s->all.n - 1];

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
	struct save *s = save_of(a);
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
	struct save *s = save_of(a);
	int rc = take_line(a, buf_str(&s->line), e);

	buf_clear(&s->line);
	return rc;
}

/* Bytes without a CR before an LF. */
static int
take_bytes(struct append *a, struct str bytes, struct err *e)
{
	struct save *s = save_of(a);

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

static int
data(struct append *a, struct str bytes, struct err *e)
{
	struct save *s = save_of(a);
	struct str piece;

	while (crlf_strip_next(&bytes, &s->has_cr, &piece))
		if (take_bytes(a, piece, e) == -1)
			return -1;
	return 0;
}

/* ---- messages ---------------------------------------------------------------- */

static int
finish(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct staged *st;

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

static int
message(struct append *a, const struct flag_wish *wish, int64_t date_s,
    struct err *e)
{
	struct save *s = save_of(a);
	struct str *names;
	struct staged *st;

	if (finish(a, e) == -1)
		return -1;
	st = VEC_ADD(&s->all);
	*st = (struct staged){
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

static void
end_copy(struct save *s)
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
	struct save *s = save_of(a);

	s->copied = (struct msg_file){.fd = -1};
	s->copied_to = 0;
	if (mbox_msg_open(from, uid, &s->copied, e) == -1)
		return -1;
	s->copied_from = from;
	if (s->piece == NULL)
		s->piece = mem_new(1, COPY_BYTES);
	if (message(a, wish, s->copied.date_s, e) == -1)
		return -1;
	s->is_copy = true;
	return 0;
}

/* *at_end: that was the last of it. */
static int
copy_piece(struct append *a, bool *at_end, struct err *e)
{
	struct save *s = save_of(a);
	size_t got = 0;

	if (mbox_msg_read(s->copied_from, &s->copied, s->copied_to, s->piece,
		COPY_BYTES, &got, e) == -1 ||
	    data(a, str_make(s->piece, got), e) == -1)
		return -1;
	s->copied_to += got;
	*at_end = got == 0;
	return *at_end ? finish(a, e) : 0;
}

/*
 * From another mbox file: lines that stood there unquoted stay so, unless they
 * would begin a message.
 */
static enum step
copy(struct append *a, struct mailbox *from, uint32_t uid,
    const struct flag_wish *wish, struct err *e)
{
	struct save *s = save_of(a);
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
		end_copy(s);
	return step;
}

/* ---- commit ------------------------------------------------------------------ */

static struct str
sender_of(struct append *a, struct arena *arena)
{
	const struct store *s = a->m->store;

	if (strchr(s->user, '@') != NULL)
		return arena_str(arena, str_of(s->user));
	return arena_printf(arena, "%s@%s", s->user, s->host);
}

/* The lines around the header; `is_first`: with the base. */
static void
dress(struct append *a, struct staged *st, bool with_uid, bool is_first)
{
	struct save *s = save_of(a);
	struct mailbox *m = a->m;
	struct msg_rec as = {.keywords = st->flags.keywords};
	struct mbox_words w = {
	    .is_first = is_first,
	    .uidvalidity = m->uidvalidity,
	    .last_uid = st->uid,
	    .uid = with_uid ? st->uid : 0,
	    .flags = st->wish.system,
	    .has_length = true,
	    .length = st->body_len,
	};
	struct buf b;

	if (is_first)
		w.base_keywords = mbox_base_keywords(m, &s->arena);
	if (with_uid) {
		mailbox_set_more(m, &as, st->flags.more, st->flags.n_more);
		w.keywords = mbox_keywords_of(m, &as, &s->arena);
	}
	buf_init(&b, 16 * MBOX_HEADER_MAX);
	mbox_from_write(&b, sender_of(a, &s->arena), st->date_s);
	st->from = arena_str(&s->arena, buf_str(&b));
	buf_clear(&b);
	mbox_state_write(&b, &w, PADDING);
	(void)buf_add_byte(&b, '\n');
	st->block = arena_str(&s->arena, buf_str(&b));
	buf_done(&b);
}

/* Some bytes of a part of the message; *left says how many there are still. */
static int
write_part(struct append *a, struct str bytes, uint64_t *left, struct err *e)
{
	struct save *s = save_of(a);
	ssize_t n;

	*left = bytes.n;
	if (bytes.n == 0)
		return 0;
	n = pwrite(mbox_of(a->m)->fd, bytes.p, bytes.n, (off_t)s->at);
	if (n == -1 && errno == EINTR)
		return 0;
	if (n == -1)
		return err_sys(e, "append");
	if (n == 0)
		return err_set(e, ERR_NO_SPACE, "append");
	s->at += (uint64_t)n;
	s->part_at += (uint64_t)n;
	*left -= (uint64_t)n;
	return 0;
}

static int
write_staged(
    struct append *a, uint64_t off, uint64_t n, uint64_t *left, struct err *e)
{
	struct save *s = save_of(a);
	uint64_t rest = n - s->part_at, of_piece;
	int got;

	*left = rest;
	if (rest == 0)
		return 0;
	if (s->piece == NULL)
		s->piece = mem_new(1, COPY_BYTES);
	got = read_stage(s, off + s->part_at, s->piece,
	    rest < COPY_BYTES ? (size_t)rest : COPY_BYTES, e);
	if (got == -1 ||
	    write_part(a, str_make(s->piece, (size_t)got), &of_piece, e) == -1)
		return -1;
	*left = n - s->part_at;
	return 0;
}

static int
write_piece(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	const struct staged *st = &s->all.v[s->msg];
	uint64_t left = 0;
	int rc = 0;

	switch (s->part) {
	case PART_FROM:
		rc = write_part(
		    a, str_skip(st->from, (size_t)s->part_at), &left, e);
		break;
	case PART_HEAD:
		rc = write_staged(a, st->head_off, st->head_len, &left, e);
		break;
	case PART_BLOCK:
		rc = write_part(
		    a, str_skip(st->block, (size_t)s->part_at), &left, e);
		break;
	case PART_BODY:
		rc = write_staged(a, st->body_off, st->body_len, &left, e);
		break;
	case PART_END:
		rc = write_part(
		    a, str_skip(STR("\n"), (size_t)s->part_at), &left, e);
		break;
	}
	if (rc == -1 || left > 0)
		return rc;
	s->part_at = 0;
	if (s->part == PART_END) {
		s->part = PART_FROM;
		s->msg++;
	} else {
		s->part++;
	}
	return 0;
}

/* Must a line end come before the first message? */
static int
needs_lead(const struct mbox *mb, bool *needs, struct err *e)
{
	struct stat st;
	size_t got;
	char last;

	*needs = false;
	if (fstat(mb->fd, &st) == -1)
		return err_sys(e, "fstat %s", mb->path);
	if (st.st_size == 0)
		return 0;
	if (file_read_at(mb->fd, (uint64_t)st.st_size - 1, &last, 1, &got, e) ==
	    -1)
		return -1;
	*needs = got == 1 && last != '\n';
	return 0;
}

/* UIDs and hidden fields for all, and room for them in the file. */
static int
extend(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct mailbox *m = a->m;
	struct mbox *mb = mbox_of(m);
	bool is_empty = mb->slots.n == 0 && m->lazy_top == 0 && !mb->has_pseudo;
	bool with_uid = mb->has_base || is_empty, lead;
	uint64_t n = 0;
	struct str start;

	if (s->all.n >= UINT32_MAX - 2 - m->uidnext)
		return err_set(e, ERR_LIMIT, "%s: no UID left", m->name);
	/* Others have messages without a UID before these. */
	with_uid = with_uid && (m->lazy_top == 0 || mb->lazy_dirty == 0);
	VEC_EACH(&mb->slots, slot)
		with_uid = with_uid && !(slot->flags & SLOT_NO_UID);
	for (size_t i = 0; i < s->all.n; i++) {
		struct staged *st = &s->all.v[i];

		st->uid = m->uidnext + (uint32_t)i;
		dress(a, st, with_uid, is_empty && i == 0);
		n += st->from.n + st->head_len + st->block.n + st->body_len + 1;
	}
	if (needs_lead(mb, &lead, e) == -1)
		return -1;
	s->lead = lead ? STR("\n") : STR("");
	start = arena_printf(
	    &s->arena, "%s%.*s", lead ? "\n" : "", STR_ARG(s->all.v[0].from));
	if (mbox_shift_extend(&mb->shift, n + lead, start, &s->off, e) == -1)
		return -1;
	s->at = s->off;
	s->msg = 0;
	s->part = PART_FROM;
	s->part_at = 0;
	return 0;
}

static enum step
write_some(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);
	uint64_t left;

	while (s->lead.n > 0) {
		if (write_part(a, s->lead, &left, e) == -1)
			return STEP_FAIL;
		s->lead = str_skip(s->lead, s->lead.n - (size_t)left);
		s->part_at = 0;
	}
	while (s->msg < s->all.n) {
		if (write_piece(a, e) == -1)
			return STEP_FAIL;
		if (s->part == PART_BODY && clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* Flags that the file could not say are ours to remember. */
static void
take_over(struct append *a)
{
	struct save *s = save_of(a);
	struct mailbox *m = a->m;
	struct mbox *mb = mbox_of(m);
	size_t before = mb->slots.n - s->all.n;

	for (size_t i = 0; i < s->all.n && before + i < mb->slots.n; i++) {
		uint32_t uid = mb->slots.v[before + i].uid;
		struct err ignored;
		bool changed;

		(void)mbox_set_flags(
		    m, uid, &s->all.v[i].flags, &changed, &ignored);
		set32_add(&a->uids, uid);
	}
}

static enum step
of_int(int rc)
{
	return rc == -1 ? STEP_FAIL : STEP_DONE;
}

static int
name_keywords(struct append *a, struct err *e)
{
	struct save *s = save_of(a);

	VEC_EACH(&s->all, st)
		if (mailbox_resolve(a->m, STORE_SET, &st->wish, &s->arena,
			&st->flags, e) != STEP_DONE)
			return -1;
	return 0;
}

/* Keywords that are new come into the base first; so do UIDs of others. */
static enum step
write_base(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	struct mbox *mb = mbox_of(a->m);
	bool all = mb->base_is_dirty && mb->has_base;
	enum step step;

	if (!s->is_writing && !all && !mbox_has_unsaid_uids(a->m))
		return STEP_DONE;
	if (!s->is_writing)
		mbox_writing_init(&s->writing, a->m, all);
	s->is_writing = true;
	step = mbox_write_step(&s->writing, e);
	if (step != STEP_MORE) {
		mbox_writing_done(&s->writing);
		s->is_writing = false;
	}
	return step;
}

static enum step
read_tail(struct append *a, struct err *e)
{
	struct mbox *mb = mbox_of(a->m);
	enum step step;

	mb->is_own_tail = true;
	step = mbox_look(a->m, SYNC_NORMAL, e);
	mb->is_own_tail = false;
	return step;
}

static void
end_commit(struct append *a)
{
	struct save *s = save_of(a);
	struct mailbox *m = a->m;
	struct err ignored;

	take_over(a);
	/* They are there, with their UIDs: this can be said later. */
	(void)mbox_write_last_uid(m, &ignored);
	mbox_finish_write(m);
	mbox_unlock(m);
	s->all.n = 0;
}

static enum step
advance(struct append *a, int64_t until_ms, struct err *e)
{
	struct save *s = save_of(a);
	struct mailbox *m = a->m;
	struct mbox *mb = mbox_of(m);

	switch (s->phase) {
	case SAVE_FINISH:
		return of_int(finish(a, e));
	case SAVE_LOCK:
		return mbox_lock(
		    m, a, MBOX_MAKE, &s->wait, mbox_lock_ms(m, MBOX_MAKE), e);
	case SAVE_LOOK:
		return mbox_look_again(m, e);
	case SAVE_NAMES:
		return of_int(name_keywords(a, e));
	case SAVE_BASE:
		return write_base(a, e);
	case SAVE_EXTEND:
		return of_int(extend(a, e));
	case SAVE_WRITE:
		return write_some(a, until_ms, e);
	case SAVE_END:
		return of_int(mbox_shift_end(&mb->shift, e));
	case SAVE_TAIL:
		return read_tail(a, e);
	case SAVE_DONE:
		break;
	}
	end_commit(a);
	return STEP_DONE;
}

/* Failed or given up: nothing of it stays, unless it is durable. */
static void
stop_commit(struct append *a)
{
	struct save *s = save_of(a);
	struct mailbox *m = a->m;

	if (!mbox_is_locked_by(m, a)) {
		if (s->phase == SAVE_LOCK)
			mbox_lock_abandon(m);
		return;
	}
	if (s->phase == SAVE_WRITE || s->phase == SAVE_END) {
		mbox_shift_cut(&mbox_of(m)->shift, s->off);
		mbox_take_stamp(m);
	}
	mbox_look_end(m);
	if (s->is_writing)
		mbox_writing_done(&s->writing);
	s->is_writing = false;
	mbox_unlock(m);
}

static enum step
commit(struct append *a, struct err *e)
{
	struct save *s = save_of(a);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step;

	do {
		if (s->phase == SAVE_LOCK && s->all.n == 0)
			return STEP_DONE;
		step = advance(a, until, e);
		if (step == STEP_DONE && s->phase == SAVE_DONE) {
			s->phase = SAVE_FINISH;
			return step;
		}
		if (step == STEP_DONE) {
			s->phase++;
			step = STEP_MORE;
		}
	} while (step == STEP_MORE && !store_must_wait(a->m->store) &&
	    clock_mono_ms() < until);
	if (mbox_is_locked_by(a->m, a))
		mbox_lock_keep(a->m);
	if (step == STEP_FAIL) {
		stop_commit(a);
		s->phase = SAVE_FINISH;
	}
	return step;
}

static void
save_free(struct append *a)
{
	struct save *s = save_of(a);

	stop_commit(a);
	end_copy(s);
	free(s->piece);
	if (s->fd != -1)
		close(s->fd);
	VEC_DONE(&s->all);
	buf_done(&s->stage);
	buf_done(&s->line);
	arena_done(&s->arena);
	free(s);
	a->impl = NULL;
}

const struct append_ops mbox_append = {
    .begin = begin,
    .message = message,
    .data = data,
    .scratch = scratch,
    .copy = copy,
    .commit = commit,
    .free = save_free,
};
