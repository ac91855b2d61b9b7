/* SPDX-License-Identifier: ISC */
/*
 * mbox_shift.c - moves bytes in an mbox file, with a journal, in steps.
 *
 * Owns:    which bytes move in which order.
 * Runs in: imapd, pop3d, as the mail user, who holds the write lock.
 * Trusts:  nothing: mbox_round.c looks before it believes a record.
 * Spec:    security.md 7.3.
 *
 * A file in the midst of a change, outside of a round:
 *
 *	forwards:	new bytes | hole | old bytes	(it becomes shorter)
 *	backwards:	old bytes | hole | new bytes	(it becomes longer)
 *
 * A round writes some new bytes to the hole's one end and newlines to the
 * other. Invariants, at every system call:
 *  1. All bytes that are neither old nor new are newlines (or, just after the
 *     file was made longer, NULs), or lie in a round that is in the journal.
 *  2. The journal is durable before the file changes, the file before the next
 *     round goes to the journal's other half.
 *  3. Nothing that lies behind the end that we saw when locking is touched, but
 *     for being moved.
 *
 * After a crash the last round is done again if every block is either old or
 * new (but for the two where writing broke off); then the hole is taken out,
 * together with moving whatever was appended behind it. A hole that is not one
 * any more was cut off already: nothing is taken then.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/file.h"
#include "store/mbox/mbox_shift_impl.h"

/* What the new bytes are made of, from a place of the old file on. */
struct mbox_source {
	const struct mbox_edit *v;
	size_t n, i;
	uint64_t at; /* in the old file */
	uint64_t end;
};

/*
 * A change under way:
 *
 *	begin --> FORWARDS or BACKWARDS --step: all moved--> done
 *	begin --> FORWARDS, of what becomes shorter
 *	              --step--> BACKWARDS, of what becomes longer --step--> done
 *	any of them --step fails--> FORWARDS, as after a crash --step--> failed
 */
struct mbox_shift_work {
	enum way { FORWARDS, BACKWARDS } way;
	const struct mbox_edit *v;
	size_t n;
	struct mbox_edit *part; /* of `all`, when both ways are needed */
	const struct mbox_edit *all;
	size_t n_all;
	bool has_second; /* what becomes longer is still to come */
	size_t chunk;
	uint64_t size; /* of the file, with its hole */
	struct buf out;
	struct mbox_record round;
	bool is_noted; /* the round is in the journal, and not in the file */
	struct mbox_source src; /* forwards */
	uint64_t to;
	uint64_t h, hole, first; /* backwards: old bytes end at h */
	bool has_failed;
	struct err why;
};

static void
end_work(struct mbox_shift *s)
{
	struct mbox_shift_work *w = s->work;

	s->work = NULL;
	if (w == NULL)
		return;
	buf_done(&w->out);
	free(w->part);
	free(w);
}

static struct mbox_shift_work *
new_work(struct mbox_shift *s)
{
	s->work = mem_new(1, sizeof(*s->work));
	buf_init(&s->work->out, MBOX_CHUNK_MAX + MBOX_CHUNK_MAX / 2);
	return s->work;
}

void
mbox_shift_init(struct mbox_shift *s)
{
	struct stat st;

	s->journal = -1;
	s->work = NULL;
	s->seq = 0;
	s->dev = s->ino = 0;
	if (fstat(s->fd, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
}

void
mbox_shift_done(struct mbox_shift *s)
{
	end_work(s);
	if (s->journal != -1)
		close(s->journal);
	s->journal = -1;
}

int
mbox_shift_look(struct mbox_shift *s, bool *is_pending, struct err *e)
{
	struct mbox_record r;
	char *p;

	*is_pending = false;
	if (mbox_journal_load(s, &r, &p, e) == -1)
		return -1;
	*is_pending = p != NULL;
	free(p);
	return 0;
}

static enum step
note_round(struct mbox_shift *s, const struct mbox_record *r, struct err *e)
{
	struct mbox_shift_work *w = s->work;

	w->round = *r;
	if (mbox_round_note(s, &w->round, buf_str(&w->out), w->size, e) == -1)
		return STEP_FAIL;
	w->is_noted = true;
	return STEP_MORE;
}

static enum step
write_round(struct mbox_shift *s, struct err *e)
{
	struct mbox_shift_work *w = s->work;

	w->is_noted = false;
	return mbox_round_write(s, &w->round, w->out.p, e) == -1 ? STEP_FAIL
								 : STEP_MORE;
}

/* ---- forwards -------------------------------------------------------------- */

/*
 * Pieces of the old file that are read with one call. Where each message gets a
 * UID there are two or three in each; what is dropped between them is read, too,
 * if it is short.
 */
#define PIECES 64
#define DROP_MAX 512

struct pieces {
	const struct mbox_shift *s;
	struct buf *out;
	uint64_t end; /* of the last one */
	size_t n;
	struct piece {
		uint64_t off;
		size_t to, len; /* in `out` */
	} v[PIECES];
};

static int
read_pieces(struct pieces *p, struct err *e)
{
	static char dropped[DROP_MAX];
	struct iovec iov[2 * PIECES];
	uint64_t at = p->v[0].off;
	size_t n = p->n, k = 0;
	int rc = 0;

	p->n = 0;
	for (size_t i = 0; i < n; i++) {
		const struct piece *one = &p->v[i];

		if (one->off > at)
			iov[k++] =
			    (struct iovec){dropped, (size_t)(one->off - at)};
		iov[k++] = (struct iovec){p->out->p + one->to, one->len};
		at = one->off + one->len;
	}
	if (n > 1 &&
	    preadv(p->s->fd, iov, (int)k, (off_t)p->v[0].off) ==
		(ssize_t)(at - p->v[0].off))
		return 0;
	/* One, or broken off: each until it is there. */
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = mbox_bytes_read(p->s->fd, p->v[i].off,
		    p->out->p + p->v[i].to, p->v[i].len, e);
	return rc;
}

/* `n` bytes of the old file come to the end of `out`, at the latest when all
 * pieces have been read. */
static int
add_piece(struct pieces *p, uint64_t off, size_t n, struct err *e)
{
	if (p->n > 0 && (p->n == PIECES || off - p->end > DROP_MAX) &&
	    read_pieces(p, e) == -1)
		return -1;
	if (buf_room(p->out, n) == NULL)
		return err_set(e, ERR_LIMIT, "too much at once");
	p->v[p->n++] = (struct piece){.off = off, .to = p->out->n, .len = n};
	p->end = off + n;
	p->out->n += n;
	return 0;
}

/*
 * Takes about `want` new bytes (never within an edit; a large piece is
 * inserted whole).
 */
static int
take_forwards(const struct mbox_shift *s, struct mbox_source *src, size_t want,
    struct buf *out, struct err *e)
{
	struct pieces p = {.s = s, .out = out};

	buf_clear(out);
	while (out->n < want && (src->at < src->end || src->i < src->n)) {
		uint64_t next = src->i < src->n ? src->v[src->i].off : src->end;
		uint64_t n = next - src->at;

		if (n > want - out->n)
			n = want - out->n;
		if (n > 0 && add_piece(&p, src->at, (size_t)n, e) == -1)
			return -1;
		src->at += n;
		if (src->i < src->n && src->at == src->v[src->i].off) {
			(void)buf_add_str(out, src->v[src->i].ins);
			src->at += src->v[src->i].del;
			src->i++;
		}
	}
	if (buf_is_over(out))
		return err_set(e, ERR_LIMIT, "too much at once");
	return p.n > 0 ? read_pieces(&p, e) : 0;
}

/*
 * From the first edit on to the end, which moves to the front. When `to` is
 * not `from` there is a hole already.
 */
static int
begin_forwards(struct mbox_shift *s, const struct mbox_edit *v, size_t n,
    uint64_t to, uint64_t from, struct err *e)
{
	struct mbox_shift_work *w = s->work;

	if (mbox_bytes_size(s->fd, &w->size, e) == -1)
		return -1;
	w->way = FORWARDS;
	w->to = to;
	w->src = (struct mbox_source){
	    .v = v,
	    .n = n,
	    .at = from,
	    .end = w->size,
	};
	return 0;
}

static enum step
step_forwards(struct mbox_shift *s, struct err *e)
{
	struct mbox_shift_work *w = s->work;
	struct mbox_source *src = &w->src;
	struct mbox_record r = {.data_off = w->to};
	uint64_t old_at, vacated;

	/* What stands where it stays. */
	if (w->to == src->at && src->i < src->n && src->v[src->i].off > src->at)
		w->to = src->at = r.data_off = src->v[src->i].off;
	if ((src->at >= src->end || w->to == src->at) && src->i == src->n) {
		if (w->to < src->at &&
		    mbox_round_cut(s, w->to, src->at - w->to, e) == -1)
			return STEP_FAIL;
		return STEP_DONE;
	}
	old_at = src->at;
	if (take_forwards(s, src, w->chunk, &w->out, e) == -1)
		return STEP_FAIL;
	ASSERT(w->to + w->out.n <= src->at);
	w->to += w->out.n;
	vacated = w->to > old_at ? w->to : old_at;
	r.lines_off = vacated;
	r.lines_len = src->at - vacated;
	r.hole_off = w->to;
	r.hole_len = src->at - w->to;
	return note_round(s, &r, e);
}

/* ---- backwards ------------------------------------------------------------- */

/*
 * Makes the file longer at once, so that whoever appends after a crash does it
 * behind what we take.
 */
static int
extend(struct mbox_shift *s, enum mbox_record_kind kind, uint64_t size,
    uint64_t n, struct str start, struct err *e)
{
	if (mbox_round_hole(s, kind, size, n, start, e) == -1)
		return -1;
	if (ftruncate(s->fd, (off_t)(size + n)) == -1)
		return err_sys(e, "make %s longer", s->path);
	return 0;
}

/*
 * The new bytes of [*a, h): from behind, about `want` of them. *i: the number
 * of edits before them.
 */
static int
take_backwards(const struct mbox_shift *s, const struct mbox_edit *v,
    uint64_t first, uint64_t h, size_t want, size_t *i, uint64_t *a,
    struct buf *out, struct err *e)
{
	uint64_t at = h, n_new = 0;
	size_t k = *i;
	struct mbox_source src;

	while (n_new < want && at > first) {
		uint64_t low = k > 0 ? v[k - 1].off + v[k - 1].del : first;
		uint64_t n = at - low;

		if (n > want - n_new) {
			at -= want - n_new;
			break;
		}
		n_new += n;
		at = low;
		if (k == 0)
			break;
		k--;
		n_new += v[k].ins.n;
		at = v[k].off;
	}
	/* An insertion at the very beginning takes no bytes away. */
	while (k > 0 && at == first && v[k - 1].off == at) {
		k--;
		n_new += v[k].ins.n;
	}
	src = (struct mbox_source){.v = v, .n = *i, .i = k, .at = at, .end = h};
	*i = k;
	*a = at;
	return take_forwards(s, &src, SIZE_MAX / 2, out, e);
}

static int
begin_backwards(struct mbox_shift *s, const struct mbox_edit *v, size_t n,
    uint64_t growth, struct err *e)
{
	struct mbox_shift_work *w = s->work;
	uint64_t size;

	if (mbox_bytes_size(s->fd, &size, e) == -1 ||
	    extend(s, MBOX_HOLE, size, growth, STR(""), e) == -1 ||
	    mbox_bytes_newlines(s->fd, size, growth, e) == -1)
		return -1;
	w->way = BACKWARDS;
	w->v = v;
	w->n = n;
	w->first = v[0].off;
	w->h = size;
	w->hole = growth;
	w->size = size + growth;
	return 0;
}

static enum step
step_backwards(struct mbox_shift *s, struct err *e)
{
	struct mbox_shift_work *w = s->work;
	struct mbox_record r = {0};
	uint64_t a, hole;

	if (w->n == 0 && w->h <= w->first) {
		ASSERT(w->hole == 0);
		return STEP_DONE;
	}
	if (take_backwards(
		s, w->v, w->first, w->h, w->chunk, &w->n, &a, &w->out, e) == -1)
		return STEP_FAIL;
	hole = w->hole - (w->out.n - (w->h - a));
	r.data_off = a + hole;
	r.lines_off = a;
	r.lines_len = w->h < r.data_off ? w->h - a : hole;
	r.hole_off = a;
	r.hole_len = hole;
	w->h = a;
	w->hole = hole;
	return note_round(s, &r, e);
}

/* ---- a change -------------------------------------------------------------- */

static bool
fits_forwards(const struct mbox_edit *v, size_t n)
{
	uint64_t del = 0, ins = 0;

	for (size_t i = 0; i < n; i++) {
		del += v[i].del;
		ins += v[i].ins.n;
		if (ins > del)
			return false;
	}
	return true;
}

static bool
fits_backwards(const struct mbox_edit *v, size_t n, uint64_t *growth)
{
	uint64_t del = 0, ins = 0;

	for (size_t i = 0; i < n; i++) {
		del += v[i].del;
		ins += v[i].ins.n;
		if (ins < del)
			return false;
	}
	*growth = ins - del;
	return true;
}

bool
mbox_shift_is_one_way(const struct mbox_edit *v, size_t n)
{
	uint64_t growth;

	return fits_forwards(v, n) || fits_backwards(v, n, &growth);
}

static int
begin_one_way(
    struct mbox_shift *s, const struct mbox_edit *v, size_t n, struct err *e)
{
	uint64_t growth;

	if (fits_forwards(v, n))
		return begin_forwards(s, v, n, v[0].off, v[0].off, e);
	ASSERT(fits_backwards(v, n, &growth));
	return begin_backwards(s, v, n, growth, e);
}

/* Of all edits those that make the file shorter. */
static int
begin_first(struct mbox_shift *s, struct err *e)
{
	struct mbox_shift_work *w = s->work;
	size_t k = 0;

	w->part = mem_new(w->n_all, sizeof(*w->part));
	for (size_t i = 0; i < w->n_all; i++)
		if (w->all[i].ins.n <= w->all[i].del)
			w->part[k++] = w->all[i];
	w->has_second = true;
	return begin_one_way(s, w->part, k, e);
}

/* And in their new places those that make it longer. */
static int
begin_second(struct mbox_shift *s, struct err *e)
{
	struct mbox_shift_work *w = s->work;
	uint64_t less = 0;
	size_t k = 0;

	w->has_second = false;
	for (size_t i = 0; i < w->n_all; i++) {
		const struct mbox_edit *ed = &w->all[i];

		if (ed->ins.n <= ed->del) {
			less += ed->del - ed->ins.n;
			continue;
		}
		w->part[k] = *ed;
		w->part[k++].off -= less;
	}
	return begin_one_way(s, w->part, k, e);
}

int
mbox_shift_begin(
    struct mbox_shift *s, const struct mbox_edit *v, size_t n, struct err *e)
{
	struct mbox_shift_work *w;
	uint64_t size;
	size_t chunk;

	ASSERT(s->work == NULL);
	if (n == 0)
		return 0;
	if (mbox_bytes_size(s->fd, &size, e) == -1)
		return -1;
	chunk = mbox_journal_room(s, size - v[0].off, e);
	if (chunk == 0)
		return -1;
	w = new_work(s);
	w->chunk = chunk;
	w->all = v;
	w->n_all = n;
	if ((mbox_shift_is_one_way(v, n) ? begin_one_way(s, v, n, &w->why)
					 : begin_first(s, &w->why)) == -1)
		w->has_failed = true; /* the first step says so */
	return 0;
}

/* What the last record says is done; a hole that stays is for steps. */
static int
begin_recovery(struct mbox_shift *s, bool *lost, struct err *e)
{
	struct mbox_record r;
	bool has_hole = false;
	char *p;
	int rc = 0;

	*lost = false;
	if (mbox_journal_load(s, &r, &p, e) == -1)
		return -1;
	if (p == NULL)
		return 0;
	rc = mbox_round_redo(s, &r, p, lost, &has_hole, e);
	free(p);
	/*
	 * Once it has newlines it would seem to be filled: from now on it is
	 * known by its beginning, which may be missing.
	 */
	if (rc == 0 && has_hole && r.kind == MBOX_ROOM)
		rc = mbox_bytes_write(
		    s->fd, r.hole_off, r.start, (size_t)r.start_len, e);
	if (rc == 0 && has_hole && r.kind == MBOX_ROOM)
		rc = mbox_round_hole(s, MBOX_HOLE, r.hole_off, r.hole_len,
		    str_make(r.start, (size_t)r.start_len), e);
	if (rc == 0 && has_hole && r.start_len > 0)
		rc = mbox_round_blank(s, &r, e);
	if (rc == 0 && has_hole) {
		uint64_t end = r.hole_off + r.hole_len, size;
		size_t chunk = 0;

		if (mbox_bytes_size(s->fd, &size, e) == 0)
			chunk = mbox_journal_room(s, size - r.hole_off, e);
		if (chunk == 0)
			return -1;
		if (s->work == NULL)
			(void)new_work(s);
		s->work->chunk = chunk;
		return begin_forwards(s, NULL, 0, r.hole_off, end, e);
	}
	if (rc == 0 && *lost)
		mbox_journal_put_aside(s);
	else if (rc == 0)
		mbox_journal_end(s);
	return rc;
}

/*
 * A failed round: the file is finished as after a crash, which needs no more
 * room than there is. False: nothing is left to be done.
 */
static bool
begin_undo(struct mbox_shift *s)
{
	struct mbox_shift_work *w = s->work;
	struct err ignored;
	bool lost;

	w->has_failed = true;
	w->is_noted = w->has_second = false;
	w->way = FORWARDS;
	w->src = (struct mbox_source){0};
	w->to = 0;
	return begin_recovery(s, &lost, &ignored) == 0 && w->src.at > 0;
}

static enum step
end_failed(struct mbox_shift *s, struct err *e)
{
	*e = s->work->why;
	end_work(s);
	return STEP_FAIL;
}

enum step
mbox_shift_step(struct mbox_shift *s, struct err *e)
{
	struct mbox_shift_work *w = s->work;
	enum step step;

	if (w == NULL)
		return STEP_DONE;
	if (w->has_failed && w->src.at == 0)
		return begin_undo(s) ? STEP_MORE : end_failed(s, e);
	step = w->is_noted       ? write_round(s, e)
	    : w->way == FORWARDS ? step_forwards(s, e)
				 : step_backwards(s, e);
	if (step == STEP_DONE && w->has_second)
		step = begin_second(s, e) == -1 ? STEP_FAIL : STEP_MORE;
	if (step == STEP_MORE)
		return step;
	if (w->has_failed) {
		if (step == STEP_DONE)
			mbox_journal_end(s);
		return end_failed(s, e);
	}
	if (step == STEP_FAIL) {
		w->why = *e;
		return begin_undo(s) ? STEP_MORE : end_failed(s, e);
	}
	mbox_journal_end(s);
	end_work(s);
	return STEP_DONE;
}

bool
mbox_shift_is_busy(const struct mbox_shift *s)
{
	return s->work != NULL;
}

static int
all_steps(struct mbox_shift *s, struct err *e)
{
	enum step step;

	do
		step = mbox_shift_step(s, e);
	while (step == STEP_MORE);
	return step == STEP_FAIL ? -1 : 0;
}

int
mbox_shift_apply(
    struct mbox_shift *s, const struct mbox_edit *v, size_t n, struct err *e)
{
	return mbox_shift_begin(s, v, n, e) == -1 ? -1 : all_steps(s, e);
}

int
mbox_shift_recover_begin(struct mbox_shift *s, bool *lost, struct err *e)
{
	ASSERT(s->work == NULL);
	if (begin_recovery(s, lost, e) == 0)
		return 0;
	end_work(s);
	return err_in(e, "finish a change of %s", s->path);
}

int
mbox_shift_recover(struct mbox_shift *s, bool *lost, struct err *e)
{
	if (mbox_shift_recover_begin(s, lost, e) == -1)
		return -1;
	return all_steps(s, e) == -1
	    ? err_in(e, "finish a change of %s", s->path)
	    : 0;
}

/* ---- at the end ------------------------------------------------------------ */

int
mbox_shift_extend(struct mbox_shift *s, uint64_t n, struct str start,
    bool has_nul, uint64_t *off, struct err *e)
{
	s->is_room = !has_nul;
	if (mbox_bytes_size(s->fd, off, e) == -1)
		return -1;
	if (extend(s, has_nul ? MBOX_HOLE : MBOX_ROOM, *off, n, start, e) ==
	    -1) {
		mbox_shift_cut(s, *off);
		return -1;
	}
	return 0;
}

/*
 * With NULs in it the end must be in the journal, durably: a message that begins
 * as the record says would be taken for one that was not finished.
 */
int
mbox_shift_end(struct mbox_shift *s, struct err *e)
{
	if (file_sync_data(s->fd, s->path, e) == -1 ||
	    mbox_journal_write_idle(s, e) == -1 ||
	    (!s->is_room && file_sync_data(s->journal, "journal", e) == -1))
		return -1;
	return 0;
}

void
mbox_shift_cut(struct mbox_shift *s, uint64_t off)
{
	uint64_t size;
	struct err e;

	if (mbox_bytes_size(s->fd, &size, &e) == -1 ||
	    (size > off && ftruncate(s->fd, (off_t)off) == -1))
		return; /* whoever comes next takes it out */
	/* Also after a power cut: until the end is durable the journal says what
	 * there is to be taken out. */
	if (size > off && file_sync_data(s->fd, s->path, &e) == -1)
		return;
	if (s->journal != -1)
		mbox_journal_end(s);
}
