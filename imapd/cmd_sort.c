/* SPDX-License-Identifier: ISC */
/*
 * cmd_sort.c - SORT and UID SORT, with the ESEARCH form of the answer.
 *
 * Owns:    the keys of the messages found, in the command's arena.
 * Runs in: imapd.
 * Trusts:  nothing in arguments or messages.
 * Spec:    RFC 5256 sections 2.2, 3; RFC 5957 (DISPLAYFROM, DISPLAYTO); RFC 5267
 *          section 3 (ESORT); RFC 5051 (i;unicode-casemap).
 *
 * SEARCH --all found--> LOAD --what the kept order lacks--> KEYS --all read-->
 * ROWS --sorted--> MERGE --one order--> ANSWER
 * MERGE --the kept order is of no use--> KEYS
 */
#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/reply.h"
#include "imapd/sort_job.h"
#include "store/kept.h"
#include "store/msg.h"

/* Messages between two looks at the clock. */
enum { LOOKS = 1024 };

static void
sort_cleanup(struct cmd *c)
{
	struct sort *s = c->state;

	msg_close(&s->msg);
	arena_done(&s->scratch);
	set32_done(&s->missing);
	buf_done(&s->kept);
	search_run_done(&s->run);
}

/* ---- arguments ------------------------------------------------------------- */

static bool
criterion_arg(const struct imap_arg **a, struct criterion *out)
{
	static const struct {
		const char *word;
		enum sort_by by;
	} words[] = {
	    {"ARRIVAL", BY_ARRIVAL},
	    {"CC", BY_CC},
	    {"DATE", BY_DATE},
	    {"FROM", BY_FROM},
	    {"SIZE", BY_SIZE},
	    {"SUBJECT", BY_SUBJECT},
	    {"TO", BY_TO},
	    {"DISPLAYFROM", BY_DISPLAYFROM},
	    {"DISPLAYTO", BY_DISPLAYTO},
	};

	out->is_reverse = imap_arg_word(a, "REVERSE");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (imap_arg_word(a, words[i].word)) {
			out->by = words[i].by;
			return true;
		}
	return false;
}

static bool
criteria_parse(const struct imap_arg **a, struct sort *s)
{
	const struct imap_arg *list;

	if (!imap_arg_list(a, &list) || imap_arg_end(list))
		return false;
	while (!imap_arg_end(list))
		if (s->n_criteria == SORT_CRITERIA_MAX ||
		    !criterion_arg(&list, &s->criteria[s->n_criteria++]))
			return false;
	return true;
}

/* False: answered. */
static bool
sort_begin(struct cmd *c)
{
	struct sort *s = arena_new(c->arena, 1, sizeof(*s));
	const struct imap_arg *a = c->args;

	arena_init(&s->scratch);
	buf_init(&s->kept, KEPT_MAX_BYTES);
	c->state = s;
	c->cleanup = sort_cleanup;
	if (!search_return_parse(&a, &s->run.ret)) {
		(void)reply_bad(c, "Unknown or misplaced result option");
		return false;
	}
	if (!criteria_parse(&a, s)) {
		(void)reply_bad(c, "Sort criteria expected");
		return false;
	}
	return search_run_begin(c, &s->run, a, true);
}

/* ---- phases ---------------------------------------------------------------- */

static void
begin_keys(struct cmd *c, struct sort *s)
{
	s->phase = SORT_KEYS;
	s->uid = 1;
	s->n_rows = 0;
	s->rows = arena_new(
	    c->arena, (size_t)set32_count(&s->missing) + 1, sizeof(*s->rows));
}

static enum step
read_keys(struct cmd *c, struct sort *s)
{
	struct err e;

	while (s->uid != 0 && set32_next(&s->missing, s->uid, &s->uid)) {
		switch (sort_keys_read(c, s, s->uid, &s->rows[s->n_rows], &e)) {
		case STEP_MORE:
			return STEP_MORE;
		case STEP_DONE:
			s->n_rows++;
			break;
		case STEP_FAIL:
			set32_remove(&s->run.found, s->uid);
			if (e.code != ERR_GONE && e.code != ERR_NOT_FOUND)
				s->run.unreadable = reply_code(&e);
		}
		s->uid++;
		if (cmd_time_is_up(c))
			return STEP_MORE;
	}
	return STEP_DONE;
}

static void
begin_rows(struct cmd *c, struct sort *s)
{
	s->phase = SORT_ROWS;
	step_sort_begin(&s->sort, s->rows,
	    arena_new(c->arena, s->n_rows + 1, sizeof(*s->rows)), s->n_rows,
	    sizeof(*s->rows), sort_keys_compare, s);
}

static enum step
sort_rows(struct cmd *c, struct sort *s)
{
	size_t steps;

	do {
		steps = SORT_STEPS;
		if (step_sort_go(&s->sort, &steps)) {
			s->rows = (struct sort_row *)(void *)s->sort.rows;
			return STEP_DONE;
		}
	} while (!cmd_time_is_up(c));
	return STEP_MORE;
}

/* STEP_DONE: s->order is the answer. */
static enum step
sort_step(struct cmd *c, struct sort *s)
{
	for (;;) {
		switch (s->phase) {
		case SORT_SEARCH:
			if (search_run_step(c, &s->run) == STEP_MORE)
				return STEP_MORE;
			s->phase = SORT_LOAD;
			break;
		case SORT_LOAD:
			if (sort_order_load(c, s) == STEP_MORE)
				return STEP_MORE;
			begin_keys(c, s);
			break;
		case SORT_KEYS:
			if (read_keys(c, s) == STEP_MORE)
				return STEP_MORE;
			begin_rows(c, s);
			break;
		case SORT_ROWS:
			if (sort_rows(c, s) == STEP_MORE)
				return STEP_MORE;
			s->phase = SORT_MERGE;
			break;
		case SORT_MERGE:
			switch (sort_order_merge(c, s)) {
			case STEP_MORE:
				return STEP_MORE;
			case STEP_FAIL:
				begin_keys(c, s);
				break;
			case STEP_DONE:
				s->phase = SORT_ANSWER;
			}
			break;
		case SORT_ANSWER:
			return STEP_DONE;
		}
	}
}

/* ---- the answer ------------------------------------------------------------ */

/* False: the time is up. */
static bool
write_numbers(struct cmd *c, struct buf *b)
{
	struct sort *s = c->state;
	uint32_t uid;

	while (s->line_at < s->n_order) {
		uid = s->order[s->line_at++];
		buf_add_byte(b, ' ');
		buf_add_u64(b, c->uid ? uid : view_seq(c->s->view, uid));
		if (s->line_at % LOOKS == 0 && cmd_time_is_up(c))
			return false;
	}
	return true;
}

enum step
cmd_sort(struct cmd *c)
{
	struct search_found f = {0};
	struct sort *s;

	if (c->state == NULL && !sort_begin(c))
		return STEP_DONE;
	s = c->state;
	if (sort_step(c, s) == STEP_MORE)
		return STEP_MORE;
	f.uids = &s->run.found;
	f.order = s->order;
	if (search_run_modseq(c, &s->run, &f) == STEP_MORE)
		return STEP_MORE;
	if (search_run_tell(c, &s->run, &f, "SORT", write_numbers) == STEP_MORE)
		return STEP_MORE;
	context_add(c,
	    &(struct context_wish){
		.ret = &s->run.ret,
		.keys = s->run.keys,
		.charset = true,
		.is_partial = s->run.limited != 0,
		.found = &s->run.found,
		.sort = s,
	    });
	if (s->run.unreadable == NULL)
		return reply_ok(c, NULL, "SORT completed");
	search_run_save(c, &s->run, NULL);
	return reply_no(c, s->run.unreadable,
	    "Some messages could not be read and were left out");
}
