/* SPDX-License-Identifier: ISC */
/*
 * fuzz_acl.c - any bytes as a file dovecot-acl, as rights and as identifier.
 *
 * Checked: what is understood is written in a form that is understood as the
 * same, and gives the same people the same rights.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_words(struct str s)
{
	struct acl_id id, again;
	unsigned rights, same;
	struct buf b;

	buf_init(&b, 1 << 20);
	if (acl_rights_parse(s, &rights)) {
		acl_rights_write(&b, rights);
		if (rights > ACL_ALL || !acl_rights_parse(buf_str(&b), &same) ||
		    (same & rights) != rights)
			abort();
	}
	buf_clear(&b);
	if (acl_id_parse(s, &id)) {
		acl_id_write(&b, &id);
		if (!acl_id_parse(buf_str(&b), &again) ||
		    !acl_id_eq(&id, &again))
			abort();
	}
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str group = STR("staff");
	const struct acl_who bob = {STR("bob"), &group, 1};
	struct acl first, again;
	struct err e;
	struct buf b;

	try_words(str_make(data, size));
	acl_init(&first);
	acl_init(&again);
	buf_init(&b, 1 << 24);
	if (acl_parse(&first, str_make(data, size), &e) == 0) {
		acl_write(&first, &b);
		if (acl_parse(&again, buf_str(&b), &e) == -1 ||
		    again.v.n != first.v.n ||
		    acl_rights_of(&first, &bob) != acl_rights_of(&again, &bob))
			abort();
		for (size_t i = 0; i < first.v.n; i++)
			if (!acl_id_eq(&first.v.v[i].id, &again.v.v[i].id) ||
			    first.v.v[i].rights != again.v.v[i].rights ||
			    !str_eq(first.v.v[i].named, again.v.v[i].named))
				abort();
	}
	buf_done(&b);
	acl_done(&first);
	acl_done(&again);
	return 0;
}
