/* SPDX-License-Identifier: ISC */
/*
 * fuzz_maildir_name.c - any bytes as the name of a message file: what means
 * nothing to us survives a change of flags.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/maildir/maildir_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
change(const struct maildir_name *old, uint8_t system, uint32_t keywords)
{
	struct maildir_name new;
	struct buf b;
	bool kept = (old->system & 0x80) == 0;

	buf_init(&b, 1 << 16);
	(void)buf_add_str(&b, old->base);
	if (!maildir_name_change(&b, old->info, system, keywords) ||
	    !maildir_name_parse(buf_str(&b), &new) || !kept)
		abort();
	if (!str_eq(new.base, old->base) || new.system != system ||
	    new.keywords != keywords)
		abort();
	buf_done(&b);
}

/* A byte at a time. */
static bool
is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] == '/')
			return false;
	return s.n > 0 && s.p[0] != '.';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size < 255 ? size : 255);
	struct maildir_name name, plain;
	struct maildir_time t;
	char info[MAILDIR_INFO_MAX];
	uint64_t n;

	if (maildir_name_parse(in, &name) != is_name(in))
		abort();
	if (!is_name(in))
		return 0;
	if (name.base.n + name.info.n != in.n)
		abort();
	(void)maildir_name_size(name.base, 'S', &n);
	(void)maildir_name_size(name.base, 'W', &n);
	t = maildir_name_time(name.base);
	if (maildir_name_cmp(name.base, &t, name.base, &t) != 0)
		abort();
	if (name.is_plain) {
		n = maildir_name_info(info, name.system, name.keywords);
		if (!str_eq(str_make(info, n), name.info) ||
		    !maildir_name_parse(in, &plain))
			abort();
	}
	if (name.base.n > 0) {
		change(&name, name.system, name.keywords);
		change(&name, 0, 0);
		change(&name, 0x5f, 0x3ffffff);
	}
	return 0;
}
