/* SPDX-License-Identifier: ISC */
/* passwd_hash.h - is this the password behind this stored value? */
#ifndef AUTH_PASSWD_HASH_H
#define AUTH_PASSWD_HASH_H

#include "base/err.h"
#include "base/str.h"

#define PASSWD_HASH_KEY_BYTES 32
#define PASSWD_HASH_SALT_MAX 64
#define PASSWD_HASH_ITER_DEFAULT 4096
#define PASSWD_HASH_ITER_MAX 1000000

/* What SCRAM-SHA-256 (RFC 7677) needs to know of a user. */
struct passwd_hash_keys {
	uint32_t iter;
	size_t salt_n;
	unsigned char salt[PASSWD_HASH_SALT_MAX];
	unsigned char stored[PASSWD_HASH_KEY_BYTES];
	unsigned char server[PASSWD_HASH_KEY_BYTES];
};

/*
 * The stored value is "{SCHEME}rest", or without a scheme what crypt(3)
 * takes. *match says whether `password` (no NUL in it, not empty) is the one.
 * Fails with ERR_UNSUPPORTED for a scheme that is not known here, ERR_CORRUPT
 * for a value that is none; locked values ("*", "!") simply do not match.
 */
int passwd_hash_verify(
    struct str stored, struct str password, bool *match, struct err *e);
/*
 * Whether passwd_hash_verify() with this stored value leaves no copy of the
 * password in memory, as far as ours and libcrypt go.
 */
bool passwd_hash_is_clean(struct str stored);
/*
 * The SCRAM-SHA-256 keys of a {SCRAM-SHA-256} or {PLAIN} value; the latter are
 * made with `salt` (16 bytes), the others take as long. ERR_UNSUPPORTED: this value can not give keys.
 */
int passwd_hash_keys(struct str stored, const unsigned char salt[16],
    struct passwd_hash_keys *out, struct err *e);
/*
 * Work that costs what making those of a {PLAIN} value costs. The first answer of
 * SCRAM is not held back: who has keys in the file, or none, is to take as long.
 */
void passwd_hash_keys_decoy(void);
/* A value nobody's password matches, of the same cost as a new one. */
struct str passwd_hash_dummy(void);

#endif
