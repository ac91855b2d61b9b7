/* SPDX-License-Identifier: ISC */
/*
 * fuzz_preview.c - the first words of any text: the same for every cut, short,
 * and fit to be shown.
 *
 * Input: a byte for plain text or HTML and the size of the pieces, the text.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "mime/preview.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str
preview_of(struct arena *a, const struct part *p, struct str body, size_t n)
{
	struct preview *pv = preview_new(p);

	while (body.n > 0 && preview_feed(pv, str_head(body, n)))
		body = str_skip(body, n);
	return preview_finish(&pv, a);
}

static void
check(struct str text)
{
	uint32_t code, last = ' ';
	unsigned chars = 0;
	size_t n;

	for (; text.n > 0; text = str_skip(text, n)) {
		n = utf8_decode(text, &code);
		ASSERT(n > 0);
		ASSERT(code >= ' ' && !(code >= 0x7f && code < 0xa0));
		ASSERT(code != ' ' || last != ' ');
		last = code;
		chars++;
	}
	ASSERT(chars <= PREVIEW_CHARS_MAX);
	ASSERT(chars == 0 || last != ' ');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mime_param utf8 = {
	    .name = STR("charset"), .value = STR("utf-8")};
	struct part p = {
	    .type = STR("text"), .encoding = STR("8bit"), .params = &utf8};
	struct str body, whole;
	struct arena a;

	if (size < 1)
		return 0;
	p.subtype = data[0] % 2 == 0 ? STR("plain") : STR("html");
	if (data[0] % 4 >= 2)
		p.encoding = STR("quoted-printable");
	body = str_make(data + 1, size - 1);
	arena_init(&a);
	whole = preview_of(&a, &p, body, size);
	check(whole);
	ASSERT(str_eq(whole, preview_of(&a, &p, body, 1 + data[0] / 4)));
	arena_done(&a);
	return 0;
}
