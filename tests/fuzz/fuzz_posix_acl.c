/* SPDX-License-Identifier: ISC */
/*
 * fuzz_posix_acl.c - any bytes as an access list, then changes to it.
 *
 * Checked: what is read is written in a form that reads as the same; a list that
 * has been changed can be read again.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "os/posix_acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct posix_acl *l)
{
	struct posix_acl again;
	struct buf b;

	buf_init(&b, 1 << 16);
	posix_acl_write(l, &b);
	if (!posix_acl_parse(&again, buf_str(&b)) || again.n != l->n ||
	    again.owner != l->owner || again.group != l->group ||
	    again.other != l->other || again.has_mask != l->has_mask)
		abort();
	for (size_t i = 0; i < l->n; i++)
		if (posix_acl_of(l, l->v[i].kind, l->v[i].number) !=
		    posix_acl_of(&again, l->v[i].kind, l->v[i].number))
			abort();
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool full = false;
	struct posix_acl l;

	if (!posix_acl_parse(&l, str_make(data, size)))
		return 0;
	check(&l);
	for (size_t i = 0; i + 1 < size && !full; i += 2) {
		enum posix_acl_kind kind = data[i] % 3;
		int perm = data[i + 1] % 9 - 1;

		(void)posix_acl_set(&l, kind, data[i] / 3, perm, &full);
		if (!full &&
		    posix_acl_of(&l, kind, data[i] / 3) !=
			(kind == POSIX_ACL_OTHER && perm < 0 ? 0 : perm))
			abort();
		check(&l);
	}
	return 0;
}
