/* SPDX-License-Identifier: ISC */
/*
 * md5.c - MD5.
 *
 * Owns:    nothing.
 * Runs in: pop3d, imapd.
 * Trusts:  nothing; any bytes have a digest.
 * Spec:    RFC 1321.
 */
#include <stdio.h>

#include "text/md5.h"

/* RFC 1321 3.4: 4294967296 times abs(sin(i)). */
static const uint32_t sines[64] = {0xd76aa478, 0xe8c7b756, 0x242070db,
    0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8,
    0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e,
    0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d,
    0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87,
    0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
    0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60,
    0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039,
    0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7,
    0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 0x6fa87e4f,
    0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb,
    0xeb86d391};

static const uint8_t shifts[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t
rotate(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

/* The function of round i / 16, and which word of the block it takes. */
static uint32_t
mix(unsigned i, uint32_t b, uint32_t c, uint32_t d, unsigned *word)
{
	switch (i / 16) {
	case 0:
		*word = i;
		return (b & c) | (~b & d);
	case 1:
		*word = (5 * i + 1) % 16;
		return (b & d) | (c & ~d);
	case 2:
		*word = (3 * i + 5) % 16;
		return b ^ c ^ d;
	default:
		*word = 7 * i % 16;
		return c ^ (b | ~d);
	}
}

static void
take_block(struct md5 *m, const uint8_t *p)
{
	uint32_t a = m->state[0], b = m->state[1], c = m->state[2],
		 d = m->state[3], x[16];

	for (unsigned i = 0; i < 16; i++)
		x[i] = (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 |
		    (uint32_t)p[4 * i + 2] << 16 | (uint32_t)p[4 * i + 3] << 24;
	for (unsigned i = 0; i < 64; i++) {
		unsigned word;
		uint32_t f = mix(i, b, c, d, &word);
		uint32_t sum = a + f + x[word] + sines[i];

		a = d;
		d = c;
		c = b;
		b += rotate(sum, shifts[i / 16][i % 4]);
	}
	m->state[0] += a;
	m->state[1] += b;
	m->state[2] += c;
	m->state[3] += d;
}

void
md5_init(struct md5 *m)
{
	*m = (struct md5){
	    .state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476},
	};
}

void
md5_add(struct md5 *m, struct str bytes)
{
	size_t have = m->n_bytes % sizeof(m->block), take;

	while (bytes.n > 0) {
		take = sizeof(m->block) - have;
		if (take > bytes.n)
			take = bytes.n;
		memcpy(m->block + have, bytes.p, take);
		m->n_bytes += take;
		have += take;
		bytes = str_skip(bytes, take);
		if (have < sizeof(m->block))
			return;
		take_block(m, m->block);
		have = 0;
	}
}

void
md5_end(struct md5 *m, uint8_t out[MD5_BYTES])
{
	static const char padding[64] = {(char)0x80};
	uint64_t bits = m->n_bytes * 8;
	size_t have = m->n_bytes % 64;
	char length[8];

	for (unsigned i = 0; i < sizeof(length); i++)
		length[i] = (char)(uint8_t)(bits >> 8 * i);
	md5_add(m, str_make(padding, have < 56 ? 56 - have : 120 - have));
	md5_add(m, str_make(length, sizeof(length)));
	for (unsigned i = 0; i < MD5_BYTES; i++)
		out[i] = (uint8_t)(m->state[i / 4] >> 8 * (i % 4));
}

void
md5_end_hex(struct md5 *m, char out[2 * MD5_BYTES + 1])
{
	uint8_t digest[MD5_BYTES];

	md5_end(m, digest);
	for (unsigned i = 0; i < MD5_BYTES; i++)
		(void)snprintf(out + 2 * (size_t)i, 3, "%02x", digest[i]);
}
