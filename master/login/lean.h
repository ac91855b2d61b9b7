/* SPDX-License-Identifier: ISC */
/*
 * lean.h - what of the libraries a login worker does without.
 */
#ifndef LOGIN_LEAN_H
#define LOGIN_LEAN_H

/*
 * Marks mappings that no child is to get: the tables of the libraries' symbols,
 * when the loader has bound all at the start (LD_BIND_NOW), and those libraries
 * whole that only clients of TLS call. Returns how many have been marked.
 */
unsigned lean_forks(void);

#endif
