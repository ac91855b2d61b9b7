/* SPDX-License-Identifier: ISC */
/*
 * imap_requote.c - literals become quoted strings with UTF-8.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing: a value of another form stays as it is.
 * Spec:    RFC 9755 section 3, RFC 9051 section 9 (quoted).
 */
#include "imap/imap_requote.h"

#include "base/num.h"
#include "imap/imap_write.h"

/* Bytes of the quoted string at the start of `s`; 0: it has no end. */
static size_t
quoted_length(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

/* "{n}" CRLF and n bytes at the start of *s, which is moved behind them. */
static bool
cut_literal(struct str *s, struct str *bytes)
{
	struct str rest = str_skip(*s, 1);
	uint64_t n;

	if (!num_cut_u64(&rest, SIZE_MAX, &n) ||
	    !str_starts(rest, STR("}\r\n")) || n > rest.n - 3)
		return false;
	*bytes = str_make(rest.p + 3, (size_t)n);
	*s = str_skip(rest, 3 + (size_t)n);
	return true;
}

void
imap_requote(struct buf *out, struct str value)
{
	struct str rest = value, bytes;
	size_t start = out->n, n;

	while (rest.n > 0) {
		if (rest.p[0] == '{') {
			if (!cut_literal(&rest, &bytes))
				break;
			imap_write_string_utf8(out, bytes);
			continue;
		}
		n = rest.p[0] == '"' ? quoted_length(rest) : 1;
		if (n == 0)
			break;
		buf_add(out, rest.p, n);
		rest = str_skip(rest, n);
	}
	if (rest.n == 0)
		return;
	out->n = start;
	buf_add_str(out, value);
}
