/* SPDX-License-Identifier: ISC */
/*
 * html.c - characters of HTML to characters that people read.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; every state takes every character.
 * Spec:    after the HTML standard's tokenizer, as far as mail needs it.
 *
 * TEXT --<--> OPEN --name--> NAME --> REST -->--> TEXT
 *             OPEN --!--> DECL --"--"--> COMMENT --"-->"--> TEXT
 * TEXT --&--> REF --;--> TEXT
 */
#include "mime/html.h"

#include <string.h>

#include "text/ascii.h"

enum state { TEXT, OPEN, NAME, REST, DECL, COMMENT, REF };

/* Elements whose text is for programs. */
static const char *const skipped[] = {"script", "style", "title", "template"};

/* Elements within a word; all others part words. */
static const char *const within[] = {"a", "abbr", "b", "big", "code", "del",
    "em", "font", "i", "ins", "mark", "s", "small", "span", "strike", "strong",
    "sub", "sup", "tt", "u", "wbr"};

static const struct {
	const char *name;
	uint32_t code;
} refs[] = {
    {"AMP", '&'},
    {"Auml", 0xc4},
    {"GT", '>'},
    {"LT", '<'},
    {"Ouml", 0xd6},
    {"QUOT", '"'},
    {"Uuml", 0xdc},
    {"aacute", 0xe1},
    {"acirc", 0xe2},
    {"agrave", 0xe0},
    {"amp", '&'},
    {"apos", '\''},
    {"aring", 0xe5},
    {"auml", 0xe4},
    {"bdquo", 0x201e},
    {"bull", 0x2022},
    {"ccedil", 0xe7},
    {"copy", 0xa9},
    {"deg", 0xb0},
    {"eacute", 0xe9},
    {"ecirc", 0xea},
    {"egrave", 0xe8},
    {"emsp", 0x2003},
    {"ensp", 0x2002},
    {"euml", 0xeb},
    {"euro", 0x20ac},
    {"gt", '>'},
    {"hellip", 0x2026},
    {"iacute", 0xed},
    {"icirc", 0xee},
    {"iexcl", 0xa1},
    {"iquest", 0xbf},
    {"laquo", 0xab},
    {"ldquo", 0x201c},
    {"lsquo", 0x2018},
    {"lt", '<'},
    {"mdash", 0x2014},
    {"middot", 0xb7},
    {"nbsp", 0xa0},
    {"ndash", 0x2013},
    {"ntilde", 0xf1},
    {"oacute", 0xf3},
    {"ocirc", 0xf4},
    {"oslash", 0xf8},
    {"ouml", 0xf6},
    {"pound", 0xa3},
    {"quot", '"'},
    {"raquo", 0xbb},
    {"rdquo", 0x201d},
    {"reg", 0xae},
    {"rsquo", 0x2019},
    {"shy", 0xad},
    {"szlig", 0xdf},
    {"times", 0xd7},
    {"trade", 0x2122},
    {"uacute", 0xfa},
    {"ucirc", 0xfb},
    {"ugrave", 0xf9},
    {"uuml", 0xfc},
    {"zwj", 0x200d},
    {"zwnj", 0x200c},
};

void
html_init(struct html *h, void (*emit)(void *arg, uint32_t code), void *arg)
{
	*h = (struct html){.emit = emit, .arg = arg};
}

static void
emit(struct html *h, uint32_t code)
{
	if (h->skip == NULL)
		h->emit(h->arg, code);
}

static bool
is_one_of(const char *word, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(word, list[i]) == 0)
			return true;
	return false;
}

static void
start_word(struct html *h)
{
	h->n_word = 0;
	h->word[0] = '\0';
}

/* False: it is longer than any that matters, and not kept whole. */
static bool
add_to_word(struct html *h, char c)
{
	if (h->n_word == HTML_WORD_MAX)
		return false;
	h->word[h->n_word++] = c;
	h->word[h->n_word] = '\0';
	return true;
}

/* ---- tags ------------------------------------------------------------------ */

static void
end_tag(struct html *h)
{
	size_t i;

	h->state = TEXT;
	if (h->skip != NULL) {
		if (h->is_end_tag && strcmp(h->word, h->skip) == 0)
			h->skip = NULL;
		return;
	}
	if (!is_one_of(h->word, within, ARRAY_LEN(within)))
		emit(h, ' ');
	for (i = 0; i < ARRAY_LEN(skipped) && !h->is_end_tag; i++)
		if (strcmp(h->word, skipped[i]) == 0)
			h->skip = skipped[i];
}

static void in_text(struct html *h, uint32_t code);

/* Behind "<" or "</". */
static void
in_open(struct html *h, uint32_t code)
{
	bool is_letter = code < 0x80 && ascii_is_alpha((char)code);

	if (code == '/' && !h->is_end_tag) {
		h->is_end_tag = true;
	} else if (is_letter && (h->skip == NULL || h->is_end_tag)) {
		h->state = NAME;
		(void)add_to_word(h, ascii_lower((char)code));
	} else if (code == '!' && !h->is_end_tag && h->skip == NULL) {
		h->state = DECL;
		h->n_dashes = 0;
	} else {
		/* "a < b", "<3" */
		h->state = TEXT;
		emit(h, '<');
		if (h->is_end_tag)
			emit(h, '/');
		in_text(h, code);
	}
}

static void
in_rest(struct html *h, uint32_t code)
{
	if (h->quote != '\0') {
		if (code == (uint32_t)h->quote)
			h->quote = '\0';
	} else if (code == '"' || code == '\'') {
		h->quote = (char)code;
	} else if (code == '>') {
		end_tag(h);
	}
}

static void
in_name(struct html *h, uint32_t code)
{
	/* A name that is cut is none that matters. */
	if (code < 0x80 && (ascii_is_alnum((char)code) || code == ':')) {
		(void)add_to_word(h, ascii_lower((char)code));
		return;
	}
	if (h->skip != NULL && strcmp(h->word, h->skip) != 0) {
		/* "a</b" in a script divides */
		h->state = TEXT;
		in_text(h, code);
		return;
	}
	h->state = REST;
	h->quote = '\0';
	in_rest(h, code);
}

static void
in_decl(struct html *h, uint32_t code)
{
	if (code == '-' && h->n_dashes < 2) {
		if (++h->n_dashes == 2) {
			/* "<!-->" ends at once. */
			h->state = COMMENT;
		}
	} else if (code == '>') {
		h->state = TEXT;
	} else {
		h->n_dashes = 2; /* <!DOCTYPE ...> */
	}
}

static void
in_comment(struct html *h, uint32_t code)
{
	if (code == '-') {
		h->n_dashes = 2 - (h->n_dashes == 0);
	} else {
		if (code == '>' && h->n_dashes == 2)
			h->state = TEXT;
		h->n_dashes = 0;
	}
}

/* ---- references ------------------------------------------------------------ */

/* "#65", "#x41"; 0: it is none. */
static uint32_t
number_of(const char *word)
{
	bool is_hex = word[1] == 'x' || word[1] == 'X';
	const char *p = word + (is_hex ? 2 : 1);
	uint32_t v = 0;

	if (*p == '\0')
		return 0;
	for (; *p != '\0' && v < 0x110000; p++) {
		if (ascii_is_digit(*p))
			v = v * (is_hex ? 16 : 10) + (uint32_t)(*p - '0');
		else if (is_hex && ascii_lower(*p) >= 'a' &&
		    ascii_lower(*p) <= 'f')
			v = v * 16 + (uint32_t)(ascii_lower(*p) - 'a') + 10;
		else
			return 0;
	}
	return v >= 0x110000 || (v >= 0xd800 && v < 0xe000) ? 0xfffd : v;
}

static uint32_t
code_of(const char *word)
{
	size_t i;

	if (word[0] == '#')
		return number_of(word);
	for (i = 0; i < ARRAY_LEN(refs); i++)
		if (strcmp(word, refs[i].name) == 0)
			return refs[i].code;
	return 0;
}

/* Nobody knows it: it stands there as it was written. */
static void
end_ref(struct html *h)
{
	uint32_t code = code_of(h->word);
	size_t i;

	h->state = TEXT;
	if (code != 0) {
		emit(h, code);
		return;
	}
	emit(h, '&');
	for (i = 0; i < h->n_word; i++)
		emit(h, (uint32_t)h->word[i]);
}

static void
in_ref(struct html *h, uint32_t code)
{
	bool is_known;

	if (code < 0x80 && (ascii_is_alnum((char)code) || code == '#') &&
	    add_to_word(h, (char)code))
		return;
	is_known = code_of(h->word) != 0;
	end_ref(h);
	if (code != ';' || !is_known)
		in_text(h, code);
}

/* ---- text ------------------------------------------------------------------ */

static void
in_text(struct html *h, uint32_t code)
{
	if (code == '<') {
		h->state = OPEN;
		h->is_end_tag = false;
		start_word(h);
	} else if (code == '&') {
		h->state = REF;
		start_word(h);
	} else {
		emit(h, code);
	}
}

void
html_feed(struct html *h, uint32_t code)
{
	static void (*const in[])(struct html *, uint32_t) = {
	    [TEXT] = in_text,
	    [OPEN] = in_open,
	    [NAME] = in_name,
	    [REST] = in_rest,
	    [DECL] = in_decl,
	    [COMMENT] = in_comment,
	    [REF] = in_ref,
	};

	in[h->state](h, code);
}

void
html_finish(struct html *h)
{
	if (h->state == REF)
		end_ref(h);
	else if (h->state == OPEN)
		emit(h, '<');
	h->state = TEXT;
}
