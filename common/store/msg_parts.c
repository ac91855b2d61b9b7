/* SPDX-License-Identifier: ISC */
/*
 * msg_parts.c - the tree of a message's parts, parsed once.
 *
 * Owns:    nothing; the tree is in the arena of the message.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the message.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "store/msg_impl.h"

#define READ_PIECE (64 * 1024)

int
msg_parts(struct msg *m, struct part **out, struct err *e)
{
	struct part_parser *p;
	uint64_t off = 0;
	char *piece;
	size_t got;
	int rc;

	if (m->parts != NULL) {
		*out = m->parts;
		return 0;
	}
	if (msg_need_file(m, e) == -1)
		return -1;
	piece = mem_new(1, READ_PIECE);
	p = part_parser_new(&m->arena, &mime_limits_default);
	while ((rc = msg_read(m, off, piece, READ_PIECE, &got, e)) == 0 &&
	    got > 0) {
		part_parser_feed(p, str_make(piece, got));
		off += got;
	}
	free(piece);
	if (rc == -1)
		return -1;
	m->parts = part_parser_finish(p);
	*out = m->parts;
	return 0;
}
