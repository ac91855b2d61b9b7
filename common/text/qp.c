/* SPDX-License-Identifier: ISC */
/*
 * qp.c - quoted-printable, decoded as it comes.
 *
 * Trusts:  nothing in its input; everything decodes to something.
 * Spec:    RFC 2045 section 6.7, RFC 2047 section 4.2.
 *
 * `held` is in one of these states, told apart by its first byte:
 *
 *   empty --blank--> " \t..." --line end--> empty, the blanks are dropped
 *         --CR-----> " ..\r"  --LF--------> empty, CR LF given out
 *         --'='----> "=" --blank--> "= " --line end--> empty: a soft break
 *                        --hex----> "=3" --hex-------> empty: a byte
 */
#include "text/qp.h"

#include "text/ascii.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Gives out what is held, as it is. */
static size_t
flush(struct qp_decoder *d, char *out)
{
	size_t n = d->n_held;

	memcpy(out, d->held, n);
	d->n_held = 0;
	return n;
}

static void
hold(struct qp_decoder *d, char c)
{
	d->held[d->n_held++] = c;
}

/* A byte while nothing is held. */
static size_t
feed_plain(struct qp_decoder *d, char c, char *out)
{
	if (c == '=' || ascii_is_blank(c) || c == '\r') {
		hold(d, c);
		return 0;
	}
	*out = c;
	return 1;
}

/* A byte behind "=", "=3", "= ", "=\r". */
static size_t
feed_code(struct qp_decoder *d, char c, char *out)
{
	char last = d->held[d->n_held - 1];
	size_t n;

	if (c == '\n' && (d->n_held == 1 || !ascii_is_hex(last))) {
		d->n_held = 0;
		return 0;
	}
	if (d->n_held == 2 && ascii_is_hex(last) && ascii_is_hex(c)) {
		*out = (char)(ascii_hex(last) << 4 | ascii_hex(c));
		d->n_held = 0;
		return 1;
	}
	if ((d->n_held == 1 && ascii_is_hex(c)) ||
	    ((d->n_held == 1 || ascii_is_blank(last)) &&
		(ascii_is_blank(c) || c == '\r') && d->n_held < QP_HELD_MAX)) {
		hold(d, c);
		return 0;
	}
	d->is_bad = true;
	n = flush(d, out);
	return n + feed_plain(d, c, out + n);
}

/* A byte behind blanks, or behind a CR. */
static size_t
feed_blank(struct qp_decoder *d, char c, char *out)
{
	char last = d->held[d->n_held - 1];
	size_t n;

	if (c == '\n') {
		n = 0;
		if (last == '\r')
			out[n++] = '\r';
		out[n++] = '\n';
		d->n_held = 0;
		return n;
	}
	if (last != '\r' && (ascii_is_blank(c) || c == '\r') &&
	    d->n_held < QP_HELD_MAX) {
		hold(d, c);
		return 0;
	}
	n = flush(d, out);
	return n + feed_plain(d, c, out + n);
}

/* The next "=", CR or LF from `i` on, or the end. */
static size_t
next_special(struct str s, size_t i)
{
#ifdef __SSE2__
	const __m128i equals = _mm_set1_epi8('=');
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');

	for (; i < s.n && s.n - i >= 16; i += 16) {
		__m128i c =
		    _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		__m128i found = _mm_or_si128(_mm_cmpeq_epi8(c, equals),
		    _mm_or_si128(_mm_cmpeq_epi8(c, cr), _mm_cmpeq_epi8(c, lf)));
		unsigned bits = (unsigned)_mm_movemask_epi8(found);

		if (bits != 0)
			return i + (size_t)__builtin_ctz(bits);
	}
#endif
	while (i < s.n && s.p[i] != '=' && s.p[i] != '\r' && s.p[i] != '\n')
		i++;
	return i;
}

/*
 * Bytes at the start of `s` that stand for themselves: all up to a "=" or CR,
 * but for blanks that may end a line.
 */
static size_t
plain_length(struct str s)
{
	size_t i = 0, end, last;

	for (;; i = end + 1) {
		last = end = next_special(s, i);
		if (end == s.n || s.p[end] != '=')
			while (last > i && ascii_is_blank(s.p[last - 1]))
				last--;
		if (last < end || end == s.n || s.p[end] != '\n')
			return last;
	}
}

size_t
qp_feed(struct qp_decoder *d, struct str in, char *out)
{
	size_t got = 0, n;

	while (in.n > 0) {
		if (d->n_held == 0 && (n = plain_length(in)) > 0) {
			memcpy(out + got, in.p, n);
			got += n;
			in = str_skip(in, n);
			continue;
		}
		/* The common code: all three bytes are here. */
		if (d->n_held == 0 && in.n >= 3 && in.p[0] == '=' &&
		    ascii_is_hex(in.p[1]) && ascii_is_hex(in.p[2])) {
			out[got++] = (char)(ascii_hex(in.p[1]) << 4 |
			    ascii_hex(in.p[2]));
			in = str_skip(in, 3);
			continue;
		}
		/* Soft breaks are in each line but the last ones. */
		if (d->n_held == 0 && in.n >= 3 && in.p[0] == '=' &&
		    (in.p[1] == '\n' || (in.p[1] == '\r' && in.p[2] == '\n'))) {
			in = str_skip(in, in.p[1] == '\n' ? 2 : 3);
			continue;
		}
		if (d->n_held == 0)
			got += feed_plain(d, in.p[0], out + got);
		else if (d->held[0] == '=')
			got += feed_code(d, in.p[0], out + got);
		else
			got += feed_blank(d, in.p[0], out + got);
		in = str_skip(in, 1);
	}
	return got;
}

size_t
qp_finish(struct qp_decoder *d, char out[3])
{
	size_t n = 0;

	if (d->n_held > 0 && d->held[0] == '=') {
		/* A soft break at the very end is nothing; "=4" is itself. */
		if (d->n_held > 1 && ascii_is_hex(d->held[1])) {
			d->is_bad = true;
			n = 2;
			memcpy(out, d->held, n);
		}
	} else if (d->n_held > 0 && d->held[d->n_held - 1] == '\r') {
		out[n++] = '\r';
	}
	d->n_held = 0;
	return n;
}

size_t
qp_decode_word(struct str in, char *out)
{
	size_t i, n = 0;

	for (i = 0; i < in.n; i++) {
		if (in.p[i] == '_') {
			out[n++] = ' ';
		} else if (in.p[i] == '=' && i + 2 < in.n &&
		    ascii_is_hex(in.p[i + 1]) && ascii_is_hex(in.p[i + 2])) {
			out[n++] = (char)(ascii_hex(in.p[i + 1]) << 4 |
			    ascii_hex(in.p[i + 2]));
			i += 2;
		} else {
			out[n++] = in.p[i];
		}
	}
	return n;
}
