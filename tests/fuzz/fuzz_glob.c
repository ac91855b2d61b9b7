/* SPDX-License-Identifier: ISC */
/*
 * fuzz_glob.c - LIST patterns against the definition.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing. The input is pattern, LF, name.
 */
#include <stdlib.h>

#include "text/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A row of which beginnings of the name the pattern so far can match. */
static bool
matches(struct str p, struct str s)
{
	bool row[65] = {true};

	for (size_t i = 0; i < p.n; i++) {
		if (p.p[i] == '*' || p.p[i] == '%') {
			for (size_t k = 0; k < s.n; k++)
				if (row[k] && (p.p[i] == '*' || s.p[k] != '.'))
					row[k + 1] = true;
			continue;
		}
		for (size_t k = s.n; k > 0; k--)
			row[k] = row[k - 1] && s.p[k - 1] == p.p[i];
		row[0] = false;
	}
	return row[s.n];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str name = str_make(data, size), pattern;

	(void)str_cut(&name, '\n', &pattern);
	/* INBOX has a rule of its own; the unit test has it. */
	if (name.n > 64 || str_starts_nocase(name, STR("inbox")))
		return 0;
	if (glob_match(pattern, name, '.') != matches(pattern, name))
		abort();
	return 0;
}
