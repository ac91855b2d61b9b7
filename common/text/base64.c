/* SPDX-License-Identifier: ISC */
/*
 * base64.c - three bytes as four characters, and back.
 *
 * Runs in: every process that reads SASL or mail.
 * Trusts:  nothing in its input.
 * Spec:    RFC 4648 section 4; RFC 2045 section 6.8 for the lenient decoder.
 */
#include "text/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define PAD 64 /* '=' */
#define BLANK 65 /* space, tab, CR, LF: part of every encoded body */
#define BAD 66 /* all other bytes */

/* Value of each byte; filled once so that it can be read in a table. */
static uint8_t values[256];

static const uint8_t *
value_table(void)
{
	size_t i;

	if (values['B'] == 1)
		return values;
	memset(values, BAD, sizeof(values));
	for (i = 0; i < 64; i++)
		values[(unsigned char)alphabet[i]] = (uint8_t)i;
	values['='] = PAD;
	values[' '] = values['\t'] = values['\r'] = values['\n'] = BLANK;
	return values;
}

bool
base64_encode(struct buf *out, struct str in)
{
	const unsigned char *s = (const unsigned char *)in.p;
	size_t size = BASE64_ENCODED_SIZE(in.n), i;
	char *p = buf_room(out, size);
	uint32_t v;

	if (p == NULL)
		return in.n == 0;
	for (i = 0; i + 3 <= in.n; i += 3) {
		v = (uint32_t)s[i] << 16 | (uint32_t)s[i + 1] << 8 | s[i + 2];
		*p++ = alphabet[v >> 18];
		*p++ = alphabet[v >> 12 & 63];
		*p++ = alphabet[v >> 6 & 63];
		*p++ = alphabet[v & 63];
	}
	if (i < in.n) {
		v = (uint32_t)s[i] << 16;
		if (i + 1 < in.n)
			v |= (uint32_t)s[i + 1] << 8;
		*p++ = alphabet[v >> 18];
		*p++ = alphabet[v >> 12 & 63];
		*p++ = i + 1 < in.n ? alphabet[v >> 6 & 63] : '=';
		*p++ = '=';
	}
	out->n += size;
	return true;
}

/* Length of `in` without its padding; false when that is not right. */
static bool
unpadded_length(struct str in, size_t *n)
{
	*n = in.n;
	if (in.n % 4 != 0)
		return false;
	if (*n > 0 && in.p[*n - 1] == '=')
		(*n)--;
	if (*n > 0 && in.p[*n - 1] == '=')
		(*n)--;
	return true;
}

bool
base64_decode(struct buf *out, struct str in)
{
	const uint8_t *value = value_table();
	size_t n, i, got = 0;
	uint32_t bits = 0;
	char *p;

	if (!unpadded_length(in, &n))
		return false;
	p = buf_room(out, n / 4 * 3 + 3);
	if (p == NULL)
		return false;
	for (i = 0; i < n; i++) {
		uint8_t v = value[(unsigned char)in.p[i]];

		if (v >= 64)
			return false;
		bits = bits << 6 | v;
		if (i % 4 == 3) {
			p[got++] = (char)(bits >> 16);
			p[got++] = (char)(bits >> 8);
			p[got++] = (char)bits;
			bits = 0;
		}
	}
	if (n % 4 == 1 || (n % 4 == 2 && (bits & 15) != 0) ||
	    (n % 4 == 3 && (bits & 3) != 0))
		return false;
	if (n % 4 == 2) {
		p[got++] = (char)(bits >> 4);
	} else if (n % 4 == 3) {
		p[got++] = (char)(bits >> 10);
		p[got++] = (char)(bits >> 2);
	}
	out->n += got;
	return true;
}

size_t
base64_finish(struct base64_decoder *d, char out[2])
{
	uint32_t bits = d->bits;
	uint8_t n = d->n;

	d->bits = 0;
	d->n = 0;
	if (n == 1)
		d->is_bad = true;
	if (n == 2) {
		out[0] = (char)(bits >> 4);
		return 1;
	}
	if (n == 3) {
		out[0] = (char)(bits >> 10);
		out[1] = (char)(bits >> 2);
		return 2;
	}
	return 0;
}

/* One character that the fast loop could not take. */
static size_t
feed_one(struct base64_decoder *d, uint8_t v, char *out)
{
	size_t got;

	if (v == PAD) {
		got = base64_finish(d, out);
		d->is_padded = true;
		return got;
	}
	if (v >= 64) {
		if (v == BAD)
			d->is_bad = true;
		return 0;
	}
	d->is_padded = false;
	d->bits = d->bits << 6 | v;
	if (++d->n < 4)
		return 0;
	out[0] = (char)(d->bits >> 16);
	out[1] = (char)(d->bits >> 8);
	out[2] = (char)d->bits;
	d->bits = 0;
	d->n = 0;
	return 3;
}

size_t
base64_feed(struct base64_decoder *d, struct str in, char *out)
{
	const uint8_t *value = value_table();
	const unsigned char *s = (const unsigned char *)in.p;
	size_t i = 0, got = 0;

	while (i < in.n) {
		if (d->n == 0) {
			while (in.n - i >= 4) {
				uint8_t a = value[s[i]], b = value[s[i + 1]];
				uint8_t c = value[s[i + 2]],
					e = value[s[i + 3]];
				uint32_t v;

				if ((a | b | c | e) >= 64)
					break;
				v = (uint32_t)a << 18 | (uint32_t)b << 12 |
				    (uint32_t)c << 6 | e;
				out[got] = (char)(v >> 16);
				out[got + 1] = (char)(v >> 8);
				out[got + 2] = (char)v;
				got += 3;
				i += 4;
			}
			if (i == in.n)
				break;
		}
		got += feed_one(d, value[s[i++]], out + got);
	}
	return got;
}
