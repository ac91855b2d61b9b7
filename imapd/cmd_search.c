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

static void
search_cleanup(struct cmd *c)
{
	search_run_done(c->state);
}

/* False: answered. */
static bool
search_begin(struct cmd *c)
{
	struct search_run *s = arena_new(c->arena, 1, sizeof(*s));
	const struct imap_arg *a = c->args;

	c->state = s;
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
write_range(struct buf *b, const struct set32_range *r)
{
	for (uint64_t n = r->first; n <= r->last; n++) {
		char *p = buf_room(b, 1 + NUM_DIGITS_MAX);

		if (p == NULL)
			return;
		*p = ' ';
		b->n += 1 + num_write_u64(p + 1, n);
	}
}

static void
write_plain(struct buf *b, const struct set32 *numbers, uint64_t modseq)
{
	buf_add_c(b, "* SEARCH");
	for (size_t i = 0; i < numbers->n; i++)
		write_range(b, &numbers->r[i]);
	if (modseq != 0)
		buf_addf(b, " (MODSEQ %llu)", (unsigned long long)modseq);
	buf_add_c(b, "\r\n");
}

static void
write_answer(struct buf *b, struct cmd *c, struct search_run *s)
{
	struct search_found f = {.uids = &s->found};
	struct set32 numbers;

	search_run_save(c, s, &f);
	if (s->ret.is_given) {
		/* Who only saves is told nothing. */
		if ((s->ret.options & ~(unsigned)SEARCH_NO_RESULT) != 0)
			search_return_write(b, c, &s->ret, &f, s->modseq);
		return;
	}
	set32_init(&numbers);
	session_numbers(c, &s->found, &numbers);
	write_plain(b, &numbers, s->modseq);
	set32_done(&numbers);
}

enum step
cmd_search(struct cmd *c)
{
	struct search_found f = {0};
	struct search_run *s;
	struct buf line;

	if (c->state == NULL && !search_begin(c))
		return STEP_DONE;
	s = c->state;
	f.uids = &s->found;
	if (search_run_step(c, s) == STEP_MORE ||
	    search_run_modseq(c, s, &f) == STEP_MORE)
		return STEP_MORE;
	buf_init(&line, SIZE_MAX / 2);
	write_answer(&line, c, s);
	session_send(c->s);
	conn_write_str(c->s->conn, buf_str(&line));
	buf_done(&line);
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
