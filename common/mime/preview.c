/* SPDX-License-Identifier: ISC */
/*
 * preview.c - decoded text to the few words that tell what it is about.
 *
 * Owns:    struct preview.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the message.
 * Spec:    RFC 8970; RFC 3676 section 4.3 for the signature's line.
 *
 * A line of plain text is held back until it is known not to be "-- ".
 */
#include "mime/preview.h"

#include "base/buf.h"
#include "base/mem.h"
#include "mime/body.h"
#include "mime/html.h"
#include "text/utf8.h"

/* Stored bytes: what has not begun to speak by then has nothing to say. */
#define LOOK_MAX_BYTES (256 * 1024)

enum line {
	LINE_START, /* `n_held` characters of "-- " so far */
	LINE_TEXT,
	LINE_QUOTE, /* begins with ">" */
};

struct preview {
	struct body_decoder *body;
	bool is_html, is_done;
	struct html html;
	enum line line;
	unsigned n_held;
	uint64_t seen;
	struct buf decoded;
	char out[PREVIEW_CHARS_MAX * UTF8_CHAR_MAX];
	size_t n_out;
	unsigned n_chars;
	bool blank_due;
};

/* ---- which part ------------------------------------------------------------ */

static bool
is_type(const struct part *p, const char *type, const char *subtype)
{
	return str_eq_nocase(p->type, str_of(type)) &&
	    str_eq_nocase(p->subtype, str_of(subtype));
}

/* The depth of the tree is bounded (MIME_DEPTH_MAX). */
const struct part *
preview_part(const struct part *p)
{
	const struct part *found = NULL, *c;

	if (str_eq_nocase(p->disposition, STR("attachment")))
		return NULL;
	if (is_type(p, "text", "plain") || is_type(p, "text", "html"))
		return p;
	for (c = p->child; c != NULL; c = c->next) {
		const struct part *in_child = preview_part(c);

		if (found == NULL ||
		    (in_child != NULL && is_type(in_child, "text", "plain")))
			found = in_child;
		if (found != NULL && !is_type(p, "multipart", "alternative"))
			break;
		if (found != NULL && is_type(found, "text", "plain"))
			break;
	}
	return found;
}

/* ---- characters ------------------------------------------------------------ */

static bool
is_blank(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 ||
	    c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
	    c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Seen by nobody, and often there in plenty to push other words out. */
static bool
is_invisible(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x34f ||
	    c == 0x61c || c == 0x180e || c == 0x200b || c == 0x200e ||
	    c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	    (c >= 0xfff9 && c <= 0xfffb);
}

/* They join or part the characters around them, so they need one before. */
static bool
is_joiner(uint32_t c)
{
	return c == 0x200c || c == 0x200d;
}

static void
put(struct preview *pv, uint32_t code)
{
	pv->n_out += utf8_encode(code, pv->out + pv->n_out);
	if (++pv->n_chars == PREVIEW_CHARS_MAX)
		pv->is_done = true;
}

static void
show(void *arg, uint32_t code)
{
	struct preview *pv = arg;

	if (pv->is_done)
		return;
	if (is_blank(code)) {
		pv->blank_due = pv->n_chars > 0;
		return;
	}
	if (is_invisible(code) ||
	    (is_joiner(code) && (pv->blank_due || pv->n_chars == 0)))
		return;
	if (pv->blank_due && pv->n_chars + 2 > PREVIEW_CHARS_MAX) {
		pv->is_done = true;
		return;
	}
	if (pv->blank_due)
		put(pv, ' ');
	pv->blank_due = false;
	put(pv, code);
}

/* ---- plain text ------------------------------------------------------------ */

static const char signature[] = "-- ";

static void
show_held(struct preview *pv)
{
	for (unsigned i = 0; i < pv->n_held; i++)
		show(pv, (uint32_t)signature[i]);
	pv->n_held = 0;
}

static void
plain(struct preview *pv, uint32_t code)
{
	if (code == '\n') {
		/* Some that carry mail have taken the blank away. */
		if (pv->line == LINE_START && pv->n_held >= 2)
			pv->is_done = true;
		show_held(pv);
		show(pv, ' ');
		pv->line = LINE_START;
		return;
	}
	if (code == '\r' || pv->line == LINE_QUOTE)
		return;
	if (pv->line == LINE_START) {
		if (pv->n_held < 3 && code == (uint32_t)signature[pv->n_held]) {
			pv->n_held++;
			return;
		}
		if (pv->n_held == 0 && code == '>') {
			pv->line = LINE_QUOTE;
			return;
		}
		show_held(pv);
		pv->line = LINE_TEXT;
	}
	show(pv, code);
}

/* ---- pieces ---------------------------------------------------------------- */

static void
take(struct preview *pv)
{
	struct str s = buf_str(&pv->decoded);
	uint32_t code;
	size_t n;

	/* The decoder gives valid UTF-8 only. */
	while (!pv->is_done && (n = utf8_decode(s, &code)) > 0) {
		if (pv->is_html)
			html_feed(&pv->html, code);
		else
			plain(pv, code);
		s = str_skip(s, n);
	}
	buf_clear(&pv->decoded);
}

struct preview *
preview_new(const struct part *p)
{
	struct preview *pv = mem_new(1, sizeof(*pv));

	pv->body = body_decoder_new(p, BODY_TEXT);
	pv->is_html = str_eq_nocase(p->subtype, STR("html"));
	html_init(&pv->html, show, pv);
	buf_init(&pv->decoded, SIZE_MAX / 4);
	return pv;
}

bool
preview_feed(struct preview *pv, struct str stored)
{
	stored = str_head(stored, (size_t)(LOOK_MAX_BYTES - pv->seen));
	pv->seen += stored.n;
	if (pv->is_done)
		return false;
	(void)body_decoder_feed(pv->body, stored, &pv->decoded);
	take(pv);
	return !pv->is_done && pv->seen < LOOK_MAX_BYTES;
}

struct str
preview_finish(struct preview **at, struct arena *a)
{
	struct preview *pv = *at;
	struct str text;

	(void)body_decoder_finish(pv->body, &pv->decoded);
	take(pv);
	if (pv->is_html)
		html_finish(&pv->html);
	else if (pv->n_held == 1)
		show_held(pv);
	text = arena_str(a, str_make(pv->out, pv->n_out));
	body_decoder_free(&pv->body);
	buf_done(&pv->decoded);
	MEM_FREE(*at);
	return text;
}
