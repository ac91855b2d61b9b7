/* SPDX-License-Identifier: ISC */
/* body.h - the text of one part as it is meant: decoded, in UTF-8. */
#ifndef MIME_BODY_H
#define MIME_BODY_H

#include "base/buf.h"
#include "mime/part.h"

enum body_encoding { /* RFC 2045 section 6 */
	BODY_IDENTITY, /* 7bit, 8bit, binary */
	BODY_QUOTED_PRINTABLE,
	BODY_BASE64,
	BODY_UNKNOWN, /* anything else: can not be decoded, stays as it is */
};

/* By the part's Content-Transfer-Encoding; one that is not known: BODY_UNKNOWN. */
enum body_encoding body_encoding_of(const struct part *part);

enum body_form {
	BODY_BYTES, /* transfer encoding undone */
	BODY_TEXT, /* and its charset become UTF-8 */
};

struct body_decoder;

/* The part must live as long. Free with body_decoder_free. */
struct body_decoder *body_decoder_new(
    const struct part *part, enum body_form form);
void body_decoder_free(struct body_decoder **d);
/*
 * Takes the next stored bytes of the part's body (from body_off on, pieces of
 * any size) and appends what they mean. An unknown charset is taken for UTF-8,
 * bytes without a meaning become U+FFFD. False when `out` is full.
 */
bool body_decoder_feed(
    struct body_decoder *d, struct str stored, struct buf *out);
bool body_decoder_finish(struct body_decoder *d, struct buf *out);
/* The encoding was broken somewhere so far. */
bool body_decoder_is_bad(const struct body_decoder *d);

#endif
