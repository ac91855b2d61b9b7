/* SPDX-License-Identifier: ISC */
/*
 * fuzz_addr822.c - address lists: groups end, nothing is read that is not there.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "base/assert.h"
#include "mime/addr822.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Sum of all bytes, so that the sanitizers see each one read. */
static size_t
touch(struct str s)
{
	size_t n = 0, i;

	for (i = 0; i < s.n; i++)
		n += (unsigned char)s.p[i];
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mime_addr *list = NULL, *m;
	size_t sum = 0;
	bool in_group = false;
	uint32_t max = 50, left = max, n = 0;
	struct arena a;
	size_t bytes = 0;

	arena_init(&a);
	(void)addr822_parse(&a, str_make(data, size), &left, &list);
	for (m = list; m != NULL; m = m->next, n++) {
		sum += touch(m->name) + touch(m->adl) + touch(m->mailbox) +
		    touch(m->host);
		bytes += m->name.n + m->adl.n + m->mailbox.n + m->host.n;
		if (m->host.p != NULL) {
			ASSERT(m->mailbox.p != NULL);
			continue;
		}
		/* Groups do not nest, and each one ends. */
		ASSERT(in_group == (m->mailbox.p == NULL));
		in_group = !in_group;
	}
	ASSERT(!in_group);
	ASSERT(n <= max + 1);
	ASSERT(bytes <= size && sum <= bytes * 255);
	arena_done(&a);
	return 0;
}
