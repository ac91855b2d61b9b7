/* SPDX-License-Identifier: ISC */
/* assert.h - checks of our own logic, never of bytes from outside. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/base.h"

/* Ends the process when `cond` is false; compiled in always. */
#define ASSERT(cond)                                                           \
	((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__, __func__))

/* Writes one line to standard error and aborts. */
NORETURN void assert_failed(
    const char *cond, const char *file, int line, const char *func);

#endif
