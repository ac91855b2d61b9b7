/* SPDX-License-Identifier: ISC */
/*
 * mbox_save.c - new messages at the end of an mbox file.
 *
 * Owns:    nothing; what is staged is in mbox_stage.c.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing.
 * Spec:    formats.md 6.3, 7.6, 7.7; security.md 7.3.
 *
 * The lock is taken when all is there. Then the file is made longer at once by
 * what comes; whoever finds that half filled after a crash takes it out again.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/mbox/mbox_save.h"

#define PADDING 50

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
dress(struct append *a, struct mbox_staged *st, bool with_uid, bool is_first)
{
	struct mbox_save *s = mbox_save_of(a);
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

/* Writes what is next, or some of it. */
static int
write_out(struct append *a, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	ssize_t n = pwrite(mbox_of(a->m)->fd, s->out, s->n_out, (off_t)s->at);

	if (n == -1 && errno == EINTR)
		return 0;
	if (n == -1)
		return err_sys(e, "append");
	if (n == 0)
		return err_set(e, ERR_NO_SPACE, "append");
	s->at += (uint64_t)n;
	s->n_out -= (size_t)n;
	memmove(s->out, s->out + n, s->n_out);
	return 0;
}

/* Some bytes of a part of the message; *left says how many there are still. */
static int
write_part(struct append *a, struct str bytes, uint64_t *left, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	size_t n = MBOX_COPY_BYTES - s->n_out;

	if (n > bytes.n)
		n = bytes.n;
	if (n > 0)
		memcpy(s->out + s->n_out, bytes.p, n);
	s->n_out += n;
	s->part_at += n;
	*left = bytes.n - n;
	return s->n_out == MBOX_COPY_BYTES ? write_out(a, e) : 0;
}

static int
write_staged(
    struct append *a, uint64_t off, uint64_t n, uint64_t *left, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	uint64_t rest = n - s->part_at, at = off + s->part_at;
	struct str bytes;
	int got;

	*left = rest;
	if (rest == 0)
		return 0;
	if (at >= s->n_file) {
		bytes = str_make(s->stage.p + (at - s->n_file), (size_t)rest);
	} else {
		if (s->piece == NULL)
			s->piece = mem_new(1, MBOX_COPY_BYTES);
		got = mbox_stage_read(s, at, s->piece,
		    rest < MBOX_COPY_BYTES ? (size_t)rest : MBOX_COPY_BYTES, e);
		if (got == -1)
			return -1;
		bytes = str_make(s->piece, (size_t)got);
	}
	if (write_part(a, bytes, left, e) == -1)
		return -1;
	*left = n - s->part_at;
	return 0;
}

static int
write_piece(struct append *a, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	const struct mbox_staged *st = &s->all.v[s->msg];
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
	struct mbox_save *s = mbox_save_of(a);
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
		struct mbox_staged *st = &s->all.v[i];

		st->uid = m->uidnext + (uint32_t)i;
		dress(a, st, with_uid, is_empty && i == 0);
		n += st->from.n + st->head_len + st->block.n + st->body_len + 1;
	}
	if (needs_lead(mb, &lead, e) == -1)
		return -1;
	s->lead = lead ? STR("\n") : STR("");
	start = arena_printf(
	    &s->arena, "%s%.*s", lead ? "\n" : "", STR_ARG(s->all.v[0].from));
	if (mbox_shift_extend(
		&mb->shift, n + lead, start, s->has_nul, &s->off, e) == -1)
		return -1;
	if (s->out == NULL)
		s->out = mem_resize(NULL, 1, MBOX_COPY_BYTES);
	s->n_out = 0;
	s->at = s->off;
	s->msg = 0;
	s->part = PART_FROM;
	s->part_at = 0;
	return 0;
}

static enum step
write_some(struct append *a, int64_t until_ms, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
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
	while (s->n_out > 0)
		if (write_out(a, e) == -1)
			return STEP_FAIL;
	return STEP_DONE;
}

/* Flags that the file could not say are ours to remember. */
static void
take_over(struct append *a)
{
	struct mbox_save *s = mbox_save_of(a);
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
	struct mbox_save *s = mbox_save_of(a);

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
	struct mbox_save *s = mbox_save_of(a);
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
	mb->is_tail_alone = mb->is_true && mb->end == mbox_save_of(a)->off;
	step = mbox_look(a->m, SYNC_NORMAL, e);
	mb->is_own_tail = mb->is_tail_alone = false;
	return step;
}

static void
end_commit(struct append *a)
{
	struct mbox_save *s = mbox_save_of(a);
	struct mailbox *m = a->m;
	struct err ignored;

	take_over(a);
	/* They are there, with their UIDs: this can be said later. */
	(void)mbox_write_last_uid(m, &ignored);
	mbox_finish_write(m);
	mbox_unlock(m);
	s->all.n = 0;
	s->has_nul = false;
}

static enum step
advance(struct append *a, int64_t until_ms, struct err *e)
{
	struct mbox_save *s = mbox_save_of(a);
	struct mailbox *m = a->m;
	struct mbox *mb = mbox_of(m);

	switch (s->phase) {
	case SAVE_FINISH:
		return of_int(mbox_stage_finish(a, e));
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
	struct mbox_save *s = mbox_save_of(a);
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
	struct mbox_save *s = mbox_save_of(a);
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
	struct mbox_save *s = mbox_save_of(a);

	stop_commit(a);
	mbox_stage_end_copy(s);
	free(s->piece);
	free(s->out);
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
    .begin = mbox_stage_begin,
    .message = mbox_stage_message,
    .data = mbox_stage_data,
    .scratch = mbox_stage_scratch,
    .copy = mbox_stage_copy,
    .commit = commit,
    .free = save_free,
};
