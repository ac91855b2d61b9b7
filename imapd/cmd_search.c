/* SPDX-License-Identifier: ISC */
/*
 * cmd_search.c - SEARCH and UID SEARCH, with the ESEARCH form of the answer.
 *
 * Owns:    nothing but the command's state.
 * Runs in: imapd.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 3501 sections 6.4.4, 6.4.8 and 7.2.5, RFC 4731; RFC 5182
 *          (SAVE); RFC 7162 section 3.1.10 (MODSEQ); RFC 9738.
 */
#include "base/num.h"
#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/limit.h"
#include "imapd/reply.h"
#include "imapd/search_run.h"

/* Numbers between two looks at the clock. */
enum { LOOKS = 1024 };

struct search {
	struct search_run run;
	bool is_found;
	struct set32 numbers; /* the old answer, while it is written */
	size_t range;
	uint32_t number; /* the next one in it; 0: its first */
};

static void
search_cleanup(struct cmd *c)
{
	struct search *q = c->state;

	search_run_done(&q->run);
	set32_done(&q->numbers);
}

/* False: answered. */
static bool
search_begin(struct cmd *c)
{
	struct search *q = arena_new(c->arena, 1, sizeof(*q));
	struct search_run *s = &q->run;
	const struct imap_arg *a = c->args;

	c->state = q;
	c->cleanup = search_cleanup;
	if (!search_return_parse(&a, &s->ret)) {
		(void)reply_bad(c, "Unknown or misplaced search result option");
		return false;
	}
	/* The old answer is no more (RFC 9051 section 6.4.4). */
	if (!s->ret.is_given && c->s->imap4rev2) {
		s->ret.is_given = true;
		s->ret.options = SEARCH_ALL;
	}
	if (!search_run_begin(c, s, a, false))
		return false;
	s->limited = limit_cut(c->s, &s->candidates);
	return true;
}

static void
write_range(struct buf *b, uint64_t first, uint64_t last)
{
	for (uint64_t n = first; n <= last; n++) {
		char *p = buf_room(b, 1 + NUM_DIGITS_MAX);

		if (p == NULL)
			return;
		*p = ' ';
		b->n += 1 + num_write_u64(p + 1, n);
	}
}

/* False: the time is up. */
static bool
write_numbers(struct cmd *c, struct buf *b)
{
	struct search *q = c->state;
	uint64_t n = 0;

	if (q->numbers.n == 0)
		session_numbers(c, &q->run.found, &q->numbers);
	while (q->range < q->numbers.n) {
		struct set32_range r = q->numbers.r[q->range];

		if (q->number != 0)
			r.first = q->number;
		q->number = 0;
		if (r.last - r.first < LOOKS)
			q->range++;
		else
			q->number = (r.last = r.first + LOOKS - 1) + 1;
		write_range(b, r.first, r.last);
		n += r.last - r.first + 1;
		if (n < LOOKS)
			continue;
		if (cmd_time_is_up(c))
			return false;
		n = 0;
	}
	return true;
}

enum step
cmd_search(struct cmd *c)
{
	struct search_found f = {0};
	struct search_run *s;
	struct search *q;

	if (c->state == NULL && !search_begin(c))
		return STEP_DONE;
	q = c->state;
	s = &q->run;
	f.uids = &s->found;
	if (!q->is_found && search_run_step(c, s) == STEP_MORE)
		return STEP_MORE;
	q->is_found = true;
	if (search_run_modseq(c, s, &f) == STEP_MORE ||
	    search_run_tell(c, s, &f, "SEARCH", write_numbers) == STEP_MORE)
		return STEP_MORE;
	context_add(c,
	    &(struct context_wish){.ret = &s->ret,
		.keys = s->keys,
		.is_partial = s->limited != 0,
		.found = &s->found});
	if (s->unreadable == NULL)
		return limit_reply_ok(c, s->limited, NULL, "SEARCH completed");
	search_run_save(c, s, NULL);
	return limit_reply_no(c, s->limited, s->unreadable,
	    "Some messages could not be read and were left out");
}
