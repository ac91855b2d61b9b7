/* SPDX-License-Identifier: ISC */
/*
 * utf7.c - modified UTF-7 to UTF-8 and back.
 *
 * Owns:    nothing.
 * Runs in: imapd (names on the wire), mail processes (names on disk).
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 5.1.3.
 */
#include "text/ascii.h"
#include "text/utf7.h"
#include "text/utf8.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* 0..63 or -1. */
static int
value_of(char c)
{
	if (ascii_is_upper(c))
		return c - 'A';
	if (ascii_is_lower(c))
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == ',' ? 63 : -1;
}

/* Bits of a base64 run that are not written yet. */
struct run {
	uint32_t bits;
	unsigned n;
};

static void
put_unit(struct buf *out, struct run *run, uint32_t unit)
{
	run->bits = run->bits << 16 | unit;
	run->n += 16;
	while (run->n >= 6) {
		run->n -= 6;
		(void)buf_add_byte(out, alphabet[run->bits >> run->n & 63]);
	}
	run->bits &= (1u << run->n) - 1;
}

static void
put_char(struct buf *out, struct run *run, uint32_t code)
{
	if (code < 0x10000) {
		put_unit(out, run, code);
		return;
	}
	code -= 0x10000;
	put_unit(out, run, 0xd800 | code >> 10);
	put_unit(out, run, 0xdc00 | (code & 0x3ff));
}

static void
end_run(struct buf *out, struct run *run)
{
	if (run->n > 0)
		(void)buf_add_byte(
		    out, alphabet[run->bits << (6 - run->n) & 63]);
	(void)buf_add_byte(out, '-');
	*run = (struct run){0};
}

bool
utf7_encode(struct buf *out, struct str in)
{
	size_t start = out->n, n;
	bool in_run = false;
	struct run run = {0};
	uint32_t code;

	while (in.n > 0) {
		if (ascii_is_print(*in.p)) {
			if (in_run)
				end_run(out, &run);
			in_run = false;
			(void)buf_add_byte(out, *in.p);
			if (*in.p == '&')
				(void)buf_add_byte(out, '-');
			in = str_skip(in, 1);
			continue;
		}
		n = utf8_decode(in, &code);
		if (n == 0) {
			out->n = start;
			return false;
		}
		if (!in_run)
			(void)buf_add_byte(out, '&');
		in_run = true;
		put_char(out, &run, code);
		in = str_skip(in, n);
	}
	if (in_run)
		end_run(out, &run);
	if (buf_is_over(out)) {
		out->n = start;
		return false;
	}
	return true;
}

/* One base64 run behind its '&'; cuts it with its '-' from *in. */
static bool
decode_run(struct buf *out, struct str *in)
{
	uint32_t bits = 0, unit, high = 0;
	unsigned n = 0;
	char utf8[UTF8_CHAR_MAX];
	int v;

	for (;; *in = str_skip(*in, 1)) {
		if (in->n == 0)
			return false;
		if (*in->p == '-')
			break;
		v = value_of(*in->p);
		if (v == -1)
			return false;
		bits = bits << 6 | (uint32_t)v;
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		unit = bits >> n & 0xffff;
		bits &= (1u << n) - 1;
		if (high == 0 && unit >= 0xd800 && unit < 0xdc00) {
			high = unit;
			continue;
		}
		if (high != 0) {
			if (unit < 0xdc00 || unit > 0xdfff)
				return false;
			unit =
			    0x10000 + ((high & 0x3ff) << 10) + (unit & 0x3ff);
			high = 0;
		}
		if (!buf_add(out, utf8, utf8_encode(unit, utf8)) ||
		    (unit >= 0xd800 && unit < 0xe000))
			return false;
	}
	*in = str_skip(*in, 1);
	return high == 0;
}

static bool
decode(struct buf *out, struct str in)
{
	while (in.n > 0) {
		char c = *in.p;

		if (!ascii_is_print(c))
			return false;
		in = str_skip(in, 1);
		if (c != '&') {
			(void)buf_add_byte(out, c);
			continue;
		}
		if (in.n > 0 && *in.p == '-') {
			(void)buf_add_byte(out, '&');
			in = str_skip(in, 1);
			continue;
		}
		if (!decode_run(out, &in))
			return false;
	}
	return !buf_is_over(out);
}

bool
utf7_decode(struct buf *out, struct str in)
{
	size_t start = out->n;
	struct buf again;
	bool ok;

	if (!decode(out, in)) {
		out->n = start;
		return false;
	}
	/* The rest of the grammar (no ASCII in base64, no run directly behind
	 * another, zero in unused bits) is: encoding gives the same again. */
	buf_init(&again, in.n + 8);
	ok = utf7_encode(&again, str_skip(buf_str(out), start)) &&
	    str_eq(buf_str(&again), in);
	buf_done(&again);
	if (!ok)
		out->n = start;
	return ok;
}

bool
utf7_is_valid(struct str in)
{
	struct buf out;
	bool ok;

	buf_init(&out, in.n * 3 + 8);
	ok = utf7_decode(&out, in);
	buf_done(&out);
	return ok;
}
