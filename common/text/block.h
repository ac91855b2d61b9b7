/* SPDX-License-Identifier: ISC */
/* block.h - 16 bytes at once, where the processor has registers for them. */
#ifndef TEXT_BLOCK_H
#define TEXT_BLOCK_H

#ifdef __SSE2__
#include <emmintrin.h>

#define BLOCK_BYTES 16

/* Bit i: byte i of the block at `p` is `c`. */
static inline unsigned
block_mask(const char *p, char c)
{
	__m128i block = _mm_loadu_si128((const __m128i *)(const void *)p);

	return (unsigned)_mm_movemask_epi8(
	    _mm_cmpeq_epi8(block, _mm_set1_epi8(c)));
}

/* Bit i: byte i of the block is not ASCII. */
static inline unsigned
block_mask_8bit(const char *p)
{
	return (unsigned)_mm_movemask_epi8(
	    _mm_loadu_si128((const __m128i *)(const void *)p));
}

#endif

#endif
