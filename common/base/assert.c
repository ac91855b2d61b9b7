/* SPDX-License-Identifier: ISC */
/*
 * assert.c - ends the process when our own logic is broken.
 *
 * Owns:    nothing.
 * Runs in: every process.
 * Trusts:  nothing but its arguments, which are compile-time text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

void
assert_failed(const char *cond, const char *file, int line, const char *func)
{
	(void)dprintf(2, "panic: %s:%d: %s: %s is not true\n", file, line, func,
	    cond);
	abort();
}
