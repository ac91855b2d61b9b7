/* SPDX-License-Identifier: ISC */
/*
 * html.h - the words of an HTML text, character by character: tags become
 * nothing or a blank, references become what they stand for, and what no one
 * reads (styles, scripts, comments, the title) is left out. It is no parser: it
 * guesses as little as it can and takes any characters.
 */
#ifndef MIME_HTML_H
#define MIME_HTML_H

#include "base/base.h"

#define HTML_WORD_MAX 12 /* of a tag's or a reference's name; more is cut */

struct html {
	/* Gets each character; a tag that parts words comes as a blank. */
	void (*emit)(void *arg, uint32_t code);
	void *arg;

	/* The rest is private. */
	uint8_t state;
	char quote; /* around an attribute's value, or 0 */
	bool is_end_tag;
	uint8_t n_dashes; /* of a comment's start or end */
	uint8_t n_word;
	char word[HTML_WORD_MAX + 1];
	const char *skip; /* the element whose text is left out */
};

/* `emit` gets each character of the text, with `arg`. */
void html_init(
    struct html *h, void (*emit)(void *arg, uint32_t code), void *arg);
/* The next character of the source, as a code point. */
void html_feed(struct html *h, uint32_t code);
/* The text ends: what looked like a tag or a reference was none. */
void html_finish(struct html *h);

#endif
