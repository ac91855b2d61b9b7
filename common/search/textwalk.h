/* SPDX-License-Identifier: ISC */
/*
 * textwalk.h - all of a message that SEARCH TEXT and BODY look at, decoded, in
 * pieces; in slices, so that a large body does not hold the loop. Who looks for
 * something and who makes filters see the same, by this.
 *
 *	textwalk_begin(); while textwalk_step() is STEP_MORE: ...; textwalk_end()
 */
#ifndef SEARCH_TEXTWALK_H
#define SEARCH_TEXTWALK_H

#include "mime/body.h"
#include "store/msg.h"

struct textwalk_ops {
	/* A text begins that does not continue the last one. */
	void (*begin)(void *arg);
	/*
	 * UTF-8, but for names of fields; a character may be torn between
	 * pieces. `text_alone`: not for BODY.
	 */
	void (*piece)(void *arg, struct str utf8, bool text_alone);
	/* Need more be read? Asked between parts. */
	bool (*wants_more)(void *arg);
};

struct textwalk {
	struct msg *msg; /* NULL: not begun */
	struct arena *arena; /* scratch space */
	const struct textwalk_ops *ops;
	void *arg;
	size_t slice_bytes; /* of bodies that are decoded by a step */
	bool body_alone; /* what is not for BODY need not be shown */
	struct buf text;
	bool has_header, has_root;
	struct part_parser *parser; /* NULL: not begun, or finished */
	uint64_t parsed;
	struct part *part; /* being read; NULL: behind the last */
	uint64_t off; /* read so far of its body */
	struct body_decoder *body;
};

/* Zeroed before the first call. All of it is borrowed until textwalk_end(). */
void textwalk_begin(struct textwalk *w, struct msg *msg, struct arena *arena,
    const struct textwalk_ops *ops, void *arg);
enum step textwalk_step(struct textwalk *w, struct err *e);
/* Keeps some memory for the next message. */
void textwalk_end(struct textwalk *w);
void textwalk_done(struct textwalk *w);

#endif
