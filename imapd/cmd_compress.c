/* SPDX-License-Identifier: ISC */
/*
 * cmd_compress.c - COMPRESS.
 *
 * Owns:    nothing; the connection inflates and deflates.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 4978: the tagged OK is the last plain line.
 */
#include "base/log.h"
#include "imapd/commands.h"
#include "imapd/reply.h"
#include "imapd/session.h"

enum step
cmd_compress(struct cmd *c)
{
	const struct imap_arg *a = c->args;
	struct session *s = c->s;
	struct err e;

	if (!imap_arg_word(&a, "DEFLATE") || !imap_arg_end(a))
		return reply_bad(c, "DEFLATE expected");
	if (conn_has_deflate(s->conn))
		return reply_no(c, "COMPRESSIONACTIVE", "DEFLATE is active");
	(void)reply_ok(c, NULL, "DEFLATE active");
	session_send(s);
	if (conn_start_deflate(s->conn, &e) == -1) {
		/* Promised and not possible: nothing can be said any more. */
		log_error(
		    "compress failed user=<%s> reason=%s", s->user, e.text);
		s->logout = true;
	}
	return STEP_DONE;
}
