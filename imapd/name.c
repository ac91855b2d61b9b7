/* SPDX-License-Identifier: ISC */
/*
 * name.c - mailbox names between the wire and the store.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; the store judges the decoded name once more.
 * Spec:    RFC 3501 sections 5.1 and 5.1.3; RFC 9051 section 5.1; RFC 9755
 *          section 3, RFC 5198 section 2.
 */
#include "imapd/name.h"

#include "base/bounds.h"
#include "imap/imap_write.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "text/glob.h"
#include "text/nfc.h"
#include "text/utf7.h"
#include "text/utf8.h"

/* INBOX in capitals, alone or before the first delimiter. */
static struct str
spell_inbox(const struct store *s, struct arena *a, struct str name)
{
	char delimiter = store_delimiter(s);
	struct str level = str_head(name, str_find(name, delimiter));

	if (!str_eq_nocase(level, STR("INBOX")))
		return name;
	return arena_printf(a, "INBOX%.*s", STR_ARG(str_skip(name, level.n)));
}

/*
 * To UTF-8. Modified UTF-7 has no 8-bit, so UTF-8 is known even from those who
 * have not enabled it (RFC 9755 section 3: MUST accept).
 */
static bool
to_utf8(const struct session *s, struct str wire, struct buf *out)
{
	if (session_has_utf8(s) || utf8_ascii_length(wire) < wire.n)
		return utf8_is_valid(wire) && buf_add_str(out, wire);
	return utf7_decode(out, wire);
}

/* The composed form (RFC 5198), unless there is a mailbox spelt as it came. */
static struct str
normal_form(const struct session *s, struct arena *a, struct str name)
{
	struct buf b;
	struct str form = name;

	if (nfc_is_normal(name) || store_exists(s->store, name))
		return name;
	buf_init(&b, MAILBOX_NAME_MAX_BYTES * 4);
	if (nfc_write(&b, name))
		form = arena_str(a, buf_str(&b));
	buf_done(&b);
	return form;
}

int
name_decode(const struct session *s, struct arena *a, struct str wire,
    struct str *name, struct err *e)
{
	struct buf b;
	int rc = -1;

	if (wire.n > MAILBOX_NAME_MAX_BYTES)
		return err_set(e, ERR_LIMIT, "mailbox name too long");
	buf_init(&b, MAILBOX_NAME_MAX_BYTES * 4);
	if (wire.n == 0 || !to_utf8(s, wire, &b)) {
		(void)err_set(e, ERR_BAD_NAME, "not in the client's charset");
	} else {
		*name = spell_inbox(s->store, a, arena_str(a, buf_str(&b)));
		/* Spellings in modified UTF-7 are the client's own matter. */
		if (!utf7_is_valid(wire))
			*name = normal_form(s, a, *name);
		rc = 0;
	}
	buf_done(&b);
	return rc;
}

int
name_from_utf8(const struct session *s, struct arena *a, struct str utf8,
    struct str *name, struct err *e)
{
	if (utf8.n > MAILBOX_NAME_MAX_BYTES)
		return err_set(e, ERR_LIMIT, "mailbox name too long");
	if (utf8.n == 0 || !utf8_is_valid(utf8))
		return err_set(e, ERR_BAD_NAME, "not in UTF-8");
	*name = spell_inbox(s->store, a, arena_str(a, utf8));
	return 0;
}

bool
name_arg(struct cmd *c, const struct imap_arg **a, struct str *name)
{
	struct str wire;
	struct err e;

	if (!imap_arg_astring(a, &wire)) {
		(void)reply_bad(c, "Mailbox name expected");
		return false;
	}
	if (name_decode(c->s, c->arena, wire, name, &e) == 0)
		return true;
	(void)reply_err(c, &e);
	return false;
}

struct str
name_pattern(struct cmd *c, struct str pattern)
{
	struct buf b;

	if (nfc_is_normal(pattern))
		return pattern;
	buf_init(&b, pattern.n * 4 + 64);
	if (nfc_write(&b, pattern))
		pattern = arena_str(c->arena, buf_str(&b));
	buf_done(&b);
	return pattern;
}

bool
name_matches(
    struct str pattern, struct str name, struct str wire, char delimiter)
{
	bool is_utf8 = utf8_ascii_length(pattern) < pattern.n;

	return glob_match(pattern, is_utf8 ? name : wire, delimiter);
}

bool
name_is_new_form(struct str name)
{
	return nfc_may_be_name(name);
}

void
name_wire(const struct session *s, struct buf *b, struct str name)
{
	if (session_has_utf8(s) || !utf7_encode(b, name))
		buf_add_str(b, name);
}

void
name_write_wire(const struct session *s, struct buf *b, struct str wire)
{
	if (session_has_utf8(s))
		imap_write_astring_utf8(b, wire);
	else
		imap_write_astring(b, wire);
}

void
name_write(const struct session *s, struct buf *b, struct str name)
{
	struct buf wire;

	buf_init(&wire, name.n * 4 + 64);
	name_wire(s, &wire, name);
	name_write_wire(s, b, buf_str(&wire));
	buf_done(&wire);
}

void
name_write_prefix(const struct session *s, struct buf *b, struct str prefix)
{
	struct buf wire;

	buf_init(&wire, prefix.n * 4 + 64);
	name_wire(s, &wire, prefix);
	if (session_has_utf8(s))
		imap_write_string_utf8(b, buf_str(&wire));
	else
		imap_write_string(b, buf_str(&wire));
	buf_done(&wire);
}
