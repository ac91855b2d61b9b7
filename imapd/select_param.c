/* SPDX-License-Identifier: ISC */
/*
 * select_param.c - the parameters of SELECT and EXAMINE.
 *
 * Owns:    nothing; the sets belong to the caller.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; sets are bounded by the lexer and IMAP_SET_RANGES_MAX.
 * Spec:    RFC 4466 section 2.1, RFC 7162 section 7.
 */
#include "imapd/select_param.h"

#include "base/bounds.h"
#include "imap/imap_set.h"
#include "imapd/modseq.h"

/* A sequence-set in which "*" is not allowed. */
static bool
set_arg(const struct imap_arg **a, struct set32 *out)
{
	struct str text;

	return imap_arg_atom(a, &text) && str_find(text, '*') == text.n &&
	    imap_set_parse(text, 0, IMAP_SET_RANGES_MAX, out);
}

/* seq-match-data, without its parentheses. */
static bool
match_parse(const struct imap_arg *a, struct select_param *p)
{
	return set_arg(&a, &p->match_seqs) && set_arg(&a, &p->match_uids) &&
	    imap_arg_end(a) &&
	    set32_count(&p->match_seqs) == set32_count(&p->match_uids);
}

static bool
qresync_parse(const struct imap_arg **at, struct select_param *p)
{
	const struct imap_arg *a, *list;

	if (!imap_arg_list(at, &a) || !imap_arg_u32(&a, 1, &p->uidvalidity) ||
	    !modseq_arg(&a, 1, &p->modseq))
		return false;
	if (a->type == IMAP_ARG_ATOM) {
		p->has_known = true;
		if (!set_arg(&a, &p->known))
			return false;
	}
	if (imap_arg_list(&a, &list)) {
		p->has_match = true;
		if (!match_parse(list, p))
			return false;
	}
	return imap_arg_end(a);
}

/* libetpan leaves the outer parentheses away: SELECT INBOX QRESYNC (1 2). */
bool
select_param_parse(const struct imap_arg **a, struct select_param *out)
{
	const struct imap_arg *list;
	bool ok = true, is_bare;

	*out = (struct select_param){0};
	if (imap_arg_end(*a))
		return true;
	is_bare = (*a)->type == IMAP_ARG_ATOM;
	if (is_bare)
		list = *a;
	else if (!imap_arg_list(a, &list) || imap_arg_end(list))
		return false;
	while (ok && !imap_arg_end(list)) {
		if (!out->condstore && imap_arg_word(&list, "CONDSTORE"))
			out->condstore = true;
		else if (!out->qresync && imap_arg_word(&list, "QRESYNC"))
			out->qresync = ok = qresync_parse(&list, out);
		else
			ok = false;
	}
	if (is_bare)
		*a = list;
	return ok;
}

void
select_param_done(struct select_param *p)
{
	set32_done(&p->known);
	set32_done(&p->match_seqs);
	set32_done(&p->match_uids);
}
