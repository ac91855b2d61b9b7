/* SPDX-License-Identifier: ISC */
/*
 * cmd_namespace.c - NAMESPACE.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 2342 section 5, RFC 3501 section 5.1.2.
 */
#include "imapd/commands.h"
#include "imapd/list_write.h"
#include "imapd/name.h"
#include "imapd/reply.h"

/* "((prefix delimiter)...)" of one kind, or NIL. */
static void
write_kind(struct session *s, enum space_kind kind)
{
	struct buf *b = &s->out;
	struct space sp;
	bool any = false;

	for (size_t i = 0; store_space(s->store, i, &sp); i++) {
		if (sp.kind != kind)
			continue;
		buf_add_c(b, any ? "(" : " ((");
		name_write_prefix(s, b, sp.prefix);
		buf_add_byte(b, ' ');
		list_write_delimiter(b, sp.delimiter);
		buf_add_byte(b, ')');
		any = true;
	}
	buf_add_c(b, any ? ")" : " NIL");
}

/* The user's own, other users', shared ones. */
enum step
cmd_namespace(struct cmd *c)
{
	if (!imap_arg_end(c->args))
		return reply_bad(c, "No arguments expected");
	reply_begin(c->s);
	buf_add_c(&c->s->out, "NAMESPACE");
	write_kind(c->s, SPACE_PERSONAL);
	write_kind(c->s, SPACE_OTHERS);
	write_kind(c->s, SPACE_SHARED);
	reply_end(c->s);
	return reply_ok(c, NULL, "Done");
}
