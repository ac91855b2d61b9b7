/* SPDX-License-Identifier: ISC */
/*
 * fold.h - text compared without regard to case: i;unicode-casemap (RFC 5051)
 * and i;ascii-casemap (RFC 4790), and substring search on top of the first.
 */
#ifndef TEXT_FOLD_H
#define TEXT_FOLD_H

#include <string.h>

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
 * The key of a text that comes in pieces, shown as it grows: a window of it, as
 * far back as its users want.
 */
struct fold_window {
	struct buf keys;
	size_t keep; /* bytes of key that stay before what is new */
	char torn[4];
	uint8_t n_torn; /* bytes of a character torn between pieces */
};

/*
 * Gets the window, whose last `fresh` bytes have not been shown before. False:
 * nothing more is to be shown now.
 */
typedef bool fold_look_fn(void *arg, struct str window, size_t fresh);

/* `keep`: bytes of what was shown that stand before what is new. */
void fold_window_init(struct fold_window *w, size_t keep);
void fold_window_done(struct fold_window *w);
/* The next text begins. */
void fold_window_reset(struct fold_window *w);
/* A character torn at the end of the piece waits for the next one. */
void fold_window_feed(
    struct fold_window *w, struct str utf8, fold_look_fn *look, void *arg);
/* The text ends: what was torn stands for itself. */
void fold_window_finish(struct fold_window *w, fold_look_fn *look, void *arg);

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
	struct fold_window window; /* as far back as a match may begin */
	bool is_found;
};

/* The needle is folded and copied; an empty one is in every text. */
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
/* In what is a key already. */
static inline bool
fold_search_see(const struct fold_search *f, struct str key)
{
	return f->key.n == 0 ||
	    (key.n >= f->key.n &&
		memmem(key.p, key.n, f->key.p, f->key.n) != NULL);
}

#endif
