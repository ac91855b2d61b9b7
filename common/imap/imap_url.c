/* SPDX-License-Identifier: ISC */
/*
 * imap_url.c - IMAP URLs of messages and their parts.
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  nothing; each byte must be one that the grammar has.
 * Spec:    RFC 5092 sections 3 to 7, 11; RFC 3986 section 2.1 (%-encoding).
 *
 * "/mailbox;UIDVALIDITY=1/;UID=2/;SECTION=1.2/;PARTIAL=0.100": a ";" never is
 * part of a value, so a value goes on to the next one, and the "/" before that
 * belongs to it.
 */
#include "imap/imap_url.h"

#include "base/num.h"
#include "text/ascii.h"

/* achar but for %-encoding; with `slash` bchar. */
static bool
is_plain(char c, bool slash)
{
	static const char others[] = "-._~!$'()*+,&=";

	if (ascii_is_alpha(c) || ascii_is_digit(c))
		return true;
	if (slash && (c == ':' || c == '@' || c == '/'))
		return true;
	return c != '\0' && strchr(others, c) != NULL;
}

/* One byte, "%41" or itself; false: it is not allowed. */
static bool
next_byte(struct str *s, bool slash, char *out)
{
	int high, low;

	if (s->p[0] != '%') {
		*out = s->p[0];
		*s = str_skip(*s, 1);
		return is_plain(*out, slash);
	}
	if (s->n < 3)
		return false;
	high = ascii_hex(s->p[1]);
	low = ascii_hex(s->p[2]);
	if (high == -1 || low == -1 || (high == 0 && low == 0))
		return false;
	*out = (char)(high * 16 + low);
	*s = str_skip(*s, 3);
	return true;
}

/* 1*achar or 1*bchar. */
static bool
decode(struct arena *a, struct str s, bool slash, struct str *out)
{
	char *to = arena_new(a, s.n + 1, 1);
	size_t n = 0;

	while (s.n > 0)
		if (!next_byte(&s, slash, &to[n++]))
			return false;
	*out = str_make(to, n);
	return n > 0;
}

/* Takes up to the next byte that is one of `ends`. */
static struct str
cut_to(struct str *s, const char *ends)
{
	struct str head;
	size_t n = 0;

	while (n < s->n && (s->p[n] == '\0' || strchr(ends, s->p[n]) == NULL))
		n++;
	head = str_head(*s, n);
	*s = str_skip(*s, n);
	return head;
}

static bool
cut_word(struct str *s, const char *word)
{
	if (!str_starts_nocase(*s, str_of(word)))
		return false;
	*s = str_skip(*s, strlen(word));
	return true;
}

static bool
cut_nz(struct str *s, uint32_t *out)
{
	uint64_t v;

	if (s->n == 0 || s->p[0] == '0' || !num_cut_u64(s, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

/* [enc-user] [";AUTH=" ("*" / enc-auth-type)] */
static bool
parse_user(struct arena *a, struct str s, struct imap_url *out)
{
	struct str user = cut_to(&s, ";");

	if (user.n > 0 && !decode(a, user, false, &out->user))
		return false;
	if (s.n == 0)
		return user.n > 0;
	return cut_word(&s, ";AUTH=") && decode(a, s, false, &out->auth);
}

/* What stands between "[" and "]": an address of IPv6, perhaps with a zone. */
static bool
is_ip_literal(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' ||
		    strchr("0123456789abcdefABCDEF:.%", s.p[i]) == NULL)
			return false;
	return s.n > 0;
}

/* [iuserinfo "@"] host [":" port]: behind "//". */
static bool
parse_server(struct arena *a, struct str *s, struct imap_url *out)
{
	struct str server = cut_to(s, "/?"), host;
	size_t at = str_find(server, '@');
	uint64_t port = 0;

	if (at < server.n) {
		if (!parse_user(a, str_head(server, at), out))
			return false;
		server = str_skip(server, at + 1);
	}
	host = str_starts(server, STR("[")) ? cut_to(&server, "]")
					    : cut_to(&server, ":");
	if (cut_word(&server, "]")) {
		out->host = str_skip(host, 1);
		if (!is_ip_literal(out->host))
			return false;
	} else if (!decode(a, host, false, &out->host)) {
		return false;
	}
	if (cut_word(&server, ":") && server.n > 0 &&
	    !num_cut_u64(&server, UINT16_MAX, &port))
		return false;
	out->has_server = true;
	out->port = (uint32_t)port;
	return server.n == 0 && out->host.n > 0;
}

/* A value up to the "/" before the next parameter, or to the end. */
static bool
parse_value(struct arena *a, struct str *s, struct str *out)
{
	struct str value = cut_to(s, ";");

	if (s->n > 0) {
		if (value.n == 0 || value.p[value.n - 1] != '/')
			return false;
		value.n--;
		*s = str_make(s->p - 1, s->n + 1);
	}
	return decode(a, value, true, out);
}

/* enc-mailbox [";UIDVALIDITY=" nz-number] */
static bool
parse_mailbox(struct arena *a, struct str *s, struct imap_url *out)
{
	struct str name = cut_to(s, ";");

	if (cut_word(s, ";UIDVALIDITY="))
		return decode(a, name, true, &out->mailbox) &&
		    cut_nz(s, &out->uidvalidity);
	*s = str_make(name.p, name.n + s->n);
	return parse_value(a, s, &out->mailbox);
}

/* number ["." nz-number] */
static bool
parse_partial(struct str *s, struct imap_url *out)
{
	if (!num_cut_u64(s, INT64_MAX, &out->start))
		return false;
	out->has_partial = true;
	if (!cut_word(s, "."))
		return true;
	return num_cut_u64(s, INT64_MAX, &out->count) && out->count > 0;
}

bool
imap_url_parse(struct arena *a, struct str s, struct imap_url *out)
{
	bool is_absolute = cut_word(&s, "imap:");

	*out = (struct imap_url){.section = STR(""), .count = UINT64_MAX};
	if (cut_word(&s, "//")) {
		if (!parse_server(a, &s, out))
			return false;
	} else if (is_absolute) {
		return false;
	}
	if (!cut_word(&s, "/") || str_starts(s, STR("/")) ||
	    !parse_mailbox(a, &s, out) || !cut_word(&s, "/;UID=") ||
	    !cut_nz(&s, &out->uid))
		return false;
	if (cut_word(&s, "/;SECTION=") && !parse_value(a, &s, &out->section))
		return false;
	if (cut_word(&s, "/;PARTIAL=") && !parse_partial(&s, out))
		return false;
	return s.n == 0;
}
