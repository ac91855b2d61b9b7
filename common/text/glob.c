/* SPDX-License-Identifier: ISC */
/*
 * glob.c - matches mailbox names without recursion.
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  nothing; the time is at most about name * name * pattern.
 * Spec:    RFC 3501 section 6.3.8.
 *
 * On a mismatch only the last "%" and the last "*" can help: what stands
 * before them has been matched as far to the left as possible, which leaves
 * every later wildcard at least as much room. The last "%" can not grow over
 * a delimiter; then the last "*" takes one more byte.
 */
#include "text/ascii.h"
#include "text/glob.h"

/* A place to go back to: the pattern behind the wildcard, where it ends. */
struct back {
	bool is_set;
	size_t pattern, name;
};

static bool
is_inbox_level(struct str name, char delimiter)
{
	return str_starts_nocase(name, STR("INBOX")) &&
	    (name.n == 5 || name.p[5] == delimiter);
}

static bool
grow(struct back *b, struct str name, bool over_delimiter, char delimiter)
{
	if (!b->is_set || b->name >= name.n)
		return false;
	if (!over_delimiter && name.p[b->name] == delimiter)
		return false;
	b->name++;
	return true;
}

bool
glob_match(struct str pattern, struct str name, char delimiter)
{
	size_t fold = is_inbox_level(name, delimiter) ? 5 : 0;
	struct back star = {0}, level = {0};
	size_t p = 0, i = 0;

	for (;;) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = (struct back){true, ++p, i};
			level.is_set = false;
			continue;
		}
		if (p < pattern.n && pattern.p[p] == '%') {
			level = (struct back){true, ++p, i};
			continue;
		}
		if (p == pattern.n && i == name.n)
			return true;
		if (p < pattern.n && i < name.n &&
		    (pattern.p[p] == name.p[i] ||
			(i < fold &&
			    ascii_upper(pattern.p[p]) ==
				ascii_upper(name.p[i])))) {
			p++;
			i++;
			continue;
		}
		if (grow(&level, name, false, delimiter)) {
			p = level.pattern;
			i = level.name;
		} else if (grow(&star, name, true, delimiter)) {
			level.is_set = false;
			p = star.pattern;
			i = star.name;
		} else {
			return false;
		}
	}
}
