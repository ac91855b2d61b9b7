/* SPDX-License-Identifier: ISC */
/*
 * name.c - mailbox names between the wire and the store.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; the store judges the decoded name once more.
 * Spec:    RFC 3501 sections 5.1 and 5.1.3.
 */
#include "imapd/name.h"

#include "base/bounds.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "text/utf7.h"

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

int
name_decode(const struct store *s, struct arena *a, struct str wire,
    struct str *name, struct err *e)
{
	struct buf b;
	int rc = -1;

	if (wire.n > MAILBOX_NAME_MAX_BYTES)
		return err_set(e, ERR_LIMIT, "mailbox name too long");
	buf_init(&b, MAILBOX_NAME_MAX_BYTES * 4);
	if (wire.n == 0 || !utf7_decode(&b, wire)) {
		(void)err_set(e, ERR_BAD_NAME, "not modified UTF-7");
	} else {
		*name = spell_inbox(s, a, arena_str(a, buf_str(&b)));
		rc = 0;
	}
	buf_done(&b);
	return rc;
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
	if (name_decode(c->s->store, c->arena, wire, name, &e) == 0)
		return true;
	(void)reply_err(c, &e);
	return false;
}
