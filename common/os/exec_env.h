/* SPDX-License-Identifier: ISC */
/*
 * exec_env.h - a variable that spares a program work between exec and main().
 */
#ifndef OS_EXEC_ENV_H
#define OS_EXEC_ENV_H

#include <stdbool.h>
#include <stddef.h>

#define EXEC_ENV_BYTES 128

/*
 * Writes what libnettle would find out about the processor, in its form. False
 * where it does not look, or is of a version that looks for other things.
 */
bool exec_env_nettle(char *out, size_t size);

#endif
