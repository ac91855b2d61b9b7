/* SPDX-License-Identifier: ISC */
/*
 * encword.c - encoded words in header text.
 *
 * Runs in: imapd sessions.
 * Trusts:  nothing; what is no encoded word is text.
 * Spec:    RFC 2047 sections 2, 4 and 6; RFC 2231 section 5 (language).
 */
#include "mime/encword.h"

#include "text/ascii.h"
#include "text/base64.h"
#include "text/charset.h"
#include "text/qp.h"
#include "text/utf8.h"

struct word {
	struct str charset;
	char encoding; /* 'b' or 'q' */
	struct str text;
	size_t n; /* bytes of the whole word */
};

/* Words of one charset in a row: their bytes, converted together. */
struct run {
	struct buf *out;
	struct str charset;
	struct buf bytes;
	struct str source; /* the words as written, for an unknown charset */
};

bool
encword_is_plain(struct str text)
{
	return utf8_ascii_length(text) == text.n &&
	    str_find_str(text, STR("=?")) == text.n;
}

/*
 * RFC 2047: encoded-word, at the start of `s`. *no_end is set when no "?="
 * lies ahead, so that a text of many "=?" is not searched again and again.
 */
static bool
parse_word(struct str s, struct word *w, bool *no_end)
{
	struct str rest = str_skip(s, 2);
	size_t i;

	for (i = 0; i < rest.n && i < CHARSET_NAME_MAX + 20; i++)
		if (rest.p[i] == '?' || ascii_is_space(rest.p[i]))
			break;
	if (i == 0 || i + 3 > rest.n || rest.p[i] != '?' ||
	    rest.p[i + 2] != '?')
		return false;
	w->charset = str_head(rest, i);
	w->charset.n = str_find(w->charset, '*');
	w->encoding = ascii_lower(rest.p[i + 1]);
	if (w->encoding != 'b' && w->encoding != 'q')
		return false;
	rest = str_skip(rest, i + 3);
	w->text = str_head(rest, str_find_str(rest, STR("?=")));
	if (w->text.n == rest.n) {
		*no_end = true;
		return false;
	}
	w->n = (size_t)(w->text.p + w->text.n + 2 - s.p);
	return true;
}

static void
flush(struct run *r)
{
	struct charset *c;

	if (r->source.n == 0)
		return;
	c = charset_open(r->charset);
	if (c == NULL) {
		(void)utf8_add_clean(r->out, r->source);
	} else {
		(void)charset_feed(c, buf_str(&r->bytes), r->out);
		(void)charset_finish(c, r->out);
		charset_close(&c);
	}
	buf_clear(&r->bytes);
	r->source.n = 0;
}

/* Adds a word that follows the run's last one with only blanks between. */
static void
add_word(struct run *r, const struct word *w, struct str source)
{
	struct base64_decoder d = {0};
	char *p;
	size_t n;

	if (r->source.n > 0 && !str_eq_nocase(r->charset, w->charset))
		flush(r);
	if (r->source.n == 0) {
		r->charset = w->charset;
		r->source.p = source.p;
	}
	r->source.n = (size_t)(source.p + source.n - r->source.p);
	p = buf_room(&r->bytes, BASE64_DECODED_MAX(w->text.n) + w->text.n);
	if (p == NULL)
		return;
	if (w->encoding == 'b') {
		n = base64_feed(&d, w->text, p);
		n += base64_finish(&d, p + n);
	} else {
		n = qp_decode_word(w->text, p);
	}
	r->bytes.n += n;
}

void
encword_decode(struct buf *out, struct str text)
{
	struct run r = {.out = out};
	bool no_end = false;
	struct word w;
	size_t at;

	buf_init(&r.bytes, text.n * 4 + 64);
	while (text.n > 0) {
		at = no_end ? text.n : str_find_str(text, STR("=?"));
		if (str_trim(str_head(text, at)).n > 0 || r.source.n == 0 ||
		    at == text.n) {
			flush(&r);
			(void)utf8_add_clean(out, str_head(text, at));
			text = str_skip(text, at);
			at = 0;
			if (text.n == 0)
				break;
		}
		/* Blanks before this word, if any, lie between two words. */
		if (parse_word(str_skip(text, at), &w, &no_end)) {
			add_word(&r, &w, str_make(text.p + at, w.n));
			text = str_skip(text, at + w.n);
			continue;
		}
		flush(&r);
		(void)utf8_add_clean(out, str_head(text, at + 2));
		text = str_skip(text, at + 2);
	}
	flush(&r);
	buf_done(&r.bytes);
}
