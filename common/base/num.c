/* SPDX-License-Identifier: ISC */
/*
 * num.c - digits that become numbers, with a range.
 *
 * Owns:    nothing.
 * Runs in: every process.
 * Trusts:  nothing.
 */
#include "base/num.h"

bool
num_cut_u64(struct str *s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;
	/* So many digits fit in any case. */
	size_t n = s->n < NUM_DIGITS_MAX - 1 ? s->n : NUM_DIGITS_MAX - 1;

	for (; i < n && (unsigned char)(s->p[i] - '0') <= 9; i++)
		v = v * 10 + (unsigned char)(s->p[i] - '0');
	for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++)
		if (!num_mul(v, 10u, &v) ||
		    !num_add(v, (uint64_t)(s->p[i] - '0'), &v))
			return false;
	if (i == 0 || v > max)
		return false;
	*s = str_skip(*s, i);
	*out = v;
	return true;
}

bool
num_parse_u64(struct str s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v;

	if (!num_cut_u64(&s, max, &v) || s.n != 0 || v < min)
		return false;
	*out = v;
	return true;
}

bool
num_parse_u32(struct str s, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t v;

	if (!num_parse_u64(s, min, max, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

bool
num_parse_hex64(struct str s, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (s.n == 0 || s.n > 16)
		return false;
	for (i = 0; i < s.n; i++) {
		char c = s.p[i];
		unsigned d;

		if (c >= '0' && c <= '9')
			d = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			d = (unsigned)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			d = (unsigned)(c - 'A') + 10;
		else
			return false;
		v = v << 4 | d;
	}
	*out = v;
	return true;
}

bool
num_to_u32(uint64_t v, uint32_t *out)
{
	if (v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

bool
num_to_size(uint64_t v, size_t *out)
{
	if (v > SIZE_MAX)
		return false;
	*out = (size_t)v;
	return true;
}

/* Two digits at a time: sequence numbers and UIDs go out by the million. */
static const char pairs[200] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536"
    "37383940414243444546474849505152535455565758596061626364656667686970717273"
    "7475767778798081828384858687888990919293949596979899";

static size_t
count_digits(uint64_t v)
{
	size_t n = 1;

	for (; v >= 10000; v /= 10000)
		n += 4;
	return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

size_t
num_write_u64(char out[NUM_DIGITS_MAX], uint64_t v)
{
	size_t n = count_digits(v);
	char *p = out + n;

	for (; v >= 100; v /= 100) {
		p -= 2;
		memcpy(p, &pairs[v % 100 * 2], 2);
	}
	if (v >= 10)
		memcpy(out, &pairs[v * 2], 2);
	else
		*out = (char)('0' + v);
	return n;
}
