/* SPDX-License-Identifier: ISC */
/*
 * preview.h - the first words of a message, for a list (RFC 8970).
 *
 *	part = preview_part(root);
 *	pv = preview_new(part);
 *	read from part->body_off on; while (preview_feed(pv, piece)) ...
 *	text = preview_finish(&pv, arena);
 */
#ifndef MIME_PREVIEW_H
#define MIME_PREVIEW_H

#include "mime/part.h"

/* Characters; RFC 8970 section 3.1. */
#define PREVIEW_CHARS_MAX 200

struct preview;

/*
 * The part that people read first: text/plain before text/html in an
 * alternative, no attachments. NULL: there is none, the preview is empty.
 */
const struct part *preview_part(const struct part *root);
/* `p` is text and must live as long. End with preview_finish(). */
struct preview *preview_new(const struct part *p);
/* The next stored bytes of its body, in pieces of any size; false: enough. */
bool preview_feed(struct preview *pv, struct str stored);
/*
 * The text in `a`: UTF-8, at most PREVIEW_CHARS_MAX characters, one blank
 * between words, no controls. Quoted lines and the signature are left out.
 */
struct str preview_finish(struct preview **pv, struct arena *a);

#endif
