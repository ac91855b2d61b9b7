/* SPDX-License-Identifier: ISC */
/*
 * modseq.c - mod-sequences in IMAP's syntax.
 *
 * Owns:    when a session has become aware of them.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 7162 sections 3.1, 3.2.7, 7.
 */
#include "imapd/modseq.h"

#include "imapd/reply.h"
#include "store/view_modseq.h"

void
modseq_tell_highest(struct session *s, uint64_t modseq)
{
	reply_untagged(
	    s, "OK [HIGHESTMODSEQ %llu] Highest", (unsigned long long)modseq);
}

void
modseq_enable(struct session *s)
{
	if (s->condstore)
		return;
	s->condstore = true;
	if (s->view != NULL && !s->lost)
		modseq_tell_highest(s, view_told_modseq(s->view));
}

bool
modseq_arg(const struct imap_arg **a, uint64_t min, uint64_t *out)
{
	const struct imap_arg *at = *a;
	uint64_t v;

	if (!imap_arg_u64(&at, &v) || v < min || v > INT64_MAX)
		return false;
	*out = v;
	*a = at;
	return true;
}

void
modseq_write(struct buf *b, struct view *v, uint32_t uid)
{
	buf_addf(b, "MODSEQ (%llu)", (unsigned long long)view_modseq(v, uid));
}

const char *
modseq_code(struct cmd *c, uint64_t before)
{
	uint64_t now;

	if (!c->s->qresync || c->s->view == NULL)
		return NULL;
	now = view_highest_modseq(c->s->view);
	if (now <= before)
		return NULL;
	return arena_printf(
	    c->arena, "HIGHESTMODSEQ %llu", (unsigned long long)now)
	    .p;
}
