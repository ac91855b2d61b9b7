/* SPDX-License-Identifier: ISC */
/*
 * md5.h - MD5 (RFC 1321), for ids that other servers have made with it. Good
 * for nothing where somebody might want two messages to have the same.
 */
#ifndef TEXT_MD5_H
#define TEXT_MD5_H

#include "base/str.h"

#define MD5_BYTES 16

struct md5 {
	uint32_t state[4];
	uint64_t n_bytes;
	uint8_t block[64]; /* what does not fill one yet */
};

/* The digest (RFC 1321) of bytes that come in any pieces. */
void md5_init(struct md5 *m);
void md5_add(struct md5 *m, struct str bytes);
/* The digest; `m` must be initialised before it is used again. */
void md5_end(struct md5 *m, uint8_t out[MD5_BYTES]);
/* As md5_end: 32 lower-case hexadecimal digits and a NUL. */
void md5_end_hex(struct md5 *m, char out[2 * MD5_BYTES + 1]);

#endif
