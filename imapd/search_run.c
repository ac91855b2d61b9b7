/* SPDX-License-Identifier: ISC */
/*
 * search_run.c - a search while it runs.
 *
 * Owns:    the matcher and the found set.
 * Runs in: imapd.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 3501 section 6.4.4, RFC 5182, RFC 5256 section 3; RFC 7162
 *          section 3.1.5 (MODSEQ).
 */
#include "imapd/search_run.h"

#include "imapd/context.h"
#include "imapd/modseq.h"
#include "imapd/progress.h"
#include "imapd/reply.h"
#include "imapd/search_arg.h"
#include "store/view_modseq.h"

/* Messages that are looked at before the clock is asked. */
enum { LOOKS = 256 };

void
search_run_done(struct search_run *s)
{
	matcher_free(&s->matcher);
	if (s->query != NULL)
		query_done(s->query);
	set32_done(&s->candidates);
	set32_done(&s->found);
	set32_done(&s->named);
	search_answer_done(&s->answer);
}

void
search_run_save(
    struct cmd *c, const struct search_run *s, const struct search_found *f)
{
	if ((s->ret.options & SEARCH_SAVE) == 0)
		return;
	if (f == NULL)
		set32_clear(&c->s->saved);
	else
		search_return_named(&s->ret, f, &c->s->saved);
}

static enum step
write_esearch(struct cmd *c, struct search_run *s, const struct search_found *f)
{
	if (!s->is_saved)
		search_run_save(c, s, f);
	s->is_saved = true;
	/* Who only saves is told nothing. */
	if ((s->ret.options & ~(unsigned)SEARCH_NO_RESULT) == 0)
		return STEP_DONE;
	if (s->answer.line.n == 0)
		buf_addf(&s->answer.line, "* ESEARCH (TAG \"%.*s\")",
		    STR_ARG(c->tag));
	return search_answer_step(&s->answer, c, c->uid, &s->ret, f, s->modseq);
}

static enum step
write_plain(struct cmd *c, struct search_run *s, const char *word,
    bool (*numbers)(struct cmd *c, struct buf *out))
{
	struct buf *b = &s->answer.line;

	if (b->n == 0)
		buf_addf(b, "* %s", word);
	if (!numbers(c, b))
		return STEP_MORE;
	if (s->modseq != 0)
		buf_addf(b, " (MODSEQ %llu)", (unsigned long long)s->modseq);
	buf_add_c(b, "\r\n");
	return STEP_DONE;
}

enum step
search_run_tell(struct cmd *c, struct search_run *s,
    const struct search_found *f, const char *word,
    bool (*numbers)(struct cmd *c, struct buf *out))
{
	enum step step = s->ret.is_given ? write_esearch(c, s, f)
					 : write_plain(c, s, word, numbers);

	if (step == STEP_MORE)
		return STEP_MORE;
	session_send(c->s);
	conn_write_str(c->s->conn, buf_str(&s->answer.line));
	return STEP_DONE;
}

enum step
search_run_modseq(
    struct cmd *c, struct search_run *s, const struct search_found *f)
{
	uint64_t one;
	unsigned n = 0;

	if (!s->has_modseq)
		return STEP_DONE;
	if (s->modseq_uid == 0) {
		search_return_named(&s->ret, f, &s->named);
		s->modseq_uid = 1;
	}
	while (set32_next(&s->named, s->modseq_uid, &s->modseq_uid)) {
		one = view_modseq(s->view, s->modseq_uid);
		if (one > s->modseq)
			s->modseq = one;
		if (s->modseq_uid++ == UINT32_MAX)
			break;
		if (++n % LOOKS == 0 && cmd_time_is_up(c))
			return STEP_MORE;
	}
	set32_clear(&s->named);
	return STEP_DONE;
}

/* ALL, UIDs, and nothing else. */
static bool
asks_for_uids(const struct query *q)
{
	const struct query *k;

	if (q->key != QUERY_AND)
		return q->key == QUERY_ALL || q->key == QUERY_UIDS;
	for (k = q->child; k != NULL; k = k->next)
		if (!asks_for_uids(k))
			return false;
	return true;
}

/* Those that all of its sets have. */
static void
leave_uids(const struct query *q, struct set32 *found)
{
	const struct query *k;
	struct set32 both;

	if (q->key == QUERY_UIDS) {
		set32_init(&both);
		set32_intersect(q->uids, found, &both);
		set32_copy(found, &both);
		set32_done(&both);
	}
	for (k = q->child; k != NULL; k = k->next)
		leave_uids(k, found);
}

bool
search_run_begin(
    struct cmd *c, struct search_run *s, const struct imap_arg *a, bool charset)
{
	enum search_arg_result result;
	struct err e;

	s->keys = a;
	search_answer_init(&s->answer);
	if (!context_check(c, &s->ret))
		return false;
	result = charset ? search_arg_parse_charset(c, &a, &s->query)
			 : search_arg_parse(c, &a, &s->query);
	if (result == SEARCH_ARG_CHARSET) {
		search_run_save(c, s, NULL);
		(void)reply_no(c, "BADCHARSET (US-ASCII UTF-8)",
		    "That charset is not known here");
		return false;
	}
	if (result == SEARCH_ARG_NUMBERS) {
		(void)reply_uid_required(c);
		return false;
	}
	if (result == SEARCH_ARG_SYNTAX) {
		(void)reply_bad(c, "Error in the search keys");
		return false;
	}
	if (query_plan(s->query, &e) == -1) {
		(void)reply_bad(c, "The search text is not UTF-8");
		return false;
	}
	if (!query_bound(s->query, &s->candidates))
		set32_copy(&s->candidates, view_uids(c->s->view));
	s->view = c->s->view;
	s->is_bound = asks_for_uids(s->query);
	s->has_modseq = query_has(s->query, QUERY_MODSEQ);
	if (s->has_modseq)
		modseq_enable(c->s);
	s->matcher = matcher_new(c->s->view, s->query);
	return true;
}

static enum step
give_way(struct cmd *c, struct search_run *s)
{
	progress_set(c, set32_count_le(&s->candidates, s->uid),
	    set32_count(&s->candidates));
	return STEP_MORE;
}

enum step
search_run_step(struct cmd *c, struct search_run *s)
{
	struct err e;
	bool hit;

	if (s->is_bound) {
		set32_intersect(&s->candidates, view_uids(s->view), &s->found);
		leave_uids(s->query, &s->found);
		return STEP_DONE;
	}
	while (set32_next(&s->candidates, s->uid, &s->uid)) {
		if (matcher_test_known(s->matcher, &s->candidates, &s->uid,
			LOOKS, &s->found) > 0) {
			if (cmd_time_is_up(c))
				return give_way(c, s);
			continue;
		}
		switch (matcher_test(s->matcher, s->uid, &hit, &e)) {
		case STEP_MORE:
			return give_way(c, s);
		case STEP_FAIL:
			s->unreadable = reply_code(&e);
			break;
		case STEP_DONE:
			if (hit)
				set32_add(&s->found, s->uid);
		}
		if (s->uid == UINT32_MAX)
			break;
		s->uid++;
		/* Most are told by the index, in less than a look at the
		 * clock takes. */
		if ((matcher_has_read(s->matcher) || s->uid % 16 == 0) &&
		    cmd_time_is_up(c))
			return give_way(c, s);
	}
	return STEP_DONE;
}
