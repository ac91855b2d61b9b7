/* SPDX-License-Identifier: ISC */
/* qp.h - quoted-printable, decoded as it comes (RFC 2045 section 6.7). */
#ifndef TEXT_QP_H
#define TEXT_QP_H

#include "base/str.h"

/* Blanks at the end of a line that are held back until more is known. */
#define QP_HELD_MAX 64
/* Room that feeding `n` bytes may need. */
#define QP_DECODED_MAX(n) ((n) + QP_HELD_MAX + 3)

/* Starts zeroed. */
struct qp_decoder {
	char held[QP_HELD_MAX]; /* blanks, or "=" and what followed it */
	uint8_t n_held;
	bool is_bad; /* "=" before something that is no code */
};

/*
 * Decodes `in` into `out` and returns the number of bytes. Line ends stay as
 * they are. Blanks before a line end were added in transport and go. A "="
 * that begins no code stands for itself.
 */
size_t qp_feed(struct qp_decoder *d, struct str in, char *out);
/* What is held back at the end: at most 3 bytes. */
size_t qp_finish(struct qp_decoder *d, char out[3]);
/*
 * The "Q" encoding of header words (RFC 2047 section 4.2): "_" is a space.
 * `out` has room for in.n bytes.
 */
size_t qp_decode_word(struct str in, char *out);

#endif
