/* SPDX-License-Identifier: ISC */
/*
 * limit.c - how many messages one command may process.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  the settings message_limit and save_limit.
 * Spec:    RFC 9738.
 */
#include "imapd/limit.h"

#include <stdio.h>

#include "imapd/reply.h"

void
limit_write_capability(const struct session *s, struct buf *b)
{
	if (s->message_limit > 0)
		buf_addf(b, " MESSAGELIMIT=%u", s->message_limit);
	else if (s->save_limit > 0)
		buf_addf(b, " SAVELIMIT=%u", s->save_limit);
}

uint32_t
limit_cut(const struct session *s, struct set32 *uids)
{
	uint32_t n = set32_count(uids), lowest;

	if (limit_exceeded(s, n) == 0)
		return 0;
	lowest = set32_at(uids, n - s->message_limit + 1);
	if (lowest > 1)
		set32_remove_range(uids, 0, lowest - 1);
	return lowest;
}

uint32_t
limit_exceeded(const struct session *s, uint32_t n)
{
	return s->message_limit > 0 && n > s->message_limit ? s->message_limit
							    : 0;
}

uint32_t
limit_save_exceeded(const struct session *s, uint32_t n)
{
	uint32_t limit =
	    s->message_limit > 0 ? s->message_limit : s->save_limit;

	return limit > 0 && n > limit ? limit : 0;
}

/* The code of the tagged reply. */
static const char *
limit_code(struct cmd *c, uint32_t lowest, const char *code)
{
	uint32_t limit = c->s->message_limit;

	if (lowest == 0)
		return code;
	if (code == NULL)
		return arena_printf(
		    c->arena, "MESSAGELIMIT %u %u", limit, lowest)
		    .p;
	reply_untagged(
	    c->s, "NO [MESSAGELIMIT %u %u] Partial result", limit, lowest);
	return code;
}

enum step
limit_reply_ok(
    struct cmd *c, uint32_t lowest, const char *code, const char *text)
{
	code = limit_code(c, lowest, code);
	return reply_ok(c, code, text);
}

enum step
limit_reply_no(
    struct cmd *c, uint32_t lowest, const char *code, const char *text)
{
	code = limit_code(c, lowest, code);
	return reply_no(c, code, text);
}

enum step
limit_refuse(struct cmd *c, uint32_t limit, uint32_t lowest)
{
	char text[64];

	(void)snprintf(text, sizeof(text),
	    lowest > 0 ? "MESSAGELIMIT %u %u" : "MESSAGELIMIT %u", limit,
	    lowest);
	return reply_no(c, text, "Too many messages at once");
}
