/* SPDX-License-Identifier: ISC */
/*
 * cmd_search.c - SEARCH and UID SEARCH, with the ESEARCH form of the answer.
 *
 * Owns:    the matcher and the found set while the command runs.
 * Runs in: imapd.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 3501 sections 6.4.4, 6.4.8 and 7.2.5, RFC 4731; RFC 5182
 *          (SAVE); RFC 7162 sections 3.1.5, 3.1.10 (MODSEQ).
 */
#include "imapd/commands.h"
#include "imapd/modseq.h"
#include "imapd/reply.h"
#include "imapd/search_arg.h"
#include "imapd/search_return.h"
#include "imapd/session.h"
#include "search/match.h"
#include "store/view_modseq.h"

struct search {
	struct query *query;
	struct matcher *matcher;
	struct set32 candidates, found; /* UIDs */
	uint32_t uid; /* being looked at */
	struct search_return ret;
	bool unreadable; /* a message could not be looked at */
	bool has_modseq; /* the keys ask for mod-sequences */
};

static void
release(struct cmd *c)
{
	struct search *s = c->state;

	matcher_free(&s->matcher);
	query_done(s->query);
	set32_done(&s->candidates);
	set32_done(&s->found);
}

/* A SEARCH with SAVE that fails leaves nothing (RFC 5182 section 2.1). */
static void
save(struct cmd *c, const struct search *s, const struct search_found *f)
{
	if ((s->ret.options & SEARCH_SAVE) == 0)
		return;
	if (f == NULL)
		set32_clear(&c->s->saved);
	else
		search_return_named(&s->ret, f, &c->s->saved);
}

/* NULL after the tagged reply is written. */
static struct search *
start(struct cmd *c)
{
	struct search *s = arena_new(c->arena, 1, sizeof(*s));
	const struct imap_arg *a = c->args;
	enum search_arg_result result;
	struct err e;

	if (!search_return_parse(&a, &s->ret)) {
		reply_bad(c, "Unknown or misplaced search result option");
		return NULL;
	}
	result = search_arg_parse(c, &a, &s->query);
	if (result == SEARCH_ARG_CHARSET) {
		save(c, s, NULL);
		reply_no(c, "BADCHARSET (US-ASCII UTF-8)",
		    "That charset is not known here");
		return NULL;
	}
	if (result == SEARCH_ARG_SYNTAX) {
		reply_bad(c, "Error in the search keys");
		return NULL;
	}
	set32_init(&s->candidates);
	set32_init(&s->found);
	c->state = s;
	c->cleanup = release;
	if (query_plan(s->query, &e) == -1) {
		reply_bad(c, "The search text is not UTF-8");
		return NULL;
	}
	if (!query_bound(s->query, &s->candidates))
		set32_copy(&s->candidates, view_uids(c->s->view));
	s->has_modseq = query_has(s->query, QUERY_MODSEQ);
	if (s->has_modseq)
		modseq_enable(c->s);
	s->matcher = matcher_new(c->s->view, s->query);
	return s;
}

/* The highest mod-sequence of what is told; 0: none is. */
static uint64_t
told_modseq(struct cmd *c, const struct search *s, const struct search_found *f)
{
	uint64_t highest = 0, one;
	struct set32 named;
	uint32_t uid;

	if (!s->has_modseq)
		return 0;
	set32_init(&named);
	search_return_named(&s->ret, f, &named);
	for (uid = 1; set32_next(&named, uid, &uid); uid++) {
		one = view_modseq(c->s->view, uid);
		if (one > highest)
			highest = one;
	}
	set32_done(&named);
	return highest;
}

static void
write_plain(struct buf *b, const struct set32 *numbers, uint64_t modseq)
{
	uint32_t n;

	buf_add_c(b, "* SEARCH");
	for (n = 1; set32_next(numbers, n, &n); n++)
		buf_addf(b, " %u", n);
	if (modseq != 0)
		buf_addf(b, " (MODSEQ %llu)", (unsigned long long)modseq);
	buf_add_c(b, "\r\n");
}

static void
write_answer(struct buf *b, struct cmd *c, struct search *s)
{
	struct search_found f = {.uids = &s->found};
	uint64_t modseq = told_modseq(c, s, &f);
	struct set32 numbers;

	save(c, s, &f);
	if (s->ret.is_given) {
		/* Who only saves is told nothing. */
		if (s->ret.options != SEARCH_SAVE)
			search_return_write(b, c, &s->ret, &f, modseq);
		return;
	}
	set32_init(&numbers);
	session_numbers(c, &s->found, &numbers);
	write_plain(b, &numbers, modseq);
	set32_done(&numbers);
}

static enum step
finish(struct cmd *c, struct search *s)
{
	struct buf line;

	buf_init(&line, SIZE_MAX / 2);
	write_answer(&line, c, s);
	session_send(c->s);
	conn_write_str(c->s->conn, buf_str(&line));
	buf_done(&line);
	if (!s->unreadable)
		return reply_ok(c, NULL, "SEARCH completed");
	save(c, s, NULL);
	return reply_no(c, "SERVERBUG",
	    "Some messages could not be read and were left out");
}

enum step
cmd_search(struct cmd *c)
{
	struct search *s = c->state;
	struct err e;
	bool hit;

	if (s == NULL && (s = start(c)) == NULL)
		return STEP_DONE;
	while (set32_next(&s->candidates, s->uid, &s->uid)) {
		switch (matcher_test(s->matcher, s->uid, &hit, &e)) {
		case STEP_MORE:
			return STEP_MORE;
		case STEP_FAIL:
			s->unreadable = true;
			break;
		case STEP_DONE:
			if (hit)
				set32_add(&s->found, s->uid);
		}
		if (s->uid++ == UINT32_MAX)
			break;
		if (cmd_time_is_up(c))
			return STEP_MORE;
	}
	return finish(c, s);
}
