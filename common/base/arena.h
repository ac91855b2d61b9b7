/* SPDX-License-Identifier: ISC */
/*
 * arena.h - memory that is given back all at once.
 *
 * A command's arguments, plans and temporary strings live in an arena which is
 * emptied when its tagged reply is out. Nothing in it is freed one by one.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *block; /* the one being filled */
	size_t used; /* in that block */
	size_t total_bytes; /* in all blocks */
};

/* A place to rewind to; good until one before it is rewound. */
struct arena_mark {
	struct arena_block *block;
	size_t used;
};

/* Empty; allocates nothing yet. arena_done() ends it. */
void arena_init(struct arena *a);
/* Frees everything; the arena can be used again. */
void arena_done(struct arena *a);
/* Empties it, keeping at most one small block for the next command. */
void arena_reset(struct arena *a);
/* Zeroed memory, aligned for any type, for `n` objects of `size` bytes. */
void *arena_new(struct arena *a, size_t n, size_t size);
/* A copy with a NUL behind it that is not counted in the slice. */
struct str arena_str(struct arena *a, struct str s);
/* A NUL-terminated copy. */
char *arena_c(struct arena *a, struct str s);
/* printf into the arena. */
struct str arena_printf(struct arena *a, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
/* Remembers a place; arena_rewind frees all that came after it. */
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);

#endif
