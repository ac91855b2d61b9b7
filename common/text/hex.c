/* SPDX-License-Identifier: ISC */
/*
 * hex.c - bytes as pairs of hexadecimal digits.
 *
 * Trusts:  nothing in its input.
 */
#include "text/hex.h"

#include "text/ascii.h"

static const char digits[] = "0123456789abcdef";

static void
write_digits(struct str in, char *p)
{
	size_t i;

	for (i = 0; i < in.n; i++) {
		*p++ = digits[(unsigned char)in.p[i] >> 4];
		*p++ = digits[(unsigned char)in.p[i] & 15];
	}
}

bool
hex_encode(struct buf *out, struct str in)
{
	char *p;

	if (in.n == 0)
		return true;
	p = buf_room(out, in.n * 2);
	if (p == NULL)
		return false;
	write_digits(in, p);
	out->n += in.n * 2;
	return true;
}

void
hex_write(struct str in, char *out)
{
	write_digits(in, out);
	out[in.n * 2] = '\0';
}

bool
hex_decode(struct buf *out, struct str in)
{
	char *p;
	size_t i;
	int high, low;

	if (in.n == 0)
		return true;
	if (in.n % 2 != 0 || (p = buf_room(out, in.n / 2)) == NULL)
		return false;
	for (i = 0; i < in.n; i += 2) {
		high = ascii_hex(in.p[i]);
		low = ascii_hex(in.p[i + 1]);
		if (high == -1 || low == -1)
			return false;
		*p++ = (char)(high << 4 | low);
	}
	out->n += in.n / 2;
	return true;
}
