/* SPDX-License-Identifier: ISC */
/* base64.h - RFC 4648 section 4: strict for protocols, lenient for mail. */
#ifndef TEXT_BASE64_H
#define TEXT_BASE64_H

#include "base/buf.h"

/* Bytes that encoding `n` bytes gives, padding included. */
#define BASE64_ENCODED_SIZE(n) (((n) + 2) / 3 * 4)
/* Room that decoding or feeding `n` bytes may need. */
#define BASE64_DECODED_MAX(n) ((n) / 4 * 3 + 3)

/* Appends the encoding of `in`, padded, without line ends. */
bool base64_encode(struct buf *out, struct str in);
/*
 * Appends the bytes that `in` stands for. Strict: the alphabet, right
 * padding, zero in the unused bits, nothing else. False, with `out` as it
 * was, when `in` is not that or `out` is full.
 */
bool base64_decode(struct buf *out, struct str in);

/* A running lenient decoder (RFC 2045 section 6.8). Starts zeroed. */
struct base64_decoder {
	uint32_t bits; /* collected, not yet given out */
	uint8_t n; /* characters in `bits`, 0..3 */
	bool is_padded; /* '=' seen: the next character begins anew */
	bool is_bad; /* something outside the alphabet, or a torn end */
};

/*
 * Decodes `in` into `out`, which has room for BASE64_DECODED_MAX(in.n), and
 * returns the number of bytes written. Characters outside the alphabet are
 * skipped; decoding goes on behind padding, as joined encodings need.
 */
size_t base64_feed(struct base64_decoder *d, struct str in, char *out);
/* What is left at the end: 0, 1 or 2 bytes. */
size_t base64_finish(struct base64_decoder *d, char out[2]);

#endif
