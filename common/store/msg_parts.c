/* SPDX-License-Identifier: ISC */
/*
 * msg_parts.c - the tree of a message's parts, parsed once.
 *
 * Owns:    nothing; the tree is in the arena of the message.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the message.
 */
#include "store/msg_impl.h"

#define READ_PIECE ((size_t)64 * 1024)
#define STEP_BYTES ((size_t)2 * 1024 * 1024) /* about a millisecond */

enum step
msg_parts_step(struct msg *m, struct err *e)
{
	char piece[READ_PIECE] UNINITIALIZED;
	size_t got, budget = STEP_BYTES;
	enum step step;
	struct str first;

	if (m->parts != NULL)
		return STEP_DONE;
	step = msg_load_step(m, MSG_FIRST_ALL, e);
	if (step == STEP_DONE)
		step = msg_seek(m, m->parser == NULL ? 0 : m->parsed, e);
	if (step != STEP_DONE)
		return step;
	if (msg_load_all(m, e) == -1)
		return STEP_FAIL;
	if (m->parser == NULL) {
		m->parser = part_parser_new(&m->arena, &mime_limits_default);
		m->parsed = 0;
	}
	/* Straight from memory, if it is there. */
	if (m->parsed == 0 && msg_at_hand(m, 0, MSG_FIRST_ALL, &first)) {
		part_parser_feed(m->parser, first);
		m->parsed = first.n;
	}
	for (; budget >= READ_PIECE; budget -= READ_PIECE) {
		if (msg_read(m, m->parsed, piece, READ_PIECE, &got, e) == -1)
			return STEP_FAIL;
		part_parser_feed(m->parser, str_make(piece, got));
		m->parsed += got;
		if (got == 0) {
			m->parts = part_parser_finish(m->parser);
			m->parser = NULL;
			return STEP_DONE;
		}
	}
	return STEP_MORE;
}

int
msg_parts(struct msg *m, struct part **out, struct err *e)
{
	enum step step;

	while ((step = msg_parts_step(m, e)) == STEP_MORE)
		;
	*out = m->parts;
	return step == STEP_DONE ? 0 : -1;
}
