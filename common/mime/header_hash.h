/* SPDX-License-Identifier: ISC */
/*
 * header_hash.h - the MD5 by which Dovecot knows a message of an mbox again, and
 * which "%m" of its pop3_uidl_format is (formats.md 7.10).
 */
#ifndef MIME_HEADER_HASH_H
#define MIME_HEADER_HASH_H

#include "base/str.h"
#include "text/md5.h"

/*
 * Hash of a raw header block: the values of the first Received, of Date and
 * Message-ID before it, of every Delivered-To and X-Delivery-ID. Fields whose
 * name is in none of these do not matter: metadata may be in the block.
 */
void header_hash(struct str block, uint8_t out[MD5_BYTES]);
/* The same as 32 lower-case hexadecimal digits and a NUL. */
void header_hash_hex(struct str block, char out[2 * MD5_BYTES + 1]);

#endif
