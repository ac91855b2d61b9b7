/* SPDX-License-Identifier: ISC */
/* mem.h - allocation that never returns NULL: without memory we end. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/base.h"

/* Zeroed memory for `n` objects of `size` bytes; the caller frees it. */
void *mem_new(size_t n, size_t size);
/* As realloc for `n` objects; new bytes are not cleared. */
void *mem_resize(void *p, size_t n, size_t size);
/* A NUL-terminated copy of `n` bytes. */
char *mem_dup(const void *p, size_t n);
/* A copy of a NUL-terminated text. */
char *mem_strdup(const char *s);
/* Frees and leaves NULL behind; NULL inside is fine. */
void mem_free_at(void *pp);
#define MEM_FREE(p) mem_free_at(&(p))

#endif
