/* SPDX-License-Identifier: ISC */
/*
 * lean.h - what of the libraries a login worker does without.
 */
#ifndef LOGIN_LEAN_H
#define LOGIN_LEAN_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Marks mappings that no child is to get: the tables of the libraries' symbols,
 * when the loader has bound all at the start (LD_BIND_NOW), and those libraries
 * whole that only clients of TLS call. Returns how many have been marked: none
 * where a library is preloaded, for that may look for names at any time.
 */
unsigned lean_forks(void);
/*
 * A child has died of a bad address: the next ones get all of it again. Returns
 * how many mappings that are, 0 when they had it already.
 */
unsigned lean_undo(void);

/*
 * Is the i-th of the library's segments its tables, and nothing else? False when
 * that can not be told.
 */
bool lean_is_tables(const ElfW(Phdr) * ph, size_t n, size_t i);

#endif
