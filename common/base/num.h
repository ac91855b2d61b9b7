/* SPDX-License-Identifier: ISC */
/* num.h - arithmetic that can not wrap, digits that become numbers. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/str.h"

#define num_add(a, b, out) (!__builtin_add_overflow(a, b, out))
#define num_sub(a, b, out) (!__builtin_sub_overflow(a, b, out))
#define num_mul(a, b, out) (!__builtin_mul_overflow(a, b, out))

/*
 * The whole slice must be 1 or more decimal digits with a value in
 * [min, max]; no sign, no blanks. *out is written on success only.
 */
bool num_parse_u64(struct str s, uint64_t min, uint64_t max, uint64_t *out);
bool num_parse_u32(struct str s, uint32_t min, uint32_t max, uint32_t *out);
/* The same for hexadecimal digits of either case. */
bool num_parse_hex64(struct str s, uint64_t *out);
/* Takes the decimal digits at the start of *s; false if there is none. */
bool num_cut_u64(struct str *s, uint64_t max, uint64_t *out);
#define NUM_DIGITS_MAX 20
/* Writes decimal digits, without a NUL; returns how many. */
size_t num_write_u64(char out[NUM_DIGITS_MAX], uint64_t v);
bool num_to_u32(uint64_t v, uint32_t *out);
bool num_to_size(uint64_t v, size_t *out);

#endif
