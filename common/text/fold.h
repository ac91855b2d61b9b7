/* SPDX-License-Identifier: ISC */
/*
 * fold.h - text compared without regard to case: i;unicode-casemap (RFC 5051)
 * and i;ascii-casemap (RFC 4790), and substring search on top of the first.
 */
#ifndef TEXT_FOLD_H
#define TEXT_FOLD_H

#include "base/arena.h"
#include "base/buf.h"

/*
 * Appends the i;unicode-casemap key of UTF-8 text: keys compare bytewise.
 * Each character is mapped by itself, so the key of a joined text is the
 * joined keys. Bytes that are no UTF-8 stand for themselves (RFC 5051 1 b).
 */
bool fold_unicode(struct buf *out, struct str utf8);
/* The key of fold_unicode(), in `a`. */
struct str fold_key(struct arena *a, struct str utf8);
/* Appends the i;ascii-casemap key: a..z become A..Z. */
bool fold_ascii(struct buf *out, struct str s);

/*
 * Looks for one text in many others, or in one that comes in pieces:
 *
 *	fold_search_init(&f, needle);
 *	for each text: fold_search_reset(&f); while more: fold_search_feed(...);
 *	    fold_search_finish(&f)
 *	fold_search_done(&f);
 */
struct fold_search {
	struct str key; /* the needle's, on the heap */
	struct buf window; /* keys of what came, as far as a match may begin */
	char torn[4];
	uint8_t n_torn; /* bytes of a character torn between pieces */
	bool is_found;
	bool is_plain; /* ASCII needle: ASCII text needs no key */
};

void fold_search_init(struct fold_search *f, struct str needle_utf8);
void fold_search_done(struct fold_search *f);
/* The next text begins. */
void fold_search_reset(struct fold_search *f);
/* True once the needle has been seen in this text; an empty one always. */
bool fold_search_feed(struct fold_search *f, struct str utf8);
/* The text ends: a character torn at its end is looked at too. */
bool fold_search_finish(struct fold_search *f);
/* A whole text at once. */
bool fold_search_in(struct fold_search *f, struct str utf8);

#endif
