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
#include "mime/encword.h"
#include "mime/header.h"

#define SLICE_BYTES ((size_t)512 * 1024)
#define READ_BYTES ((size_t)32 * 1024)
#define PARSE_BYTES ((size_t)2 * 1024 * 1024) /* about a millisecond */

void
textwalk_begin(struct textwalk *w, struct msg *msg, struct arena *arena,
    const struct textwalk_ops *ops, void *arg)
{
	w->msg = msg;
	w->arena = arena;
	w->ops = ops;
	w->arg = arg;
	w->slice_bytes = SLICE_BYTES;
	w->has_header = w->has_root = w->body_alone = false;
	w->part = NULL;
	w->parsed = 0;
	if (w->text.max_bytes == 0)
		buf_init(&w->text, SIZE_MAX / 2);
}

void
textwalk_end(struct textwalk *w)
{
	body_decoder_free(&w->body);
	/* What it keeps outside of the arena goes with its end. */
	if (w->parser != NULL)
		(void)part_parser_finish(w->parser);
	w->parser = NULL;
	w->msg = NULL;
	w->part = NULL;
}

void
textwalk_done(struct textwalk *w)
{
	textwalk_end(w);
	buf_done(&w->text);
}

/* Name, colon, blank and the decoded value. */
static void
show_field(struct textwalk *w, const struct header_field *f, bool text_alone)
{
	struct str raw = f->value, value;
	struct arena_mark mark;
	size_t at;

	buf_clear(&w->text);
	if (f->name.n > 0) {
		(void)buf_add_str(&w->text, f->name);
		(void)buf_add_c(&w->text, ": ");
	} else {
		raw = header_line_content(f->raw);
	}
	at = w->text.n;
	w->text.n += header_unfold_to(raw, buf_room(&w->text, raw.n + 1));
	value = str_skip(buf_str(&w->text), at);
	if (!encword_is_plain(value)) {
		w->text.n = at;
		mark = arena_mark(w->arena);
		(void)buf_add_str(&w->text, header_decode(w->arena, raw));
		arena_rewind(w->arena, mark);
	}
	w->ops->begin(w->arg);
	w->ops->piece(w->arg, buf_str(&w->text), text_alone);
}

/* The fields of a header block, one text each, and lines that are none. */
static void
show_header(struct textwalk *w, struct str block, bool text_alone)
{
	struct header_iter it;
	struct header_field field;

	if (text_alone && w->body_alone)
		return;
	header_iter_init(&it, block);
	while (header_iter_next_any(&it, &field))
		show_field(w, &field, text_alone);
}

static int
show_part_header(struct textwalk *w, const struct part *p, struct err *e)
{
	struct buf block;
	int rc = 0;
	size_t got;

	if (w->body_alone && !p->parent->is_message)
		return 0;
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
read_piece(struct textwalk *w, uint64_t off, size_t want, char *room,
    struct str *piece, struct err *e)
{
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
	enum step step;
	struct str piece;

	if (w->body == NULL)
		w->body = body_decoder_new(w->part, BODY_TEXT);
	step = msg_seek(w->msg, w->part->body_off + w->off, e);
	if (step != STEP_DONE)
		return step;
	while (w->off < w->part->body_len) {
		uint64_t left = w->part->body_len - w->off;
		size_t want = left < sizeof(room) ? (size_t)left : sizeof(room);

		if (budget == 0)
			return STEP_MORE;
		want = want < budget ? want : budget;
		if (read_piece(w, w->part->body_off + w->off, want, room,
			&piece, e) == -1)
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

/*
 * Most messages have one part, and their header says so: then nobody has to
 * look for parts in the body. NULL: there may be more.
 */
static struct part *
single_part(struct textwalk *w, struct err *e)
{
	struct part_parser *parser;
	struct part *root;
	struct str block;
	uint64_t size;

	if (msg_header(w->msg, &block, e) == -1 || msg_header_is_cut(w->msg) ||
	    msg_size(w->msg, &size, e) == -1)
		return NULL;
	parser = part_parser_new_bare(w->arena, &mime_limits_default);
	part_parser_feed(parser, block);
	root = part_parser_finish(parser);
	if (root->child != NULL || root->header_len != block.n ||
	    size < block.n)
		return NULL;
	root->body_len = size - block.n;
	return root;
}

/* Some of the message goes to the parser; STEP_DONE: *root is its tree. */
static enum step
parse_some(struct textwalk *w, struct part **root, struct err *e)
{
	char room[READ_BYTES] UNINITIALIZED;
	size_t budget = PARSE_BYTES;
	struct str piece;

	if (w->parser == NULL && w->parsed == 0)
		w->parser =
		    part_parser_new_bare(w->arena, &mime_limits_default);
	for (; budget >= READ_BYTES; budget -= READ_BYTES) {
		if (read_piece(w, w->parsed, READ_BYTES, room, &piece, e) == -1)
			return STEP_FAIL;
		if (piece.n == 0) {
			*root = part_parser_finish(w->parser);
			w->parser = NULL;
			return STEP_DONE;
		}
		part_parser_feed(w->parser, piece);
		w->parsed += piece.n;
	}
	return STEP_MORE;
}

static enum step
enter_root(struct textwalk *w, struct err *e)
{
	struct part *root = NULL;
	enum step step;

	if (w->parsed == 0)
		root = single_part(w, e);
	if (root == NULL) {
		step = parse_some(w, &root, e);
		if (step != STEP_DONE)
			return step;
	}
	w->has_root = true;
	return enter_part(w, root, e) == -1 ? STEP_FAIL : STEP_DONE;
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
