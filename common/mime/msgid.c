/* SPDX-License-Identifier: ISC */
/*
 * msgid.c - message identifiers.
 *
 * Runs in: imapd sessions (THREAD).
 * Trusts:  nothing; what stands outside of "<...@...>" is no identifier.
 * Spec:    RFC 5322 section 3.6.4, obs-id-left; RFC 5256 section 3.
 */
#include "mime/msgid.h"

#include "text/ascii.h"

/* What is inside of the brackets, tidied; false: not an identifier. */
static bool
normalise(struct arena *a, struct str in, struct str *id)
{
	bool is_quoted = false, is_plain = true, has_sign = false;
	size_t i, n = 0;
	char *out;

	for (i = 0; i < in.n; i++) {
		has_sign |= in.p[i] == '@';
		is_plain &= in.p[i] != '"' && in.p[i] != '\\' &&
		    !ascii_is_space(in.p[i]);
	}
	if (!has_sign)
		return false;
	*id = in;
	if (is_plain)
		return true;
	out = arena_new(a, in.n, 1);
	for (i = 0; i < in.n; i++) {
		if (in.p[i] == '"') {
			is_quoted = !is_quoted;
			continue;
		}
		if (is_quoted && in.p[i] == '\\' && i + 1 < in.n)
			i++;
		else if (!is_quoted && ascii_is_space(in.p[i]))
			continue;
		out[n++] = in.p[i];
	}
	*id = str_make(out, n);
	return n > 0;
}

bool
msgid_next(struct arena *a, struct str *value, struct str *id)
{
	size_t start, end;

	for (;;) {
		start = str_find(*value, '<');
		if (start == value->n) {
			value->n = 0;
			return false;
		}
		*value = str_skip(*value, start + 1);
		/* A "<" inside begins anew: the first one was none. */
		for (end = 0; end < value->n; end++)
			if (value->p[end] == '>' || value->p[end] == '<')
				break;
		if (end == value->n) {
			value->n = 0;
			return false;
		}
		if (value->p[end] == '<') {
			*value = str_skip(*value, end);
			continue;
		}
		if (normalise(a, str_head(*value, end), id)) {
			*value = str_skip(*value, end + 1);
			return true;
		}
		*value = str_skip(*value, end + 1);
	}
}
