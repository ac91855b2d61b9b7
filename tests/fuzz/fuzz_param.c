/* SPDX-License-Identifier: ISC */
/*
 * fuzz_param.c - parameters: values come from the text, names are there.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "mime/param.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mime_param *list, *p;
	uint32_t max = 30, left = max, n = 0;
	struct str value, text;
	struct arena a;
	size_t bytes;

	arena_init(&a);
	param_parse(&a, str_make(data, size), &left, &value, &list);
	bytes = value.n;
	for (p = list; p != NULL; p = p->next, n++) {
		ASSERT(p->name.p != NULL);
		bytes += p->value.n;
	}
	ASSERT(n <= max - left);
	/* The percent form is three times as long. */
	ASSERT(bytes <= size * 3 + 2 * max);
	if (param_decode(&a, list, "filename", &text))
		ASSERT(utf8_is_valid(text));
	arena_done(&a);
	return 0;
}
