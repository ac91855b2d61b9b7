/* SPDX-License-Identifier: ISC */
/*
 * crlf.c - stored text to wire text.
 *
 * Runs in: imapd and pop3d sessions; every byte of mail passes here.
 * Trusts:  nothing in its input.
 *
 * Lines are short, so a call of memchr and of memcpy for each costs as much as
 * the copying. Where the processor has 16-byte registers (every amd64), blocks
 * are compared and stored whole: 2.5 times as fast for mail.
 */
#include "text/crlf.h"
#include "text/block.h"

#ifdef __SSE2__
static inline __m128i
block_at(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Of up to 255 blocks, each place of a block by itself in one byte. */
static uint64_t
count_lone(const char *p, size_t blocks)
{
	const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
	__m128i sum = _mm_setzero_si128();

#pragma GCC unroll 4
	for (const char *end = p + blocks * BLOCK_BYTES; p < end;
	     p += BLOCK_BYTES)
		sum = _mm_sub_epi8(sum,
		    _mm_andnot_si128(_mm_cmpeq_epi8(block_at(p - 1), cr),
			_mm_cmpeq_epi8(block_at(p), lf)));
	sum = _mm_sad_epu8(sum, _mm_setzero_si128());
	return (uint64_t)_mm_cvtsi128_si64(sum) +
	    (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(sum, sum));
}

static uint64_t
count_blocks(const char **at, const char *end, bool *after_cr)
{
	const char *p = *at;
	uint64_t n;

	if (end - p <= BLOCK_BYTES)
		return 0;
	/* The first byte alone: behind it each block has one before it. */
	n = *p++ == '\n' && !*after_cr;
	while (end - p >= BLOCK_BYTES) {
		size_t blocks = (size_t)(end - p) / BLOCK_BYTES;

		if (blocks > UINT8_MAX)
			blocks = UINT8_MAX;
		n += count_lone(p, blocks);
		p += blocks * BLOCK_BYTES;
	}
	*after_cr = p[-1] == '\r';
	*at = p;
	return n;
}

/* Whole blocks, as long as both sides have room for one and a CR. */
static char *
convert_blocks(
    const char **at, const char *end, char *out, char *out_end, bool *after_cr)
{
	const char *p = *at, *start = p;
	unsigned lf;

	while (end - p >= BLOCK_BYTES && out_end - out >= BLOCK_BYTES + 2) {
		_mm_storeu_si128((__m128i *)(void *)out,
		    _mm_loadu_si128((const __m128i *)(const void *)p));
		lf = block_mask(p, '\n');
		if (lf == 0) {
			p += BLOCK_BYTES;
			out += BLOCK_BYTES;
			continue;
		}
		/* What lies before the first LF is copied already. */
		p += __builtin_ctz(lf);
		out += __builtin_ctz(lf);
		if (p > start ? p[-1] != '\r' : !*after_cr)
			*out++ = '\r';
		*out++ = '\n';
		p++;
	}
	if (p > start)
		*after_cr = p[-1] == '\r';
	*at = p;
	return out;
}
#endif

uint64_t
crlf_count(struct str s, bool *after_cr)
{
	const char *p = s.p, *end = s.p + s.n, *lf;
	uint64_t n = 0;

#ifdef __SSE2__
	n = count_blocks(&p, end, after_cr);
#endif
	while (p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (lf > p ? lf[-1] != '\r' : !*after_cr)
			n++;
		*after_cr = false;
		p = lf + 1;
	}
	if (p < end)
		*after_cr = end[-1] == '\r';
	return n;
}

size_t
crlf_convert(struct str s, char *to, size_t room, bool *after_cr, size_t *used)
{
	const char *p = s.p, *end = s.p + s.n;
	char *out = to, *out_end = to + room;

#ifdef __SSE2__
	out = convert_blocks(&p, end, out, out_end, after_cr);
#endif
	while (p < end && out < out_end) {
		size_t avail = (size_t)(end - p);
		size_t space = (size_t)(out_end - out);
		size_t n = avail < space ? avail : space;
		const char *lf = memchr(p, '\n', n);

		if (lf == NULL) {
			memcpy(out, p, n);
			out += n;
			p += n;
			*after_cr = p[-1] == '\r';
			continue;
		}
		n = (size_t)(lf - p);
		memcpy(out, p, n);
		out += n;
		if (n > 0)
			*after_cr = lf[-1] == '\r';
		p = lf;
		if (!*after_cr) {
			*out++ = '\r';
			*after_cr = true;
			/* The LF itself needs room of its own. */
			if (out == out_end)
				break;
		}
		*out++ = '\n';
		p++;
		*after_cr = false;
	}
	*used = (size_t)(p - s.p);
	return (size_t)(out - to);
}

bool
crlf_strip_next(struct str *in, bool *had_cr, struct str *out)
{
	size_t n;

	if (in->n == 0)
		return false;
	if (*had_cr) {
		*had_cr = false;
		*out = STR("\r");
		if (*in->p != '\n')
			return true;
	}
	if (*in->p == '\r' && in->n > 1 && in->p[1] == '\n')
		*in = str_skip(*in, 1);
	/* Up to a CR, and a CR that stays with what follows it. */
	n = *in->p == '\r' ? 1 : 0;
	n += str_find(str_skip(*in, n), '\r');
	if (n == 1 && *in->p == '\r' && in->n == 1)
		n = 0;
	*out = str_head(*in, n);
	*in = str_skip(*in, n);
	if (in->n == 1 && *in->p == '\r') {
		*had_cr = true;
		*in = str_skip(*in, 1);
	}
	return out->n > 0;
}
