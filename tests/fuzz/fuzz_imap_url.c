/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imap_url.c - any bytes as an URL: what is accepted keeps the promises
 * of its struct.
 */
#include <stdint.h>
#include <stdlib.h>

#include "imap/imap_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct str s, size_t size)
{
	if (s.n > size || (s.n > 0 && str_find(s, '\0') < s.n))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_url u;
	struct arena a;

	arena_init(&a);
	if (imap_url_parse(&a, str_make(data, size), &u)) {
		check(u.user, size);
		check(u.auth, size);
		check(u.host, size);
		check(u.mailbox, size);
		check(u.section, size);
		if (u.uid == 0 || u.mailbox.n == 0 || u.port > UINT16_MAX ||
		    u.has_server != (u.host.n > 0) || u.count == 0 ||
		    (!u.has_partial && u.count != UINT64_MAX))
			abort();
	}
	arena_done(&a);
	return 0;
}
