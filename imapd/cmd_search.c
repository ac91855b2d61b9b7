/* SPDX-License-Identifier: ISC */
/*
 * cmd_search.c - SEARCH and UID SEARCH, with the ESEARCH form of the answer.
 *
 * Owns:    the matcher and the found set while the command runs.
 * Runs in: imapd.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 3501 sections 6.4.4, 6.4.8 and 7.2.5, RFC 4731; RFC 7162
 *          sections 3.1.5, 3.1.10 (MODSEQ).
 */
#include "imap/imap_set.h"
#include "imapd/commands.h"
#include "imapd/modseq.h"
#include "imapd/reply.h"
#include "imapd/search_arg.h"
#include "imapd/session.h"
#include "search/match.h"
#include "store/view_modseq.h"

enum result_option { /* RFC 4731 section 3.1 */
	RETURN_MIN = 1 << 0,
	RETURN_MAX = 1 << 1,
	RETURN_ALL = 1 << 2,
	RETURN_COUNT = 1 << 3,
};

struct search {
	struct query *query;
	struct matcher *matcher;
	struct set32 candidates, found; /* UIDs */
	uint32_t uid; /* being looked at */
	unsigned options; /* enum result_option */
	bool extended; /* RETURN was given */
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

/* RETURN (MIN MAX ALL COUNT); an empty list means ALL. */
static bool
parse_return(const struct imap_arg **a, struct search *s)
{
	static const struct {
		const char *word;
		enum result_option option;
	} words[] = {
	    {"MIN", RETURN_MIN},
	    {"MAX", RETURN_MAX},
	    {"ALL", RETURN_ALL},
	    {"COUNT", RETURN_COUNT},
	};
	const struct imap_arg *list;

	if (!imap_arg_word(a, "RETURN"))
		return true;
	s->extended = true;
	if (!imap_arg_list(a, &list))
		return false;
	while (!imap_arg_end(list)) {
		size_t i = 0;

		while (i < ARRAY_LEN(words) &&
		    !imap_arg_word(&list, words[i].word))
			i++;
		if (i == ARRAY_LEN(words))
			return false;
		s->options |= words[i].option;
	}
	if (s->options == 0)
		s->options = RETURN_ALL;
	return true;
}

/* NULL after the tagged reply is written. */
static struct search *
start(struct cmd *c)
{
	struct search *s = arena_new(c->arena, 1, sizeof(*s));
	const struct imap_arg *a = c->args;
	enum search_arg_result result;
	struct err e;

	if (!parse_return(&a, s)) {
		reply_bad(c, "Unknown or misplaced search result option");
		return NULL;
	}
	result = search_arg_parse(c, &a, &s->query);
	if (result == SEARCH_ARG_CHARSET) {
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

/*
 * The highest mod-sequence of what is told: all, or only the first and last
 * (RFC 4731 section 3.2). 0: none is to be told.
 */
static uint64_t
told_modseq(struct cmd *c, const struct search *s)
{
	const struct set32 *found = &s->found;
	bool all = !s->extended ||
	    (s->options & (RETURN_MIN | RETURN_MAX)) == 0 ||
	    (s->options & (RETURN_ALL | RETURN_COUNT)) != 0;
	uint64_t highest = 0, one;
	uint32_t uid;

	if (!s->has_modseq)
		return 0;
	for (uid = 1; set32_next(found, uid, &uid); uid++) {
		if (!all &&
		    ((s->options & RETURN_MIN) == 0 ||
			uid != found->r[0].first) &&
		    ((s->options & RETURN_MAX) == 0 ||
			uid != found->r[found->n - 1].last))
			continue;
		one = view_modseq(c->s->view, uid);
		if (one > highest)
			highest = one;
	}
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

/* RFC 4731: MIN, MAX and ALL are left out when nothing was found. */
static void
write_extended(
    struct buf *b, struct cmd *c, const struct search *s, struct set32 *numbers)
{
	uint64_t modseq;

	buf_addf(b, "* ESEARCH (TAG \"%.*s\")", STR_ARG(c->tag));
	if (c->uid)
		buf_add_c(b, " UID");
	if (!set32_is_empty(numbers)) {
		if (s->options & RETURN_MIN)
			buf_addf(b, " MIN %u", numbers->r[0].first);
		if (s->options & RETURN_MAX)
			buf_addf(b, " MAX %u", numbers->r[numbers->n - 1].last);
		if (s->options & RETURN_ALL) {
			buf_add_c(b, " ALL ");
			imap_set_write(b, numbers);
		}
	}
	if (s->options & RETURN_COUNT)
		buf_addf(b, " COUNT %u", set32_count(numbers));
	modseq = told_modseq(c, s);
	if (modseq != 0)
		buf_addf(b, " MODSEQ %llu", (unsigned long long)modseq);
	buf_add_c(b, "\r\n");
}

static enum step
finish(struct cmd *c, struct search *s)
{
	struct set32 numbers;
	struct buf line;

	set32_init(&numbers);
	session_numbers(c, &s->found, &numbers);
	buf_init(&line, SIZE_MAX / 2);
	if (s->extended)
		write_extended(&line, c, s, &numbers);
	else
		write_plain(&line, &numbers, told_modseq(c, s));
	session_send(c->s);
	conn_write_str(c->s->conn, buf_str(&line));
	buf_done(&line);
	set32_done(&numbers);
	if (s->unreadable)
		return reply_no(c, "SERVERBUG",
		    "Some messages could not be read and were left out");
	return reply_ok(c, NULL, "SEARCH completed");
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
