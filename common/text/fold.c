/* SPDX-License-Identifier: ISC */
/*
 * fold.c - case-insensitive keys of text, and search by them.
 *
 * Owns:    a small table of characters mapped before.
 * Trusts:  nothing in its input.
 * Spec:    RFC 5051: titlecase mapping, then full decomposition, character by
 *          character without reordering; RFC 4790 section 9.2.
 */
#include "text/fold.h"

#include <unicase.h>
#include <uninorm.h>

#include "base/mem.h"
#include "text/ascii.h"
#include "text/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* U+FDFA becomes 18 characters; 32 code points of 4 bytes are enough. */
#define MAPPED_MAX 128
#define DECOMPOSED_MAX 64
#define CACHE_SIZE 1024
#define CACHE_KEY_MAX 11

/* Direct mapped: the character's low bits choose the slot. */
static struct {
	uint32_t code; /* 0: empty */
	uint8_t n;
	char key[CACHE_KEY_MAX];
} * cache; /* NULL until it is needed: most sessions never fold */

/* Decomposes `code` fully; a small stack instead of recursion. */
static size_t
map_char(uint32_t code, char out[MAPPED_MAX])
{
	ucs4_t stack[DECOMPOSED_MAX], parts[UC_DECOMPOSITION_MAX_LENGTH];
	size_t top = 0, n = 0;
	int count, tag;

	stack[top++] = uc_totitle(code);
	while (top > 0 && n + UTF8_CHAR_MAX <= MAPPED_MAX) {
		ucs4_t c = stack[--top];

		count = uc_decomposition(c, &tag, parts);
		if (count <= 0 || top + (size_t)count > DECOMPOSED_MAX ||
		    (count == 1 && parts[0] == c)) {
			n += utf8_encode(c, out + n);
			continue;
		}
		while (count > 0)
			stack[top++] = parts[--count];
	}
	return n;
}

static bool
add_char(struct buf *out, uint32_t code)
{
	char mapped[MAPPED_MAX];
	size_t slot = code % CACHE_SIZE, n;

	if (cache == NULL)
		cache = mem_new(CACHE_SIZE, sizeof(*cache));
	if (cache[slot].code == code)
		return buf_add(out, cache[slot].key, cache[slot].n);
	n = map_char(code, mapped);
	if (n <= CACHE_KEY_MAX) {
		cache[slot].code = code;
		cache[slot].n = (uint8_t)n;
		memcpy(cache[slot].key, mapped, n);
	}
	return buf_add(out, mapped, n);
}

/* Upper case for the ASCII bytes at the start of `s`; returns how many. */
static size_t
upper_head(struct str s, char *out)
{
	size_t i = 0;

#ifdef __SSE2__
	/* Moved so that a..z are the least of the signed bytes. */
	const __m128i shift = _mm_set1_epi8((char)(0x80 - 'a'));
	const __m128i behind = _mm_set1_epi8((char)(0x80 + 26));
	const __m128i bit = _mm_set1_epi8(0x20);

	while (s.n - i >= 16) {
		__m128i c =
		    _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		__m128i lower = _mm_cmplt_epi8(_mm_add_epi8(c, shift), behind);

		if (_mm_movemask_epi8(c) != 0)
			break;
		_mm_storeu_si128((__m128i *)(void *)(out + i),
		    _mm_sub_epi8(c, _mm_and_si128(lower, bit)));
		i += 16;
		/* The last block overlaps the one before it. */
		if (i < s.n && s.n - i < 16)
			i = s.n - 16;
	}
#endif
	for (; i < s.n && !ascii_is_8bit(s.p[i]); i++)
		out[i] = ascii_upper(s.p[i]);
	return i;
}

struct str
fold_key(struct arena *a, struct str utf8)
{
	struct buf b;
	struct str key;

	buf_init(&b, SIZE_MAX / 2);
	(void)fold_unicode(&b, utf8);
	key = arena_str(a, buf_str(&b));
	buf_done(&b);
	return key;
}

bool
fold_ascii(struct buf *out, struct str s)
{
	char *p;
	size_t i = 0, n;

	if (s.n == 0)
		return true;
	p = buf_room(out, s.n);
	if (p == NULL)
		return false;
	/* Bytes above ASCII stay as they are. */
	while (i < s.n) {
		n = upper_head(str_skip(s, i), p + i);
		for (i += n; i < s.n && ascii_is_8bit(s.p[i]); i++)
			p[i] = s.p[i];
	}
	out->n += s.n;
	return true;
}

bool
fold_unicode(struct buf *out, struct str utf8)
{
	uint32_t code;
	size_t n;

	while (utf8.n > 0) {
		char *room = buf_room(out, utf8.n);

		if (room == NULL)
			return false;
		n = upper_head(utf8, room);
		if (n > 0) {
			out->n += n;
		} else if ((n = utf8_decode(utf8, &code)) > 0) {
			if (!add_char(out, code))
				return false;
		} else {
			n = 1;
			if (!buf_add(out, utf8.p, 1))
				return false;
		}
		utf8 = str_skip(utf8, n);
	}
	return true;
}

/* ---- a window of the key --------------------------------------------------- */

/* Keys grow to at most 18 times; pieces are cut so that this is plenty. */
#define PIECE_MAX 4096
#define NEEDLE_MAX (16 * 1024 * 1024)

void
fold_window_init(struct fold_window *w, size_t keep)
{
	*w = (struct fold_window){.keep = keep};
	buf_init(&w->keys, SIZE_MAX / 4);
}

void
fold_window_done(struct fold_window *w)
{
	buf_done(&w->keys);
	*w = (struct fold_window){0};
}

void
fold_window_reset(struct fold_window *w)
{
	buf_clear(&w->keys);
	w->n_torn = 0;
}

/* Bytes at the end of `s` that begin a character which goes on. */
static size_t
torn_length(struct str s)
{
	size_t n;

	/* Most pieces end in ASCII. */
	if (s.n == 0 || !ascii_is_8bit(s.p[s.n - 1]))
		return 0;
	for (n = s.n < 3 ? s.n : 3; n > 0; n--)
		if (utf8_is_prefix(str_skip(s, s.n - n)))
			return n;
	return 0;
}

static bool
feed_whole_chars(
    struct fold_window *w, struct str s, fold_look_fn *look, void *arg)
{
	while (s.n > 0) {
		struct str piece = str_head(s, PIECE_MAX);
		size_t had;

		if (w->keys.n > w->keep)
			buf_drop(&w->keys, w->keys.n - w->keep);
		had = w->keys.n;
		/* A character torn here would be two kinds of bytes. */
		if (piece.n < s.n)
			piece.n -= torn_length(piece);
		(void)fold_unicode(&w->keys, piece);
		if (!look(arg, buf_str(&w->keys), w->keys.n - had))
			return false;
		s = str_skip(s, piece.n);
	}
	return true;
}

void
fold_window_feed(
    struct fold_window *w, struct str utf8, fold_look_fn *look, void *arg)
{
	size_t n;

	/* Make the character whole that the last piece tore. */
	while (w->n_torn > 0 && utf8.n > 0) {
		struct str torn;

		w->torn[w->n_torn++] = utf8.p[0];
		torn = str_make(w->torn, w->n_torn);
		if (utf8_is_prefix(torn)) {
			utf8 = str_skip(utf8, 1);
			continue;
		}
		if (utf8_is_valid(torn))
			utf8 = str_skip(utf8, 1);
		else
			torn.n--;
		w->n_torn = 0;
		if (!feed_whole_chars(w, torn, look, arg))
			return;
	}
	if (utf8.n == 0)
		return;
	n = torn_length(utf8);
	if (!feed_whole_chars(w, str_head(utf8, utf8.n - n), look, arg))
		return;
	memcpy(w->torn, utf8.p + utf8.n - n, n);
	w->n_torn = (uint8_t)n;
}

void
fold_window_finish(struct fold_window *w, fold_look_fn *look, void *arg)
{
	struct str torn = str_make(w->torn, w->n_torn);

	w->n_torn = 0;
	for (; torn.n > 0; torn = str_skip(torn, 1))
		if (!feed_whole_chars(w, str_head(torn, 1), look, arg))
			return;
}

/* ---- search --------------------------------------------------------------- */

void
fold_search_init(struct fold_search *f, struct str needle_utf8)
{
	struct buf key;

	*f = (struct fold_search){0};
	buf_init(&key, NEEDLE_MAX);
	(void)fold_unicode(&key, needle_utf8);
	f->key = buf_str(&key);
	fold_window_init(&f->window, f->key.n == 0 ? 0 : f->key.n - 1);
	fold_search_reset(f);
}

void
fold_search_done(struct fold_search *f)
{
	char *p = (char *)(uintptr_t)f->key.p;

	MEM_FREE(p);
	fold_window_done(&f->window);
	*f = (struct fold_search){0};
}

void
fold_search_reset(struct fold_search *f)
{
	fold_window_reset(&f->window);
	f->is_found = f->key.n == 0;
}

static bool
look(void *arg, struct str window, UNUSED size_t fresh)
{
	struct fold_search *f = arg;

	f->is_found = fold_search_see(f, window);
	return !f->is_found;
}

bool
fold_search_feed(struct fold_search *f, struct str utf8)
{
	if (!f->is_found)
		fold_window_feed(&f->window, utf8, look, f);
	return f->is_found;
}

bool
fold_search_finish(struct fold_search *f)
{
	if (!f->is_found)
		fold_window_finish(&f->window, look, f);
	return f->is_found;
}

bool
fold_search_in(struct fold_search *f, struct str utf8)
{
	fold_search_reset(f);
	(void)fold_search_feed(f, utf8);
	return fold_search_finish(f);
}
