/* SPDX-License-Identifier: ISC */
/*
 * secret.c - bytes that are wiped after use.
 *
 * Owns:    the bytes of struct secret.
 * Runs in: login, authd, keyd, sessions (TLS keys).
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/secret.h"

void
secret_init(struct secret *k, struct str s)
{
	k->p = mem_dup(s.p, s.n);
	k->n = s.n;
}

void
secret_done(struct secret *k)
{
	if (k->p != NULL)
		explicit_bzero(k->p, k->n);
	free(k->p);
	*k = (struct secret){0};
}

bool
secret_eq(struct str a, struct str b)
{
	volatile unsigned char diff = 0;
	size_t i;

	if (a.n != b.n)
		return false;
	for (i = 0; i < a.n; i++)
		diff = (unsigned char)(diff | (a.p[i] ^ b.p[i]));
	return diff == 0;
}

void
secret_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}
