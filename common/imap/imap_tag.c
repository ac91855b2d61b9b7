/* SPDX-License-Identifier: ISC */
/*
 * imap_tag.c - tags, and tables of command names.
 *
 * Owns:    nothing.
 * Runs in: login workers and imapd.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 9: tag; section 2.2.1: commands in any case.
 */
#include "imap/imap_tag.h"

#include "imap/imap_char.h"

bool
imap_tag_is(struct str s)
{
	return imap_char_all(s, IMAP_CHAR_TAG);
}

const void *
imap_tag_find(const void *table, size_t n, size_t size, struct str word)
{
	const char *p = table;
	size_t low = 0, mid;
	const char *name;
	int cmp;

	while (low < n) {
		mid = low + (n - low) / 2;
		memcpy(&name, p + mid * size, sizeof(name));
		cmp = str_cmp_nocase(word, str_of(name));
		if (cmp == 0)
			return p + mid * size;
		if (cmp < 0)
			n = mid;
		else
			low = mid + 1;
	}
	return NULL;
}
