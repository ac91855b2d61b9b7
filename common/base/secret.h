/* SPDX-License-Identifier: ISC */
/* secret.h - bytes that are wiped after use, compared in constant time. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/str.h"

/* Bytes of its own, which secret_done() wipes. */
struct secret {
	char *p;
	size_t n;
};

/* A copy of `s` with a NUL behind it. */
void secret_init(struct secret *k, struct str s);
/* Wipes and frees; may be called twice. */
void secret_done(struct secret *k);
/* True when equal; time depends on the lengths alone. */
bool secret_eq(struct str a, struct str b);
void secret_wipe(void *p, size_t n);

#endif
