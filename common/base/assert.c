/* SPDX-License-Identifier: ISC */
/*
 * assert.c - ends the process when our own logic is broken.
 *
 * Owns:    nothing.
 * Runs in: every process.
 * Trusts:  nothing but its arguments, which are compile-time text.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"

void
assert_failed(const char *cond, const char *file, int line, const char *func)
{
	/* The log channel: standard error may be closed, or a file that a
	 * confined process can not write to. */
	log_error("panic: %s:%d: %s: %s is not true", file, line, func, cond);
	abort();
}
