/* SPDX-License-Identifier: ISC */
/*
 * pop3_text.h - what POP3 says to people, in the languages of its LANG command
 * (RFC 6856 section 3): login workers and pop3d say the same.
 *
 * The English text is the name of a text; what has no translation stays
 * English. Translations have the same conversions in the same order.
 */
#ifndef TEXT_POP3_TEXT_H
#define TEXT_POP3_TEXT_H

#include "base/str.h"

enum pop3_lang {
	POP3_LANG_EN, /* before LANG, and in ASCII alone */
	POP3_LANG_DE,
	POP3_LANG_ES,
	POP3_LANG_FR,
	POP3_LANGS,
};

/* "de", and "Deutsch" in UTF-8. */
const char *pop3_lang_tag(enum pop3_lang lang);
const char *pop3_lang_name(enum pop3_lang lang);
/*
 * The language that a basic language range asks for (RFC 4647): by its lookup,
 * so de-AT finds de where there is nothing nearer. "*" is `preferred`. False:
 * none.
 */
bool pop3_lang_find(
    struct str range, enum pop3_lang preferred, enum pop3_lang *out);

/* `english` in `lang`; for both the compiler checks the arguments. */
const char *pop3_text(enum pop3_lang lang, const char *english)
    __attribute__((format_arg(2)));
/* Bytes of the response code and the blank in front of a text, "[AUTH] ". */
size_t pop3_text_code(const char *text);
/* Of `english` what stands behind its response code of *code bytes, likewise. */
const char *pop3_text_after(enum pop3_lang lang, const char *english,
    size_t *code) __attribute__((format_arg(2)));

/* Text number `i` in English; NULL: there are no more. For tests. */
const char *pop3_text_at(size_t i);

#endif
