/* SPDX-License-Identifier: ISC */
/*
 * downgrade.c - a header in UTF-8 for clients that know only ASCII.
 *
 * Owns:    nothing.
 * Runs in: pop3d sessions.
 * Trusts:  nothing in the header.
 * Spec:    RFC 6858 section 2; RFC 2047, RFC 2231 for what can be encoded.
 */
#include "mime/downgrade.h"

#include "mime/addr822.h"
#include "mime/header.h"
#include "text/ascii.h"
#include "text/base64.h"
#include "text/utf8.h"

/* RFC 2047 section 2: 75 characters; 45 bytes are 60 in base64. */
#define WORD_BYTES 45

static bool
is_ascii(struct str s)
{
	return utf8_ascii_length(s) == s.n;
}

/* In UTF-8, and more than ASCII. */
static bool
is_native(struct str s)
{
	return !is_ascii(s) && utf8_is_valid(s);
}

bool
downgrade_is_needed(struct str block)
{
	struct header_iter it;
	struct header_field f;

	if (is_ascii(block))
		return false;
	header_iter_init(&it, block);
	while (header_iter_next_any(&it, &f)) {
		if (is_native(f.raw))
			return true;
	}
	return false;
}

static bool
has_none(struct str s, const char *chars)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\0' || strchr(chars, s.p[i]) != NULL)
			return false;
	}
	return true;
}

/* As encoded words, one a line; what is no UTF-8 is replaced. */
static void
add_words(struct buf *out, struct str bytes)
{
	const char *gap = "";
	struct buf clean;
	struct str text;

	buf_init(&clean, SIZE_MAX / 4);
	(void)utf8_add_clean(&clean, bytes);
	text = buf_str(&clean);
	while (text.n > 0) {
		struct str head = utf8_head(text, WORD_BYTES);

		buf_addf(out, "%s=?utf-8?B?", gap);
		(void)base64_encode(out, head);
		buf_add_c(out, "?=");
		text = str_skip(text, head.n);
		gap = "\n ";
	}
	buf_done(&clean);
}

/* A name in front of an address. */
static void
add_phrase(struct arena *a, struct buf *out, struct str name)
{
	if (!is_ascii(name)) {
		add_words(out, header_decode(a, name));
		return;
	}
	/* Encoded words must not be in quotes. */
	if (!has_none(name, "\"\\()<>[]:;@,.")) {
		buf_add_byte(out, '"');
		for (size_t i = 0; i < name.n; i++) {
			if (name.p[i] == '"' || name.p[i] == '\\')
				buf_add_byte(out, '\\');
			buf_add_byte(out, name.p[i]);
		}
		buf_add_byte(out, '"');
		return;
	}
	buf_add_str(out, name);
}

/* An address that nobody can have, with a name that says whose it was. */
static void
add_invalid(struct arena *a, struct buf *out, const struct mime_addr *addr)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 4);
	if (addr->name.n > 0) {
		buf_add_str(&b, header_decode(a, addr->name));
		buf_add_byte(&b, ' ');
	}
	buf_add_str(&b, addr->mailbox);
	buf_add_byte(&b, '@');
	buf_add_str(&b, addr->host);
	add_words(out, buf_str(&b));
	buf_add_c(out, "\n <invalid@internationalized-address.invalid>");
	buf_done(&b);
}

static void
add_address(struct arena *a, struct buf *out, const struct mime_addr *addr)
{
	if (!is_ascii(addr->mailbox) || !is_ascii(addr->host)) {
		add_invalid(a, out, addr);
		return;
	}
	if (addr->name.n > 0) {
		add_phrase(a, out, addr->name);
		buf_add_c(out, "\n ");
	}
	buf_add_byte(out, '<');
	/* A local part that was in quotes has lost them. */
	if (has_none(addr->mailbox, " \"\\()<>[]:;@,"))
		buf_add_str(out, addr->mailbox);
	else
		add_phrase(a, out, addr->mailbox);
	if (addr->host.n > 0)
		buf_addf(out, "@%.*s", STR_ARG(addr->host));
	buf_add_byte(out, '>');
}

static void
add_addresses(struct arena *a, struct buf *out, const struct header_field *f)
{
	uint32_t max = mime_limits_default.addresses;
	struct mime_addr *first = NULL;
	const char *gap = " ";

	(void)addr822_parse(a, header_unfold(a, f->value), &max, &first);
	buf_addf(out, "%.*s:", STR_ARG(f->name));
	for (const struct mime_addr *x = first; x != NULL; x = x->next) {
		if (x->host.p == NULL && x->mailbox.p == NULL) {
			buf_add_byte(out, ';');
			gap = ",\n ";
			continue;
		}
		buf_add_c(out, gap);
		gap = ",\n ";
		if (x->host.p == NULL) {
			add_phrase(a, out, x->mailbox);
			buf_add_byte(out, ':');
			gap = "\n ";
		} else {
			add_address(a, out, x);
		}
	}
	buf_add_byte(out, '\n');
}

static void
add_text(struct arena *a, struct buf *out, const struct header_field *f)
{
	buf_addf(out, "%.*s: ", STR_ARG(f->name));
	add_words(out, header_decode(a, f->value));
	buf_add_byte(out, '\n');
}

/* ---- parameters ----------------------------------------------------------- */

/* The end of the parameter that begins `s`: its ";", outside of quotes. */
static size_t
param_end(struct str s)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == ';' && !quoted)
			return i;
	}
	return s.n;
}

static void
add_percent(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		if (ascii_is_alnum(value.p[i]) || value.p[i] == '.' ||
		    value.p[i] == '-' || value.p[i] == '_')
			buf_add_byte(out, value.p[i]);
		else
			buf_addf(out, "%%%02X", (unsigned char)value.p[i]);
	}
}

/* name=value in UTF-8 as name*=utf-8''value (RFC 2231 section 4). */
static void
add_param(struct arena *a, struct buf *out, struct str param)
{
	struct str name, value = param;
	char *plain;
	size_t n = 0;

	if (!str_cut(&value, '=', &name))
		return;
	name = str_trim(name);
	value = str_trim(value);
	/* A name that has its "*" has its value encoded: this one is broken. */
	if (!is_ascii(name) || str_find(name, '*') < name.n)
		return;
	if (value.n > 0 && value.p[0] == '"') {
		value = str_skip(value, 1);
		if (str_ends(value, STR("\"")))
			value.n--;
	}
	plain = arena_new(a, value.n + 1, 1);
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '\\' && i + 1 < value.n)
			i++;
		plain[n++] = value.p[i];
	}
	buf_addf(out, ";\n %.*s*=utf-8''", STR_ARG(name));
	add_percent(out, str_make(plain, n));
}

static void
add_params(struct arena *a, struct buf *out, const struct header_field *f)
{
	struct str rest = header_unfold(a, f->value), one;

	for (bool first = true; first || rest.n > 0; first = false) {
		size_t end = param_end(rest);

		one = str_head(rest, end);
		rest = str_skip(rest, end + 1);
		if (first && !is_ascii(one))
			return; /* not even the type can be told */
		if (first)
			buf_addf(out, "%.*s: %.*s", STR_ARG(f->name),
			    STR_ARG(str_trim(one)));
		else if (is_ascii(one))
			buf_addf(out, ";\n %.*s", STR_ARG(str_trim(one)));
		else
			add_param(a, out, one);
	}
	buf_add_byte(out, '\n');
}

/* ---- a header -------------------------------------------------------------- */

static const struct {
	struct str name;
	void (*add)(
	    struct arena *a, struct buf *out, const struct header_field *f);
} fields[] = {
    {STR_LIT("Subject"), add_text},
    {STR_LIT("Comments"), add_text},
    {STR_LIT("Content-Description"), add_text},
    {STR_LIT("Content-Type"), add_params},
    {STR_LIT("Content-Disposition"), add_params},
    {STR_LIT("From"), add_addresses},
    {STR_LIT("To"), add_addresses},
    {STR_LIT("Cc"), add_addresses},
    {STR_LIT("Bcc"), add_addresses},
    {STR_LIT("Sender"), add_addresses},
    {STR_LIT("Reply-To"), add_addresses},
    {STR_LIT("Return-Path"), add_addresses},
    {STR_LIT("Resent-From"), add_addresses},
    {STR_LIT("Resent-To"), add_addresses},
    {STR_LIT("Resent-Cc"), add_addresses},
    {STR_LIT("Resent-Bcc"), add_addresses},
    {STR_LIT("Resent-Sender"), add_addresses},
};

static void
add_field(struct arena *a, struct buf *out, const struct header_field *f)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (str_eq_nocase(f->name, fields[i].name)) {
			fields[i].add(a, out, f);
			return;
		}
	}
}

void
downgrade_header(struct arena *a, struct str block, struct buf *out)
{
	struct header_iter it;
	struct header_field f;

	header_iter_init(&it, block);
	while (header_iter_next_any(&it, &f)) {
		struct arena_mark mark = arena_mark(a);

		if (is_native(f.raw))
			add_field(a, out, &f);
		else
			buf_add_str(out, f.raw);
		arena_rewind(a, mark);
	}
	if (it.has_blank)
		buf_add_byte(out, '\n');
}
