/* SPDX-License-Identifier: ISC */
/*
 * rng.c - random bytes from getrandom(2).
 *
 * Owns:    nothing.
 * Runs in: every process.
 * Trusts:  the kernel.
 */
#include <errno.h>
#include <sys/random.h>

#include "os/rng.h"

#include "base/assert.h"

void
rng_bytes(void *p, size_t n)
{
	unsigned char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got == -1 && errno == EINTR)
			continue;
		ASSERT(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

uint64_t
rng_u64(void)
{
	uint64_t v;

	rng_bytes(&v, sizeof(v));
	return v;
}

uint32_t
rng_below(uint32_t limit)
{
	/* The values below `skip` would make small results more likely. */
	uint32_t skip = (uint32_t)-limit % limit, v;

	do
		rng_bytes(&v, sizeof(v));
	while (v < skip);
	return v % limit;
}
