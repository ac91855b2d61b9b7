/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imap_arg.c - typed access to whatever tree the lexer builds.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "imap/imap_char.h"
#include "imap/imap_lex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct imap_lex_limits limits = {
    .line_bytes = 4096, .nesting = 32, .args = 1000, .literal_bytes = 4096};

/* A match steps by one, a mismatch not at all. */
#define TRY(call)                                                              \
	do {                                                                   \
		const struct imap_arg *p = a;                                  \
		bool ok = call;                                                \
		if (p != a + (ok ? 1 : 0))                                     \
			abort();                                               \
	} while (0)

static void
walk(const struct imap_arg *a, unsigned depth)
{
	const struct imap_arg *list;
	struct str s;
	uint32_t u;
	uint64_t v;

	if (depth > limits.nesting)
		abort();
	for (; !imap_arg_end(a); a++) {
		TRY(imap_arg_atom(&p, &s));
		TRY(imap_arg_string(&p, &s));
		TRY(imap_arg_astring(&p, &s));
		TRY(imap_arg_nstring(&p, &s));
		TRY(imap_arg_list_mailbox(&p, &s));
		TRY(imap_arg_u32(&p, 0, &u));
		TRY(imap_arg_u32(&p, 1, &u));
		TRY(imap_arg_u64(&p, &v));
		TRY(imap_arg_word(&p, "FLAGS"));
		TRY(imap_arg_list(&p, &list));
		if (a->type == IMAP_ARG_LIST)
			walk(a->list, depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	enum imap_lex_event ev;
	struct imap_lex l;
	struct arena a;
	size_t used;

	arena_init(&a);
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, &a);
	l.sections = true;
	for (; in.n > 0; in = str_skip(in, used)) {
		ev = imap_lex_feed(&l, in, &used);
		if (ev == IMAP_LEX_NAME)
			l.sections = true;
		if (ev == IMAP_LEX_DONE)
			walk(l.args, 0);
		if (ev != IMAP_LEX_DONE && ev != IMAP_LEX_BAD)
			continue;
		arena_reset(&a);
		imap_lex_begin(&l, &limits, &a);
	}
	imap_lex_done(&l);
	arena_done(&a);
	return 0;
}
