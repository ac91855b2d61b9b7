/* SPDX-License-Identifier: ISC */
/* rng.h - random bytes from the kernel. */
#ifndef OS_RNG_H
#define OS_RNG_H

#include "base/base.h"

/* Fills `n` bytes; ends the process if the kernel has none to give. */
void rng_bytes(void *p, size_t n);
uint64_t rng_u64(void);
/* Below `limit`, which is not 0; every value equally likely. */
uint32_t rng_below(uint32_t limit);

#endif
