/* SPDX-License-Identifier: ISC */
/*
 * header.c - a header block field by field.
 *
 * Runs in: imapd and pop3d sessions.
 * Trusts:  nothing; any bytes are a header block, perhaps without fields.
 * Spec:    RFC 5322 sections 2.2 and 4.5 (blanks before the colon).
 */
#include "mime/header.h"

#include "mime/encword.h"
#include "text/ascii.h"
#include "text/block.h"

/* Behind the first LF from `i` on; s.n when there is none. A call of memchr for
 * each line costs more than most lines have. */
static inline size_t
line_end(struct str s, size_t i)
{
	const char *lf;

#ifdef __SSE2__
	for (; s.n - i >= BLOCK_BYTES; i += BLOCK_BYTES) {
		unsigned end = block_mask(s.p + i, '\n');

		if (end != 0)
			return i + (unsigned)__builtin_ctz(end) + 1;
	}
#endif
	lf = memchr(s.p + i, '\n', s.n - i);
	return lf == NULL ? s.n : (size_t)(lf - s.p) + 1;
}

/* Where the first colon of `line` is, with `room` bytes there; line.n: none. */
static inline size_t
find_colon(struct str line, UNUSED size_t room)
{
	const char *colon;
	size_t from = 0;

#ifdef __SSE2__
	if (room >= BLOCK_BYTES) {
		unsigned at = block_mask(line.p, ':');

		if (at != 0) {
			from = (unsigned)__builtin_ctz(at);
			return from < line.n ? from : line.n;
		}
		from = BLOCK_BYTES;
	}
	if (from >= line.n)
		return line.n;
#endif
	colon = memchr(line.p + from, ':', line.n - from);
	return colon == NULL ? line.n : (size_t)(colon - line.p);
}

static inline bool
is_blank_line(struct str s)
{
	return s.p[0] == '\n' || (s.p[0] == '\r' && s.n > 1 && s.p[1] == '\n');
}

struct str
header_line_content(struct str line)
{
	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static inline bool
split_name(struct str line, size_t room, struct str *name, size_t *value_at)
{
	size_t colon = line.n == 0 || ascii_is_blank(line.p[0])
	    ? line.n
	    : find_colon(line, room);

	if (colon == line.n)
		return false;
	*name = str_make(line.p, colon);
	*value_at = colon + 1;
	while (name->n > 0 && ascii_is_blank(name->p[name->n - 1]))
		name->n--;
	return name->n > 0;
}

bool
header_split_name(struct str line, struct str *name, size_t *value_at)
{
	return split_name(line, line.n, name, value_at);
}

bool
header_iter_next_any(struct header_iter *it, struct header_field *out)
{
	struct str rest = it->rest;
	size_t first, n, value_at;

	if (rest.n == 0)
		return false;
	if (is_blank_line(rest)) {
		it->rest.n = 0;
		it->has_blank = true;
		return false;
	}
	first = n = line_end(rest, 0);
	while (n < rest.n && ascii_is_blank(rest.p[n]))
		n = line_end(rest, n);
	it->rest = str_make(rest.p + n, rest.n - n);
	out->raw = str_make(rest.p, n);
	if (split_name(
		str_make(rest.p, first), rest.n, &out->name, &value_at)) {
		out->value = header_line_content(
		    str_make(rest.p + value_at, n - value_at));
	} else {
		out->name = str_make(rest.p, 0);
		out->value = str_make(NULL, 0);
	}
	return true;
}

bool
header_iter_next(struct header_iter *it, struct header_field *out)
{
	while (header_iter_next_any(it, out))
		if (out->name.n > 0)
			return true;
	return false;
}

bool
header_find(struct str block, struct str name, struct header_field *out)
{
	struct header_iter it;

	header_iter_init(&it, block);
	while (header_iter_next(&it, out))
		if (str_eq_nocase(out->name, name))
			return true;
	return false;
}

void
header_find_each(struct str block, const struct str *names, size_t n,
    struct header_field *out)
{
	struct header_field f;
	struct header_iter it;
	size_t missing = n;

	memset(out, 0, n * sizeof(*out));
	header_iter_init(&it, block);
	while (missing > 0 && header_iter_next(&it, &f))
		for (size_t i = 0; i < n; i++) {
			if (f.name.n != names[i].n || out[i].raw.n > 0 ||
			    !str_eq_nocase(f.name, names[i]))
				continue;
			out[i] = f;
			missing--;
			break;
		}
}

#ifdef __SSE2__
/* Whole blocks without an LF that has LF or CR behind it. */
static size_t
skip_lines(struct str s, size_t i)
{
	for (; s.n - i > BLOCK_BYTES; i += BLOCK_BYTES) {
		const char *p = s.p + i;
		unsigned end = block_mask(p, '\n');

		if (end == 0)
			continue;
		end &= block_mask(p + 1, '\n') | block_mask(p + 1, '\r');
		if (end != 0)
			return i + (unsigned)__builtin_ctz(end);
	}
	return i;
}
#else
static size_t
skip_lines(UNUSED struct str s, size_t i)
{
	return i;
}
#endif

size_t
header_block_end(struct str s, size_t from)
{
	/* A blank line at the very start: a message without a header. */
	if (s.n >= 1 && s.p[0] == '\n')
		return 1;
	if (s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n')
		return 2;
	for (size_t i = from; i < s.n; i++) {
		const char *lf;

		i = skip_lines(s, i);
		lf = memchr(s.p + i, '\n', s.n - i);
		if (lf == NULL)
			return 0;
		i = (size_t)(lf - s.p);
		if (i + 1 < s.n && s.p[i + 1] == '\n')
			return i + 2;
		if (i + 2 < s.n && s.p[i + 1] == '\r' && s.p[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

size_t
header_unfold_to(struct str value, char *out)
{
	const char *p, *end;
	size_t n = 0, take;

	value = str_trim(value);
	for (p = value.p, end = p + value.n; p < end; p += take) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		take = lf == NULL ? (size_t)(end - p) : (size_t)(lf - p);
		memcpy(out + n, p, take);
		n += take;
		if (lf == NULL)
			break;
		if (n > 0 && out[n - 1] == '\r')
			n--;
		take++;
	}
	/* No syntax of ours can carry a NUL (RFC 3501: CHAR8). */
	for (p = out; (p = memchr(p, '\0', n - (size_t)(p - out))) != NULL;)
		out[p - out] = (char)0x80;
	return n;
}

#ifdef __SSE2__
static inline bool
is_plain_block(const char *p)
{
	return (block_mask(p, '\n') | block_mask(p, '\0') | block_mask(p, '=') |
		   block_mask_8bit(p)) == 0;
}

/* Whole blocks of ASCII without LF, NUL, or what may begin an encoded word; the
 * last one may overlap the one before it. */
static size_t
skip_plain(struct str s)
{
	size_t i = 0;

	if (s.n < BLOCK_BYTES)
		return 0;
	for (; s.n - i >= BLOCK_BYTES; i += BLOCK_BYTES)
		if (!is_plain_block(s.p + i))
			return i;
	return is_plain_block(s.p + s.n - BLOCK_BYTES) ? s.n : i;
}
#else
static size_t
skip_plain(UNUSED struct str s)
{
	return 0;
}
#endif

bool
header_is_plain(struct str value, struct str *text)
{
	struct str s = str_trim(value);

	for (size_t i = skip_plain(s); i < s.n; i++)
		if (s.p[i] == '\n' || s.p[i] == '\0' || s.p[i] == '=' ||
		    ascii_is_8bit(s.p[i]))
			return false;
	*text = s;
	return true;
}

struct str
header_unfold(struct arena *a, struct str value)
{
	char *p = arena_new(a, value.n + 1, 1);

	return str_make(p, header_unfold_to(value, p));
}

struct str
header_decode(struct arena *a, struct str value)
{
	struct str s, decoded;
	struct buf b;

	if (header_is_plain(value, &s))
		return arena_str(a, s);
	s = header_unfold(a, value);
	if (encword_is_plain(s))
		return s;
	buf_init(&b, ENCWORD_DECODED_MAX(s.n));
	encword_decode(&b, s);
	decoded = arena_str(a, buf_str(&b));
	buf_done(&b);
	return decoded;
}
