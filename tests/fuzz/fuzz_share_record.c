/* SPDX-License-Identifier: ISC */
/*
 * fuzz_share_record.c - any bytes as a line of the list of shares.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "ipc/share_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct share_record r, again;
	struct str root;
	struct buf b;

	if (!share_record_parse(str_make((const char *)data, size), &r))
		return 0;
	root = share_record_root(&r);
	if (root.n < 2 || root.p[0] != '/' ||
	    str_find_str(r.folder, STR("/../")) < r.folder.n ||
	    str_ends(r.folder, STR("/..")) ||
	    str_find_str(root, STR("/../")) < root.n ||
	    !str_starts(r.folder, root) || str_find(root, ':') < root.n ||
	    str_find(r.owner, '/') < r.owner.n || (r.gives && r.kind == '*'))
		abort();
	/* Written and read it is the same. */
	buf_init(&b, 65536);
	share_record_write(&b, &r);
	if (b.n == 0 || b.p[b.n - 1] != '\n' ||
	    !share_record_parse(str_head(buf_str(&b), b.n - 1), &again) ||
	    !str_eq(again.folder, r.folder) ||
	    !str_eq(again.location, r.location) ||
	    !str_eq(again.owner, r.owner) || again.number != r.number ||
	    again.owner_uid != r.owner_uid || again.kind != r.kind ||
	    again.gives != r.gives)
		abort();
	buf_done(&b);
	return 0;
}
