/* SPDX-License-Identifier: ISC */
/*
 * header.h - a header block field by field (RFC 5322 section 2.2, lenient).
 */
#ifndef MIME_HEADER_H
#define MIME_HEADER_H

#include "base/arena.h"
#include "base/str.h"

struct header_field {
	struct str raw; /* the whole field with its line ends, folds too */
	struct str name; /* without colon and blanks before it */
	struct str
	    value; /* behind the colon, still folded, without the last line end */
};

struct header_iter {
	struct str rest;
	bool has_blank; /* the blank line has been met */
};

static inline void
header_iter_init(struct header_iter *it, struct str block)
{
	it->rest = block;
	it->has_blank = false;
}

/*
 * The next field; lines without a colon are skipped (they stay in the raw
 * block). False at the blank line or at the end.
 */
bool header_iter_next(struct header_iter *it, struct header_field *out);
/* As header_iter_next, but lines without a colon come too, with an empty name. */
bool header_iter_next_any(struct header_iter *it, struct header_field *out);
/* First field of that name; false when there is none. */
bool header_find(struct str block, struct str name, struct header_field *out);
/*
 * The first field of each of these names, in one walk; raw.n 0: there is none.
 */
void header_find_each(struct str block, const struct str *names, size_t n,
    struct header_field *out);
/*
 * Length of the block at the begin of `s` with its blank line; 0: its end is not
 * there. Up to `from` nothing of that line is.
 */
size_t header_block_end(struct str s, size_t from);
/* Unfolds (RFC 5322 2.2.3: CRLF before blank goes) and trims, in `a`. */
struct str header_unfold(struct arena *a, struct str value);
/*
 * Nothing to unfold, nothing to decode: *text is the value, trimmed. False: it
 * may need header_decode(), which most do not.
 */
bool header_is_plain(struct str value, struct str *text);
/*
 * As header_unfold, then encoded words (RFC 2047) and raw 8-bit bytes become
 * UTF-8 in NFC-neutral form, bad bytes U+FFFD.
 */
struct str header_decode(struct arena *a, struct str value);

/* ---- for parsers that see one line at a time ------------------------------ */

/* The line without its LF or CRLF. */
struct str header_line_content(struct str line);
/*
 * The name of the field that this line begins, without blanks before the
 * colon, and where its value begins. False: a continuation, or no field.
 */
bool header_split_name(struct str line, struct str *name, size_t *value_at);
/*
 * header_unfold into `out`, which has room for value.n bytes; returns the
 * length. A NUL becomes 0x80, as in all that we send.
 */
size_t header_unfold_to(struct str value, char *out);

#endif
