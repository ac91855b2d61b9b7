/* SPDX-License-Identifier: ISC */
/*
 * keep.h - what outlives the service processes that use it, so that neither a
 * crash nor a reload makes a difference that a stranger could see or use.
 */
#ifndef MASTER_KEEP_H
#define MASTER_KEEP_H

#include "base/err.h"
#include "base/str.h"

#define KEEP_SALT_BYTES 16
#define KEEP_SALT_FILE ".salt" /* no user's name begins with a dot */
/* What authd remembers of failures fits in it; see auth/penalty.h. */
#define KEEP_PENALTY_BYTES (512 * 1024)

struct keep {
	bool has_salt;
	char salt[KEEP_SALT_BYTES];
	int penalty_fd; /* -1: not yet made */
};

/* Nothing is read yet; keep_done() wipes the salt and closes the memory. */
void keep_init(struct keep *k);
void keep_done(struct keep *k);
/*
 * The key from which the SCRAM salts of unknown users are made: the one in
 * `state_dir`, which is made where there is none. When it can be neither read
 * nor kept the log says so, and it holds as long as master lives.
 */
struct str keep_salt(struct keep *k, const char *state_dir);
/* Shared memory, zero at first, of a size that nobody can change; or -1. */
int keep_penalty_fd(struct keep *k, struct err *e);

#endif
