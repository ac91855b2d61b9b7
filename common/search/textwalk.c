/* SPDX-License-Identifier: ISC */
/*
 * textwalk.c - the texts of a message, one after the other.
 *
 * Owns:    struct textwalk.
 * Runs in: imapd, restantectl, as the mail user.
 * Trusts:  nothing in messages.
 * Spec:    RFC 3501 and RFC 9051 section 6.4.4: TEXT is header and body, BODY
 *          the body alone; the header of a message within the message is text of
 *          the body, the fields that describe a part are not.
 */
#include "search/textwalk.h"

#include "base/bounds.h"
#include "mime/header.h"

#define SLICE_BYTES ((size_t)512 * 1024)
#define READ_BYTES ((size_t)32 * 1024)

void
textwalk_begin(struct textwalk *w, struct msg *msg, struct arena *arena,
    const struct textwalk_ops *ops, void *arg)
{
	w->msg = msg;
	w->arena = arena;
	w->ops = ops;
	w->arg = arg;
	w->slice_bytes = SLICE_BYTES;
	w->has_header = w->has_root = false;
	w->part = NULL;
	if (w->text.max_bytes == 0)
		buf_init(&w->text, SIZE_MAX / 2);
}

void
textwalk_end(struct textwalk *w)
{
	body_decoder_free(&w->body);
	w->msg = NULL;
	w->part = NULL;
}

void
textwalk_done(struct textwalk *w)
{
	textwalk_end(w);
	buf_done(&w->text);
}

/* The fields of a header block, decoded, one text each. */
static void
show_header(struct textwalk *w, struct str block, bool text_alone)
{
	struct header_iter it;
	struct header_field field;

	header_iter_init(&it, block);
	while (header_iter_next(&it, &field)) {
		struct arena_mark mark = arena_mark(w->arena);
		struct str value = header_decode(w->arena, field.value);

		w->ops->begin(w->arg);
		w->ops->piece(w->arg, field.name, text_alone);
		w->ops->piece(w->arg, STR(": "), text_alone);
		w->ops->piece(w->arg, value, text_alone);
		arena_rewind(w->arena, mark);
	}
}

static int
show_part_header(struct textwalk *w, const struct part *p, struct err *e)
{
	struct buf block;
	int rc = 0;
	size_t got;

	buf_init(&block, MIME_HEADER_BLOCK_MAX);
	while (block.n < p->header_len && !buf_is_over(&block)) {
		uint64_t left = p->header_len - block.n;
		size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
		char *to = buf_room(&block, want);

		if (to == NULL)
			break;
		rc = msg_read(
		    w->msg, p->header_off + block.n, to, want, &got, e);
		if (rc == -1 || got == 0)
			break;
		block.n += got;
	}
	if (rc == 0)
		show_header(w, buf_str(&block), !p->parent->is_message);
	buf_done(&block);
	return rc;
}

/* The part behind `p` in the order of the message. */
static struct part *
next_part(struct part *p)
{
	if (p->child != NULL)
		return p->child;
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}

/* Straight from memory if it is there; else into `room`. */
static int
read_piece(struct textwalk *w, size_t want, char *room, struct str *piece,
    struct err *e)
{
	uint64_t off = w->part->body_off + w->off;
	size_t got;

	if (msg_at_hand(w->msg, off, want, piece))
		return 0;
	if (msg_read(w->msg, off, room, want, &got, e) == -1)
		return -1;
	*piece = str_make(room, got);
	return 0;
}

/* Up to a slice of the present part's text; STEP_DONE: the part is finished. */
static enum step
read_part(struct textwalk *w, struct err *e)
{
	char room[READ_BYTES] UNINITIALIZED;
	size_t budget = w->slice_bytes;
	struct str piece;

	if (w->body == NULL)
		w->body = body_decoder_new(w->part, BODY_TEXT);
	while (w->off < w->part->body_len) {
		uint64_t left = w->part->body_len - w->off;
		size_t want = left < sizeof(room) ? (size_t)left : sizeof(room);

		if (budget == 0)
			return STEP_MORE;
		want = want < budget ? want : budget;
		if (read_piece(w, want, room, &piece, e) == -1)
			return STEP_FAIL;
		if (piece.n == 0)
			break;
		w->off += piece.n;
		budget -= piece.n;
		buf_clear(&w->text);
		(void)body_decoder_feed(w->body, piece, &w->text);
		w->ops->piece(w->arg, buf_str(&w->text), false);
	}
	buf_clear(&w->text);
	(void)body_decoder_finish(w->body, &w->text);
	w->ops->piece(w->arg, buf_str(&w->text), false);
	body_decoder_free(&w->body);
	return STEP_DONE;
}

static int
enter_part(struct textwalk *w, struct part *p, struct err *e)
{
	w->part = p;
	w->off = 0;
	if (p != NULL && p->parent != NULL && show_part_header(w, p, e) == -1)
		return -1;
	w->ops->begin(w->arg);
	return 0;
}

/* Leaves that people read; reports of a delivery are message/... */
static bool
has_text(const struct part *p)
{
	return p->child == NULL &&
	    (str_eq_nocase(p->type, STR("text")) ||
		str_eq_nocase(p->type, STR("message")));
}

static enum step
enter_root(struct textwalk *w, struct err *e)
{
	enum step step = msg_parts_step(w->msg, e);
	struct part *root;

	if (step != STEP_DONE)
		return step;
	w->has_root = true;
	if (msg_parts(w->msg, &root, e) == -1 || enter_part(w, root, e) == -1)
		return STEP_FAIL;
	return STEP_DONE;
}

enum step
textwalk_step(struct textwalk *w, struct err *e)
{
	struct str block;
	enum step step;

	if (!w->has_header) {
		w->has_header = true;
		if (msg_header(w->msg, &block, e) == -1)
			return STEP_FAIL;
		show_header(w, block, true);
	}
	if (!w->ops->wants_more(w->arg))
		return STEP_DONE;
	if (!w->has_root) {
		step = enter_root(w, e);
		if (step != STEP_DONE)
			return step;
	}
	while (w->part != NULL && w->ops->wants_more(w->arg)) {
		if (has_text(w->part)) {
			step = read_part(w, e);
			if (step != STEP_DONE)
				return step;
		}
		if (enter_part(w, next_part(w->part), e) == -1)
			return STEP_FAIL;
	}
	return STEP_DONE;
}
