/* SPDX-License-Identifier: ISC */
/*
 * progress.c - how far a command is, for clients that wait.
 *
 * Owns:    nothing; the numbers are in struct cmd.
 * Runs in: imapd, as the mail user.
 * Trusts:  handlers with CMD_PROGRESS to give way only between responses.
 * Spec:    RFC 9585 section 4: never in a tagged reply; the tag is NIL when it
 *          has a "]"; PROGRESS below GOAL.
 */
#include "imapd/progress.h"

#include "imapd/context.h"
#include "imapd/reply.h"
#include "imapd/session.h"

void
progress_begin(struct cmd *c, int64_t now_ms)
{
	c->told_ms = now_ms;
}

void
progress_set(struct cmd *c, uint64_t done, uint64_t total)
{
	c->done = done;
	c->total = total;
}

static void
write_counts(struct cmd *c, struct buf *b)
{
	if (c->total > c->done)
		buf_addf(b, "%llu %llu", (unsigned long long)c->done,
		    (unsigned long long)c->total);
	else
		buf_add_c(b, "NIL NIL");
}

void
progress_tell(struct cmd *c, int64_t now_ms)
{
	struct buf *b = &c->s->out;

	if ((c->def->flags & CMD_PROGRESS) == 0 || c->is_replied ||
	    c->is_within || context_is_within(c->s) ||
	    now_ms - c->told_ms < c->s->progress_ms)
		return;
	c->told_ms = now_ms;
	reply_begin(c->s);
	buf_add_c(b, "OK [INPROGRESS (");
	if (str_find(c->tag, ']') < c->tag.n)
		buf_add_c(b, "NIL ");
	else
		buf_addf(b, "\"%.*s\" ", STR_ARG(c->tag));
	write_counts(c, b);
	buf_add_c(b, ")] Still working on it");
	reply_end(c->s);
}
