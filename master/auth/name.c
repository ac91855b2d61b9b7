/* SPDX-License-Identifier: ISC */
/*
 * name.c - which bytes may be a user name here.
 *
 * Owns:    nothing.
 * Runs in: authd and its children.
 * Trusts:  nothing. A name goes into paths, logs and PAM, so what is not on
 *          the list does not pass, whatever it might mean elsewhere.
 */
#include "auth/name.h"

#define DEFAULT_CHARS                                                          \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@"

bool
name_normalise(struct str raw, struct str chars, bool keep_case,
    char out[static USER_NAME_MAX + 1])
{
	struct str allowed = chars.n > 0 ? chars : STR(DEFAULT_CHARS);
	size_t i;
	char c;

	if (raw.n == 0 || raw.n > USER_NAME_MAX || raw.p[0] == '.' ||
	    raw.p[0] == '-')
		return false;
	for (i = 0; i < raw.n; i++) {
		c = raw.p[i];
		/* Whatever the list says: these would end a path or a line. */
		if (c == '/' || c == ':' || (unsigned char)c <= ' ' || c == 127)
			return false;
		if (str_find(allowed, c) == allowed.n)
			return false;
		if (!keep_case && c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		out[i] = c;
	}
	out[raw.n] = '\0';
	return true;
}
