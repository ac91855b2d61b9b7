/* SPDX-License-Identifier: ISC */
/*
 * fetch_section.c - BODY[...] to a range of the message or to bytes.
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  the ranges in the tree to lie inside the message as it was parsed.
 * Spec:    RFC 3501 section 6.4.5; a part number after a message/rfc822 part
 *          counts the parts of the message inside.
 */
#include "imapd/fetch_section.h"

#include <stdlib.h>

#include "base/bounds.h"
#include "imapd/fetch_stream.h"
#include "mime/header.h"

const struct part *
fetch_section_part(const struct part *root, const uint32_t *numbers, size_t n)
{
	const struct part *p = root;
	size_t i;
	uint32_t k;

	for (i = 0; i < n; i++) {
		bool whole_message = i == 0;

		if (i > 0 && p->is_message && p->child != NULL) {
			p = p->child;
			whole_message = true;
		}
		if (p->is_multipart) {
			p = p->child;
			for (k = 1; p != NULL && k < numbers[i]; k++)
				p = p->next;
		} else if (!whole_message || numbers[i] != 1) {
			return NULL;
		}
		if (p == NULL)
			return NULL;
	}
	return p;
}

/* ---- HEADER.FIELDS --------------------------------------------------------- */

static int
compare_names(const void *a, const void *b)
{
	return str_cmp_nocase(*(const struct str *)a, *(const struct str *)b);
}

/* The plan has sorted the names: thousands may be asked for. */
static bool
is_wanted(const struct fetch_section *sec, struct str name)
{
	bool is_named = name.n > 0 &&
	    bsearch(&name, sec->fields, sec->n_fields, sizeof(name),
		compare_names) != NULL;

	return is_named == (sec->text == SECTION_FIELDS);
}

static struct str
cut_partial(const struct fetch_section *sec, struct str s)
{
	return sec->partial ? str_head(str_skip(s, sec->start), sec->count) : s;
}

/* The wanted fields and the blank line. */
struct str
fetch_section_filter(
    const struct fetch_section *sec, struct str block, struct arena *a)
{
	struct header_iter it;
	struct header_field f;
	struct buf b;
	struct str out;

	buf_init(&b, SIZE_MAX / 2);
	header_iter_init(&it, block);
	while (header_iter_next_any(&it, &f)) {
		bool after_cr = false;

		/* A line that is no field has no name. */
		if (!is_wanted(sec, f.name))
			continue;
		wire_convert(&b, f.raw, &after_cr);
		if (b.n > 0 && b.p[b.n - 1] != '\n')
			buf_add_c(&b, "\r\n");
	}
	/* Without a blank line there is none to include. */
	if (it.has_blank)
		buf_add_c(&b, "\r\n");
	out = arena_str(a, cut_partial(sec, buf_str(&b)));
	buf_done(&b);
	return out;
}

/* A header block inside the message, up to the limit that all views share. */
static int
read_block(struct msg *m, uint64_t off, uint64_t len, struct arena *a,
    struct str *out, struct err *e)
{
	size_t n =
	    len < MIME_HEADER_BLOCK_MAX ? (size_t)len : MIME_HEADER_BLOCK_MAX;
	char *p = arena_new(a, n + 1, 1);
	size_t done = 0, got;

	while (done < n) {
		if (msg_read(m, off + done, p + done, n - done, &got, e) == -1)
			return -1;
		if (got == 0)
			break;
		done += got;
	}
	*out = str_make(p, done);
	return 0;
}

/* ---- ranges ---------------------------------------------------------------- */

static int
set_range(struct section_value *v, uint64_t off, uint64_t len)
{
	*v = (struct section_value){
	    .kind = SECTION_RANGE, .off = off, .len = len};
	return 0;
}

static int
set_nil(struct section_value *v)
{
	*v = (struct section_value){.kind = SECTION_NIL};
	return 0;
}

static int
set_bytes(struct section_value *v, struct str bytes)
{
	*v = (struct section_value){.kind = SECTION_BYTES, .bytes = bytes};
	return 0;
}

/* Where the message's text begins. A header past the limit is not cut here. */
static int
find_text(struct msg *m, struct str header, uint64_t *out, struct err *e)
{
	struct part *root;

	*out = header.n;
	if (!msg_header_is_cut(m))
		return 0;
	if (msg_parts(m, &root, e) == -1)
		return -1;
	*out = root->body_off;
	return 0;
}

/* BODY[], BODY[HEADER] and so on: as a rule no tree is needed. */
static int
find_in_message(struct msg *m, const struct fetch_section *sec, struct arena *a,
    struct section_value *out, struct err *e)
{
	struct str header = {0};
	uint64_t size, text;

	if (msg_size(m, &size, e) == -1)
		return -1;
	if (sec->text == SECTION_WHOLE)
		return set_range(out, 0, size);
	if (msg_header(m, &header, e) == -1)
		return -1;
	if (sec->text != SECTION_HEADER && sec->text != SECTION_TEXT)
		return set_bytes(out, fetch_section_filter(sec, header, a));
	if (find_text(m, header, &text, e) == -1)
		return -1;
	if (sec->text == SECTION_HEADER)
		return set_range(out, 0, text);
	return set_range(out, text, size > text ? size - text : 0);
}

/* HEADER, HEADER.FIELDS, TEXT of a message/rfc822 part. */
static int
find_in_inner(struct msg *m, const struct part *p,
    const struct fetch_section *sec, struct arena *a, struct section_value *out,
    struct err *e)
{
	const struct part *inner = p->is_message ? p->child : NULL;
	struct str block;

	if (inner == NULL)
		return set_nil(out);
	if (sec->text == SECTION_HEADER)
		return set_range(out, inner->header_off, inner->header_len);
	if (sec->text == SECTION_TEXT)
		return set_range(out, inner->body_off, inner->body_len);
	if (read_block(m, inner->header_off, inner->header_len, a, &block, e) ==
	    -1)
		return -1;
	return set_bytes(out, fetch_section_filter(sec, block, a));
}

int
fetch_section_find(struct msg *m, const struct fetch_section *sec,
    struct arena *a, struct section_value *out, struct err *e)
{
	const struct part *p;
	struct part *root;

	if (sec->n_numbers == 0)
		return find_in_message(m, sec, a, out, e);
	if (msg_parts(m, &root, e) == -1)
		return -1;
	p = fetch_section_part(root, sec->numbers, sec->n_numbers);
	if (p == NULL)
		return set_nil(out);
	if (sec->text == SECTION_WHOLE)
		return set_range(out, p->body_off, p->body_len);
	if (sec->text == SECTION_MIME)
		return set_range(out, p->header_off, p->header_len);
	return find_in_inner(m, p, sec, a, out, e);
}
