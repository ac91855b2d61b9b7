/* SPDX-License-Identifier: ISC */
/*
 * fuzz_location.c - any bytes as mail_location: paths are absolute, and the
 * user's name never leaves its place in them.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing. The input is the user's name, LF, the setting.
 */
#include <stdlib.h>

#include "store/location.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data, size), user;
	struct store_settings set = {.home = "/home/u"};
	struct location loc;
	struct arena a;
	struct err e;
	char name[300];

	(void)str_cut(&text, '\n', &user);
	if (!str_to_c(user, name, sizeof(name)))
		return 0;
	set.user = name;
	arena_init(&a);
	if (location_parse(&a, &set, text, &loc, &e) == 0)
		if (loc.root.n == 0 || loc.root.p[0] != '/' ||
		    (loc.inbox.n > 0 && loc.inbox.p[0] != '/') ||
		    (loc.control.n > 0 && loc.control.p[0] != '/'))
			abort();
	arena_done(&a);
	return 0;
}
