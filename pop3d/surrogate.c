/* SPDX-License-Identifier: ISC */
/*
 * surrogate.c - messages in UTF-8 for clients that have not said UTF8: their
 * headers, and those of their parts, are sent as ASCII.
 *
 * Owns:    the patches of struct sending.
 * Runs in: pop3d, as the mail user.
 * Trusts:  nothing in a message.
 * Spec:    RFC 6856 section 2.1, RFC 6858 (sizes are those of the message as it
 *          is).
 *
 * Bodies of 8 bits are no matter of it. Few messages have headers that are not
 * ASCII, so most cost a look at the header; only one with parts, and with bytes
 * beyond ASCII somewhere, is parsed.
 */
#include "base/bounds.h"
#include "mime/downgrade.h"
#include "mime/header.h"
#include "pop3d/session.h"
#include "text/utf8.h"

#define LOOK_BYTES ((size_t)32 * 1024)
#define HEADERS_MAX 1000

static bool
has_parts(struct str header)
{
	struct header_field f;
	struct str value;

	if (!header_find(header, STR("Content-Type"), &f))
		return false;
	value = str_trim(f.value);
	return str_starts_nocase(value, STR("multipart/")) ||
	    str_starts_nocase(value, STR("message/"));
}

static void
add_patch(struct sending *o, uint64_t off, struct str header)
{
	struct buf b;

	if (o->n_patches == HEADERS_MAX || !downgrade_is_needed(header))
		return;
	if (o->patches == NULL)
		o->patches =
		    arena_new(&o->arena, HEADERS_MAX, sizeof(*o->patches));
	/* A byte becomes three at most, and fields get line ends. */
	buf_init(&b, header.n * 8 + 4096);
	downgrade_header(&o->arena, header, &b);
	o->patches[o->n_patches++] = (struct patch){.off = off,
	    .len = header.n,
	    .text = arena_str(&o->arena, buf_str(&b))};
	buf_done(&b);
}

/* Is any byte of it beyond ASCII? */
static enum step
look_at_bytes(struct session *s, struct err *e)
{
	struct sending *o = &s->out;
	size_t got;

	while (!o->is_native) {
		if (msg_read(
			o->msg, o->looked, o->piece, LOOK_BYTES, &got, e) == -1)
			return STEP_FAIL;
		if (got == 0)
			break;
		o->looked += got;
		o->is_native = utf8_ascii_length(str_make(o->piece, got)) < got;
		if (session_must_yield(s))
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* The headers below `part`, in the order in which they lie in the message. */
static int
patch_parts(struct sending *o, const struct part *part, struct err *e)
{
	for (const struct part *p = part->child; p != NULL; p = p->next) {
		size_t got,
		    n = p->header_len < MIME_HEADER_BLOCK_MAX
		    ? (size_t)p->header_len
		    : MIME_HEADER_BLOCK_MAX;
		char *bytes = arena_new(&o->arena, n + 1, 1);

		if (msg_read(o->msg, p->header_off, bytes, n, &got, e) == -1)
			return -1;
		if (got > 0 && got == n)
			add_patch(o, p->header_off, str_make(bytes, n));
		if (patch_parts(o, p, e) == -1)
			return -1;
	}
	return 0;
}

enum step
surrogate_look(struct session *s, struct err *e)
{
	struct sending *o = &s->out;
	struct part *root;
	struct str header;
	enum step step;

	if (!o->looks_for_parts) {
		if (msg_header(o->msg, &header, e) == -1)
			return STEP_FAIL;
		add_patch(o, 0, header);
		if (!has_parts(header) || (o->is_top && o->lines_left == 0))
			return STEP_DONE;
		o->looks_for_parts = true;
		o->looked = header.n;
	}
	step = look_at_bytes(s, e);
	if (step != STEP_DONE || !o->is_native)
		return step;
	step = msg_parts_step(o->msg, e);
	if (step != STEP_DONE)
		return step;
	if (msg_parts(o->msg, &root, e) == -1 || patch_parts(o, root, e) == -1)
		return STEP_FAIL;
	return STEP_DONE;
}
